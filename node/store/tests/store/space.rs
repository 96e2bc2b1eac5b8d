//! Full drives, and space that comes back.

use std::time::Duration;

use bytes::Bytes;
use node_proto::{DeviceHealth, PutShardError, ShardService};
use node_store::{Drive, DriveLimits, Fault, FileSystemSpace};

use crate::fixture::{Bench, eventually, key, list_all, payload, put, read, root_of};

#[tokio::test]
async fn space_comes_back_after_deletes_and_tombstones_go_with_it() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..100 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    let full_bytes = bench.segment_bytes();
    let doomed: Vec<_> = (0..100).filter(|number| number % 10 != 0).collect();
    for number in &doomed {
        drive.delete(vec![key(*number)]).await.unwrap();
    }
    eventually("compaction", || bench.segment_bytes() < full_bytes / 4).await;
    for number in 0..100 {
        let expected = (number % 10 == 0).then(|| payload(number, 20_000));
        assert_eq!(read(&drive, number).await, expected);
    }
    drive.delete((0..100).map(key).collect()).await.unwrap();
    eventually("an empty drive", || bench.segment_bytes() < 64 << 10).await;
    drive.close().await;
    bench.forget_index();
    let drive = bench.open();
    assert!(list_all(&drive).await.is_empty());
    drive.close().await;
}

#[tokio::test]
async fn compaction_keeps_deletions_that_a_rebuild_needs() {
    let mut bench = Bench::new(1);
    bench.limits.compact_dead_percent = 60;
    let drive = bench.open();
    // Twelve records fill a segment. The first stays mostly alive, so its dead shards stay in it;
    // their tombstones lie in the second.
    for number in 0..14 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    drive.delete(vec![key(0), key(1)]).await.unwrap();
    // Later segments die, and the tombstones in them must move on.
    for number in 100..160 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    drive.delete((100..160).map(key).collect()).await.unwrap();
    // All that is left: the first segment, and what was moved out of the second.
    eventually("compaction", || bench.segment_bytes() < 400 << 10).await;
    let before = list_all(&drive).await;
    assert_eq!(before.len(), 12);
    drive.close().await;
    bench.forget_index();
    let drive = bench.open();
    assert_eq!(list_all(&drive).await, before);
    drive.close().await;
}

#[tokio::test]
async fn capacity_bounds_writes_and_deletes_make_room_again() {
    let mut bench = Bench::new(1);
    bench.capacity_bytes = Some(3 << 20);
    let drive = bench.open();
    let mut stored = 0;
    let refused = loop {
        let bytes = payload(stored, 30_000);
        match drive.put(key(stored), root_of(&bytes), bytes).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 200);
    };
    assert!(matches!(refused, PutShardError::Full { .. }), "{refused}");
    let status = drive.status();
    assert_eq!(status.health, DeviceHealth::Full);
    assert!(bench.segment_bytes() <= 3 << 20);
    assert_eq!(status.shard_count, stored);
    assert!(status.capacity_bytes == 3 << 20 && status.free_bytes < 64 << 10);
    drive.delete((0..stored).filter(|number| number % 2 == 0).map(key).collect()).await.unwrap();
    // While compaction copies, the space it will give back is still taken.
    eventually("room", || drive.status().free_bytes > 512 << 10).await;
    assert_eq!(drive.status().health, DeviceHealth::Online);
    put(&drive, 1000, &payload(1000, 30_000)).await;
    for number in 0..stored {
        let expected = (number % 2 == 1).then(|| payload(number, 30_000));
        assert_eq!(read(&drive, number).await, expected);
    }
    drive.close().await;
}

#[tokio::test]
async fn writes_stop_at_the_reserve_and_resume_when_space_returns() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 30_000)).await;
    let space = |available_bytes| Some(FileSystemSpace { total_bytes: 100 << 20, available_bytes });
    bench.vfs.set_space(space(512 << 10));
    assert_eq!(drive.probe().await.health, DeviceHealth::Full);
    let bytes = payload(2, 30_000);
    let refused = drive.put(key(2), root_of(&bytes), bytes.clone()).await;
    assert!(matches!(refused, Err(PutShardError::Full { .. })));
    assert_eq!(read(&drive, 1).await, Some(payload(1, 30_000)));
    drive.delete(vec![key(1)]).await.unwrap();
    bench.vfs.set_space(space(50 << 20));
    assert_eq!(drive.probe().await.health, DeviceHealth::Online);
    put(&drive, 2, &bytes).await;
    drive.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..5 {
        put(&drive, number, &payload(number, 30_000)).await;
    }
    bench.vfs.inject(Fault::NoSpace);
    for attempt in 0..3 {
        let bytes = payload(100 + attempt, 30_000);
        let refused = drive.put(key(100 + attempt), root_of(&bytes), bytes).await;
        assert!(matches!(refused, Err(PutShardError::Full { .. })), "{refused:?}");
        assert_eq!(read(&drive, 3).await, Some(payload(3, 30_000)));
    }
    assert!(drive.delete(vec![key(0)]).await.is_err(), "not even a tombstone fits");
    assert_eq!(read(&drive, 0).await, Some(payload(0, 30_000)));
    assert_ne!(drive.status().health, DeviceHealth::Offline);
    bench.vfs.mend(Fault::NoSpace);
    drive.probe().await;
    put(&drive, 6, &payload(6, 30_000)).await;
    drive.delete(vec![key(0)]).await.unwrap();
    let before = list_all(&drive).await;
    assert_eq!(before.len(), 5);
    drive.close().await;
    bench.forget_index();
    let drive = bench.open();
    assert_eq!(list_all(&drive).await, before);
    drive.close().await;
}

#[tokio::test]
async fn restarts_do_not_pile_up_small_segments() {
    let bench = Bench::new(1);
    for round in 0..40_u64 {
        let drive = bench.open();
        put(&drive, round, &payload(round, 1_000)).await;
        drive.close().await;
    }
    let drive = bench.open();
    eventually("few segments", || bench.segments().len() <= 17).await;
    for round in 0..40 {
        assert_eq!(read(&drive, round).await, Some(payload(round, 1_000)));
    }
    drive.close().await;
}

/// How often a write may find the drive full in a row. A maintenance tick takes 5 ms here.
const FULL_MAX: u32 = 400;

/// Writes, waiting for compaction when the drive is full; returns how often it was.
async fn put_patiently(drive: &Drive, number: u64, bytes: &Bytes) -> u32 {
    for refused in 0..FULL_MAX {
        match drive.put(key(number), root_of(bytes), bytes.clone()).await {
            Ok(()) => return refused,
            Err(PutShardError::Full { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("shard {number}: full for good: {:?}", drive.status());
}

/// Fills a drive with `live` shards and overwrites them in no particular order: a new shard, then
/// the deletion of the old one, as an object store does.
async fn overwrite(drive: &Drive, live: usize, times: u64, len: usize) {
    let bytes = payload(1, len);
    let mut numbers = Vec::new();
    for number in 0..live as u64 {
        put_patiently(drive, number, &bytes).await;
        numbers.push(number);
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for number in live as u64..live as u64 + times {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let slot = (random >> 16) as usize % live;
        put_patiently(drive, number, &bytes).await;
        let old = std::mem::replace(&mut numbers[slot], number);
        drive.delete(vec![key(old)]).await.unwrap();
    }
    assert_eq!(drive.status().shard_count, live as u64);
    for number in numbers {
        assert_eq!(read(drive, number).await.as_ref(), Some(&bytes));
    }
}

#[tokio::test]
async fn overwriting_goes_on_for_ever_with_the_default_limits() {
    let mut bench = Bench::new(1);
    bench.limits =
        DriveLimits { maintenance_interval: Duration::from_millis(5), ..DriveLimits::default() };
    bench.capacity_bytes = Some(160 << 20);
    let drive = bench.open();
    overwrite(&drive, 64, 400, 1 << 20).await;
    assert!(bench.segment_bytes() <= 160 << 20);
    drive.close().await;
}

/// The proportions that drives have by default: sixteen segments.
fn proportioned(capacity_bytes: u64) -> Bench {
    let mut bench = Bench::new(1);
    bench.limits.segment_bytes = capacity_bytes / 16;
    bench.limits.reserve_bytes = None;
    bench.capacity_bytes = Some(capacity_bytes);
    bench
}

#[tokio::test]
async fn four_fifths_of_the_capacity_hold_live_data_under_overwriting() {
    let bench = proportioned(20 << 20);
    let drive = bench.open();
    let capacity_bytes = drive.status().capacity_bytes;
    let live = usize::try_from(capacity_bytes * 4 / 5 / 40_960).unwrap();
    overwrite(&drive, live, 1_500, 40_000).await;
    assert!(bench.segment_bytes() <= capacity_bytes);
    drive.close().await;
    // The same after a restart.
    let drive = bench.open();
    let bytes = payload(1, 40_000);
    for number in 10_000..10_020 {
        put_patiently(&drive, number, &bytes).await;
        drive.delete(vec![key(number)]).await.unwrap();
    }
    drive.close().await;
}

#[tokio::test]
async fn segments_longer_than_the_reserve_do_not_fill_a_drive_for_good() {
    let mut bench = Bench::new(1);
    bench.limits.segment_bytes = 8 << 20;
    bench.limits.reserve_bytes = Some(1 << 20);
    bench.capacity_bytes = Some(16 << 20);
    let drive = bench.open();
    overwrite(&drive, 160, 1_000, 40_000).await;
    assert!(bench.segment_bytes() <= 24 << 20, "capacity and one segment");
    drive.close().await;
}

#[tokio::test]
async fn compaction_of_a_full_drive_comes_to_rest() {
    let bench = proportioned(4 << 20);
    let drive = bench.open();
    let bytes = payload(1, 3_000);
    let mut stored = 0;
    while drive.put(key(stored), root_of(&bytes), bytes.clone()).await.is_ok() {
        stored += 1;
    }
    // A few deletions, one tombstone record each, leave little in many segments.
    for number in (0..stored).step_by(50) {
        drive.delete(vec![key(number)]).await.unwrap();
    }
    let mut quiet = 0;
    let mut before = bench.segments();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = bench.segments();
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        if quiet == 10 {
            return drive.close().await;
        }
    }
    panic!("compaction goes on and on");
}

/// Needs a file system of some 24 MiB of its own, named by `NODE_STORE_TEST_SMALL_DISK`:
/// `mount -t tmpfs -o size=24m tmpfs DIRECTORY`.
#[tokio::test]
#[ignore = "needs a small file system"]
async fn a_file_system_filled_by_others_refuses_writes_and_recovers() {
    let disk = std::path::PathBuf::from(std::env::var("NODE_STORE_TEST_SMALL_DISK").unwrap());
    let bench = Bench::new(1);
    let mut config = bench.config();
    config.directory = disk.join("drive");
    config.vfs = std::sync::Arc::new(node_store::RealVfs::new());
    let drive = node_store::Drive::open(config.clone()).unwrap();
    for number in 0..50 {
        put(&drive, number, &payload(number, 30_000)).await;
    }
    for round in 0..3_u64 {
        // Others take everything, faster than the space figures are refreshed.
        let filler = disk.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        let mut stored = Vec::new();
        for attempt in 0..200 {
            let number = 1_000 + round * 1_000 + attempt;
            let bytes = payload(number, 50);
            match drive.put(key(number), root_of(&bytes), bytes).await {
                Ok(()) => stored.push(number),
                Err(error) => assert!(matches!(error, PutShardError::Full { .. }), "{error}"),
            }
        }
        // Deletions may or may not find room; either way the drive goes on serving.
        let deleted = drive.delete(vec![key(round)]).await.is_ok();
        assert_ne!(drive.probe().await.health, DeviceHealth::Offline);
        for number in 3..50 {
            assert_eq!(read(&drive, number).await, Some(payload(number, 30_000)));
        }
        drop(file);
        std::fs::remove_file(filler).unwrap();
        for _ in 0..3 {
            drive.probe().await;
        }
        let status = drive.status();
        assert_eq!(status.health, DeviceHealth::Online, "round {round}: {status:?}");
        put(&drive, 100 + round, &payload(round, 30_000)).await;
        assert_eq!(read(&drive, round).await.is_none(), deleted);
        drive.delete(stored.into_iter().map(key).collect()).await.unwrap();
    }
    drive.close().await;
    std::fs::remove_dir_all(disk.join("drive/index")).unwrap();
    let drive = node_store::Drive::open(config).unwrap();
    for number in 3..50 {
        assert_eq!(read(&drive, number).await, Some(payload(number, 30_000)));
    }
    drive.close().await;
}
