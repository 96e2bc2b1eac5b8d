//! Getting the columns that a window needs: which shards to ask, when to ask others, and when there
//! is enough.
//!
//! Invariants:
//! - a shard on a device that is avoided is treated as late from the start; it is asked all the same
//!   when fewer than `k` others are left;
//! - hedges for late shards stay within their budget; reading around what failed or is avoided is
//!   no hedge, because it takes no more shards than a healthy read.
//!
//! *Cancellation:* dropping a fetch abandons its reads. *Limits:* late reads that are followed to
//! their end, to learn how late they are, are few per device.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use node_proto::{ByteRange, GetShardError, ShardIndex};
use node_stripe::{Codec, Restorer, StripeGeometry};
use tokio::time::Instant;

use super::Inner;
use super::devices::Slot;
use super::manifest::Stripe;
use super::rows::corrupt;
use super::stripe_read::{Restoration, ShardSet, slot_of, unreadable};
use crate::Fault;

/// Longest read that only probes a device. Chosen: one chunk.
const PROBE_LEN_BYTES_MAX: u64 = 64 << 10;

/// The needed columns of the needed shards.
pub(crate) struct Fetched {
    /// Those that were read.
    pub(crate) ranges: BTreeMap<ShardIndex, Read>,
    /// What the others are made from.
    pub(crate) restoration: Option<Restoration>,
}

/// Columns that were read.
pub(crate) struct Read {
    /// The shard they were read from: where shards are copies, any of them.
    pub(crate) from: ShardIndex,
    pub(crate) range: Range<usize>,
    pub(crate) bytes: Bytes,
}

impl Fetched {
    /// Bytes that must be decoded from.
    pub(crate) fn restored_from_len_bytes(&self) -> usize {
        self.restoration.as_ref().map_or(0, |from| from.hull.len() * from.sources.len())
    }
}

type Answer = (u64, Result<Bytes, GetShardError>);

struct Asked {
    slot: Arc<Slot>,
    shard: ShardIndex,
    range: Range<usize>,
    late_at: Instant,
    is_late: bool,
}

/// One attempt to get the needed columns.
pub(crate) struct Fetch<'a> {
    data: &'a Arc<Inner>,
    stripe: &'a Stripe,
    needed: &'a BTreeMap<ShardIndex, Range<usize>>,
    geometry: StripeGeometry,
    have: BTreeMap<ShardIndex, Vec<(Range<usize>, Bytes)>>,
    asked: BTreeMap<u64, Asked>,
    next_ask: u64,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Shards that did not answer properly in this attempt.
    failed: ShardSet,
    /// Those of them that further attempts need not try.
    failed_for_good: ShardSet,
    /// Shards whose lateness was allowed a hedge.
    hedged: ShardSet,
    /// Shards that were not asked because their devices are avoided.
    avoided: ShardSet,
    /// Where shards are copies, the one that was chosen to be read.
    copy: Option<ShardIndex>,
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(
        data: &'a Arc<Inner>,
        stripe: &'a Stripe,
        needed: &'a BTreeMap<ShardIndex, Range<usize>>,
        bad: ShardSet,
    ) -> Self {
        Self {
            data,
            stripe,
            needed,
            geometry: stripe.geometry,
            have: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_ask: 0,
            answers: FuturesUnordered::new(),
            failed: bad,
            failed_for_good: bad,
            hedged: ShardSet::default(),
            avoided: ShardSet::default(),
            copy: None,
        }
    }

    /// Gets them.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] when too few shards are left.
    pub(crate) async fn run(&mut self) -> Result<Fetched, Fault> {
        self.ask_first()?;
        loop {
            let missing = self.missing();
            if missing.is_empty() {
                self.count_won_hedges();
                return Ok(self.fetched(None));
            }
            let given_up = ShardSet(self.failed.0 | self.hedged.0 | self.avoided.0);
            if self.copy.is_some_and(|copy| given_up.contains(copy)) {
                self.ask_more(missing, &self.hull(missing), 0)?;
            }
            let to_restore = match self.copy {
                Some(_) => ShardSet::default(),
                None => ShardSet(missing.0 & given_up.0),
            };
            if !to_restore.is_empty() {
                let k = usize::from(self.geometry.k());
                // What is merely late is made as well, once there is enough to make it from.
                let hull = self.hull(missing);
                let sources = self.sources(&hull);
                if sources.len() >= k {
                    self.count_won_hedges();
                    return self.restoring(missing, hull, &sources);
                }
                let hull = self.hull(to_restore);
                let source_count = self.sources(&hull).len();
                if source_count < k {
                    self.ask_more(to_restore, &hull, source_count)?;
                }
            }
            if self.answers.is_empty() {
                let readable = (0..self.geometry.shard_count())
                    .filter(|index| !self.failed.contains(ShardIndex(*index)))
                    .count();
                return Err(unreadable(self.stripe, readable));
            }
            self.wait().await;
        }
    }

    /// Asks the data shards, or one of the copies.
    fn ask_first(&mut self) -> Result<(), Fault> {
        let (data, stripe) = (self.data, self.stripe);
        let mut needed = self.needed.clone();
        if self.geometry.codec() == Codec::Replicate {
            let copy = self.in_order(false)?.first().copied().unwrap_or(ShardIndex(0));
            self.copy = Some(copy);
            needed = needed.into_values().map(|range| (copy, range)).collect();
        }
        for (shard, range) in needed {
            match slot_of(data, stripe, shard)?.filter(|slot| slot.is_avoided()) {
                None => self.ask(shard, range)?,
                Some(slot) => {
                    self.avoided.insert(shard);
                    self.probe(&slot, shard, &range);
                }
            }
        }
        Ok(())
    }

    /// Reads a little from a device that is avoided, if it is time to see how it does.
    fn probe(&self, slot: &Arc<Slot>, shard: ShardIndex, range: &Range<usize>) {
        let Some(probing) = slot.try_probe() else { return };
        let key = self.stripe.shard_key(shard);
        let len_bytes = (range.len() as u64).min(PROBE_LEN_BYTES_MAX);
        let bytes = ByteRange { offset_bytes: range.start as u64, len_bytes };
        let slot = Arc::clone(slot);
        self.data.background.try_spawn(async move {
            // The answer counts for the breaker, whatever it is.
            drop(slot.get(key, bytes).await);
            drop(probing);
        });
    }

    /// Shards that may still be asked, the most willing first; those on devices that are avoided
    /// and no others, or the other way round.
    fn in_order(&self, avoided: bool) -> Result<Vec<ShardIndex>, Fault> {
        let count = self.geometry.shard_count();
        let mut ranked = Vec::with_capacity(usize::from(count));
        for shard in (0..count).map(ShardIndex).filter(|shard| !self.failed.contains(*shard)) {
            let Some(slot) = slot_of(self.data, self.stripe, shard)? else { continue };
            if slot.is_avoided() == avoided && slot.is_up() {
                ranked.push((self.data.devices.rank(&slot), shard));
            }
        }
        // Equals take turns.
        let turn = self.data.devices.turn(ranked.len());
        ranked.rotate_left(turn);
        ranked.sort_by_key(|(rank, _)| *rank);
        Ok(ranked.into_iter().map(|(_, shard)| shard).collect())
    }

    /// Asks a shard's device for a range, unless the shard failed already.
    fn ask(&mut self, shard: ShardIndex, range: Range<usize>) -> Result<(), Fault> {
        if self.failed.contains(shard) {
            return Ok(());
        }
        let slot = slot_of(self.data, self.stripe, shard)?.filter(|slot| slot.is_up());
        let Some(slot) = slot else {
            self.failed.insert(shard);
            return Ok(());
        };
        // From now on it is late like any other.
        self.avoided.0 &= !(1 << shard.0);
        let asked_slot = Arc::clone(&slot);
        let id = self.next_ask;
        self.next_ask += 1;
        let key = self.stripe.shard_key(shard);
        let bytes = ByteRange { offset_bytes: range.start as u64, len_bytes: range.len() as u64 };
        self.data.devices.read_hedges.earn();
        let late_at = Instant::now() + self.data.devices.hedge_delay();
        let asked = Asked { slot: asked_slot, shard, range, late_at, is_late: false };
        self.asked.insert(id, asked);
        self.answers.push(async move { (id, slot.get(key, bytes).await) }.boxed());
        Ok(())
    }

    /// Asks as many further shards as it takes to have `k` sources for `hull`.
    fn ask_more(
        &mut self,
        to_restore: ShardSet,
        hull: &Range<usize>,
        source_count: usize,
    ) -> Result<(), Fault> {
        let mut expected = source_count
            + self
                .asked
                .values()
                .filter(|asked| !asked.is_late && covers(&asked.range, hull))
                .count();
        let k = usize::from(self.geometry.k());
        if expected >= k {
            return Ok(());
        }
        let willing = self.in_order(false)?;
        let unwilling = self.in_order(true)?;
        for shard in willing.into_iter().chain(unwilling) {
            if expected >= k {
                break;
            }
            let is_asked = |asked: &Asked| asked.shard == shard && covers(&asked.range, hull);
            let is_given_up = to_restore.contains(shard) && !self.avoided.contains(shard);
            if (is_given_up && self.copy.is_none())
                || self.failed.contains(shard)
                || self.have_covering(shard, hull).is_some()
                || self.asked.values().any(is_asked)
            {
                continue;
            }
            self.ask(shard, hull.clone())?;
            if !self.failed.contains(shard) {
                metrics::counter!("datamesh_stripe_parity_reads_total").increment(1);
                expected += 1;
            }
        }
        Ok(())
    }

    /// Waits for an answer, or until one is late.
    async fn wait(&mut self) {
        let on_time = self.asked.values().filter(|asked| !asked.is_late);
        let late_at = on_time.map(|asked| asked.late_at).min();
        let lateness = async {
            match late_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.answers.next() => if let Some(answer) = answer { self.take(answer) },
            () = lateness => self.note_lateness(),
        }
    }

    fn note_lateness(&mut self) {
        let now = Instant::now();
        for asked in self.asked.values_mut().filter(|asked| asked.late_at <= now) {
            if !asked.is_late && !self.hedged.contains(asked.shard) {
                if self.data.devices.read_hedges.spend() {
                    metrics::counter!("datamesh_stripe_hedges_total").increment(1);
                    self.hedged.insert(asked.shard);
                } else {
                    metrics::counter!("datamesh_stripe_hedges_refused_total").increment(1);
                }
            }
            asked.is_late = true;
        }
    }

    fn take(&mut self, (id, result): Answer) {
        let Some(Asked { shard, range, .. }) = self.asked.remove(&id) else { return };
        match result {
            Ok(bytes) => self.have.entry(shard).or_default().push((range, bytes)),
            Err(error) => {
                self.failed.insert(shard);
                if matches!(error, GetShardError::NotFound { .. } | GetShardError::Damaged { .. }) {
                    self.failed_for_good.insert(shard);
                    let mut found = ShardSet::default();
                    found.insert(shard);
                    self.data.report_damage(self.stripe, found);
                }
                tracing::debug!(%error, "reading around a shard");
            }
        }
    }

    /// Counts late shards that were not waited for to the end.
    fn count_won_hedges(&self) {
        let is_won = |asked: &&Asked| self.hedged.contains(asked.shard);
        let won = self.asked.values().filter(is_won).count();
        if won > 0 {
            metrics::counter!("datamesh_stripe_hedges_won_total").increment(won as u64);
        }
    }

    /// Goes on with reads that are late, without anybody waiting for them: how late they are counts
    /// for the breakers of their devices.
    pub(crate) fn follow_late(&mut self) {
        let late = self.asked.values().filter(|asked| asked.is_late);
        let followed: Vec<_> = late.filter_map(|asked| asked.slot.try_follow()).collect();
        if !followed.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            self.data.background.try_spawn(async move {
                answers.for_each(|_| std::future::ready(())).await;
                drop(followed);
            });
        }
    }

    pub(crate) fn failed_for_good(&self) -> ShardSet {
        self.failed_for_good
    }

    /// What was read of a shard, or of any copy of it.
    fn read_of(&self, shard: ShardIndex, range: &Range<usize>) -> Option<Read> {
        let covering = |from: ShardIndex| {
            let bytes = self.have_covering(from, range)?;
            Some(Read { from, range: range.clone(), bytes })
        };
        match self.copy {
            Some(_) => self.have.keys().find_map(|copy| covering(*copy)),
            None => covering(shard),
        }
    }

    fn have_covering(&self, shard: ShardIndex, range: &Range<usize>) -> Option<Bytes> {
        let (have, bytes) = self.have.get(&shard)?.iter().find(|(have, _)| covers(have, range))?;
        Some(bytes.slice(range.start - have.start..range.end - have.start))
    }

    fn missing(&self) -> ShardSet {
        let mut missing = ShardSet::default();
        for (shard, range) in self.needed {
            if self.read_of(*shard, range).is_none() {
                missing.insert(*shard);
            }
        }
        missing
    }

    /// The columns that hold everything needed of `shards`.
    fn hull(&self, shards: ShardSet) -> Range<usize> {
        let ranges = || {
            self.needed.iter().filter(|(shard, _)| shards.contains(**shard)).map(|(_, range)| range)
        };
        let start = ranges().map(|range| range.start).min().unwrap_or(0);
        start..ranges().map(|range| range.end).max().unwrap_or(start)
    }

    fn sources(&self, hull: &Range<usize>) -> BTreeMap<ShardIndex, Bytes> {
        let covering = |shard: &ShardIndex| Some((*shard, self.have_covering(*shard, hull)?));
        self.have.keys().filter_map(covering).collect()
    }

    fn restoring(
        &self,
        wanted: ShardSet,
        hull: Range<usize>,
        sources: &BTreeMap<ShardIndex, Bytes>,
    ) -> Result<Fetched, Fault> {
        let wanted: Vec<ShardIndex> =
            self.needed.keys().copied().filter(|shard| wanted.contains(*shard)).collect();
        let present: Vec<ShardIndex> = sources.keys().copied().collect();
        let restorer = Restorer::new(&self.geometry, &present, &wanted)
            .map_err(|error| corrupt(error.to_string()))?;
        let sources = restorer.sources().iter().map(|shard| sources[shard].clone()).collect();
        Ok(self.fetched(Some(Restoration { restorer, wanted, hull, sources })))
    }

    fn fetched(&self, restoration: Option<Restoration>) -> Fetched {
        let is_made = |shard: &ShardIndex| {
            restoration.as_ref().is_some_and(|restoration| restoration.wanted.contains(shard))
        };
        let mut ranges = BTreeMap::new();
        for (shard, range) in self.needed {
            if !is_made(shard)
                && let Some(read) = self.read_of(*shard, range)
            {
                ranges.insert(*shard, read);
            }
        }
        Fetched { ranges, restoration }
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
