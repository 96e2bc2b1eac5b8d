//! A process that joined the mesh or asked to, under `ctl node` and its peer id.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `membership` | 0 pending, with is pre-approved bool; 1 member, with node varint; 2 retired, with node varint and time varint, Unix milliseconds |
//! | `name` | string |
//! | `zone` | option of string |
//! | `version` | string |
//! | `addresses` | sequence of string |
//! | `drives` | sequence of path string, mount point bool, capacity varint |
//! | `token` | 8 bytes |
//! | `first_seen` | varint, Unix milliseconds |

use node_proto::{NodeId, TokenId, UnixMillis, join::OfferedDrive};
use serde::{Deserialize, Serialize};

use super::Record;

/// Whether a process belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// Its token was good; an operator must approve it.
    Pending {
        /// The token approves by itself; only the layout change is outstanding.
        is_preapproved: bool,
    },
    /// It has this id in the layout.
    Member {
        /// The id.
        node: NodeId,
    },
    /// It had this id once and is refused for ever.
    Retired {
        /// The id.
        node: NodeId,
        /// When it was retired.
        since: UnixMillis,
    },
}

/// What a node said of itself, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Whether it belongs to the cluster.
    pub membership: Membership,
    /// What it is, or will be, called in the layout; unique among nodes that are not retired.
    pub name: String,
    /// The zone that token or operator gave it; none means that it is a zone of its own.
    pub zone: Option<String>,
    /// The version of its program, as told last.
    pub version: String,
    /// Where it can be dialled, as told last: multiaddresses.
    pub addresses: Vec<String>,
    /// The drives it offered last. Which of them are devices is in the layout.
    pub drives: Vec<OfferedDrive>,
    /// The token it came with.
    pub token: TokenId,
    /// When it first asked.
    pub first_seen: UnixMillis,
}

impl Record for NodeRecord {
    const NAME: &'static str = "node record";
}
