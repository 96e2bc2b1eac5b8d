//! How a drive tells that it continues what it held, and what it does about lost segments.

use node_proto::{Continuity, DeviceHealth, OpeningId, ShardService};
use node_store::Drive;

use crate::{
    fixture::{Bench, eventually, key, list_all, payload, put, read, root_of},
    lifecycle::copy,
};

/// A drive of several segments, closed; twelve of its shards fill one.
async fn filled() -> (Bench, Continuity) {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..30 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    let continuity = drive.status().continuity;
    drive.close().await;
    assert_eq!(bench.segments().len(), 3);
    (bench, continuity)
}

#[tokio::test]
async fn openings_form_a_chain_and_marks_only_grow() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let first = drive.status().continuity;
    assert_ne!(first.opening, OpeningId::default());
    assert_eq!(first, Continuity { opening: first.opening, ..Continuity::default() });
    for number in 1..=2 {
        put(&drive, number, &payload(number, 9_000)).await;
        assert_eq!(drive.status().continuity.mark, number);
    }
    drive.delete(vec![key(1)]).await.unwrap();
    assert_eq!(drive.status().continuity.mark, 3);
    drive.close().await;
    assert_eq!(drive.status().continuity, Continuity::default());
    let mut previous = first.opening;
    for forget_index in [false, true, false] {
        if forget_index {
            bench.forget_index();
        }
        let drive = bench.open();
        let now = drive.status().continuity;
        assert_ne!(now.opening, previous);
        let expected = Continuity {
            opening: now.opening,
            previous: Some(previous),
            found_mark: 3,
            mark: 3,
            content_lost: false,
        };
        assert_eq!(now, expected);
        previous = now.opening;
        drive.close().await;
    }
}

#[tokio::test]
async fn a_refused_write_does_not_move_the_mark() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    bench.vfs.inject(node_store::Fault::NoSpace);
    let bytes = payload(2, 9_000);
    assert!(drive.put(key(2), root_of(&bytes), bytes).await.is_err());
    assert_eq!(drive.status().continuity.mark, 1);
    bench.vfs.mend(node_store::Fault::NoSpace);
    drive.probe().await;
    assert_eq!(drive.status().continuity.mark, 1);
    drive.close().await;
}

#[tokio::test]
async fn an_old_copy_does_not_continue_the_last_opening() {
    let (bench, first) = filled().await;
    let old = bench.root.path().join("old");
    copy(&bench.directory(), &old);
    let drive = bench.open();
    put(&drive, 100, &payload(100, 9_000)).await;
    let last = drive.status().continuity;
    drive.close().await;
    std::fs::remove_dir_all(bench.directory()).unwrap();
    std::fs::rename(&old, bench.directory()).unwrap();
    // As often opened as the original, so that the count does not tell.
    bench.open().close().await;
    let drive = bench.open();
    let now = drive.status();
    assert_eq!(now.open_count, 3);
    assert_ne!(now.continuity.previous, Some(last.opening));
    assert_ne!(now.continuity.previous, Some(first.opening));
    assert!(now.continuity.found_mark < last.mark);
    drive.close().await;
}

/// Puts a copy from before the last write in the place of a drive that is in use.
async fn exchange_for_older(bench: &Bench, drive: &Drive) {
    let old = bench.root.path().join("old");
    copy(&bench.directory(), &old);
    put(drive, 100, &payload(100, 9_000)).await;
    std::fs::rename(bench.directory(), bench.root.path().join("away")).unwrap();
    std::fs::rename(&old, bench.directory()).unwrap();
}

#[tokio::test]
async fn a_copy_that_takes_the_place_of_a_drive_in_use_tells_what_it_lacks() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    let before = drive.status().continuity;
    exchange_for_older(&bench, &drive).await;
    let mut now = drive.probe().await;
    for _ in 0..1000 {
        if now.health == DeviceHealth::Online && now.continuity.opening != before.opening {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        now = drive.probe().await;
    }
    // The same opening goes on as far as superblock and recorded mark can tell.
    assert_eq!(now.continuity.previous, Some(before.opening));
    assert_eq!(now.continuity.found_mark, before.mark);
    assert!(now.continuity.content_lost);
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    assert_eq!(read(&drive, 100).await, None);
    drive.close().await;
}

#[tokio::test]
async fn nothing_is_written_into_a_directory_that_took_the_place_of_a_drive() {
    let bench = Bench::new(1);
    let drive = bench.open();
    // The copy stands for another drive, with segments of its own.
    exchange_for_older(&bench, &drive).await;
    let segments = bench.segments();
    let lengths = |paths: &[std::path::PathBuf]| -> Vec<u64> {
        paths.iter().map(|path| path.metadata().unwrap().len()).collect()
    };
    let before = lengths(&segments);
    // Fills the segment that is open and would begin the next ones.
    for number in 0..30 {
        let bytes = payload(number, 20_000);
        let _ = drive.put(key(number), root_of(&bytes), bytes).await;
    }
    assert_eq!(bench.segments(), segments);
    assert_eq!(lengths(&segments), before);
    assert_eq!(drive.status().health, DeviceHealth::Offline);
    drive.close().await;
}

#[tokio::test]
async fn an_opening_that_failed_leaves_no_gap_in_the_chain() {
    let (bench, first) = filled().await;
    let (index, away) = (bench.directory().join("index"), bench.root.path().join("away"));
    std::fs::rename(&index, &away).unwrap();
    std::fs::write(&index, "not a directory").unwrap();
    let drive = Drive::open(bench.config()).unwrap();
    assert_eq!(drive.status().health, DeviceHealth::Offline);
    std::fs::remove_file(&index).unwrap();
    std::fs::rename(&away, &index).unwrap();
    let status = drive.probe().await;
    assert_eq!((status.health, status.open_count), (DeviceHealth::Online, 3));
    assert_eq!(status.continuity.previous, Some(first.opening));
    assert_eq!(status.continuity.found_mark, first.mark);
    drive.close().await;
}

/// Opens a drive of thirty shards that lost some, and checks that it knows which, writes on, and
/// reports the loss once.
async fn check_loss(bench: &Bench, survives: impl Fn(u64) -> bool) {
    let drive = bench.open();
    let lossy = drive.status();
    assert!(lossy.continuity.content_lost);
    let mut survivors = 0;
    for number in 0..30 {
        let expected = survives(number).then(|| payload(number, 20_000));
        survivors += u64::from(expected.is_some());
        assert_eq!(read(&drive, number).await, expected, "shard {number}");
    }
    assert_eq!(lossy.shard_count, survivors);
    assert_eq!(list_all(&drive).await.len() as u64, survivors);
    for number in 0..30 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    drive.start_scrub();
    eventually("scrub", || drive.scrub_progress().completed_passes == 1).await;
    assert!(drive.take_damaged(10).is_empty());
    drive.close().await;
    for forget_index in [false, true] {
        if forget_index {
            bench.forget_index();
        }
        let drive = bench.open();
        let now = drive.status().continuity;
        assert!(forget_index || !now.content_lost, "told once");
        assert!(forget_index || now.previous == Some(lossy.continuity.opening));
        assert_eq!(list_all(&drive).await.len(), 30);
        drive.close().await;
    }
}

#[tokio::test]
async fn a_lost_segment_directory_is_told_as_lost_content() {
    let (bench, _) = filled().await;
    std::fs::remove_dir_all(bench.directory().join("segments")).unwrap();
    check_loss(&bench, |_| false).await;
}

#[tokio::test]
async fn a_truncated_segment_loses_only_what_was_cut_off() {
    for (segment, records) in [(0, 12), (2, 6)] {
        // Between two records, inside one, and at no page boundary.
        for cut_bytes in [3 * 20_480, 3 * 20_480 + 8192, 3 * 20_480 + 100, 0] {
            let (bench, _) = filled().await;
            let path = &bench.segments()[segment];
            let file = std::fs::File::options().write(true).open(path).unwrap();
            assert_eq!(file.metadata().unwrap().len(), records * 20_480);
            file.set_len(cut_bytes).unwrap();
            let first = segment as u64 * 12;
            let kept = first + cut_bytes / 20_480;
            check_loss(&bench, |number| !(kept..first + records).contains(&number)).await;
        }
    }
}

#[tokio::test]
async fn a_segment_unlinked_under_a_running_drive_is_told_at_the_next_opening() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..30 {
        put(&drive, number, &payload(number, 20_000)).await;
    }
    std::fs::remove_file(&bench.segments()[1]).unwrap();
    assert_eq!(drive.probe().await.health, DeviceHealth::Online);
    put(&drive, 100, &payload(100, 9_000)).await;
    drive.delete(vec![key(100)]).await.unwrap();
    drive.close().await;
    check_loss(&bench, |number| !(12..24).contains(&number)).await;
}

#[tokio::test]
async fn a_rebuild_that_skipped_damage_tells_of_lost_content() {
    let (bench, first) = filled().await;
    let path = &bench.segments()[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[2 * 20_480 + 20] ^= 4;
    std::fs::write(path, bytes).unwrap();
    bench.forget_index();
    let drive = bench.open();
    let now = drive.status().continuity;
    assert!(now.content_lost);
    assert_eq!(now.previous, Some(first.opening));
    assert_eq!(read(&drive, 2).await, None);
    assert_eq!(list_all(&drive).await.len(), 29);
    drive.close().await;
}
