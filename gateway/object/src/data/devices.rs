//! The devices of the layout, as of its newest epoch.
//!
//! Invariants:
//! - a [`View`] never changes: another layout is another view, put in place in one step, so nobody
//!   sees half of one;
//! - epochs of views only grow;
//! - a device that stays keeps what is known of it; one that left is still found by whoever reads
//!   by an older manifest, and never chosen.
//!
//! *Limits:* devices that left are forgotten after [`DEPARTED_KEPT`], and the oldest of more than
//! [`DEPARTED_MAX`] at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use node_proto::{DeviceId, Epoch, Layout, ShardService};
use tokio::time::Instant;

use super::budget::Budget;
use super::config::{DataConfig, ReadStrategy};
use super::rows::corrupt;
pub(crate) use super::slot::Slot;
use super::slot::{SlotState, UsualLatencies};
use crate::Fault;

/// Reads that earn one hedge: at most a twentieth more load on devices that are all slow.
const READS_PER_HEDGE: u32 = 20;
/// Hedged reads that may be saved up. Chosen.
const READ_HEDGES_SAVED_MAX: u32 = 64;
/// Stripes that earn one hedged shard. Chosen, as for reads.
const STRIPES_PER_HEDGE: u32 = 20;
/// Hedged shards of writes that may be saved up. Chosen: fewer, because each is a whole shard.
const WRITE_HEDGES_SAVED_MAX: u32 = 16;
/// How much longer than usual a write takes before it is hedged. Chosen.
const LATE_PUT_FACTOR: u32 = 4;

/// How long a device that left the layout is still found. Chosen: longer than a stripe is read for;
/// what it held was moved before it left.
const DEPARTED_KEPT: Duration = Duration::from_secs(3600);
/// Devices that left and are still found. Chosen: some racks.
const DEPARTED_MAX: usize = 1024;

/// Every device of the layout.
pub(crate) struct Devices {
    view: ArcSwap<View>,
    /// Layouts are put in place one at a time.
    applying: tokio::sync::Mutex<()>,
    config: DataConfig,
    usual: Arc<UsualLatencies>,
    /// Turns of round robin.
    turns: AtomicUsize,
    pub(crate) read_hedges: Budget,
    pub(crate) write_hedges: Budget,
}

/// The devices of one layout.
pub(crate) struct View {
    pub(crate) layout: Layout,
    slots: Vec<Arc<Slot>>,
    by_id: HashMap<DeviceId, Arc<Slot>>,
    departed: HashMap<DeviceId, (Arc<Slot>, Instant)>,
}

impl Devices {
    pub(crate) fn new(
        layout: Layout,
        services: &[Arc<dyn ShardService>],
        config: &DataConfig,
    ) -> Result<Self, Fault> {
        let usual = Arc::default();
        let view = View::new(layout, services, None, &usual, config)?;
        metrics::gauge!("datamesh_layout_epoch").set(view.epoch().0 as f64);
        Ok(Self {
            view: ArcSwap::from_pointee(view),
            applying: tokio::sync::Mutex::new(()),
            config: config.clone(),
            usual,
            turns: AtomicUsize::new(0),
            read_hedges: Budget::new(READS_PER_HEDGE, READ_HEDGES_SAVED_MAX),
            write_hedges: Budget::new(STRIPES_PER_HEDGE, WRITE_HEDGES_SAVED_MAX),
        })
    }

    /// The devices as they are now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// One of them, or one that left a while ago.
    pub(crate) fn slot(&self, device: DeviceId) -> Option<Arc<Slot>> {
        self.view.load().slot(device).cloned()
    }

    /// Puts a layout in place, after `admit` has seen the devices that it brings; an older one is
    /// ignored.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the layout contradicts itself or the one in place, or as `admit`.
    /// The layout in place stays then.
    pub(crate) async fn apply<F>(
        &self,
        layout: Layout,
        services: &[Arc<dyn ShardService>],
        admit: impl FnOnce(Vec<Arc<Slot>>) -> F,
    ) -> Result<(), Fault>
    where
        F: Future<Output = Result<(), Fault>>,
    {
        let _applying = self.applying.lock().await;
        let old = self.view();
        if layout.cluster != old.layout.cluster {
            return Err(corrupt("a layout of another cluster"));
        }
        if layout.epoch < old.epoch() {
            return Ok(());
        }
        if layout.epoch == old.epoch() && layout != old.layout {
            return Err(corrupt(format!("two layouts of {:?}", layout.epoch)));
        }
        let new = View::new(layout, services, Some(&old), &self.usual, &self.config)?;
        let is_new = |slot: &&Arc<Slot>| !old.by_id.contains_key(&slot.id());
        admit(new.slots.iter().filter(is_new).cloned().collect()).await?;
        metrics::gauge!("datamesh_layout_epoch").set(new.epoch().0 as f64);
        self.view.store(Arc::new(new));
        Ok(())
    }

    /// How long to wait for a shard before parity is asked: what is usual.
    pub(crate) fn hedge_delay(&self) -> Duration {
        let view = self.view.load();
        let usual = self.usual.gets.among(view.slots.iter().map(|slot| &slot.state.gets));
        let (min, max) = (self.config.hedge_delay_min, self.config.hedge_delay_max);
        usual.unwrap_or(min).clamp(min, max.max(min))
    }

    /// How long to wait for the last shards of a stripe before they are put elsewhere as well.
    pub(crate) fn straggler_delay(&self) -> Duration {
        let view = self.view.load();
        let usual = self.usual.puts.among(view.slots.iter().map(|slot| &slot.state.puts));
        (usual.unwrap_or_default() * LATE_PUT_FACTOR).max(self.config.straggler_delay_min)
    }

    /// How willingly one of several devices that would do is used: the least first.
    pub(crate) fn rank(&self, slot: &Slot) -> (u64, Duration) {
        let p95 = slot.state.gets.p95().or(slot.state.puts.p95()).unwrap_or_default();
        let load = u64::from(slot.state.in_flight());
        match self.config.read_strategy {
            ReadStrategy::RoundRobin => (0, Duration::ZERO),
            ReadStrategy::LeastLoaded => (load, p95),
            ReadStrategy::Nearest => (0, p95),
        }
    }

    /// Where to begin among `count` equals. Without it equals would always be used in one order.
    pub(crate) fn turn(&self, count: usize) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed) % count.max(1)
    }
}

impl View {
    fn new(
        layout: Layout,
        services: &[Arc<dyn ShardService>],
        old: Option<&Self>,
        usual: &Arc<UsualLatencies>,
        config: &DataConfig,
    ) -> Result<Self, Fault> {
        layout.check().map_err(|error| corrupt(format!("an unusable layout: {error}")))?;
        if layout.devices.len() != services.len() {
            let (devices, services) = (layout.devices.len(), services.len());
            return Err(corrupt(format!("{services} services for {devices} devices")));
        }
        let slot = |(device, service): (&_, &Arc<dyn ShardService>)| {
            let device: &node_proto::LayoutDevice = device;
            let known = old.and_then(|old| old.slot(device.id));
            let known = known.filter(|known| known.layout.node == device.node);
            let state = known.map(|known| Arc::clone(&known.state));
            Arc::new(Slot {
                layout: device.clone(),
                draining: layout.is_draining(device.id),
                service: Arc::clone(service),
                state: state.unwrap_or_else(|| {
                    Arc::new(SlotState::new(device.id, Arc::clone(usual), config))
                }),
            })
        };
        let slots: Vec<Arc<Slot>> = layout.devices.iter().zip(services).map(slot).collect();
        let by_id: HashMap<_, _> = slots.iter().map(|slot| (slot.id(), Arc::clone(slot))).collect();
        let departed = old.map_or_else(HashMap::new, |old| old.departed_from(&by_id));
        Ok(Self { layout, slots, by_id, departed })
    }

    /// Those of this view, or gone before, that are not among `staying`.
    fn departed_from(
        &self,
        staying: &HashMap<DeviceId, Arc<Slot>>,
    ) -> HashMap<DeviceId, (Arc<Slot>, Instant)> {
        let now = Instant::now();
        let leaving = self.slots.iter().map(|slot| (slot.id(), (Arc::clone(slot), now)));
        let left = self.departed.iter().map(|(id, (slot, at))| (*id, (Arc::clone(slot), *at)));
        let is_kept = |(id, (_, at)): &(DeviceId, (_, Instant))| {
            !staying.contains_key(id) && now.duration_since(*at) < DEPARTED_KEPT
        };
        let mut departed: Vec<_> = leaving.chain(left).filter(is_kept).collect();
        departed.sort_by_key(|(_, (_, at))| std::cmp::Reverse(*at));
        departed.truncate(DEPARTED_MAX);
        departed.into_iter().collect()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.layout.epoch
    }

    /// All devices, in the layout's order.
    pub(crate) fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// A device of the layout.
    pub(crate) fn member(&self, device: DeviceId) -> Option<&Arc<Slot>> {
        self.by_id.get(&device)
    }

    /// A device of the layout, or one that left a while ago.
    pub(crate) fn slot(&self, device: DeviceId) -> Option<&Arc<Slot>> {
        self.member(device).or_else(|| self.departed.get(&device).map(|(slot, _)| slot))
    }
}
