//! Long jobs that move shards.

use std::time::Duration;

use node_proto::UnixMillis;

pub use gateway_meta::record::{JobKind, JobState};

use crate::Fault;

/// A long job as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// Names it: `drain:` and the number of the node, `departed`, `respread` or `rebalance`. A job
    /// that ended keeps its name, and a later one may have the same.
    pub id: String,
    /// What it is for.
    pub kind: JobKind,
    /// How it stands.
    pub state: JobState,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended; `None` while it has not.
    pub ended: Option<UnixMillis>,
    /// Shard bytes moved so far.
    pub moved_bytes: u64,
    /// Shards moved so far.
    pub moved_shards: u64,
    /// Shard bytes to move, as counted when it began.
    pub total_bytes_at_start: u64,
    /// Shard bytes left to move, as last counted and less what was moved since.
    pub remaining_bytes: u64,
    /// Bytes moved a second, over the last half minute; zero when nothing was.
    pub bytes_per_second: u64,
    /// How long the rest takes at that rate; `None` when nothing is moving.
    pub eta: Option<Duration>,
}

/// Why a job was not paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is no such job.
    #[error("there is no job {id}")]
    NoSuchJob {
        /// As given.
        id: String,
    },
    /// The job has ended.
    #[error("job {id} has ended")]
    Ended {
        /// As given.
        id: String,
    },
    /// The metadata store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
