//! The mesh as the admin API shows it.

use async_trait::async_trait;
use gateway_admin::{BootstrapReport, MeshPeer, MeshReport, MeshView};
use node_mesh::{Mesh, PeerReport};
use node_proto::PeerKey;
use node_server::MeshOptions;

/// This gateway's mesh and what it was started with.
pub(crate) struct View {
    mesh: Mesh,
    discovery: bool,
    bootstrap: Vec<String>,
}

impl View {
    pub(crate) fn new(mesh: Mesh, options: &MeshOptions) -> Self {
        Self { mesh, discovery: options.discovery, bootstrap: options.bootstrap.clone() }
    }
}

#[async_trait]
impl MeshView for View {
    fn report(&self) -> MeshReport {
        let peers = self.mesh.peers();
        let bootstrap = |address: &String| BootstrapReport {
            address: address.clone(),
            is_connected: connection_of(address, &peers),
        };
        MeshReport {
            peer: self.mesh.peer(),
            addresses: self.mesh.addresses(),
            discovery: self.discovery,
            bootstrap: self.bootstrap.iter().map(bootstrap).collect(),
            peers: peers.into_iter().map(peer).collect(),
        }
    }

    async fn find(&self, peer: PeerKey) -> Result<Vec<String>, String> {
        self.mesh.find(peer).await.map_err(|error| error.to_string())
    }
}

/// Whether there is a connection to the peer that a bootstrap address ends in.
fn connection_of(address: &str, peers: &[PeerReport]) -> Option<bool> {
    let (_, id) = address.rsplit_once("/p2p/")?;
    let key = id.parse().ok()?;
    Some(peers.iter().any(|report| report.peer == key && report.is_connected))
}

fn peer(report: PeerReport) -> MeshPeer {
    MeshPeer {
        peer: report.peer,
        is_connected: report.is_connected,
        addresses: report.addresses,
        security: report.security,
        round_trip: report.round_trip,
        lanes: report.lanes,
        requests_in_flight: report.requests_in_flight,
        sent_bytes: report.sent_bytes,
        received_bytes: report.received_bytes,
        epoch: report.epoch,
        version: report.version,
        clock_ahead_ms: None,
        last_error: report.last_error,
    }
}
