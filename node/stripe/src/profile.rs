//! What a gateway chooses for a new body: how many shards, how long the stripes and chunks.
//!
//! Nothing here is needed to read: a version records what was chosen for it.

use crate::codec::Codec;
use crate::geometry::{StripeGeometry, StripeSpec};
use crate::limits::{CHUNK_LEN_BYTES_MAX, K_MAX, M_MAX};

/// Chunk lengths of small bodies are multiples of this many bytes. Chosen: at most 1 KiB of
/// padding per chunk, and few distinct lengths to reason about.
const CHUNK_LEN_STEP_BYTES: u64 = 1 << 10;

/// The coding parameters for new bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Data shards of a full stripe; at least one.
    pub k: u8,
    /// Parity shards: how many of a stripe's shards may be lost.
    pub m: u8,
    /// Code of stripes with several data shards.
    pub codec: Codec,
    /// Plaintext bytes of a full stripe; a multiple of `chunk_len_bytes`.
    pub stripe_len_bytes: u32,
    /// Plaintext bytes of a full chunk, unless the body is small.
    pub chunk_len_bytes: u32,
}

/// Why a profile cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
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
    /// The stripe length is zero, no multiple of the chunk length, or too large: a stripe must
    /// also fit when every device but `m + 1` is down and one shard takes it all.
    #[error("a stripe length of {stripe_len_bytes} bytes is not usable")]
    StripeLen {
        /// The refused length.
        stripe_len_bytes: u32,
    },
}

impl Default for Profile {
    /// 4+2 over 8 MiB stripes of 64 KiB chunks. Chosen; revisit with measurements of the mesh. The
    /// code is the one whose degraded reads are fastest: `bench stages`.
    fn default() -> Self {
        Self {
            k: 4,
            m: 2,
            codec: Codec::CauchyGf8,
            stripe_len_bytes: 8 << 20,
            chunk_len_bytes: 64 << 10,
        }
    }
}

impl Profile {
    /// Checks that every stripe of this profile, also of an adapted one, has a geometry.
    ///
    /// # Errors
    /// [`ProfileError`] naming the first field that cannot be used.
    pub fn validate(&self) -> Result<(), ProfileError> {
        let Self { k, m, codec, stripe_len_bytes, chunk_len_bytes } = *self;
        if k == 0 || k > K_MAX || (codec == Codec::Replicate && k != 1) {
            return Err(ProfileError::DataShards { k, codec });
        }
        if m > M_MAX {
            return Err(ProfileError::ParityShards { m });
        }
        if chunk_len_bytes == 0 || chunk_len_bytes > CHUNK_LEN_BYTES_MAX {
            return Err(ProfileError::ChunkLen { chunk_len_bytes });
        }
        let whole = StripeGeometry::new(StripeSpec {
            k: 1,
            m,
            codec: Codec::Replicate,
            chunk_len_bytes,
            plaintext_len_bytes: u64::from(stripe_len_bytes),
        });
        let multiple = stripe_len_bytes.is_multiple_of(chunk_len_bytes);
        if stripe_len_bytes == 0 || !multiple || whole.is_err() {
            return Err(ProfileError::StripeLen { stripe_len_bytes });
        }
        Ok(())
    }

    /// This profile with as many data shards as `domains_up` failure domains leave room for.
    /// Parity is never given up: `None` when not even one data shard and `m` parity shards can be
    /// placed apart, so that the write must wait.
    #[must_use]
    pub fn adapted(&self, domains_up: usize) -> Option<Self> {
        let room = domains_up.checked_sub(usize::from(self.m))?;
        if room == 0 {
            return None;
        }
        let k = u8::try_from(room).unwrap_or(u8::MAX).min(self.k);
        Some(Self { k, ..*self })
    }

    /// The chunk length in bytes to use and record for a body of `body_len_bytes`.
    ///
    /// A body of one chunk keeps the profile's length. A longer body of one stripe gets the chunk
    /// length that fills its data shards evenly, so that they carry little padding: with 64 KiB
    /// chunks, 4+2 and a 65 KiB body it is 17 KiB, and the body is stored in 102 KiB instead of
    /// 256. Bodies of several stripes use the profile's length.
    ///
    /// The result is never longer than the profile's chunk length.
    #[must_use]
    pub fn chunk_len_for(&self, body_len_bytes: u64) -> u32 {
        let chunk_len = u64::from(self.chunk_len_bytes);
        let row_len = chunk_len * u64::from(self.k);
        if body_len_bytes <= chunk_len
            || body_len_bytes > u64::from(self.stripe_len_bytes)
            || row_len == 0
        {
            return self.chunk_len_bytes;
        }
        let chunks = body_len_bytes.div_ceil(row_len) * u64::from(self.k);
        let even = body_len_bytes.div_ceil(chunks).next_multiple_of(CHUNK_LEN_STEP_BYTES);
        u32::try_from(even).map_or(self.chunk_len_bytes, |even| even.min(self.chunk_len_bytes))
    }
}

#[cfg(test)]
mod tests;
