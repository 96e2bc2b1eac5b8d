//! Full drives, and space that comes back.

use node_proto::{DeviceHealth, PutShardError, ShardService};
use node_store::{Fault, FileSystemSpace};

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
