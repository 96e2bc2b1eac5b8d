//! What the service promises about shards while nothing goes wrong.

use std::sync::Arc;

use bytes::Bytes;
use node_proto::{ByteRange, GetShardError, PutShardError, ShardService};
use node_store::{Drive, RealVfs};

use crate::fixture::{Bench, key, list_all, payload, put, read, root_of, whole};

#[tokio::test]
async fn shards_come_back_whole_and_in_ranges_after_a_restart() {
    let bench = Bench::new(1);
    let sizes = [0, 1, 4095, 4096, 70_000, 300_000];
    let drive = bench.open();
    for (number, size) in sizes.iter().enumerate() {
        put(&drive, number as u64, &payload(number as u64, *size)).await;
    }
    drive.close().await;
    let drive = bench.open();
    for (number, size) in sizes.iter().enumerate() {
        let expected = payload(number as u64, *size);
        assert_eq!(read(&drive, number as u64).await, Some(expected));
    }
    let expected = payload(5, 300_000);
    for (offset, len) in [(0, 1), (1, 299_999), (65_536, 10), (65_537, 100_000), (299_999, 1)] {
        let range = ByteRange { offset_bytes: offset, len_bytes: len };
        let bytes = drive.get(key(5), range).await.unwrap();
        assert_eq!(bytes, expected[offset as usize..(offset + len) as usize]);
    }
    drive.close().await;
}

#[tokio::test]
async fn ranges_outside_of_a_shard_are_refused_and_not_reported_as_damage() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 100)).await;
    for (offset_bytes, len_bytes) in [(0, 101), (100, 1), (u64::MAX, 2), (5, u64::MAX), (0, 0)] {
        let refused = drive.get(key(1), ByteRange { offset_bytes, len_bytes }).await;
        assert!(matches!(refused, Err(GetShardError::Damaged { .. })));
    }
    assert!(drive.take_damaged(10).is_empty());
    let missing = drive.get(key(2), whole(1)).await;
    assert!(matches!(missing, Err(GetShardError::NotFound { .. })));
    drive.close().await;
}

#[tokio::test]
async fn keys_are_write_once_until_replaced() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let (one, two) = (payload(1, 5_000), payload(2, 6_000));
    put(&drive, 1, &one).await;
    put(&drive, 1, &one).await;
    let conflict = drive.put(key(1), root_of(&two), two.clone()).await;
    assert!(matches!(conflict, Err(PutShardError::Conflict { .. })));
    assert_eq!(read(&drive, 1).await, Some(one.clone()));
    let mismatch = drive.put(key(2), root_of(&two), one).await;
    assert!(matches!(mismatch, Err(PutShardError::RootMismatch { .. })));
    assert_eq!(read(&drive, 2).await, None);
    drive.replace(key(1), root_of(&two), two.clone()).await.unwrap();
    assert_eq!(read(&drive, 1).await, Some(two));
    assert_eq!(drive.status().shard_count, 1);
    drive.close().await;
}

#[tokio::test]
async fn concurrent_writes_of_one_key_let_one_payload_win() {
    let bench = Bench::new(1);
    let drive = Arc::new(bench.open());
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..16_u64 {
        let drive = Arc::clone(&drive);
        tasks.spawn(async move {
            let bytes = payload(writer % 2, 3_000);
            (writer % 2, drive.put(key(1), root_of(&bytes), bytes).await.is_ok())
        });
    }
    let outcomes = tasks.join_all().await;
    let stored = read(&drive, 1).await.unwrap();
    for (seed, succeeded) in outcomes {
        assert_eq!(succeeded, stored == payload(seed, 3_000));
    }
    drive.close().await;
}

#[tokio::test]
async fn listing_is_ordered_complete_and_pages() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let mut numbers: Vec<u64> = (0..200).map(|number| number * 7919 % 200).collect();
    for number in &numbers {
        put(&drive, *number, &payload(*number, 10)).await;
    }
    numbers.sort_unstable();
    let expected: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
    let listed: Vec<_> = list_all(&drive).await.iter().map(|entry| entry.key).collect();
    assert_eq!(listed, expected);
    let mut paged = Vec::new();
    loop {
        let page = drive.list(paged.last().copied(), 7).await.unwrap();
        let Some(last) = page.last() else { break };
        assert_eq!((last.len_bytes, last.root), (10, root_of(&payload(last.key.manifest.0, 10))));
        paged.extend(page.iter().map(|entry| entry.key));
    }
    assert_eq!(paged, expected);
    drive.close().await;
}

#[tokio::test]
async fn deleted_shards_stay_gone_without_the_index_too() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..50 {
        put(&drive, number, &payload(number, 4_000)).await;
    }
    let odd: Vec<_> = (0..60).filter(|number| number % 2 == 1).map(key).collect();
    drive.delete(odd.clone()).await.unwrap();
    drive.delete(odd).await.unwrap();
    let before = list_all(&drive).await;
    assert_eq!(before.len(), 25);
    drive.close().await;
    bench.forget_index();
    let drive = bench.open();
    assert_eq!(list_all(&drive).await, before);
    assert_eq!(drive.status().shard_count, 25);
    drive.close().await;
}

#[tokio::test]
async fn a_bounded_queue_answers_busy_instead_of_growing() {
    let mut bench = Bench::new(1);
    bench.limits.write_queue_len = 2;
    let drive = Arc::new(bench.open());
    bench.vfs.set_delay(std::time::Duration::from_millis(20));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let drive = Arc::clone(&drive);
        tasks.spawn(async move {
            let bytes = payload(number, 2_000);
            drive.put(key(number), root_of(&bytes), bytes).await
        });
    }
    let outcomes = tasks.join_all().await;
    let busy = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(PutShardError::Busy { .. })))
        .count();
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(busy > 0 && stored >= 2 && busy + stored == 32, "{busy} busy, {stored} stored");
    drive.close().await;
}

#[tokio::test]
async fn real_files_with_and_without_o_direct_hold_shards() {
    for vfs in [RealVfs::new(), RealVfs::buffered()] {
        let bench = Bench::new(1);
        let mut config = bench.config();
        config.vfs = Arc::new(vfs);
        let drive = Drive::open(config.clone()).unwrap();
        for number in 0..20 {
            put(&drive, number, &payload(number, 100_000)).await;
        }
        drive.delete((0..10).map(key).collect()).await.unwrap();
        drive.close().await;
        bench.forget_index();
        let drive = Drive::open(config).unwrap();
        for number in 0..20 {
            let expected = (number >= 10).then(|| payload(number, 100_000));
            assert_eq!(read(&drive, number).await, expected);
        }
        // Long enough to go past the page cache, first in whole and then in part, and again.
        let long = payload(99, 1_000_000);
        put(&drive, 99, &long).await;
        for (offset, len) in [(0, 1_000_000), (3, 700_000), (3, 700_000)] {
            let range = ByteRange { offset_bytes: offset, len_bytes: len };
            let bytes = drive.get(key(99), range).await.unwrap();
            assert_eq!(bytes, long[offset as usize..(offset + len) as usize]);
        }
        put(&drive, 98, &long).await;
        let range = ByteRange { offset_bytes: 600_001, len_bytes: 399_999 };
        assert_eq!(drive.get(key(98), range).await.unwrap(), long[600_001..]);
        drive.close().await;
    }
}

#[tokio::test]
async fn calls_after_close_are_offline_and_never_hang() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 10)).await;
    drive.close().await;
    let bytes = Bytes::from_static(b"x");
    let refused = drive.put(key(2), root_of(&bytes), bytes).await;
    assert!(matches!(refused, Err(PutShardError::Offline { .. })));
    assert!(matches!(drive.get(key(1), whole(1)).await, Err(GetShardError::Offline { .. })));
    assert!(drive.delete(vec![key(1)]).await.is_err());
    assert!(drive.list(None, 1).await.is_err());
    assert_eq!(drive.probe().await.health, node_proto::DeviceHealth::Offline);
}
