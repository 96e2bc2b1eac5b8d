//! The key of a bucket, one per key epoch.
//!
//! Epochs allow to rotate: a new epoch's key wraps the data keys of new bodies, and old epochs
//! stay until no body needs them.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::account::AccountPublicKey;
use crate::data::{DataKey, UnwrapDataKeyError, WrappedDataKey};
use crate::envelope::{self, DecodeSealedError, KEY_LEN_BYTES, TAG_LEN_BYTES, VERSION};
use crate::hpke_base::{self, Binding, ENCAPSULATED_LEN_BYTES, PrivateKey};
use crate::random::RandomSource;
use crate::version::VersionKey;

const INFO: &[u8] = b"datamesh bucket key v1";

/// What a bucket key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKeyContext {
    /// The account that owns the bucket.
    pub account_id: u64,
    /// The bucket; ids are never reused.
    pub bucket_id: u64,
    /// Which of the bucket's keys.
    pub key_epoch: u64,
}

/// A bucket's key of one epoch; knows what it belongs to, and binds what it wraps to that.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BucketKey {
    #[zeroize(skip)]
    context: BucketKeyContext,
    bytes: [u8; KEY_LEN_BYTES],
}

/// A bucket key as it is stored: encrypted to an account's public key.
///
/// ```text
/// offset  length  field
///      0       1  version, 1
///      1      32  HPKE encapsulated key
///     33      32  ciphertext
///     65      16  tag
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedBucketKey {
    bytes: [u8; Self::ENCODED_LEN],
}

/// A bucket key was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapBucketKeyError {
    /// The public key has no private key: it was damaged or forged.
    #[error("the public key of account {account_id} is not usable")]
    PublicKey {
        /// The account it claims to belong to.
        account_id: u64,
    },
    /// The public key is that of another account than the bucket's owner.
    #[error("a key of account {owner_id} cannot be wrapped to account {account_id}")]
    OtherAccount {
        /// The account of the public key.
        account_id: u64,
        /// The account of the bucket key.
        owner_id: u64,
    },
}

/// A wrapped bucket key did not open: it was wrapped to another account, for another bucket or
/// epoch, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wrapped bucket key does not open as {context:?}")]
pub struct UnwrapBucketKeyError {
    /// What it was expected to belong to.
    pub context: BucketKeyContext,
}

impl BucketKeyContext {
    fn encode(self) -> Vec<u8> {
        envelope::context_of([self.account_id, self.bucket_id, self.key_epoch])
    }
}

impl BucketKey {
    /// Makes a new key for a bucket and epoch.
    #[must_use]
    pub fn generate(context: BucketKeyContext, random: &mut dyn RandomSource) -> Self {
        let mut key = Self { context, bytes: [0; KEY_LEN_BYTES] };
        random.fill(&mut key.bytes);
        key
    }

    /// What the key belongs to.
    #[must_use]
    pub fn context(&self) -> BucketKeyContext {
        self.context
    }

    /// Wraps the key to the owner's public key for storage.
    ///
    /// # Errors
    /// [`WrapBucketKeyError`] when the public key is another account's or unusable.
    pub fn wrap(
        &self,
        owner: &AccountPublicKey,
        random: &mut dyn RandomSource,
    ) -> Result<WrappedBucketKey, WrapBucketKeyError> {
        let account_id = owner.account_id();
        let owner_id = self.context.account_id;
        if account_id != owner_id {
            return Err(WrapBucketKeyError::OtherAccount { account_id, owner_id });
        }
        let aad = self.context.encode();
        let mut message = zeroize::Zeroizing::new(self.bytes);
        let (encapsulated, tag) = hpke_base::seal_in_place(
            owner.hpke(),
            Binding { info: INFO, aad: &aad },
            message.as_mut_slice(),
            random,
        )
        .map_err(|_| WrapBucketKeyError::PublicKey { account_id })?;
        let mut bytes = [VERSION; WrappedBucketKey::ENCODED_LEN];
        let (to_encapsulated, rest) = bytes[1..].split_at_mut(ENCAPSULATED_LEN_BYTES);
        let (to_message, to_tag) = rest.split_at_mut(KEY_LEN_BYTES);
        to_encapsulated.copy_from_slice(&encapsulated);
        to_message.copy_from_slice(message.as_slice());
        to_tag.copy_from_slice(&tag);
        Ok(WrappedBucketKey { bytes })
    }

    /// Wraps a data key for storage with the manifest of the body it encrypts.
    #[must_use]
    pub fn wrap_data_key(
        &self,
        key: &DataKey,
        manifest_id: u64,
        random: &mut dyn RandomSource,
    ) -> WrappedDataKey {
        WrappedDataKey::seal(&self.bytes, self.data_context(manifest_id), key, random)
    }

    /// As [`Self::wrap_data_key`], so that it takes this key and `version` to open it.
    #[must_use]
    pub fn wrap_data_key_with(
        &self,
        version: &VersionKey,
        key: &DataKey,
        manifest_id: u64,
        random: &mut dyn RandomSource,
    ) -> WrappedDataKey {
        let wrapping = version.wrapping_key(&self.bytes);
        WrappedDataKey::seal(&wrapping, self.data_context(manifest_id), key, random)
    }

    /// Opens a data key that was wrapped under this key for exactly this manifest.
    ///
    /// # Errors
    /// [`UnwrapDataKeyError`] when it was wrapped under another key or for another manifest, or is
    /// damaged.
    pub fn unwrap_data_key(
        &self,
        wrapped: &WrappedDataKey,
        manifest_id: u64,
    ) -> Result<DataKey, UnwrapDataKeyError> {
        wrapped
            .open(&self.bytes, self.data_context(manifest_id))
            .map_err(|_| UnwrapDataKeyError { bucket: self.context, manifest_id })
    }

    /// Opens what [`Self::wrap_data_key_with`] wrapped.
    ///
    /// # Errors
    /// As [`Self::unwrap_data_key`], also for another version key or none.
    pub fn unwrap_data_key_with(
        &self,
        version: &VersionKey,
        wrapped: &WrappedDataKey,
        manifest_id: u64,
    ) -> Result<DataKey, UnwrapDataKeyError> {
        wrapped
            .open(&version.wrapping_key(&self.bytes), self.data_context(manifest_id))
            .map_err(|_| UnwrapDataKeyError { bucket: self.context, manifest_id })
    }

    fn data_context(&self, manifest_id: u64) -> [u64; 4] {
        let BucketKeyContext { account_id, bucket_id, key_epoch } = self.context;
        [account_id, bucket_id, key_epoch, manifest_id]
    }
}

impl WrappedBucketKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = 1 + ENCAPSULATED_LEN_BYTES + KEY_LEN_BYTES + TAG_LEN_BYTES;

    /// The stored form; its layout is drawn above.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        self.bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeSealedError`] when the version is unknown or the length wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeSealedError> {
        Ok(Self { bytes: envelope::decode_fixed(bytes)? })
    }

    pub(crate) fn open(
        &self,
        recipient: &PrivateKey,
        context: BucketKeyContext,
    ) -> Result<BucketKey, UnwrapBucketKeyError> {
        const FIXED: &str = "the layout is fixed";
        let (encapsulated, rest) =
            self.bytes[1..].split_first_chunk::<ENCAPSULATED_LEN_BYTES>().expect(FIXED);
        let (message, tag) = rest.split_first_chunk::<KEY_LEN_BYTES>().expect(FIXED);
        let aad = context.encode();
        let mut key = BucketKey { context, bytes: *message };
        hpke_base::open_in_place(
            recipient,
            Binding { info: INFO, aad: &aad },
            encapsulated,
            &mut key.bytes,
            tag.try_into().expect(FIXED),
        )
        .map_err(|_| UnwrapBucketKeyError { context })?;
        Ok(key)
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketKey({:?}, ..)", self.context)
    }
}

impl fmt::Debug for WrappedBucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        envelope::debug_sealed(f, "WrappedBucketKey", self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
