//! The contract between gateways and storage devices.
//!
//! Owns the ids both sides speak, the layout document that says which devices exist, what gateways
//! sign and nodes verify, how a node joins, the clock interface, and [`ShardService`], the one trait
//! behind which a local drive, a remote node and a simulated device look the same.
//!
//! Invariants:
//! - nothing here performs I/O, reads a clock or spawns work;
//! - every id has one byte encoding, big-endian, so that encoded order is numeric order;
//! - a [`ShardKey`] is never reused: manifest ids are leased once and stripe numbers only grow.
//!
//! Deliberately absent: anything that knows S3.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod ids;
pub mod join;
mod layout;
mod service;
pub mod signed;
pub mod wire;

pub use clock::{Clock, ManualClock, UnixMillis};
pub use ids::{
    ClusterId, DeviceId, DeviceUuid, Epoch, InvalidPeerKey, InvalidShardKey, ManifestId, NodeId,
    PeerKey, PlacementGroupId, ShardIndex, ShardKey, ShardRoot, StripeSeq,
};
pub use join::{JoinAnswer, JoinRequest, JoinToken, TokenId};
pub use layout::{Layout, LayoutDevice, LayoutError, LayoutNode, NodeState};
pub use service::{
    ByteRange, Continuity, CopyShardError, DeleteShardsError, DeviceHealth, DeviceStatus,
    GetShardError, ListShardsError, OpeningId, PutShardError, ScrubProgress, ShardEntry,
    ShardService,
};
pub use signed::{ClusterKey, ClusterPublicKey, CopyOrder, SignedCopyOrder, SignedLayout};
