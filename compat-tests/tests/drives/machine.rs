//! A server with six drives in directories of their own, and what it says about them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::server::{Credentials, Server, Setup};
use compat_tests::wire::Wire;
use compat_tests_faultfs::{Fault, FaultFs};
use serde::Deserialize;
use tempfile::TempDir;

use crate::matrix::Pair;

/// Drives of a machine: one per shard of 4+2.
pub(crate) const DRIVES: usize = 6;

/// How long a change of a drive may go unnoticed. Chosen: many times the probe interval.
pub(crate) const NOTICE_MAX: Duration = Duration::from_secs(20);

/// How long repair of the few megabytes of a test may take. Chosen: a loaded machine of two cores.
pub(crate) const REPAIR_MAX: Duration = Duration::from_secs(90);

/// How often the server is asked. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long everything must have been idle: workers look for work every second. Chosen.
const IDLE_FOR: Duration = Duration::from_millis(1500);

/// A server and its drives.
pub(crate) struct Machine {
    pub(crate) server: Server,
    drives: Vec<PathBuf>,
    /// Unmounted after the server is gone.
    fs: Option<FaultFs>,
    /// Removed after the server is gone.
    _dir: TempDir,
}

/// One line of `datamesh device list`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Device {
    pub(crate) device: usize,
    pub(crate) health: String,
    pub(crate) reason: Option<String>,
    pub(crate) address: PathBuf,
    pub(crate) rebuilding: bool,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<Device>,
}

/// `datamesh repair status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Repair {
    pub(crate) idle: bool,
    pub(crate) queued_stripes: u64,
    pub(crate) repaired_shards: u64,
}

/// One line of `datamesh scrub status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Scrub {
    pub(crate) running: bool,
    pub(crate) verified_shards: u64,
    pub(crate) damaged_shards: u64,
    pub(crate) completed_passes: u64,
}

#[derive(Deserialize)]
struct Scrubs {
    devices: Vec<Scrub>,
}

/// A new directory under the target directory, which is on a disk.
///
/// # Panics
/// When it cannot be made.
pub(crate) fn directory() -> TempDir {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(parent).expect("the target directory is writable");
    tempfile::Builder::new()
        .prefix("drives-")
        .tempdir_in(parent)
        .expect("the target directory is writable")
}

/// Name of a drive's directory.
fn name_of(drive: usize) -> PathBuf {
    format!("drive-{drive}").into()
}

impl Machine {
    /// A machine whose drives are plain directories.
    pub(crate) fn new() -> Self {
        let dir = directory();
        let base = dir.path().to_owned();
        Self::with_drives(dir, &base, None, Setup::new())
    }

    /// A machine whose drives are directories below `base`.
    pub(crate) fn with_drives_in(base: &Path) -> Self {
        Self::with_drives(directory(), base, None, Setup::new())
    }

    /// A machine that keeps its metadata in `data`.
    pub(crate) fn with_data_dir(data: &Path) -> Self {
        let dir = directory();
        let base = dir.path().to_owned();
        Self::with_drives(dir, &base, None, Setup::new().data_dir(data))
    }

    /// A machine whose drives are on a file system that fails on request; `None`, with a word
    /// about it, where there can be none.
    pub(crate) fn failing(what: &str) -> Option<Self> {
        let dir = directory();
        let (backing, mount) = (dir.path().join("backing"), dir.path().join("mount"));
        let fs = FaultFs::mount_for(what, &backing, &mount)?;
        let base = fs.mount_point().to_owned();
        Some(Self::with_drives(dir, &base, Some(fs), Setup::new()))
    }

    fn with_drives(dir: TempDir, base: &Path, fs: Option<FaultFs>, setup: Setup) -> Self {
        let drives: Vec<PathBuf> = (0..DRIVES).map(|drive| base.join(name_of(drive))).collect();
        let arguments = drives.iter().flat_map(|drive| {
            ["--drive", drive.to_str().expect("the target directory's path is UTF-8")]
        });
        let server = setup.arguments(&arguments.collect::<Vec<_>>()).start();
        Self { server, drives, fs, _dir: dir }
    }

    /// The directory of a drive.
    pub(crate) fn drive(&self, number: usize) -> &Path {
        &self.drives[number]
    }

    /// A path for something put aside; nothing is there.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        self.drives[0].with_file_name(format!("aside-{name}"))
    }

    pub(crate) fn wire(&self) -> Wire {
        self.server.wire()
    }

    /// Ends the server in good order.
    pub(crate) fn stop(&self) {
        assert!(self.server.terminate().success(), "SIGTERM ends the server with status 0");
    }

    pub(crate) fn start(&self) {
        self.server.start_again();
    }

    /// Makes the drives of a pair fail.
    ///
    /// # Panics
    /// When they are plain directories.
    pub(crate) fn inject(&self, fault: Fault, pair: Pair) {
        let fs = self.fs.as_ref().expect("this machine's file system can fail");
        for drive in pair {
            fs.inject(&name_of(drive), fault);
        }
    }

    /// Ends what [`Self::inject`] began; says how often each drive met it.
    pub(crate) fn clear(&self, pair: Pair) -> [u64; 2] {
        let fs = self.fs.as_ref().expect("this machine's file system can fail");
        pair.map(|drive| fs.clear(&name_of(drive)))
    }

    /// The devices that are where the drives of a pair are.
    pub(crate) fn devices_at(&self, pair: Pair) -> Pair {
        let devices = self.devices();
        pair.map(|drive| {
            let is_there = |device: &&Device| device.address == self.drives[drive];
            devices.iter().find(is_there).expect("every drive is a device").device
        })
    }

    pub(crate) fn devices(&self) -> Vec<Device> {
        let json = self.server.datamesh(&["device", "list"]).succeed().stdout;
        let list: Devices = serde_json::from_slice(&json).expect("a list of devices");
        list.devices
    }

    pub(crate) fn repair(&self) -> Repair {
        let json = self.server.datamesh(&["repair", "status"]).succeed().stdout;
        serde_json::from_slice(&json).expect("a repair status")
    }

    pub(crate) fn scrub(&self) -> Vec<Scrub> {
        let json = self.server.datamesh(&["scrub", "status"]).succeed().stdout;
        let scrubs: Scrubs = serde_json::from_slice(&json).expect("a scrub status");
        scrubs.devices
    }

    /// Lets every drive verify all its shards, and answers what came of it.
    pub(crate) fn scrub_all(&self) -> Vec<Scrub> {
        let before: Vec<u64> = self.scrub().iter().map(|scrub| scrub.completed_passes).collect();
        let _ = self.server.datamesh(&["scrub", "start"]).succeed();
        let mut now = Vec::new();
        await_true("every drive is scrubbed", REPAIR_MAX, || {
            now = self.scrub();
            let is_done = |(scrub, before): (&Scrub, &u64)| {
                !scrub.running && scrub.completed_passes > *before
            };
            now.iter().zip(&before).all(is_done)
        });
        now
    }

    /// Every sample of `/metrics`, by name and labels as they are written there.
    pub(crate) fn metrics(&self) -> Metrics {
        let url = self.server.admin_url();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let wire = Wire::new(address, Credentials::new("", ""));
        let answer = wire.get("/metrics").anonymous().send().status_is(200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Metrics(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// Waits until all drives are online and whole, and nothing waits for repair.
    pub(crate) fn await_whole(&self) -> Duration {
        let started = Instant::now();
        let mut idle_since = None;
        let mut state = String::new();
        while started.elapsed() < REPAIR_MAX {
            let (devices, repair) = (self.devices(), self.repair());
            let is_well = |device: &Device| device.health == "online" && !device.rebuilding;
            if !devices.iter().all(is_well) || !repair.idle {
                idle_since = None;
            } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE_FOR {
                return started.elapsed() - IDLE_FOR;
            }
            state = format!("{repair:?} {devices:#?}");
            thread::sleep(POLL_INTERVAL);
        }
        panic!("the machine does not become whole again: {state}");
    }

    /// Waits until `holds` is true of the devices `numbers`.
    pub(crate) fn await_devices(
        &self,
        numbers: &[usize],
        what: &str,
        holds: impl Fn(&Device) -> bool,
    ) {
        let started = Instant::now();
        loop {
            let devices = self.devices();
            let mut wanted = devices.iter().filter(|device| numbers.contains(&device.device));
            if wanted.all(&holds) {
                return;
            }
            assert!(started.elapsed() < NOTICE_MAX, "{numbers:?} never {what}: {devices:#?}");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The samples of one look at `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The value of a metric without labels; zero while it has none.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The value of a drive's metric.
    pub(crate) fn of_drive(&self, name: &str, number: usize) -> f64 {
        self.value(&format!("{name}{{device=\"{number}\"}}"))
    }

    /// The sum over all drives.
    pub(crate) fn of_all_drives(&self, name: &str) -> f64 {
        (0..DRIVES).map(|number| self.of_drive(name, number)).sum()
    }
}

/// Waits until `holds`.
///
/// # Panics
/// When it does not within `timeout`.
pub(crate) fn await_true(what: &str, timeout: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < timeout, "not within {timeout:?}: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Copies a directory tree as it is now, also while files in it change or go.
///
/// # Panics
/// When it cannot be copied.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the copy's place is free");
    for entry in fs::read_dir(from).expect("the directory is there").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            let _ = fs::copy(&from, &to);
        }
    }
}
