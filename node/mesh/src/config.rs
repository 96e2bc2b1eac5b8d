//! What a mesh is started with.

use crate::Identity;

/// How connections are encrypted and peers prove who they are. Both ways prove the same peer id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// TLS 1.3 first where this machine has AES instructions; Noise otherwise and for peers that
    /// offer no TLS. See ADR 0006 for the measurement.
    #[default]
    Auto,
    /// TLS 1.3 only.
    Tls,
    /// Noise only.
    Noise,
}

/// Bytes of shard payloads in memory unless told otherwise. Chosen: some hundred shards.
const BUDGET_BYTES_DEFAULT: u64 = 256 << 20;

/// What a mesh is started with.
#[derive(Debug)]
pub struct MeshConfig {
    /// Who this process is.
    pub identity: Identity,
    /// Where to listen: multiaddresses or `HOST:PORT`. May be empty: then nobody can dial here.
    pub listen: Vec<String>,
    /// What others should dial. Empty: the addresses listened on, wildcards expanded to those of
    /// the machine's interfaces.
    pub advertise: Vec<String>,
    /// Peers to ask for addresses first: multiaddresses ending in `/p2p/PEERID`.
    pub bootstrap: Vec<String>,
    /// Whether addresses of admitted peers are also looked up in the Kademlia table.
    pub discovery: bool,
    /// How connections are encrypted.
    pub security: Security,
    /// Bytes of shard payloads in memory, all peers together; beyond that peers are told `Busy`.
    pub budget_bytes: u64,
    /// Whether strangers may ask to join here.
    pub is_gateway: bool,
}

impl MeshConfig {
    /// A node that listens nowhere yet.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            listen: Vec::new(),
            advertise: Vec::new(),
            bootstrap: Vec::new(),
            discovery: true,
            security: Security::Auto,
            budget_bytes: BUDGET_BYTES_DEFAULT,
            is_gateway: false,
        }
    }
}
