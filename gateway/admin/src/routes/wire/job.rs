//! `/jobs`.

use serde::{Deserialize, Serialize};

/// Long work in the background that moves shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Names it: `drain:` and the number of the node, `departed`, `respread` or `rebalance`.
    pub id: String,
    /// What it does, in words.
    pub what: String,
    /// `running`, `paused`, `blocked`, `done` or `cancelled`.
    pub state: String,
    /// Why it is blocked; it tries again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339; absent while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Shards moved so far.
    pub moved_shards: u64,
    /// Shard bytes moved so far.
    pub moved_bytes: u64,
    /// Shard bytes left to move.
    pub remaining_bytes: u64,
    /// Bytes moved a second, lately.
    pub bytes_per_second: u64,
    /// How long the rest takes at that rate; absent when nothing is moving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
}

/// `GET /jobs`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobList {
    /// Open ones, then those that ended, the last first.
    pub jobs: Vec<Job>,
}
