//! A body whose shards wait to be deleted.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `unlinked` | varint, Unix milliseconds |
//! | `part_table` | bool |

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;

/// Written in the commit that unlinks a body; removed once every shard of it is gone. The manifest
/// pages stay until then, because they say where the shards are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRecord {
    /// When the body was unlinked. For operators; reclamation never decides by age.
    pub unlinked: UnixMillis,
    /// Whether the id names a part table (whose parts are bodies of their own) or a stripe list.
    pub part_table: bool,
}

impl Record for GcRecord {
    const NAME: &'static str = "reclamation record";
}
