//! What is answered on a lane.

use serde::{Deserialize, Serialize};

use crate::{
    CopyShardError, DeleteShardsError, DeviceId, DeviceStatus, Epoch, GetShardError,
    ListShardsError, PutShardError, ScrubProgress, ShardEntry, ShardKey,
};

use super::{DamagedMark, LIST_ENTRIES_MAX};

/// Most devices of one process. Chosen: as many as drives may be offered.
pub const DEVICES_MAX: usize = crate::join::DRIVES_MAX;

/// Longest reason in an answer, in bytes; longer ones are cut. Chosen: a full report of devices
/// with such reasons fits in a frame.
pub const REASON_LEN_BYTES_MAX: usize = 512;

/// State of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Its state.
    pub status: DeviceStatus,
    /// Where its scrub stands.
    pub scrub: ScrubProgress,
}

/// A shard that was found damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedShard {
    /// Where.
    pub device: DeviceId,
    /// Which.
    pub key: ShardKey,
}

/// State of a process and all of its devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The layout in force there.
    pub epoch: Epoch,
    /// The program's version.
    pub version: String,
    /// Every device.
    pub devices: Vec<DeviceReport>,
    /// Shards found damaged and not yet taken note of, oldest first.
    pub damaged: Vec<DamagedShard>,
    /// Where they end; to be sent back with the next request.
    pub damaged_mark: DamagedMark,
}

/// Why a request was not even tried. Asking again is useless unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The one who asks may not.
    #[error("not allowed")]
    NotAllowed,
    /// The request cannot be understood or is over a bound.
    #[error("not understood: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// There is no such device here.
    #[error("device {device:?} is not here")]
    NoDevice {
        /// The device asked for.
        device: DeviceId,
    },
    /// The process is in no cluster.
    #[error("not part of a cluster")]
    NoCluster,
    /// The copy order is altered or not signed by the cluster.
    #[error("the copy order's signature is wrong")]
    OrderAltered,
    /// The copy order has ended, or lasts longer than any order.
    #[error("the copy order has expired")]
    OrderExpired,
    /// The copy order is for another cluster.
    #[error("the copy order is another cluster's")]
    OrderOfOtherCluster,
    /// The copy order is for another reader.
    #[error("the copy order is for another reader")]
    OrderForOtherReader,
    /// The copy order is for another source.
    #[error("the copy order is for another source")]
    OrderForOtherSource,
    /// The copy order was made under a layout that is too old.
    #[error("the copy order is of an old layout; in force is epoch {epoch:?}")]
    OrderStale {
        /// The epoch in force.
        epoch: Epoch,
    },
    /// The copy order was used before.
    #[error("the copy order was used before")]
    OrderReplayed,
}

/// The body of a RESPONSE frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Done.
    Done,
    /// The payload follows in DATA frames.
    Payload {
        /// Its length in bytes.
        len_bytes: u32,
    },
    /// A shard.
    Entry(ShardEntry),
    /// Shards, ascending.
    Entries(Vec<ShardEntry>),
    /// State of the process and all of its devices.
    Status(PeerStatus),
    /// The layout in force after [`super::Request::SetLayout`].
    Layout(Epoch),
    /// Over a bound on work in flight. Ask again later or elsewhere.
    Busy,
    /// The deadline has passed.
    TimedOut,
    /// Not even tried.
    Refused(Refusal),
    /// Put or replace failed.
    PutFailed(PutShardError),
    /// Get, verify or fetch failed.
    GetFailed(GetShardError),
    /// Delete failed.
    DeleteFailed(DeleteShardsError),
    /// List failed.
    ListFailed(ListShardsError),
    /// Copy failed.
    CopyFailed(CopyShardError),
    /// The layout is not acceptable.
    LayoutInvalid {
        /// What is wrong.
        reason: String,
    },
    /// A newer layout is in force.
    LayoutStale {
        /// Its epoch.
        epoch: Epoch,
    },
    /// The layout was not stored. Send it again later.
    LayoutNotStored {
        /// What happened.
        reason: String,
    },
}

/// The answer is none, of another version, over a bound, or has trailing bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer of {len} bytes cannot be understood")]
pub struct InvalidResponse {
    /// Length of the refused body.
    pub len: usize,
}

impl Response {
    /// The frame's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new())
            .expect("answers hold only types that postcard can encode, and memory grows")
    }

    /// Reads what [`Self::encode`] wrote, and checks its bounds.
    ///
    /// # Errors
    /// [`InvalidResponse`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidResponse> {
        let invalid = InvalidResponse { len: bytes.len() };
        let response: Self = match postcard::take_from_bytes(bytes) {
            Ok((response, [])) => response,
            _ => return Err(invalid),
        };
        let is_bounded = match &response {
            Self::Entries(entries) => entries.len() <= LIST_ENTRIES_MAX,
            Self::Status(status) => status.devices.len() <= DEVICES_MAX,
            _ => true,
        };
        if is_bounded { Ok(response) } else { Err(invalid) }
    }
}

#[cfg(test)]
mod tests;
