//! What a gateway knows of its peers, and how layouts get to them.

use std::{sync::Arc, time::Duration};

use node_proto::{
    DeviceHealth, DeviceId, Epoch, SignedLayout,
    conformance::{MemoryDevice, key},
};

use super::rig::{Net, cluster_key, eventually, layout, memory, node_key, online};
use crate::{host::LayoutRefused, lane::CallError};

#[tokio::test]
async fn devices_are_offline_until_their_node_has_answered_and_when_it_stops() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = gateway.lanes.device(node_key(0), DeviceId(3));
    let status = device.status();
    assert_eq!((status.device, status.health), (DeviceId(3), DeviceHealth::Offline));
    assert!(status.reason.unwrap().contains("has not answered yet"));
    let again = gateway.lanes.device(node_key(0), DeviceId(3));
    assert!(Arc::ptr_eq(&device, &again));
    let status = online(&gateway, 0, 3).await.status();
    assert_eq!(status, memory(3).status());
    net.unreachable.lock().push(node_key(0));
    net.cut(node_key(0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(device.status().health, DeviceHealth::Online, "too nervous");
    eventually("it is offline", || device.status().health == DeviceHealth::Offline).await;
    let reason = device.status().reason.unwrap();
    assert!(reason.contains("not answered for") && reason.contains("switched off"), "{reason}");
    // Reads still try: the node may be there although its state is old.
    net.unreachable.lock().clear();
    eventually("it is online", || device.status().health == DeviceHealth::Online).await;
}

#[tokio::test]
async fn a_device_that_its_node_does_not_serve_is_offline() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = gateway.lanes.device(node_key(0), DeviceId(4));
    let unserved =
        || device.status().reason.is_some_and(|reason| reason.contains("does not serve"));
    eventually("it is said why", unserved).await;
    assert_eq!(device.status().health, DeviceHealth::Offline);
    let refused = device.verify(key(1, 1)).await.unwrap_err();
    assert!(refused.to_string().contains("is not here"), "{refused}");
}

#[tokio::test]
async fn damaged_shards_arrive_once_and_none_is_lost() {
    let net = Net::new();
    let damaged = Arc::new(MemoryDevice::new(DeviceId(3)));
    let (gateway, _nodes) = net.cluster(vec![vec![Arc::clone(&damaged) as _, memory(4)]]);
    let device = online(&gateway, 0, 3).await;
    let mut found = Vec::new();
    for number in 0..3000u32 {
        damaged.report_damaged(key(40, number));
        if number.is_multiple_of(500) {
            net.cut(node_key(0));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    eventually("all have arrived", || {
        found.extend(device.take_damaged(100));
        found.len() >= 3000
    })
    .await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    found.extend(device.take_damaged(100));
    assert_eq!(found, (0..3000).map(|number| key(40, number)).collect::<Vec<_>>());
}

#[tokio::test]
async fn scrubs_are_started_and_their_progress_is_told() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3), memory(4)]]);
    let device = online(&gateway, 0, 3).await;
    device.start_scrub();
    device.start_scrub();
    eventually("it was started", || device.scrub_progress().completed_passes == 1).await;
    let other = online(&gateway, 0, 4).await;
    assert_eq!(other.scrub_progress().completed_passes, 0);
}

#[tokio::test]
async fn layouts_are_pushed_and_refusals_come_back() {
    let net = Net::new();
    let (gateway, nodes) = net.cluster(vec![vec![memory(3)]]);
    let node = node_key(0);
    let signed = cluster_key().sign(&layout(5, &[&[3]]));
    assert_eq!(gateway.lanes.push_layout(node, &signed).await, Ok(Epoch(5)));
    eventually("it is reported", || gateway.lanes.figures(node).epoch == Some(Epoch(5))).await;
    let altered = SignedLayout::from_parts(signed.body.slice(1..), signed.signature.clone());
    let refused = gateway.lanes.push_layout(node, &altered).await.unwrap_err();
    let CallError::Layout { refused: LayoutRefused::Invalid { reason }, .. } = refused else {
        panic!("{refused}");
    };
    assert!(reason.contains("signature"), "{reason}");
    for refused in [
        LayoutRefused::Stale { epoch: Epoch(9) },
        LayoutRefused::Storage { reason: "no space".to_owned() },
    ] {
        *nodes[0].host.refuse_layout.lock() = Some(refused.clone());
        let answer = gateway.lanes.push_layout(node, &signed).await;
        assert_eq!(answer, Err(CallError::Layout { peer: node, refused }));
    }
    // Large ones as well.
    *nodes[0].host.refuse_layout.lock() = None;
    let many: Vec<u32> = (0..30_000).collect();
    let large = cluster_key().sign(&layout(6, &[&many]));
    assert!(large.body.len() > 300_000, "{} bytes fit in one frame", large.body.len());
    assert_eq!(gateway.lanes.push_layout(node, &large).await, Ok(Epoch(6)));
}

#[tokio::test]
async fn figures_tell_what_moved() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    assert_eq!(gateway.lanes.figures(node_key(0)), crate::remote::PeerFigures::default());
    let device = online(&gateway, 0, 3).await;
    let bytes = node_proto::conformance::payload(1, 1 << 20);
    let root = node_proto::conformance::root_of(&bytes);
    device.put(key(41, 1), root, bytes).await.unwrap();
    device.get(key(41, 1), node_proto::conformance::whole(1 << 19)).await.unwrap();
    net.cut(node_key(0));
    eventually("the lanes are gone", || gateway.lanes.figures(node_key(0)).lanes <= 1).await;
    let figures = gateway.lanes.figures(node_key(0));
    assert!(figures.sent_bytes > 1 << 20 && figures.sent_bytes < 2 << 20, "{figures:?}");
    assert!(figures.received_bytes > 1 << 19 && figures.received_bytes < 1 << 20, "{figures:?}");
    assert!(figures.round_trip.unwrap() < Duration::from_secs(1));
    assert_eq!(figures.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(figures.epoch, Some(Epoch(1)));
}

#[tokio::test]
async fn peers_that_leave_the_layout_are_let_go_of() {
    let net = Net::new();
    let (gateway, nodes) = net.cluster(vec![vec![memory(3)], vec![memory(4)]]);
    let (leaving, staying) = (online(&gateway, 1, 4).await, online(&gateway, 0, 3).await);
    gateway.lanes.set_layout(&layout(2, &[&[3]]));
    let status = leaving.status();
    assert_eq!(status.health, DeviceHealth::Offline);
    assert!(status.reason.unwrap().contains("not in the layout"));
    let gone = leaving.verify(key(1, 1)).await.unwrap_err();
    assert!(gone.to_string().contains("left the layout"), "{gone}");
    assert_eq!(staying.status().health, DeviceHealth::Online);
    // And is welcome when it is back.
    gateway.lanes.set_layout(&layout(3, &[&[3], &[4]]));
    let back = online(&gateway, 1, 4).await;
    assert!(!Arc::ptr_eq(&back, &leaving));
    drop(nodes);
}
