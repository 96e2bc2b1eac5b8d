//! `/layout`.

use serde::{Deserialize, Serialize};

/// `GET /layout`, answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The cluster's id.
    pub cluster: String,
    /// The epoch in force.
    pub epoch: u64,
    /// Peer ids of the gateways.
    pub gateways: Vec<String>,
    /// The nodes, ascending by number. The gateway's own drives are node 0, listed once something
    /// was said of them.
    pub nodes: Vec<LayoutNode>,
    /// The devices, ascending by slot.
    pub devices: Vec<LayoutDevice>,
    /// What waits to be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
}

/// A node of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutNode {
    /// Its number.
    pub node: u32,
    /// Its name.
    pub name: String,
    /// Its peer id; absent for the gateway's own drives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Its zone.
    pub zone: String,
    /// `active` or `draining`.
    pub state: String,
    /// The epoch that it has acknowledged; absent while it has acknowledged none since the gateway
    /// started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_epoch: Option<u64>,
}

/// A device of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutDevice {
    /// Its slot.
    pub device: u32,
    /// The number of its node; zero for the gateway's own drives.
    pub node: u32,
    /// What it fails together with.
    pub failure_domain: String,
    /// Its directory on its node.
    pub address: String,
    /// Space that it offered, in bytes; zero when it was not told.
    pub capacity_bytes: u64,
}

/// Changes that wait to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The epoch when the last of them was staged.
    pub base_epoch: u64,
    /// When that was, RFC 3339.
    pub staged: String,
    /// The changes, in order.
    pub changes: Vec<LayoutChange>,
}

/// One change. In requests a node is its name, its number, or a unique start of its peer id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayoutChange {
    /// A node that waits for approval enters with the drives it offers.
    AddNode {
        /// The node.
        node: String,
    },
    /// Drives that a node offers and that are no devices yet enter.
    AddDrives {
        /// The node.
        node: String,
    },
    /// A node leaves with its devices, for ever.
    RemoveNode {
        /// The node.
        node: String,
    },
    /// A node fails together with what else is in the zone.
    SetZone {
        /// The node.
        node: String,
        /// Its zone; absent: a zone of its own, and each of the gateway's own drives is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
    },
    /// A node is emptied.
    Drain {
        /// The node.
        node: String,
    },
    /// A node takes shards again.
    Activate {
        /// The node.
        node: String,
    },
    /// A node is called something else.
    Rename {
        /// The node.
        node: String,
        /// Its new name.
        name: String,
    },
}

/// `POST /layout/stage`, request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageChanges {
    /// What to stage, in order. Staged one by one: those before one that is refused stay staged.
    pub changes: Vec<LayoutChange>,
}

/// `POST /layout/apply`, request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyLayout {
    /// The epoch that was looked at; another one in force is a conflict.
    pub epoch: u64,
    /// Apply it although it is below the floor, and give up what leaving nodes hold.
    #[serde(default)]
    pub force: bool,
}

/// `POST /layout/apply`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Applied {
    /// The epoch in force.
    pub epoch: u64,
}

/// `POST /layout/revert`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertLayout {
    /// Stage what leads back to this epoch; without it, discard what is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// `POST /layout/revert`, answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// What is staged now; absent when it was discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
    /// What of the earlier layout cannot be had again, in words.
    pub notes: Vec<String>,
}

/// An epoch of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutRevision {
    /// The epoch.
    pub epoch: u64,
    /// When it began, RFC 3339.
    pub changed: String,
    /// What the change was, in words.
    pub what: String,
}

/// `GET /layout/history`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutHistory {
    /// The newest first.
    pub revisions: Vec<LayoutRevision>,
}
