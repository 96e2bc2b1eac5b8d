//! Whose keys bytes are sealed under, as requests say it.

use std::fmt;

use zeroize::Zeroizing;

use super::Fault;

/// A client's own key, of 256 bits. Never stored, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey(Zeroizing<[u8; 32]>);

impl CustomerKey {
    /// Takes a key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

/// Whose keys an object shall be sealed under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EncryptionRequest {
    /// As the bucket's default says.
    #[default]
    BucketDefault,
    /// The server's: SSE-S3.
    Managed,
    /// A key service's: SSE-KMS.
    Kms {
        /// Which key; the default one if `None`.
        key_id: Option<String>,
        /// The encryption context: JSON, in base64.
        context: Option<String>,
        /// Whether a bucket key is asked for; as the bucket's default says if `None`.
        bucket_key: Option<bool>,
    },
    /// The client's: SSE-C.
    Customer(CustomerKey),
}

/// Why bytes cannot be sealed or opened as asked.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The version is sealed under a client's key, which was not given.
    #[error("the version takes its writer's key to read")]
    CustomerKeyMissing,
    /// The version is sealed under another client's key.
    #[error("the key is not the one that the version is sealed under")]
    CustomerKeyWrong,
    /// A client's key was given for a version that is not sealed under one.
    #[error("the version is not sealed under a client's key")]
    CustomerKeyUnwanted,
    /// The upload was started with a client's key, which was not given.
    #[error("the upload takes the key that it was started with")]
    UploadKeyMissing,
    /// The upload was started with another key.
    #[error("the key is not the one that the upload was started with")]
    UploadKeyWrong,
    /// A client's key was given for an upload that was started without.
    #[error("the upload was started without a client's key")]
    UploadKeyUnwanted,
    /// The bucket takes no writes under clients' keys.
    #[error("the bucket takes no objects that are sealed under clients' keys")]
    CustomerKeysBlocked,
    /// The encryption context is not JSON of strings in base64.
    #[error("the encryption context is malformed")]
    MalformedContext,
    /// The key service has no such key.
    #[error("there is no key {key}")]
    NoSuchKey {
        /// As it was asked for.
        key: String,
    },
    /// The key service's key is disabled.
    #[error("the key {key} is disabled")]
    KeyDisabled {
        /// Its id.
        key: String,
    },
    /// There is no key service.
    #[error("there is no key service")]
    NoKeyService,
    /// The key service cannot be reached. Retry.
    #[error("the key service is unavailable: {reason}")]
    KeyServiceUnavailable {
        /// What happened, for the log.
        reason: String,
    },
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl EncryptionError {
    /// Whether the key service did not open a key, rather than the client giving a wrong one.
    pub(crate) fn is_of_key_service(&self) -> bool {
        match self {
            Self::NoSuchKey { .. }
            | Self::KeyDisabled { .. }
            | Self::NoKeyService
            | Self::KeyServiceUnavailable { .. } => true,
            Self::CustomerKeyMissing
            | Self::CustomerKeyWrong
            | Self::CustomerKeyUnwanted
            | Self::UploadKeyMissing
            | Self::UploadKeyWrong
            | Self::UploadKeyUnwanted
            | Self::CustomerKeysBlocked
            | Self::MalformedContext
            | Self::Fault(_) => false,
        }
    }
}
