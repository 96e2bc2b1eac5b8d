//! Devices that are not what they were: old copies, lost content, shards that vanish; and what the
//! status says meanwhile.

use std::time::Duration;

use gateway_meta::{Table, key, record::DeviceRecord};
use node_proto::DeviceId;

use super::super::stepping::Workers;
use super::LEN;
use crate::data::DataPath;
use crate::data::testing::*;

/// Longer than the time between records of how far a device has come.
const MARK_WAIT: Duration = Duration::from_secs(6);

async fn fill(data: &DataPath, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        data.put_bytes(&payload(if seed % 4 == 0 { LEN } else { 2000 }, seed)).await;
    }
}

fn record(data: &DataPath, device: u32) -> DeviceRecord {
    let row_key = key::ctl::device(DeviceId(device));
    data.inner().rows.record(Table::Ctl, &row_key).unwrap().unwrap()
}

fn rebuilding(data: &DataPath) -> Vec<u32> {
    let devices = data.devices().into_iter().filter(|device| device.rebuilding);
    devices.map(|device| device.status.device.0).collect()
}

/// Lets the workers notice and rebuild, and checks that everything is where it was.
async fn assert_rebuilt(cluster: &Cluster, data: &DataPath, workers: &mut Workers, stored: usize) {
    workers.watch_once().await;
    assert_eq!(rebuilding(data), [2]);
    workers.rebuild_all().await;
    assert_eq!(cluster.shard_count(), stored);
    assert!(rebuilding(data).is_empty());
    tokio::time::sleep(MARK_WAIT).await;
    workers.watch_once().await;
    assert!(rebuilding(data).is_empty(), "one opening is judged once");
}

#[tokio::test(start_paused = true)]
async fn restarts_of_the_gateway_and_of_devices_rebuild_nothing() {
    let cluster = Cluster::new(6);
    for round in 0..3 {
        let data = cluster.open(small_stripes()).await;
        assert!(rebuilding(&data).is_empty(), "{round}");
        let mut workers = data.workers();
        fill(&data, 0..4).await;
        cluster.devices[1].reopen();
        workers.watch_once().await;
        cluster.devices[1].reopen();
        workers.watch_once().await;
        assert!(rebuilding(&data).is_empty(), "{round}");
        fill(&data, 4..8).await;
        data.shutdown().await;
        cluster.devices.iter().for_each(|device| device.reopen());
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_that_is_put_in_place_during_a_restart_is_rebuilt() {
    for times in [1, 2] {
        let cluster = Cluster::new(6);
        let data = cluster.open(small_stripes()).await;
        fill(&data, 0..8).await;
        let image = cluster.devices[2].image();
        fill(&data, 8..16).await;
        let stored = cluster.shard_count();
        data.shutdown().await;
        // The copy is opened as often as the drive would have been, or more often.
        cluster.devices[2].restore(image, times);
        assert!(cluster.shard_count() < stored);
        let data = cluster.open(small_stripes()).await;
        assert_rebuilt(&cluster, &data, &mut data.workers(), stored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_that_is_swapped_in_while_running_is_rebuilt() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..8).await;
    let image = cluster.devices[2].image();
    fill(&data, 8..16).await;
    let stored = cluster.shard_count();
    tokio::time::sleep(MARK_WAIT).await;
    workers.watch_once().await;
    cluster.devices[2].set_offline(true);
    workers.watch_once().await;
    cluster.devices[2].restore(image, 1);
    cluster.devices[2].set_offline(false);
    assert!(cluster.shard_count() < stored);
    assert_rebuilt(&cluster, &data, &mut workers, stored).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_an_opening_before_the_recorded_one_is_rebuilt() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..8).await;
    let image = cluster.devices[2].image();
    cluster.devices[2].reopen();
    workers.watch_once().await;
    fill(&data, 8..16).await;
    let stored = cluster.shard_count();
    // Opened until its count is no lower than the recorded one.
    cluster.devices[2].restore(image, 3);
    assert_rebuilt(&cluster, &data, &mut workers, stored).await;
}

#[tokio::test(start_paused = true)]
async fn content_that_a_device_lost_is_rebuilt_once() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..16).await;
    let stored = cluster.shard_count();
    let keys = cluster.devices[2].keys();
    cluster.devices[2].reopen_without(&keys[keys.len() / 2..]);
    assert_rebuilt(&cluster, &data, &mut workers, stored).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_committed_while_the_device_under_rebuild_is_away_is_rebuilt_too() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let written = data.write(TARGET, incoming(&payload(LEN, 99), 9999), LIMIT).await.unwrap();
    fill(&data, 0..16).await;
    let stored = cluster.shard_count();
    cluster.devices[2].wipe();
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert_eq!(rebuilding(&data), [2], "it waits for the upload");
    cluster.devices[2].set_offline(true);
    workers.rebuild_all().await;
    assert!(data.commit(written).await);
    cluster.devices[2].set_offline(false);
    cluster.devices[2].reopen();
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert!(rebuilding(&data).is_empty());
    assert_eq!(cluster.shard_count(), stored);
}

#[tokio::test(start_paused = true)]
async fn how_far_a_device_has_come_is_recorded_now_and_then_and_at_shutdown() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..8).await;
    tokio::time::sleep(MARK_WAIT).await;
    workers.watch_once().await;
    let first = record(&data, 2);
    assert!(first.mark > 0);
    fill(&data, 8..16).await;
    workers.watch_once().await;
    assert_eq!(record(&data, 2), first, "not for every change");
    tokio::time::sleep(MARK_WAIT).await;
    workers.watch_once().await;
    let second = record(&data, 2);
    assert!(second.mark > first.mark);
    fill(&data, 16..24).await;
    cluster.devices[2].reopen();
    workers.watch_once().await;
    let third = record(&data, 2);
    assert_ne!(third.opening, second.opening, "an opening is recorded at once");
    assert!(third.mark > second.mark);
    fill(&data, 24..32).await;
    data.shutdown().await;
    assert!(record(&data, 2).mark > third.mark);
}

#[tokio::test(start_paused = true)]
async fn a_scrub_brings_back_shards_that_vanished() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..40).await;
    workers.watch_once().await;
    let vanished = |device: usize| {
        let keys = cluster.devices[device].keys();
        (device, keys[keys.len() / 2])
    };
    let lost = [vanished(0), vanished(3)].map(|(device, key)| {
        let bytes = cluster.devices[device].shard(key).unwrap();
        cluster.devices[device].lose(key);
        (device, key, bytes)
    });
    workers.rebuild_all().await;
    assert!(cluster.devices[0].shard(lost[0].1).is_none(), "nobody looked");
    data.start_scrub();
    let status = data.repair_status().await.unwrap();
    assert_eq!(status.rebuilding.len(), 6);
    assert_eq!(status.least_margin, None, "nothing is known to be missing");
    workers.rebuild_all().await;
    for (device, key, bytes) in &lost {
        assert_eq!(cluster.devices[*device].shard(*key).as_ref(), Some(bytes));
    }
    let status = data.repair_status().await.unwrap();
    assert_eq!((status.rebuilding.len(), status.repaired_shards), (0, 2));

    // A pass that a device began by itself is followed by a look as well.
    let (device, key) = vanished(5);
    cluster.devices[device].lose(key);
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert!(cluster.devices[device].shard(key).is_some(), "after the passes begun above");
    cluster.devices[device].lose(key);
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert!(cluster.devices[device].shard(key).is_none(), "no pass, no look");
    node_proto::ShardService::start_scrub(&*cluster.devices[device]);
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert!(cluster.devices[device].shard(key).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_devices_that_are_offline_or_being_rebuilt() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    fill(&data, 0..8).await;
    let status = async || data.repair_status().await.unwrap();
    assert_eq!((status().await.least_margin, status().await.offline_devices), (None, vec![]));
    cluster.devices[1].set_offline(true);
    let one = status().await;
    assert_eq!((one.least_margin, one.offline_devices), (Some(1), vec![DeviceId(1)]));
    cluster.devices[4].wipe();
    workers.watch_once().await;
    assert_eq!(status().await.least_margin, Some(0));
    cluster.devices[5].set_offline(true);
    let three = status().await;
    assert_eq!(three.least_margin, Some(0), "never below zero");
    assert_eq!(three.offline_devices, [DeviceId(1), DeviceId(5)]);
    cluster.devices[1].set_offline(false);
    cluster.devices[5].set_offline(false);
    assert_eq!(status().await.least_margin, Some(1));
    workers.watch_once().await;
    workers.rebuild_all().await;
    assert_eq!(status().await.least_margin, None);
}
