//! That the drives end up with what live objects need, and nothing else.
//!
//! - Shards are counted exactly: the drives hold as many as the ledger's contents call for.
//! - Bytes are what the drives' files have allocated. Compaction copies a closed segment once 30 %
//!   of it is dead, and has the open one closed once an eighth of its full length is, so up to that
//!   may stay.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::server::Server;

use crate::content::Footprint;

/// How long repair, reclamation and compaction may take. Chosen: a tenth of it is enough on an
/// idle machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How often the drives are looked at. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How many times in a row repair must be idle: a loss is noticed by reads and by looking at the
/// drives, so idleness right after one may be ignorance. Chosen.
const IDLE_POLLS: u32 = 8;

/// Allocated bytes per drive beyond segments: index and superblocks. Chosen: measured at some
/// megabytes.
const DRIVE_OVERHEAD_BYTES: u64 = 24 << 20;

/// Dead bytes that may stay in the open segment of a drive. Source: `node-store`'s compaction.
const OPEN_SEGMENT_DEAD_BYTES: u64 = 64 << 20;

/// The largest dead share of a closed segment that may stay, in percent. Source: the same.
const DEAD_PERCENT: u64 = 30;

/// How space came back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reclaimed {
    pub(crate) shards: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    pub(crate) took: Duration,
}

/// Waits until nothing is left to repair or reclaim.
///
/// # Panics
/// When that takes too long.
pub(crate) fn wait_for_idle(server: &Server) {
    let mut idle = 0;
    wait_until("repair and reclamation to end", || {
        let status = server.datamesh(&["repair", "status"]).succeed().json();
        let is_idle = status["idle"] == true && status["reclaim_queue"] == 0;
        idle = if is_idle { idle + 1 } else { 0 };
        (idle == IDLE_POLLS).then_some(()).ok_or_else(|| status.to_string())
    });
}

/// Waits until the drives hold no more shards than `needed`, and no more bytes than that allows.
///
/// # Panics
/// When they keep more.
pub(crate) fn wait_for_space(server: &Server, needed: Footprint) -> Reclaimed {
    let started = Instant::now();
    let shards = wait_until(&format!("the drives to hold {} shards", needed.shards), || {
        let shards = shard_count(server);
        if shards <= needed.shards { Ok(shards) } else { Err(format!("they hold {shards}")) }
    });
    assert_eq!(shards, needed.shards, "the drives hold fewer shards than the objects have");
    let drives = fs::read_dir(server.data_dir().join("devices")).map_or(0, Iterator::count) as u64;
    let per_drive = DRIVE_OVERHEAD_BYTES + OPEN_SEGMENT_DEAD_BYTES;
    let bytes_max = needed.bytes * 100 / (100 - DEAD_PERCENT) + drives * per_drive;
    let bytes = wait_until(&format!("the drives to hold {bytes_max} bytes at most"), || {
        let bytes = allocated_bytes(&server.data_dir().join("devices"));
        if bytes <= bytes_max { Ok(bytes) } else { Err(format!("they hold {bytes}")) }
    });
    Reclaimed { shards, bytes, bytes_max, took: started.elapsed() }
}

fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(now) => assert!(started.elapsed() < TIMEOUT, "waited for {what}; {now}"),
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn shard_count(server: &Server) -> u64 {
    let listed = server.datamesh(&["device", "list"]).succeed().json();
    let devices = listed["devices"].as_array().expect("a list of devices");
    devices.iter().filter_map(|device| device["shard_count"].as_u64()).sum()
}

/// Bytes that the files below `dir` take on the medium.
fn allocated_bytes(dir: &Path) -> u64 {
    // Files come and go meanwhile; what is gone takes nothing.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let each = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let is_dir = metadata.is_dir();
        Some(if is_dir { allocated_bytes(&entry.path()) } else { metadata.blocks() * 512 })
    });
    each.sum()
}
