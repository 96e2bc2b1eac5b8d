//! Behaviours that only known peers meet.
//!
//! Invariants:
//! - no connection of a stranger has a handler of the wrapped behaviour, so a stranger can neither
//!   ask it anything nor be asked;
//! - the wrapped behaviour is told of those connections only that it has a handler on, and what it
//!   sends to "any" connection goes to one of them.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished, derive_prelude::Either, dummy,
    },
};

use crate::roster::{Roster, Standing};

/// A behaviour for known peers.
pub(crate) struct Known<B> {
    inner: B,
    roster: Arc<Roster>,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    /// Connections that got a handler and are not established yet.
    handled: Vec<ConnectionId>,
}

impl<B> Known<B> {
    pub(crate) fn new(inner: B, roster: Arc<Roster>) -> Self {
        Self { inner, roster, connections: HashMap::new(), handled: Vec::new() }
    }

    pub(crate) fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    fn is_known(&self, peer: &PeerId) -> bool {
        self.roster.standing(peer) != Standing::Stranger
    }

    /// Notes an established connection; answers how many others the peer has if it is a handled one.
    fn establish(&mut self, event: &ConnectionEstablished<'_>) -> Option<usize> {
        let index = self.handled.iter().position(|id| *id == event.connection_id)?;
        self.handled.swap_remove(index);
        let ids = self.connections.entry(event.peer_id).or_default();
        ids.push(event.connection_id);
        Some(ids.len() - 1)
    }

    /// Forgets a closed connection; answers how many of the peer's are left if it was a handled one.
    fn close(&mut self, event: &ConnectionClosed<'_>) -> Option<usize> {
        let ids = self.connections.get_mut(&event.peer_id)?;
        let index = ids.iter().position(|id| *id == event.connection_id)?;
        ids.swap_remove(index);
        let left = ids.len();
        if left == 0 {
            self.connections.remove(&event.peer_id);
        }
        Some(left)
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Known<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_known(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        self.handled.push(id);
        Ok(Either::Left(handler))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_known(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let inner = &mut self.inner;
        let handler =
            inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        self.handled.push(id);
        Ok(Either::Left(handler))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(mut event) => {
                // Not counting those from when the peer was a stranger: the wrapped behaviour takes
                // a first connection for the beginning of its acquaintance with the peer.
                if let Some(others) = self.establish(&event) {
                    event.other_established = others;
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(event));
                }
            }
            FromSwarm::ConnectionClosed(mut event) => {
                if let Some(left) = self.close(&event) {
                    event.remaining_established = left;
                    self.inner.on_swarm_event(FromSwarm::ConnectionClosed(event));
                }
            }
            FromSwarm::ListenFailure(event) => {
                self.handled.retain(|id| *id != event.connection_id);
                self.inner.on_swarm_event(FromSwarm::ListenFailure(event));
            }
            FromSwarm::DialFailure(event) => {
                self.handled.retain(|id| *id != event.connection_id);
                self.inner.on_swarm_event(FromSwarm::DialFailure(event));
            }
            event => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            let action = std::task::ready!(self.inner.poll(cx));
            let ToSwarm::NotifyHandler { peer_id, handler, event } = action else {
                return Poll::Ready(action.map_in(Either::Left));
            };
            let ids = self.connections.get(&peer_id).map(Vec::as_slice).unwrap_or_default();
            let chosen = match handler {
                NotifyHandler::One(id) => ids.contains(&id).then_some(id),
                NotifyHandler::Any => ids.first().copied(),
            };
            // Without a connection the event is void, as it is when a connection closes meanwhile.
            if let Some(id) = chosen {
                let handler = NotifyHandler::One(id);
                let event = Either::Left(event);
                return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
            }
        }
    }
}
