//! Storing one stripe: seal, encode, place, put, and again elsewhere if a device fails.
//!
//! Invariants:
//! - `Ok` means that all `k + m` shards are durable, unless the bucket asks for less: then that
//!   `k + 1` are, and which are not known to be;
//! - an attempt that fails on some device uses up its stripe number, so that no key ever holds two
//!   payloads;
//! - every attempt is noted before its first shard leaves, so that garbage is findable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway_meta::record::{Acknowledge, StripeRecord};
use gateway_seal::{ChunkIndex, ChunkPosition, ChunkSealer};
use node_proto::{ManifestId, ShardRoot, StripeSeq};
use node_stripe::{Codec, Profile, StripeChunk, StripeGeometry, StripeSpec, shard_root};
use parking_lot::Mutex;

use super::lease::StoredStripe;
use super::memory::{Buffer, Reservation, Share};
use super::placement::Group;
use super::stripe_put::{Placed, PutStripe};
use super::stripe_read::ShardSet;
use super::{Inner, rows::corrupt};
use crate::Fault;

/// Work on fewer bytes stays on the reactor: a hand-off costs as much as hashing them.
pub(crate) const HAND_OFF_LEN_BYTES_MIN: usize = (64 << 10) + 1;

/// Pause before a stripe is tried elsewhere; doubles. Chosen: lets a burst pass that made devices
/// busy, and is nothing against the time lost already.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What all stripes of one upload share.
pub(crate) struct UploadContext {
    pub(crate) data: Arc<Inner>,
    pub(crate) manifest: ManifestId,
    pub(crate) sealer: ChunkSealer,
    pub(crate) chunk_len_bytes: u32,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) stored: Arc<Mutex<Vec<StoredStripe>>>,
    pub(crate) next_seq: AtomicU32,
}

/// Plaintext of one stripe.
pub(crate) struct Plain {
    pub(crate) buffer: Buffer,
    pub(crate) len: usize,
}

impl Plain {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer.as_ref()[..self.len]
    }
}

/// One stripe on its way.
pub(crate) struct NewStripe {
    pub(crate) plain: Arc<Plain>,
    pub(crate) index: u32,
    /// Number of the first attempt, taken in order of the stripes.
    pub(crate) seq: StripeSeq,
    pub(crate) is_last: bool,
    /// Covers the shards.
    pub(crate) reservation: Reservation,
}

/// Shards ready to be sent.
pub(crate) struct Encoded {
    pub(crate) geometry: StripeGeometry,
    pub(crate) shards: Vec<Bytes>,
    pub(crate) roots: Vec<ShardRoot>,
}

/// A stored stripe.
pub(crate) struct StoredRecord {
    pub(crate) record: StripeRecord,
    /// Shards that are not known to be durable.
    pub(crate) missing: ShardSet,
}

impl UploadContext {
    pub(crate) fn take_seq(&self) -> StripeSeq {
        StripeSeq(self.next_seq.fetch_add(1, Ordering::Relaxed))
    }
}

/// Length of the buffer that a stripe's shards need.
pub(crate) fn shards_len_bytes(geometry: &StripeGeometry) -> usize {
    match geometry.codec() {
        // Copies share one buffer.
        Codec::Replicate => geometry.shard_len_bytes(),
        _ => geometry.data_len_bytes() + geometry.parity_len_bytes(),
    }
}

/// The geometry of `plaintext_len` bytes under `profile`.
pub(crate) fn geometry_of(
    profile: &Profile,
    chunk_len_bytes: u32,
    plaintext_len: usize,
) -> Result<StripeGeometry, Fault> {
    StripeGeometry::new(StripeSpec {
        k: profile.k,
        m: profile.m,
        codec: profile.codec,
        chunk_len_bytes,
        plaintext_len_bytes: plaintext_len as u64,
    })
    .map_err(|error| corrupt(error.to_string()))
}

/// Stores a stripe durably.
///
/// # Errors
/// [`Fault`] when no placement worked within the allowed attempts.
pub(crate) async fn store(
    upload: Arc<UploadContext>,
    stripe: NewStripe,
) -> Result<StoredRecord, Fault> {
    let data = Arc::clone(&upload.data);
    let mut encoded = encode_first(&upload, stripe.plain, stripe.index, stripe.is_last).await?;
    // The memory for the first encoding; its shards hold it until they are sent.
    let reservation = stripe.reservation;
    let mut seq = stripe.seq;
    let mut failure = Fault::Busy;
    for attempt in 0..data.config.store_attempts_max {
        let profile = data.adapted_profile()?;
        if attempt > 0 {
            seq = upload.take_seq();
            encoded = adapt(&upload, encoded, &profile).await?;
        }
        let shard_count = encoded.geometry.shard_count();
        let group = match data.placement.choose(shard_count, profile.k + profile.m).await {
            Ok(group) => group,
            // Devices went or filled up since the stripe was encoded: encode it for those that are
            // left. Whether they are enough is told by the next look at them.
            Err(Fault::TooFewDevices { .. } | Fault::StorageFull)
                if attempt + 1 < data.config.store_attempts_max =>
            {
                continue;
            }
            Err(fault) => return Err(fault),
        };
        upload.stored.lock().push(StoredStripe { seq, group: group.id, shard_count });
        match PutStripe::new(&upload, &encoded, group, seq).run().await {
            Ok(Placed { group, missing, stragglers }) => {
                if let Some(stragglers) = stragglers {
                    stragglers.go_on(&data, reservation);
                }
                return Ok(StoredRecord { record: encoded.record(seq, &group), missing });
            }
            Err(fault) => {
                metrics::counter!("datamesh_stripe_retries_total").increment(1);
                failure = fault;
                let pause = RETRY_PAUSE * 2_u32.saturating_pow(attempt);
                tokio::time::sleep(data.config.random.jitter(pause)).await;
            }
        }
    }
    Err(failure)
}

impl Encoded {
    fn record(self, seq: StripeSeq, group: &Group) -> StripeRecord {
        metrics::counter!("datamesh_stripe_written_total").increment(1);
        StripeRecord {
            seq,
            group: group.id,
            k: self.geometry.k(),
            m: self.geometry.m(),
            codec: self.geometry.codec().id(),
            roots: self.roots,
        }
    }
}

async fn encode_first(
    upload: &Arc<UploadContext>,
    plain: Arc<Plain>,
    index: u32,
    is_last: bool,
) -> Result<Encoded, Fault> {
    let profile = upload.data.adapted_profile()?;
    let geometry = geometry_of(&profile, upload.chunk_len_bytes, plain.len)?;
    let buffer = upload.data.buffers.take(shards_len_bytes(&geometry), None);
    let per_stripe = u64::from(profile.stripe_len_bytes / upload.chunk_len_bytes);
    let first_chunk = u64::from(index) * per_stripe;
    let sealed_by = Arc::clone(upload);
    let job = move || {
        let seal = |chunk: StripeChunk, out: &mut [u8]| {
            let range = geometry.plaintext_range(chunk).expect("a chunk of this geometry");
            let is_end = chunk.0 as usize + 1 == geometry.chunk_count();
            let position = ChunkPosition {
                index: ChunkIndex(first_chunk + u64::from(chunk.0)),
                is_last: is_last && is_end,
            };
            let plain = &plain.bytes()[range];
            sealed_by.sealer.seal_into(position, plain, out).expect("lengths follow the geometry");
        };
        encode(geometry, buffer, seal)
    };
    run(&upload.data, geometry.plaintext_len_bytes(), job).await
}

/// The stripe for another number of data shards; unchanged if the number is the same.
async fn adapt(
    upload: &UploadContext,
    encoded: Encoded,
    profile: &Profile,
) -> Result<Encoded, Fault> {
    let data = &upload.data;
    let old = encoded.geometry;
    let geometry = geometry_of(profile, upload.chunk_len_bytes, old.plaintext_len_bytes())?;
    if geometry == old {
        return Ok(encoded);
    }
    let len = shards_len_bytes(&geometry);
    let wait_max = data.config.memory_wait_under_way_max;
    let reservation = data.memory.reserve(len, Share::General, wait_max).await?;
    let buffer = data.buffers.take(len, Some(reservation));
    let job = move || {
        // Sealed chunks are the same in any geometry; only where they lie differs.
        let copy = |chunk: StripeChunk, out: &mut [u8]| {
            let place = old.locate(chunk).expect("both geometries have the same chunks");
            out.copy_from_slice(&encoded.shards[usize::from(place.shard.0)][place.range()]);
        };
        encode(geometry, buffer, copy)
    };
    run(data, geometry.plaintext_len_bytes(), job).await
}

async fn run<T: Send + 'static>(
    data: &Inner,
    len_bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    if len_bytes < HAND_OFF_LEN_BYTES_MIN { Ok(job()) } else { data.cpu.run(job).await }
}

/// Fills the data shards chunk by chunk, makes the parity and hashes every shard.
fn encode(
    geometry: StripeGeometry,
    mut buffer: Buffer,
    fill: impl Fn(StripeChunk, &mut [u8]),
) -> Encoded {
    let shard_len = geometry.shard_len_bytes();
    let (data, parity) = buffer.as_mut().split_at_mut(geometry.data_len_bytes());
    for chunk in geometry.chunks() {
        fill(chunk, &mut data[geometry.data_range(chunk).expect("a chunk of this geometry")]);
    }
    geometry.zero_padding(data);
    let copies = geometry.codec() == Codec::Replicate;
    if !copies {
        node_stripe::encode(&geometry, data, parity).expect("the buffer follows the geometry");
    }
    let whole = buffer.freeze();
    let shard = |index: u8| {
        let start = if copies { 0 } else { usize::from(index) * shard_len };
        whole.slice(start..start + shard_len)
    };
    let shards: Vec<Bytes> = (0..geometry.shard_count()).map(shard).collect();
    let roots = if copies {
        vec![shard_root(&shards[0]); shards.len()]
    } else {
        shards.iter().map(|shard| shard_root(shard)).collect()
    };
    Encoded { geometry, shards, roots }
}
