//! How long devices were seen up, under `ctl availability`.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `as_of` | varint, Unix milliseconds |
//! | `devices` | sequence of device varint, observed varint, up varint, both milliseconds |

use node_proto::{DeviceId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Record;

/// What was seen of one device; older times count less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAvailability {
    /// The device.
    pub device: DeviceId,
    /// How long it was watched, in milliseconds.
    pub observed_ms: u64,
    /// How long of that it was up, in milliseconds.
    pub up_ms: u64,
}

/// All devices of the layout that were watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityRecord {
    /// When it was written.
    pub as_of: UnixMillis,
    /// Ascending by device.
    pub devices: Vec<DeviceAvailability>,
}

impl Record for AvailabilityRecord {
    const NAME: &'static str = "availability record";
}
