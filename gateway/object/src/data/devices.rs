//! The devices of the layout: their services, how they answer, whom to avoid.
//!
//! Invariants:
//! - a call to a device ends within its timeout, whatever the device does;
//! - a breaker only steers where new shards go; reads try every device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use node_proto::{
    ByteRange, DeviceHealth, DeviceId, GetShardError, Layout, LayoutDevice, PutShardError,
    ShardKey, ShardRoot, ShardService,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::DataConfig;

/// Read latencies remembered per device. Chosen: a 95th percentile needs some dozens.
const LATENCIES_KEPT: usize = 64;
/// Hedges that may be saved up. Chosen; revisit with the mesh.
const HEDGE_TOKENS_MAX: u32 = 64;
/// Reads that earn one hedge: at most a tenth more load on devices that are all slow.
const READS_PER_HEDGE: u32 = 10;

/// Every device of the layout.
pub(crate) struct Devices {
    slots: Vec<Arc<Slot>>,
    by_id: HashMap<DeviceId, Arc<Slot>>,
    hedge_tokens: Mutex<u32>,
    hedge_delay_min: Duration,
    hedge_delay_max: Duration,
}

/// One device.
pub(crate) struct Slot {
    pub(crate) layout: LayoutDevice,
    pub(crate) service: Arc<dyn ShardService>,
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

impl Devices {
    pub(crate) fn new(
        layout: &Layout,
        services: &[Arc<dyn ShardService>],
        config: &DataConfig,
    ) -> Self {
        assert_eq!(layout.devices.len(), services.len(), "one service per layout device");
        let slots: Vec<Arc<Slot>> = layout
            .devices
            .iter()
            .zip(services)
            .map(|(device, service)| Arc::new(Slot::new(device, service, config)))
            .collect();
        let by_id = slots.iter().map(|slot| (slot.layout.id, Arc::clone(slot))).collect();
        Self {
            slots,
            by_id,
            hedge_tokens: Mutex::new(HEDGE_TOKENS_MAX * READS_PER_HEDGE),
            hedge_delay_min: config.hedge_delay_min,
            hedge_delay_max: config.hedge_delay_max,
        }
    }

    /// All of them, in the layout's order.
    pub(crate) fn all(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// One of them; `None` for a device that left the layout.
    pub(crate) fn slot(&self, device: DeviceId) -> Option<&Arc<Slot>> {
        self.by_id.get(&device)
    }

    /// How long to wait for a shard before parity is asked: the 95th percentile of the median
    /// device, so that one slow device does not make its own slowness acceptable.
    pub(crate) fn hedge_delay(&self) -> Duration {
        let mut p95: Vec<Duration> =
            self.slots.iter().map(|slot| slot.latencies.lock().p95).collect();
        p95.sort_unstable();
        let median = p95.get(p95.len() / 2).copied().unwrap_or_default();
        median.clamp(self.hedge_delay_min, self.hedge_delay_max.max(self.hedge_delay_min))
    }

    /// Counts a read towards the hedges allowed.
    pub(crate) fn earn_hedge(&self) {
        let mut tokens = self.hedge_tokens.lock();
        *tokens = (*tokens + 1).min(HEDGE_TOKENS_MAX * READS_PER_HEDGE);
    }

    /// Whether a hedge is allowed; takes it.
    pub(crate) fn spend_hedge(&self) -> bool {
        let mut tokens = self.hedge_tokens.lock();
        let left = tokens.checked_sub(READS_PER_HEDGE);
        if let Some(left) = left {
            *tokens = left;
        }
        left.is_some()
    }
}

impl Slot {
    fn new(layout: &LayoutDevice, service: &Arc<dyn ShardService>, config: &DataConfig) -> Self {
        Self {
            layout: layout.clone(),
            service: Arc::clone(service),
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

    pub(crate) fn id(&self) -> DeviceId {
        self.layout.id
    }

    /// Whether the device can serve reads and deletes.
    pub(crate) fn is_up(&self) -> bool {
        self.service.status().health != DeviceHealth::Offline
    }

    /// Whether new shards may be sent now.
    pub(crate) fn is_writable(&self) -> bool {
        let avoided = self.avoid_until.lock().is_some_and(|until| Instant::now() < until);
        !avoided && self.service.status().health == DeviceHealth::Online
    }

    pub(crate) fn want_sweep(&self) {
        self.sweep_wanted.store(true, Ordering::Release);
    }

    /// Asks for a look for shards that are silently missing, unless one is under way.
    pub(crate) fn want_audit(&self) {
        self.audit.lock().get_or_insert(0);
    }

    fn avoid(&self) {
        *self.avoid_until.lock() = Some(Instant::now() + self.breaker_open);
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
        let result = match tokio::time::timeout(self.put_timeout, put).await {
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
        match tokio::time::timeout(self.put_timeout, replace).await {
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
        let result = match tokio::time::timeout(self.get_timeout, get).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let reason = self.offline("get");
                return Err(GetShardError::Offline { device: self.id(), reason });
            }
        };
        self.latencies.lock().note(started.elapsed());
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
