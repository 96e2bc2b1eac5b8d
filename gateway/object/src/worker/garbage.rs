//! Telling garbage from shards that somebody names.
//!
//! Invariants:
//! - an id is looked at only after it was found settled, so that no commit can name it later;
//! - a shard is named only on the device that its stripe's group has at its place: the same shard
//!   on another device is the loser of a hedge, or was moved away;
//! - pages are read anew: a page of a moment ago may name a device that a shard has moved from;
//! - absence is established by a commit of ours, not by a read: whatever commit was handed to the
//!   store before is decided by then, and a store that failed in between refuses ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_meta::{Guard, Table, key, record::StripeRecord};
use node_proto::{DeviceId, ManifestId, PlacementGroupId, ShardKey, StripeSeq};

use crate::Fault;
use crate::data::Inner;
use crate::data::devices::Slot;
use crate::data::manifest::decode_page;
use crate::relocate::Judged;

/// Guards per commit that establishes absence. Chosen.
const GUARDS_MAX: usize = 256;

/// Shards per delete call. Chosen: a call's keys take some kilobytes.
const DELETE_BATCH: usize = 1024;

/// A shard where it was found.
pub(crate) type Held = (DeviceId, ShardKey);

/// Shards that nobody names.
pub(crate) struct Garbage {
    pub(crate) shards: Vec<Held>,
    /// Keep until they are deleted: as long, nothing of their bodies moves to where they are.
    pub(crate) judged: Judged,
}

/// Those of `shards` that nobody names. Ids that are not settled, and bodies that are being moved,
/// are left out.
pub(crate) async fn unnamed(data: &Arc<Inner>, shards: Vec<Held>) -> Result<Garbage, Fault> {
    let settled = data.leases.settled().await?;
    let mut by_manifest: ByManifest = BTreeMap::new();
    for (device, key) in shards {
        by_manifest.entry(key.manifest).or_default().push((device, key));
    }
    let judged = data.moves.judge(by_manifest.keys().copied());
    by_manifest.retain(|manifest, _| judged.contains(*manifest) && settled.contains(*manifest));
    let looking = Arc::clone(data);
    let (absent, mut garbage) = data.cpu.run(move || look_up(&looking, by_manifest)).await??;
    let dead = establish_absence(data, absent.keys().copied().collect()).await?;
    garbage.extend(absent.into_iter().filter(|(id, _)| dead.contains(id)).flat_map(|(_, k)| k));
    Ok(Garbage { shards: garbage, judged })
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
        let Some(named) = named_by(data, manifest)? else { continue };
        for (device, key) in shards {
            let place = named.get(&key.stripe).filter(|(_, count)| key.index.0 < *count);
            let is_named = match place {
                Some((group, _)) => {
                    let group = data.placement.group(*group)?;
                    group.devices.get(usize::from(key.index.0)) == Some(&device)
                }
                None => false,
            };
            if !is_named {
                garbage.push((device, key));
            }
        }
    }
    Ok((absent, garbage))
}

type NamedStripes = BTreeMap<StripeSeq, (PlacementGroupId, u8)>;

/// The group and number of shards of each stripe of a body, as its pages are now; `None` when they
/// cannot be understood, and nothing is known to be garbage.
fn named_by(data: &Inner, manifest: ManifestId) -> Result<Option<NamedStripes>, Fault> {
    let mut named = BTreeMap::new();
    for page_index in 0.. {
        let Some(value) = data.rows.get(Table::Mf, &key::mf(manifest, page_index))? else { break };
        let page = match decode_page(manifest, &value) {
            Ok(page) => page,
            Err(fault) => {
                tracing::error!(manifest = manifest.0, %fault, "a body cannot be swept");
                return Ok(None);
            }
        };
        let shard_count = |stripe: &StripeRecord| stripe.k.saturating_add(stripe.m);
        named.extend(
            page.stripes.iter().map(|stripe| (stripe.seq, (stripe.group, shard_count(stripe)))),
        );
        if u64::from(page.first_stripe) + page.stripes.len() as u64 >= u64::from(page.stripe_count)
        {
            break;
        }
    }
    Ok(Some(named))
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
pub(crate) async fn delete(data: &Inner, slot: &Slot, keys: &[ShardKey]) {
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
pub(crate) async fn delete_all(data: &Inner, by_device: BTreeMap<DeviceId, Vec<ShardKey>>) {
    let deletes = by_device.iter().filter_map(|(device, keys)| {
        let slot = data.devices.slot(*device)?;
        Some(async move { delete(data, &slot, keys).await })
    });
    futures::future::join_all(deletes).await;
}
