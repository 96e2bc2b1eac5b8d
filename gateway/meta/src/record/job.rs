//! A long job that moves shards.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `kind` | `0` and a node id as varint; `1`; `2`; `3` |
//! | `state` | `0` to `4`; `2` is followed by a string |
//! | `started` | varint |
//! | `changed` | varint |
//! | `moved_bytes` | varint |
//! | `moved_shards` | varint |
//! | `total_bytes_at_start` | varint |
//! | `remaining_bytes` | varint |
//!
//! Kinds are drain, departed, respread and rebalance; states are running, paused, blocked, done and
//! cancelled.

use node_proto::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Record;

/// What a job moves shards for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobKind {
    /// Empties the devices of a node that is being drained.
    Drain(NodeId),
    /// Recreates elsewhere what metadata still names on devices that left the layout.
    Departed,
    /// Moves shards of one stripe that share a failure domain apart.
    Respread,
    /// Moves shards from devices that are fuller than others to emptier ones.
    Rebalance,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Moves shards, or is about to.
    Running,
    /// An operator stopped it until it is resumed.
    Paused,
    /// Cannot go on for now; it tries again by itself.
    Blocked {
        /// Why, for the operator.
        reason: String,
    },
    /// Everything was moved.
    Done,
    /// What it was for is no longer wanted: a drained node was activated again.
    Cancelled,
}

/// One job: what it is for and what it did. What is left to do follows from layout and placement
/// groups, never from this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// What it is for.
    pub kind: JobKind,
    /// How it stands.
    pub state: JobState,
    /// When it began.
    pub started: UnixMillis,
    /// When this record was last written; the end of a job that ended.
    pub changed: UnixMillis,
    /// Shard bytes moved so far.
    pub moved_bytes: u64,
    /// Shards moved so far.
    pub moved_shards: u64,
    /// Shard bytes to move, as counted when it began.
    pub total_bytes_at_start: u64,
    /// Shard bytes left to move, as last counted.
    pub remaining_bytes: u64,
}

impl Record for JobRecord {
    const NAME: &'static str = "job record";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::DecodeRecordError;

    fn job(kind: JobKind, state: JobState) -> JobRecord {
        JobRecord {
            kind,
            state,
            started: UnixMillis(5),
            changed: UnixMillis(300),
            moved_bytes: 1,
            moved_shards: 2,
            total_bytes_at_start: 3,
            remaining_bytes: 4,
        }
    }

    #[test]
    fn jobs_have_golden_bytes() {
        let blocked = JobState::Blocked { reason: "no".to_owned() };
        let tail = [5, 0xac, 2, 1, 2, 3, 4];
        let golden: [(JobRecord, &[u8]); 5] = [
            (job(JobKind::Drain(NodeId(9)), JobState::Running), &[1, 0, 9, 0]),
            (job(JobKind::Departed, JobState::Paused), &[1, 1, 1]),
            (job(JobKind::Respread, blocked), &[1, 2, 2, 2, b'n', b'o']),
            (job(JobKind::Rebalance, JobState::Done), &[1, 3, 3]),
            (job(JobKind::Rebalance, JobState::Cancelled), &[1, 3, 4]),
        ];
        for (record, head) in golden {
            let bytes = [head, &tail].concat();
            assert_eq!(record.encode()[..], bytes);
            assert_eq!(JobRecord::decode(&bytes), Ok(record));
            let cut = JobRecord::decode(&bytes[..bytes.len() - 1]);
            assert!(matches!(cut, Err(DecodeRecordError::Damaged { .. })), "{cut:?}");
            let unknown = DecodeRecordError::UnknownVersion { record: JobRecord::NAME, version: 2 };
            assert_eq!(JobRecord::decode(&[2]), Err(unknown));
        }
    }
}
