//! The connections of a process, as the rest of this crate uses them.
//!
//! *Limits:* [`COMMANDS_MAX`] requests wait at a time and [`INBOUND_MAX`] inbound streams wait to be
//! served; libp2p's connection limits bound handshakes and connections in all.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    connection_limits::{Behaviour as ConnectionLimits, ConnectionLimits as Limits},
    swarm::{self, behaviour::toggle::Toggle},
};
use node_proto::PeerKey;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    InvalidAddress, MeshConfig, StartMeshError, address,
    connection::{Answer, Behaviour, Inbound, Known},
    driver::{self, Abandoned, Command, Driver, Lookups, Members, Parts},
    identity::peer_id,
    roster::Roster,
    stream::{LaneClass, LaneStream, OpenLaneError, OpenLanes},
    transport,
};

/// Requests to the connections that wait. Chosen: an opening of every class of every node.
const COMMANDS_MAX: usize = 1024;

/// Inbound streams that wait to be served. Chosen: serving begins at once unless overloaded.
const INBOUND_MAX: usize = 256;

/// Peers that have just come within reach. Chosen: news that find no room are not missed, since
/// whoever wants the peer tries again by itself.
const ARRIVALS_MAX: usize = 256;

/// Connections being set up by others at a time. Chosen: every class of some 300 nodes at once; a
/// handshake holds some ten kilobytes.
const PENDING_INBOUND_MAX: u32 = 1024;

/// Connections that we are setting up at a time. Chosen.
const PENDING_OUTBOUND_MAX: u32 = 1024;

/// Connections in all. Chosen: three classes of a thousand nodes.
const ESTABLISHED_MAX: u32 = 4096;

/// How long a connection without streams lives that is kept for no other reason: joins, lookups and
/// strangers. Chosen: a lookup asks again within it, and a stranger's place is soon free.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an opening may take, dialling included. Chosen: a dial and a negotiation.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long starting waits for the addresses listened on. Chosen: they are there at once.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams of one connection that are negotiated at a time. Chosen.
const NEGOTIATING_MAX: usize = 64;

/// The connections of a process.
pub(crate) struct Net {
    pub(crate) peer: PeerKey,
    pub(crate) roster: Arc<Roster>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    commands: mpsc::Sender<Command>,
    members: watch::Sender<Members>,
    abandoned: Arc<Abandoned>,
    advertised: Vec<Multiaddr>,
    listening: Arc<Mutex<Vec<Multiaddr>>>,
    connections: TaskTracker,
}

impl Net {
    /// Starts listening and connecting; answers also where inbound streams arrive, and
    /// who has just come within reach.
    ///
    /// # Errors
    /// [`StartMeshError`].
    pub(crate) async fn start(
        config: &MeshConfig,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Inbound>, mpsc::Receiver<PeerKey>), StartMeshError> {
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
        let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
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
        let net = Arc::new(Self {
            peer: config.identity.peer(),
            roster: Arc::clone(&roster),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            commands,
            members,
            abandoned: Arc::default(),
            advertised,
            listening: Arc::default(),
            connections,
        });
        let mut driver = Driver {
            swarm,
            roster,
            commands: command_receiver,
            abandoned: Arc::clone(&net.abandoned),
            members: members_receiver,
            known: Members::default(),
            stop: net.stop.clone(),
            lookups: Lookups::default(),
            arrivals,
            listening: Arc::clone(&net.listening),
            advertises_listening: net.advertised.is_empty(),
        };
        driver.listen(&listen, LISTEN_TIMEOUT).await?;
        driver.dial_bootstrap(&bootstrap);
        net.tasks.spawn(driver.run());
        Ok((net, inbound, arrived))
    }

    /// What others should dial.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        if !self.advertised.is_empty() {
            return self.advertised.clone();
        }
        address::without_loopback(self.listening.lock().clone())
    }

    /// Takes over who is admitted and where they announced to be.
    pub(crate) fn set_members(&self, members: HashMap<PeerId, Vec<Multiaddr>>) {
        // Admission changes at once; the connections of who left are closed by the driver.
        self.roster.set_members(&members);
        self.members.send_replace(Arc::new(members));
    }

    /// The stream to join over, on a connection of its own.
    pub(crate) async fn open_join(
        &self,
        peer: PeerKey,
        mut addresses: Vec<Multiaddr>,
    ) -> Result<LaneStream, OpenLaneError> {
        let id = peer_id(peer);
        addresses.extend(self.roster.addresses(&id));
        if addresses.is_empty() {
            return Err(OpenLaneError::NoAddress { peer });
        }
        self.ask(peer, |answer| Command::Join { peer: id, addresses, answer }).await
    }

    /// Where members say that a peer is; empty when none knows.
    pub(crate) async fn find(&self, peer: PeerKey) -> Result<Vec<Multiaddr>, OpenLaneError> {
        let (answer, found) = oneshot::channel();
        let command = Command::Find { peer: peer_id(peer), answer };
        self.commands.send(command).await.map_err(|_| OpenLaneError::Closed)?;
        let found = tokio::time::timeout(OPEN_TIMEOUT, found).await;
        Ok(found.map_err(|_| OpenLaneError::TimedOut { peer })?.unwrap_or_default())
    }

    /// Resolves when nothing drives the connections any more.
    pub(crate) async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Closes every connection and waits for every task.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.connections.close();
        self.tasks.wait().await;
        self.connections.wait().await;
    }

    /// Sends a command and waits for the stream that it opens.
    async fn ask(
        &self,
        peer: PeerKey,
        command: impl FnOnce(Answer) -> Command,
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

#[async_trait]
impl OpenLanes for Net {
    async fn open(&self, peer: PeerKey, class: LaneClass) -> Result<LaneStream, OpenLaneError> {
        let id = peer_id(peer);
        self.ask(peer, |answer| Command::Open { peer: id, class, answer }).await
    }

    fn abandon(&self, peer: PeerKey, class: LaneClass) {
        self.abandoned.add(peer_id(peer), class);
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

#[cfg(test)]
mod tests;
