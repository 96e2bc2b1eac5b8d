//! What the gateway last saw of a device.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `uuid` | 16 bytes |
//! | `open_count` | varint |
//! | `opening` | 16 bytes |
//! | `mark` | varint |
//! | `rebuild` | option of: `next_manifest` varint, `rebuilt_shards` varint |

use node_proto::{DeviceUuid, OpeningId};
use serde::{Deserialize, Serialize};

use super::Record;

/// One device slot, so that a drive that returns empty or old is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The formatting seen last.
    pub uuid: DeviceUuid,
    /// Its open count seen last; a lower one means that an old copy came back.
    pub open_count: u64,
    /// The opening seen last; the next one must name it as its predecessor.
    pub opening: OpeningId,
    /// The highest record number known to have been durable on it; an opening that finds less was
    /// made from an old copy. Trails the device by a bounded time.
    pub mark: u64,
    /// Set while shards may be missing: the device is being rebuilt.
    pub rebuild: Option<RebuildState>,
}

/// How far the rebuild of a device has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildState {
    /// Manifests below this id are done.
    pub next_manifest: u64,
    /// Shards recreated so far.
    pub rebuilt_shards: u64,
}

impl Record for DeviceRecord {
    const NAME: &'static str = "device record";
}
