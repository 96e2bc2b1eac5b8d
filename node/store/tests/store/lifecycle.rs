//! Drives that are pulled, swapped, restored, foreign or in use.

use std::path::Path;

use node_proto::{ClusterId, DeviceHealth, DeviceId, PutShardError, ShardService};
use node_store::{Drive, OpenDriveError};

use crate::fixture::{Bench, key, list_all, payload, put, read, root_of};

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_drive_of_another_cluster_or_slot_is_refused() {
    let bench = Bench::new(1);
    bench.open().close().await;
    let mut foreign = bench.config();
    foreign.cluster = ClusterId([9; 16]);
    assert!(matches!(
        Drive::open(foreign),
        Err(OpenDriveError::ForeignCluster { found, .. }) if found == crate::fixture::CLUSTER
    ));
    let mut wrong = bench.config();
    wrong.device = DeviceId(4);
    assert!(matches!(
        Drive::open(wrong),
        Err(OpenDriveError::WrongDevice { found: DeviceId(3), expected: DeviceId(4), .. })
    ));
    assert_eq!(bench.open().status().open_count, 2);
}

#[tokio::test]
async fn a_second_opener_is_refused_while_the_first_serves() {
    let bench = Bench::new(1);
    let drive = bench.open();
    assert!(matches!(Drive::open(bench.config()), Err(OpenDriveError::InUse { .. })));
    put(&drive, 1, &payload(1, 10)).await;
    drive.close().await;
    bench.open().close().await;
}

#[tokio::test]
async fn a_directory_with_other_files_is_left_alone() {
    let bench = Bench::new(1);
    std::fs::create_dir(bench.directory()).unwrap();
    std::fs::write(bench.directory().join("thesis.txt"), "words").unwrap();
    assert!(matches!(Drive::open(bench.config()), Err(OpenDriveError::NotADrive { .. })));
    let names: Vec<_> = std::fs::read_dir(bench.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[tokio::test]
async fn a_missing_or_empty_directory_stays_offline_unless_it_may_be_made() {
    let bench = Bench::new(1);
    let mut config = bench.config();
    config.create_directory = false;
    let drive = Drive::open(config).unwrap();
    assert_eq!(drive.probe().await.health, DeviceHealth::Offline);
    assert!(!bench.directory().exists());
    let mut config = bench.config();
    config.format_if_empty = false;
    let unformatted = Drive::open(config).unwrap();
    assert!(unformatted.status().reason.unwrap().contains("may not be formatted"));
    assert!(!bench.directory().join("superblock").exists());
}

#[tokio::test]
async fn a_pulled_drive_goes_offline_and_comes_back_with_its_shards() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let uuid = drive.status().uuid;
    put(&drive, 1, &payload(1, 9_000)).await;
    let away = bench.root.path().join("away");
    std::fs::rename(bench.directory(), &away).unwrap();
    let status = drive.probe().await;
    assert_eq!((status.health, status.uuid, status.open_count), (DeviceHealth::Offline, None, 0));
    let bytes = payload(2, 10);
    let refused = drive.put(key(2), root_of(&bytes), bytes).await;
    assert!(matches!(refused, Err(PutShardError::Offline { .. })));
    assert_eq!(drive.probe().await.health, DeviceHealth::Offline);
    assert!(!bench.directory().exists(), "a missing directory must not be created");
    std::fs::rename(&away, bench.directory()).unwrap();
    let status = drive.probe().await;
    assert_eq!((status.health, status.uuid, status.open_count), (DeviceHealth::Online, uuid, 2));
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    drive.close().await;
}

#[tokio::test]
async fn a_drive_that_comes_back_empty_is_formatted_anew() {
    let bench = Bench::new(1);
    let drive = bench.open();
    let uuid = drive.status().uuid;
    put(&drive, 1, &payload(1, 9_000)).await;
    std::fs::remove_dir_all(bench.directory()).unwrap();
    std::fs::create_dir(bench.directory()).unwrap();
    let status = drive.probe().await;
    assert_eq!((status.health, status.open_count), (DeviceHealth::Online, 1));
    assert!(status.uuid.is_some() && status.uuid != uuid);
    assert!(list_all(&drive).await.is_empty());
    put(&drive, 1, &payload(2, 9_000)).await;
    drive.close().await;
}

#[tokio::test]
async fn an_old_copy_shows_a_lower_open_count() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    drive.close().await;
    let old = bench.root.path().join("old");
    copy(&bench.directory(), &old);
    bench.open().close().await;
    let drive = bench.open();
    assert_eq!(drive.status().open_count, 3);
    put(&drive, 2, &payload(2, 9_000)).await;
    // Swapped within one interval between two probes.
    std::fs::rename(bench.directory(), bench.root.path().join("away")).unwrap();
    std::fs::rename(&old, bench.directory()).unwrap();
    let status = drive.probe().await;
    assert_eq!((status.open_count, status.reason), (2, None));
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    assert_eq!(read(&drive, 2).await, None);
    drive.close().await;
}

#[tokio::test]
async fn an_exact_copy_swapped_in_is_noticed() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    let twin = bench.root.path().join("twin");
    copy(&bench.directory(), &twin);
    std::fs::rename(bench.directory(), bench.root.path().join("away")).unwrap();
    std::fs::rename(&twin, bench.directory()).unwrap();
    assert_eq!(drive.probe().await.open_count, 2);
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    drive.close().await;
}

#[tokio::test]
async fn a_foreign_drive_swapped_in_stays_offline_and_untouched() {
    let (bench, other) = (Bench::new(1), Bench::new(2));
    let mut config = other.config();
    config.cluster = ClusterId([9; 16]);
    Drive::open(config).unwrap().close().await;
    let drive = bench.open();
    std::fs::rename(bench.directory(), bench.root.path().join("away")).unwrap();
    std::fs::rename(other.directory(), bench.directory()).unwrap();
    let before = std::fs::read(bench.directory().join("superblock")).unwrap();
    let status = drive.probe().await;
    assert_eq!(status.health, DeviceHealth::Offline);
    assert!(status.reason.unwrap().contains("belongs to cluster 0909"));
    assert_eq!(std::fs::read(bench.directory().join("superblock")).unwrap(), before);
    drive.close().await;
}

#[tokio::test]
async fn one_damaged_superblock_is_survived_and_mended() {
    for name in ["superblock", "superblock.bak"] {
        let bench = Bench::new(1);
        let drive = bench.open();
        put(&drive, 1, &payload(1, 9_000)).await;
        let damage = || {
            let path = bench.directory().join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[20] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
        };
        damage();
        let status = drive.probe().await;
        assert_eq!((status.health, status.open_count), (DeviceHealth::Online, 1), "{name}");
        let opening = status.continuity.opening;
        drive.close().await;
        let drive = bench.open();
        let status = drive.status();
        assert_eq!((status.open_count, status.continuity.previous), (2, Some(opening)), "{name}");
        assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
        drive.close().await;
        let files = ["superblock", "superblock.bak"].map(|name| bench.directory().join(name));
        let [first, second] = files.map(|path| std::fs::read(path).unwrap());
        assert_eq!(first, second, "both are whole again");
    }
}

#[tokio::test]
async fn two_damaged_superblocks_keep_the_drive_offline_and_unformatted() {
    let bench = Bench::new(1);
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    drive.close().await;
    let path = bench.directory().join("superblock");
    let good = std::fs::read(&path).unwrap();
    for name in ["superblock", "superblock.bak"] {
        let mut bad = good.clone();
        bad[20] ^= 1;
        std::fs::write(bench.directory().join(name), bad).unwrap();
    }
    for refuse_foreign in [true, false] {
        let mut config = bench.config();
        config.refuse_foreign = refuse_foreign;
        let drive = Drive::open(config).unwrap();
        assert_eq!(drive.status().health, DeviceHealth::Offline);
        assert!(drive.probe().await.reason.unwrap().contains("put a sound copy"));
    }
    let drive = Drive::open(bench.config()).unwrap();
    std::fs::write(&path, good).unwrap();
    assert_eq!(drive.probe().await.health, DeviceHealth::Online);
    assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
    drive.close().await;
}

#[tokio::test]
async fn a_known_drive_waits_offline_for_the_right_directory() {
    let (bench, foreign, wrong) = (Bench::new(1), Bench::new(2), Bench::new(3));
    let drive = bench.open();
    put(&drive, 1, &payload(1, 9_000)).await;
    drive.close().await;
    let mut config = foreign.config();
    config.cluster = ClusterId([9; 16]);
    Drive::open(config).unwrap().close().await;
    let mut config = wrong.config();
    config.device = DeviceId(8);
    Drive::open(config).unwrap().close().await;
    let other = bench.root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.txt"), "words").unwrap();
    let file = bench.root.path().join("file");
    std::fs::write(&file, "words").unwrap();

    let home = bench.root.path().join("home");
    let mut opened = 1;
    for (bad, reason) in [
        (foreign.directory(), "belongs to cluster 0909"),
        (wrong.directory(), "belongs to device slot 8"),
        (other, "holds other files"),
        (file, ""),
    ] {
        std::fs::rename(bench.directory(), &home).unwrap();
        std::fs::rename(&bad, bench.directory()).unwrap();
        let mut config = bench.config();
        config.refuse_foreign = false;
        let drive = Drive::open(config).unwrap();
        for status in [drive.status(), drive.probe().await] {
            assert_eq!(status.health, DeviceHealth::Offline);
            assert!(status.reason.as_ref().unwrap().contains(reason), "{status:?}");
        }
        std::fs::rename(bench.directory(), &bad).unwrap();
        std::fs::rename(&home, bench.directory()).unwrap();
        opened += 1;
        let status = drive.probe().await;
        assert_eq!((status.health, status.open_count), (DeviceHealth::Online, opened), "{reason}");
        assert_eq!(read(&drive, 1).await, Some(payload(1, 9_000)));
        drive.close().await;
    }
    let mut config = bench.config();
    config.refuse_foreign = false;
    let drive = Drive::open(config.clone()).unwrap();
    assert!(matches!(Drive::open(config), Err(OpenDriveError::InUse { .. })));
    drive.close().await;
}
