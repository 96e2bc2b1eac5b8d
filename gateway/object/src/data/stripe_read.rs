//! Reading a window of one stripe from any `k` of its shards.
//!
//! Invariants:
//! - every byte handed out was authenticated by its chunk's tag;
//! - data shards are asked first; parity only for shards that are missing, damaged, late or on a
//!   device that is avoided, and then only the columns that are needed;
//! - it fails only when fewer than `k` shards are intact and reachable.
//!
//! *Cancellation:* dropping the future abandons the reads.
//! *Limits:* the caller reserves for the worst case, all shards of the stripe over the window.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use gateway_seal::{ChunkIndex, ChunkPosition, ChunkSealer};
use node_proto::{ByteRange, GetShardError, ShardIndex};
use node_stripe::{ChunkPlace, Restorer, StripeChunk, StripeGeometry, shard_root};

use super::Inner;
use super::devices::Slot;
use super::fetch::{Fetch, Fetched, Read};
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
#[derive(Clone)]
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

    /// The same window of its stripe as it is named now; `None` when nothing of it moved.
    pub(crate) fn moved(&self, data: &Inner) -> Result<Option<Self>, Fault> {
        let current = data.manifests.current_stripe(self.stripe.manifest, self.stripe.index)?;
        let moved = current.filter(|current| current.record() != self.stripe.record());
        Ok(moved.map(|stripe| Self { stripe, ..self.clone() }))
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
        bad = fetch.failed_for_good();
        fetch.follow_late();
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
            Some(Read { from, range, bytes }) => {
                let sealed = &bytes[place.offset_bytes - range.start..][..place.sealed_len_bytes];
                opening.open(*chunk, *from, sealed);
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
    let sources = fetched.ranges.values().map(|read| read.from);
    sources.filter(read).for_each(|shard| found.insert(shard));
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

/// Shards to be made from others, while their chunks are opened.
pub(crate) struct Restoration {
    pub(crate) restorer: Restorer,
    /// In the order in which the restorer makes them.
    pub(crate) wanted: Vec<ShardIndex>,
    /// The columns that the sources hold.
    pub(crate) hull: Range<usize>,
    /// In the order in which the restorer takes them.
    pub(crate) sources: Vec<Bytes>,
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
