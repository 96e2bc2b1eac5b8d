//! What an operator can see.

use node_proto::{DeviceStatus, NodeId, ScrubProgress};

/// Where repair stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairStatus {
    /// Stripes that wait for repair.
    pub queued_stripes: u64,
    /// The fewest further losses that everything survives: parity less the failure domains with
    /// devices that are offline or being rebuilt, or what a waiting stripe survives if that is less.
    /// Pessimistic: stripes written since a device went away have all their shards elsewhere.
    /// `None` when nothing waits and no device is offline or being rebuilt.
    pub least_margin: Option<u8>,
    /// Shards recreated since the process started.
    pub repaired_shards: u64,
    /// Repairs that failed since the process started; they are retried.
    pub failed_attempts: u64,
    /// Devices being rebuilt, or compared with the manifests after a scrub, with the share done in
    /// thousandths.
    pub rebuilding: Vec<(node_proto::DeviceId, u16)>,
    /// Devices that do not answer: what they hold is not protected against as many losses.
    pub offline_devices: Vec<node_proto::DeviceId>,
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
    /// The node it belongs to.
    pub node: NodeId,
    /// Its node is being emptied: it takes no new shards.
    pub draining: bool,
    /// Whether shards may be missing on it.
    pub rebuilding: bool,
}
