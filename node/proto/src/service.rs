//! The shard service: what every device can do, wherever it is.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceUuid, ShardKey, ShardRoot};

/// A byte range within one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// First byte wanted.
    pub offset_bytes: u64,
    /// Number of bytes wanted; at least one.
    pub len_bytes: u64,
}

/// What a device knows of a shard it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// The shard's name.
    pub key: ShardKey,
    /// Payload length in bytes.
    pub len_bytes: u64,
    /// BLAKE3 of the payload as it was when stored.
    pub root: ShardRoot,
}

/// Whether a device can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceHealth {
    /// Serves reads and writes.
    Online,
    /// Serves reads and deletes; too full for writes.
    Full,
    /// Unreachable, unmounted, or failed by an I/O error. A later probe may bring it back.
    Offline,
}

/// Names one opening of a drive; random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpeningId(pub [u8; 16]);

/// How a device's content continues what it held before. Whoever remembers the last opening and
/// mark can tell a drive that was merely restarted from one that was restored from a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuity {
    /// This opening; zeros while offline.
    pub opening: OpeningId,
    /// The opening before, as the drive itself recorded it; `None` for one just formatted.
    pub previous: Option<OpeningId>,
    /// Number of the last durable record that was found at this opening. Numbers only grow.
    pub found_mark: u64,
    /// Number of the last durable record now.
    pub mark: u64,
    /// Shards that the device knew of were gone or cut off at this opening.
    pub content_lost: bool,
}

/// A snapshot of a device, cheap to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// The slot it fills.
    pub device: DeviceId,
    /// Which formatting of the drive is mounted; `None` while offline.
    pub uuid: Option<DeviceUuid>,
    /// How often this formatting was opened, from its superblock; zero while offline. A device
    /// whose count is lower than the one last recorded was restored from an old copy.
    pub open_count: u64,
    /// How its content continues what it held before this opening.
    pub continuity: Continuity,
    /// Whether it can serve.
    pub health: DeviceHealth,
    /// Why it is not `Online`, in words for an operator.
    pub reason: Option<String>,
    /// Space given to shards in bytes, used and free together.
    pub capacity_bytes: u64,
    /// Bytes a write could still use.
    pub free_bytes: u64,
    /// Shards held.
    pub shard_count: u64,
}

/// Where a device's scrub stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// Whether a pass is under way.
    pub running: bool,
    /// Shards verified in the current or last pass.
    pub verified_shards: u64,
    /// Payload bytes verified in the current or last pass.
    pub verified_bytes: u64,
    /// Damaged shards found in the current or last pass.
    pub damaged_shards: u64,
    /// Passes completed since the device was opened.
    pub completed_passes: u64,
}

/// Why a shard was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PutShardError {
    /// Another payload is stored under the key. Fix the caller: keys are write-once.
    #[error("shard {key} already holds other bytes")]
    Conflict {
        /// The contested key.
        key: ShardKey,
    },
    /// The payload does not hash to the given root: damaged on its way.
    #[error("payload of shard {key} does not match its root")]
    RootMismatch {
        /// The refused key.
        key: ShardKey,
    },
    /// No space. Choose another device.
    #[error("device {device:?} is full")]
    Full {
        /// The full device.
        device: DeviceId,
    },
    /// Over a bound on work in flight. Retry later or elsewhere.
    #[error("device {device:?} is busy")]
    Busy {
        /// The busy device.
        device: DeviceId,
    },
    /// The device cannot serve. Choose another.
    #[error("device {device:?} is offline: {reason}")]
    Offline {
        /// The failed device.
        device: DeviceId,
        /// What happened, for the log.
        reason: String,
    },
}

/// Why a shard was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum GetShardError {
    /// The device does not hold the shard: lost, or never stored.
    #[error("shard {key} is not on device {device:?}")]
    NotFound {
        /// The missing key.
        key: ShardKey,
        /// The device asked.
        device: DeviceId,
    },
    /// The shard is there but its bytes or header fail verification, or the range lies outside it.
    #[error("shard {key} on device {device:?} is damaged: {reason}")]
    Damaged {
        /// The damaged key.
        key: ShardKey,
        /// The device asked.
        device: DeviceId,
        /// What failed, for the log.
        reason: String,
    },
    /// Over a bound on work in flight. Retry later or elsewhere.
    #[error("device {device:?} is busy")]
    Busy {
        /// The busy device.
        device: DeviceId,
    },
    /// The device cannot serve. Read another shard.
    #[error("device {device:?} is offline: {reason}")]
    Offline {
        /// The failed device.
        device: DeviceId,
        /// What happened, for the log.
        reason: String,
    },
}

/// Why shards were not deleted. Nothing is promised about which of them went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeleteShardsError {
    /// The device cannot serve. Retry when it is back.
    #[error("device {device:?} is offline: {reason}")]
    Offline {
        /// The failed device.
        device: DeviceId,
        /// What happened, for the log.
        reason: String,
    },
}

/// Why shards could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ListShardsError {
    /// The device cannot serve. Retry when it is back.
    #[error("device {device:?} is offline: {reason}")]
    Offline {
        /// The failed device.
        device: DeviceId,
        /// What happened, for the log.
        reason: String,
    },
}

/// Why a shard was not copied from another device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CopyShardError {
    /// This device cannot copy by itself. Read the shard and put it.
    #[error("device {device:?} does not copy shards by itself")]
    Unsupported {
        /// The device asked.
        device: DeviceId,
    },
    /// The source did not give the shard. Put it from elsewhere.
    #[error("device {device:?} got no shard {key} from {source_device:?}: {reason}")]
    Source {
        /// The shard.
        key: ShardKey,
        /// The device asked.
        device: DeviceId,
        /// The device that should have given it.
        source_device: DeviceId,
        /// What happened, for the log.
        reason: String,
    },
    /// The device did not store it.
    #[error(transparent)]
    Put(#[from] PutShardError),
}

/// One device that stores shards.
///
/// *Consistency:* a key is write-once; `put` of the same key and root again succeeds. After `Ok`,
/// `get`, `list` and `delete` see the shard, also after a crash.
/// *Retries:* every call is idempotent.
/// *Cancellation:* dropping a future abandons the answer, not necessarily the effect.
#[async_trait]
pub trait ShardService: Send + Sync + 'static {
    /// Stores `payload` under `key`; durable when `Ok`.
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError>;

    /// Reads a range of a shard. The bytes are what the medium returned: the device checks the
    /// record's header, the caller authenticates the content (by AEAD tag or by root).
    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError>;

    /// Reads a whole shard and verifies it against the root stored with it.
    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError>;

    /// Replaces whatever is stored under `key`; durable when `Ok`. For repair only: the one caller
    /// that knows the right bytes from the manifest.
    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError>;

    /// Copies a shard from another device without its bytes passing the caller; durable when `Ok`.
    /// As [`Self::put`] otherwise.
    async fn copy_from(
        &self,
        source: DeviceId,
        key: ShardKey,
        root: ShardRoot,
        len_bytes: u64,
    ) -> Result<(), CopyShardError> {
        let _ = (source, key, root, len_bytes);
        Err(CopyShardError::Unsupported { device: self.status().device })
    }

    /// Deletes shards; durable when `Ok`. Missing keys are not an error.
    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError>;

    /// Up to `limit` shards with keys greater than `after`, ascending.
    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError>;

    /// The device's current state. Never blocks.
    fn status(&self) -> DeviceStatus;

    /// Starts a scrub pass unless one is running. Damage is reported through
    /// [`Self::take_damaged`].
    fn start_scrub(&self);

    /// Where scrubbing stands.
    fn scrub_progress(&self) -> ScrubProgress;

    /// Up to `limit` shards found damaged (by scrub or by a read) since the last call.
    fn take_damaged(&self, limit: usize) -> Vec<ShardKey>;
}
