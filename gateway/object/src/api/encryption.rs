//! Whose keys bytes are sealed under, as requests say it.

use std::fmt;

use zeroize::Zeroizing;

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
