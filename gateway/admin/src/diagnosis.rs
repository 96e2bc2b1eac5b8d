//! What an operator should know about the mesh, and what to do about it. Pure: the same
//! observation gives the same findings.

use std::collections::BTreeSet;

use node_proto::{DeviceId, Layout, LayoutNode, NodeId};

use crate::{
    mesh::{MeshPeer, MeshReport},
    routes::wire::{Finding, Severity},
};

/// Failure domains that the code needs for its full efficiency: 4 data and 2 parity shards, the
/// profile of every bucket.
const DOMAINS_WANTED: usize = 6;

/// Losses that every object survives: the parity shards of the profile.
const LOSSES_TOLERATED: usize = 2;

/// Clocks further apart deserve a finding. Chosen: copy orders are good for a minute or more, so
/// that a sixth of it is noticed long before it hurts.
const CLOCK_SKEW_MS_MAX: u64 = 10_000;

/// One device, as far as findings need it.
pub(crate) struct ObservedDevice {
    pub(crate) id: DeviceId,
    pub(crate) failure_domain: String,
    /// Why it does not serve, if so.
    pub(crate) offline: Option<String>,
    pub(crate) is_breaker_open: bool,
    pub(crate) is_draining: bool,
}

/// What is known at one time.
pub(crate) struct Observation<'a> {
    pub(crate) layout: &'a Layout,
    /// `None` without a mesh.
    pub(crate) mesh: Option<&'a MeshReport>,
    pub(crate) devices: &'a [ObservedDevice],
    /// Names of nodes that wait for approval.
    pub(crate) pending: &'a [String],
    /// This program's version.
    pub(crate) version: &'a str,
}

/// The findings, the worst first.
pub(crate) fn diagnose(observed: &Observation<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match observed.mesh {
        Some(mesh) => {
            of_nodes(observed, mesh, &mut findings);
            of_gateway(observed, mesh, &mut findings);
        }
        None => findings.push(without_mesh(observed.layout)),
    }
    of_devices(observed, &mut findings);
    of_domains(observed.devices, &mut findings);
    for name in observed.pending {
        findings.push(finding(
            (Severity::Info, "node-pending", name),
            "it asked to join and waits for approval".to_owned(),
            format!("datamesh node approve {name}, or datamesh node reject {name}"),
        ));
    }
    // Stable, so that what belongs together stays together.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn finding(
    (severity, code, subject): (Severity, &str, &str),
    summary: String,
    advice: impl Into<String>,
) -> Finding {
    let (code, subject) = (code.to_owned(), subject.to_owned());
    Finding { severity, code, subject, summary, advice: advice.into() }
}

fn without_mesh(layout: &Layout) -> Finding {
    let advice = "start the gateway with --mesh ADDR";
    if layout.nodes.iter().any(|node| node.peer.is_some()) {
        let summary = "the layout has nodes, but this gateway runs without a mesh and reaches none";
        finding((Severity::Critical, "mesh-off", ""), summary.to_owned(), advice)
    } else {
        let summary = "this gateway runs without a mesh: nodes on other machines cannot join";
        finding((Severity::Info, "mesh-off", ""), summary.to_owned(), advice)
    }
}

/// Nodes of the layout: connected, up to date, and of one mind about the time?
fn of_nodes(observed: &Observation<'_>, mesh: &MeshReport, findings: &mut Vec<Finding>) {
    let outside = observed.layout.nodes.iter().filter(|node| node.peer.is_some());
    for node in outside {
        let peer = mesh.peers.iter().find(|peer| Some(peer.peer) == node.peer);
        match peer {
            Some(peer) if peer.is_connected => of_connected(observed, node, peer, findings),
            peer => findings.push(not_connected(node, peer)),
        }
    }
}

fn not_connected(node: &LayoutNode, peer: Option<&MeshPeer>) -> Finding {
    let error = peer.and_then(|peer| peer.last_error.as_deref());
    let addresses = peer.map(|peer| peer.addresses.as_slice()).unwrap_or_default();
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    let at = match addresses {
        [] => "at no known address".to_owned(),
        some => format!("at {}", some.join(", ")),
    };
    let advice = advice_for(&node.name, error.unwrap_or_default(), addresses.is_empty());
    let summary = format!("it is not connected, tried {at}{why}");
    finding((Severity::Warning, "node-not-connected", &node.name), summary, advice)
}

/// What usually helps with an error of dialling. The texts are those of the operating system and
/// the mesh; whatever is not recognised gets the general advice.
fn advice_for(name: &str, error: &str, no_address: bool) -> String {
    let error = error.to_ascii_lowercase();
    if no_address {
        format!("restart {name}: a node tells its addresses whenever it starts")
    } else if error.contains("refused") {
        format!("nothing listens there: is datamesh node run running on {name}?")
    } else if error.contains("timed out") || error.contains("timeout") {
        format!("no answer: is {name} up, and does a firewall let its mesh port through?")
    } else if error.contains("peer id") || error.contains("peerid") {
        format!("another process listens there: was the data directory of {name} replaced?")
    } else {
        format!("look at the log of {name}, and at the firewall between it and this gateway")
    }
}

fn of_connected(
    observed: &Observation<'_>,
    node: &LayoutNode,
    peer: &MeshPeer,
    findings: &mut Vec<Finding>,
) {
    let name = node.name.as_str();
    let ours = observed.layout.epoch;
    match peer.epoch {
        Some(theirs) if theirs < ours => findings.push(finding(
            (Severity::Warning, "epoch-behind", name),
            format!("it has layout epoch {}, current is {}", theirs.0, ours.0),
            "the gateway keeps sending; if this stays, look at the node's log and its free space",
        )),
        Some(theirs) if theirs > ours => findings.push(finding(
            (Severity::Critical, "epoch-ahead", name),
            format!("it has layout epoch {}, this gateway only {}", theirs.0, ours.0),
            "the gateway's metadata are older than the node: was an old copy put back?",
        )),
        _ => {}
    }
    if let Some(ahead_ms) = peer.clock_ahead_ms
        && ahead_ms.unsigned_abs() > CLOCK_SKEW_MS_MAX
    {
        let direction = if ahead_ms < 0 { "behind" } else { "ahead of" };
        findings.push(finding(
            (Severity::Warning, "clock-skew", name),
            format!("its clock is {} ms {direction} this gateway's", ahead_ms.unsigned_abs()),
            "keep the clocks of all machines in step, for example with chrony",
        ));
    }
    if peer.security.as_deref() == Some("noise") {
        findings.push(finding(
            (Severity::Info, "noise-negotiated", name),
            "its connections use Noise, which is slower than TLS".to_owned(),
            "nothing to do where a processor lacks AES; else look at the security setting",
        ));
    }
    if let Some(version) = peer.version.as_deref().map(plain_version)
        && version != observed.version
    {
        findings.push(finding(
            (Severity::Info, "version-differs", name),
            format!("it runs version {version}, this gateway {}", observed.version),
            "bring all machines to one version when convenient",
        ));
    }
}

/// A version without the program's name, which the transport puts before it.
pub(crate) fn plain_version(version: &str) -> &str {
    version.strip_prefix("datamesh/").unwrap_or(version)
}

/// This gateway: can it be found, and can it find others?
fn of_gateway(observed: &Observation<'_>, mesh: &MeshReport, findings: &mut Vec<Finding>) {
    let is_loopback =
        |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
    if mesh.addresses.is_empty() {
        findings.push(finding(
            (Severity::Warning, "no-address", ""),
            "this gateway has no address to tell to nodes: none can join".to_owned(),
            "name one with --mesh-advertise",
        ));
    } else if mesh.addresses.iter().all(is_loopback) {
        findings.push(finding(
            (Severity::Info, "loopback-only", ""),
            "this gateway tells nodes to dial a loopback address".to_owned(),
            "to reach other machines, give --mesh an address that they can dial",
        ));
    }
    for bootstrap in mesh.bootstrap.iter().filter(|known| known.is_connected == Some(false)) {
        findings.push(finding(
            (Severity::Warning, "bootstrap-unreachable", &bootstrap.address),
            "this bootstrap address is not connected".to_owned(),
            "members are still reached at the addresses known; bring it back or name another",
        ));
    }
    let has_nodes = observed.layout.nodes.iter().any(|node| node.peer.is_some());
    if has_nodes && !mesh.discovery {
        findings.push(finding(
            (Severity::Info, "discovery-off", ""),
            "addresses of members are not looked up".to_owned(),
            "a node whose address changed is found again when it starts and announces itself",
        ));
    }
}

fn of_devices(observed: &Observation<'_>, findings: &mut Vec<Finding>) {
    for device in observed.devices {
        let node = observed.layout.device(device.id).map_or(NodeId::LOCAL, |known| known.node);
        let place = match observed.layout.node(node) {
            Some(node) => format!("device {} of {}", device.id.0, node.name),
            None => format!("device {}", device.id.0),
        };
        if let Some(reason) = &device.offline {
            findings.push(finding(
                (Severity::Warning, "device-offline", &place),
                format!("it is offline: {reason}"),
                "requests go on without it; datamesh device list and the node's log tell more",
            ));
        } else if device.is_breaker_open {
            findings.push(finding(
                (Severity::Warning, "breaker-open", &place),
                "it failed or was slow too often and is avoided for now".to_owned(),
                "it is tried again by itself; if this stays, look at the drive and the network",
            ));
        }
    }
}

/// Enough places that fail apart?
fn of_domains(devices: &[ObservedDevice], findings: &mut Vec<Finding>) {
    let takes = |device: &&ObservedDevice| !device.is_draining;
    let domains_of = |serving: bool| -> usize {
        let counted = devices.iter().filter(takes);
        let counted = counted.filter(|device| !serving || device.offline.is_none());
        counted.map(|device| &device.failure_domain).collect::<BTreeSet<_>>().len()
    };
    let (all, up) = (domains_of(false), domains_of(true));
    if up <= LOSSES_TOLERATED {
        findings.push(finding(
            (Severity::Critical, "too-few-domains", ""),
            format!("{up} of {all} failure domains are up, writes need {}", LOSSES_TOLERATED + 1),
            "bring nodes or drives back, or add some in zones of their own",
        ));
    } else if up < DOMAINS_WANTED {
        let data = up - LOSSES_TOLERATED;
        findings.push(finding(
            (Severity::Info, "few-domains", ""),
            format!(
                "{up} of {all} failure domains are up: new objects are stored as {data}+2, which \
                 takes more space than 4+2"
            ),
            "six zones or more give full efficiency",
        ));
    }
    of_margin(devices, findings);
}

/// Does everything survive another loss?
fn of_margin(devices: &[ObservedDevice], findings: &mut Vec<Finding>) {
    let away = devices.iter().filter(|device| device.offline.is_some());
    let away = away.map(|device| &device.failure_domain).collect::<BTreeSet<_>>().len();
    if away < LOSSES_TOLERATED {
        return;
    }
    let summary = match away {
        LOSSES_TOLERATED => {
            format!("devices of {away} failure domains are offline: no further loss is survived")
        }
        _ => format!(
            "devices of {away} failure domains are offline: objects with shards on more than \
             {LOSSES_TOLERATED} of them cannot be read"
        ),
    };
    findings.push(finding(
        (Severity::Critical, "no-margin", ""),
        summary,
        "bring back what is offline, or drain what is lost for good so that it is rebuilt elsewhere",
    ));
}

#[cfg(test)]
mod tests;
