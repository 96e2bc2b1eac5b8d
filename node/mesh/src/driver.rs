//! The one task that owns the connections.
//!
//! Invariants:
//! - everything that changes connections happens here, in the order it was asked for;
//! - addresses that Kademlia finds are used only for peers that the layout names.
//!
//! *Cancellation:* when its token is cancelled the task closes every connection and ends.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify, kad, ping,
    swarm::{
        NetworkBehaviour, SwarmEvent,
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use node_proto::PeerKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    StartMeshError, address,
    connection::{Answer, Behaviour, Event, Known},
    identity::peer_key,
    roster::Roster,
    stream::LaneClass,
};

/// Kademlia of this mesh; nobody else's.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/datamesh/kad/1.0.0");

/// How often strangers that stay too long are looked for. Chosen.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long no further address appears once all do. Chosen: the kernel lists them at once.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// How long a lookup may take. Chosen: a peer that does not answer is another one's to replace.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Entries of a Kademlia bucket. Chosen: larger than the default, so that a gateway knows every
/// node of a large cluster.
const BUCKET_LEN: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// Lookups under way. Chosen: beyond, whoever asks is told that nothing was found.
const LOOKUPS_MAX: usize = 256;

/// How often peers are measured. Chosen.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// What other tasks ask of the connections.
pub(crate) enum Command {
    /// Open a lane's stream.
    Open { peer: PeerId, class: LaneClass, answer: Answer },
    /// Open the stream to join over.
    Join { peer: PeerId, addresses: Vec<Multiaddr>, answer: Answer },
    /// Look up where a peer can be dialled.
    Find { peer: PeerId, answer: oneshot::Sender<Vec<Multiaddr>> },
}

/// Connections that are to be given up; never more than members times classes.
#[derive(Default)]
pub(crate) struct Abandoned {
    wanted: Mutex<HashSet<(PeerId, LaneClass)>>,
    notify: Notify,
}

impl Abandoned {
    pub(crate) fn add(&self, peer: PeerId, class: LaneClass) {
        self.wanted.lock().insert((peer, class));
        self.notify.notify_one();
    }
}

/// Who is in the layout and what they announced.
pub(crate) type Members = Arc<HashMap<PeerId, Vec<Multiaddr>>>;

/// Everything that runs on the connections.
#[derive(NetworkBehaviour)]
pub(crate) struct Parts {
    pub(crate) limits: libp2p::connection_limits::Behaviour,
    pub(crate) lanes: Behaviour,
    pub(crate) identify: Known<identify::Behaviour>,
    pub(crate) ping: Known<ping::Behaviour>,
    pub(crate) kad: Known<Toggle<kad::Behaviour<kad::store::MemoryStore>>>,
}

/// identify as this mesh speaks it.
pub(crate) fn identify(keypair: &libp2p::identity::Keypair) -> identify::Behaviour {
    let version = format!("datamesh/{}", env!("CARGO_PKG_VERSION"));
    let config = identify::Config::new("/datamesh/1".to_owned(), keypair.public());
    // Addresses are kept in the roster, bounded, so the behaviour's own cache is not needed. Told are
    // those that others should dial, not all that are listened on.
    let config = config.with_agent_version(version).with_cache_size(0);
    identify::Behaviour::new(config.with_hide_listen_addrs(true))
}

/// ping as this mesh speaks it.
pub(crate) fn ping() -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL))
}

/// Kademlia that finds addresses and stores nothing.
pub(crate) fn kademlia(own: PeerId) -> kad::Behaviour<kad::store::MemoryStore> {
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        .set_query_timeout(LOOKUP_TIMEOUT)
        .set_kbucket_size(BUCKET_LEN)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        // Records and providers that others put are handed to us instead of stored, and dropped.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_caching(kad::Caching::Disabled)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_periodic_bootstrap_interval(None);
    let mut kad = kad::Behaviour::with_config(own, kad::store::MemoryStore::new(own), config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

/// What the task works with.
pub(crate) struct Driver {
    pub(crate) swarm: Swarm<Parts>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) abandoned: Arc<Abandoned>,
    pub(crate) members: watch::Receiver<Members>,
    /// The members that were last taken over.
    pub(crate) known: Members,
    pub(crate) stop: CancellationToken,
    pub(crate) lookups: Lookups,
    pub(crate) arrivals: mpsc::Sender<PeerKey>,
    /// Addresses listened on, and whether others were configured to be told instead.
    pub(crate) listening: Arc<Mutex<Vec<Multiaddr>>>,
    pub(crate) advertises_listening: bool,
}

/// Lookups under way, and who waits for each.
#[derive(Default)]
pub(crate) struct Lookups {
    queries: HashMap<kad::QueryId, PeerId>,
    waiting: HashMap<PeerId, Vec<oneshot::Sender<Vec<Multiaddr>>>>,
}

impl Driver {
    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        self.take_members();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                () = self.abandoned.notify.notified() => self.abandon(),
                Ok(()) = self.members.changed() => self.take_members(),
                _ = sweep.tick() => self.swarm.behaviour_mut().lanes.sweep(),
            }
        }
    }

    /// Listens on every address and waits until the sockets are there.
    ///
    /// # Errors
    /// [`StartMeshError::Listen`].
    pub(crate) async fn listen(
        &mut self,
        addresses: &[Multiaddr],
        timeout: Duration,
    ) -> Result<(), StartMeshError> {
        for address in addresses {
            self.listen_on(address, timeout).await?;
        }
        Ok(())
    }

    async fn listen_on(
        &mut self,
        address: &Multiaddr,
        timeout: Duration,
    ) -> Result<(), StartMeshError> {
        let failed =
            |reason: String| StartMeshError::Listen { address: address.to_string(), reason };
        let id = self.swarm.listen_on(address.clone()).map_err(|e| failed(e.to_string()))?;
        let listening = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } if listener_id == id => {
                        self.on_listening(address);
                        return Ok(());
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == id => {
                        let reason = reason.err().map(|e| e.to_string());
                        return Err(failed(reason.unwrap_or_else(|| "it was closed".to_owned())));
                    }
                    event => self.on_event(event),
                }
            }
        };
        let listened = tokio::time::timeout(timeout, listening).await;
        listened.unwrap_or_else(|_| Err(failed("there is no such interface".to_owned())))?;
        if !address::is_specified(address) {
            self.settle().await;
        }
        Ok(())
    }

    /// Waits until the addresses of all interfaces are there: one event each, in quick succession.
    async fn settle(&mut self) {
        while let Ok(event) = tokio::time::timeout(SETTLE_TIME, self.swarm.select_next_some()).await
        {
            self.on_event(event);
        }
    }

    fn abandon(&mut self) {
        let wanted: Vec<_> = self.abandoned.wanted.lock().drain().collect();
        for (peer, class) in wanted {
            self.swarm.behaviour_mut().lanes.abandon(peer, class);
        }
    }

    fn take_members(&mut self) {
        let known = std::mem::take(&mut self.known);
        let members = Arc::clone(&self.members.borrow_and_update());
        let left: Vec<PeerId> =
            known.keys().filter(|peer| !members.contains_key(peer)).copied().collect();
        let parts = self.swarm.behaviour_mut();
        parts.lanes.expel(&left);
        if let Some(kad) = parts.kad.inner_mut().as_mut() {
            for peer in &left {
                kad.remove_peer(peer);
            }
        }
        for (peer, addresses) in members.iter() {
            self.route(peer);
            // Somebody new, or somebody who moved, may be dialled at once.
            if !addresses.is_empty() && known.get(peer) != Some(addresses) {
                self.arrived(peer);
            }
        }
        self.known = members;
    }

    /// Puts what the roster knows of a peer into the routing table.
    fn route(&mut self, peer: &PeerId) {
        let addresses = self.roster.addresses(peer);
        if let Some(kad) = self.swarm.behaviour_mut().kad.inner_mut().as_mut() {
            kad.remove_peer(peer);
            for address in addresses {
                kad.add_address(peer, address);
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        // Whoever sets a layout and then asks for a peer of it relies on that order.
        if self.members.has_changed().unwrap_or(false) {
            self.take_members();
        }
        let parts = self.swarm.behaviour_mut();
        match command {
            Command::Open { peer, class, answer } => parts.lanes.open(peer, class, answer),
            Command::Join { peer, addresses, answer } => {
                parts.lanes.open_join(peer, addresses, answer);
            }
            Command::Find { peer, answer } => self.find(peer, Some(answer)),
        }
    }

    fn find(&mut self, peer: PeerId, answer: Option<oneshot::Sender<Vec<Multiaddr>>>) {
        let is_asked = self.lookups.queries.values().any(|asked| *asked == peer);
        if !is_asked {
            if self.lookups.queries.len() >= LOOKUPS_MAX {
                return;
            }
            let Some(kad) = self.swarm.behaviour_mut().kad.inner_mut().as_mut() else { return };
            // With its old addresses the peer would be tried, fail, and not be tried again when
            // others name new ones.
            kad.remove_peer(&peer);
            let query = kad.get_closest_peers(peer);
            self.lookups.queries.insert(query, peer);
        }
        self.lookups.waiting.entry(peer).or_default().extend(answer);
    }

    fn on_event(&mut self, event: SwarmEvent<PartsEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.lock().retain(|known| *known != address);
                self.swarm.remove_external_address(&address);
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if endpoint.is_dialer() => {
                self.on_dialled(peer_id, endpoint.get_remote_address());
            }
            SwarmEvent::Behaviour(event) => self.on_part(event),
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listening socket reported an error");
            }
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        if self.advertises_listening {
            self.swarm.add_external_address(address.clone());
        }
        let mut listening = self.listening.lock();
        if !listening.contains(&address) {
            listening.push(address);
        }
    }

    fn on_part(&mut self, event: PartsEvent) {
        match event {
            PartsEvent::Lanes(Event::Unreached { peer }) => self.find(peer, None),
            PartsEvent::Lanes(Event::Arrived { peer }) => self.arrived(&peer),
            PartsEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.roster.runs(&peer_id, &info.agent_version);
                self.roster.learn(&peer_id, &info.listen_addrs);
                self.route(&peer_id);
            }
            PartsEvent::Ping(ping::Event { peer, result: Ok(round_trip), .. }) => {
                self.roster.answered_in(&peer, round_trip);
            }
            PartsEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, .. }) => {
                if let kad::QueryResult::GetClosestPeers(result) = result {
                    self.on_found(id, result);
                }
            }
            PartsEvent::Identify(_) | PartsEvent::Ping(_) | PartsEvent::Kad(_) => {}
        }
    }

    fn arrived(&mut self, peer: &PeerId) {
        self.swarm.behaviour_mut().lanes.forgive(peer);
        if let Some(key) = peer_key(peer) {
            // Without room the news is dropped: whoever wants the peer tries again by itself.
            let _ = self.arrivals.try_send(key);
        }
    }

    /// A lookup ends as soon as the peer itself was reached: it proved to be there.
    fn on_dialled(&mut self, peer: PeerId, address: &Multiaddr) {
        let asked = self.lookups.queries.iter().find(|(_, asked)| **asked == peer);
        let Some(query) = asked.map(|(query, _)| *query) else { return };
        self.lookups.queries.remove(&query);
        if let Some(kad) = self.swarm.behaviour_mut().kad.inner_mut().as_mut()
            && let Some(mut query) = kad.query_mut(&query)
        {
            query.finish();
        }
        self.found(peer, std::slice::from_ref(address));
    }

    fn on_found(&mut self, query: kad::QueryId, result: kad::GetClosestPeersResult) {
        let Some(peer) = self.lookups.queries.remove(&query) else { return };
        let peers = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        // Listed are those who answered. One that was connected all along has no address here, but
        // has told its addresses itself.
        let mut addresses = Vec::new();
        if let Some(found) = peers.into_iter().find(|found| found.peer_id == peer) {
            addresses = found.addrs;
            if addresses.is_empty() {
                addresses = self.roster.addresses(&peer);
            }
        }
        self.found(peer, &addresses);
    }

    /// Tells whoever waits where a peer is; no address tells that nobody knows.
    fn found(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let plain = addresses.iter().filter_map(address::normalize).map(|(plain, _)| plain);
        let addresses: Vec<Multiaddr> = plain.collect();
        if !addresses.is_empty() {
            self.roster.learn(&peer, &addresses);
            self.arrived(&peer);
        }
        self.route(&peer);
        for waiting in self.lookups.waiting.remove(&peer).into_iter().flatten() {
            let _ = waiting.send(addresses.clone());
        }
    }

    /// Dials the bootstrap nodes, so that they and we learn of each other.
    pub(crate) fn dial_bootstrap(&mut self, peers: &[(PeerId, Multiaddr)]) {
        for (peer, address) in peers {
            let opts = DialOpts::peer_id(*peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address.clone()])
                .allocate_new_port()
                .build();
            if let Err(error) = self.swarm.dial(opts) {
                tracing::debug!(%peer, %error, "a bootstrap node was not dialled");
            }
        }
    }
}
