//! What an operator can see.

use std::time::Duration;

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

/// Whether a device is relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It failed, stalled or fell behind: new shards and reads go elsewhere if they can.
    Open,
    /// It is being tried again.
    HalfOpen,
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
    /// Whether it is relied on.
    pub breaker: BreakerState,
    /// 95th percentile of how long the last reads took; `None` while too few are known.
    pub get_p95: Option<Duration>,
    /// 95th percentile of how long the last writes took; `None` while too few are known.
    pub put_p95: Option<Duration>,
    /// Requests that it has not answered.
    pub requests_in_flight: u32,
    /// Whether shards may be missing on it.
    pub rebuilding: bool,
}
