//! The key of one uploaded body.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bucket::BucketKeyContext;
use crate::envelope::{self, DecodeSealedError, KEY_ENVELOPE_LEN_BYTES, KEY_LEN_BYTES, Refused};
use crate::random::RandomSource;

const PURPOSE: &str = "datamesh data key v1";

/// The key that encrypts one body. Made for it and used for nothing else: that is what makes the
/// chunk positions good nonces.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DataKey {
    bytes: [u8; KEY_LEN_BYTES],
}

/// A data key as it is stored: encrypted under the bucket's key, bound to account, bucket, key
/// epoch and manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    envelope: [u8; KEY_ENVELOPE_LEN_BYTES],
}

/// A wrapped data key did not open: it was wrapped under another bucket key or for another
/// manifest, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wrapped data key of manifest {manifest_id} does not open with the key of {bucket:?}")]
pub struct UnwrapDataKeyError {
    /// The bucket key that was tried.
    pub bucket: BucketKeyContext,
    /// The manifest it was expected to belong to.
    pub manifest_id: u64,
}

impl DataKey {
    /// Makes the key of a new body.
    #[must_use]
    pub fn generate(random: &mut dyn RandomSource) -> Self {
        let mut key = Self { bytes: [0; KEY_LEN_BYTES] };
        random.fill(&mut key.bytes);
        key
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN_BYTES] {
        &self.bytes
    }
}

impl WrappedDataKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = KEY_ENVELOPE_LEN_BYTES;

    /// The stored form: version, salt, ciphertext, tag.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        self.envelope
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeSealedError`] when the version is unknown or the length wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeSealedError> {
        Ok(Self { envelope: envelope::decode_fixed(bytes)? })
    }

    pub(crate) fn seal(
        bucket_key: &[u8; KEY_LEN_BYTES],
        context: [u64; 4],
        key: &DataKey,
        random: &mut dyn RandomSource,
    ) -> Self {
        let context = envelope::context_of(context);
        let envelope = envelope::seal_key(bucket_key, PURPOSE, &context, &key.bytes, random);
        Self { envelope }
    }

    pub(crate) fn open(
        &self,
        bucket_key: &[u8; KEY_LEN_BYTES],
        context: [u64; 4],
    ) -> Result<DataKey, Refused> {
        let context = envelope::context_of(context);
        let mut key = DataKey { bytes: [0; KEY_LEN_BYTES] };
        envelope::open(bucket_key, PURPOSE, &context, &self.envelope, &mut key.bytes)?;
        Ok(key)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl fmt::Debug for WrappedDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        envelope::debug_sealed(f, "WrappedDataKey", self.envelope.len())
    }
}
