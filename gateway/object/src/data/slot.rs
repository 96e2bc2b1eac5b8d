//! One device: what it is in the layout, its service, how it answers.
//!
//! Invariants:
//! - a call to a device ends within its timeout, whatever the device does;
//! - what a device is in the layout never changes under whoever holds a slot: another layout makes
//!   another slot, with the same [`SlotState`] if the device stayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use node_proto::{
    ByteRange, DeviceHealth, DeviceId, GetShardError, LayoutDevice, PutShardError, ShardKey,
    ShardRoot, ShardService,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::DataConfig;

/// Read latencies remembered per device. Chosen: a 95th percentile needs some dozens.
const LATENCIES_KEPT: usize = 64;

/// One device of a layout.
pub(crate) struct Slot {
    pub(crate) layout: LayoutDevice,
    /// Its node is being emptied: it takes no new shards.
    pub(crate) draining: bool,
    pub(crate) service: Arc<dyn ShardService>,
    pub(crate) state: Arc<SlotState>,
}

/// What is known of a device as long as it stays in the layout.
pub(crate) struct SlotState {
    avoid_until: Mutex<Option<Instant>>,
    latencies: Mutex<Latencies>,
    /// Garbage may be on the device: it came back, or a delete did not reach it.
    pub(crate) sweep_wanted: AtomicBool,
    /// Shards may be missing: repair works on it.
    pub(crate) rebuilding: AtomicBool,
    /// Set while what the device lists is to be compared with what manifests say: the manifest to
    /// go on with.
    pub(crate) audit: Mutex<Option<u64>>,
    /// When how far the device has come was last recorded.
    pub(crate) mark_recorded: Mutex<Option<Instant>>,
    put_timeout: Duration,
    get_timeout: Duration,
    breaker_open: Duration,
}

#[derive(Default)]
struct Latencies {
    recent: Vec<Duration>,
    next: usize,
    p95: Duration,
}

impl SlotState {
    pub(crate) fn new(config: &DataConfig) -> Self {
        Self {
            avoid_until: Mutex::new(None),
            latencies: Mutex::default(),
            sweep_wanted: AtomicBool::new(true),
            rebuilding: AtomicBool::new(false),
            audit: Mutex::new(None),
            mark_recorded: Mutex::new(None),
            put_timeout: config.put_timeout,
            get_timeout: config.get_timeout,
            breaker_open: config.breaker_open,
        }
    }

    /// 95th percentile of the last reads.
    pub(crate) fn get_p95(&self) -> Duration {
        self.latencies.lock().p95
    }
}

impl Slot {
    pub(crate) fn id(&self) -> DeviceId {
        self.layout.id
    }

    /// Whether the device can serve reads and deletes.
    pub(crate) fn is_up(&self) -> bool {
        self.service.status().health != DeviceHealth::Offline
    }

    /// Whether new shards may be sent to the device according to the layout and its own word.
    pub(crate) fn takes_shards(&self) -> bool {
        !self.draining && self.service.status().health == DeviceHealth::Online
    }

    /// Whether new shards may be sent now.
    pub(crate) fn is_writable(&self) -> bool {
        let avoided = self.state.avoid_until.lock().is_some_and(|until| Instant::now() < until);
        !avoided && self.takes_shards()
    }

    pub(crate) fn want_sweep(&self) {
        self.state.sweep_wanted.store(true, Ordering::Release);
    }

    /// Asks for a look for shards that are silently missing, unless one is under way.
    pub(crate) fn want_audit(&self) {
        self.state.audit.lock().get_or_insert(0);
    }

    fn avoid(&self) {
        *self.state.avoid_until.lock() = Some(Instant::now() + self.state.breaker_open);
    }

    fn offline(&self, what: &str) -> String {
        metrics::counter!("datamesh_device_timeouts_total", "device" => self.id().0.to_string())
            .increment(1);
        format!("no answer to {what} in time")
    }

    /// Stores a shard; a failure opens the breaker.
    pub(crate) async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let put = self.service.put(key, root, payload);
        let result = match tokio::time::timeout(self.state.put_timeout, put).await {
            Ok(result) => result,
            Err(_elapsed) => {
                Err(PutShardError::Offline { device: self.id(), reason: self.offline("put") })
            }
        };
        if result.is_err() {
            self.avoid();
        }
        result
    }

    /// Replaces a shard.
    pub(crate) async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let replace = self.service.replace(key, root, payload);
        match tokio::time::timeout(self.state.put_timeout, replace).await {
            Ok(result) => result,
            Err(_elapsed) => {
                Err(PutShardError::Offline { device: self.id(), reason: self.offline("replace") })
            }
        }
    }

    /// Reads a range of a shard; an answer of another length is damage.
    pub(crate) async fn get(
        &self,
        key: ShardKey,
        range: ByteRange,
    ) -> Result<Bytes, GetShardError> {
        let started = Instant::now();
        let get = self.service.get(key, range);
        let result = match tokio::time::timeout(self.state.get_timeout, get).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let reason = self.offline("get");
                return Err(GetShardError::Offline { device: self.id(), reason });
            }
        };
        self.state.latencies.lock().note(started.elapsed());
        match result {
            Ok(bytes) if bytes.len() as u64 != range.len_bytes => Err(GetShardError::Damaged {
                key,
                device: self.id(),
                reason: format!("{} bytes instead of {}", bytes.len(), range.len_bytes),
            }),
            result => result,
        }
    }
}

impl Latencies {
    fn note(&mut self, latency: Duration) {
        if self.recent.len() < LATENCIES_KEPT {
            self.recent.push(latency);
        } else {
            self.recent[self.next % LATENCIES_KEPT] = latency;
        }
        self.next = self.next.wrapping_add(1);
        // Sorting 64 values for each of many reads is not worth the freshness.
        if self.next.is_multiple_of(LATENCIES_KEPT / 4) {
            let mut sorted = self.recent.clone();
            sorted.sort_unstable();
            self.p95 = sorted[(sorted.len() * 95 / 100).min(sorted.len() - 1)];
        }
    }
}
