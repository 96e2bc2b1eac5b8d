//! Which connections exist, what each is for, and the dials under way.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialError, DialFailure,
        FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::ConnectionEstablished,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::{
    Answer, Event, Inbound, JOIN_PROTOCOL, Purpose, SHARD_PROTOCOL, STRANGER_TIME_MAX,
    STRANGERS_MAX,
    backoff::Backoff,
    handler::{Handler, Open, Told},
};
use crate::{
    address::normalize,
    identity::peer_key,
    roster::{Roster, Standing},
    stream::{LaneClass, OpenLaneError},
    telemetry,
};

/// Openings that wait for one dial. Chosen: beyond, whoever asks is told at once.
const WAITING_FOR_DIAL_MAX: usize = 1024;

/// Peers whose failures are remembered. Chosen: more than any layout has nodes.
const BACKOFFS_MAX: usize = 4096;

/// The peer is not admitted here.
#[derive(Debug, thiserror::Error)]
#[error("the peer is not admitted")]
struct NotAdmitted;

/// A connection that is established.
struct Established {
    peer: PeerId,
    label: &'static str,
    purpose: Option<Purpose>,
    works: bool,
}

/// A dial under way.
struct Dial {
    peer: PeerId,
    purpose: Purpose,
    waiting: Vec<Answer>,
}

/// The connections of this process.
pub(crate) struct Behaviour {
    roster: Arc<Roster>,
    is_gateway: bool,
    sender: mpsc::Sender<Inbound>,
    established: HashMap<ConnectionId, Established>,
    dials: HashMap<ConnectionId, Dial>,
    pins: HashMap<(PeerId, LaneClass), ConnectionId>,
    backoffs: HashMap<PeerId, Backoff>,
    strangers: HashMap<ConnectionId, (PeerId, Instant)>,
    actions: VecDeque<ToSwarm<Event, Open>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(crate) fn new(
        roster: Arc<Roster>,
        is_gateway: bool,
        sender: mpsc::Sender<Inbound>,
    ) -> Self {
        Self {
            roster,
            is_gateway,
            sender,
            established: HashMap::new(),
            dials: HashMap::new(),
            pins: HashMap::new(),
            backoffs: HashMap::new(),
            strangers: HashMap::new(),
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream on the connection of a class, which is dialled when there is none.
    pub(crate) fn open(&mut self, peer: PeerId, class: LaneClass, answer: Answer) {
        let Some(key) = peer_key(&peer) else { return };
        if self.roster.standing(&peer) != Standing::Member {
            let _ = answer.send(Err(OpenLaneError::NotAdmitted { peer: key }));
            return;
        }
        let Some(id) = self.pins.get(&(peer, class)).copied() else {
            self.dial_class(peer, class, answer);
            return;
        };
        let protocol = SHARD_PROTOCOL;
        match self.dials.get_mut(&id) {
            None => self.act(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(id),
                event: Open { protocol, answer },
            }),
            Some(dial) if dial.waiting.len() < WAITING_FOR_DIAL_MAX => dial.waiting.push(answer),
            Some(_) => {
                let reason = "too much waits for the connection".to_owned();
                let _ = answer.send(Err(OpenLaneError::Unreachable { peer: key, reason }));
            }
        }
    }

    /// Opens the stream to join over, on a connection of its own.
    pub(crate) fn open_join(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, answer: Answer) {
        self.dial(peer, Purpose::Join, addresses, answer);
    }

    fn dial_class(&mut self, peer: PeerId, class: LaneClass, answer: Answer) {
        let Some(key) = peer_key(&peer) else { return };
        if let Some(backoff) = self.backoffs.get(&peer).filter(|b| b.holds(Instant::now())) {
            let reason = backoff.reason.clone();
            let _ = answer.send(Err(OpenLaneError::Unreachable { peer: key, reason }));
            return;
        }
        let addresses = self.roster.addresses(&peer);
        if addresses.is_empty() {
            let _ = answer.send(Err(OpenLaneError::NoAddress { peer: key }));
            self.fail(peer, "no address is known".to_owned());
            self.act(ToSwarm::GenerateEvent(Event::Unreached { peer }));
            return;
        }
        let id = self.dial(peer, Purpose::Class(class), addresses, answer);
        self.pins.insert((peer, class), id);
    }

    fn dial(
        &mut self,
        peer: PeerId,
        purpose: Purpose,
        addresses: Vec<Multiaddr>,
        answer: Answer,
    ) -> ConnectionId {
        // Several connections to one peer are the point, so each dial goes ahead.
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        let id = opts.connection_id();
        self.dials.insert(id, Dial { peer, purpose, waiting: vec![answer] });
        self.act(ToSwarm::Dial { opts });
        id
    }

    /// Closes the connection of a class at once.
    pub(crate) fn abandon(&mut self, peer: PeerId, class: LaneClass) {
        if let Some(id) = self.pins.remove(&(peer, class)) {
            self.close(peer, id);
        }
    }

    /// Closes one connection.
    pub(crate) fn close(&mut self, peer: PeerId, id: ConnectionId) {
        let connection = CloseConnection::One(id);
        self.act(ToSwarm::CloseConnection { peer_id: peer, connection });
    }

    /// Closes every connection with peers that left the layout.
    pub(crate) fn expel(&mut self, peers: &[PeerId]) {
        for peer in peers {
            self.backoffs.remove(peer);
            let connection = CloseConnection::All;
            self.act(ToSwarm::CloseConnection { peer_id: *peer, connection });
        }
    }

    /// The peer's whereabouts changed: it may be dialled at once.
    pub(crate) fn forgive(&mut self, peer: &PeerId) {
        self.backoffs.remove(peer);
    }

    /// Closes strangers that stayed too long.
    pub(crate) fn sweep(&mut self) {
        let now = Instant::now();
        let is_over = |since: &Instant| now.duration_since(*since) >= STRANGER_TIME_MAX;
        let over: Vec<_> = self
            .strangers
            .iter()
            .filter(|(_, (_, since))| is_over(since))
            .map(|(id, (peer, _))| (*peer, *id))
            .collect();
        for (peer, id) in over {
            self.close(peer, id);
        }
    }

    fn fail(&mut self, peer: PeerId, reason: String) {
        self.roster.failed(&peer, &reason);
        if self.backoffs.len() >= BACKOFFS_MAX {
            let now = Instant::now();
            self.backoffs.retain(|_, backoff| backoff.holds(now));
        }
        let backoff = Backoff::after(self.backoffs.get(&peer), Instant::now(), reason);
        self.backoffs.insert(peer, backoff);
    }

    fn act(&mut self, action: ToSwarm<Event, Open>) {
        self.actions.push_back(action);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self, peer: PeerId, id: ConnectionId) -> Result<Handler, ConnectionDenied> {
        let key = peer_key(&peer).ok_or_else(|| ConnectionDenied::new(NotAdmitted))?;
        let accepts = match (self.roster.standing(&peer), self.is_gateway) {
            (Standing::Member, true) => vec![SHARD_PROTOCOL, JOIN_PROTOCOL],
            (Standing::Member, false) => vec![SHARD_PROTOCOL],
            (Standing::Bootstrap | Standing::Stranger, true) => vec![JOIN_PROTOCOL],
            (Standing::Bootstrap | Standing::Stranger, false) => Vec::new(),
        };
        Ok(Handler::new(key, id, accepts, PollSender::new(self.sender.clone())))
    }

    fn on_established(&mut self, event: &ConnectionEstablished<'_>) {
        let (peer, id) = (event.peer_id, event.connection_id);
        let dial = self.dials.remove(&id);
        let purpose = dial.as_ref().map(|dial| dial.purpose);
        let label = match purpose {
            Some(Purpose::Class(class)) => class.name(),
            Some(Purpose::Join) => "join",
            None if event.endpoint.is_listener() => "inbound",
            None => "discovery",
        };
        telemetry::connection(label, 1.0);
        self.roster.connected(&peer);
        self.established.insert(id, Established { peer, label, purpose, works: false });
        match self.roster.standing(&peer) {
            Standing::Stranger if event.endpoint.is_listener() => {
                self.strangers.insert(id, (peer, Instant::now()));
            }
            Standing::Member if event.endpoint.is_listener() => {
                // It is up, so it may be dialled at once.
                self.forgive(&peer);
                self.act(ToSwarm::GenerateEvent(Event::Arrived { peer }));
            }
            _ => {}
        }
        for answer in dial.into_iter().flat_map(|dial| dial.waiting) {
            let protocol = purpose.map_or(SHARD_PROTOCOL, Purpose::protocol);
            self.act(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(id),
                event: Open { protocol, answer },
            });
        }
    }

    fn on_closed(&mut self, event: &ConnectionClosed<'_>) {
        let id = event.connection_id;
        self.strangers.remove(&id);
        let Some(closed) = self.established.remove(&id) else { return };
        telemetry::connection(closed.label, -1.0);
        self.roster.disconnected(&closed.peer);
        let Some(Purpose::Class(class)) = closed.purpose else { return };
        if self.pins.get(&(closed.peer, class)) == Some(&id) {
            self.pins.remove(&(closed.peer, class));
        }
        // A peer that does not know us closes right after the handshake: that is a failure too.
        if !closed.works {
            let reason = "it closes connections at once: perhaps it does not know this peer";
            self.fail(closed.peer, reason.to_owned());
        }
    }

    fn on_dial_failure(&mut self, event: &DialFailure<'_>) {
        let Some(dial) = self.dials.remove(&event.connection_id) else { return };
        telemetry::dial_failed();
        let peer = dial.peer;
        let reason = describe(event.error);
        if let Purpose::Class(class) = dial.purpose {
            self.pins.remove(&(peer, class));
            self.fail(peer, reason.clone());
            self.act(ToSwarm::GenerateEvent(Event::Unreached { peer }));
        }
        let Some(key) = peer_key(&peer) else { return };
        for answer in dial.waiting {
            let reason = reason.clone();
            let _ = answer.send(Err(OpenLaneError::Unreachable { peer: key, reason }));
        }
    }
}

/// What went wrong with a dial, on one line.
fn describe(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => {
            let each = errors.iter().map(|(address, error)| {
                let (place, _) = normalize(address).unwrap_or_else(|| (address.clone(), None));
                format!("{place}: {}", innermost(error))
            });
            each.collect::<Vec<_>>().join("; ")
        }
        DialError::WrongPeerId { obtained, .. } => format!("another peer answers: {obtained}"),
        error => error.to_string(),
    }
}

/// What an error comes from: the layers around it only say that something below failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.handler(peer, id)?;
        if self.roster.standing(&peer) != Standing::Stranger {
            return Ok(handler.kept_alive());
        }
        if !self.is_gateway || self.strangers.len() >= STRANGERS_MAX {
            telemetry::refused_stranger();
            return Err(ConnectionDenied::new(NotAdmitted));
        }
        Ok(handler.once())
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(peer.map(|peer| self.roster.addresses(&peer)).unwrap_or_default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.handler(peer, id)?;
        match self.dials.get(&id).map(|dial| dial.purpose) {
            // A class stays open while idle; a join and a lookup end when their streams do.
            Some(Purpose::Class(_)) if self.roster.standing(&peer) == Standing::Member => {
                Ok(handler.kept_alive())
            }
            Some(Purpose::Join) => Ok(handler),
            None if self.roster.standing(&peer) != Standing::Stranger => Ok(handler),
            _ => Err(ConnectionDenied::new(NotAdmitted)),
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.on_established(&event),
            FromSwarm::ConnectionClosed(event) => self.on_closed(&event),
            FromSwarm::DialFailure(event) => self.on_dial_failure(&event),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Told::Works => {
                self.backoffs.remove(&peer);
                self.roster.reached(&peer);
                if let Some(connection) = self.established.get_mut(&id) {
                    connection.works = true;
                }
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
