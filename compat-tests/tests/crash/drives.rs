//! Drives that lose everything, and repair that brings it back.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::payload::Random;
use compat_tests::server::Server;

/// How long repair may take. Chosen: some hundred megabytes on a busy machine take a tenth of it.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(180);

/// How often the status is read. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How many times in a row repair must be idle: a loss is noticed by reads and by looking at the
/// drives, so idleness right after one may be ignorance. Chosen.
const IDLE_POLLS: u32 = 12;

/// The server's devices in random order, two by two.
pub(crate) fn disjoint_pairs(server: &Server, random: &mut Random) -> Vec<Vec<PathBuf>> {
    let devices = server.data_dir().join("devices");
    let entries = fs::read_dir(devices).expect("a server has devices");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the directory is readable").path()).collect();
    paths.sort();
    for last in (1..paths.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(0);
        paths.swap(last, other);
    }
    paths.chunks(2).map(<[PathBuf]>::to_vec).collect()
}

/// Swaps every one of `drives` for an empty one, as a person with new disks would: the directory
/// goes away whole, an empty one takes its place, and the files of the old one lose their content,
/// so that a server that has them open reads nothing more from them.
///
/// Removing the files in place would be another test: a server that reopens the drive halfway
/// leaves files of its own without a superblock, and such a directory is rightly never formatted.
///
/// # Panics
/// When the directories cannot be changed.
pub(crate) fn wipe(server: &Server, drives: &[PathBuf]) {
    for drive in drives {
        eprintln!("wiping {}", drive.file_name().unwrap_or_default().display());
        let old = server.work_dir().join("old");
        fs::rename(drive, &old).expect("the drive can be moved away");
        fs::create_dir(drive).expect("an empty drive can take its place");
        empty(&old);
    }
}

fn empty(dir: &Path) {
    // A server that has the directory open may remove files meanwhile; what is gone is gone.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            empty(&path);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::File::options().write(true).truncate(true).open(&path);
            let _ = fs::remove_file(&path);
        }
    }
}

/// Waits until `datamesh repair status` has nothing left to do.
///
/// # Panics
/// When repair does not end.
pub(crate) fn wait_for_repair(server: &Server) {
    let started = Instant::now();
    let mut idle = 0;
    let mut status;
    loop {
        status = server.datamesh(&["repair", "status"]).succeed().json();
        idle = if status["idle"] == true { idle + 1 } else { 0 };
        if idle == IDLE_POLLS {
            eprintln!("repaired in {:?}: {status}", started.elapsed());
            return;
        }
        assert!(started.elapsed() < REPAIR_TIMEOUT, "repair does not end: {status}");
        thread::sleep(POLL_INTERVAL);
    }
}
