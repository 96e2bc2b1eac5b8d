//! `/tokens` and `/nodes`.

use serde::{Deserialize, Serialize};

/// `POST /tokens`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// The zone of the node that uses it; by default the node is a zone of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The name of the node that uses it; by default what the node calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it is good for; 24 hours by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// Whether the node that uses it is approved at once.
    #[serde(default)]
    pub approved: bool,
}

/// `POST /tokens`, answer. The token is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// What is carried to the node. Secret.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub report: Token,
}

/// A join token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it.
    pub id: String,
    /// The zone of the node that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The name of the node that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the node that uses it is approved at once.
    pub approved: bool,
    /// `open`, `used`, `revoked` or `expired`.
    pub state: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The peer id that used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
}

/// `GET /tokens`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenList {
    /// Those that were not forgotten yet, the oldest first.
    pub tokens: Vec<Token>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its number, 0 for the gateway's own drives; absent before it is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Its unique name.
    pub name: String,
    /// Its peer id; absent for the gateway's own drives where there is no mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What it fails together with; empty where each of the gateway's own drives fails on its own.
    pub zone: String,
    /// `pending`, `staged`, `active` or `draining`; `rejected` or `retired` in the answers to that.
    pub state: String,
    /// Its program's version, as it told last.
    pub version: String,
    /// Where it can be dialled, as it told last: multiaddresses.
    pub addresses: Vec<String>,
    /// Whether the gateway is connected to it; absent without a mesh and for the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// The layout epoch that it acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Share of the time that its drives were up, from 0 to 1; older times count less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// When it first asked to join, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// When it was last heard of since the gateway started, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Its drives in the layout.
    pub drives: Vec<NodeDrive>,
    /// Drives that it offers and that are not in the layout.
    pub offered: Vec<OfferedDrive>,
}

/// A drive of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDrive {
    /// Its slot in the layout.
    pub device: u32,
    /// Its directory on the node.
    pub path: String,
    /// `online`, `full` or `offline`.
    pub health: String,
    /// Why it is not online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Space for shards, used and free.
    pub capacity_bytes: u64,
    /// Bytes a write could still use.
    pub free_bytes: u64,
}

/// A drive that a node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedDrive {
    /// Its directory on the node.
    pub path: String,
    /// Space it gives to shards.
    pub capacity_bytes: u64,
}

/// `GET /nodes`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeList {
    /// Those that wait for approval, then members by number.
    pub nodes: Vec<Node>,
}

/// `GET /nodes/{node}`, answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeDetail {
    /// As in the list.
    #[serde(flatten)]
    pub node: Node,
    /// Shards that metadata expect on its drives; zero once it is drained.
    pub held_shards: u64,
}

/// `POST /nodes/{node}/approve`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveNode {
    /// Its zone, instead of the token's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its name, instead of the token's or its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stage it for the next layout that is applied, instead of making one at once.
    #[serde(default)]
    pub stage: bool,
}

/// `POST /nodes/{node}/drain`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    /// Drain it although what is left is below the floor.
    #[serde(default)]
    pub force: bool,
}

/// `POST /nodes/{node}/retire`, request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetireNode {
    /// Retire it although it still holds shards.
    #[serde(default)]
    pub force: bool,
}
