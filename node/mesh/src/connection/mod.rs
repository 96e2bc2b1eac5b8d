//! Connections: who may have one, what each is for, and how streams are opened on them.
//!
//! libp2p's stock stream behaviour hands inbound streams over a channel without room and drops the
//! overflow, negotiates one outbound stream at a time, and picks any connection to a peer. This
//! behaviour does neither.
//!
//! Invariants:
//! - a peer that is neither admitted nor dialled by us is refused before it can open a stream; on a
//!   gateway it may open [`JOIN_PROTOCOL`] once, within [`STRANGERS_MAX`] and [`STRANGER_TIME_MAX`];
//! - a lane opens on the connection of its class, or not at all;
//! - an inbound stream waits for room, and over [`handler::WAITING_MAX`] it is refused and counted.
//!
//! *Retries:* a peer that was not reached is left alone for a time that doubles with each failure,
//! jittered and capped; whoever asks meanwhile is told at once.

mod backoff;
mod behaviour;
mod handler;
mod known;

use std::time::Duration;

use libp2p::{PeerId, StreamProtocol, swarm::ConnectionId};
use node_proto::PeerKey;

pub(crate) use self::{behaviour::Behaviour, known::Known};
use crate::stream::{LaneClass, LaneStream, OpenLaneError};

/// Lanes.
pub(crate) const SHARD_PROTOCOL: StreamProtocol = StreamProtocol::new("/datamesh/shard/1");

/// One question to join and its answer.
pub(crate) const JOIN_PROTOCOL: StreamProtocol = StreamProtocol::new("/datamesh/join/1");

/// Strangers that a gateway listens to at a time. Chosen: with what a stranger's connection may
/// hold, all of them together hold some 32 MiB.
const STRANGERS_MAX: usize = 64;

/// How long a stranger may stay. Chosen: a join takes a few round trips.
const STRANGER_TIME_MAX: Duration = Duration::from_secs(10);

/// Where an opened stream goes.
pub(crate) type Answer = tokio::sync::oneshot::Sender<Result<LaneStream, OpenLaneError>>;

/// What a connection that we dial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Lanes of a class, for as long as the peer is a member.
    Class(LaneClass),
    /// One question; closed after it.
    Join,
}

impl Purpose {
    fn protocol(self) -> StreamProtocol {
        match self {
            Self::Class(_) => SHARD_PROTOCOL,
            Self::Join => JOIN_PROTOCOL,
        }
    }
}

/// A stream that a peer opened.
pub(crate) struct Inbound {
    /// Who opened it.
    pub(crate) peer: PeerKey,
    /// The connection that it is on.
    pub(crate) connection: ConnectionId,
    /// Whether it is for lanes or for a question to join.
    pub(crate) is_join: bool,
    /// The stream.
    pub(crate) stream: LaneStream,
}

/// What the owner of the connections is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A member connected here.
    Arrived {
        /// The peer.
        peer: PeerId,
    },
    /// A peer could not be reached at the addresses that are known.
    Unreached {
        /// The peer.
        peer: PeerId,
    },
}
