//! Notices devices that come, go, or return empty or old.
//!
//! Invariants:
//! - a device whose formatting changed, or whose open count fell, has a rebuild noted in its record
//!   before anything relies on its shards being there;
//! - a device that was away is swept: deletes may have missed it. Nothing it should hold is
//!   missing, because stripes written meanwhile went elsewhere.

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

use super::{Pace, Worker};
use crate::Fault;
use crate::data::Inner;
use crate::data::devices::Slot;
use crate::data::rows::{decode, put, unchanged};

/// The worker.
pub(super) struct DeviceWatch {
    data: Arc<Inner>,
    was_up: BTreeMap<DeviceId, bool>,
}

impl DeviceWatch {
    pub(super) fn new(data: Arc<Inner>) -> Self {
        Self { data, was_up: BTreeMap::new() }
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
        for slot in self.data.devices.all() {
            let is_up = slot.is_up();
            up += usize::from(is_up);
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
        observe_devices(&self.data).await?;
        Ok(Pace::Idle)
    }
}

/// Compares every device with its record and brings the records up to date.
pub(crate) async fn observe_devices(data: &Arc<Inner>) -> Result<(), Fault> {
    for slot in data.devices.all() {
        observe(data, slot).await?;
    }
    Ok(())
}

async fn observe(data: &Inner, slot: &Slot) -> Result<(), Fault> {
    let row_key = key::ctl::device(slot.id());
    let old = data.rows.get(Table::Ctl, &row_key)?;
    let known = old.as_deref().map(decode::<DeviceRecord>).transpose()?;
    let rebuild = known.as_ref().and_then(|record| record.rebuild.as_ref());
    slot.rebuilding.store(rebuild.is_some(), Ordering::Release);
    let status = slot.service.status();
    let Some(record) = next_record(data, &status, known.as_ref()) else { return Ok(()) };
    if old.as_ref().is_some_and(|old| *old == record.encode()) {
        return Ok(());
    }
    let is_new_rebuild = record.rebuild.is_some() && rebuild.is_none();
    if is_new_rebuild {
        tracing::warn!(device = slot.id().0, "device returned empty or old; rebuilding it");
        metrics::counter!("datamesh_repair_rebuilds_total").increment(1);
    }
    let guards = vec![unchanged(Table::Ctl, row_key.clone(), old)];
    let ops = vec![put(Table::Ctl, row_key, &record)];
    // A lost race means that the rebuild moved on; the next look compares again.
    if data.rows.commit(guards, ops).await?.is_none() {
        slot.rebuilding.store(record.rebuild.is_some(), Ordering::Release);
        if known.is_none_or(|known| known.open_count != record.open_count) {
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
) -> Option<DeviceRecord> {
    if status.health == DeviceHealth::Offline {
        return None;
    }
    let (uuid, open_count) = (status.uuid?, status.open_count);
    let from_start = Some(RebuildState { next_manifest: 0, rebuilt_shards: 0 });
    let rebuild = match known {
        Some(known) if known.uuid == uuid && open_count >= known.open_count => {
            known.rebuild.clone()
        }
        Some(_) => from_start,
        // A device without a record is new, unless groups with it were made already.
        None if data.placement.groups_with(status.device).is_empty() => None,
        None => from_start,
    };
    Some(DeviceRecord { uuid, open_count, rebuild })
}
