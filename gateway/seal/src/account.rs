//! The key pair of an account.
//!
//! Bucket keys are wrapped to the public half, so that making a bucket key needs no private key,
//! and handing one bucket to another account is one more wrap.

use std::fmt;

use crate::bucket::{BucketKey, BucketKeyContext, UnwrapBucketKeyError, WrappedBucketKey};
use crate::envelope::{self, DecodeSealedError, KEY_ENVELOPE_LEN_BYTES, KEY_LEN_BYTES};
use crate::hpke_base::{PrivateKey, PublicKey};
use crate::random::RandomSource;
use crate::root::RootKey;

const PURPOSE: &str = "datamesh account key v1";

/// An account's X25519 key pair.
pub struct AccountKeyPair {
    account_id: u64,
    private: PrivateKey,
}

/// The public half of an account's key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountPublicKey {
    account_id: u64,
    public: PublicKey,
}

/// An account's private key as it is stored: sealed under the root key, bound to the account.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedAccountKey {
    envelope: [u8; KEY_ENVELOPE_LEN_BYTES],
}

/// A stored account key did not open. The root key is another one, or the stored bytes were
/// damaged or belong to another account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed key of account {account_id} does not open with this root key")]
pub struct OpenAccountKeyError {
    /// The account it was expected to belong to.
    pub account_id: u64,
}

impl AccountKeyPair {
    /// Makes a new key pair for an account.
    #[must_use]
    pub fn generate(account_id: u64, random: &mut dyn RandomSource) -> Self {
        Self { account_id, private: PrivateKey::generate(random) }
    }

    /// The account.
    #[must_use]
    pub fn account_id(&self) -> u64 {
        self.account_id
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> AccountPublicKey {
        AccountPublicKey { account_id: self.account_id, public: self.private.public_key() }
    }

    /// Seals the private half for storage.
    #[must_use]
    pub fn seal(&self, root: &RootKey, random: &mut dyn RandomSource) -> SealedAccountKey {
        let context = envelope::context_of([self.account_id]);
        let private = self.private.to_bytes();
        let envelope = envelope::seal_key(root.expose_bytes(), PURPOSE, &context, &private, random);
        SealedAccountKey { envelope }
    }

    /// Opens a bucket key that was wrapped to this account for exactly this bucket and key epoch.
    ///
    /// # Errors
    /// [`UnwrapBucketKeyError`] when it was wrapped to another account or for another bucket or
    /// epoch, or is damaged.
    pub fn unwrap_bucket_key(
        &self,
        wrapped: &WrappedBucketKey,
        bucket_id: u64,
        key_epoch: u64,
    ) -> Result<BucketKey, UnwrapBucketKeyError> {
        let context = BucketKeyContext { account_id: self.account_id, bucket_id, key_epoch };
        wrapped.open(&self.private, context)
    }
}

impl AccountPublicKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = KEY_LEN_BYTES;

    /// The account.
    #[must_use]
    pub fn account_id(&self) -> u64 {
        self.account_id
    }

    /// The key as RFC 7748 writes it.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        self.public.to_bytes()
    }

    /// Reads what [`Self::encode`] wrote. Every 32 bytes are a key; one that is good for nothing
    /// is refused when something is wrapped to it.
    #[must_use]
    pub fn decode(account_id: u64, bytes: [u8; Self::ENCODED_LEN]) -> Self {
        Self { account_id, public: PublicKey::from_bytes(bytes) }
    }

    pub(crate) fn hpke(&self) -> &PublicKey {
        &self.public
    }
}

impl SealedAccountKey {
    /// Length of [`Self::encode`]'s result in bytes.
    pub const ENCODED_LEN: usize = KEY_ENVELOPE_LEN_BYTES;

    /// Opens the key pair of an account.
    ///
    /// # Errors
    /// [`OpenAccountKeyError`] when root key or account differ, or the sealed bytes are damaged.
    pub fn open(
        &self,
        root: &RootKey,
        account_id: u64,
    ) -> Result<AccountKeyPair, OpenAccountKeyError> {
        let context = envelope::context_of([account_id]);
        let mut private = zeroize::Zeroizing::new([0; KEY_LEN_BYTES]);
        envelope::open(
            root.expose_bytes(),
            PURPOSE,
            &context,
            &self.envelope,
            private.as_mut_slice(),
        )
        .map_err(|_| OpenAccountKeyError { account_id })?;
        Ok(AccountKeyPair { account_id, private: PrivateKey::from_bytes(&private) })
    }

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
}

impl fmt::Debug for AccountKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKeyPair(account {}, ..)", self.account_id)
    }
}

impl fmt::Debug for AccountPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountPublicKey(account {}, ", self.account_id)?;
        self.encode().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl fmt::Debug for SealedAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        envelope::debug_sealed(f, "SealedAccountKey", self.envelope.len())
    }
}

#[cfg(test)]
mod tests;
