//! Notices devices that come, go, or return empty or old.
//!
//! Invariants:
//! - a device has a rebuild noted in its record, before anything relies on its shards being there,
//!   when its formatting changed, its open count fell, it found content lost, or its opening does
//!   not continue the recorded one: it names another predecessor, or found less than was recorded;
//! - an opening is recorded as soon as it is seen, how far the device had come then, from time to
//!   time, and at shutdown;
//! - a device that was away is swept: deletes may have missed it. Nothing it should hold is
//!   missing, because stripes written meanwhile went elsewhere;
//! - a scrub pass that ends is followed by a look for shards that the device does not even list.
//!
//! *Crash consistency:* a device that is opened again before an opening was recorded is rebuilt for
//! nothing: a walk that finds everything in place.
//! *Limits:* one commit per device and opening, and one per device and [`MARK_INTERVAL`] while the
//! device is written to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use gateway_meta::{
    Table, key,
    record::{DeviceRecord, RebuildState, Record},
};
use node_proto::{DeviceHealth, DeviceId, DeviceStatus};
use tokio::time::Instant;

use super::{Pace, Worker, status::least_margin};
use crate::Fault;
use crate::data::Inner;
use crate::data::devices::Slot;
use crate::data::rows::{decode, put, unchanged};

/// Time between records of how far a device has come. Chosen: a copy of a drive that is younger
/// than this may be taken for the drive itself, and a small commit in this time costs nothing.
const MARK_INTERVAL: Duration = Duration::from_secs(5);

/// The worker.
pub(super) struct DeviceWatch {
    data: Arc<Inner>,
    was_up: BTreeMap<DeviceId, bool>,
    passes: BTreeMap<DeviceId, u64>,
}

/// When to record how far the devices have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// From time to time.
    WhenDue,
    /// Now, because nothing is recorded after this.
    Now,
}

impl DeviceWatch {
    pub(super) fn new(data: Arc<Inner>) -> Self {
        Self { data, was_up: BTreeMap::new(), passes: BTreeMap::new() }
    }
}

#[async_trait]
impl Worker for DeviceWatch {
    fn name(&self) -> &'static str {
        "devices"
    }

    fn interval(&self) -> Duration {
        self.data.config.workers.device_interval
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let mut up = 0;
        for slot in self.data.devices.view().slots() {
            let is_up = slot.is_up();
            up += usize::from(is_up);
            let passes = slot.service.scrub_progress().completed_passes;
            if self.passes.insert(slot.id(), passes).is_some_and(|seen| seen < passes) {
                slot.want_audit();
            }
            let was_up = self.was_up.insert(slot.id(), is_up);
            if is_up && was_up == Some(false) {
                tracing::info!(device = slot.id().0, "device is back");
                slot.want_sweep();
            } else if !is_up && was_up != Some(false) {
                let reason = slot.service.status().reason.unwrap_or_default();
                tracing::warn!(device = slot.id().0, reason, "device is offline");
            }
        }
        metrics::gauge!("datamesh_device_up").set(up as f64);
        metrics::gauge!("datamesh_memory_used_bytes").set(self.data.memory.used_bytes() as f64);
        observe_devices(&self.data, Marks::WhenDue).await?;
        let margin = least_margin(&self.data).await?.unwrap_or(self.data.config.profile.m);
        metrics::gauge!("datamesh_repair_margin").set(f64::from(margin));
        Ok(Pace::Idle)
    }
}

/// Compares every device with its record and brings the records up to date.
pub(crate) async fn observe_devices(data: &Arc<Inner>, marks: Marks) -> Result<(), Fault> {
    observe_slots(data, data.devices.view().slots().to_vec(), marks).await
}

/// Compares devices with their records and brings the records up to date.
pub(crate) async fn observe_slots(
    data: &Inner,
    slots: Vec<Arc<Slot>>,
    marks: Marks,
) -> Result<(), Fault> {
    for slot in slots {
        observe(data, &slot, marks).await?;
    }
    Ok(())
}

async fn observe(data: &Inner, slot: &Slot, marks: Marks) -> Result<(), Fault> {
    let row_key = key::ctl::device(slot.id());
    let old = data.rows.get(Table::Ctl, &row_key)?;
    let known = old.as_deref().map(decode::<DeviceRecord>).transpose()?;
    let rebuild = known.as_ref().and_then(|record| record.rebuild.as_ref());
    slot.state.rebuilding.store(rebuild.is_some(), Ordering::Release);
    let status = slot.service.status();
    let is_mark_due = marks == Marks::Now
        || slot.state.mark_recorded.lock().is_none_or(|at| at.elapsed() >= MARK_INTERVAL);
    let next = next_record(data, &status, known.as_ref(), is_mark_due);
    let Some(record) = next else { return Ok(()) };
    if old.as_ref().is_some_and(|old| *old == record.encode()) {
        return Ok(());
    }
    let is_new_rebuild = record.rebuild.is_some() && rebuild.is_none();
    if is_new_rebuild {
        let reason = "device returned empty, old or with losses; rebuilding it";
        tracing::warn!(device = slot.id().0, reason);
        metrics::counter!("datamesh_repair_rebuilds_total").increment(1);
    }
    let guards = vec![unchanged(Table::Ctl, row_key.clone(), old)];
    let ops = vec![put(Table::Ctl, row_key, &record)];
    // A lost race means that the rebuild moved on; the next look compares again.
    if data.rows.commit(guards, ops).await?.is_none() {
        slot.state.rebuilding.store(record.rebuild.is_some(), Ordering::Release);
        *slot.state.mark_recorded.lock() = Some(Instant::now());
        let opening = |record: &DeviceRecord| (record.opening, record.open_count);
        if known.is_none_or(|known| opening(&known) != opening(&record)) {
            slot.want_sweep();
        }
    }
    Ok(())
}

/// What the record should say; `None` while the device cannot tell.
fn next_record(
    data: &Inner,
    status: &DeviceStatus,
    known: Option<&DeviceRecord>,
    is_mark_due: bool,
) -> Option<DeviceRecord> {
    if status.health == DeviceHealth::Offline {
        return None;
    }
    let (uuid, open_count) = (status.uuid?, status.open_count);
    let from_start = Some(RebuildState { next_manifest: 0, rebuilt_shards: 0 });
    let rebuild = match known {
        Some(known) if continues(status, known) => known.rebuild.clone(),
        Some(_) => from_start,
        // A device without a record is new, unless groups with it were made already.
        None if data.placement.groups_with(status.device).is_empty() => None,
        None => from_start,
    };
    let opening = status.continuity.opening;
    let recorded = known.filter(|known| known.opening == opening && !is_mark_due);
    let mark = recorded.map_or(status.continuity.mark, |known| known.mark);
    Some(DeviceRecord { uuid, open_count, opening, mark, rebuild })
}

/// Whether a device holds everything that it held when `known` was recorded.
fn continues(status: &DeviceStatus, known: &DeviceRecord) -> bool {
    let found = &status.continuity;
    let same_drive = status.uuid == Some(known.uuid) && status.open_count >= known.open_count;
    let same_opening = found.opening == known.opening;
    // What an opening found is judged once, when it is seen first.
    let next_opening = found.previous == Some(known.opening)
        && found.found_mark >= known.mark
        && !found.content_lost;
    same_drive && (same_opening || next_opening)
}
