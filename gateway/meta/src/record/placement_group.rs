//! A placement group.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `epoch` | varint |
//! | `devices` | sequence of varint |

use node_proto::{DeviceId, Epoch};
use serde::{Deserialize, Serialize};

use super::Record;

/// An ordered set of devices in distinct failure domains. Immutable: other devices make another
/// group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroupRecord {
    /// Layout epoch in which the group was made.
    pub epoch: Epoch,
    /// Shard `i` of a stripe lives on `devices[i]`.
    pub devices: Vec<DeviceId>,
}

impl Record for PlacementGroupRecord {
    const NAME: &'static str = "placement group record";
}
