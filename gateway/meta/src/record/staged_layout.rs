//! Layout changes that wait to be applied together, under `ctl layout-staged`.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `base` | varint |
//! | `staged_at` | varint, Unix milliseconds |
//! | `changes` | sequence of change |
//!
//! A change is 0 add node, peer 32 bytes; 1 add drives, node varint; 2 remove node, node varint;
//! 3 set zone, node varint and zone option of string; 4 set state, node varint and state, 0 active
//! or 1 draining; 5 rename, node varint and name string.

use node_proto::{Epoch, NodeId, NodeState, PeerKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Record;

/// One change of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayoutChange {
    /// A node that waits for approval enters with the drives it offers.
    AddNode {
        /// Who it is.
        peer: PeerKey,
    },
    /// Drives that a node offers and that are no devices yet enter.
    AddDrives {
        /// The node.
        node: NodeId,
    },
    /// A node leaves with its devices, for ever.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// All devices of a node fail together with what else is in the zone.
    SetZone {
        /// The node; the gateway's own drives have one too.
        node: NodeId,
        /// The zone. None: a node is its own zone, and each of the gateway's own drives is one.
        zone: Option<String>,
    },
    /// A node is emptied, or takes shards again.
    SetState {
        /// The node.
        node: NodeId,
        /// What it is there for from now on.
        state: NodeState,
    },
    /// A node is called something else.
    Rename {
        /// The node.
        node: NodeId,
        /// Its new name.
        name: String,
    },
}

/// Changes in the order they were staged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedLayoutRecord {
    /// The layout when the last of them was staged.
    pub base: Epoch,
    /// When the last of them was staged.
    pub staged_at: UnixMillis,
    /// The changes.
    pub changes: Vec<LayoutChange>,
}

impl Record for StagedLayoutRecord {
    const NAME: &'static str = "staged layout record";
}
