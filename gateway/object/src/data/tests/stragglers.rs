//! Writes beside devices that are late or fail: spares, and buckets that do not wait.

use std::time::Duration;

use gateway_meta::{
    KeyRange, Table, key,
    record::{Acknowledge, Body, RepairRecord, StripeRecord},
};
use node_proto::DeviceId;
use tokio::time::Instant;

use super::super::rows::decode;
use super::super::testing::*;
use super::super::{DataPath, WriteTarget};
use crate::BreakerState;

const LEN: usize = 200_000;
const NEVER: Duration = Duration::from_secs(1 << 20);
const HASTY: WriteTarget = WriteTarget { acknowledge: Acknowledge::DataPlusOne, ..TARGET };

fn stripes(data: &DataPath, body: Body) -> Vec<StripeRecord> {
    let page = data.inner().manifests.page(body.manifest().unwrap(), 0).unwrap().unwrap();
    page.stripes.clone()
}

fn is_on(data: &DataPath, stripe: &StripeRecord, device: u32) -> bool {
    let group = data.inner().placement.group(stripe.group).unwrap();
    group.devices[..stripe.roots.len()].contains(&DeviceId(device))
}

/// Shards that bodies name.
fn named(data: &DataPath, bodies: &[Body]) -> usize {
    let count = |body: &Body| stripes(data, *body).iter().map(|s| s.roots.len()).sum::<usize>();
    bodies.iter().map(count).sum()
}

async fn put_as(data: &DataPath, target: WriteTarget, bytes: &[u8]) -> (Body, Duration) {
    let started = Instant::now();
    let written = data.write(target, incoming(bytes, 10_000), LIMIT).await.unwrap();
    let (body, took) = (written.body, started.elapsed());
    assert!(data.commit(written).await);
    (body, took)
}

#[tokio::test(start_paused = true)]
async fn a_late_shard_goes_to_a_spare_device_and_the_late_one_is_garbage() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    // Later than hedges, and sooner than a stall: what is late still arrives.
    cluster.devices[4].faults(|f| f.put_delay = Duration::from_secs(2));
    let bytes = payload(LEN, 1);
    let mut bodies = Vec::new();
    for _ in 0..4 {
        let (body, took) = put_as(&data, TARGET, &bytes).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(stripes(&data, body).iter().all(|stripe| !is_on(&data, stripe, 4)));
        bodies.push(body);
    }
    cluster.devices[4].faults(|f| f.put_delay = Duration::ZERO);
    for lost in [[0, 1], [2, 3], [5, 6], [7, 4]] {
        lost.iter().for_each(|device: &usize| cluster.devices[*device].set_offline(true));
        for body in &bodies {
            assert!(data.get_bytes(*body, LEN).await.unwrap() == bytes, "{lost:?}");
        }
        lost.iter().for_each(|device| cluster.devices[*device].set_offline(false));
    }
    let mut workers = data.workers();
    workers.discard_all().await;
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), named(&data, &bodies));
    assert_eq!(data.inner().memory.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_late_again_and_again_is_avoided() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_millis(5)));
    let bytes = payload(60_000, 1);
    for _ in 0..20 {
        put_as(&data, TARGET, &bytes).await;
    }
    cluster.devices[4].faults(|f| f.put_delay = Duration::from_secs(2));
    let breaker = || data.inner().devices.slot(DeviceId(4)).unwrap().state.breaker.state();
    for _ in 0..60 {
        put_as(&data, TARGET, &bytes).await;
        if breaker() == BreakerState::Open {
            return;
        }
    }
    panic!("it is still relied on");
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_hedge_is_garbage_on_the_spare_as_well() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    let mut bodies = Vec::new();
    // All are as late: spares are asked, and the first ones win.
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_millis(400)));
    cluster.devices[4].faults(|f| f.put_delay = Duration::from_millis(600));
    for _ in 0..8 {
        bodies.push(put_as(&data, TARGET, &bytes).await.0);
    }
    assert!(!data.inner().placement.groups_with(DeviceId(4)).is_empty());
    let mut workers = data.workers();
    workers.discard_all().await;
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), named(&data, &bodies));
    for body in &bodies {
        assert!(data.get_bytes(*body, 60_000).await.unwrap() == bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_shard_goes_to_a_spare_instead_of_the_whole_stripe() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_millis(1)));
    let bytes = payload(60_000, 1);
    cluster.devices[0].faults(|f| f.failing_puts = 1);
    let mut bodies = Vec::new();
    while cluster.devices[0].traffic().1 == 0 {
        bodies.push(put_as(&data, TARGET, &bytes).await.0);
    }
    let puts: usize = cluster.devices.iter().map(|device| device.traffic().1).sum();
    assert_eq!(puts, bodies.len() * 6 + 1);
    assert_eq!(cluster.shard_count(), named(&data, &bodies));
}

#[tokio::test(start_paused = true)]
async fn hedged_writes_are_a_share_and_late_ones_are_waited_for_then() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    while data.inner().devices.write_hedges.spend() {}
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_secs(2)));
    let bytes = payload(60_000, 1);
    let (body, took) = put_as(&data, TARGET, &bytes).await;
    assert_eq!(took, Duration::from_secs(2));
    let puts: usize = cluster.devices.iter().map(|device| device.traffic().1).sum();
    assert_eq!(puts, 6);
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn groups_made_for_spares_are_bounded_and_used_again() {
    let cluster = Cluster::new(8);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    for round in 0..200 {
        let late = round % 8;
        cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::ZERO));
        cluster.devices[late].faults(|f| f.put_delay = Duration::from_secs(1));
        for _ in 0..20 {
            data.inner().devices.write_hedges.earn();
        }
        put_as(&data, TARGET, &bytes).await;
    }
    let prefix = key::ctl::placement_group_prefix();
    let groups = data.inner().rows.scan(Table::Ctl, KeyRange::prefix(&prefix), 9999).await.unwrap();
    assert!(groups.len() < 8 * 16 + 64, "{}", groups.len());
}

#[tokio::test(start_paused = true)]
async fn a_hasty_bucket_does_not_wait_for_a_stuck_device_and_repair_completes_its_stripes() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(LEN, 1);
    cluster.devices[2].faults(|f| f.put_delay = NEVER);
    let (body, took) = put_as(&data, HASTY, &bytes).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let short = stripes(&data, body);
    let is_short = |stripe: &&StripeRecord| is_on(&data, stripe, 2);
    let expected = short.iter().filter(is_short).count();
    let rows = data.inner().rows.scan(Table::Repair, KeyRange::all(), 99).await.unwrap();
    assert_eq!(rows.len(), expected, "the commit queued them");
    assert!(expected >= 3);
    for (row_key, value) in &rows {
        let (margin, manifest, index) = key::parse_repair(row_key).unwrap();
        assert_eq!((margin, manifest), (1, body.manifest().unwrap()));
        let record: RepairRecord = decode(value).unwrap();
        let group = data.inner().placement.group(short[index as usize].group).unwrap();
        let position = group.devices.iter().position(|d| *d == DeviceId(2)).unwrap();
        assert_eq!(record.suspects, 1 << position);
    }
    // The one loss that is promised to be survived, right away.
    for lost in [0, 1, 3, 4, 5] {
        cluster.devices[lost].set_offline(true);
        assert!(data.get_bytes(body, LEN).await.unwrap() == bytes, "{lost}");
        cluster.devices[lost].set_offline(false);
    }
    cluster.devices[2].faults(|f| f.put_delay = Duration::ZERO);
    let mut workers = data.workers();
    workers.repair_all().await;
    assert_eq!(cluster.row_count(Table::Repair), 0);
    assert_eq!(cluster.shard_count(), named(&data, &[body]));
    cluster.devices[0].set_offline(true);
    cluster.devices[5].set_offline(true);
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn shards_that_a_hasty_bucket_did_not_wait_for_go_on() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 1);
    cluster.devices[2].faults(|f| f.put_delay = Duration::from_secs(3));
    let (body, took) = put_as(&data, HASTY, &bytes).await;
    assert_eq!(took, Duration::from_millis(250));
    assert_eq!(cluster.shard_count(), 5);
    assert!(data.inner().memory.used_bytes() > 0, "it holds its memory");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(cluster.shard_count(), 6);
    assert_eq!(data.inner().memory.used_bytes(), 0);
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_hasty_bucket_on_healthy_devices_has_all_its_shards() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_millis(100)));
    let (body, _) = put_as(&data, HASTY, &payload(LEN, 1)).await;
    assert_eq!(cluster.row_count(Table::Repair), 0);
    assert_eq!(cluster.shard_count(), named(&data, &[body]));
}

#[tokio::test(start_paused = true)]
async fn a_hasty_bucket_never_does_with_fewer_than_one_more_than_it_takes_to_read() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    for stuck in [1, 4] {
        cluster.devices[stuck].faults(|f| f.put_delay = NEVER);
    }
    let bytes = payload(60_000, 1);
    let (body, took) = put_as(&data, HASTY, &bytes).await;
    assert!(took > Duration::from_secs(5), "{took:?}");
    let stripe = &stripes(&data, body)[0];
    let held = cluster
        .devices
        .iter()
        .filter(|device| device.keys().iter().any(|key| key.stripe == stripe.seq));
    assert!(held.count() > usize::from(stripe.k));
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn others_wait_for_every_shard() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices[2].faults(|f| f.put_delay = Duration::from_secs(3));
    let (_, took) = put_as(&data, TARGET, &payload(60_000, 1)).await;
    assert_eq!(took, Duration::from_secs(3));
    assert_eq!(cluster.row_count(Table::Repair), 0);
}
