//! What can be asked for on a lane.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ByteRange, DeviceId, ShardKey, ShardRoot, SignedCopyOrder};

/// Longest payload of a request or a response in bytes. Chosen: four times the longest shard of the
/// default stripe of 8 MiB.
pub const PAYLOAD_LEN_BYTES_MAX: usize = 32 << 20;

/// Most keys that one request deletes. Chosen: they fit in a frame.
pub const DELETE_KEYS_MAX: usize = 4096;

/// Most shards that one response lists. Chosen: they fit in a frame, at 58 bytes each at most.
pub const LIST_ENTRIES_MAX: usize = 4096;

/// How urgent a request is. More urgent payloads overtake others between two DATA frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Repair, verification, copies.
    Background,
    /// What a client waits for.
    Normal,
    /// What everything waits for.
    Urgent,
}

/// What every request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Milliseconds after which the answer is of no use.
    pub deadline_ms: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// Length of the payload that follows in DATA frames, in bytes.
    pub payload_len_bytes: u32,
}

/// Up to where somebody has taken note of the damaged shards that a process reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedMark {
    /// Names the run of the process; its numbers start anew with each.
    pub run: u64,
    /// Number of the last shard taken note of.
    pub number: u64,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Stores the payload unless other bytes are stored under the key.
    Put {
        /// Where.
        device: DeviceId,
        /// Under which name.
        key: ShardKey,
        /// BLAKE3 of the payload.
        root: ShardRoot,
    },
    /// Stores the payload whatever is stored under the key.
    Replace {
        /// Where.
        device: DeviceId,
        /// Under which name.
        key: ShardKey,
        /// BLAKE3 of the payload.
        root: ShardRoot,
    },
    /// Reads a range of a shard.
    Get {
        /// Where.
        device: DeviceId,
        /// Which shard.
        key: ShardKey,
        /// Which bytes; at least one.
        range: ByteRange,
    },
    /// Reads a shard and compares it with its root.
    Verify {
        /// Where.
        device: DeviceId,
        /// Which shard.
        key: ShardKey,
    },
    /// Deletes shards.
    Delete {
        /// Where.
        device: DeviceId,
        /// At most [`DELETE_KEYS_MAX`].
        keys: Vec<ShardKey>,
    },
    /// Lists shards, ascending.
    List {
        /// Where.
        device: DeviceId,
        /// Only greater keys.
        after: Option<ShardKey>,
        /// At most [`LIST_ENTRIES_MAX`].
        limit: u32,
    },
    /// State of the process and all of its devices.
    Status {
        /// The damaged shards taken note of, which are then forgotten.
        damaged_seen: Option<DamagedMark>,
        /// Most damaged shards to report.
        damaged_max: u32,
    },
    /// Starts a scrub pass.
    StartScrub {
        /// Where.
        device: DeviceId,
    },
    /// Takes the layout whose signed body is the payload.
    SetLayout {
        /// The cluster's signature.
        signature: Bytes,
    },
    /// Fetches a shard from another process and stores it.
    Copy {
        /// Where to.
        device: DeviceId,
        /// Leave to read it.
        order: SignedCopyOrder,
    },
    /// Reads what a copy order allows to read.
    Fetch {
        /// The order.
        order: SignedCopyOrder,
    },
    /// Nothing; for measuring.
    Echo,
}

/// The body of a REQUEST frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFrame {
    /// What every request says.
    pub head: RequestHead,
    /// What is asked for.
    pub request: Request,
}

/// Why a REQUEST frame is refused. The lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// It is none, of another version, or has trailing bytes.
    #[error("the request cannot be understood")]
    Unreadable,
    /// A number in it is over its bound.
    #[error("the request's {what} is {value}, not at most {max}")]
    OverLimit {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Its bound.
        max: u64,
    },
    /// It has a payload and must not, or has none and must.
    #[error("the request's payload has {len_bytes} bytes, which does not fit its kind")]
    Payload {
        /// The announced length.
        len_bytes: u32,
    },
}

impl Request {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::Replace { .. } => "replace",
            Self::Get { .. } => "get",
            Self::Verify { .. } => "verify",
            Self::Delete { .. } => "delete",
            Self::List { .. } => "list",
            Self::Status { .. } => "status",
            Self::StartScrub { .. } => "start_scrub",
            Self::SetLayout { .. } => "set_layout",
            Self::Copy { .. } => "copy",
            Self::Fetch { .. } => "fetch",
            Self::Echo => "echo",
        }
    }

    /// Whether a payload follows it.
    #[must_use]
    pub fn has_payload(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Replace { .. } | Self::SetLayout { .. })
    }
}

impl RequestFrame {
    /// The frame's body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new())
            .expect("requests hold only types that postcard can encode, and memory grows")
    }

    /// Reads what [`Self::encode`] wrote, and checks its bounds.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRequest> {
        let frame: Self = match postcard::take_from_bytes(bytes) {
            Ok((frame, [])) => frame,
            _ => return Err(InvalidRequest::Unreadable),
        };
        frame.check()?;
        Ok(frame)
    }

    /// The payload's announced length, without looking at the request: what must be skipped when
    /// the rest cannot be understood. `None` when not even that can be read.
    #[must_use]
    pub fn payload_len_of(bytes: &[u8]) -> Option<u32> {
        let (head, _) = postcard::take_from_bytes::<RequestHead>(bytes).ok()?;
        Some(head.payload_len_bytes)
    }

    /// Checks the bounds that hold for every request.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let len_bytes = self.head.payload_len_bytes;
        at_most("payload length", u64::from(len_bytes), PAYLOAD_LEN_BYTES_MAX)?;
        if !self.request.has_payload() && len_bytes != 0 {
            return Err(InvalidRequest::Payload { len_bytes });
        }
        match &self.request {
            Request::Delete { keys, .. } => {
                at_most("number of keys", keys.len() as u64, DELETE_KEYS_MAX)
            }
            Request::List { limit, .. } => at_most("limit", u64::from(*limit), LIST_ENTRIES_MAX),
            Request::Get { range, .. } => {
                at_most("range length", range.len_bytes, PAYLOAD_LEN_BYTES_MAX)
            }
            _ => Ok(()),
        }
    }
}

fn at_most(what: &'static str, value: u64, max: usize) -> Result<(), InvalidRequest> {
    let max = max as u64;
    if value > max { Err(InvalidRequest::OverLimit { what, value, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
