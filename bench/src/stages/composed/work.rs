//! One worker of the composed pipeline, a thread that computes and waits for drives.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use gateway_md5::{Kernel, Md5, Update, update_together};
use gateway_seal::{ChunkIndex, ChunkPosition, ChunkSealer};
use node_proto::{
    ByteRange, GetShardError, ManifestId, PutShardError, ShardIndex, ShardKey, ShardRoot,
    ShardService as _, StripeSeq,
};
use node_store::Drive;
use node_stripe::{
    COLUMN_LEN_BYTES, Codec, Restorer, StripeChunk, StripeGeometry, encode, shard_root,
};
use tokio::{runtime::Handle, task::JoinSet};

/// A worker and what it works with.
pub(super) struct Worker {
    pub(super) drives: Vec<Arc<Drive>>,
    pub(super) geometry: StripeGeometry,
    pub(super) depth: usize,
    pub(super) manifest: ManifestId,
    pub(super) sealer: ChunkSealer,
    pub(super) buffers: Arc<Buffers>,
    /// Empty for reads.
    pub(super) plains: Plains,
    pub(super) runtime: Handle,
}

/// Buffers for the shards of a stripe, used again when the last shard is dropped.
pub(super) struct Buffers {
    len_bytes: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

/// A buffer that goes back when dropped.
struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffers {
    pub(super) fn new(geometry: &StripeGeometry) -> Arc<Self> {
        let len_bytes = match geometry.codec() {
            // Copies share one buffer.
            Codec::Replicate => geometry.data_len_bytes(),
            _ => geometry.data_len_bytes() + geometry.parity_len_bytes(),
        };
        Arc::new(Self { len_bytes, idle: Mutex::default() })
    }

    fn take(self: &Arc<Self>) -> Buffer {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; self.len_bytes]);
        Buffer { bytes, home: Arc::clone(self) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.idle.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

/// Bodies whose MD5s go along in the lanes of one thread, as uploads at once do in the server.
pub(super) const BODIES: usize = 16;

/// The plaintext of the next stripe of each body.
pub(super) type Plains = Arc<Vec<Vec<u8>>>;

/// Plaintext for [`BODIES`] bodies, the same for all workers.
pub(super) fn plaintext(geometry: &StripeGeometry) -> Plains {
    let byte = |body: usize, index: usize| (index * 167 + index / 251 + body * 13) as u8;
    let len = geometry.plaintext_len_bytes();
    Arc::new((0..BODIES).map(|body| (0..len).map(|index| byte(body, index)).collect()).collect())
}

/// The digests that the server computes of every body.
struct Digests {
    kernel: Kernel,
    md5: Vec<Md5>,
    crc: crc_fast::Digest,
}

impl Digests {
    fn new() -> Self {
        Self {
            kernel: Kernel::best(),
            md5: vec![Md5::default(); BODIES],
            crc: crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme),
        }
    }

    /// As many bytes as one stripe has: its share of each body's stripe, in lanes.
    fn update(&mut self, turn: usize, plains: &[Vec<u8>]) {
        let mut updates: Vec<Update<'_>> = self
            .md5
            .iter_mut()
            .zip(plains)
            .map(|(md5, plain)| {
                let at = |turn: usize| plain.len() * turn / BODIES;
                Update { md5, bytes: &plain[at(turn)..at(turn + 1)] }
            })
            .collect();
        update_together(self.kernel, &mut updates);
        self.crc.update(&plains[turn]);
    }

    fn finish(self) -> (Vec<[u8; 16]>, u64) {
        (self.md5.into_iter().map(Md5::finish).collect(), self.crc.finalize())
    }
}

type Puts = JoinSet<Result<(), PutShardError>>;
type Reads = JoinSet<(ShardIndex, Result<Bytes, GetShardError>)>;

impl Worker {
    /// Stores a stripe under each number. Returns how many are durable.
    ///
    /// # Errors
    /// When a drive refuses a shard.
    pub(super) fn put(self, numbers: impl Iterator<Item = u64>) -> Result<u64> {
        let mut digests = Digests::new();
        let mut under_way = VecDeque::with_capacity(self.depth);
        let mut count = 0;
        for (number, turn) in numbers.zip((0..BODIES).cycle()) {
            digests.update(turn, &self.plains);
            let stripe = self.encode(number, &self.plains[turn]);
            if under_way.len() == self.depth {
                count += self.wait_for_puts(under_way.pop_front())?;
            }
            under_way.push_back(self.start_puts(number, stripe));
        }
        while !under_way.is_empty() {
            count += self.wait_for_puts(under_way.pop_front())?;
        }
        std::hint::black_box(digests.finish());
        Ok(count)
    }

    fn position(&self, number: u64, chunk: StripeChunk) -> ChunkPosition {
        let index = number * self.geometry.chunk_count() as u64 + u64::from(chunk.0);
        // A short chunk may only be the last of its body.
        let range = self.geometry.plaintext_range(chunk).expect("a chunk of this geometry");
        let is_last = range.len() < self.geometry.chunk_len_bytes();
        ChunkPosition { index: ChunkIndex(index), is_last }
    }

    /// Seals, encodes and hashes.
    fn encode(&self, number: u64, plain: &[u8]) -> Vec<(ShardRoot, Bytes)> {
        let geometry = &self.geometry;
        let mut buffer = self.buffers.take();
        let (data, parity) = buffer.bytes.split_at_mut(geometry.data_len_bytes());
        for chunk in geometry.chunks() {
            let range = geometry.plaintext_range(chunk).expect("a chunk of this geometry");
            let place = geometry.data_range(chunk).expect("a chunk of this geometry");
            self.sealer
                .seal_into(self.position(number, chunk), &plain[range], &mut data[place])
                .expect("lengths follow the geometry");
        }
        geometry.zero_padding(data);
        let has_copies = geometry.codec() == Codec::Replicate;
        if !has_copies {
            encode(geometry, data, parity).expect("the buffer follows the geometry");
        }
        let whole = Bytes::from_owner(buffer);
        let shard_len = geometry.shard_len_bytes();
        let shard_of = |index: usize| whole.slice(index * shard_len..(index + 1) * shard_len);
        let shard_count = usize::from(geometry.shard_count());
        if has_copies {
            let shard = shard_of(0);
            return vec![(shard_root(&shard), shard); shard_count];
        }
        (0..shard_count).map(shard_of).map(|shard| (shard_root(&shard), shard)).collect()
    }

    fn key(&self, number: u64, index: u8) -> ShardKey {
        // Stripe numbers are 32 bits; a manifest has room for all that a figure writes.
        let stripe = StripeSeq(u32::try_from(number).expect("bounded by the bytes written"));
        ShardKey { manifest: self.manifest, stripe, index: ShardIndex(index) }
    }

    fn drive_of(&self, number: u64, index: u8) -> usize {
        let count = self.drives.len();
        (usize::from(index) + usize::try_from(number % count as u64).unwrap_or(0)) % count
    }

    fn start_puts(&self, number: u64, stripe: Vec<(ShardRoot, Bytes)>) -> Puts {
        let mut puts = JoinSet::new();
        for (index, (root, shard)) in (0..).zip(stripe) {
            let drive = Arc::clone(&self.drives[self.drive_of(number, index)]);
            let key = self.key(number, index);
            puts.spawn_on(async move { drive.put(key, root, shard).await }, &self.runtime);
        }
        puts
    }

    fn wait_for_puts(&self, puts: Option<Puts>) -> Result<u64> {
        let Some(puts) = puts else { return Ok(0) };
        for put in self.runtime.block_on(puts.join_all()) {
            put.context("a drive refused a shard")?;
        }
        Ok(1)
    }

    /// Reads and opens the stripe of each number, without the `lost` drives. Returns how many.
    ///
    /// # Errors
    /// When a shard cannot be read or a chunk is not authentic.
    pub(super) fn get(self, numbers: impl Iterator<Item = u64>, lost: &[usize]) -> Result<u64> {
        let mut scratch = Scratch::new(&self.geometry);
        let mut under_way: VecDeque<(u64, Reads)> = VecDeque::with_capacity(self.depth);
        let mut count = 0;
        for number in numbers {
            if under_way.len() == self.depth {
                count += self.wait_for_reads(under_way.pop_front(), &mut scratch)?;
            }
            under_way.push_back((number, self.start_reads(number, lost)));
        }
        while !under_way.is_empty() {
            count += self.wait_for_reads(under_way.pop_front(), &mut scratch)?;
        }
        Ok(count)
    }

    /// Asks for as many shards as it takes, data before parity.
    fn start_reads(&self, number: u64, lost: &[usize]) -> Reads {
        let len_bytes = self.geometry.shard_len_bytes() as u64;
        let is_there = |index: &u8| !lost.contains(&self.drive_of(number, *index));
        let there = (0..self.geometry.shard_count()).filter(is_there);
        let mut reads = JoinSet::new();
        for index in there.take(usize::from(self.geometry.k())) {
            let drive = Arc::clone(&self.drives[self.drive_of(number, index)]);
            let (key, range) = (self.key(number, index), ByteRange { offset_bytes: 0, len_bytes });
            let read = async move { (ShardIndex(index), drive.get(key, range).await) };
            reads.spawn_on(read, &self.runtime);
        }
        reads
    }

    fn wait_for_reads(&self, reads: Option<(u64, Reads)>, scratch: &mut Scratch) -> Result<u64> {
        let Some((number, reads)) = reads else { return Ok(0) };
        let mut shards: Vec<Option<Bytes>> = vec![None; usize::from(self.geometry.shard_count())];
        for (index, read) in self.runtime.block_on(reads.join_all()) {
            let shard = read.context("a drive does not give a shard")?;
            ensure!(shard.len() == self.geometry.shard_len_bytes(), "a shard is too short");
            shards[usize::from(index.0)] = Some(shard);
        }
        let restorer = self.restorer(&shards)?;
        // Row by row, so that what was just restored is opened while it is in the cache.
        let mut restored_to = 0;
        for row in 0..self.geometry.chunks_per_shard() {
            if let Some((restorer, wanted)) = &restorer {
                let end = self.end_of_row(row);
                restore(
                    restorer,
                    &shards,
                    restored_to..end,
                    &mut scratch.restored[..wanted.len()],
                )?;
                restored_to = end;
            }
            for index in 0..self.geometry.k() {
                let chunk = self.geometry.chunks_in_shard(ShardIndex(index)).nth(row);
                let Some(chunk) = chunk else { continue };
                let shard = match (&shards[usize::from(index)], &restorer) {
                    (Some(shard), _) => &shard[..],
                    (None, Some((_, wanted))) => {
                        let at = wanted.iter().position(|shard| shard.0 == index);
                        &scratch.restored[at.context("every missing data shard is wanted")?]
                    }
                    (None, None) => bail!("a data shard is missing"),
                };
                self.open(number, chunk, shard, &mut scratch.plain)?;
            }
        }
        Ok(1)
    }

    /// How to make the data shards that are missing, and which they are.
    fn restorer(&self, shards: &[Option<Bytes>]) -> Result<Option<(Restorer, Vec<ShardIndex>)>> {
        let all = |end: u8| (0..end).map(ShardIndex);
        let is_there = |index: &ShardIndex| shards[usize::from(index.0)].is_some();
        let wanted: Vec<ShardIndex> =
            all(self.geometry.k()).filter(|index| !is_there(index)).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let present: Vec<ShardIndex> = all(self.geometry.shard_count()).filter(is_there).collect();
        Ok(Some((Restorer::new(&self.geometry, &present, &wanted)?, wanted)))
    }

    /// Where the columns end that hold the chunks of a row.
    fn end_of_row(&self, row: usize) -> usize {
        let first = self.geometry.chunks_in_shard(ShardIndex(0)).nth(row);
        let place = first.and_then(|chunk| self.geometry.locate(chunk));
        let end = place.map_or(usize::MAX, |place| place.range().end);
        end.next_multiple_of(COLUMN_LEN_BYTES).min(self.geometry.shard_len_bytes())
    }

    fn open(&self, number: u64, chunk: StripeChunk, shard: &[u8], plain: &mut [u8]) -> Result<()> {
        let place = self.geometry.locate(chunk).expect("a chunk of this geometry");
        let range = self.geometry.plaintext_range(chunk).expect("a chunk of this geometry");
        let sealed = &shard[place.range()];
        Ok(self.sealer.open_into(self.position(number, chunk), sealed, &mut plain[range])?)
    }
}

/// What one worker reads into, again and again.
struct Scratch {
    plain: Vec<u8>,
    /// As many shards as may be missing.
    restored: Vec<Vec<u8>>,
}

impl Scratch {
    fn new(geometry: &StripeGeometry) -> Self {
        let shard_len = geometry.shard_len_bytes();
        Self {
            plain: vec![0; geometry.plaintext_len_bytes()],
            restored: vec![vec![0; shard_len]; usize::from(geometry.m())],
        }
    }
}

/// Restores the columns `range` of the wanted shards.
fn restore(
    restorer: &Restorer,
    shards: &[Option<Bytes>],
    range: Range<usize>,
    restored: &mut [Vec<u8>],
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let source = |index: &ShardIndex| shards[usize::from(index.0)].as_deref();
    let sources: Option<Vec<&[u8]>> =
        restorer.sources().iter().map(|index| Some(&source(index)?[range.clone()])).collect();
    let sources = sources.context("every source is present")?;
    let mut restored: Vec<&mut [u8]> =
        restored.iter_mut().map(|shard| &mut shard[range.clone()]).collect();
    Ok(restorer.restore(&sources, &mut restored)?)
}
