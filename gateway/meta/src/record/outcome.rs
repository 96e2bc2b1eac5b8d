//! The remembered outcome of a commit.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | version | `0x01` |
//! | outcome | `0x00` applied, `0x01` guard failed |
//! | guard index | varint, only after `0x01` |

use serde::{Deserialize, Serialize};

use super::Record;
use crate::CommitOutcome;

/// One outcome, under its transaction id in the `tx` table. Written by engines only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeRecord {
    /// [`CommitOutcome::Applied`].
    Applied,
    /// [`CommitOutcome::GuardFailed`].
    GuardFailed {
        /// Index of the guard.
        guard_index: u64,
    },
}

impl Record for OutcomeRecord {
    const NAME: &'static str = "outcome record";
}

impl From<CommitOutcome> for OutcomeRecord {
    fn from(outcome: CommitOutcome) -> Self {
        match outcome {
            CommitOutcome::Applied => Self::Applied,
            CommitOutcome::GuardFailed { guard_index } => {
                Self::GuardFailed { guard_index: guard_index as u64 }
            }
        }
    }
}

impl From<OutcomeRecord> for CommitOutcome {
    fn from(record: OutcomeRecord) -> Self {
        match record {
            OutcomeRecord::Applied => Self::Applied,
            OutcomeRecord::GuardFailed { guard_index } => Self::GuardFailed {
                guard_index: usize::try_from(guard_index).unwrap_or(usize::MAX),
            },
        }
    }
}
