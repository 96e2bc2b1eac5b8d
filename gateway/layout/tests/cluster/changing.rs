//! Layouts that change: gateways, drains, drives, history, two processes at once.

use gateway_layout::{
    ChangeNodeError, Cluster, ClusterDeps, CommitLayoutError, DeviceUsage, Kind, NewToken,
    NodeStatus, OpenClusterError, RetireError, SetLocalDevicesError, Verdict,
};
use gateway_meta::{
    Batch, MetaStore, Op, Table, TxId,
    key::ctl,
    record::{NodeRecord, Record},
};
use node_proto::{
    ClusterId, DeviceId, Epoch, JoinAnswer, Layout, LayoutDevice, NodeId, UnixMillis,
};

use super::{
    CLUSTER, GATEWAY, Machine, TIB, admit, local_devices, peer, reason, request, token, with_token,
};

fn usage(layout: &Layout, used_bytes: u64) -> Vec<DeviceUsage> {
    let of = |device: &LayoutDevice| DeviceUsage {
        device: device.id,
        capacity_bytes: TIB,
        used_bytes,
        is_up: true,
    };
    layout.devices.iter().map(of).collect()
}

async fn put(machine: &Machine, key: Vec<u8>, value: bytes::Bytes) {
    static SEQ: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let seq = SEQ.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let op = Op::Put { table: Table::Ctl, key, value };
    let txid = TxId { incarnation: u64::MAX, seq };
    machine.meta.commit(Batch { txid, guards: Vec::new(), ops: vec![op] }).await.expect("commits");
}

#[tokio::test]
async fn a_gateway_without_drives_enters_its_layout_once() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    assert_eq!(cluster.layout().gateways, [GATEWAY]);
    assert_eq!(cluster.layout().epoch, Epoch(1));
    let again = machine.start().await;
    assert_eq!(again.layout(), cluster.layout());
    assert_eq!(again.signed(), cluster.signed());
}

#[tokio::test]
async fn a_new_identity_of_the_gateway_takes_the_place_of_the_old_one() {
    let machine = Machine::new();
    machine.start().await;
    let renewed = ClusterDeps { gateway: Some(peer(201)), ..machine.deps() };
    let cluster = Cluster::open(renewed).await.expect("opens");
    assert_eq!(cluster.layout().gateways, [peer(201)]);
    assert_eq!(cluster.layout().epoch, Epoch(2));
}

#[tokio::test]
async fn clusters_of_one_machine_go_on_with_their_epoch_and_their_history() {
    let machine = Machine::new();
    let device = LayoutDevice { mount_point: true, ..LayoutDevice::local(DeviceId(2), "p".into()) };
    let mut row = vec![1];
    row.extend_from_slice(&CLUSTER.0);
    row.extend_from_slice(&[0xac, 0x02, 1, 2, 7]);
    row.extend_from_slice(b"drive-2");
    row.extend_from_slice(&[1, b'p', 1]);
    put(&machine, ctl::layout(), row.into()).await;
    let cluster = machine.start().await;
    assert_eq!(cluster.layout().epoch, Epoch(301));
    assert_eq!(cluster.layout().devices, [device]);
    let history = cluster.history(10).await.expect("reads");
    let epochs: Vec<u64> = history.iter().map(|revision| revision.epoch.0).collect();
    assert_eq!(epochs, [301, 300]);
    assert!(history[1].layout.gateways.is_empty());
    assert_eq!(cluster.next_device_id().expect("reads"), DeviceId(3));
}

#[tokio::test]
async fn another_clusters_layout_is_refused() {
    let machine = Machine::new();
    put(&machine, ctl::layout(), Layout::local(ClusterId([9; 16]), Vec::new()).encode()).await;
    let refused = Cluster::open(machine.deps()).await.err().expect("refused");
    assert!(matches!(refused, OpenClusterError::OtherCluster { .. }), "{refused}");
    put(&machine, ctl::layout(), b"\xffjunk".to_vec().into()).await;
    assert!(matches!(Cluster::open(machine.deps()).await, Err(OpenClusterError::Store(_))));
}

#[tokio::test]
async fn own_drives_change_without_touching_those_of_nodes() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let epoch = cluster.layout().epoch;
    cluster.set_local_devices(local_devices(0..6)).await.expect("the same");
    assert_eq!(cluster.layout().epoch, epoch, "nothing changed");
    admit(&cluster, "n", 1).await;
    // One moved, one is new, four are not named.
    let mut devices = local_devices(0..2);
    devices[1].address = "elsewhere".to_owned();
    let id = cluster.next_device_id().expect("reads");
    assert_eq!(id, DeviceId(8), "behind the node's two");
    devices.push(LayoutDevice::local(id, "new".to_owned()));
    let layout = cluster.set_local_devices(devices).await.expect("taken over");
    assert_eq!(layout.devices.len(), 9);
    assert_eq!(layout.devices[1].address, "elsewhere");
    assert_eq!(layout.devices[6].node, NodeId(1));
    assert_eq!(layout.devices[8].failure_domain, "drive-8");
    let reused = cluster.set_local_devices(local_devices(6..7)).await;
    assert!(matches!(reused, Err(SetLocalDevicesError::NotLocal { device: DeviceId(6) })));
    let remote = LayoutDevice { node: NodeId(1), ..local_devices(0..1).remove(0) };
    let remote = cluster.set_local_devices(vec![remote]).await;
    assert!(matches!(remote, Err(SetLocalDevicesError::NotLocal { device: DeviceId(0) })));
}

#[tokio::test]
async fn ids_of_retired_nodes_are_not_used_again_and_their_peers_are_refused() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let layout = admit(&cluster, "n", 1).await;
    let early = cluster.retire("n", 0, false).await;
    assert!(matches!(early, Err(RetireError::NotDraining { .. })), "{early:?}");
    cluster.drain("n", &usage(&layout, 1), false).await.expect("drained");
    assert_eq!(cluster.node("n").await.expect("found").status, NodeStatus::Draining);
    let holding = cluster.retire("n", 3, false).await.expect_err("holds shards");
    assert!(matches!(holding, RetireError::HoldsShards { held_shards: 3, .. }));
    assert_eq!(holding.kind(), Kind::Refused);
    let layout = cluster.retire("n", 0, false).await.expect("retired");
    assert_eq!((layout.nodes.len(), layout.devices.len()), (0, 6));
    assert!(cluster.addresses().is_empty());

    let cluster = machine.start().await;
    let refused = reason(cluster.join(peer(1), request("n", 2)).await);
    assert!(refused.contains("was retired"), "{refused}");
    let fresh = token(&cluster, NewToken { is_approved: true, ..NewToken::default() }).await;
    let asked = with_token(request("n", 2), &fresh, peer(1));
    assert!(reason(cluster.join(peer(1), asked).await).contains("was retired"));
    assert_eq!(cluster.node("n").await.expect_err("gone").kind(), Kind::NotFound);
    let reused = cluster.set_local_devices(local_devices(6..7)).await;
    let next = DeviceId(8);
    assert!(matches!(reused, Err(SetLocalDevicesError::IdUsed { next: n, .. }) if n == next));
    let layout = admit(&cluster, "n", 2).await;
    assert_eq!(layout.nodes[0].id, NodeId(2));
    assert_eq!(layout.devices[6].id, DeviceId(8));
    // Force needs neither draining nor emptiness; the gateway cannot go even so.
    cluster.retire("n", 9, true).await.expect("forced");
    assert!(matches!(cluster.retire("gateway", 0, true).await, Err(RetireError::Plan(_))));
}

#[tokio::test]
async fn draining_below_what_holds_the_data_is_refused_unless_forced() {
    let machine = Machine::new();
    let cluster = machine.start().await;
    for byte in 1..=3 {
        admit(&cluster, &format!("n{byte}"), byte).await;
    }
    let full = usage(&cluster.layout(), TIB / 2);
    let refused = cluster.drain("n2", &full, false).await.expect_err("refused");
    assert_eq!(refused.kind(), Kind::Refused);
    let ChangeNodeError::Refused { preview } = &refused else { panic!("{refused}") };
    assert_eq!((preview.verdict, preview.after.code), (Verdict::BelowFloor, None));
    assert!(refused.to_string().contains("too few"), "{refused}");
    let layout = cluster.drain("n2", &full, true).await.expect("forced");
    assert!(layout.is_draining(DeviceId(2)));
    let same = cluster.drain("n2", &full, false).await.expect("is drained already");
    assert_eq!(same.epoch, layout.epoch);
    let back = cluster.activate("n2").await.expect("activated");
    assert!(!back.is_draining(DeviceId(2)));
    let unknown = cluster.drain("n9", &full, true).await.expect_err("unknown");
    assert_eq!(unknown.kind(), Kind::NotFound);
}

#[tokio::test]
async fn the_gateways_own_drives_can_be_drained() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    for byte in 1..=6 {
        admit(&cluster, &format!("n{byte}"), byte).await;
    }
    let full = usage(&cluster.layout(), TIB / 100);
    let layout = cluster.drain("gateway", &full, false).await.expect("drained");
    assert!((0..6).all(|id| layout.is_draining(DeviceId(id))));
    assert_eq!(cluster.nodes().await.expect("lists")[0].status, NodeStatus::Draining);
    // Drives found later are drained too, and named as before.
    let id = cluster.next_device_id().expect("reads");
    let more = vec![LayoutDevice::local(id, "more".to_owned())];
    let layout = cluster.set_local_devices(more).await.expect("taken over");
    assert!(layout.is_draining(id));
}

#[tokio::test]
async fn of_two_processes_that_change_the_layout_at_once_one_is_told() {
    let machine = Machine::new();
    let setup = machine.start_with_drives().await;
    for byte in 1..=2 {
        admit(&setup, &format!("n{byte}"), byte).await;
    }
    let (left, right) = (machine.start().await, machine.start().await);
    let before = left.layout().epoch;
    let (first, second) = tokio::join!(left.drain("n1", &[], true), right.drain("n2", &[], true));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let refused = first.err().or(second.err()).expect("one was refused");
    assert_eq!(refused.kind(), Kind::Conflict);
    let current = Epoch(before.0 + 1);
    let is_conflict = matches!(
        refused,
        ChangeNodeError::Layout(CommitLayoutError::Conflict { current: c }) if c == current
    );
    assert!(is_conflict, "{refused}");
    assert_eq!((left.layout().epoch, right.layout().epoch), (current, current));
    assert_eq!(left.layout(), right.layout());
    assert_eq!(left.history(1).await.expect("reads")[0].layout, *left.layout());
}

#[tokio::test]
async fn acknowledgements_are_shown_for_members_only() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let layout = admit(&cluster, "n", 1).await;
    cluster.acknowledged(peer(1), layout.epoch);
    cluster.acknowledged(peer(1), Epoch(1));
    cluster.acknowledged(peer(9), layout.epoch);
    assert_eq!(cluster.node("n").await.expect("found").epoch, Some(layout.epoch));
    assert_eq!(cluster.nodes().await.expect("lists").len(), 2);
}

#[tokio::test]
async fn observations_decay_and_survive_a_restart() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    admit(&cluster, "n", 1).await;
    let up = async |cluster: &Cluster| {
        let node = cluster.node("n").await.expect("found");
        node.availability.expect("it has devices")
    };
    assert!((up(&cluster).await - 0.99).abs() < 1e-9, "assumed");
    let all: Vec<(DeviceId, bool)> = (0..8).map(|id| (DeviceId(id), id != 7)).collect();
    for _ in 0..=24 * 60 {
        cluster.observe(&all).await.expect("kept");
        machine.clock.advance_ms(60_000);
    }
    // A day of observation against a day assumed: one device 0.995, the other 0.495.
    let seen = up(&cluster).await;
    assert!((seen - 0.745).abs() < 0.01, "{seen}");
    let again = machine.start().await;
    assert!((up(&again).await - seen).abs() < 0.001, "a minute is lost at most");
    // A gap says nothing.
    again.observe(&all).await.expect("kept");
    machine.clock.advance_ms(10 * 24 * 3_600 * 1_000);
    again.observe(&all).await.expect("kept");
    again.observe(&all).await.expect("kept");
    assert!((up(&again).await - seen).abs() < 0.001);
    // Clocks may go back.
    machine.clock.set(UnixMillis(5));
    again.observe(&[(DeviceId(99), true)]).await.expect("strangers are left out");
    assert!((up(&again).await - seen).abs() < 0.001);
}

#[tokio::test]
async fn a_layout_too_long_to_send_is_refused() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    let devices = (6..5_000)
        .map(|id| LayoutDevice::local(DeviceId(id), "x".repeat(1_000)))
        .collect::<Vec<_>>();
    let refused = cluster.set_local_devices(devices).await;
    let is_too_large =
        matches!(refused, Err(SetLocalDevicesError::Layout(CommitLayoutError::TooLarge { .. })));
    assert!(is_too_large, "{refused:?}");
    assert_eq!(cluster.layout().devices.len(), 6);
}

#[tokio::test]
async fn a_damaged_record_makes_a_node_wait_and_not_the_gateway_fall() {
    let machine = Machine::new();
    let cluster = machine.start_with_drives().await;
    put(&machine, ctl::node(peer(1)), b"\x01junk".to_vec().into()).await;
    assert!(NodeRecord::decode(b"\x01junk").is_err());
    assert_eq!(cluster.join(peer(1), request("n", 1)).await, JoinAnswer::Busy);
    assert_eq!(cluster.nodes().await.expect_err("damaged").kind(), Kind::Corrupt);
}
