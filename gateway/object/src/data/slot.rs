//! One device: what it is in the layout, its service, how it answers.
//!
//! Invariants:
//! - a call to a device ends within its timeout, whatever the device does;
//! - every answer, and every call without one, counts for the device's breaker;
//! - what a device is in the layout never changes under whoever holds a slot: another layout makes
//!   another slot, with the same [`SlotState`] if the device stayed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use node_proto::{
    ByteRange, DeviceHealth, DeviceId, GetShardError, LayoutDevice, PutShardError, ShardKey,
    ShardRoot, ShardService,
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, Failure};
use super::config::DataConfig;
use super::latency::{Latencies, Usual};
use crate::BreakerState;

/// Tries of a write that a device was too busy for, and the pause before the second; doubles.
/// Chosen: lets a burst pass, and is nothing beside storing the stripe anew elsewhere.
const BUSY_TRIES_MAX: u32 = 4;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Reads that took less do not make a device slow. Chosen: a seek on a busy drive.
const SLOW_GET_MIN: Duration = Duration::from_millis(50);
/// Writes that took less do not make a device slow. Chosen: a synced group on a busy drive.
const SLOW_PUT_MIN: Duration = Duration::from_millis(100);

/// Late reads of one device that are followed to their end. Chosen: a few make it known quickly how
/// late it is.
const FOLLOWED_MAX: u32 = 4;

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
    pub(crate) breaker: Breaker,
    pub(crate) gets: Latencies,
    pub(crate) puts: Latencies,
    in_flight: AtomicU32,
    followed: AtomicU32,
    is_probed: AtomicBool,
    usual: Arc<UsualLatencies>,
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
    stall_after: Duration,
}

/// What is usual among all devices.
#[derive(Default)]
pub(crate) struct UsualLatencies {
    pub(crate) gets: Usual,
    pub(crate) puts: Usual,
}

/// A late read that is followed to its end, or a probe. Counted until it is dropped.
pub(crate) struct Following {
    slot: Arc<Slot>,
    is_probe: bool,
}

/// A call under way. Counted until it is dropped.
struct Call<'a>(&'a AtomicU32);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let state = &self.slot.state;
        if self.is_probe {
            state.is_probed.store(false, Ordering::Relaxed);
        } else {
            state.followed.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl SlotState {
    pub(crate) fn new(id: DeviceId, usual: Arc<UsualLatencies>, config: &DataConfig) -> Self {
        let cool_down = (config.breaker_open, config.breaker_open_max.max(config.breaker_open));
        Self {
            breaker: Breaker::new(id.0.to_string(), cool_down, config.random.clone()),
            gets: Latencies::default(),
            puts: Latencies::default(),
            in_flight: AtomicU32::new(0),
            followed: AtomicU32::new(0),
            is_probed: AtomicBool::new(false),
            usual,
            sweep_wanted: AtomicBool::new(true),
            rebuilding: AtomicBool::new(false),
            audit: Mutex::new(None),
            mark_recorded: Mutex::new(None),
            put_timeout: config.put_timeout,
            get_timeout: config.get_timeout,
            stall_after: config.stall_after,
        }
    }

    /// Calls that have not been answered.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Call<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Call(&self.in_flight)
    }

    fn failed(&self, failure: Failure) {
        if self.breaker.failed(failure) {
            // It is judged by what it does from now on.
            self.gets.clear();
            self.puts.clear();
            self.usual.gets.expire();
            self.usual.puts.expire();
        }
    }

    /// Notes how long a good answer took.
    fn answered(&self, latencies: &Latencies, usual: &Usual, latency: Duration, least: Duration) {
        let is_slow = if self.breaker.state() == BreakerState::Closed {
            latencies.note(latency).is_some_and(|p95| {
                usual.expire();
                usual.is_slow(p95, least)
            })
        } else {
            usual.is_slow(latency, least)
        };
        if is_slow {
            self.failed(Failure::Slow);
        } else {
            self.breaker.succeeded();
        }
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
        self.state.breaker.takes_shards(self.state.in_flight()) && self.takes_shards()
    }

    /// Whether new shards may be sent now, if slowness is better than a narrower stripe.
    pub(crate) fn is_writable_if_slowly(&self) -> bool {
        self.takes_shards() && (self.is_writable() || self.state.breaker.is_merely_slow())
    }

    /// Whether reads go elsewhere if they can.
    pub(crate) fn is_avoided(&self) -> bool {
        self.state.breaker.state() != BreakerState::Closed
    }

    pub(crate) fn want_sweep(&self) {
        self.state.sweep_wanted.store(true, Ordering::Release);
    }

    /// Asks for a look for shards that are silently missing, unless one is under way.
    pub(crate) fn want_audit(&self) {
        self.state.audit.lock().get_or_insert(0);
    }

    /// Whether a late read may be followed to its end.
    pub(crate) fn try_follow(self: &Arc<Self>) -> Option<Following> {
        let more = |count: u32| (count < FOLLOWED_MAX).then(|| count + 1);
        let followed = &self.state.followed;
        followed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Following { slot: Arc::clone(self), is_probe: false })
    }

    /// Whether a read should be sent only to see whether the device answers well again.
    pub(crate) fn try_probe(self: &Arc<Self>) -> Option<Following> {
        let is_due = self.state.breaker.state() == BreakerState::HalfOpen
            && !self.state.is_probed.swap(true, Ordering::Relaxed);
        is_due.then(|| Following { slot: Arc::clone(self), is_probe: true })
    }

    /// Waits for an answer: notes when the call stalls, and gives up after `bound`.
    async fn watched<T>(
        &self,
        what: &str,
        bound: Duration,
        call: impl Future<Output = T>,
    ) -> Result<T, String> {
        let mut call = pin!(call);
        let stall_after = self.state.stall_after.min(bound);
        if let Ok(answer) = timeout(stall_after, call.as_mut()).await {
            return Ok(answer);
        }
        if stall_after < bound {
            self.state.failed(Failure::Stall);
            if let Ok(answer) = timeout(bound - stall_after, call).await {
                return Ok(answer);
            }
        }
        self.state.failed(Failure::Timeout);
        metrics::counter!("datamesh_device_timeouts_total", "device" => self.id().0.to_string())
            .increment(1);
        Err(format!("no answer to {what} in time"))
    }

    /// Stores a shard; tries some times while the device is busy.
    pub(crate) async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let (_call, state) = (self.state.begin(), &self.state);
        let mut tries_left = BUSY_TRIES_MAX;
        loop {
            tries_left -= 1;
            let started = Instant::now();
            let put = self.service.put(key, root, payload.clone());
            match self.watched("put", state.put_timeout, put).await {
                Ok(Ok(())) => {
                    state.answered(&state.puts, &state.usual.puts, started.elapsed(), SLOW_PUT_MIN);
                    return Ok(());
                }
                Ok(Err(PutShardError::Busy { .. })) if tries_left > 0 => {
                    let pause = BUSY_PAUSE * 2_u32.pow(BUSY_TRIES_MAX - 1 - tries_left);
                    tokio::time::sleep(pause).await;
                }
                Ok(Err(error @ PutShardError::Busy { .. })) => {
                    state.failed(Failure::Busy);
                    return Err(error);
                }
                Ok(Err(error)) => {
                    state.failed(Failure::Put);
                    return Err(error);
                }
                Err(reason) => return Err(PutShardError::Offline { device: self.id(), reason }),
            }
        }
    }

    /// Notes a write that was given up after `latency`, because another device was faster.
    pub(crate) fn was_outpaced(&self, latency: Duration) {
        let (state, usual) = (&self.state, &self.state.usual.puts);
        let is_slow = match state.breaker.state() {
            BreakerState::Closed => state.puts.note(latency).is_some_and(|p95| {
                usual.expire();
                usual.is_slow(p95, SLOW_PUT_MIN)
            }),
            BreakerState::HalfOpen | BreakerState::Open => true,
        };
        if is_slow {
            state.failed(Failure::Slow);
        }
    }

    /// Replaces a shard.
    pub(crate) async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let _call = self.state.begin();
        let replace = self.service.replace(key, root, payload);
        match self.watched("replace", self.state.put_timeout, replace).await {
            Ok(result) => result,
            Err(reason) => Err(PutShardError::Offline { device: self.id(), reason }),
        }
    }

    /// Reads a range of a shard; an answer of another length is damage.
    pub(crate) async fn get(
        &self,
        key: ShardKey,
        range: ByteRange,
    ) -> Result<Bytes, GetShardError> {
        let (_call, state) = (self.state.begin(), &self.state);
        let started = Instant::now();
        let get = self.service.get(key, range);
        let result = match self.watched("get", state.get_timeout, get).await {
            Ok(result) => result,
            Err(reason) => return Err(GetShardError::Offline { device: self.id(), reason }),
        };
        match result {
            Err(GetShardError::Offline { .. }) => state.failed(Failure::Get),
            Err(GetShardError::Busy { .. }) => state.failed(Failure::Busy),
            Ok(_) | Err(GetShardError::NotFound { .. } | GetShardError::Damaged { .. }) => {
                state.answered(&state.gets, &state.usual.gets, started.elapsed(), SLOW_GET_MIN);
            }
        }
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
