//! Scrub finds what rots, and repair ends it.

use std::time::Duration;

use node_proto::ShardService;

use crate::fixture::{Bench, eventually, key, payload, put, read, root_of};

#[tokio::test]
async fn scrub_finds_a_flipped_bit_until_replace_mends_it() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..60 {
        put(&drive, number, &payload(number, 10_000)).await;
    }
    let path = bench.segments()[1].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    for pass in 1..=2 {
        drive.start_scrub();
        eventually("a scrub pass", || drive.scrub_progress().completed_passes == pass).await;
        let progress = drive.scrub_progress();
        assert_eq!((progress.verified_shards, progress.damaged_shards), (60, 1));
        assert_eq!(progress.verified_bytes, 600_000);
        let damaged = drive.take_damaged(10);
        assert_eq!(damaged.len(), 1);
        assert!(drive.take_damaged(10).is_empty());
        if pass == 2 {
            let number = damaged[0].manifest.0;
            let bytes = payload(number, 10_000);
            drive.replace(damaged[0], root_of(&bytes), bytes).await.unwrap();
        }
    }
    drive.start_scrub();
    eventually("a scrub pass", || drive.scrub_progress().completed_passes == 3).await;
    assert_eq!(drive.scrub_progress().damaged_shards, 0);
    assert!(drive.take_damaged(10).is_empty());
    for number in 0..60 {
        assert_eq!(read(&drive, number).await, Some(payload(number, 10_000)));
    }
    drive.close().await;
}

#[tokio::test]
async fn scrub_starts_by_itself_when_it_is_due() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 10_000)).await;
    let day_ms = 24 * 60 * 60 * 1000;
    bench.clock.advance_ms(29 * day_ms);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(drive.scrub_progress().completed_passes, 0);
    bench.clock.advance_ms(2 * day_ms);
    eventually("a scrub pass", || drive.scrub_progress().completed_passes == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(drive.scrub_progress().completed_passes, 1);
    drive.close().await;
}

#[tokio::test]
async fn scrub_continues_after_a_restart() {
    let mut bench = Bench::new(1);
    bench.limits.scrub_bytes_per_second = 20 << 20;
    bench.limits.segment_bytes = 2 << 20;
    let drive = bench.open();
    for number in 0..200 {
        put(&drive, number, &payload(number, 100_000)).await;
    }
    drive.start_scrub();
    eventually("a started pass", || drive.scrub_progress().verified_shards > 0).await;
    drive.close().await;
    let before = drive.scrub_progress();
    assert!(before.running && before.verified_shards < 200);
    drop(drive);
    bench.limits.scrub_bytes_per_second = 1 << 30;
    let drive = bench.open();
    assert!(drive.scrub_progress().verified_shards >= before.verified_shards);
    eventually("the pass", || drive.scrub_progress().completed_passes == 1).await;
    assert_eq!(drive.scrub_progress().verified_shards, 200);
    drive.close().await;
}

#[tokio::test]
async fn reads_and_verification_report_damage_once() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 10_000)).await;
    let path = bench.segments()[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(drive.verify(key(1)).await.is_err());
    assert!(drive.get(key(1), crate::fixture::whole(10)).await.is_err());
    assert_eq!(drive.take_damaged(10), [key(1)]);
    drive.delete(vec![key(1)]).await.unwrap();
    assert_eq!(read(&drive, 1).await, None);
    drive.close().await;
}
