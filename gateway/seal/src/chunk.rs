//! Encryption of a body, chunk by chunk: the STREAM construction with AES-256-GCM.
//!
//! ```text
//! nonce            3 zero bytes │ chunk index, 8 bytes │ 1 for the last chunk, else 0
//! associated data  format version │ bucket id │ manifest id │ chunk length   (1 + 8 + 8 + 4 bytes)
//! sealed chunk     ciphertext │ 16-byte tag
//! ```
//! All numbers are big-endian.
//!
//! Invariants:
//! - a data key belongs to one body, and a position of a body has one plaintext: so no (key,
//!   nonce) pair meets two plaintexts, whichever order or thread seals the chunks, also when a
//!   chunk is sealed again because its stripe is sent again;
//! - all chunks but the last are full, and the last is not empty unless it is the only one, so a
//!   body has one sealed form;
//! - a chunk opens only at its own index, in its own body, and as last only if it was sealed as
//!   last: reordering, repeating, cutting off and mixing bodies are refused;
//! - every chunk can be sealed and opened alone.
//!
//! Deliberately absent: state. [`ChunkSealer`] does not know which chunks it has seen; that all of
//! them were read is known when the last one has opened at the index the body's length demands.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::data::DataKey;

/// What sealing adds to a chunk, in bytes: the AES-GCM tag.
pub const TAG_LEN_BYTES: usize = crate::envelope::TAG_LEN_BYTES;

/// The version byte of the format drawn above.
const FORMAT_VERSION: u8 = 1;
const AAD_LEN_BYTES: usize = 1 + 8 + 8 + 4;

/// Position of a chunk within its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u64);

/// Which chunk of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPosition {
    /// Its index.
    pub index: ChunkIndex,
    /// Whether the body ends with it.
    pub is_last: bool,
}

/// Which body a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyContext {
    /// The bucket.
    pub bucket_id: u64,
    /// The manifest that lists the body's stripes.
    pub manifest_id: u64,
    /// Plaintext bytes of every chunk but the last.
    pub chunk_len_bytes: u32,
}

/// Seals and opens the chunks of one body. Can be shared between threads.
pub struct ChunkSealer {
    key: LessSafeKey,
    aad: [u8; AAD_LEN_BYTES],
    chunk_len_bytes: usize,
}

/// A chunk was not sealed: the caller's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealChunkError {
    /// The plaintext has a length that this position cannot have.
    #[error("chunk {} cannot be {len_bytes} bytes long", position.index.0)]
    PlaintextLen {
        /// Where it was to go.
        position: ChunkPosition,
        /// Its length.
        len_bytes: usize,
    },
    /// The buffer for the sealed chunk is not [`TAG_LEN_BYTES`] longer than the plaintext.
    #[error(
        "the buffer for {plaintext_len_bytes} bytes must be {} longer, not {len_bytes} bytes",
        TAG_LEN_BYTES
    )]
    BufferLen {
        /// Length of the plaintext.
        plaintext_len_bytes: usize,
        /// Length of the buffer.
        len_bytes: usize,
    },
}

/// A chunk was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenChunkError {
    /// A sealed chunk at this position cannot have this length: the metadata and the shard do not
    /// belong together, or the caller cut the chunk wrongly.
    #[error("sealed chunk {} cannot be {len_bytes} bytes long", position.index.0)]
    SealedLen {
        /// Where it was expected.
        position: ChunkPosition,
        /// Its length.
        len_bytes: usize,
    },
    /// The buffer for the plaintext is not [`TAG_LEN_BYTES`] shorter than the sealed chunk.
    #[error(
        "the buffer for {sealed_len_bytes} sealed bytes must be {} shorter, not {len_bytes} bytes",
        TAG_LEN_BYTES
    )]
    BufferLen {
        /// Length of the sealed chunk.
        sealed_len_bytes: usize,
        /// Length of the buffer.
        len_bytes: usize,
    },
    /// The tag does not fit: damaged bytes, or the chunk of another position, body or key. Read it
    /// from other shards.
    #[error("chunk {} is not authentic", position.index.0)]
    NotAuthentic {
        /// Where it was expected.
        position: ChunkPosition,
    },
}

impl ChunkSealer {
    /// Prepares to seal or open the chunks of the body that `key` was made for.
    #[must_use]
    pub fn new(key: &DataKey, body: BodyContext) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a data key is 32 bytes");
        let mut aad = [FORMAT_VERSION; AAD_LEN_BYTES];
        aad[1..9].copy_from_slice(&body.bucket_id.to_be_bytes());
        aad[9..17].copy_from_slice(&body.manifest_id.to_be_bytes());
        aad[17..].copy_from_slice(&body.chunk_len_bytes.to_be_bytes());
        let chunk_len_bytes = body.chunk_len_bytes as usize;
        Self { key: LessSafeKey::new(key), aad, chunk_len_bytes }
    }

    /// Seals `plaintext` into `sealed`, which is [`TAG_LEN_BYTES`] longer.
    ///
    /// A position must not be sealed with two different plaintexts, or both can be read by whoever
    /// sees the two results.
    ///
    /// # Errors
    /// [`SealChunkError`] when a length is wrong; then `sealed` is untouched.
    pub fn seal_into(
        &self,
        position: ChunkPosition,
        plaintext: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), SealChunkError> {
        let (len_bytes, plaintext_len_bytes) = (sealed.len(), plaintext.len());
        self.check_plaintext(position, plaintext_len_bytes)?;
        if len_bytes != plaintext_len_bytes + TAG_LEN_BYTES {
            return Err(SealChunkError::BufferLen { plaintext_len_bytes, len_bytes });
        }
        let (ciphertext, tag) = sealed.split_at_mut(plaintext_len_bytes);
        self.key
            .seal_out_of_place_scatter(
                nonce(position),
                Aad::from(&self.aad),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .expect("the lengths are checked and far below AES-GCM's limit");
        Ok(())
    }

    /// Seals a chunk where it is: `buffer` starts with the plaintext and ends with
    /// [`TAG_LEN_BYTES`] of any content, which the tag overwrites.
    ///
    /// A position must not be sealed with two different plaintexts; see [`Self::seal_into`].
    ///
    /// # Errors
    /// [`SealChunkError`] when the length is wrong; then `buffer` is untouched.
    pub fn seal_in_place(
        &self,
        position: ChunkPosition,
        buffer: &mut [u8],
    ) -> Result<(), SealChunkError> {
        let len_bytes = buffer.len();
        let Some(plaintext_len_bytes) = len_bytes.checked_sub(TAG_LEN_BYTES) else {
            return Err(SealChunkError::BufferLen { plaintext_len_bytes: 0, len_bytes });
        };
        self.check_plaintext(position, plaintext_len_bytes)?;
        let (plaintext, to_tag) = buffer.split_at_mut(plaintext_len_bytes);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(position), Aad::from(&self.aad), plaintext)
            .expect("the length is checked and far below AES-GCM's limit");
        to_tag.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a sealed chunk where it is and returns its plaintext, the front of `buffer`.
    ///
    /// # Errors
    /// [`OpenChunkError`]. When the chunk is not authentic, `buffer` is zeroed.
    pub fn open_in_place<'b>(
        &self,
        position: ChunkPosition,
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], OpenChunkError> {
        let plaintext_len_bytes = self.check_sealed(position, buffer.len())?;
        let (plaintext, tag) = buffer.split_at_mut(plaintext_len_bytes);
        let opened = self.key.open_in_place_separate_tag(
            nonce(position),
            Aad::from(&self.aad),
            tag,
            plaintext,
        );
        if opened.is_err() {
            plaintext.fill(0);
            tag.fill(0);
            return Err(OpenChunkError::NotAuthentic { position });
        }
        Ok(plaintext)
    }

    /// Opens a sealed chunk into `plaintext`, which is [`TAG_LEN_BYTES`] shorter.
    ///
    /// # Errors
    /// [`OpenChunkError`]. When the chunk is not authentic, `plaintext` is zeroed.
    pub fn open_into(
        &self,
        position: ChunkPosition,
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), OpenChunkError> {
        let (sealed_len_bytes, len_bytes) = (sealed.len(), plaintext.len());
        let plaintext_len_bytes = self.check_sealed(position, sealed_len_bytes)?;
        if len_bytes != plaintext_len_bytes {
            return Err(OpenChunkError::BufferLen { sealed_len_bytes, len_bytes });
        }
        let (ciphertext, tag) = sealed.split_at(plaintext_len_bytes);
        self.key
            .open_separate_gather(nonce(position), Aad::from(&self.aad), ciphertext, tag, plaintext)
            .map_err(|_| {
                plaintext.fill(0);
                OpenChunkError::NotAuthentic { position }
            })
    }

    fn check_plaintext(
        &self,
        position: ChunkPosition,
        len_bytes: usize,
    ) -> Result<(), SealChunkError> {
        if self.fits(position, len_bytes) {
            Ok(())
        } else {
            Err(SealChunkError::PlaintextLen { position, len_bytes })
        }
    }

    /// The plaintext length of a sealed chunk of `len_bytes`.
    fn check_sealed(
        &self,
        position: ChunkPosition,
        len_bytes: usize,
    ) -> Result<usize, OpenChunkError> {
        len_bytes
            .checked_sub(TAG_LEN_BYTES)
            .filter(|plaintext_len| self.fits(position, *plaintext_len))
            .ok_or(OpenChunkError::SealedLen { position, len_bytes })
    }

    /// Whether the chunk at a position can have this much plaintext.
    fn fits(&self, position: ChunkPosition, plaintext_len_bytes: usize) -> bool {
        if position.is_last {
            let least = usize::from(position.index.0 > 0);
            (least..=self.chunk_len_bytes).contains(&plaintext_len_bytes)
        } else {
            plaintext_len_bytes == self.chunk_len_bytes && plaintext_len_bytes > 0
        }
    }
}

impl fmt::Debug for ChunkSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkSealer(..)")
    }
}

fn nonce(position: ChunkPosition) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&position.index.0.to_be_bytes());
    nonce[11] = u8::from(position.is_last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests;
