//! Recreates everything that a device lacks which returned empty or old, and, after scrubs, what any
//! device lost without noticing.
//!
//! Walks the manifests of all groups with the device, ascending, compares what should be there with
//! what the device lists, and recreates the difference. Bodies that were in flight when the walk
//! began, or moved, may be committed behind it; they are looked at once they are no longer in flight.
//!
//! An audit, which follows a scrub, is the same walk over a device that should lack nothing. It does
//! not count as a rebuild: nothing is known to be missing. It needs no second look at bodies in
//! flight, which the next audit meets.
//!
//! *Crash consistency:* progress of a rebuild is kept in the device's record, and no upload survives
//! a crash, so the walk goes on where it stopped. An audit cut off by a crash is left to the next.
//! *Limits:* a bounded number of stripes at once, within the bandwidth shared with repair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use gateway_meta::{
    Guard, KeyRange, Table, key,
    record::{DeviceRecord, RebuildState, Record},
};
use node_proto::{
    DeviceId, DeviceUuid, ManifestId, OpeningId, PlacementGroupId, ShardEntry, ShardIndex,
    ShardKey, StripeSeq,
};

use super::restore::{Restored, Scope, Throttle, restore};
use super::{Pace, Worker, damage};
use crate::Fault;
use crate::data::devices::Slot;
use crate::data::manifest::{Stripe, decode_page};
use crate::data::rows::{decode, key_after, put};
use crate::data::stripe_read::ShardSet;
use crate::data::{Damage, Inner};

/// Manifests taken from each group per step. Chosen; few in tests, so that rebuilds take steps.
const MANIFESTS_PER_GROUP: usize = if cfg!(test) { 8 } else { 128 };
/// Shards compared at once. Chosen: some hundred kilobytes.
const EXPECTED_MAX: usize = 1024;
/// Shards listed at once. Chosen.
const LIST_LEN: usize = 1024;
/// Pause between looks for a device to rebuild, and for uploads to end. Chosen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The worker.
pub(super) struct Rebuild {
    data: Arc<Inner>,
    throttle: Arc<Throttle>,
    run: Option<Run>,
    /// Bodies that were in flight when a run of a device began, until its rebuild is over: a walk
    /// goes on behind them when the device was away meanwhile.
    stragglers: BTreeMap<DeviceId, BTreeSet<u64>>,
}

/// A rebuild under way in this process.
struct Run {
    slot: Arc<Slot>,
    /// The formatting that is being rebuilt, and the opening of it: a later one may have lost more.
    opening: (DeviceUuid, OpeningId),
}

/// A shard that should be on the device.
struct Expected {
    key: ShardKey,
    stripe_index: u32,
    root: node_proto::ShardRoot,
}

impl Rebuild {
    pub(super) fn new(data: Arc<Inner>, throttle: Arc<Throttle>) -> Self {
        Self { data, throttle, run: None, stragglers: BTreeMap::new() }
    }

    /// The record of the device under way, or of the next one that needs a rebuild.
    fn pick(&mut self) -> Result<Option<(Bytes, DeviceRecord, RebuildState)>, Fault> {
        if let Some(run) = &self.run {
            let found = read_record(&self.data, &run.slot)?;
            match found {
                Some(found) if opening_of(&found.1) == run.opening && run.slot.is_up() => {
                    return Ok(Some(found));
                }
                _ => self.run = None,
            }
        }
        for slot in self.data.devices.view().slots().iter().filter(|slot| slot.is_up()) {
            if let Some(found) = read_record(&self.data, slot)? {
                // What moves is like what is uploaded: it may be committed behind the walk.
                let moving = self.data.moves.moving().into_iter().map(|manifest| manifest.0);
                let in_flight = self.data.leases.in_flight().into_iter().chain(moving);
                self.stragglers.entry(slot.id()).or_default().extend(in_flight);
                let (slot, opening) = (Arc::clone(slot), opening_of(&found.1));
                self.run = Some(Run { slot, opening });
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Rebuild {
    /// Takes a step of the first audit that is wanted.
    async fn audit(&self) -> Result<Pace, Fault> {
        let view = self.data.devices.view();
        let mut up = view.slots().iter().filter(|slot| slot.is_up());
        let wanted = up.find_map(|slot| Some((slot, (*slot.state.audit.lock())?)));
        let Some((slot, next_manifest)) = wanted else { return Ok(Pace::Idle) };
        let walk = Walk { data: &self.data, throttle: &self.throttle, slot };
        let (batch, next_manifest) = walk.next_batch(next_manifest).await?;
        let restored = walk.restore_all(&batch).await?;
        if restored > 0 {
            metrics::counter!("datamesh_repair_vanished_shards_total").increment(restored);
            tracing::warn!(device = slot.id().0, restored, "recreated shards that had vanished");
        }
        *slot.state.audit.lock() = next_manifest;
        Ok(Pace::More)
    }
}

fn opening_of(record: &DeviceRecord) -> (DeviceUuid, OpeningId) {
    (record.uuid, record.opening)
}

fn read_record(
    data: &Inner,
    slot: &Slot,
) -> Result<Option<(Bytes, DeviceRecord, RebuildState)>, Fault> {
    let Some(value) = data.rows.get(Table::Ctl, &key::ctl::device(slot.id()))? else {
        return Ok(None);
    };
    let record: DeviceRecord = decode(&value)?;
    let state = record.rebuild.clone();
    Ok(state.map(|state| (value, record, state)))
}

#[async_trait]
impl Worker for Rebuild {
    fn name(&self) -> &'static str {
        "rebuild"
    }

    fn interval(&self) -> Duration {
        LOOK_INTERVAL
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let Some((value, record, state)) = self.pick()? else { return self.audit().await };
        let Some(run) = &self.run else { return Ok(Pace::Idle) };
        let walk = Walk { data: &self.data, throttle: &self.throttle, slot: &run.slot };
        let (batch, next_manifest) = walk.next_batch(state.next_manifest).await?;
        if let Some(next_manifest) = next_manifest {
            let rebuilt = walk.restore_all(&batch).await?;
            fail::fail_point!("mid-rebuild");
            let state =
                RebuildState { next_manifest, rebuilt_shards: state.rebuilt_shards + rebuilt };
            walk.save(value, DeviceRecord { rebuild: Some(state), ..record }).await?;
            return Ok(Pace::More);
        }
        let device = run.slot.id();
        let stragglers: Vec<ManifestId> =
            self.stragglers.get(&device).into_iter().flatten().copied().map(ManifestId).collect();
        let (leases, moves) = (&self.data.leases, &self.data.moves);
        if stragglers.iter().any(|id| leases.is_in_flight(*id) || moves.is_moving(*id)) {
            return Ok(Pace::Idle);
        }
        let rebuilt = walk.restore_all(&stragglers).await?;
        let shards = state.rebuilt_shards + rebuilt;
        if walk.save(value, DeviceRecord { rebuild: None, ..record }).await? {
            tracing::info!(device = run.slot.id().0, shards, "device is rebuilt");
            run.slot.state.rebuilding.store(false, std::sync::atomic::Ordering::Release);
            self.run = None;
            self.stragglers.remove(&device);
        }
        Ok(Pace::More)
    }
}

struct Walk<'a> {
    data: &'a Arc<Inner>,
    throttle: &'a Throttle,
    slot: &'a Slot,
}

impl Walk<'_> {
    /// Manifests from `next` on with shards on the device, and where to go on; no place to go on
    /// when there are none left.
    async fn next_batch(&self, next: u64) -> Result<(Vec<ManifestId>, Option<u64>), Fault> {
        let mut manifests = BTreeSet::new();
        // Beyond the last manifest of a cut-off list, that list may hold smaller ones.
        let mut complete_to = u64::MAX;
        for (group, _) in self.data.placement.groups_with(self.slot.id()) {
            let range = KeyRange {
                start: key::pgidx(group, ManifestId(next)),
                ..KeyRange::prefix(&key::pgidx_prefix(group))
            };
            let rows = self.data.rows.scan(Table::Pgidx, range, MANIFESTS_PER_GROUP).await?;
            let ids: Vec<u64> = rows.iter().filter_map(|(row, _)| manifest_of(row)).collect();
            if let Some(last) = ids.last().filter(|_| rows.len() == MANIFESTS_PER_GROUP) {
                complete_to = complete_to.min(*last);
            }
            manifests.extend(ids);
        }
        let batch: Vec<ManifestId> =
            manifests.into_iter().filter(|id| *id <= complete_to).map(ManifestId).collect();
        let next = batch.last().map(|last| last.0 + 1);
        Ok((batch, next))
    }

    /// Recreates what the device lacks of `manifests`, ascending; returns how many shards that was.
    async fn restore_all(&self, manifests: &[ManifestId]) -> Result<u64, Fault> {
        let positions: BTreeMap<PlacementGroupId, u8> =
            self.data.placement.groups_with(self.slot.id()).into_iter().collect();
        let (mut expected, mut rebuilt) = (Vec::new(), 0);
        for manifest in manifests {
            let mut range = KeyRange::prefix(&key::manifest(*manifest));
            loop {
                let rows = self.data.rows.scan(Table::Mf, range.clone(), 1).await?;
                let Some((row_key, value)) = rows.first() else { break };
                range.start = key_after(row_key);
                let page = match decode_page(*manifest, value) {
                    Ok(page) => page,
                    // The id of a part table, or damage that reads report.
                    Err(_) => break,
                };
                for (stripe_index, stripe) in (page.first_stripe..).zip(page.stripes) {
                    let Some(position) = positions.get(&stripe.group) else { continue };
                    let Some(root) = stripe.roots.get(usize::from(*position)) else { continue };
                    let index = ShardIndex(*position);
                    let key = ShardKey { manifest: *manifest, stripe: stripe.seq, index };
                    expected.push(Expected { key, stripe_index, root: *root });
                }
                if expected.len() >= EXPECTED_MAX {
                    rebuilt += self.restore_missing(std::mem::take(&mut expected)).await?;
                }
            }
        }
        rebuilt += self.restore_missing(expected).await?;
        Ok(rebuilt)
    }

    async fn restore_missing(&self, mut expected: Vec<Expected>) -> Result<u64, Fault> {
        expected.sort_by_key(|expected| expected.key);
        let missing = self.missing(expected).await?;
        let restored = futures::stream::iter(missing.into_iter().map(|shard| self.recreate(shard)))
            .buffer_unordered(self.data.config.workers.rebuild_concurrency.max(1))
            .collect::<Vec<_>>()
            .await;
        let mut rebuilt = 0;
        for restored in restored {
            rebuilt += u64::from(restored?);
        }
        Ok(rebuilt)
    }

    /// Those of `expected`, ascending, that the device does not list with the right root.
    async fn missing(&self, expected: Vec<Expected>) -> Result<Vec<Expected>, Fault> {
        let (Some(first), Some(last)) = (expected.first(), expected.last()) else {
            return Ok(Vec::new());
        };
        let (mut after, last) = (before(first.key), last.key);
        let mut present: BTreeMap<ShardKey, ShardEntry> = BTreeMap::new();
        loop {
            let listed = self.slot.service.list(after, LIST_LEN).await.map_err(|error| {
                // The next step finds the device offline and waits for it.
                tracing::info!(device = self.slot.id().0, %error, "rebuild waits");
                Fault::Busy
            })?;
            let Some(end) = listed.last().map(|entry| entry.key) else { break };
            let wanted = |entry: &ShardEntry| {
                expected.binary_search_by_key(&entry.key, |expected| expected.key).is_ok()
            };
            present.extend(listed.into_iter().filter(wanted).map(|entry| (entry.key, entry)));
            if end >= last {
                break;
            }
            after = Some(end);
        }
        let is_missing = |expected: &Expected| {
            present.get(&expected.key).is_none_or(|entry| entry.root != expected.root)
        };
        Ok(expected.into_iter().filter(is_missing).collect())
    }

    /// Recreates one shard; whether it was.
    async fn recreate(&self, shard: Expected) -> Result<bool, Fault> {
        let manifest = shard.key.manifest;
        // A body that was reclaimed since its page was read lacks nothing, and a shard that was
        // moved is not lacking here.
        let Some(stripe) = self.data.manifests.current_stripe(manifest, shard.stripe_index)? else {
            return Ok(false);
        };
        let index = usize::from(shard.key.index.0);
        let group = self.data.placement.group(stripe.record().group)?;
        let is_here = stripe.record().seq == shard.key.stripe
            && index < usize::from(stripe.geometry.shard_count())
            && group.devices.get(index) == Some(&self.slot.id());
        if !is_here {
            return Ok(false);
        }
        let scope = Scope::Missing(shard.key.index);
        match restore(self.data, self.throttle, &stripe, scope).await? {
            Restored::Whole => Ok(true),
            Restored::Waiting | Restored::TooFew => self.leave_to_repair(&stripe, shard).await,
        }
    }

    /// What cannot be recreated now must not hold up the rest.
    async fn leave_to_repair(&self, stripe: &Stripe, shard: Expected) -> Result<bool, Fault> {
        let mut suspects = ShardSet::default();
        suspects.insert(shard.key.index);
        let (manifest, stripe_index) = (stripe.manifest, stripe.index);
        damage::record(self.data, &Damage { manifest, stripe_index, suspects }).await?;
        Ok(false)
    }

    /// Saves progress; whether the record was still the one that was read. If not, the device
    /// changed again, and the next step starts from what the record says then.
    async fn save(&self, old: Bytes, record: DeviceRecord) -> Result<bool, Fault> {
        let row_key = key::ctl::device(self.slot.id());
        let guard = Guard::Equals { table: Table::Ctl, key: row_key.clone(), value: old.clone() };
        if record.encode() == old {
            return Ok(true);
        }
        let saved = self.data.rows.commit(vec![guard], vec![put(Table::Ctl, row_key, &record)]);
        Ok(saved.await?.is_none())
    }
}

/// The manifest of a `pgidx` row.
fn manifest_of(row_key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row_key.get(4..)?.try_into().ok()?))
}

/// The greatest key below `key`, to list from `key` on; `None` for the least key.
fn before(key: ShardKey) -> Option<ShardKey> {
    let ShardKey { manifest, stripe, index } = key;
    if let Some(index) = index.0.checked_sub(1) {
        return Some(ShardKey { manifest, stripe, index: ShardIndex(index) });
    }
    let index = ShardIndex(u8::MAX);
    if let Some(stripe) = stripe.0.checked_sub(1) {
        return Some(ShardKey { manifest, stripe: StripeSeq(stripe), index });
    }
    let manifest = ManifestId(manifest.0.checked_sub(1)?);
    Some(ShardKey { manifest, stripe: StripeSeq(u32::MAX), index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_before_sorts_right_below() {
        let key = |manifest, stripe, index| ShardKey {
            manifest: ManifestId(manifest),
            stripe: StripeSeq(stripe),
            index: ShardIndex(index),
        };
        assert_eq!(before(key(5, 5, 5)), Some(key(5, 5, 4)));
        assert_eq!(before(key(5, 5, 0)), Some(key(5, 4, 255)));
        assert_eq!(before(key(5, 0, 0)), Some(key(4, u32::MAX, 255)));
        assert_eq!(before(key(0, 0, 0)), None);
    }
}
