//! Media that fail: torn tails, flipped bits, failing syncs, lost indexes.

use std::{sync::Arc, time::Duration};

use node_proto::{DeviceHealth, GetShardError, PutShardError, ShardService};
use node_store::{Drive, Fault};

use crate::fixture::{Bench, key, list_all, payload, put, read, root_of};

#[tokio::test]
async fn a_failed_sync_takes_the_drive_offline_and_forgets_what_it_covered() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    bench.vfs.inject(Fault::SyncError);
    let bytes = payload(2, 9_000);
    let refused = drive.put(key(2), root_of(&bytes), bytes.clone()).await;
    assert!(matches!(refused, Err(PutShardError::Offline { .. })));
    // Even though the medium works again, nothing is retried on the failed opening.
    bench.vfs.mend(Fault::SyncError);
    let again = drive.put(key(2), root_of(&bytes), bytes.clone()).await;
    assert!(matches!(again, Err(PutShardError::Offline { .. })));
    assert_eq!(drive.status().health, DeviceHealth::Offline);
    let status = drive.probe().await;
    assert_eq!((status.health, status.open_count), (DeviceHealth::Online, 2));
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    // It was written but its sync failed: it must not count as stored.
    assert_eq!(read(&drive, 2).await, None);
    put(&drive, 2, &bytes).await;
    assert_eq!(read(&drive, 2).await, Some(bytes));
    drive.close().await;
}

#[tokio::test]
async fn a_failed_write_takes_the_drive_offline_until_a_probe() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    bench.vfs.inject(Fault::WriteError);
    assert!(drive.delete(vec![key(1)]).await.is_err());
    assert_eq!(drive.probe().await.health, DeviceHealth::Offline);
    bench.vfs.mend(Fault::WriteError);
    let status = drive.probe().await;
    assert_eq!(status.health, DeviceHealth::Online, "{:?}", status.reason);
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    drive.close().await;
}

#[tokio::test]
async fn a_drive_that_cannot_be_read_goes_offline_rather_than_report_damage() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    bench.vfs.inject(Fault::ReadError);
    let refused = drive.verify(key(1)).await;
    assert!(matches!(refused, Err(GetShardError::Offline { .. })), "{refused:?}");
    assert!(drive.take_damaged(10).is_empty());
    bench.vfs.mend(Fault::ReadError);
    assert_eq!(drive.probe().await.health, DeviceHealth::Online);
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    drive.close().await;
}

#[tokio::test]
async fn a_hanging_probe_takes_the_drive_offline() {
    let mut bench = Bench::new(1);
    bench.limits.unresponsive_after = Duration::from_millis(50);
    let drive = Arc::new(bench.open());
    bench.vfs.set_delay(Duration::from_millis(600));
    let hanging = Arc::clone(&drive);
    let probe = tokio::task::JoinSet::from_iter([async move { hanging.probe().await }]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let status = drive.probe().await;
    assert_eq!(status.health, DeviceHealth::Offline);
    assert!(status.reason.unwrap().contains("did not answer"));
    bench.vfs.set_delay(Duration::ZERO);
    probe.join_all().await;
    for _ in 0..100 {
        if drive.probe().await.health == DeviceHealth::Online {
            return drive.close().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the drive did not come back");
}

#[tokio::test]
async fn a_torn_tail_of_any_length_loses_only_what_it_tore() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..3 {
        put(&drive, number, &payload(number, 10_000)).await;
    }
    drive.close().await;
    let path = &bench.segments()[0];
    let full = std::fs::read(path).unwrap();
    for torn_bytes in [1, 100, 4096, 5000, 12_287, 12_288, 12_289, 20_000] {
        std::fs::write(path, &full[..full.len() - torn_bytes]).unwrap();
        bench.forget_index();
        let drive = bench.open();
        let survivors = if torn_bytes <= 12_288 { 2 } else { 1 };
        assert_eq!(list_all(&drive).await.len(), survivors, "{torn_bytes} bytes torn off");
        put(&drive, 9, &payload(9, 30_000)).await;
        drive.close().await;
        bench.forget_index();
        let drive = bench.open();
        assert_eq!(read(&drive, 0).await, Some(payload(0, 10_000)));
        assert_eq!(read(&drive, 9).await, Some(payload(9, 30_000)));
        drive.close().await;
        for extra in bench.segments() {
            std::fs::remove_file(extra).unwrap();
        }
    }
}

#[tokio::test]
async fn a_record_torn_in_its_middle_is_ignored() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 10_000)).await;
    put(&drive, 2, &payload(2, 10_000)).await;
    drive.close().await;
    let path = &bench.segments()[0];
    let mut bytes = std::fs::read(path).unwrap();
    // The middle page of the second record never reached the medium; header and trailer did.
    bytes[12_288 + 4096..12_288 + 8192].fill(0);
    std::fs::write(path, bytes).unwrap();
    bench.forget_index();
    let drive = bench.open();
    assert_eq!(read(&drive, 1).await, Some(payload(1, 10_000)));
    assert_eq!(read(&drive, 2).await, None);
    put(&drive, 2, &payload(2, 10_000)).await;
    drive.close().await;
}

#[tokio::test]
async fn damage_between_records_hides_only_the_record_it_hit() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..5 {
        put(&drive, number, &payload(number, 10_000)).await;
    }
    drive.close().await;
    let path = &bench.segments()[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[2 * 12_288 + 20] ^= 4;
    std::fs::write(path, bytes).unwrap();
    bench.forget_index();
    let drive = bench.open();
    for number in 0..5 {
        let expected = (number != 2).then(|| payload(number, 10_000));
        assert_eq!(read(&drive, number).await, expected);
    }
    drive.close().await;
}

#[tokio::test]
async fn a_record_inside_a_payload_is_never_taken_for_one() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 10_000)).await;
    drive.close().await;
    // A shard whose payload holds the first record, aligned so that a scan would meet it.
    let record = std::fs::read(&bench.segments()[0]).unwrap();
    let mut carrier = vec![0; 4096 - 96];
    carrier.extend_from_slice(&record);
    let carrier = bytes::Bytes::from(carrier);
    let drive = bench.open();
    drive.delete(vec![key(1)]).await.unwrap();
    put(&drive, 2, &carrier).await;
    drive.close().await;
    let path = bench.segments()[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let carrier_at = 12_288 + 4096;
    bytes[carrier_at + 10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    bench.forget_index();
    let drive = bench.open();
    assert!(list_all(&drive).await.is_empty());
    drive.close().await;
}

#[tokio::test]
async fn no_flipped_bit_serves_bad_bytes() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let originals: Vec<_> = (0..3).map(|number| payload(number, 3_000)).collect();
    for (number, original) in originals.iter().enumerate() {
        put(&drive, number as u64, original).await;
    }
    drive.close().await;
    let path = bench.segments()[0].clone();
    let good = std::fs::read(&path).unwrap();
    let drive = bench.open();
    let mut noticed = 0;
    for byte in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, &bad).unwrap();
        for (number, original) in originals.iter().enumerate() {
            let hit = byte / 4096 == number && byte % 4096 < 3_000 + 112;
            match drive.verify(key(number as u64)).await {
                Ok(entry) => {
                    assert_eq!(entry.root, root_of(original));
                    assert!(!hit, "byte {byte} was not noticed");
                }
                Err(GetShardError::Damaged { .. }) => {
                    assert!(hit, "byte {byte} damaged another shard");
                    noticed += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(noticed > 1_000);
    std::fs::write(&path, &good).unwrap();
    drive.close().await;
}

#[tokio::test]
async fn no_flipped_bit_survives_a_rebuild_or_panics_it() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..3 {
        put(&drive, number, &payload(number, 3_000)).await;
    }
    drive.delete(vec![key(0)]).await.unwrap();
    drive.close().await;
    let path = bench.segments()[0].clone();
    let good = std::fs::read(&path).unwrap();
    for byte in (0..good.len()).step_by(389) {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, &bad).unwrap();
        bench.forget_index();
        let drive = Drive::open(bench.config()).unwrap();
        for entry in list_all(&drive).await {
            let number = entry.key.manifest.0;
            assert_eq!(read(&drive, number).await, Some(payload(number, 3_000)), "byte {byte}");
        }
        drive.close().await;
    }
}

#[tokio::test]
async fn a_damaged_index_is_rebuilt() {
    let bench = Bench::new(1);
    let drive = bench.open();
    for number in 0..40 {
        put(&drive, number, &payload(number, 3_000)).await;
    }
    let before = list_all(&drive).await;
    drive.close().await;
    std::fs::write(bench.directory().join("index/CURRENT"), "nonsense\n").unwrap();
    let drive = bench.open();
    assert_eq!(list_all(&drive).await, before);
    drive.close().await;
}

#[tokio::test]
async fn an_older_index_catches_up_from_its_checkpoint() {
    let mut bench = Bench::new(1);
    bench.limits.compact_dead_percent = 100;
    let drive = bench.open();
    for number in 0..40 {
        put(&drive, number, &payload(number, 3_000)).await;
    }
    drive.close().await;
    let index = bench.directory().join("index");
    let stash = bench.root.path().join("stash");
    std::fs::create_dir(&stash).unwrap();
    for entry in std::fs::read_dir(&index).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), stash.join(entry.file_name())).unwrap();
    }
    let drive = bench.open();
    for number in 40..200 {
        put(&drive, number, &payload(number, 3_000)).await;
    }
    drive.delete((30..60).map(key).collect()).await.unwrap();
    let bytes = payload(777, 2_000);
    drive.replace(key(5), root_of(&bytes), bytes.clone()).await.unwrap();
    let before = list_all(&drive).await;
    let count = drive.status().shard_count;
    drive.close().await;
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(&stash, &index).unwrap();
    let drive = bench.open();
    assert_eq!(list_all(&drive).await, before);
    assert_eq!(drive.status().shard_count, count);
    assert_eq!(read(&drive, 5).await, Some(bytes));
    drive.close().await;
}
