//! The mesh as the rest of the process sees it.
//!
//! *Cancellation:* every future may be dropped; what it asked for may still happen.
//! *Limits:* [`COMMANDS_MAX`] requests to the connections wait at a time, [`INBOUND_MAX`] inbound
//! streams wait to be served, [`LANES_MAX`] are served and [`JOINS_MAX`] joins are answered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    connection_limits::{Behaviour as ConnectionLimits, ConnectionLimits as Limits},
    swarm::{self, behaviour::toggle::Toggle},
};
use node_proto::{
    DeviceId, Epoch, JoinAnswer, JoinRequest, Layout, PeerKey, ShardService, SignedLayout,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CallError, Host, InvalidAddress, MeshConfig, SetupError, address,
    connection::{self, Behaviour, Inbound, Known},
    driver::{self, Abandoned, Command, Driver, Lookups, Members, Parts},
    identity::{peer_id, peer_key},
    join,
    roster::Roster,
    stream::{InboundLane, LaneClass, LaneStream, OpenLaneError, OpenLanes},
    transport,
};

/// Requests to the connections that wait. Chosen: an opening of every class of every node.
const COMMANDS_MAX: usize = 1024;

/// Inbound streams that wait to be served. Chosen: serving begins at once unless overloaded.
const INBOUND_MAX: usize = 256;

/// Lanes that are served at a time. Chosen: what a gateway opens to a node, times some gateways.
const LANES_MAX: usize = 4096;

/// Joins that are answered at a time. Chosen: each takes a commit.
const JOINS_MAX: usize = 32;

/// Connections being set up by others at a time. Chosen: every class of some 80 nodes at once; a
/// handshake holds some ten kilobytes.
const PENDING_INBOUND_MAX: u32 = 256;

/// Connections that we are setting up at a time. Chosen.
const PENDING_OUTBOUND_MAX: u32 = 1024;

/// Connections in all. Chosen: three classes of a thousand nodes.
const ESTABLISHED_MAX: u32 = 4096;

/// How long a connection without streams lives that is kept for no other reason. Chosen.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an opening may take, dialling included. Chosen: a dial and a negotiation.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long starting waits for the addresses listened on. Chosen: they are there at once.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long shutting down waits for tasks. Chosen.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams of one connection that are negotiated at a time. Chosen.
const NEGOTIATING_MAX: usize = 64;

/// Why the mesh did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartMeshError {
    /// An address of the configuration cannot be used.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// Keys or the resolver cannot be used.
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
    peer: PeerKey,
    roster: Arc<Roster>,
    commands: mpsc::Sender<Command>,
    members: watch::Sender<Members>,
    advertised: Vec<Multiaddr>,
    listening: Arc<Mutex<Vec<Multiaddr>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    connections: TaskTracker,
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh({})", self.inner.peer)
    }
}

impl Mesh {
    /// Starts listening and connecting. Returns once every address is listened on.
    ///
    /// # Errors
    /// [`StartMeshError`].
    pub async fn start(config: MeshConfig, host: Arc<dyn Host>) -> Result<Self, StartMeshError> {
        let keypair = config.identity.keypair();
        let own = keypair.public().to_peer_id();
        let listen = parse_all(&config.listen)?;
        let advertised = parse_all(&config.advertise)?;
        let bootstrap = config.bootstrap.iter().map(|text| address::parse_with_peer(text));
        let bootstrap = bootstrap.collect::<Result<Vec<_>, _>>()?;

        let roster = Arc::new(Roster::new(own, &bootstrap));
        let (inbound_sender, inbound) = mpsc::channel(INBOUND_MAX);
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (members, members_receiver) = watch::channel(Members::default());
        let connections = TaskTracker::new();
        let transport = transport::build(&keypair, config.security, Arc::clone(&roster) as _)?;
        let kad = config.discovery.then(|| driver::kademlia(own));
        let parts = Parts {
            limits: ConnectionLimits::new(limits()),
            lanes: Behaviour::new(Arc::clone(&roster), config.is_gateway, inbound_sender),
            identify: Known::new(driver::identify(&keypair), Arc::clone(&roster)),
            ping: Known::new(driver::ping(), Arc::clone(&roster)),
            kad: Known::new(Toggle::from(kad), Arc::clone(&roster)),
        };
        let mut swarm = Swarm::new(transport, parts, own, swarm_config(connections.clone()));
        for address in &advertised {
            swarm.add_external_address(address.clone());
        }
        let inner = Arc::new(Inner {
            peer: config.identity.peer(),
            roster: Arc::clone(&roster),
            commands,
            members,
            advertised,
            listening: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            connections,
        });
        let abandoned = Arc::<Abandoned>::default();
        let mut driver = Driver {
            swarm,
            roster,
            commands: command_receiver,
            abandoned: Arc::clone(&abandoned),
            members: members_receiver,
            stop: inner.stop.clone(),
            lookups: Lookups::default(),
            listening: Arc::clone(&inner.listening),
            advertises_listening: inner.advertised.is_empty(),
        };
        driver.listen(&listen, LISTEN_TIMEOUT).await?;
        driver.dial_bootstrap(&bootstrap);
        inner.tasks.spawn(driver.run());
        inner.tasks.spawn(accept(Arc::clone(&inner), inbound, host));
        Ok(Self { inner })
    }

    /// Who this process is.
    #[must_use]
    pub fn peer(&self) -> PeerKey {
        self.inner.peer
    }

    /// What others should dial: multiaddresses without the peer id.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        if !self.inner.advertised.is_empty() {
            return self.inner.advertised.iter().map(Multiaddr::to_string).collect();
        }
        let listening = self.inner.listening.lock();
        let others: Vec<_> = listening.iter().filter(|a| !address::is_loopback(a)).collect();
        // A loopback address is of use only where there is no other.
        let useful = if others.is_empty() { listening.iter().collect() } else { others };
        useful.into_iter().map(Multiaddr::to_string).collect()
    }

    /// Who may connect, and where to find them. Who is no longer named is disconnected; addresses
    /// of a peer that has none in `addresses` are kept.
    pub fn set_layout(&self, layout: &Layout, addresses: &HashMap<PeerKey, Vec<String>>) {
        let nodes = layout.nodes.iter().filter_map(|node| node.peer);
        let members: HashMap<PeerId, Vec<Multiaddr>> = nodes
            .chain(layout.gateways.iter().copied())
            .map(|peer| (peer_id(peer), usable(addresses.get(&peer))))
            .collect();
        self.inner.roster.set_members(&members);
        self.inner.members.send_replace(Arc::new(members));
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
        let mut dialled = usable(Some(&addresses.to_vec()));
        dialled.extend(self.inner.roster.addresses(&peer_id(gateway)));
        if dialled.is_empty() {
            let reason = "no address of it is known".to_owned();
            return Err(CallError::Unreachable { peer: gateway, reason });
        }
        let open = self.inner.ask(gateway, |answer| Command::Join {
            peer: peer_id(gateway),
            addresses: dialled,
            answer,
        });
        let mut stream = open.await.map_err(|error| CallError::from_open(gateway, &error))?;
        join::ask(gateway, &mut stream, request).await
    }

    /// What is known of every peer of the layout and every bootstrap node.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let mut reports: Vec<PeerReport> = Vec::new();
        for (id, known) in self.inner.roster.all() {
            let Some(peer) = peer_key(&id) else { continue };
            reports.push(PeerReport {
                peer,
                is_connected: known.connections > 0,
                addresses: known.addresses().iter().map(Multiaddr::to_string).collect(),
                security: known.security.map(str::to_owned),
                round_trip: known.round_trip,
                lanes: 0,
                requests_in_flight: 0,
                sent_bytes: 0,
                received_bytes: 0,
                epoch: None,
                version: known.version,
                last_error: known.last_error,
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
        let (answer, found) = oneshot::channel();
        let command = Command::Find { peer: peer_id(peer), answer };
        self.inner.commands.send(command).await.map_err(|_| CallError::Closed)?;
        let found = tokio::time::timeout(OPEN_TIMEOUT, found).await;
        let addresses = found.map_err(|_| CallError::TimedOut { peer })?.unwrap_or_default();
        if addresses.is_empty() {
            let reason = "no member knows where it is".to_owned();
            return Err(CallError::Unreachable { peer, reason });
        }
        Ok(addresses.iter().map(Multiaddr::to_string).collect())
    }

    /// Changes whenever a peer connects or goes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<u64> {
        self.inner.roster.changes()
    }

    /// Closes every connection and waits for what is under way.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.connections.close();
        let ended = async {
            self.inner.tasks.wait().await;
            self.inner.connections.wait().await;
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the mesh was shut down with tasks still running");
        }
    }
}

impl Inner {
    /// Sends a command and waits for the stream that it opens.
    async fn ask(
        &self,
        peer: PeerKey,
        command: impl FnOnce(connection::Answer) -> Command,
    ) -> Result<LaneStream, OpenLaneError> {
        let (answer, opened) = oneshot::channel();
        let opening = async {
            let sent = self.commands.send(command(answer)).await;
            sent.map_err(|_| OpenLaneError::Closed)?;
            opened.await.unwrap_or_else(|_| {
                let reason = "the connection was closed".to_owned();
                Err(OpenLaneError::Unreachable { peer, reason })
            })
        };
        let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
        opened.unwrap_or(Err(OpenLaneError::TimedOut { peer }))
    }
}

/// Opens lanes' streams.
struct Opener {
    inner: Arc<Inner>,
    abandoned: Arc<Abandoned>,
}

#[async_trait]
impl OpenLanes for Opener {
    async fn open(&self, peer: PeerKey, class: LaneClass) -> Result<LaneStream, OpenLaneError> {
        let id = peer_id(peer);
        self.inner.ask(peer, |answer| Command::Open { peer: id, class, answer }).await
    }

    fn abandon(&self, peer: PeerKey, class: LaneClass) {
        self.abandoned.add(peer_id(peer), class);
    }
}

/// Hands inbound streams to those who serve them.
async fn accept(inner: Arc<Inner>, mut inbound: mpsc::Receiver<Inbound>, host: Arc<dyn Host>) {
    let joins = Arc::new(Semaphore::new(JOINS_MAX));
    loop {
        let stream = tokio::select! {
            () = inner.stop.cancelled() => return,
            stream = inbound.recv() => stream,
        };
        let Some(stream) = stream else { return };
        if stream.is_join {
            let Ok(permit) = Arc::clone(&joins).acquire_owned().await else { return };
            let (inner, host) = (Arc::clone(&inner), Arc::clone(&host));
            inner.tasks.clone().spawn(async move {
                answer_join(&inner, stream, &*host).await;
                drop(permit);
            });
        }
    }
}

async fn answer_join(inner: &Inner, mut inbound: Inbound, host: &dyn Host) {
    let answering = join::answer(inbound.peer, &mut inbound.stream, host);
    tokio::select! {
        () = inner.stop.cancelled() => {}
        () = answering => {}
    }
}

fn limits() -> Limits {
    Limits::default()
        .with_max_pending_incoming(Some(PENDING_INBOUND_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUTBOUND_MAX))
        .with_max_established(Some(ESTABLISHED_MAX))
}

fn swarm_config(connections: TaskTracker) -> swarm::Config {
    let executor = move |task| {
        connections.spawn(task);
    };
    swarm::Config::with_executor(executor)
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX)
}

fn parse_all(texts: &[String]) -> Result<Vec<Multiaddr>, InvalidAddress> {
    texts.iter().map(|text| address::parse(text)).collect()
}

/// The addresses among `texts` that can be dialled; what others announced may be anything.
fn usable(texts: Option<&Vec<String>>) -> Vec<Multiaddr> {
    let parsed = texts.into_iter().flatten().filter_map(|text| address::parse(text).ok());
    parsed.filter(address::is_dialable).take(node_proto::join::ADDRESSES_MAX).collect()
}
