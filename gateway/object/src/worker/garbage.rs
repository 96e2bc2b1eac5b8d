//! Telling garbage from shards that somebody names.
//!
//! Invariants:
//! - an id is looked at only after it was found settled, so that no commit can name it later;
//! - a shard is named only on the device that its stripe's group has at its place: the same shard
//!   on another device is the loser of a hedge, or was moved away;
//! - absence is established by a commit of ours, not by a read: whatever commit was handed to the
//!   store before is decided by then, and a store that failed in between refuses ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_meta::{Guard, Table, key, record::ManifestPage};
use node_proto::{DeviceId, ManifestId, ShardKey};

use crate::Fault;
use crate::data::Inner;
use crate::data::devices::Slot;

/// Guards per commit that establishes absence. Chosen.
const GUARDS_MAX: usize = 256;

/// Shards per delete call. Chosen: a call's keys take some kilobytes.
const DELETE_BATCH: usize = 1024;

/// A shard where it was found.
pub(super) type Held = (DeviceId, ShardKey);

/// Those of `shards` that nobody names. Ids that are not settled are left out.
pub(super) async fn unnamed(data: &Arc<Inner>, shards: Vec<Held>) -> Result<Vec<Held>, Fault> {
    let settled = data.leases.settled().await?;
    let mut by_manifest: ByManifest = BTreeMap::new();
    for (device, key) in shards {
        by_manifest.entry(key.manifest).or_default().push((device, key));
    }
    by_manifest.retain(|manifest, _| settled.contains(*manifest));
    let looking = Arc::clone(data);
    let (absent, mut garbage) = data.cpu.run(move || look_up(&looking, by_manifest)).await??;
    let dead = establish_absence(data, absent.keys().copied().collect()).await?;
    garbage.extend(absent.into_iter().filter(|(id, _)| dead.contains(id)).flat_map(|(_, k)| k));
    Ok(garbage)
}

type ByManifest = BTreeMap<ManifestId, Vec<Held>>;

/// Splits into shards of bodies that seem not to exist, and those that existing bodies do not
/// name: attempts that failed.
fn look_up(data: &Inner, by_manifest: ByManifest) -> Result<(ByManifest, Vec<Held>), Fault> {
    let (mut absent, mut garbage) = (BTreeMap::new(), Vec::new());
    for (manifest, shards) in by_manifest {
        if data.rows.get(Table::Mf, &key::mf(manifest, 0))?.is_none() {
            absent.insert(manifest, shards);
            continue;
        }
        for held in shards {
            if !is_named(data, held)? {
                garbage.push(held);
            }
        }
    }
    Ok((absent, garbage))
}

fn is_named(data: &Inner, (device, key): Held) -> Result<bool, Fault> {
    let Some(index) = data.manifests.stripe_of_seq(key.manifest, key.stripe)? else {
        return Ok(false);
    };
    let page = data.manifests.page(key.manifest, index / ManifestPage::STRIPES_PER_PAGE)?;
    let position = (index % ManifestPage::STRIPES_PER_PAGE) as usize;
    let stripe = page.as_ref().and_then(|page| page.stripes.get(position));
    let index = usize::from(key.index.0);
    let Some(stripe) = stripe.filter(|stripe| index < stripe.roots.len()) else {
        return Ok(false);
    };
    Ok(data.placement.group(stripe.group)?.devices.get(index) == Some(&device))
}

/// Those of `manifests` that have no first page, for good.
async fn establish_absence(
    data: &Inner,
    manifests: Vec<ManifestId>,
) -> Result<BTreeSet<ManifestId>, Fault> {
    let mut dead = BTreeSet::new();
    for batch in manifests.chunks(GUARDS_MAX) {
        let mut batch = batch.to_vec();
        while !batch.is_empty() {
            let absent = |id: &ManifestId| Guard::Absent { table: Table::Mf, key: key::mf(*id, 0) };
            match data.rows.commit(batch.iter().map(absent).collect(), Vec::new()).await? {
                None => {
                    dead.extend(batch);
                    break;
                }
                Some(index) => drop(batch.remove(index)),
            }
        }
    }
    Ok(dead)
}

/// Deletes shards of one device. A device that cannot is swept when it is back.
pub(super) async fn delete(data: &Inner, slot: &Slot, keys: &[ShardKey]) {
    for batch in keys.chunks(DELETE_BATCH) {
        if !slot.is_up() {
            slot.want_sweep();
            return;
        }
        let deleted = slot.service.delete(batch.to_vec());
        match tokio::time::timeout(data.config.put_timeout, deleted).await {
            Ok(Ok(())) => {
                metrics::counter!("datamesh_reclaim_deleted_shards_total")
                    .increment(batch.len() as u64);
            }
            Ok(Err(error)) => {
                tracing::warn!(device = slot.id().0, %error, "shards were not deleted");
                slot.want_sweep();
                return;
            }
            Err(_elapsed) => {
                tracing::warn!(device = slot.id().0, "deleting shards took too long");
                slot.want_sweep();
                return;
            }
        }
    }
}

/// Deletes shards of many devices, all devices at once.
pub(super) async fn delete_all(data: &Inner, by_device: BTreeMap<DeviceId, Vec<ShardKey>>) {
    let deletes = by_device.iter().filter_map(|(device, keys)| {
        let slot = data.devices.slot(*device)?;
        Some(async move { delete(data, &slot, keys).await })
    });
    futures::future::join_all(deletes).await;
}
