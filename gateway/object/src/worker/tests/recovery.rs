//! Repair of damaged shards and rebuild of devices.

use std::sync::Arc;
use std::time::Duration;

use gateway_meta::{Table, key, record::DeviceRecord};
use node_proto::{DeviceId, ShardKey};

use super::super::{Pace, Worker};
use super::LEN;
use crate::Fault;
use crate::data::DataPath;
use crate::data::testing::*;

/// All shards of a cluster, by device.
fn contents(cluster: &Cluster) -> Vec<Vec<(ShardKey, Vec<u8>)>> {
    let of = |device: &Arc<SimDevice>| {
        device.keys().into_iter().map(|key| (key, device.shard(key).unwrap())).collect()
    };
    cluster.devices.iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn damage_met_by_a_read_is_repaired() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let bytes = payload(LEN, 1);
    let body = data.put_bytes(&bytes).await;
    let whole = contents(&cluster);
    for device in &cluster.devices[..2] {
        for (index, key) in device.keys().into_iter().enumerate() {
            if index % 2 == 0 { device.lose(key) } else { device.flip(key, 99) }
        }
    }
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
    workers.record_damage().await;
    let status = data.repair_status().await.unwrap();
    assert!(status.queued_stripes > 0);
    assert!(status.least_margin.is_some_and(|margin| margin < 2), "{status:?}");
    workers.repair_all().await;
    let status = data.repair_status().await.unwrap();
    assert_eq!((status.queued_stripes, status.failed_attempts), (0, 0));
    assert!(status.repaired_shards > 0);
    // A stripe that was looked at is whole, parity included.
    let repaired = contents(&cluster);
    let differing = whole.iter().zip(&repaired).filter(|(before, after)| before != after).count();
    assert!(differing <= 2);
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn what_a_scrub_finds_is_repaired_bit_for_bit() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(LEN, 1)).await;
    data.put_bytes(&payload(2000, 1)).await;
    let whole = contents(&cluster);
    for device in &cluster.devices[2..4] {
        for key in device.keys() {
            device.flip(key, 4242);
            device.report_damaged(key);
        }
    }
    workers.repair_all().await;
    assert!(contents(&cluster) == whole);
    assert_eq!(cluster.row_count(Table::Repair), 0);
    assert_eq!(data.get_bytes(body, LEN).await.unwrap(), payload(LEN, 1));
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_record_is_damaged_around_it_is_stored_anew() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(LEN, 1)).await;
    let whole = contents(&cluster);
    let device = &cluster.devices[2];
    let keys = device.keys();
    for (number, key) in keys.iter().enumerate() {
        device.fray(*key);
        device.report_damaged(*key);
        if number == 0 {
            // Beside one of another device that is damaged all through.
            let other = cluster.devices[3].keys();
            let same =
                |other: &&ShardKey| (other.manifest, other.stripe) == (key.manifest, key.stripe);
            cluster.devices[3].flip(*other.iter().find(same).unwrap(), 77);
        }
    }
    workers.repair_all().await;
    assert!(device.is_unfrayed());
    assert!(contents(&cluster) == whole);
    assert_eq!(data.repair_status().await.unwrap().repaired_shards, keys.len() as u64 + 1);
    assert_eq!(data.get_bytes(body, LEN).await.unwrap(), payload(LEN, 1));
}

#[tokio::test(start_paused = true)]
async fn stripes_with_the_least_margin_are_repaired_first() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let mild = data.put_bytes(&payload(60_000, 1)).await.manifest().unwrap();
    let grave = data.put_bytes(&payload(60_000, 2)).await.manifest().unwrap();
    let of = |device: &SimDevice, manifest| {
        device.keys().into_iter().find(|key| key.manifest == manifest).unwrap()
    };
    for (device, manifest) in [(0, mild), (0, grave), (1, grave)] {
        let device = &cluster.devices[device];
        let key = of(device, manifest);
        device.lose(key);
        device.report_damaged(key);
    }
    workers.record_damage().await;
    assert_eq!(data.repair_status().await.unwrap().least_margin, Some(0));
    assert_eq!(workers.repair.step().await.unwrap(), Pace::More);
    assert_eq!(data.repair_status().await.unwrap().least_margin, Some(1));
    assert_eq!(data.repair_status().await.unwrap().repaired_shards, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stripe_beyond_repair_is_tried_again_and_succeeds_once_shards_are_back() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let bytes = payload(60_000, 1);
    let body = data.put_bytes(&bytes).await;
    let lost = cluster.devices[0].keys()[0];
    cluster.devices[0].lose(lost);
    cluster.devices[0].report_damaged(lost);
    cluster.devices[1].set_offline(true);
    cluster.devices[2].set_offline(true);
    workers.repair_all().await;
    let status = data.repair_status().await.unwrap();
    assert_eq!((status.queued_stripes, status.failed_attempts), (1, 1));
    assert!(matches!(data.get_bytes(body, 60_000).await, Err(Fault::Unreadable { .. })));
    cluster.devices[2].set_offline(false);
    assert_eq!(workers.repair.step().await.unwrap(), Pace::Idle, "not before its time");
    tokio::time::sleep(Duration::from_secs(10)).await;
    workers.repair_all().await;
    assert!(cluster.devices[0].shard(lost).is_some());
    // One device is still away, so the stripe is looked at again.
    assert_eq!(data.repair_status().await.unwrap().queued_stripes, 1);
    cluster.devices[1].set_offline(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    workers.repair_all().await;
    assert_eq!(data.repair_status().await.unwrap().queued_stripes, 0);
}

#[tokio::test(start_paused = true)]
async fn repair_rows_of_dead_bodies_are_dropped() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(60_000, 1)).await;
    cluster.devices[0].report_damaged(cluster.devices[0].keys()[0]);
    workers.record_damage().await;
    assert_eq!(cluster.row_count(Table::Repair), 1);
    data.unlink(&body).await;
    workers.reclaim_all().await;
    workers.repair_all().await;
    assert_eq!(cluster.row_count(Table::Repair), 0);
    assert_eq!(cluster.shard_count(), 0);
}

async fn fill(data: &DataPath, bodies: u64) {
    for seed in 0..bodies {
        let len = if seed % 4 == 0 { LEN } else { 2000 };
        data.put_bytes(&payload(len, seed)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_returns_empty_is_rebuilt_bit_for_bit() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 40).await;
    let whole = contents(&cluster);
    for wiped in [4, 0] {
        cluster.devices[wiped].wipe();
        workers.watch_once().await;
        assert!(data.devices()[wiped].rebuilding);
        let rebuilding = data.repair_status().await.unwrap().rebuilding;
        assert_eq!(rebuilding, [(DeviceId(u32::try_from(wiped).unwrap()), 0)]);
        workers.rebuild_all().await;
        assert!(contents(&cluster) == whole, "device {wiped}");
        assert!(data.repair_status().await.unwrap().rebuilding.is_empty());
        assert!(!data.devices()[wiped].rebuilding);
    }
}

#[tokio::test(start_paused = true)]
async fn two_devices_that_return_empty_are_rebuilt() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 12).await;
    let whole = contents(&cluster);
    cluster.devices[1].wipe();
    cluster.devices[5].wipe();
    workers.watch_once().await;
    workers.rebuild_all().await;
    workers.repair_all().await;
    assert!(contents(&cluster) == whole);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_returns_as_an_old_copy_is_rebuilt_and_swept() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    workers.sweep_all().await;
    let gone = data.put_bytes(&payload(LEN, 100)).await;
    fill(&data, 12).await;
    let old_copy = contents(&cluster)[2].clone();
    data.unlink(&gone).await;
    workers.reclaim_all().await;
    let whole = contents(&cluster);
    cluster.devices[2].restore_old_copy(3);
    // What the old copy still has of the deleted body.
    for (key, bytes) in
        old_copy.into_iter().filter(|(key, _)| Some(key.manifest) == gone.manifest())
    {
        cluster.devices[2].plant(key, bytes);
    }
    workers.watch_once().await;
    workers.rebuild_all().await;
    workers.sweep_all().await;
    assert!(contents(&cluster) == whole);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_goes_on_where_a_restart_cut_it_off() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    fill(&data, 100).await;
    let whole = contents(&cluster);
    cluster.devices[3].wipe();
    let mut workers = data.workers();
    workers.watch_once().await;
    assert_eq!(workers.rebuild.step().await.unwrap(), Pace::More);
    let record = || -> DeviceRecord {
        let row_key = key::ctl::device(DeviceId(3));
        data.inner().rows.record(Table::Ctl, &row_key).unwrap().unwrap()
    };
    let state = record().rebuild.expect("one batch is not all");
    assert!(state.next_manifest > 1 && state.rebuilt_shards > 0, "{state:?}");
    let done = cluster.devices[3].traffic().1;
    drop(workers);

    let data = cluster.open(small_stripes()).await;
    assert!(data.devices()[3].rebuilding);
    let reads_before = cluster.devices[0].traffic().0;
    data.workers().rebuild_all().await;
    assert!(contents(&cluster) == whole);
    assert!(cluster.devices[3].traffic().1 > done);
    assert!(cluster.devices[0].traffic().0 > reads_before);
    assert!(record().rebuild.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_in_flight_while_its_device_is_emptied_is_rebuilt_too() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let bytes = payload(LEN, 1);
    let written = data.write(TARGET, incoming(&bytes, 9999), LIMIT).await.unwrap();
    let whole = contents(&cluster);
    cluster.devices[3].wipe();
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert!(data.devices()[3].rebuilding, "it waits for the upload");
    let body = written.body;
    assert!(data.commit(written).await);
    workers.rebuild_all().await;
    assert!(!data.devices()[3].rebuilding);
    assert!(contents(&cluster) == whole);
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_only_restarted_is_not_rebuilt() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 4).await;
    workers.watch_once().await;
    cluster.devices[1].set_offline(true);
    workers.watch_once().await;
    cluster.devices[1].set_offline(false);
    workers.watch_once().await;
    assert!(data.devices().iter().all(|device| !device.rebuilding));
}
