//! Recreating shards from intact ones.
//!
//! Invariants:
//! - a shard that a device calls damaged is stored anew, also when its content can be read;
//! - a source is used only if its whole content hashes to the root in the manifest;
//! - what was recreated is stored only if it hashes to its own root.
//!
//! *Limits:* memory for all shards of the stripe twice is reserved before the first is read; bytes
//! moved count against one bandwidth limit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use node_proto::{GetShardError, ShardIndex};
use node_stripe::shard_root;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::Stripe;
use crate::data::memory::{Reservation, Share};
use crate::data::rows::corrupt;
use crate::data::stripe_read::{ShardSet, WholeShard, slot_of, whole_shard};

/// Spaces work so that its bytes stay within a rate.
pub(crate) struct Throttle {
    bytes_per_second: u64,
    free_at: Mutex<Option<Instant>>,
    /// A rate that all of this counts against, too.
    within: Option<Arc<Throttle>>,
}

/// How a stripe stands after an attempt to restore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// Every shard that was looked at is intact.
    Whole,
    /// Some shards are on devices that do not answer; try again later.
    Waiting,
    /// Fewer than `k` shards are intact and reachable.
    TooFew,
}

/// Which shards to look at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// All of them; of the suspects not only the content, but all that the device keeps of it.
    Whole { suspects: ShardSet },
    /// One that is known to be missing, and as many others as it takes to recreate it.
    Missing(ShardIndex),
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second.max(1);
        Self { bytes_per_second, free_at: Mutex::new(None), within: None }
    }

    /// A rate within another.
    pub(crate) fn within(outer: Arc<Self>, bytes_per_second: u64) -> Self {
        Self { within: Some(outer), ..Self::new(bytes_per_second) }
    }

    /// Waits until `len_bytes` more may be moved.
    pub(crate) async fn wait_for(&self, len_bytes: u64) {
        let start = self.book(len_bytes);
        let outer = self.within.as_ref().map(|outer| outer.book(len_bytes));
        tokio::time::sleep_until(outer.map_or(start, |outer| outer.max(start))).await;
    }

    /// When `len_bytes` more may be moved.
    fn book(&self, len_bytes: u64) -> Instant {
        let cost = Duration::from_secs_f64(len_bytes as f64 / self.bytes_per_second as f64);
        let mut free_at = self.free_at.lock();
        let now = Instant::now();
        let start = free_at.map_or(now, |at| at.max(now));
        *free_at = Some(start + cost);
        start
    }
}

/// Shards of a stripe with their right bytes, and the memory that they take.
pub(crate) struct Obtained {
    pub(crate) shards: Vec<(ShardIndex, Bytes)>,
    _reservation: Reservation,
}

/// Reads the `wanted` shards, or makes them from others; `None` when fewer than `k` are intact and
/// reachable. Stores nothing.
pub(crate) async fn obtain(
    data: &Arc<Inner>,
    throttle: &Throttle,
    stripe: &Stripe,
    wanted: &[ShardIndex],
) -> Result<Option<Obtained>, Fault> {
    let shard_len = stripe.geometry.shard_len_bytes();
    let shard_count = usize::from(stripe.geometry.shard_count());
    let wait_max = data.config.memory_wait_under_way_max;
    let reservation =
        data.memory.reserve(2 * shard_count * shard_len, Share::General, wait_max).await?;
    let mut found = Found::default();
    throttle.wait_for((wanted.len() * shard_len) as u64).await;
    found.add(data, stripe, wanted.to_vec()).await?;
    let has = |found: &Found, index: &ShardIndex| found.intact.iter().any(|(had, _)| had == index);
    let missing: Vec<ShardIndex> =
        wanted.iter().filter(|index| !has(&found, index)).copied().collect();
    let mut shards: Vec<(ShardIndex, Bytes)> =
        found.intact.iter().map(|(index, bytes)| (*index, bytes.clone())).collect();
    if !missing.is_empty() {
        let all = (0..stripe.geometry.shard_count()).map(ShardIndex);
        let mut others = all.filter(|index| !wanted.contains(index));
        let k = usize::from(stripe.geometry.k());
        while found.intact.len() < k {
            let wave: Vec<ShardIndex> = others.by_ref().take(k - found.intact.len()).collect();
            if wave.is_empty() {
                return Ok(None);
            }
            throttle.wait_for((wave.len() * shard_len) as u64).await;
            found.add(data, stripe, wave).await?;
        }
        let made = recreate(data, stripe, Found { bad: missing, ..found }).await?;
        shards.extend(made);
    }
    shards.sort_by_key(|(index, _)| *index);
    Ok(Some(Obtained { shards, _reservation: reservation }))
}

/// What was found of a stripe.
#[derive(Default)]
struct Found {
    intact: Vec<(ShardIndex, Bytes)>,
    bad: Vec<ShardIndex>,
    /// Intact ones whose record on the device is damaged around them: they are stored anew.
    frayed: Vec<(ShardIndex, Bytes)>,
    unreachable: usize,
}

/// Looks at the shards in `scope` and recreates what is missing or damaged.
pub(super) async fn restore(
    data: &Arc<Inner>,
    throttle: &Throttle,
    stripe: &Stripe,
    scope: Scope,
) -> Result<Restored, Fault> {
    let shard_len = stripe.geometry.shard_len_bytes();
    let shard_count = usize::from(stripe.geometry.shard_count());
    let wait_max = data.config.memory_wait_under_way_max;
    throttle.wait_for((shard_count * shard_len) as u64).await;
    let _reservation =
        data.memory.reserve(2 * shard_count * shard_len, Share::General, wait_max).await?;
    let found = look(data, stripe, scope).await?;
    let is_beyond_repair =
        !found.bad.is_empty() && found.intact.len() < usize::from(stripe.geometry.k());
    if is_beyond_repair {
        return Ok(Restored::TooFew);
    }
    let unreachable = found.unreachable;
    let recreated = recreate(data, stripe, found).await?;
    fail::fail_point!("mid-repair");
    let stored = join_all(recreated.into_iter().map(|(index, bytes)| async move {
        let root = stripe.record().roots[usize::from(index.0)];
        let Some(slot) = slot_of(data, stripe, index)?.filter(|slot| slot.is_up()) else {
            return Ok(false);
        };
        match slot.replace(stripe.shard_key(index), root, bytes).await {
            Ok(()) => {
                data.repaired_shards.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("datamesh_repair_shards_total").increment(1);
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(device = slot.id().0, %error, "a repaired shard was not stored");
                Ok(false)
            }
        }
    }))
    .await
    .into_iter()
    .collect::<Result<Vec<bool>, Fault>>()?;
    let all_stored = stored.into_iter().all(|stored| stored);
    Ok(if all_stored && unreachable == 0 { Restored::Whole } else { Restored::Waiting })
}

async fn look(data: &Arc<Inner>, stripe: &Stripe, scope: Scope) -> Result<Found, Fault> {
    let all: Vec<ShardIndex> = (0..stripe.geometry.shard_count()).map(ShardIndex).collect();
    let mut found = Found::default();
    match scope {
        Scope::Whole { suspects } => {
            found.add(data, stripe, all).await?;
            found.verify(data, stripe, suspects).await?;
        }
        Scope::Missing(missing) => {
            found.bad.push(missing);
            let mut others = all.into_iter().filter(|index| *index != missing);
            let k = usize::from(stripe.geometry.k());
            while found.intact.len() < k {
                let wave: Vec<ShardIndex> = others.by_ref().take(k - found.intact.len()).collect();
                if wave.is_empty() {
                    break;
                }
                found.add(data, stripe, wave).await?;
            }
            // Whether the others are whole is not asked here: what was met bad is repaired apart.
            found.unreachable = 0;
            let mut met = ShardSet::default();
            found.bad.iter().skip(1).for_each(|index| met.insert(*index));
            if !met.is_empty() {
                data.report_damage(stripe, met);
            }
        }
    }
    Ok(found)
}

impl Found {
    async fn add(
        &mut self,
        data: &Arc<Inner>,
        stripe: &Stripe,
        indexes: Vec<ShardIndex>,
    ) -> Result<(), Fault> {
        let read = indexes.iter().map(|index| whole_shard(data, stripe, *index));
        for (index, shard) in indexes.iter().zip(join_all(read).await) {
            match shard? {
                WholeShard::Intact(bytes) => self.intact.push((*index, bytes)),
                WholeShard::Bad => self.bad.push(*index),
                WholeShard::Unreachable => self.unreachable += 1,
            }
        }
        Ok(())
    }

    /// Lets the devices look at the records of intact suspects.
    async fn verify(
        &mut self,
        data: &Arc<Inner>,
        stripe: &Stripe,
        suspects: ShardSet,
    ) -> Result<(), Fault> {
        for (index, bytes) in &self.intact {
            if !suspects.contains(*index) {
                continue;
            }
            let Some(slot) = slot_of(data, stripe, *index)? else { continue };
            match slot.service.verify(stripe.shard_key(*index)).await {
                Ok(_) => {}
                Err(GetShardError::Damaged { .. } | GetShardError::NotFound { .. }) => {
                    self.frayed.push((*index, bytes.clone()));
                }
                Err(GetShardError::Busy { .. } | GetShardError::Offline { .. }) => {
                    self.unreachable += 1;
                }
            }
        }
        Ok(())
    }
}

/// The shards to store anew.
async fn recreate(
    data: &Inner,
    stripe: &Stripe,
    mut found: Found,
) -> Result<Vec<(ShardIndex, Bytes)>, Fault> {
    let frayed = std::mem::take(&mut found.frayed);
    if found.bad.is_empty() {
        return Ok(frayed);
    }
    let geometry = stripe.geometry;
    let roots = stripe.record().roots.clone();
    let recreated = data
        .cpu
        .run(move || {
            let present: Vec<(ShardIndex, &[u8])> =
                found.intact.iter().map(|(index, bytes)| (*index, &bytes[..])).collect();
            let made = node_stripe::reconstruct(&geometry, &present, &found.bad)
                .map_err(|error| corrupt(error.to_string()))?;
            let is_right = |(index, bytes): &(ShardIndex, Vec<u8>)| {
                shard_root(bytes) == roots[usize::from(index.0)]
            };
            if made.iter().all(is_right) { Ok(made) } else { Err(corrupt("roots contradict data")) }
        })
        .await??;
    let recreated = recreated.into_iter().map(|(index, bytes)| (index, Bytes::from(bytes)));
    Ok(recreated.chain(frayed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_spaced_by_the_rate() {
        let throttle = Throttle::new(1000);
        let started = Instant::now();
        for _ in 0..3 {
            throttle.wait_for(500).await;
        }
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_within_another_keeps_to_both() {
        let outer = Arc::new(Throttle::new(1000));
        let (slow, fast) =
            (Throttle::within(Arc::clone(&outer), 100), Throttle::within(outer, 10_000));
        let started = Instant::now();
        for _ in 0..3 {
            slow.wait_for(100).await;
        }
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        for _ in 0..3 {
            fast.wait_for(1000).await;
        }
        assert_eq!(started.elapsed(), Duration::from_secs(4));
    }
}
