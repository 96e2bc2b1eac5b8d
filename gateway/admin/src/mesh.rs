//! The mesh as an operator sees it. The process that has the mesh implements [`MeshView`]; this
//! crate knows nothing of how peers talk.

use std::time::Duration;

use async_trait::async_trait;
use node_proto::{Epoch, PeerKey};

/// Tells about this gateway's part of the mesh.
#[async_trait]
pub trait MeshView: Send + Sync + 'static {
    /// A snapshot. Never blocks.
    fn report(&self) -> MeshReport;

    /// Asks other members where a peer can be dialled, whatever is known here; the error is for
    /// people.
    async fn find(&self, peer: PeerKey) -> Result<Vec<String>, String>;
}

/// This gateway and the peers it talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshReport {
    /// Who this gateway is.
    pub peer: PeerKey,
    /// What others are told to dial: multiaddresses.
    pub addresses: Vec<String>,
    /// Whether unknown addresses of members are looked up through other members.
    pub discovery: bool,
    /// Where the search begins.
    pub bootstrap: Vec<BootstrapReport>,
    /// Every peer that is admitted or connected.
    pub peers: Vec<MeshPeer>,
}

/// One bootstrap address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapReport {
    /// A multiaddress that ends in `/p2p/PEERID`.
    pub address: String,
    /// Whether there is a connection to it; `None` when that is not known.
    pub is_connected: Option<bool>,
}

/// One peer as this gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshPeer {
    /// Who it is.
    pub peer: PeerKey,
    /// Whether there is a connection to it.
    pub is_connected: bool,
    /// Where it is dialled: multiaddresses.
    pub addresses: Vec<String>,
    /// What protects the connection, `tls1.3` or `noise`; `None` without a connection.
    pub security: Option<String>,
    /// The last round trip measured.
    pub round_trip: Option<Duration>,
    /// Lanes open.
    pub lanes: usize,
    /// Requests without an answer yet.
    pub requests_in_flight: usize,
    /// Bytes sent to it since this process started.
    pub sent_bytes: u64,
    /// Bytes received from it since this process started.
    pub received_bytes: u64,
    /// The layout epoch that it has adopted, as far as known.
    pub epoch: Option<Epoch>,
    /// Its program's version.
    pub version: Option<String>,
    /// How far its clock is ahead of this process's, in milliseconds; negative when behind. `None`
    /// when that is not known.
    pub clock_ahead_ms: Option<i64>,
    /// What went wrong last, in words for an operator.
    pub last_error: Option<String>,
}
