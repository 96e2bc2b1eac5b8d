//! A range of manifest ids that one gateway incarnation may use.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `incarnation` | varint |
//! | `first` | varint |
//! | `end` | varint |

use serde::{Deserialize, Serialize};

use super::Record;

/// The durable intent behind every upload: a body's id comes from a lease, and a commit that names
/// it guards that the lease still stands. Fencing a lease (deleting its row) makes every
/// uncommitted body of it dead for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The gateway incarnation that holds the lease.
    pub incarnation: u64,
    /// First manifest id of the range.
    pub first: u64,
    /// First manifest id behind the range.
    pub end: u64,
}

impl Record for LeaseRecord {
    const NAME: &'static str = "lease record";
}
