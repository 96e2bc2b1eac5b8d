//! The mesh as the rest of the process sees it.
//!
//! *Cancellation:* every future may be dropped; what it asked for may still happen.
//! *Limits:* [`LANES_MAX`] lanes are served and [`JOINS_MAX`] joins answered at a time; more wait
//! where the connections hold them, and are refused there when there is no room left.

use std::{collections::HashMap, sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId};
use node_proto::{
    DeviceId, Epoch, JoinAnswer, JoinRequest, Layout, PeerKey, ShardService, SignedLayout,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{trace, warn};

use crate::{
    CallError, Host, InvalidAddress, MeshConfig, SetupError, address,
    connection::Inbound,
    identity::{peer_id, peer_key},
    join,
    lanes::Lanes,
    net::Net,
    stream::{InboundLane, OpenLanes},
    telemetry,
};

/// Lanes that are served at a time. Chosen: what a gateway opens to a node, times some gateways.
const LANES_MAX: usize = 4096;

/// Joins that are answered at a time. Chosen: each takes a commit.
const JOINS_MAX: usize = 32;

/// How long shutting down waits for tasks. Chosen.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the mesh did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartMeshError {
    /// An address of the configuration cannot be used.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// No keys for handshakes could be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What happened.
        reason: String,
    },
}

/// What is known of a peer, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// The peer.
    pub peer: PeerKey,
    /// Whether a connection with it is established.
    pub is_connected: bool,
    /// Where it is dialled: multiaddresses.
    pub addresses: Vec<String>,
    /// How the last connection was encrypted: `tls1.3` or `noise`.
    pub security: Option<String>,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
    /// Lanes that we have open to it.
    pub lanes: usize,
    /// Requests that it has not answered yet.
    pub requests_in_flight: usize,
    /// Payload bytes sent to it since the start.
    pub sent_bytes: u64,
    /// Payload bytes received from it since the start.
    pub received_bytes: u64,
    /// The epoch that it last acknowledged.
    pub epoch: Option<Epoch>,
    /// What it calls its program.
    pub version: Option<String>,
    /// Why it was last not reached; `None` since it was.
    pub last_error: Option<String>,
}

/// The mesh of a process. Cheap to clone.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
}

struct Inner {
    net: Arc<Net>,
    lanes: Lanes,
}

impl Drop for Inner {
    /// A mesh that was not shut down ends its connections all the same.
    fn drop(&mut self) {
        self.net.stop.cancel();
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh({})", self.peer())
    }
}

impl Mesh {
    /// Starts listening and connecting. Returns once every address is listened on.
    ///
    /// # Errors
    /// [`StartMeshError`].
    pub async fn start(config: MeshConfig, host: Arc<dyn Host>) -> Result<Self, StartMeshError> {
        let (net, inbound, arrivals) = Net::start(&config).await?;
        let opener = Arc::clone(&net) as Arc<dyn OpenLanes>;
        let lanes = Lanes::new(net.peer, opener, Arc::clone(&host), config.budget_bytes);
        net.tasks.spawn(accept(Arc::clone(&net), inbound, lanes.clone(), host));
        net.tasks.spawn(welcome(net.stop.clone(), arrivals, lanes.clone()));
        Ok(Self { inner: Arc::new(Inner { net, lanes }) })
    }

    /// Who this process is.
    #[must_use]
    pub fn peer(&self) -> PeerKey {
        self.inner.net.peer
    }

    /// What others should dial: multiaddresses without the peer id.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.inner.net.addresses().iter().map(Multiaddr::to_string).collect()
    }

    /// Who may connect, and where to find them. Who is no longer named is disconnected; addresses
    /// of a peer that has none in `addresses` are kept.
    pub fn set_layout(&self, layout: &Layout, addresses: &HashMap<PeerKey, Vec<String>>) {
        let nodes = layout.nodes.iter().filter_map(|node| node.peer);
        let members: HashMap<PeerId, Vec<Multiaddr>> = nodes
            .chain(layout.gateways.iter().copied())
            .map(|peer| (peer_id(peer), usable(addresses.get(&peer).map(Vec::as_slice))))
            .collect();
        self.inner.net.set_members(members);
        self.inner.lanes.set_layout(layout);
    }

    /// A device of a peer; the same for the same pair while the peer is in the layout.
    #[must_use]
    pub fn device(&self, peer: PeerKey, device: DeviceId) -> Arc<dyn ShardService> {
        self.inner.lanes.device(peer, device)
    }

    /// Sends a layout to a peer and waits until it is in force there; answers the epoch in force.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn push_layout(
        &self,
        peer: PeerKey,
        layout: &SignedLayout,
    ) -> Result<Epoch, CallError> {
        self.inner.lanes.push_layout(peer, layout).await
    }

    /// Asks a gateway to join, over a connection of its own. `gateway` need not be in a layout.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join(
        &self,
        gateway: PeerKey,
        addresses: &[String],
        request: &JoinRequest,
    ) -> Result<JoinAnswer, CallError> {
        let known = usable(Some(addresses));
        let opened = self.inner.net.open_join(gateway, known).await;
        let mut stream = opened.map_err(|error| CallError::from_open(gateway, &error))?;
        join::ask(gateway, &mut stream, request).await
    }

    /// What is known of every peer of the layout and every bootstrap node.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let mut reports: Vec<PeerReport> = Vec::new();
        for (id, known) in self.inner.net.roster.all() {
            let Some(peer) = peer_key(&id) else { continue };
            let figures = self.inner.lanes.figures(peer);
            reports.push(PeerReport {
                peer,
                is_connected: known.connections > 0,
                addresses: known.addresses().iter().map(Multiaddr::to_string).collect(),
                security: known.security.map(str::to_owned),
                round_trip: figures.round_trip.or(known.round_trip),
                lanes: figures.lanes,
                requests_in_flight: figures.requests_in_flight,
                sent_bytes: figures.sent_bytes,
                received_bytes: figures.received_bytes,
                epoch: figures.epoch,
                version: figures.version.or(known.version),
                last_error: figures.last_error.or(known.last_error),
            });
        }
        reports.sort_by_key(|report| report.peer);
        reports
    }

    /// Looks up where a peer can be dialled, asking other members.
    ///
    /// # Errors
    /// [`CallError`] when nobody knows, or discovery is off.
    pub async fn find(&self, peer: PeerKey) -> Result<Vec<String>, CallError> {
        let found = self.inner.net.find(peer).await;
        let addresses = found.map_err(|error| CallError::from_open(peer, &error))?;
        if addresses.is_empty() {
            let reason = "no member knows where it is".to_owned();
            return Err(CallError::Unreachable { peer, reason });
        }
        Ok(addresses.iter().map(Multiaddr::to_string).collect())
    }

    /// Changes whenever a peer connects or goes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<u64> {
        self.inner.net.roster.changes()
    }

    /// Resolves when the mesh is gone: shut down, or ended by a defect, which only a restart mends.
    pub async fn ended(&self) {
        self.inner.net.ended().await;
    }

    /// Closes every connection and waits for what is under way.
    pub async fn shutdown(&self) {
        let ended = async {
            self.inner.lanes.shutdown().await;
            self.inner.net.shutdown().await;
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            warn!("the mesh was shut down with tasks still running");
        }
    }
}

/// Hands inbound streams to those who serve them.
async fn accept(
    net: Arc<Net>,
    mut inbound: mpsc::Receiver<Inbound>,
    lanes: Lanes,
    host: Arc<dyn Host>,
) {
    let joins = Arc::new(Semaphore::new(JOINS_MAX));
    let served = Arc::new(Semaphore::new(LANES_MAX));
    loop {
        let stream = tokio::select! {
            () = net.stop.cancelled() => return,
            stream = inbound.recv() => stream,
        };
        let Some(stream) = stream else { return };
        trace!(peer = %stream.peer, connection = %stream.connection, "a stream was opened");
        let stop = net.stop.clone();
        let room = if stream.is_join { &joins } else { &served };
        let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
            // Waiting here would hold up everybody; dropping resets the stream, which its opener
            // sees.
            telemetry::refused_stream(if stream.is_join { "joins" } else { "lanes" });
            continue;
        };
        if stream.is_join {
            let host = Arc::clone(&host);
            net.tasks.spawn(async move {
                answer_join(&stop, stream, &*host).await;
                drop(permit);
            });
        } else {
            let Inbound { peer, stream, .. } = stream;
            let serving = lanes.serve(InboundLane { peer, stream });
            net.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = serving => {}
                }
                drop(permit);
            });
        }
    }
}

/// Lets lanes try a peer at once that has just connected or told where it is.
async fn welcome(stop: CancellationToken, mut arrivals: mpsc::Receiver<PeerKey>, lanes: Lanes) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            arrived = arrivals.recv() => match arrived {
                Some(peer) => lanes.retry_now(peer),
                None => return,
            },
        }
    }
}

async fn answer_join(stop: &CancellationToken, mut inbound: Inbound, host: &dyn Host) {
    let answering = join::answer(inbound.peer, &mut inbound.stream, host);
    tokio::select! {
        () = stop.cancelled() => {}
        () = answering => {}
    }
}

/// The addresses among `texts` that can be dialled; what others announced may be anything.
fn usable(texts: Option<&[String]>) -> Vec<Multiaddr> {
    let parsed = texts.into_iter().flatten().filter_map(|text| address::parse(text).ok());
    parsed.filter(address::is_dialable).take(node_proto::join::ADDRESSES_MAX).collect()
}
