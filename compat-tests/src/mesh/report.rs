//! What a gateway says about its nodes, devices, jobs and peers: the part of its documents that
//! tests look at.

use serde::Deserialize;

/// One line of `datamesh node list`.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its peer id.
    pub peer: String,
    /// What it fails together with.
    pub zone: Option<String>,
    /// `pending`, `staged`, `active` or `draining`.
    pub state: String,
    /// Whether the gateway is connected to it.
    pub connected: Option<bool>,
    /// The layout epoch that it has acknowledged.
    pub epoch: Option<u64>,
    /// Where it said that it can be dialled.
    pub addresses: Vec<String>,
}

/// `datamesh node list`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NodeReports {
    /// All nodes.
    pub(super) nodes: Vec<NodeReport>,
}

/// One line of `datamesh device list`.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceReport {
    /// Its slot in the layout.
    pub device: u32,
    /// `online`, `full` or `offline`.
    pub health: String,
    /// What it fails together with.
    pub failure_domain: String,
    /// Where it is.
    pub address: String,
    /// Space for shards, used and free.
    pub capacity_bytes: u64,
    /// Bytes a write could still use.
    pub free_bytes: u64,
    /// Shards held.
    pub shard_count: u64,
    /// Whether shards may be missing on it.
    pub rebuilding: bool,
}

/// `datamesh device list`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DeviceReports {
    /// All devices.
    pub(super) devices: Vec<DeviceReport>,
}

/// `datamesh repair status`.
#[derive(Debug, Clone, Deserialize)]
pub struct RepairReport {
    /// Whether nothing waits.
    pub idle: bool,
    /// Stripes that wait.
    pub queued_stripes: u64,
    /// Shards recreated since the process started.
    pub repaired_shards: u64,
    /// Bodies whose shards wait to be deleted.
    pub reclaim_queue: u64,
}

/// `datamesh mesh diagnose`.
#[derive(Debug, Clone, Deserialize)]
pub struct MeshReport {
    /// The gateway's peer id.
    pub peer: Option<String>,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// The gateway's layout epoch.
    pub epoch: u64,
    /// Everybody it knows.
    pub peers: Vec<PeerReport>,
    /// What deserves attention.
    pub findings: Vec<FindingReport>,
}

/// `datamesh mesh lookup`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LookupReports {
    /// One for each node.
    pub(super) lookups: Vec<LookupReport>,
}

/// A node looked up through the others.
#[derive(Debug, Clone, Deserialize)]
pub struct LookupReport {
    /// Its name.
    pub name: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Why it was not found.
    pub error: Option<String>,
}

/// One peer as the gateway sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct PeerReport {
    /// Its peer id.
    pub peer: String,
    /// What the layout calls it.
    pub name: Option<String>,
    /// Whether there is a connection.
    pub connected: bool,
    /// Where it is dialled.
    pub addresses: Vec<String>,
    /// `tls` or `noise`.
    pub security: Option<String>,
    /// The last round trip.
    pub round_trip_us: Option<u64>,
    /// The epoch it has adopted.
    pub epoch: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Something that deserves attention.
#[derive(Debug, Clone, Deserialize)]
pub struct FindingReport {
    /// For programs.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// What is the case.
    pub summary: String,
}

/// One line of `datamesh job list`.
#[derive(Debug, Clone, Deserialize)]
pub struct JobReport {
    /// Names it.
    pub id: String,
    /// What it does, in words.
    pub what: String,
    /// `running`, `paused`, `done` and the like.
    pub state: String,
    /// Shards moved.
    pub moved_shards: u64,
    /// Bytes moved.
    pub moved_bytes: u64,
    /// Bytes still to be moved.
    pub remaining_bytes: u64,
}

/// `datamesh job list`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct JobReports {
    /// All jobs.
    pub(super) jobs: Vec<JobReport>,
}
