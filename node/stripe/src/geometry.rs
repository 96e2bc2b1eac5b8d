//! Where every chunk of a stripe lies.

use std::ops::Range;

use node_proto::ShardIndex;

use crate::codec::Codec;
use crate::limits::{CHUNK_LEN_BYTES_MAX, K_MAX, M_MAX, SHARD_LEN_BYTES_MAX};

/// Shards are coded in columns of this many bytes, each on its own. It is the unit of
/// [`Codec::LeopardGf16`], and so part of its format; other codes have shorter ones.
pub const COLUMN_LEN_BYTES: usize = 64;

/// Bytes that sealing adds to a chunk: the AES-GCM tag.
const TAG_LEN_BYTES: usize = 16;

/// Position of a chunk within its stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StripeChunk(pub u32);

/// Everything a stripe's geometry follows from, as recorded with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeSpec {
    /// Data shards of a full stripe.
    pub k: u8,
    /// Parity shards.
    pub m: u8,
    /// Code of stripes with several data shards.
    pub codec: Codec,
    /// Plaintext bytes of a full chunk.
    pub chunk_len_bytes: u32,
    /// Plaintext bytes of this stripe. Zero is the one empty chunk of an empty body.
    pub plaintext_len_bytes: u64,
}

/// Why a spec describes no stripe. From disk, it is corruption; from configuration, a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The number of data shards is zero, too large, or more than one without a code.
    #[error("k = {k} is not usable with codec {codec:?}")]
    DataShards {
        /// The refused number.
        k: u8,
        /// The codec it was given with.
        codec: Codec,
    },
    /// Too many parity shards.
    #[error("m = {m} is more than {}", M_MAX)]
    ParityShards {
        /// The refused number.
        m: u8,
    },
    /// The chunk length is zero or too large.
    #[error("a chunk length of {chunk_len_bytes} bytes is not within 1..={}", CHUNK_LEN_BYTES_MAX)]
    ChunkLen {
        /// The refused length.
        chunk_len_bytes: u32,
    },
    /// The stripe is so long that its shards would exceed the limit.
    #[error("{plaintext_len_bytes} bytes do not fit into shards of {} bytes", SHARD_LEN_BYTES_MAX)]
    TooLong {
        /// The refused length.
        plaintext_len_bytes: u64,
    },
}

/// Where a sealed chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The data shard that holds it.
    pub shard: ShardIndex,
    /// Its first byte within the shard.
    pub offset_bytes: usize,
    /// Its sealed length, tag included.
    pub sealed_len_bytes: usize,
}

impl ChunkPlace {
    /// The chunk's bytes within its shard.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset_bytes..self.offset_bytes + self.sealed_len_bytes
    }
}

/// The layout of one stripe. Small and `Copy`; all questions are answered by arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeGeometry {
    k: u8,
    m: u8,
    codec: Codec,
    chunk_len: usize,
    plaintext_len: usize,
    chunk_count: usize,
    chunks_per_shard: usize,
    shard_len: usize,
}

impl StripeGeometry {
    /// The geometry of the stripe that `spec` describes.
    ///
    /// With `n` chunks, a data shard takes `⌈n / min(k, n)⌉` of them, and there are as many data
    /// shards as that fills, so none is all padding. One data shard means copies, whatever
    /// `spec.codec` says.
    ///
    /// # Errors
    /// [`GeometryError`] when the spec is outside of [`crate::limits`] or makes no sense.
    pub fn new(spec: StripeSpec) -> Result<Self, GeometryError> {
        let StripeSpec { k, m, codec, chunk_len_bytes, plaintext_len_bytes } = spec;
        if k == 0 || k > K_MAX || (codec == Codec::Replicate && k != 1) {
            return Err(GeometryError::DataShards { k, codec });
        }
        if m > M_MAX {
            return Err(GeometryError::ParityShards { m });
        }
        if chunk_len_bytes == 0 || chunk_len_bytes > CHUNK_LEN_BYTES_MAX {
            return Err(GeometryError::ChunkLen { chunk_len_bytes });
        }
        let too_long = GeometryError::TooLong { plaintext_len_bytes };
        let most = (SHARD_LEN_BYTES_MAX * usize::from(K_MAX)) as u64;
        if plaintext_len_bytes > most {
            return Err(too_long);
        }
        // From here on every product stays below 2^52.
        let plaintext_len = usize::try_from(plaintext_len_bytes).map_err(|_| too_long)?;
        let chunk_len = chunk_len_bytes as usize;
        let chunk_count = plaintext_len.div_ceil(chunk_len).max(1);
        let chunks_per_shard = chunk_count.div_ceil(usize::from(k).min(chunk_count));
        let data_shards = chunk_count.div_ceil(chunks_per_shard);
        let fullest_shard = plaintext_len.min(chunks_per_shard * chunk_len);
        let sealed_len = fullest_shard + chunks_per_shard * TAG_LEN_BYTES;
        let shard_len = sealed_len.next_multiple_of(COLUMN_LEN_BYTES);
        if shard_len > SHARD_LEN_BYTES_MAX {
            return Err(too_long);
        }
        let k = u8::try_from(data_shards).expect("not more than the given k");
        let codec = if k == 1 { Codec::Replicate } else { codec };
        Ok(Self { k, m, codec, chunk_len, plaintext_len, chunk_count, chunks_per_shard, shard_len })
    }

    /// Data shards of this stripe; fewer than the spec's `k` when the stripe is short.
    #[must_use]
    pub fn k(&self) -> u8 {
        self.k
    }

    /// Parity shards.
    #[must_use]
    pub fn m(&self) -> u8 {
        self.m
    }

    /// The code that makes the parity; [`Codec::Replicate`] exactly when [`Self::k`] is 1.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Data and parity shards together.
    #[must_use]
    pub fn shard_count(&self) -> u8 {
        self.k + self.m
    }

    /// Whether the stripe has a shard of this index.
    #[must_use]
    pub fn has_shard(&self, shard: ShardIndex) -> bool {
        shard.0 < self.shard_count()
    }

    /// Whether `shard` is one of the data shards.
    #[must_use]
    pub fn is_data(&self, shard: ShardIndex) -> bool {
        shard.0 < self.k
    }

    /// Bytes of each shard, a multiple of [`COLUMN_LEN_BYTES`].
    #[must_use]
    pub fn shard_len_bytes(&self) -> usize {
        self.shard_len
    }

    /// Bytes of the data shards back to back, which is what [`crate::encode`] takes.
    #[must_use]
    pub fn data_len_bytes(&self) -> usize {
        usize::from(self.k) * self.shard_len
    }

    /// Bytes of the parity shards back to back, which is what [`crate::encode`] fills.
    #[must_use]
    pub fn parity_len_bytes(&self) -> usize {
        usize::from(self.m) * self.shard_len
    }

    /// Plaintext bytes of the stripe.
    #[must_use]
    pub fn plaintext_len_bytes(&self) -> usize {
        self.plaintext_len
    }

    /// Plaintext bytes of a full chunk.
    #[must_use]
    pub fn chunk_len_bytes(&self) -> usize {
        self.chunk_len
    }

    /// Number of chunks; at least one, because an empty body is one empty chunk.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunk_count
    }

    /// Chunks in each data shard but the last, which may hold fewer.
    #[must_use]
    pub fn chunks_per_shard(&self) -> usize {
        self.chunks_per_shard
    }

    /// The plaintext of a chunk as a range of the stripe's plaintext; `None` past the last chunk.
    /// Only the last chunk may be shorter than [`Self::chunk_len_bytes`].
    #[must_use]
    pub fn plaintext_range(&self, chunk: StripeChunk) -> Option<Range<usize>> {
        let index = self.checked(chunk)?;
        let start = index * self.chunk_len;
        Some(start..(start + self.chunk_len).min(self.plaintext_len))
    }

    /// Sealed bytes of a chunk, tag included; `None` past the last chunk.
    #[must_use]
    pub fn sealed_len_bytes(&self, chunk: StripeChunk) -> Option<usize> {
        Some(self.plaintext_range(chunk)?.len() + TAG_LEN_BYTES)
    }

    /// Where a chunk lies; `None` past the last chunk.
    #[must_use]
    pub fn locate(&self, chunk: StripeChunk) -> Option<ChunkPlace> {
        let index = self.checked(chunk)?;
        let shard = u8::try_from(index / self.chunks_per_shard).expect("below k");
        Some(ChunkPlace {
            shard: ShardIndex(shard),
            offset_bytes: (index % self.chunks_per_shard) * (self.chunk_len + TAG_LEN_BYTES),
            sealed_len_bytes: self.sealed_len_bytes(chunk)?,
        })
    }

    /// Where a sealed chunk lies in the data shards back to back; `None` past the last chunk.
    #[must_use]
    pub fn data_range(&self, chunk: StripeChunk) -> Option<Range<usize>> {
        let place = self.locate(chunk)?;
        let start = usize::from(place.shard.0) * self.shard_len + place.offset_bytes;
        Some(start..start + place.sealed_len_bytes)
    }

    /// All chunks, ascending.
    pub fn chunks(&self) -> impl Iterator<Item = StripeChunk> + use<> {
        chunk_iter(0..self.chunk_count)
    }

    /// The chunks that lie in a shard, ascending; none for parity and unknown shards.
    pub fn chunks_in_shard(&self, shard: ShardIndex) -> impl Iterator<Item = StripeChunk> + use<> {
        let first = (usize::from(shard.0) * self.chunks_per_shard).min(self.chunk_count);
        chunk_iter(first..(first + self.chunks_per_shard).min(self.chunk_count))
    }

    /// The chunks that hold a range of the stripe's plaintext, ascending; `None` when the range is
    /// empty, reversed, or reaches beyond the plaintext.
    #[must_use]
    pub fn chunks_of(
        &self,
        plaintext: Range<usize>,
    ) -> Option<impl ExactSizeIterator<Item = StripeChunk> + use<>> {
        if plaintext.is_empty() || plaintext.end > self.plaintext_len {
            return None;
        }
        Some(chunk_iter(plaintext.start / self.chunk_len..plaintext.end.div_ceil(self.chunk_len)))
    }

    /// The smallest range around `range` that [`crate::reconstruct`] can work on: aligned to
    /// columns. `None` when the range is empty, reversed, or reaches beyond the shard.
    #[must_use]
    pub fn column_range(&self, range: Range<usize>) -> Option<Range<usize>> {
        if range.is_empty() || range.end > self.shard_len {
            return None;
        }
        let start = range.start - range.start % COLUMN_LEN_BYTES;
        Some(start..range.end.next_multiple_of(COLUMN_LEN_BYTES))
    }

    /// Zeroes every byte of the data shards that no sealed chunk covers.
    ///
    /// A buffer that was used before holds another stripe's bytes there. Call it once before or
    /// after sealing into the buffer, and before [`crate::encode`].
    ///
    /// # Panics
    /// When `data` is not [`Self::data_len_bytes`] long: the caller's mistake.
    pub fn zero_padding(&self, data: &mut [u8]) {
        assert_eq!(data.len(), self.data_len_bytes(), "the data shards of this geometry");
        for (index, shard) in (0..self.k).zip(data.chunks_exact_mut(self.shard_len)) {
            let last = self.chunks_in_shard(ShardIndex(index)).last();
            let place = last.and_then(|chunk| self.locate(chunk)).expect("no shard is empty");
            shard[place.range().end..].fill(0);
        }
    }

    fn checked(&self, chunk: StripeChunk) -> Option<usize> {
        let index = chunk.0 as usize;
        (index < self.chunk_count).then_some(index)
    }
}

fn chunk_iter(indexes: Range<usize>) -> impl ExactSizeIterator<Item = StripeChunk> + use<> {
    indexes.map(|index| StripeChunk(u32::try_from(index).expect("at most 2^31 chunks")))
}

#[cfg(test)]
mod tests;
