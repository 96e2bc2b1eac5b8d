//! What a server says about itself, and what the kernel says about it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use compat_tests::server::Server;
use serde_json::Value;

/// How often something awaited is looked at. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Largest resident memory of the server so far in bytes.
///
/// # Panics
/// When the kernel does not say.
pub(crate) fn peak_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))
        .expect("a running process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.and_then(|text| text.trim().parse::<u64>().ok()).expect("VmHWM is in kB") * 1024
}

/// Seconds the server has spent on processors.
///
/// # Panics
/// When the kernel does not say.
pub(crate) fn cpu_seconds(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()))
        .expect("a running process has a stat");
    // Fields are counted behind the name, which may hold spaces: utime is the 12th, stime next.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    // SAFETY: reads a constant of the kernel.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks as f64 / per_second as f64
}

/// Bytes on the medium that the files of the data directory take.
pub(crate) fn used_bytes(server: &Server) -> u64 {
    fn below(dir: &Path) -> u64 {
        // The server may remove what was listed; what is gone takes nothing.
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let used = entries.map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => below(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        });
        used.sum()
    }
    below(&server.data_dir())
}

/// Whether nothing waits for reclamation or repair.
pub(crate) fn is_idle(server: &Server) -> bool {
    let status = server.datamesh(&["repair", "status"]).succeed().json();
    status["idle"] == true && status["reclaim_queue"] == 0
}

/// Starts a scrub and returns once every drive has finished the pass, with what it verified.
///
/// # Panics
/// When it takes longer than `limit`, or finds damage.
pub(crate) fn scrub(server: &Server, limit: Duration) -> (Duration, u64) {
    let passes = |status: &Value, field: &str| -> u64 {
        let devices = status["devices"].as_array().expect("a list of devices");
        devices.iter().map(|device| device[field].as_u64().unwrap_or(0)).min().unwrap_or(0)
    };
    let status = || server.datamesh(&["scrub", "status"]).succeed().json();
    let before = passes(&status(), "completed_passes");
    let _ = server.datamesh(&["scrub", "start"]).succeed();
    let took = wait_until("scrub", limit, || passes(&status(), "completed_passes") > before);
    let status = status();
    let devices = status["devices"].as_array().expect("a list of devices");
    let sum = |field: &str| devices.iter().map(|d| d[field].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!(sum("damaged_shards"), 0, "{status}");
    (took, sum("verified_bytes"))
}

/// Waits until `done`, at most `limit`, and says how long it took.
///
/// # Panics
/// When it takes longer.
pub(crate) fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "{what} took more than {limit:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
    let took = started.elapsed();
    eprintln!("{what}: {took:.1?}");
    took
}
