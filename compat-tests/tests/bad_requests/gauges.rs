//! What a server holds: memory, descriptors, connections, reservations, shards.

use std::time::{Duration, Instant};

use compat_tests::server::{Credentials, Running};
use compat_tests::wire::Wire;

/// How long a server may take to give back what it held. Chosen: discarded uploads are reclaimed by
/// a background worker within seconds.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Descriptors that come and go by themselves: files of the database, segments, this look itself.
/// Chosen: far fewer than the clients of any test here.
const FILES_SLACK: usize = 64;

/// What a server holds at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    /// Open S3 connections.
    pub(crate) connections: f64,
    /// Requests being answered.
    pub(crate) requests: f64,
    /// Memory reserved for bodies and repairs.
    pub(crate) reserved_bytes: f64,
    /// Shards on all drives.
    pub(crate) shards: f64,
    /// Bodies that wait for their shards to be deleted.
    pub(crate) reclaim_queue: f64,
    /// Open file descriptors.
    pub(crate) files: usize,
    /// Resident memory.
    pub(crate) resident_bytes: u64,
}

impl Held {
    /// Looks at a running server.
    pub(crate) fn by(server: &Running) -> Self {
        let text = metrics(server);
        let pid = server.pid();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our child is visible");
        Self {
            connections: sum(&text, "datamesh_s3_connections"),
            requests: sum(&text, "datamesh_s3_requests_in_flight"),
            reserved_bytes: sum(&text, "datamesh_memory_used_bytes"),
            shards: sum(&text, "datamesh_drive_shards"),
            reclaim_queue: sum(&text, "datamesh_reclaim_queue"),
            files: files.count(),
            resident_bytes: resident_bytes(pid),
        }
    }

    /// Waits until a server that nobody uses holds what it held, but for resident memory.
    ///
    /// # Panics
    /// When it holds more for too long.
    pub(crate) fn wait_for(&self, server: &Running) -> Self {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let now = Self::by(server);
            let settled = now.connections <= self.connections
                && now.requests <= self.requests
                && now.reserved_bytes <= self.reserved_bytes
                && now.shards <= self.shards
                && now.files <= self.files + FILES_SLACK;
            if settled {
                return now;
            }
            assert!(Instant::now() < deadline, "the server held {self:?} and now holds {now:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn metrics(server: &Running) -> String {
    let url = server.admin_url();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let admin = Wire::new(&address, Credentials::new("", ""));
    let answer = admin.get("/metrics").anonymous().send().status_is(200);
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The sum of a metric over its labels; 0 where it has no value yet.
fn sum(text: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.trim().parse::<f64>().ok()
    };
    text.lines().filter_map(value).sum()
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Processor time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which may contain spaces, ends with the last bracket.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second, whatever its timer does.
    Duration::from_millis(ticks * 10)
}
