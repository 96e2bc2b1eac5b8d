//! `GET /mesh`.

use serde::{Deserialize, Serialize};

/// `POST /mesh/lookups`, answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupList {
    /// One for each node, in the layout's order; 64 at most.
    pub lookups: Vec<Lookup>,
}

/// A node's address as other members told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Its peer id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What was told: multiaddresses.
    pub addresses: Vec<String>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `GET /mesh`, answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// Whether this gateway is part of a mesh at all.
    pub enabled: bool,
    /// Its peer id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What others are told to dial: multiaddresses.
    pub addresses: Vec<String>,
    /// Whether unknown addresses are looked up through other members.
    pub discovery: bool,
    /// Where the search begins.
    pub bootstrap: Vec<Bootstrap>,
    /// The layout epoch of this gateway.
    pub epoch: u64,
    /// Every peer that is admitted or connected.
    pub peers: Vec<Peer>,
    /// What deserves attention, the worst first; empty when all is well.
    pub findings: Vec<Finding>,
}

/// One bootstrap address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// A multiaddress that ends in `/p2p/PEERID`.
    pub address: String,
    /// Whether there is a connection to it; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
}

/// One peer as the gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its peer id.
    pub peer: String,
    /// What the layout calls it; absent for a peer that the layout does not name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Where it is dialled: multiaddresses.
    pub addresses: Vec<String>,
    /// What protects the connection: `tls1.3` or `noise`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// The last round trip measured, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
    /// Lanes open.
    pub lanes: u64,
    /// Requests without an answer yet.
    pub requests_in_flight: u64,
    /// Bytes sent to it since the gateway started.
    pub sent_bytes: u64,
    /// Bytes received from it since the gateway started.
    pub received_bytes: u64,
    /// The layout epoch that it has adopted, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Its program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How far its clock is ahead of the gateway's, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Requests fail, or will after one more failure of the same kind.
    Critical,
    /// Something does not work as it should.
    Warning,
    /// Good to know.
    Info,
}

/// Something that deserves attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// For programs, for example `node-not-connected`.
    pub code: String,
    /// What it is about: a node's name, a device, an address; empty for the mesh as a whole.
    pub subject: String,
    /// What is the case.
    pub summary: String,
    /// What to do.
    pub advice: String,
}
