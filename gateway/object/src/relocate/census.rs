//! Counting what metadata says is where.
//!
//! Invariants:
//! - every stripe is counted once, under the group that its page names;
//! - what is counted is what metadata names, not what devices hold: garbage and space that a device
//!   has not given back yet do not count.
//!
//! *Cancellation:* a count may be dropped at any time. It ends early when the data path closes.
//! *Limits:* one batch of pages in memory; reads happen on worker threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_meta::{KeyRange, Table, key};
use node_proto::{DeviceId, ManifestId, NodeId, PlacementGroupId};

use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::{Stripe, decode_page};
use crate::data::rows::{corrupt, key_after};

/// Manifests looked at at once. Chosen: some hundred kilobytes of pages.
const BATCH_MAX: usize = 256;
/// Most pages a body has: parts and single uploads are at most 5 GiB. Chosen with room for longer
/// ones; what lies behind is not looked at.
pub(super) const PAGES_MAX: usize = 1 << 16;

/// Shards and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) shards: u64,
    pub(super) bytes: u64,
}

/// The stripes of one group that have as many shards as each other.
#[derive(Clone, Copy, Debug, Default)]
struct Width {
    stripes: u64,
    shard_bytes: u64,
}

/// Stripe positions that metadata names on a node's devices.
pub(crate) async fn held_shards(data: &Arc<Inner>, node: NodeId) -> Result<u64, Fault> {
    let view = data.devices.view();
    let slots = view.slots().iter().filter(|slot| slot.layout.node == node);
    let devices: BTreeSet<DeviceId> = slots.map(|slot| slot.id()).collect();
    let groups = groups_with_any(data, &devices);
    let held = count(data, groups).await?;
    Ok(held.iter().filter(|(id, _)| devices.contains(id)).map(|(_, amount)| amount.shards).sum())
}

/// Groups with any of `devices` among their members.
pub(super) fn groups_with_any(
    data: &Inner,
    devices: &BTreeSet<DeviceId>,
) -> BTreeSet<PlacementGroupId> {
    let groups = devices.iter().flat_map(|device| data.placement.groups_with(*device));
    groups.map(|(group, _)| group).collect()
}

/// What the stripes of `groups` have on each device.
pub(super) async fn count(
    data: &Arc<Inner>,
    groups: impl IntoIterator<Item = PlacementGroupId>,
) -> Result<BTreeMap<DeviceId, Amount>, Fault> {
    let mut amounts: BTreeMap<DeviceId, Amount> = BTreeMap::new();
    for id in groups {
        let group = data.placement.group(id)?;
        for (width, of_width) in widths(data, id).await? {
            for device in group.devices.iter().take(usize::from(width)) {
                let amount = amounts.entry(*device).or_default();
                amount.shards += of_width.stripes;
                amount.bytes += of_width.shard_bytes;
            }
        }
    }
    Ok(amounts)
}

/// What stripes of `groups` have in the positions that `positions` picks of the devices that hold
/// their shards.
pub(super) async fn count_positions(
    data: &Arc<Inner>,
    groups: impl IntoIterator<Item = PlacementGroupId>,
    positions: impl Fn(&[DeviceId]) -> usize,
) -> Result<Amount, Fault> {
    let mut amount = Amount::default();
    for id in groups {
        let group = data.placement.group(id)?;
        for (width, of_width) in widths(data, id).await? {
            let holders = &group.devices[..usize::from(width).min(group.devices.len())];
            let picked = positions(holders) as u64;
            amount.shards += picked * of_width.stripes;
            amount.bytes += picked * of_width.shard_bytes;
        }
    }
    Ok(amount)
}

/// Whether any body has stripes in a group.
pub(super) async fn is_used(data: &Inner, group: PlacementGroupId) -> Result<bool, Fault> {
    let range = KeyRange::prefix(&key::pgidx_prefix(group));
    Ok(!data.rows.scan(Table::Pgidx, range, 1).await?.is_empty())
}

/// The stripes of a group by their number of shards.
async fn widths(data: &Arc<Inner>, group: PlacementGroupId) -> Result<BTreeMap<u8, Width>, Fault> {
    let mut widths: BTreeMap<u8, Width> = BTreeMap::new();
    let mut range = KeyRange::prefix(&key::pgidx_prefix(group));
    loop {
        if data.closing.load(Ordering::Acquire) {
            return Err(Fault::ShuttingDown);
        }
        let rows = data.rows.scan(Table::Pgidx, range.clone(), BATCH_MAX).await?;
        let Some((last, _)) = rows.last() else { return Ok(widths) };
        range.start = key_after(last);
        let manifests: Vec<ManifestId> =
            rows.iter().filter_map(|(row_key, _)| manifest_of(row_key)).collect();
        let looking = Arc::clone(data);
        let found = data
            .cpu
            .run(move || {
                let stripes = manifests.iter().map(|id| stripes_in(&looking, *id, group));
                stripes.collect::<Result<Vec<_>, Fault>>()
            })
            .await??;
        for (width, shard_bytes) in found.into_iter().flatten() {
            let of_width = widths.entry(width).or_default();
            of_width.stripes += 1;
            of_width.shard_bytes += shard_bytes;
        }
    }
}

/// Width and shard length of each stripe that a body has in a group. A body that cannot be
/// understood has none: nothing can be moved of it.
fn stripes_in(
    data: &Inner,
    manifest: ManifestId,
    group: PlacementGroupId,
) -> Result<Vec<(u8, u64)>, Fault> {
    let mut found = Vec::new();
    for page_index in 0..u32::try_from(PAGES_MAX).unwrap_or(u32::MAX) {
        let Some(value) = data.rows.get(Table::Mf, &key::mf(manifest, page_index))? else { break };
        let Ok(page) = decode_page(manifest, &value) else { break };
        let page = Arc::new(page);
        for (index, record) in (page.first_stripe..).zip(&page.stripes) {
            if record.group != group {
                continue;
            }
            if let Ok(stripe) = Stripe::new(manifest, Arc::clone(&page), index) {
                let geometry = stripe.geometry;
                found.push((geometry.shard_count(), geometry.shard_len_bytes() as u64));
            }
        }
    }
    Ok(found)
}

/// The manifest of a `pgidx` row.
pub(super) fn manifest_of(row_key: &[u8]) -> Option<ManifestId> {
    let (_, id) = row_key.split_first_chunk::<4>()?;
    Some(ManifestId(u64::from_be_bytes(id.try_into().ok()?)))
}

/// As [`manifest_of`], where a damaged key stops everything.
pub(super) fn manifest_of_row(row_key: &[u8]) -> Result<ManifestId, Fault> {
    manifest_of(row_key).ok_or_else(|| corrupt("a placement group index row has a damaged key"))
}
