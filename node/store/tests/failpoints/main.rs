//! Crashes and errors at named moments.

#![expect(clippy::unwrap_used, reason = "a test helper that unwraps fails its test")]

mod power;

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fail::FailScenario;
use node_proto::{
    ClusterId, DeviceHealth, DeviceId, GetShardError, ManifestId, ManualClock, PutShardError,
    ShardIndex, ShardKey, ShardRoot, ShardService, StripeSeq,
};
use node_store::{Drive, DriveConfig};

const DIRECTORY: &str = "NODE_STORE_TEST_DIRECTORY";
const FAILPOINT: &str = "NODE_STORE_TEST_FAILPOINT";

fn config(directory: &Path) -> DriveConfig {
    let clock = Arc::new(ManualClock::default());
    let mut config =
        DriveConfig::new(DeviceId(1), ClusterId([1; 16]), directory.join("drive"), clock);
    config.limits.segment_bytes = 128 << 10;
    config.limits.checkpoint_bytes = 64 << 10;
    config.limits.maintenance_interval = Duration::from_millis(2);
    config.limits.compact_bytes_per_second = 1 << 30;
    config
}

fn key(number: u64) -> ShardKey {
    ShardKey { manifest: ManifestId(number), stripe: StripeSeq(0), index: ShardIndex(0) }
}

fn payload(number: u64) -> Bytes {
    Bytes::from(number.to_be_bytes().repeat(1_000))
}

async fn put(drive: &Drive, number: u64) -> Result<(), PutShardError> {
    let bytes = payload(number);
    drive.put(key(number), ShardRoot(*blake3::hash(&bytes).as_bytes()), bytes).await
}

/// Whether the shard is there; it must be whole then.
async fn has(drive: &Drive, number: u64) -> bool {
    match drive.verify(key(number)).await {
        Ok(entry) => {
            assert_eq!(entry.root.0, *blake3::hash(&payload(number)).as_bytes());
            true
        }
        Err(GetShardError::NotFound { .. }) => false,
        Err(error) => panic!("shard {number}: {error}"),
    }
}

#[tokio::test]
async fn an_error_at_any_step_of_a_write_fails_the_drive_and_a_probe_mends_it() {
    let scenario = FailScenario::setup();
    for (failpoint, stored) in [
        ("node-store::before-append", false),
        ("node-store::after-append-before-sync", false),
        ("node-store::after-sync-before-index", true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let drive = Drive::open(config(directory.path())).unwrap();
        put(&drive, 1).await.unwrap();
        fail::cfg(failpoint, "return").unwrap();
        let refused = put(&drive, 2).await;
        assert!(matches!(refused, Err(PutShardError::Offline { .. })), "{failpoint}");
        fail::cfg(failpoint, "off").unwrap();
        let status = drive.probe().await;
        assert_eq!(status.health, DeviceHealth::Online, "{failpoint}: {:?}", status.reason);
        assert!(has(&drive, 1).await);
        assert_eq!(has(&drive, 2).await, stored, "{failpoint}");
        put(&drive, 2).await.unwrap();
        drive.close().await;
    }
    scenario.teardown();
}

#[tokio::test]
async fn formatting_that_was_interrupted_is_done_again() {
    let scenario = FailScenario::setup();
    let directory = tempfile::tempdir().unwrap();
    fail::cfg("node-store::after-superblock-temporary", "return").unwrap();
    let drive = Drive::open(config(directory.path())).unwrap();
    assert_eq!(drive.status().health, DeviceHealth::Offline);
    assert!(directory.path().join("drive/superblock.tmp").exists());
    fail::cfg("node-store::after-superblock-temporary", "off").unwrap();
    let status = drive.probe().await;
    assert_eq!((status.health, status.open_count), (DeviceHealth::Online, 1));
    put(&drive, 1).await.unwrap();
    drive.close().await;
    scenario.teardown();
}

#[test]
fn a_process_that_dies_at_any_step_loses_nothing_acknowledged() {
    // Keeps the failpoints of the other tests away from the drives opened here.
    let scenario = FailScenario::setup();
    for failpoint in [
        "node-store::before-append",
        "node-store::after-append-before-sync",
        "node-store::after-sync-before-index",
        "node-store::mid-compaction",
    ] {
        let directory = tempfile::tempdir().unwrap();
        // The second round starts from what the first crash left.
        for round in 0..2 {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_writes_until_it_dies", "--ignored"])
                .env(DIRECTORY, directory.path())
                .env(FAILPOINT, failpoint)
                .output()
                .unwrap();
            assert!(!child.status.success(), "{failpoint} was never reached");
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(check_acknowledged(directory.path(), failpoint, round));
        }
    }
    scenario.teardown();
}

async fn check_acknowledged(directory: &Path, failpoint: &str, round: u32) {
    let acknowledged = acknowledged(directory);
    assert!(acknowledged.len() > 10, "{failpoint}: {} writes", acknowledged.len());
    for forget_index in [false, true] {
        if forget_index {
            std::fs::remove_dir_all(directory.join("drive/index")).unwrap();
        }
        let drive = Drive::open(config(directory)).unwrap();
        assert_eq!(drive.status().reason, None, "{failpoint}, round {round}");
        for (number, stored) in &acknowledged {
            assert_eq!(
                has(&drive, *number).await,
                *stored,
                "{failpoint}, round {round}, shard {number}, index forgotten: {forget_index}"
            );
        }
        drive.close().await;
    }
}

/// What the children were told: numbers stored and numbers deleted. A number whose deletion was
/// under way is in neither state for certain and left out.
fn acknowledged(directory: &Path) -> BTreeMap<u64, bool> {
    let log = std::fs::read_to_string(directory.join("log")).unwrap();
    let mut states = BTreeMap::new();
    for line in log.lines() {
        let (what, number) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match what {
            "stored" => states.insert(number, true),
            "deleting" => states.remove(&number),
            "deleted" => states.insert(number, false),
            other => panic!("{other}"),
        };
    }
    states
}

#[test]
#[ignore = "the child process of another test"]
fn child_writes_until_it_dies() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let failpoint = std::env::var(FAILPOINT).unwrap();
    let hits = AtomicU32::new(0);
    let last = if failpoint.ends_with("mid-compaction") { 12 } else { 60 };
    fail::cfg_callback(failpoint, move || {
        if hits.fetch_add(1, Ordering::SeqCst) == last {
            std::process::abort();
        }
    })
    .unwrap();
    let directory = Path::new(&directory);
    let mut log =
        std::fs::File::options().append(true).create(true).open(directory.join("log")).unwrap();
    let first = acknowledged(directory).keys().next_back().map_or(0, |last| last + 100);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let drive = Drive::open(config(directory)).unwrap();
        for number in first..first + 2_000 {
            put(&drive, number).await.unwrap();
            writeln!(log, "stored {number}").unwrap();
            if number % 4 != 0 {
                writeln!(log, "deleting {number}").unwrap();
                drive.delete(vec![key(number)]).await.unwrap();
                writeln!(log, "deleted {number}").unwrap();
            }
        }
    });
}
