//! Layouts that change while bodies come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use gateway_meta::record::Body;
use node_proto::{ClusterId, DeviceId, Epoch, Layout, NodeState, ShardService};

use super::super::DataPath;
use super::super::breaker::Failure;
use super::super::testing::*;
use crate::{BreakerState, Fault, ObjectWriteError, ResolvedRange};

/// The devices that the stripes of a body are on.
fn devices_of(data: &DataPath, body: Body) -> Vec<Vec<DeviceId>> {
    let page = data.inner().manifests.page(body.manifest().unwrap(), 0).unwrap().unwrap();
    let devices = |stripe: &gateway_meta::record::StripeRecord| {
        let group = data.inner().placement.group(stripe.group).unwrap();
        group.devices[..stripe.roots.len()].to_vec()
    };
    page.stripes.iter().map(devices).collect()
}

fn services(cluster: &Cluster, layout: &Layout) -> Vec<Arc<dyn ShardService>> {
    let service = |id: DeviceId| Arc::clone(&cluster.devices[id.0 as usize]) as _;
    layout.devices.iter().map(|device| service(device.id)).collect()
}

#[tokio::test]
async fn a_gateway_without_devices_starts_and_writes_once_devices_come() {
    let mut cluster = Cluster::of_nodes(0);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    let error = data.write(TARGET, incoming(&bytes, 1000), LIMIT).await.err().unwrap();
    let few = Fault::TooFewDevices { up: 0, needed: 3 };
    assert_eq!(error.to_string(), ObjectWriteError::Fault(few).to_string());
    let small = data.put_bytes(b"kept in metadata").await;
    assert_eq!(data.get_bytes(small, 16).await.unwrap(), b"kept in metadata");
    for (count, k) in [(3, 1), (4, 2), (6, 4), (7, 4)] {
        while cluster.devices.len() < count {
            cluster.join(&format!("zone-{}", cluster.devices.len()));
        }
        cluster.apply(&data).await;
        let body = data.put_bytes(&bytes).await;
        assert_eq!(devices_of(&data, body)[0].len(), k + 2, "{count} devices");
        assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn devices_that_stay_keep_what_is_known_and_those_that_left_are_still_found() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(small_stripes()).await;
    let devices = &data.inner().devices;
    let before = devices.view();
    before.member(DeviceId(1)).unwrap().state.breaker.failed(Failure::Put);
    cluster.set_state(1, NodeState::Draining);
    cluster.retire(0);
    cluster.join("zone-6");
    cluster.apply(&data).await;
    let after = devices.view();
    assert_eq!(after.epoch(), cluster.layout.epoch);
    assert!(after.member(DeviceId(0)).is_none() && devices.slot(DeviceId(0)).is_some());
    assert!(after.slots().iter().all(|slot| slot.id() != DeviceId(0)));
    let (old, new) = (before.member(DeviceId(1)).unwrap(), after.member(DeviceId(1)).unwrap());
    assert!(Arc::ptr_eq(&old.state, &new.state));
    assert!(!Arc::ptr_eq(old, new), "what it is in the layout changed");
    let reports = data.devices();
    let report = |id| reports.iter().find(|report| report.status.device == DeviceId(id)).unwrap();
    assert_eq!((report(1).breaker, report(1).draining), (BreakerState::Open, true));
    assert_eq!((report(6).breaker, report(6).draining), (BreakerState::Closed, false));
    assert!(devices.slot(DeviceId(77)).is_none(), "it never was there");
}

#[tokio::test]
async fn layouts_that_are_old_foreign_or_contradictory_change_nothing() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(small_stripes()).await;
    let first = cluster.layout.clone();
    cluster.join("zone-6");
    cluster.apply(&data).await;
    let newest = cluster.layout.clone();
    let apply = |layout: Layout| {
        let services = services(&cluster, &layout);
        let data = data.clone();
        async move { data.apply_layout(layout, &services).await }
    };
    apply(first).await.unwrap();
    assert_eq!(data.inner().devices.view().layout, newest, "older ones are ignored");
    apply(newest.clone()).await.unwrap();
    let refused = [
        Layout { cluster: ClusterId([1; 16]), epoch: Epoch(99), ..newest.clone() },
        Layout { nodes: Vec::new(), epoch: Epoch(99), ..newest.clone() },
        Layout { gateways: vec![node_proto::PeerKey([1; 32])], ..newest.clone() },
    ];
    for layout in refused {
        let error = apply(layout).await.unwrap_err();
        assert!(matches!(error, Fault::Corrupt { .. }), "{error}");
    }
    let later = Layout { epoch: Epoch(99), ..newest.clone() };
    let error = data.apply_layout(later, &[]).await.unwrap_err();
    assert!(matches!(error, Fault::Corrupt { .. }), "{error}");
    assert_eq!(data.inner().devices.view().layout, newest);
}

#[tokio::test(start_paused = true)]
async fn draining_devices_take_no_shards_and_are_read_and_deleted_from() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(200_000, 1);
    let mut old = Vec::new();
    for _ in 0..8 {
        old.push(data.put_bytes(&bytes).await);
    }
    let held = cluster.devices[2].keys().len();
    assert!(held > 0);
    cluster.set_state(2, NodeState::Draining);
    cluster.apply(&data).await;
    for _ in 0..8 {
        let body = data.put_bytes(&bytes).await;
        assert!(devices_of(&data, body).concat().iter().all(|device| *device != DeviceId(2)));
    }
    assert_eq!(cluster.devices[2].keys().len(), held);
    let gets = cluster.devices[2].traffic().0;
    for body in &old {
        assert!(data.get_bytes(*body, bytes.len()).await.unwrap() == bytes);
    }
    assert!(cluster.devices[2].traffic().0 > gets, "it is read from");
    let mut workers = data.workers();
    for body in &old {
        data.unlink(body).await;
    }
    workers.reclaim_all().await;
    assert_eq!(cluster.devices[2].keys(), []);
}

#[tokio::test]
async fn groups_whose_members_came_to_share_a_domain_take_no_new_stripes() {
    let mut cluster = Cluster::of_nodes(8);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    for _ in 0..16 {
        data.put_bytes(&bytes).await;
    }
    cluster.layout.epoch.0 += 1;
    for index in [0, 1, 2] {
        cluster.layout.devices[index].failure_domain = "rack".to_owned();
    }
    cluster.apply(&data).await;
    for _ in 0..40 {
        let body = data.put_bytes(&bytes).await;
        let members = devices_of(&data, body).concat();
        let in_rack = members.iter().filter(|device| device.0 < 3).count();
        assert!(in_rack <= 1 && members.len() == 6, "{members:?}");
    }
}

#[tokio::test]
async fn devices_that_join_get_their_share_of_what_comes_then() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    for _ in 0..30 {
        data.put_bytes(&bytes).await;
    }
    (6..12).for_each(|id| cluster.join(&format!("zone-{id}")));
    cluster.apply(&data).await;
    let mut used = BTreeSet::new();
    let mut on_new = 0;
    for _ in 0..60 {
        let body = data.put_bytes(&bytes).await;
        let members = devices_of(&data, body).concat();
        on_new += members.iter().filter(|device| device.0 >= 6).count();
        used.extend(members);
    }
    assert_eq!(used.len(), 12);
    assert!((120..=240).contains(&on_new), "{on_new} of 360");
}

#[tokio::test]
async fn a_read_under_way_survives_that_its_devices_leave() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(config()).await;
    let bytes = payload(40 << 20, 1);
    let body = data.put_bytes(&bytes).await;
    let range = ResolvedRange { offset_bytes: 0, len_bytes: bytes.len() as u64 };
    let mut stream = data.read(OWNER, body, bytes.len() as u64, range).await.unwrap();
    let mut read = stream.next().await.unwrap().unwrap().to_vec();
    (0..3).for_each(|index| cluster.retire(index));
    cluster.apply(&data).await;
    while let Some(frame) = stream.next().await {
        read.extend_from_slice(&frame.unwrap());
    }
    assert!(read == bytes);
}
