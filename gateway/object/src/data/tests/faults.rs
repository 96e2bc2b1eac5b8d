//! Reads and writes with devices that are missing, slow, full or wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use node_proto::ShardKey;
use node_stripe::{Codec, Profile};
use tokio::time::Instant;

use super::super::DataConfig;
use super::super::testing::*;
use crate::{Fault, ObjectWriteError};

const LEN: usize = 200_000;

#[tokio::test]
async fn every_pair_of_devices_may_be_lost_and_no_third() {
    for wiped in [false, true] {
        for first in 0..6 {
            for second in first + 1..6 {
                let cluster = Cluster::new(6);
                let data = cluster.open(small_stripes()).await;
                let bytes = payload(LEN, 1);
                let body = data.put_bytes(&bytes).await;
                let small = data.put_bytes(&bytes[..3000]).await;
                let lose = |index: usize| {
                    let device = &cluster.devices[index];
                    if wiped { device.wipe() } else { device.set_offline(true) }
                };
                lose(first);
                lose(second);
                assert!(data.get_bytes(body, LEN).await.unwrap() == bytes, "{first} {second}");
                assert_eq!(data.get_bytes(small, 3000).await.unwrap(), bytes[..3000]);
                let third = (0..6).find(|index| *index != first && *index != second).unwrap();
                lose(third);
                let error = data.get_bytes(body, LEN).await.unwrap_err();
                assert!(matches!(error, Fault::Unreadable { needed: 4, .. }), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn flipped_bits_are_never_served_and_are_reported() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(LEN, 2);
    let body = data.put_bytes(&bytes).await;
    let shards: Vec<(usize, ShardKey)> = (0..6)
        .flat_map(|index| cluster.devices[index].keys().into_iter().map(move |key| (index, key)))
        .collect();
    for (round, (index, key)) in shards.iter().enumerate() {
        let device = &cluster.devices[*index];
        // Not in the padding, which nothing reads.
        let bit = (round * 7919) % (3 * 4112 * 8);
        device.flip(*key, bit);
        assert!(data.get_bytes(body, LEN).await.unwrap() == bytes, "{key} bit {bit}");
        device.flip(*key, bit);
    }
    let mut workers = data.workers();
    workers.record_damage().await;
    assert!(cluster.row_count(gateway_meta::Table::Repair) >= 4, "data shards were noticed");
}

#[tokio::test]
async fn a_damaged_source_of_a_reconstruction_is_found_by_its_root() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 2);
    let body = data.put_bytes(&bytes).await;
    let holder = |index: u8| {
        let holds = |device: &&std::sync::Arc<SimDevice>| {
            device.keys().iter().any(|key| key.index.0 == index)
        };
        cluster.devices.iter().find(holds).unwrap()
    };
    // Data shard 0 must be made from shards of which parity shard 4 lies.
    let (data_key, parity_key) = (holder(0).keys()[0], holder(4).keys()[0]);
    holder(0).lose(data_key);
    holder(4).flip(parity_key, 77);
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
    // With a third shard gone nothing is left to make it from.
    holder(1).lose(holder(1).keys()[0]);
    let error = data.get_bytes(body, 60_000).await.unwrap_err();
    assert!(matches!(error, Fault::Unreadable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_device_is_hedged() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 2);
    let body = data.put_bytes(&bytes).await;
    for slow in 0..6 {
        cluster.devices[slow].faults(|faults| faults.get_delay = Duration::from_secs(20));
        let started = Instant::now();
        assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
        assert!(started.elapsed() < Duration::from_secs(1), "{slow}: {:?}", started.elapsed());
        cluster.devices[slow].faults(|faults| faults.get_delay = Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn hedges_run_out_and_slow_reads_still_end() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 2);
    let body = data.put_bytes(&bytes).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.get_delay = Duration::from_secs(2)));
    for _ in 0..40 {
        assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
    }
    let gets: usize = cluster.devices.iter().map(|device| device.traffic().0).sum();
    // Each read takes 4; hedges may add 64 saved up and then a twentieth.
    assert!(gets <= 40 * 4 + 64 * 2 + 20, "{gets}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_never_answers_is_read_around() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 2);
    let body = data.put_bytes(&bytes).await;
    for stuck in [0, 3] {
        cluster.devices[stuck].faults(|faults| faults.get_delay = Duration::from_secs(1 << 20));
    }
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_device_that_fails_a_put_costs_a_new_attempt_elsewhere() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices[2].faults(|faults| faults.failing_puts = 1);
    let bytes = payload(LEN, 4);
    let body = data.put_bytes(&bytes).await;
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
    let mut workers = data.workers();
    workers.discard_all().await;
    let named: usize = named_shards(&data, body);
    assert_eq!(cluster.shard_count(), named, "the failed attempt was deleted");
}

fn named_shards(data: &super::super::DataPath, body: gateway_meta::record::Body) -> usize {
    let page = data.inner().manifests.page(body.manifest().unwrap(), 0).unwrap().unwrap();
    page.stripes.iter().map(|stripe| stripe.roots.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_device_that_never_answers_a_put_does_not_stop_the_upload() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices[5].faults(|faults| faults.put_delay = Duration::from_secs(1 << 20));
    let bytes = payload(60_000, 4);
    let body = data.put_bytes(&bytes).await;
    assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
}

#[tokio::test]
async fn full_devices_are_storage_full_and_offline_ones_are_too_few() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let write = || data.write(TARGET, incoming(&[1; 60_000], 1000), LIMIT);
    cluster.devices[..4].iter().for_each(|device| device.faults(|faults| faults.full = true));
    let error = write().await.err().unwrap();
    assert!(matches!(error, ObjectWriteError::Fault(Fault::StorageFull)), "{error}");
    cluster.devices[..4].iter().for_each(|device| device.set_offline(true));
    let error = write().await.err().unwrap();
    let few = Fault::TooFewDevices { up: 2, needed: 3 };
    assert_eq!(error.to_string(), few.to_string());
    assert_eq!(cluster.shard_count(), 0);
    // Deletes of space make room again.
    cluster.devices[..4].iter().for_each(|device| {
        device.faults(|faults| (faults.full, faults.offline) = (false, false));
    });
    write().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn devices_that_fill_up_at_any_moment_leave_the_upload_to_the_others() {
    let bytes = payload(60_000, 4);
    for looks in 0..40 {
        let cluster = Cluster::new(6);
        let data = cluster.open(small_stripes()).await;
        for device in &cluster.devices[..2] {
            device.faults(|faults| faults.full_after_looks = Some(looks));
        }
        let written = data.write(TARGET, incoming(&bytes, 1000), LIMIT).await;
        assert!(written.is_ok(), "full after {looks} looks: {:?}", written.err());
    }
}

#[tokio::test]
async fn busy_devices_are_busy() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices.iter().for_each(|device| device.faults(|faults| faults.busy = true));
    let error = data.write(TARGET, incoming(&[1; 60_000], 1000), LIMIT).await.err().unwrap();
    assert!(matches!(error, ObjectWriteError::Fault(Fault::Busy)), "{error}");
}

#[tokio::test]
async fn bodies_that_go_into_metadata_need_no_devices() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    cluster.devices.iter().for_each(|device| device.set_offline(true));
    let body = data.put_bytes(&payload(100, 1)).await;
    assert_eq!(data.get_bytes(body, 100).await.unwrap(), payload(100, 1));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_dropped_half_way_leaves_nothing() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_secs(1)));
    let bytes = payload(600_000, 1);
    let upload = data.write(TARGET, incoming(&bytes, 10_000), LIMIT);
    assert!(tokio::time::timeout(Duration::from_millis(1500), upload).await.is_err());
    assert!(cluster.shard_count() > 0, "a stripe was stored");
    workers.discard_all().await;
    assert_eq!(cluster.shard_count(), 0);
    assert_eq!(data.inner().memory.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_shard_beside_a_lost_one_is_made_or_waited_for_once_hedges_ran_out() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(60_000, 2);
    let body = data.put_bytes(&bytes).await;
    for lost in 0..6 {
        for late in (0..6).filter(|late| *late != lost) {
            while data.inner().devices.read_hedges.spend() {}
            cluster.devices[lost].set_offline(true);
            cluster.devices[late].faults(|faults| faults.get_delay = Duration::from_secs(20));
            assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes, "{lost} {late}");
            cluster.devices[late].faults(|faults| faults.get_delay = Duration::ZERO);
            cluster.devices[lost].set_offline(false);
        }
    }
}

#[tokio::test]
async fn a_degraded_read_takes_no_more_shards_than_a_healthy_one() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(LEN, 3);
    let body = data.put_bytes(&bytes).await;
    let gets = || cluster.devices.iter().map(|device| device.traffic().0).sum::<usize>();
    let before = gets();
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
    let healthy = gets() - before;
    cluster.devices[1].set_offline(true);
    cluster.devices[4].set_offline(true);
    let before = gets();
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
    assert_eq!(gets() - before, healthy);
}

#[tokio::test(start_paused = true)]
async fn bodies_of_the_former_code_are_read_and_repaired_after_the_default_changed() {
    let former = Profile { codec: Codec::LeopardGf16, ..small_stripes().profile };
    assert_ne!(small_stripes().profile.codec, former.codec, "otherwise this shows nothing");
    let cluster = Cluster::new(6);
    let old = cluster.open(DataConfig { profile: former, ..small_stripes() }).await;
    let bytes = payload(LEN, 6);
    let old_body = old.put_bytes(&bytes).await;
    drop(old);
    let data = cluster.open(small_stripes()).await;
    let new_body = data.put_bytes(&bytes).await;
    let codecs = |body: gateway_meta::record::Body| {
        let page = data.inner().manifests.page(body.manifest().unwrap(), 0).unwrap().unwrap();
        let coded = page.stripes.iter().filter(|stripe| stripe.k > 1);
        coded.map(|stripe| stripe.codec).collect::<BTreeSet<u8>>()
    };
    assert_eq!(codecs(old_body), BTreeSet::from([Codec::LeopardGf16.id()]));
    assert_eq!(codecs(new_body), BTreeSet::from([Codec::CauchyGf8.id()]));
    let shards = || {
        let of = |device: &std::sync::Arc<SimDevice>| {
            let shard = |key: ShardKey| (key, device.shard(key).unwrap());
            device.keys().into_iter().map(shard).collect::<Vec<_>>()
        };
        cluster.devices.iter().map(of).collect::<Vec<_>>()
    };
    let healthy = shards();
    let mut workers = data.workers();
    workers.watch_once().await;
    for pair in [[0, 1], [2, 3], [4, 5]] {
        pair.iter().for_each(|lost| cluster.devices[*lost].wipe());
        assert!(data.get_bytes(old_body, LEN).await.unwrap() == bytes, "{pair:?}");
        assert!(data.get_bytes(new_body, LEN).await.unwrap() == bytes, "{pair:?}");
        workers.watch_once().await;
        workers.rebuild_all().await;
        workers.repair_all().await;
        assert!(shards() == healthy, "{pair:?}");
    }
}
