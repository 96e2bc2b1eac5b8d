//! Reading a window of one stripe from any `k` of its shards.
//!
//! Invariants:
//! - every byte handed out was authenticated by its chunk's tag;
//! - data shards are asked first; parity only for shards that are missing, damaged or late, and
//!   then only the columns that are needed;
//! - it fails only when fewer than `k` shards are intact and reachable.
//!
//! *Cancellation:* dropping the future abandons the reads.
//! *Limits:* the caller reserves for the worst case, all shards of the stripe over the window.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use gateway_seal::{ChunkIndex, ChunkPosition, ChunkSealer};
use node_proto::{ByteRange, GetShardError, ShardIndex};
use node_stripe::{ChunkPlace, Restorer, StripeChunk, StripeGeometry, shard_root};
use tokio::time::Instant;

use super::Inner;
use super::devices::Slot;
use super::manifest::Stripe;
use super::memory::Buffer;
use super::rows::corrupt;
use super::stripe_write::HAND_OFF_LEN_BYTES_MIN;
use crate::Fault;

/// A set of shards of one stripe; stripes have at most 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(pub(crate) u64);

impl ShardSet {
    pub(crate) fn insert(&mut self, index: ShardIndex) {
        self.0 |= 1_u64.checked_shl(u32::from(index.0)).unwrap_or(0);
    }

    pub(crate) fn contains(self, index: ShardIndex) -> bool {
        self.0 & 1_u64.checked_shl(u32::from(index.0)).unwrap_or(0) != 0
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What to read of a stripe.
pub(crate) struct Window {
    pub(crate) stripe: Stripe,
    pub(crate) sealer: Arc<ChunkSealer>,
    /// Wanted bytes of the stripe's plaintext; not empty.
    pub(crate) range: Range<usize>,
}

impl Window {
    fn chunks(&self) -> Result<Vec<StripeChunk>, Fault> {
        let chunks = self.stripe.geometry.chunks_of(self.range.clone());
        chunks.map(Iterator::collect).ok_or_else(|| corrupt("a range lies outside its stripe"))
    }

    /// Plaintext of all chunks that the window touches, as a range of the stripe's.
    fn plaintext(&self) -> Range<usize> {
        let geometry = &self.stripe.geometry;
        let chunk_len = geometry.chunk_len_bytes();
        let end = self.range.end.next_multiple_of(chunk_len).min(geometry.plaintext_len_bytes());
        self.range.start - self.range.start % chunk_len..end
    }

    /// Bytes to reserve: for the plaintext, and for shards in the worst case.
    pub(crate) fn footprint(&self) -> (usize, usize) {
        let geometry = &self.stripe.geometry;
        let plaintext = self.plaintext().len();
        let tags = plaintext.div_ceil(geometry.chunk_len_bytes()) * 16 + 128;
        let columns = (plaintext + tags).min(geometry.shard_len_bytes());
        (plaintext, columns * usize::from(geometry.shard_count()))
    }

    /// For each data shard with wanted chunks, the columns that hold them.
    fn needed(&self, chunks: &[StripeChunk]) -> BTreeMap<ShardIndex, Range<usize>> {
        let geometry = &self.stripe.geometry;
        let mut needed: BTreeMap<ShardIndex, Range<usize>> = BTreeMap::new();
        for chunk in chunks {
            let place = geometry.locate(*chunk).expect("a chunk of this geometry");
            let columns = geometry.column_range(place.range()).expect("within the shard");
            needed
                .entry(place.shard)
                .and_modify(|range| range.end = columns.end)
                .or_insert(columns);
        }
        needed
    }
}

/// Reads a window into `buffer`, which has room for [`Window::footprint`]'s plaintext.
///
/// # Errors
/// [`Fault::Unreadable`] when too few shards are left.
pub(crate) async fn read(
    data: &Arc<Inner>,
    window: Window,
    buffer: Buffer,
) -> Result<Bytes, Fault> {
    let chunks: Arc<[StripeChunk]> = window.chunks()?.into();
    let needed = window.needed(&chunks);
    let window = Arc::new(window);
    let stripe = &window.stripe;
    let mut bad = ShardSet::default();
    let mut buffer = buffer;
    // Every round but the last finds at least one more damaged shard.
    for _ in 0..=stripe.geometry.shard_count() {
        let mut fetch = Fetch::new(data, stripe, &needed, bad);
        let fetched = Arc::new(fetch.run().await?);
        bad = fetch.failed_for_good;
        let (opening, from) = (Arc::clone(&window), Arc::clone(&fetched));
        let wanted = Arc::clone(&chunks);
        let work_len = window.plaintext().len() + fetched.restored_from_len_bytes();
        let job = move || open(&opening, &wanted, &from, buffer);
        let opened =
            if work_len < HAND_OFF_LEN_BYTES_MIN { job() } else { data.cpu.run(job).await? };
        let refused = match opened {
            Ok(buffer) => {
                let start = window.range.start - window.plaintext().start;
                return Ok(buffer.freeze().slice(start..start + window.range.len()));
            }
            Err((refused, back)) => {
                buffer = back;
                refused
            }
        };
        metrics::counter!("datamesh_stripe_refused_chunks_total").increment(1);
        let found = blame(data, stripe, &fetched, refused).await?;
        if found.is_empty() {
            break;
        }
        bad.0 |= found.0;
        data.report_damage(stripe, found);
    }
    let shard_count = usize::from(stripe.geometry.shard_count());
    Err(unreadable(stripe, shard_count.saturating_sub(bad.len().max(1))))
}

pub(crate) fn unreadable(stripe: &Stripe, readable: usize) -> Fault {
    metrics::counter!("datamesh_stripe_unreadable_total").increment(1);
    let needed = usize::from(stripe.geometry.k());
    Fault::Unreadable { stripe_index: stripe.index, readable: readable.min(needed - 1), needed }
}

/// Opens all chunks of the window. On refusal, says which shards the refused chunks came from.
fn open(
    window: &Window,
    chunks: &[StripeChunk],
    fetched: &Fetched,
    buffer: Buffer,
) -> Result<Buffer, (ShardSet, Buffer)> {
    let geometry = &window.stripe.geometry;
    let base = window.plaintext().start;
    let mut opening = Opening { window, base, buffer, refused: ShardSet::default() };
    // Chunks that are made from other shards, by where they start within theirs.
    let mut rows: BTreeMap<usize, Vec<(StripeChunk, ChunkPlace)>> = BTreeMap::new();
    for chunk in chunks {
        let place = geometry.locate(*chunk).expect("a chunk of this geometry");
        match fetched.ranges.get(&place.shard) {
            Some((range, bytes)) => {
                let sealed = &bytes[place.offset_bytes - range.start..][..place.sealed_len_bytes];
                opening.open(*chunk, place.shard, sealed);
            }
            None => rows.entry(place.offset_bytes).or_default().push((*chunk, place)),
        }
    }
    if let Some(restoration) = &fetched.restoration {
        restoration.open_rows(geometry, &rows, &mut opening);
    }
    let Opening { buffer, refused, .. } = opening;
    if refused.is_empty() { Ok(buffer) } else { Err((refused, buffer)) }
}

/// Plaintext in the making.
struct Opening<'a> {
    window: &'a Window,
    /// Where the buffer starts within the stripe's plaintext.
    base: usize,
    buffer: Buffer,
    /// Shards of chunks that did not open.
    refused: ShardSet,
}

impl Opening<'_> {
    fn open(&mut self, chunk: StripeChunk, shard: ShardIndex, sealed: &[u8]) {
        let (stripe, geometry) = (&self.window.stripe, &self.window.stripe.geometry);
        let plain = geometry.plaintext_range(chunk).expect("a chunk of this geometry");
        let position = ChunkPosition {
            index: ChunkIndex(stripe.first_chunk() + u64::from(chunk.0)),
            is_last: stripe.is_last() && chunk.0 as usize + 1 == geometry.chunk_count(),
        };
        let out = &mut self.buffer.as_mut()[plain.start - self.base..plain.end - self.base];
        if self.window.sealer.open_into(position, sealed, out).is_err() {
            self.refused.insert(shard);
        }
    }
}

/// Which shards are damaged, given that chunks of `refused` did not open. A shard that was read
/// itself is to blame itself; for one that was reconstructed, its sources are read whole and
/// compared with their roots.
async fn blame(
    data: &Arc<Inner>,
    stripe: &Stripe,
    fetched: &Fetched,
    refused: ShardSet,
) -> Result<ShardSet, Fault> {
    let read = |shard: &ShardIndex| refused.contains(*shard);
    let mut found = ShardSet::default();
    fetched.ranges.keys().copied().filter(read).for_each(|shard| found.insert(shard));
    let Some(restoration) = fetched.restoration.as_ref().filter(|_| found != refused) else {
        return Ok(found);
    };
    for index in restoration.restorer.sources() {
        if matches!(whole_shard(data, stripe, *index).await?, WholeShard::Bad) {
            found.insert(*index);
        }
    }
    Ok(found)
}

/// A whole shard as repair and blame see it.
pub(crate) enum WholeShard {
    /// Its root is the manifest's.
    Intact(Bytes),
    /// Missing or damaged.
    Bad,
    /// Its device does not answer for now.
    Unreachable,
}

/// Reads a whole shard and compares it with the root in the manifest.
pub(crate) async fn whole_shard(
    data: &Arc<Inner>,
    stripe: &Stripe,
    index: ShardIndex,
) -> Result<WholeShard, Fault> {
    let Some(slot) = slot_of(data, stripe, index)? else { return Ok(WholeShard::Unreachable) };
    let range = ByteRange { offset_bytes: 0, len_bytes: stripe.geometry.shard_len_bytes() as u64 };
    let bytes = match slot.get(stripe.shard_key(index), range).await {
        Ok(bytes) => bytes,
        Err(GetShardError::NotFound { .. } | GetShardError::Damaged { .. }) => {
            return Ok(WholeShard::Bad);
        }
        Err(GetShardError::Busy { .. } | GetShardError::Offline { .. }) => {
            return Ok(WholeShard::Unreachable);
        }
    };
    let hashed = bytes.clone();
    let root = data.cpu.run(move || shard_root(&hashed)).await?;
    let expected = stripe.record().roots[usize::from(index.0)];
    Ok(if root == expected { WholeShard::Intact(bytes) } else { WholeShard::Bad })
}

/// The device of a shard; `None` when it left the layout.
pub(crate) fn slot_of(
    data: &Inner,
    stripe: &Stripe,
    index: ShardIndex,
) -> Result<Option<Arc<Slot>>, Fault> {
    let group = data.placement.group(stripe.record().group)?;
    let device = group
        .devices
        .get(usize::from(index.0))
        .ok_or_else(|| corrupt(format!("{:?} is too narrow for its stripe", group.id)))?;
    Ok(data.devices.slot(*device))
}

/// The needed columns of the needed shards.
struct Fetched {
    /// Those that were read.
    ranges: BTreeMap<ShardIndex, (Range<usize>, Bytes)>,
    /// What the others are made from.
    restoration: Option<Restoration>,
}

/// Shards to be made from others, while their chunks are opened.
struct Restoration {
    restorer: Restorer,
    /// In the order in which the restorer makes them.
    wanted: Vec<ShardIndex>,
    /// The columns that the sources hold.
    hull: Range<usize>,
    /// In the order in which the restorer takes them.
    sources: Vec<Bytes>,
}

impl Fetched {
    /// Bytes that must be decoded from.
    fn restored_from_len_bytes(&self) -> usize {
        self.restoration.as_ref().map_or(0, |from| from.hull.len() * from.sources.len())
    }
}

impl Restoration {
    /// Makes the columns of one row of chunks after the other and opens the chunks while they are
    /// in the processor's caches: whole shards would be written to memory and read again.
    fn open_rows(
        &self,
        geometry: &StripeGeometry,
        rows: &BTreeMap<usize, Vec<(StripeChunk, ChunkPlace)>>,
        opening: &mut Opening<'_>,
    ) {
        metrics::counter!("datamesh_stripe_reconstructions_total").increment(1);
        // One buffer for each shard: long allocations cost more than the decoding.
        let mut made = vec![Vec::new(); self.wanted.len()];
        for (start, chunks) in rows {
            let end = chunks.iter().map(|(_, place)| place.range().end).max().unwrap_or(*start);
            let columns = geometry.column_range(*start..end).expect("within the shard");
            self.restore(&columns, &mut made);
            for (chunk, place) in chunks {
                let of_shard =
                    self.wanted.iter().zip(&made).find(|(shard, _)| **shard == place.shard);
                let (_, made) = of_shard.expect("what was not read is restored");
                let sealed = &made[place.offset_bytes - columns.start..][..place.sealed_len_bytes];
                opening.open(*chunk, place.shard, sealed);
            }
        }
    }

    /// Makes some columns of each of the wanted shards.
    fn restore(&self, columns: &Range<usize>, made: &mut [Vec<u8>]) {
        let within = columns.start - self.hull.start..columns.end - self.hull.start;
        let sources: Vec<&[u8]> = self.sources.iter().map(|bytes| &bytes[within.clone()]).collect();
        made.iter_mut().for_each(|made| made.resize(columns.len(), 0));
        let mut made: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
        self.restorer.restore(&sources, &mut made).expect("equal ranges in whole columns");
    }
}

type Answer = (u64, Result<Bytes, GetShardError>);

struct Asked {
    shard: ShardIndex,
    range: Range<usize>,
    late_at: Instant,
    is_late: bool,
}

/// One attempt to get the needed columns.
struct Fetch<'a> {
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
}

impl<'a> Fetch<'a> {
    fn new(
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
        }
    }

    async fn run(&mut self) -> Result<Fetched, Fault> {
        for (shard, range) in self.needed {
            self.ask(*shard, range.clone())?;
        }
        loop {
            let missing = self.missing();
            if missing.is_empty() {
                return Ok(self.fetched(None));
            }
            let to_restore = ShardSet(missing.0 & (self.failed.0 | self.hedged.0));
            if !to_restore.is_empty() {
                let k = usize::from(self.geometry.k());
                // What is merely late is made as well, once there is enough to make it from.
                let hull = self.hull(missing);
                let sources = self.sources(&hull);
                if sources.len() >= k {
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
        let id = self.next_ask;
        self.next_ask += 1;
        let key = self.stripe.shard_key(shard);
        let bytes = ByteRange { offset_bytes: range.start as u64, len_bytes: range.len() as u64 };
        self.data.devices.earn_hedge();
        let late_at = Instant::now() + self.data.devices.hedge_delay();
        self.asked.insert(id, Asked { shard, range, late_at, is_late: false });
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
        for shard in (0..self.geometry.shard_count()).map(ShardIndex) {
            if expected >= usize::from(self.geometry.k()) {
                break;
            }
            let is_asked = |asked: &Asked| asked.shard == shard && covers(&asked.range, hull);
            if to_restore.contains(shard)
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
            if !asked.is_late
                && !self.hedged.contains(asked.shard)
                && self.data.devices.spend_hedge()
            {
                metrics::counter!("datamesh_stripe_hedges_total").increment(1);
                self.hedged.insert(asked.shard);
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

    fn have_covering(&self, shard: ShardIndex, range: &Range<usize>) -> Option<Bytes> {
        let (have, bytes) = self.have.get(&shard)?.iter().find(|(have, _)| covers(have, range))?;
        Some(bytes.slice(range.start - have.start..range.end - have.start))
    }

    fn missing(&self) -> ShardSet {
        let mut missing = ShardSet::default();
        for (shard, range) in self.needed {
            if self.have_covering(*shard, range).is_none() {
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
                && let Some(bytes) = self.have_covering(*shard, range)
            {
                ranges.insert(*shard, (range.clone(), bytes));
            }
        }
        Fetched { ranges, restoration }
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
