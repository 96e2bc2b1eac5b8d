//! Devices that are slow, stalled or failing, and what they cost readers.

use std::time::Duration;

use gateway_meta::record::Body;
use node_proto::{DeviceId, ShardIndex};
use tokio::time::Instant;

use super::super::breaker::Failure;
use super::super::testing::*;
use super::super::{DataConfig, DataPath};
use crate::{BreakerState, ReadStrategy};

const LEN: usize = 60_000;

fn breaker_of(data: &DataPath, device: u32) -> BreakerState {
    data.inner().devices.slot(DeviceId(device)).unwrap().state.breaker.state()
}

async fn bodies(data: &DataPath, count: u64) -> Vec<(Body, Vec<u8>)> {
    let mut bodies = Vec::new();
    for seed in 0..count {
        let bytes = payload(LEN, seed);
        bodies.push((data.put_bytes(&bytes).await, bytes));
    }
    bodies
}

/// How long reads took, ascending.
async fn read_all(data: &DataPath, bodies: &[(Body, Vec<u8>)], count: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for (body, bytes) in bodies.iter().cycle().take(count) {
        let started = Instant::now();
        assert!(data.get_bytes(*body, LEN).await.unwrap() == *bytes);
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took
}

fn p99(took: &[Duration]) -> Duration {
    took[took.len() * 99 / 100]
}

#[tokio::test(start_paused = true)]
async fn after_ten_seconds_one_slow_device_costs_at_most_twice_the_healthy_p99() {
    for slow in [0_u32, 3, 5] {
        let cluster = Cluster::new(6);
        let data = cluster.open(small_stripes()).await;
        let usual = Duration::from_millis(8);
        cluster.devices.iter().for_each(|d| d.faults(|f| f.get_delay = usual));
        let bodies = bodies(&data, 12).await;
        let healthy = p99(&read_all(&data, &bodies, 600).await);
        cluster.devices[slow as usize].faults(|f| f.get_delay = usual + Duration::from_millis(300));
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            read_all(&data, &bodies, 20).await;
        }
        let with_slow = p99(&read_all(&data, &bodies, 2000).await);
        assert!(with_slow <= healthy * 2, "device {slow}: {with_slow:?} after {healthy:?}");
        // It is found to be well again.
        cluster.devices[slow as usize].faults(|f| f.get_delay = usual);
        let until = Instant::now() + Duration::from_secs(200);
        while Instant::now() < until && breaker_of(&data, slow) != BreakerState::Closed {
            read_all(&data, &bodies, 100).await;
        }
        assert_eq!(breaker_of(&data, slow), BreakerState::Closed);
        let gets = cluster.devices[slow as usize].traffic().0;
        read_all(&data, &bodies, 24).await;
        assert!(cluster.devices[slow as usize].traffic().0 > gets, "it is read from again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_avoided_is_asked_when_too_few_others_are_left() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bodies = bodies(&data, 6).await;
    let slot = data.inner().devices.slot(DeviceId(0)).unwrap();
    slot.state.breaker.failed(Failure::Put);
    read_all(&data, &bodies, 12).await;
    assert_eq!(cluster.devices[0].traffic().0, 0, "four others are left");
    cluster.devices[1].set_offline(true);
    read_all(&data, &bodies, 12).await;
    assert_eq!(cluster.devices[0].traffic().0, 0, "four others are left");
    cluster.devices[2].set_offline(true);
    read_all(&data, &bodies, 12).await;
    assert!(cluster.devices[0].traffic().0 > 0);
    // And when it is slow then, it is waited for.
    cluster.devices[0].faults(|f| f.get_delay = Duration::from_secs(3));
    read_all(&data, &bodies, 6).await;
}

#[tokio::test(start_paused = true)]
async fn all_devices_may_be_avoided_at_once() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bodies = bodies(&data, 2).await;
    for slot in data.inner().devices.view().slots() {
        slot.state.breaker.failed(Failure::Timeout);
    }
    read_all(&data, &bodies, 4).await;
    data.put_bytes(&bodies[0].1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_device_takes_no_more_shards() {
    let cluster = Cluster::new(7);
    let data = cluster.open(small_stripes()).await;
    let bodies = bodies(&data, 7).await;
    cluster.devices[3].faults(|f| f.get_delay = Duration::from_secs(1 << 20));
    read_all(&data, &bodies, 14).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(breaker_of(&data, 3), BreakerState::Open);
    let puts = cluster.devices[3].traffic().1;
    data.put_bytes(&bodies[0].1).await;
    assert_eq!(cluster.devices[3].traffic().1, puts);
}

#[tokio::test(start_paused = true)]
async fn devices_that_are_all_slow_are_all_relied_on() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bodies = bodies(&data, 6).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.get_delay = Duration::from_millis(400)));
    read_all(&data, &bodies, 200).await;
    assert!((0..6).all(|device| breaker_of(&data, device) == BreakerState::Closed));
}

/// Reads of a body of three copies, by the device that served them.
async fn copies_read(strategy: ReadStrategy, delays_ms: [u64; 3]) -> Vec<usize> {
    let cluster = Cluster::new(3);
    let config = DataConfig { read_strategy: strategy, ..small_stripes() };
    let data = cluster.open(config).await;
    let bytes = payload(3000, 1);
    let body = data.put_bytes(&bytes).await;
    for ((id, device), delay_ms) in (0..).zip(&cluster.devices).zip(delays_ms) {
        device.faults(|f| f.get_delay = Duration::from_millis(delay_ms));
        // Every device is known, so that strategies have something to go by.
        let slot = data.inner().devices.slot(DeviceId(id)).unwrap();
        for _ in 0..64 {
            slot.state.gets.note(Duration::from_millis(delay_ms));
        }
    }
    for _ in 0..60 {
        assert_eq!(data.get_bytes(body, 3000).await.unwrap(), bytes);
    }
    cluster.devices.iter().map(|device| device.traffic().0).collect()
}

#[tokio::test(start_paused = true)]
async fn strategies_choose_among_copies() {
    let turns = copies_read(ReadStrategy::RoundRobin, [1, 2, 3]).await;
    assert_eq!(turns, [20, 20, 20]);
    let nearest = copies_read(ReadStrategy::Nearest, [4, 1, 8]).await;
    assert_eq!(nearest, [0, 60, 0]);
    let idle = copies_read(ReadStrategy::LeastLoaded, [2, 9, 4]).await;
    assert_eq!(idle, [60, 0, 0], "nothing else is under way");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_copy_is_read_around_and_named() {
    let cluster = Cluster::new(3);
    let config = DataConfig { read_strategy: ReadStrategy::RoundRobin, ..small_stripes() };
    let data = cluster.open(config).await;
    let bytes = payload(3000, 1);
    let body = data.put_bytes(&bytes).await;
    let damaged = cluster.devices[1].keys()[0];
    cluster.devices[1].flip(damaged, 9);
    for _ in 0..3 {
        assert_eq!(data.get_bytes(body, 3000).await.unwrap(), bytes);
    }
    let mut workers = data.workers();
    workers.record_damage().await;
    let rows =
        data.inner().rows.scan(gateway_meta::Table::Repair, gateway_meta::KeyRange::all(), 9);
    let rows = rows.await.unwrap();
    let record: gateway_meta::record::RepairRecord =
        super::super::rows::decode(&rows[0].1).unwrap();
    let ShardIndex(index) = damaged.index;
    assert_eq!((rows.len(), record.suspects), (1, 1 << index));
}
