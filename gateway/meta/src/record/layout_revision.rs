//! What a layout change was, under `ctl layout-history` and the epoch it made.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `changed_at` | varint, Unix milliseconds |
//! | `what` | string |
//! | `layout` | bytes: the layout document's row value, its version byte included |

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;

/// One epoch of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutRevisionRecord {
    /// When the epoch began.
    pub changed_at: UnixMillis,
    /// What the change was, in words.
    pub what: String,
    /// The encoded layout as of this epoch.
    pub layout: Vec<u8>,
}

impl Record for LayoutRevisionRecord {
    const NAME: &'static str = "layout revision record";
}
