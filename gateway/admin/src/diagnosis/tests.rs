use std::time::Duration;

use node_proto::{ClusterId, Epoch, LayoutDevice, NodeState, PeerKey};

use super::*;
use crate::mesh::BootstrapReport;

const VERSION: &str = "1.0.0";

/// One node per zone, one device each, all well.
struct World {
    layout: Layout,
    mesh: MeshReport,
    devices: Vec<ObservedDevice>,
    pending: Vec<String>,
}

fn world(nodes: u8) -> World {
    let key = |index: u8| PeerKey([index; 32]);
    let node = |index: u8| LayoutNode {
        id: NodeId(u32::from(index)),
        name: format!("n{index}"),
        peer: Some(key(index)),
        zone: format!("z{index}"),
        state: NodeState::Active,
    };
    let device = |index: u8| LayoutDevice {
        node: NodeId(u32::from(index)),
        failure_domain: format!("z{index}"),
        ..LayoutDevice::local(DeviceId(u32::from(index)), "/mnt/d".to_owned())
    };
    let peer = |index: u8| MeshPeer {
        peer: key(index),
        is_connected: true,
        addresses: vec![format!("/ip4/10.0.0.{index}/tcp/9002")],
        security: Some("tls1.3".to_owned()),
        round_trip: Some(Duration::from_micros(200)),
        lanes: 3,
        requests_in_flight: 0,
        sent_bytes: 1,
        received_bytes: 1,
        epoch: Some(Epoch(7)),
        version: Some(VERSION.to_owned()),
        clock_ahead_ms: Some(3),
        last_error: None,
    };
    let observed = |index: u8| ObservedDevice {
        id: DeviceId(u32::from(index)),
        failure_domain: format!("z{index}"),
        offline: None,
        is_breaker_open: false,
        is_draining: false,
    };
    World {
        layout: Layout {
            cluster: ClusterId([1; 16]),
            epoch: Epoch(7),
            gateways: vec![key(200)],
            nodes: (1..=nodes).map(node).collect(),
            devices: (1..=nodes).map(device).collect(),
        },
        mesh: MeshReport {
            peer: key(200),
            addresses: vec!["/ip4/10.0.0.200/tcp/9002".to_owned()],
            discovery: true,
            bootstrap: Vec::new(),
            peers: (1..=nodes).map(peer).collect(),
        },
        devices: (1..=nodes).map(observed).collect(),
        pending: Vec::new(),
    }
}

impl World {
    fn findings(&self, mesh: Option<&MeshReport>) -> Vec<Finding> {
        diagnose(&Observation {
            layout: &self.layout,
            mesh,
            devices: &self.devices,
            pending: &self.pending,
            version: VERSION,
        })
    }

    fn codes(&self) -> Vec<(Severity, String, String)> {
        let shown = |found: Finding| (found.severity, found.code, found.subject);
        self.findings(Some(&self.mesh)).into_iter().map(shown).collect()
    }

    /// The only finding.
    #[track_caller]
    fn one(&self, severity: Severity, code: &str, subject: &str) -> Finding {
        assert_eq!(self.codes(), [(severity, code.to_owned(), subject.to_owned())]);
        self.findings(Some(&self.mesh)).remove(0)
    }
}

#[test]
fn a_mesh_that_is_well_has_no_findings() {
    assert_eq!(world(6).codes(), []);
}

#[test]
fn nodes_that_are_away_are_told_with_the_likely_cause() {
    for (error, addresses, advice) in [
        ("Connection refused (os error 111)", 1, "datamesh node run running"),
        ("dial timed out", 1, "firewall"),
        ("unexpected peer id", 1, "data directory of n2"),
        ("strange", 1, "log of n2"),
        ("", 0, "restart n2"),
    ] {
        let mut world = world(6);
        let peer = &mut world.mesh.peers[1];
        peer.is_connected = false;
        peer.last_error = Some(error.to_owned());
        peer.addresses.truncate(addresses);
        let found = world.one(Severity::Warning, "node-not-connected", "n2");
        assert!(found.advice.contains(advice), "{error}: {found:?}");
        assert!(found.summary.contains(error), "{found:?}");
    }
    let mut world = world(6);
    world.mesh.peers.remove(0);
    world.one(Severity::Warning, "node-not-connected", "n1");
}

#[test]
fn epochs_that_differ_are_told_by_direction() {
    let mut behind = world(6);
    behind.mesh.peers[0].epoch = Some(Epoch(6));
    behind.one(Severity::Warning, "epoch-behind", "n1");
    behind.mesh.peers[0].epoch = Some(Epoch(8));
    behind.one(Severity::Critical, "epoch-ahead", "n1");
    behind.mesh.peers[0].epoch = None;
    assert_eq!(behind.codes(), []);
}

#[test]
fn clocks_apart_are_told_in_both_directions() {
    let mut skewed = world(6);
    skewed.mesh.peers[0].clock_ahead_ms = Some(10_000);
    assert_eq!(skewed.codes(), []);
    skewed.mesh.peers[0].clock_ahead_ms = Some(10_001);
    let found = skewed.one(Severity::Warning, "clock-skew", "n1");
    assert!(found.summary.contains("10001 ms ahead of"), "{found:?}");
    skewed.mesh.peers[0].clock_ahead_ms = Some(-60_000);
    let found = skewed.one(Severity::Warning, "clock-skew", "n1");
    assert!(found.summary.contains("60000 ms behind"), "{found:?}");
}

#[test]
fn noise_and_other_versions_are_good_to_know() {
    let mut noisy = world(6);
    noisy.mesh.peers[2].security = Some("noise".to_owned());
    noisy.one(Severity::Info, "noise-negotiated", "n3");
    let mut older = world(6);
    older.mesh.peers[2].version = Some("0.9.0".to_owned());
    older.one(Severity::Info, "version-differs", "n3");
    older.mesh.peers[2].version = Some(format!("datamesh/{VERSION}"));
    assert_eq!(older.codes(), []);
}

#[test]
fn a_gateway_that_nobody_can_dial_is_told() {
    let mut hidden = world(6);
    hidden.mesh.addresses = vec!["/ip4/127.0.0.1/tcp/1".to_owned(), "/ip6/::1/tcp/1".to_owned()];
    hidden.one(Severity::Info, "loopback-only", "");
    hidden.mesh.addresses.push("/ip4/10.0.0.1/tcp/1".to_owned());
    assert_eq!(hidden.codes(), []);
    hidden.mesh.addresses.clear();
    hidden.one(Severity::Warning, "no-address", "");
}

#[test]
fn bootstrap_and_discovery_are_told_when_they_do_not_work() {
    let mut lost = world(6);
    let address = "/ip4/10.0.0.9/tcp/9002/p2p/X".to_owned();
    lost.mesh.bootstrap = vec![BootstrapReport { address: address.clone(), is_connected: None }];
    assert_eq!(lost.codes(), []);
    lost.mesh.bootstrap[0].is_connected = Some(false);
    lost.one(Severity::Warning, "bootstrap-unreachable", &address);
    let mut off = world(6);
    off.mesh.discovery = false;
    off.one(Severity::Info, "discovery-off", "");
}

#[test]
fn devices_are_told_with_their_node() {
    let mut broken = world(7);
    broken.devices[0].is_breaker_open = true;
    broken.one(Severity::Warning, "breaker-open", "device 1 of n1");
    broken.devices[0].offline = Some("pulled".to_owned());
    let found = broken.one(Severity::Warning, "device-offline", "device 1 of n1");
    assert!(found.summary.contains("pulled"), "{found:?}");
}

#[test]
fn too_few_places_that_fail_apart_come_first() {
    let mut few = world(5);
    few.one(Severity::Info, "few-domains", "");
    few.devices[0].is_draining = true;
    let found = few.one(Severity::Info, "few-domains", "");
    assert!(found.summary.contains("2+2"), "{found:?}");
    for device in &mut few.devices[1..3] {
        device.offline = Some("pulled".to_owned());
    }
    let codes = few.codes();
    assert_eq!(codes[0], (Severity::Critical, "too-few-domains".to_owned(), String::new()));
    assert_eq!(codes.len(), 4, "{codes:?}");
}

#[test]
fn losses_that_leave_no_margin_are_critical() {
    let mut world = world(8);
    world.devices[0].offline = Some("pulled".to_owned());
    assert!(!world.codes().iter().any(|(_, code, _)| code == "no-margin"));
    for (device, told) in [(1, "no further loss"), (2, "cannot be read")] {
        world.devices[device].offline = Some("pulled".to_owned());
        let codes = world.codes();
        assert_eq!(codes[0], (Severity::Critical, "no-margin".to_owned(), String::new()));
        let found = &world.findings(Some(&world.mesh))[0];
        assert!(found.summary.contains(told), "{found:?}");
    }
}

#[test]
fn a_gateway_without_a_mesh_says_so_and_worse_when_it_has_nodes() {
    let mut alone = world(6);
    let found = &alone.findings(None)[0];
    assert_eq!((found.severity, found.code.as_str()), (Severity::Critical, "mesh-off"));
    alone.layout.nodes.clear();
    let found = &alone.findings(None)[0];
    assert_eq!((found.severity, found.code.as_str()), (Severity::Info, "mesh-off"));
}

#[test]
fn waiting_nodes_are_told_with_the_command_that_approves_them() {
    let mut waiting = world(6);
    waiting.pending = vec!["n7".to_owned()];
    let found = waiting.one(Severity::Info, "node-pending", "n7");
    assert!(found.advice.contains("datamesh node approve n7"), "{found:?}");
}
