//! Where lanes and connections meet.
//!
//! Lanes know nothing of libp2p: they ask for a stream to a peer over the connection of a class, and
//! say when such a connection is to be given up. Whoever owns connections answers.
//!
//! Invariants:
//! - a stream handed out is already past the handshake: its peer is proved;
//! - streams of different classes never share a connection.

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite};
use node_proto::{PeerKey, wire::LaneKind};

/// A substream of some connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A substream that lanes own.
pub(crate) type LaneStream = Box<dyn Stream>;

/// What a connection is for. Upload and download are apart, so that neither holds up the other's
/// bytes; control is apart from both, so that small requests never wait behind payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LaneClass {
    /// Requests and answers without payloads.
    Control,
    /// Payloads towards the dialled peer.
    Upload,
    /// Payloads from the dialled peer.
    Download,
}

impl LaneClass {
    /// Every class, by [`Self::index`].
    pub(crate) const ALL: [Self; 3] = [Self::Control, Self::Upload, Self::Download];

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Upload => 1,
            Self::Download => 2,
        }
    }

    /// How it is told to the other side.
    pub(crate) fn kind(self) -> LaneKind {
        match self {
            Self::Control => LaneKind::Control,
            Self::Upload => LaneKind::Upload,
            Self::Download => LaneKind::Download,
        }
    }

    /// What the other side told.
    pub(crate) fn from_kind(kind: LaneKind) -> Self {
        match kind {
            LaneKind::Control => Self::Control,
            LaneKind::Upload => Self::Upload,
            LaneKind::Download => Self::Download,
        }
    }

    /// Its name in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// Why no stream to a peer was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenLaneError {
    /// No address of the peer is known.
    #[error("no address of {peer} is known")]
    NoAddress {
        /// The peer.
        peer: PeerKey,
    },
    /// The peer is not in the layout.
    #[error("{peer} is not admitted")]
    NotAdmitted {
        /// The peer.
        peer: PeerKey,
    },
    /// It was not reached, proved to be somebody else, or does not speak the protocol. Retry.
    #[error("{peer} was not reached: {reason}")]
    Unreachable {
        /// The peer.
        peer: PeerKey,
        /// What happened, for the log.
        reason: String,
    },
    /// It did not answer in time. Retry.
    #[error("{peer} did not answer in time")]
    TimedOut {
        /// The peer.
        peer: PeerKey,
    },
    /// This process is shutting down.
    #[error("the mesh is shutting down")]
    Closed,
}

/// Whoever owns the connections.
#[async_trait]
pub(crate) trait OpenLanes: Send + Sync + 'static {
    /// A new stream to `peer` over the connection of `class`, which is dialled when there is none.
    /// Ends within a bound of its own. Cancel-safe: dropping the future drops the stream.
    ///
    /// # Errors
    /// [`OpenLaneError`].
    async fn open(&self, peer: PeerKey, class: LaneClass) -> Result<LaneStream, OpenLaneError>;

    /// Gives up the connection of `class` to `peer` at once; every stream of it fails.
    fn abandon(&self, peer: PeerKey, class: LaneClass);
}

/// A stream that a peer opened here. Its class is told by its first frame.
pub(crate) struct InboundLane {
    /// Who opened it, proved by the handshake.
    pub(crate) peer: PeerKey,
    /// The stream.
    pub(crate) stream: LaneStream,
}
