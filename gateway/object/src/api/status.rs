//! What an operator can see.

use node_proto::{DeviceStatus, ScrubProgress};

/// Where repair stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairStatus {
    /// Stripes that wait for repair.
    pub queued_stripes: u64,
    /// The fewest further losses that any waiting stripe survives; `None` without waiting stripes.
    pub least_margin: Option<u8>,
    /// Shards recreated since the process started.
    pub repaired_shards: u64,
    /// Repairs that failed since the process started; they are retried.
    pub failed_attempts: u64,
    /// Devices being rebuilt, with the share done in thousandths.
    pub rebuilding: Vec<(node_proto::DeviceId, u16)>,
    /// Bodies whose shards wait to be deleted.
    pub reclaim_queue: u64,
}

/// Where scrubbing stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Progress by device.
    pub devices: Vec<(node_proto::DeviceId, ScrubProgress)>,
}

/// One device as the gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// Its own view.
    pub status: DeviceStatus,
    /// Its failure domain.
    pub failure_domain: String,
    /// Where it is reached.
    pub address: String,
    /// Whether shards may be missing on it.
    pub rebuilding: bool,
}
