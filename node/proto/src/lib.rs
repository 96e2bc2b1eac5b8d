//! The contract between gateways and storage devices.
//!
//! Owns the ids both sides speak, the layout document that says which devices exist, the clock
//! interface, and [`ShardService`], the one trait behind which a local drive, a remote node and a
//! simulated device look the same.
//!
//! Invariants:
//! - nothing here performs I/O, reads a clock or spawns work;
//! - every id has one byte encoding, big-endian, so that encoded order is numeric order;
//! - a [`ShardKey`] is never reused: manifest ids are leased once and stripe numbers only grow.
//!
//! Deliberately absent: wire frames (they arrive with the mesh) and anything that knows S3.

mod clock;
mod ids;
mod layout;
mod service;

pub use clock::{Clock, ManualClock, UnixMillis};
pub use ids::{
    ClusterId, DeviceId, DeviceUuid, Epoch, InvalidShardKey, ManifestId, PlacementGroupId,
    ShardIndex, ShardKey, ShardRoot, StripeSeq,
};
pub use layout::{Layout, LayoutDevice, LayoutError};
pub use service::{
    ByteRange, Continuity, DeleteShardsError, DeviceHealth, DeviceStatus, GetShardError,
    ListShardsError, OpeningId, PutShardError, ScrubProgress, ShardEntry, ShardService,
};
