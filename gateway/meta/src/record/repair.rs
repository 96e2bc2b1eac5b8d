//! A stripe that waits for repair.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `attempts` | varint |
//! | `suspects` | varint |

use serde::{Deserialize, Serialize};

use super::Record;

/// Kept under `margin · manifest · stripe index`, so that a scan meets the stripes that can lose
/// the fewest further shards first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRecord {
    /// Failed attempts so far.
    pub attempts: u32,
    /// Bit `i` set: shard `i` was seen missing or damaged. A hint; repair looks for itself.
    pub suspects: u64,
}

impl Record for RepairRecord {
    const NAME: &'static str = "repair record";
}
