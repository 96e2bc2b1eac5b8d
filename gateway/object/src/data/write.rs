//! The write path: a body becomes shards or an inline row, and the rows that name them.
//!
//! Invariants:
//! - nothing is visible when this returns: the caller's commit makes it so;
//! - when it returns `Ok`, every shard of the body is durable, or as many as its bucket asks for and
//!   the commit queues its stripes for repair; and every declared digest matched;
//! - a body holds memory only for stripes that have bytes: a slow client holds one stripe.
//!
//! *Cancellation:* dropping the future drops what is in flight; the upload's id stops being in
//! flight last, and what was stored is deleted in the background.
//! *Crash consistency:* the lease is fenced at the next start; the sweeper collects the shards.
//! *Limits:* stripes in flight per upload, and all uploads together by the memory budget, of
//! which a part is kept for declared bodies of at most a mebibyte.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use gateway_meta::{
    AccountId, BucketId, Guard, Op, Table, key,
    record::{
        Acknowledge, Body, BucketRecord, ChecksumAlgorithm, InlineRecord, RepairRecord,
        StripeRecord,
    },
};
use gateway_seal::{ChunkIndex, ChunkPosition, TAG_LEN_BYTES};
use node_proto::ManifestId;

use super::Inner;
use super::hashing::Hashing;
use super::keys::{BucketKeyId, SealedBody};
use super::lease::InFlight;
use super::manifest::NewManifest;
use super::memory::Share;
use super::rows::put;
use super::stripe_write::{
    NewStripe, Plain, StoredRecord, UploadContext, geometry_of, shards_len_bytes, store,
};
use crate::encryption::Sealing;
use crate::{ByteStream, Fault, IncomingBody, ObjectWriteError};

/// For whom and under which keys a body is written.
#[derive(Clone, Debug)]
pub(crate) struct WriteTarget {
    pub(crate) bucket: BucketId,
    /// The bucket's owner, whose key pair opens the bucket key.
    pub(crate) owner: AccountId,
    pub(crate) key_epoch: u32,
    pub(crate) acknowledge: Acknowledge,
    /// Whose key it takes besides the bucket's.
    pub(crate) sealing: Sealing,
}

impl WriteTarget {
    /// New bodies of a bucket.
    pub(crate) fn of(bucket: &BucketRecord, sealing: Sealing) -> Self {
        Self {
            bucket: bucket.id,
            owner: bucket.owner,
            key_epoch: bucket.key_epoch,
            acknowledge: bucket.acknowledge,
            sealing,
        }
    }
}

/// A durable body that no commit names yet.
pub(crate) struct WrittenBody {
    pub(crate) body: Body,
    pub(crate) len_bytes: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: (ChecksumAlgorithm, Vec<u8>),
    /// How it is sealed.
    pub(crate) sealing: Sealing,
    /// Must be part of the commit: the lease still stands.
    pub(crate) guards: Vec<Guard>,
    /// Must be part of the commit: the rows that say where the bytes are.
    pub(crate) ops: Vec<Op>,
    /// Keep until the commit answered.
    pub(crate) in_flight: Option<InFlight>,
}

/// Reads, checks and stores `body`.
pub(crate) async fn write(
    data: &Arc<Inner>,
    target: WriteTarget,
    body: IncomingBody,
    limit_bytes: u64,
) -> Result<WrittenBody, ObjectWriteError> {
    if data.closing.load(Ordering::Acquire) {
        return Err(Fault::ShuttingDown.into());
    }
    let IncomingBody { stream, len_bytes, expected } = body;
    if len_bytes.is_some_and(|len| len > limit_bytes) {
        return Err(ObjectWriteError::TooLarge { limit_bytes });
    }
    let receiver = Receiver { stream, declared: len_bytes, limit_bytes, received: 0, ahead: None };
    let hashing = Hashing::new(data, &expected, len_bytes);
    let mut upload = Upload {
        pipeline: Pipeline::new(hashing),
        data,
        target,
        receiver,
        stripe_count: 0,
        destination: Destination::None,
    };
    upload.receive().await?;
    upload.pipeline.finish().await?;
    let finished = upload.pipeline.hashing.finish()?;
    finished.compare(expected)?;
    let (md5, checksum) = (finished.md5, finished.checksum);
    Ok(upload.into_written(md5, checksum))
}

/// The client's bytes, counted.
struct Receiver {
    stream: ByteStream,
    declared: Option<u64>,
    limit_bytes: u64,
    received: u64,
    /// Bytes that were received and belong to the next stripe.
    ahead: Option<Bytes>,
}

impl Receiver {
    /// The next bytes, never empty; `None` at a proper end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<Bytes>, ObjectWriteError> {
        if let Some(bytes) = self.ahead.take() {
            return Ok(Some(bytes));
        }
        loop {
            let Some(frame) = self.stream.next().await else {
                let complete = self.declared.is_none_or(|declared| declared == self.received);
                return if complete { Ok(None) } else { Err(ObjectWriteError::LengthMismatch) };
            };
            let bytes = frame.map_err(ObjectWriteError::Body)?;
            self.received += bytes.len() as u64;
            if self.declared.is_some_and(|declared| self.received > declared) {
                return Err(ObjectWriteError::LengthMismatch);
            }
            if self.received > self.limit_bytes {
                return Err(ObjectWriteError::TooLarge { limit_bytes: self.limit_bytes });
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// Everything of an upload that goes on while bytes are received. Dropped before the upload's id
/// stops being in flight.
struct Pipeline {
    stores: FuturesOrdered<BoxFuture<'static, Result<StoredRecord, Fault>>>,
    stripes: Vec<StripeRecord>,
    /// Repair rows of stripes that lack shards.
    repairs: Vec<(u32, RepairRecord)>,
    hashing: Hashing,
}

impl Pipeline {
    fn new(hashing: Hashing) -> Self {
        Self { stores: FuturesOrdered::new(), stripes: Vec::new(), repairs: Vec::new(), hashing }
    }

    /// The record of the next stripe.
    fn take(&mut self, stored: StoredRecord) {
        let StoredRecord { record, missing } = stored;
        if !missing.is_empty() {
            let index = u32::try_from(self.stripes.len()).expect("the upload counts in u32");
            self.repairs.push((index, RepairRecord { attempts: 0, suspects: missing.0 }));
        }
        self.stripes.push(record);
    }

    /// Rows by which repair finds the stripes that lack shards.
    fn repair_ops(&self, manifest: ManifestId) -> Vec<Op> {
        let row = |(index, repair): &(u32, RepairRecord)| {
            let m = self.stripes[*index as usize].m;
            let lost = u8::try_from(repair.suspects.count_ones()).unwrap_or(u8::MAX);
            let row_key = key::repair(m.saturating_sub(lost), manifest, *index);
            put(Table::Repair, row_key, repair)
        };
        self.repairs.iter().map(row).collect()
    }

    fn is_busy(&self) -> bool {
        !self.stores.is_empty() || self.hashing.is_busy()
    }

    /// Waits for one thing to finish. Cancel-safe.
    async fn step(&mut self) -> Result<(), Fault> {
        let Self { stores, hashing, .. } = self;
        let stored = tokio::select! {
            Some(stored) = stores.next(), if !stores.is_empty() => Some(stored?),
            hashed = hashing.step(), if hashing.is_busy() => { hashed?; None }
            else => None,
        };
        stored.into_iter().for_each(|stored| self.take(stored));
        Ok(())
    }

    /// Waits until another stripe may start.
    async fn make_room(&mut self, stripes_max: usize) -> Result<(), Fault> {
        while self.stores.len() >= stripes_max || self.hashing.queued() >= stripes_max {
            if self.hashing.queued() >= stripes_max {
                self.hashing.hurry();
            }
            self.step().await?;
        }
        Ok(())
    }

    /// Waits for everything.
    async fn finish(&mut self) -> Result<(), Fault> {
        while self.is_busy() {
            self.step().await?;
        }
        Ok(())
    }
}

/// Where the body goes, known once its first stripe is there.
enum Destination {
    /// Nothing was received yet.
    None,
    Inline {
        record: InlineRecord,
        guard: Guard,
        in_flight: InFlight,
    },
    Stripes {
        context: Arc<UploadContext>,
        data_key: Vec<u8>,
        guard: Guard,
        in_flight: InFlight,
    },
}

struct Upload<'a> {
    // First, so that it is dropped first.
    pipeline: Pipeline,
    data: &'a Arc<Inner>,
    target: WriteTarget,
    receiver: Receiver,
    stripe_count: u32,
    destination: Destination,
}

impl Upload<'_> {
    async fn receive(&mut self) -> Result<(), ObjectWriteError> {
        while let Some(first) = self.next_bytes().await? {
            self.pipeline.make_room(self.data.config.stripes_in_flight_max).await?;
            let (plain, reservation) = self.fill(first).await?;
            let is_last = match self.receiver.declared {
                Some(declared) => self.receiver.received == declared && !self.has_ahead(),
                None => {
                    self.receiver.ahead = self.next_bytes().await?;
                    !self.has_ahead()
                }
            };
            self.submit(plain, is_last, reservation).await?;
        }
        Ok(())
    }

    fn has_ahead(&self) -> bool {
        self.receiver.ahead.is_some()
    }

    /// The next bytes of the body, while the pipeline goes on.
    async fn next_bytes(&mut self) -> Result<Option<Bytes>, ObjectWriteError> {
        loop {
            let Self { pipeline, receiver, .. } = self;
            tokio::select! {
                bytes = receiver.next() => return bytes,
                stepped = pipeline.step(), if pipeline.is_busy() => stepped?,
            }
        }
    }

    /// Plaintext bytes that the next stripe can have at most.
    fn next_len_max(&self, in_hand: usize) -> usize {
        let stripe_len = u64::from(self.data.config.profile.stripe_len_bytes);
        let left = match self.receiver.declared {
            Some(declared) => declared - self.receiver.received + in_hand as u64,
            None => stripe_len,
        };
        usize::try_from(left.min(stripe_len)).expect("at most a stripe")
    }

    /// Collects one stripe, starting with `first`.
    async fn fill(
        &mut self,
        first: Bytes,
    ) -> Result<(Plain, super::memory::Reservation), ObjectWriteError> {
        let config = &self.data.config;
        let len_max = self.next_len_max(first.len());
        let shards = self.shards_len(len_max)?;
        let wait = match self.stripe_count {
            0 => config.memory_wait_max,
            _ => config.memory_wait_under_way_max,
        };
        // Both at once: an upload that held plaintext while it waits for room to encode could wait
        // for others that do the same.
        let share = self.receiver.declared.map_or(Share::General, Share::of_request);
        let mut reserving = pin!(self.data.memory.reserve_two((len_max, shards), share, wait));
        let mut reserved = reserving.as_mut().now_or_never();
        if reserved.is_none() {
            // Stripes that wait to be hashed hold memory.
            self.pipeline.hashing.hurry();
        }
        let (for_plain, for_shards) = loop {
            if let Some(reserved) = reserved.take() {
                break reserved?;
            }
            let Self { pipeline, .. } = self;
            tokio::select! {
                had = &mut reserving => reserved = Some(had),
                stepped = pipeline.step(), if pipeline.is_busy() => stepped?,
            }
        };
        let mut buffer = self.data.buffers.take(len_max, Some(for_plain));
        let mut len = 0;
        let mut next = Some(first);
        while let Some(mut bytes) = next {
            let taken = bytes.len().min(len_max - len);
            buffer.as_mut()[len..len + taken].copy_from_slice(&bytes.split_to(taken));
            len += taken;
            if !bytes.is_empty() {
                self.receiver.ahead = Some(bytes);
            }
            if len == len_max {
                break;
            }
            next = self.next_bytes().await?;
        }
        Ok((Plain { buffer, len }, for_shards))
    }

    /// Bytes to reserve for the shards of a stripe; none for a body that goes into its row, which
    /// needs no devices.
    fn shards_len(&self, plaintext_len: usize) -> Result<usize, Fault> {
        let fits_inline = plaintext_len as u64 <= self.data.config.inline_len_bytes_max;
        if self.stripe_count == 0 && fits_inline {
            return Ok(0);
        }
        let profile = self.data.adapted_profile()?;
        let chunk_len = profile.chunk_len_for(plaintext_len as u64);
        Ok(shards_len_bytes(&geometry_of(&profile, chunk_len, plaintext_len)?))
    }

    async fn submit(
        &mut self,
        plain: Plain,
        is_last: bool,
        reservation: super::memory::Reservation,
    ) -> Result<(), ObjectWriteError> {
        if matches!(self.destination, Destination::None) {
            let fits_inline = plain.len as u64 <= self.data.config.inline_len_bytes_max;
            if is_last && fits_inline {
                self.destination = self.inline(&plain).await?;
                self.pipeline.hashing.push(&Arc::new(plain), is_last);
                return Ok(());
            }
            self.destination = self.stripes(&plain, is_last).await?;
        }
        let Destination::Stripes { context, .. } = &self.destination else {
            unreachable!("an inline body ends with its first stripe");
        };
        let plain = Arc::new(plain);
        self.pipeline.hashing.push(&plain, is_last);
        let (index, seq) = (self.stripe_count, context.take_seq());
        let too_many = ObjectWriteError::TooLarge { limit_bytes: self.receiver.limit_bytes };
        self.stripe_count = index.checked_add(1).ok_or(too_many)?;
        let stripe = NewStripe { plain, index, seq, is_last, reservation };
        self.pipeline.stores.push_back(store(Arc::clone(context), stripe).boxed());
        Ok(())
    }

    fn sealed_as(&self, in_flight: &InFlight, chunk_len_bytes: u32) -> SealedBody {
        let WriteTarget { bucket, owner, key_epoch, .. } = self.target;
        SealedBody {
            key: BucketKeyId { owner, bucket, epoch: key_epoch },
            manifest: in_flight.manifest(),
            chunk_len_bytes,
        }
    }

    /// Seals a small body into its row. Its one chunk is as long as the body, so that nothing else
    /// needs to be recorded.
    async fn inline(&mut self, plain: &Plain) -> Result<Destination, Fault> {
        let (_, guard, in_flight) = self.data.leases.allocate().await?;
        let chunk_len = u32::try_from(plain.len).expect("an inline body is short");
        let sealed_as = self.sealed_as(&in_flight, chunk_len);
        let version_key = self.target.sealing.version_key.as_deref();
        let (sealer, data_key) = self.data.keys.new_body(sealed_as, version_key)?;
        let mut ciphertext = vec![0; plain.len + TAG_LEN_BYTES];
        let position = ChunkPosition { index: ChunkIndex(0), is_last: true };
        sealer
            .seal_into(position, plain.bytes(), &mut ciphertext)
            .expect("one chunk, as long as the body");
        let WriteTarget { bucket, key_epoch, .. } = self.target;
        let record = InlineRecord { bucket, key_epoch, data_key, ciphertext };
        Ok(Destination::Inline { record, guard, in_flight })
    }

    async fn stripes(&mut self, first: &Plain, is_last: bool) -> Result<Destination, Fault> {
        let data = self.data;
        let (manifest, guard, in_flight) = data.leases.allocate().await?;
        let profile = data.adapted_profile()?;
        let chunk_len_bytes = match (self.receiver.declared, is_last) {
            (Some(declared), _) => profile.chunk_len_for(declared),
            (None, true) => profile.chunk_len_for(first.len as u64),
            (None, false) => profile.chunk_len_bytes,
        };
        let sealed_as = self.sealed_as(&in_flight, chunk_len_bytes);
        let version_key = self.target.sealing.version_key.as_deref();
        let (sealer, data_key) = data.keys.new_body(sealed_as, version_key)?;
        let context = UploadContext {
            data: Arc::clone(data),
            manifest,
            sealer,
            chunk_len_bytes,
            acknowledge: self.target.acknowledge,
            stored: in_flight.stored(),
            next_seq: AtomicU32::new(0),
        };
        Ok(Destination::Stripes { context: Arc::new(context), data_key, guard, in_flight })
    }

    fn into_written(self, md5: [u8; 16], checksum: (ChecksumAlgorithm, Vec<u8>)) -> WrittenBody {
        let len_bytes = self.receiver.received;
        let sealing = &self.target.sealing;
        let written = |body, guards, ops, in_flight| WrittenBody {
            body,
            len_bytes,
            md5,
            checksum,
            sealing: sealing.clone(),
            guards,
            ops,
            in_flight,
        };
        match self.destination {
            Destination::None => written(Body::Empty, Vec::new(), Vec::new(), None),
            Destination::Inline { record, guard, in_flight } => {
                let manifest = in_flight.manifest();
                let op = put(Table::Inl, key::manifest(manifest), &record);
                written(Body::Inline(manifest), vec![guard], vec![op], Some(in_flight))
            }
            Destination::Stripes { context, data_key, guard, in_flight } => {
                let manifest = NewManifest {
                    manifest: context.manifest,
                    bucket: self.target.bucket,
                    len_bytes,
                    chunk_len_bytes: context.chunk_len_bytes,
                    stripe_len_bytes: self.data.config.profile.stripe_len_bytes,
                    key_epoch: self.target.key_epoch,
                    data_key,
                };
                let mut ops = self.pipeline.repair_ops(context.manifest);
                ops.extend(manifest.ops(self.pipeline.stripes));
                let body = Body::Stripes(context.manifest);
                written(body, vec![guard], ops, Some(in_flight))
            }
        }
    }
}
