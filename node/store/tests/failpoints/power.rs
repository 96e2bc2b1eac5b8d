//! Power cuts under a whole drive, index included, and what each sync is for.
//!
//! The drive lies on a file system that loses what was not synced. With every sync in place no
//! power cut loses anything; with any one of them left out some do. Scenarios, and the syncs that
//! they miss:
//!
//! | Scenario | Misses |
//! | --- | --- |
//! | [`writes`]: what was answered is there, nothing else is, nothing is told as lost | `segment-group`, `segment-name`, `superblock-content`, `superblock-name`, `drive-name` |
//! | [`compaction`]: removed segments stay removed, nothing is told as lost | `segment-removal`, `index-checkpoint` |
//! | [`index_without_space`]: what was refused for lack of space is not there | `segment-cut` |
//! | [`killed_before_a_sync`]: what a killed process left counts only once it is durable | `recovered-segment` |
//! | [`lost_index`]: a rebuilt index knows everything | `index-tables` |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use compat_tests_faultfs::{Fault, FaultFs};
use fail::FailScenario;
use node_proto::{ClusterId, DeviceHealth, DeviceId, GetShardError, ManualClock, ShardService};
use node_store::{Drive, DriveConfig};
use tokio::runtime::Runtime;

use super::{key, payload};

/// Power cuts of each scenario that must lose nothing. Chosen: a few seconds in all.
const SOUND_CUTS: u64 = 24;
/// Power cuts one of which must lose something when a sync is left out. Chosen: each of them does
/// so more often than once in four.
const CUTS_MAX: u64 = 60;

/// Found out: what was lost.
type Outcome = Result<(), String>;

/// One drive on the file system, through power cuts.
struct Case<'a> {
    disk: &'a FaultFs,
    runtime: Runtime,
    directory: PathBuf,
    seed: u64,
    random: u64,
    /// What the drive answered to have or not to have.
    stored: BTreeMap<u64, bool>,
}

impl<'a> Case<'a> {
    fn new(disk: &'a FaultFs, seed: u64) -> Self {
        let directory = disk.mount_point().join(format!("case-{seed}"));
        fs::create_dir(&directory).unwrap();
        File::open(disk.mount_point()).unwrap().sync_all().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { disk, runtime: runtime.unwrap(), directory, seed, random, stored: BTreeMap::new() }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % bound
    }

    fn drive_directory(&self) -> PathBuf {
        self.directory.join("drive")
    }

    /// The path of something in the drive as faults name it.
    fn inside(&self, name: &str) -> PathBuf {
        Path::new(self.directory.file_name().unwrap()).join("drive").join(name)
    }

    fn config(&self) -> DriveConfig {
        let clock = Arc::new(ManualClock::default());
        let mut config =
            DriveConfig::new(DeviceId(1), ClusterId([1; 16]), self.drive_directory(), clock);
        config.limits.segment_bytes = 128 << 10;
        config.limits.checkpoint_bytes = 64 << 10;
        config.limits.index_buffer_bytes = 64 << 10;
        config.limits.reserve_bytes = Some(256 << 10);
        config.limits.maintenance_interval = Duration::from_millis(2);
        config.limits.compact_bytes_per_second = 1 << 30;
        config.limits.compact_dead_percent = 100;
        config
    }

    fn open(&self) -> Result<Drive, String> {
        self.open_with(self.config())
    }

    fn open_with(&self, config: DriveConfig) -> Result<Drive, String> {
        let drive = Drive::open(config).map_err(|error| error.to_string())?;
        let status = drive.status();
        match status.health {
            DeviceHealth::Online => Ok(drive),
            health => Err(format!("{health:?}: {:?}", status.reason)),
        }
    }

    fn put(&mut self, drive: &Drive, number: u64) {
        self.runtime.block_on(super::put(drive, number)).unwrap();
        self.stored.insert(number, true);
    }

    fn delete(&mut self, drive: &Drive, number: u64) {
        self.runtime.block_on(drive.delete(vec![key(number)])).unwrap();
        self.stored.insert(number, false);
    }

    /// Cuts the power under an open drive and opens it again.
    fn cut(&self, drive: Drive) -> Result<Drive, String> {
        self.cut_with(drive, self.config())
    }

    fn cut_with(&self, drive: Drive, config: DriveConfig) -> Result<Drive, String> {
        let all = Path::new("");
        // Whoever still runs must not touch what the power cut left.
        self.disk.inject(all, Fault::Gone);
        self.disk.power_off(self.seed).unwrap();
        self.end(drive);
        self.disk.clear(all);
        self.open_with(config)
    }

    /// Ends a drive as the end of its process would.
    fn end(&self, drive: Drive) {
        self.runtime.block_on(drive.close());
    }

    /// Compares everything the drive has answered with what it holds.
    fn check(&self, drive: &Drive) -> Outcome {
        if drive.status().continuity.content_lost {
            return Err("the drive says that it lost something".to_owned());
        }
        for (number, stored) in &self.stored {
            let found = self.runtime.block_on(drive.verify(key(*number)));
            match (found, stored) {
                (Ok(entry), true)
                    if entry.root.0 == *blake3::hash(&payload(*number)).as_bytes() => {}
                (Err(GetShardError::NotFound { .. }), false) => {}
                (found, stored) => {
                    return Err(format!("shard {number}, stored: {stored}, found: {found:?}"));
                }
            }
        }
        let found = self.runtime.block_on(drive.list(None, usize::MAX)).unwrap().len();
        let wanted = self.stored.values().filter(|stored| **stored).count();
        if found == wanted { Ok(()) } else { Err(format!("{found} shards instead of {wanted}")) }
    }

    fn close(self, drive: Drive) {
        self.end(drive);
        fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// Puts and deletions, answered one after the other; twice, the second time on what the first
/// power cut left.
fn writes(disk: &FaultFs, seed: u64) -> Outcome {
    let mut case = Case::new(disk, seed);
    let mut drive = case.open()?;
    for round in 0..2 {
        let count = 5 + case.below(30);
        for number in round * 100..round * 100 + count {
            case.put(&drive, number);
            if case.below(4) == 0 {
                let victim = case.below(number + 1);
                case.delete(&drive, victim);
            }
        }
        drive = case.cut(drive)?;
        case.check(&drive)?;
    }
    case.close(drive);
    Ok(())
}

/// Segments that die, one with tombstones among them, and are removed.
fn compaction(disk: &FaultFs, seed: u64) -> Outcome {
    let mut case = Case::new(disk, seed);
    let mut config = case.config();
    config.limits.compact_dead_percent = 1;
    let drive = case.open_with(config.clone())?;
    for number in 0..60 {
        case.put(&drive, number);
        if number % 4 != 0 {
            case.delete(&drive, number);
        }
    }
    let segments = case.drive_directory().join("segments");
    let names = || -> Vec<_> {
        let entries = fs::read_dir(&segments).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    };
    let before = names();
    // Until maintenance has removed some, and a little longer.
    for _ in 0..400 {
        std::thread::sleep(Duration::from_millis(2));
        if names().len() * 2 < before.len() {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(case.below(10)));
    let after = names();
    let drive = case.cut_with(drive, case.config())?;
    case.check(&drive)?;
    if let Some(back) = names().iter().find(|name| before.contains(name) && !after.contains(name)) {
        return Err(format!("{} is there again", back.display()));
    }
    case.close(drive);
    Ok(())
}

/// The index runs out of space: what is refused for it must not come back.
fn index_without_space(disk: &FaultFs, seed: u64) -> Outcome {
    let mut case = Case::new(disk, seed);
    let drive = case.open()?;
    for number in 0..3 {
        case.put(&drive, number);
    }
    let index = case.inside("index");
    disk.inject(&index, Fault::NoSpace);
    let refused = case.runtime.block_on(super::put(&drive, 9));
    assert!(refused.is_err(), "the index has no space");
    assert!(disk.clear(&index) > 0);
    case.stored.insert(9, false);
    let drive = case.cut(drive)?;
    case.check(&drive)?;
    case.close(drive);
    Ok(())
}

/// A process dies between writing a record and syncing it; the next one is asked to store the
/// very same and answers that it has.
fn killed_before_a_sync(disk: &FaultFs, seed: u64) -> Outcome {
    let mut case = Case::new(disk, seed);
    let drive = case.open()?;
    case.put(&drive, 1);
    fail::cfg("node-store::after-append-before-sync", "return").unwrap();
    let refused = case.runtime.block_on(super::put(&drive, 2));
    fail::remove("node-store::after-append-before-sync");
    assert!(refused.is_err());
    case.end(drive);
    let drive = case.open()?;
    case.put(&drive, 2);
    let drive = case.cut(drive)?;
    case.check(&drive)?;
    case.close(drive);
    Ok(())
}

/// The index is gone and is built again; then the power is cut before anything else happens.
fn lost_index(disk: &FaultFs, seed: u64) -> Outcome {
    let mut case = Case::new(disk, seed);
    let drive = case.open()?;
    // Few enough for one segment: an index that lacks older ones is never believed.
    for number in 0..10 {
        case.put(&drive, number);
    }
    case.end(drive);
    fs::remove_dir_all(case.drive_directory().join("index")).unwrap();
    let drive = case.open()?;
    case.check(&drive)?;
    let drive = case.cut(drive)?;
    case.check(&drive)?;
    case.close(drive);
    Ok(())
}

type Scenario = fn(&FaultFs, u64) -> Outcome;

const SCENARIOS: [(&str, Scenario, &[&str]); 5] = [
    (
        "writes",
        writes,
        &[
            "skip-sync::segment-group",
            "skip-sync::segment-name",
            "skip-sync::superblock-content",
            "skip-sync::superblock-name",
            "skip-sync::drive-name",
        ],
    ),
    ("compaction", compaction, &["skip-sync::segment-removal", "skip-sync::index-checkpoint"]),
    ("index_without_space", index_without_space, &["skip-sync::segment-cut"]),
    ("killed_before_a_sync", killed_before_a_sync, &["skip-sync::recovered-segment"]),
    ("lost_index", lost_index, &["skip-sync::index-tables"]),
];

/// A new file system for each run of cuts, so that a drive that went wrong is left behind with it.
fn on_a_disk<T>(run: impl FnOnce(&FaultFs) -> T) -> Option<T> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (backing, mount_point) = (dir.path().join("backing"), dir.path().join("disk"));
    let disk = FaultFs::mount_for("power cuts under a drive", &backing, &mount_point)?;
    Some(run(&disk))
}

#[test]
fn no_power_cut_loses_what_was_answered() {
    let scenario = FailScenario::setup();
    for (name, run, _) in SCENARIOS {
        for seed in 0..SOUND_CUTS {
            let outcome = on_a_disk(|disk| run(disk, seed)).unwrap_or(Ok(()));
            assert_eq!(outcome, Ok(()), "{name}, seed {seed}");
        }
    }
    scenario.teardown();
}

#[test]
fn power_cuts_show_every_sync_that_is_left_out() {
    let scenario = FailScenario::setup();
    for (name, run, sites) in SCENARIOS {
        for site in sites {
            fail::cfg(*site, "return").unwrap();
            let found = (0..CUTS_MAX).find_map(|seed| {
                let outcome = on_a_disk(|disk| run(disk, seed))?;
                Some((seed, outcome.err()?))
            });
            fail::remove(*site);
            match found {
                Some((seed, what)) => eprintln!("{name} without {site}, seed {seed}: {what}"),
                None => assert!(
                    on_a_disk(|_| ()).is_none(),
                    "{name}: {CUTS_MAX} power cuts lose nothing without {site}"
                ),
            }
        }
    }
    scenario.teardown();
}
