//! Where repair, rebuild and reclamation stand, for operators.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_meta::{KeyRange, Table, key, record::DeviceRecord};

use crate::data::Inner;
use crate::data::devices::Slot;
use crate::data::rows::key_after;
use crate::{Fault, RepairStatus};

/// Rows counted per scan. Chosen.
const PAGE_LEN: usize = 4096;
/// Rows counted at most: an operator needs to know that it is many, not how many. Chosen.
const COUNTED_MAX: u64 = 1 << 20;

/// Collects the status.
pub(crate) async fn repair_status(data: &Arc<Inner>) -> Result<RepairStatus, Fault> {
    let highest = data.leases.highest_id()?.max(1);
    let (mut rebuilding, mut offline_devices) = (Vec::new(), Vec::new());
    let view = data.devices.view();
    for slot in view.slots() {
        let row_key = key::ctl::device(slot.id());
        let record: Option<DeviceRecord> = data.rows.record(Table::Ctl, &row_key)?;
        let rebuild = record.and_then(|record| record.rebuild).map(|state| state.next_manifest);
        if !slot.is_up() {
            offline_devices.push(slot.id());
        }
        if let Some(next_manifest) = rebuild.or(*slot.state.audit.lock()) {
            let done = u128::from(next_manifest) * 1000 / u128::from(highest);
            rebuilding.push((slot.id(), u16::try_from(done.min(1000)).expect("at most 1,000")));
        }
    }
    let queued_stripes = count(data, Table::Repair).await?;
    metrics::gauge!("datamesh_repair_queue").set(queued_stripes as f64);
    Ok(RepairStatus {
        queued_stripes,
        least_margin: least_margin(data).await?,
        repaired_shards: data.repaired_shards.load(Ordering::Relaxed),
        failed_attempts: data.failed_repairs.load(Ordering::Relaxed),
        rebuilding,
        offline_devices,
        reclaim_queue: count(data, Table::Gcq).await?,
    })
}

/// The fewest further losses of failure domains that everything survives, counting devices that are
/// offline or being rebuilt as lost; `None` when nothing waits and all devices are there.
pub(crate) async fn least_margin(data: &Inner) -> Result<Option<u8>, Fault> {
    let first = data.rows.scan(Table::Repair, KeyRange::all(), 1).await?;
    let waiting = first.first().and_then(|(row_key, _)| key::parse_repair(row_key));
    let view = data.devices.view();
    let lacks = |slot: &&Arc<Slot>| !slot.is_up() || slot.state.rebuilding.load(Ordering::Acquire);
    let domains: BTreeSet<&str> =
        view.slots().iter().filter(lacks).map(|slot| slot.layout.failure_domain.as_str()).collect();
    let lacking = u8::try_from(domains.len()).unwrap_or(u8::MAX);
    let of_devices = (lacking > 0).then(|| data.config.profile.m.saturating_sub(lacking));
    Ok(waiting.map(|(margin, ..)| margin).into_iter().chain(of_devices).min())
}

async fn count(data: &Inner, table: Table) -> Result<u64, Fault> {
    let (mut count, mut range) = (0, KeyRange::all());
    while count < COUNTED_MAX {
        let rows = data.rows.scan(table, range.clone(), PAGE_LEN).await?;
        let Some((last, _)) = rows.last() else { break };
        range.start = key_after(last);
        count += rows.len() as u64;
    }
    Ok(count)
}
