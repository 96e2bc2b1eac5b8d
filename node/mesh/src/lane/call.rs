//! One request, its answer, and what can go wrong between them.

use bytes::Bytes;
use node_proto::{
    PeerKey,
    wire::{Priority, Refusal, Request, Response},
};
use tokio::time::Instant;

use crate::{host::LayoutRefused, stream::OpenLaneError};

/// Why a peer did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or none was made lately. Retry later.
    #[error("{peer} is not reachable: {reason}")]
    Unreachable {
        /// The peer.
        peer: PeerKey,
        /// What happened, for the log.
        reason: String,
    },
    /// The connection went while the answer was awaited: it may or may not have been done. Retry.
    #[error("the connection to {peer} was lost: {reason}")]
    Lost {
        /// The peer.
        peer: PeerKey,
        /// What happened, for the log.
        reason: String,
    },
    /// No answer in time: it may or may not have been done.
    #[error("{peer} did not answer in time")]
    TimedOut {
        /// The peer.
        peer: PeerKey,
    },
    /// The peer is over a bound on work in flight. Retry later or elsewhere.
    #[error("{peer} is busy")]
    Busy {
        /// The peer.
        peer: PeerKey,
    },
    /// The peer does not do it. Asking again is useless.
    #[error("{peer} refused: {refusal}")]
    Refused {
        /// The peer.
        peer: PeerKey,
        /// Why.
        refusal: Refusal,
    },
    /// The peer answered something that is no answer to the question.
    #[error("{peer} gave no sensible answer: {reason}")]
    Senseless {
        /// The peer.
        peer: PeerKey,
        /// What is wrong with it.
        reason: String,
    },
    /// The peer does not take the layout.
    #[error("{peer} did not take the layout: {refused}")]
    Layout {
        /// The peer.
        peer: PeerKey,
        /// Why.
        refused: LayoutRefused,
    },
    /// This process is shutting down.
    #[error("the mesh is shutting down")]
    Closed,
}

impl CallError {
    pub(crate) fn from_open(peer: PeerKey, error: &OpenLaneError) -> Self {
        match error {
            OpenLaneError::Closed => Self::Closed,
            OpenLaneError::Unreachable { reason, .. } => {
                Self::Unreachable { peer, reason: reason.clone() }
            }
            OpenLaneError::NoAddress { .. } => {
                Self::Unreachable { peer, reason: "no address is known".to_owned() }
            }
            OpenLaneError::NotAdmitted { .. } => {
                Self::Unreachable { peer, reason: "it is not in the layout".to_owned() }
            }
            OpenLaneError::TimedOut { .. } => {
                Self::Unreachable { peer, reason: "no answer in time".to_owned() }
            }
        }
    }

    /// What happened, where it is clear whom it happened with.
    pub(crate) fn without_peer(&self) -> String {
        match self {
            Self::Unreachable { reason, .. } => reason.clone(),
            error => error.to_string(),
        }
    }

    pub(crate) fn senseless(peer: PeerKey, response: &Response) -> Self {
        let text = format!("{response:?}");
        let reason = text.chars().take(100).collect();
        Self::Senseless { peer, reason }
    }
}

/// A request to be made.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) payload: Bytes,
    pub(crate) priority: Priority,
    pub(crate) deadline: Instant,
    /// Longest payload that may be answered. Nothing longer is ever held.
    pub(crate) answer_len_max: u32,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) payload: Bytes,
}
