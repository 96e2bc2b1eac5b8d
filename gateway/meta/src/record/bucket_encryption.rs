//! How a bucket's objects are encrypted unless their writers say otherwise.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `default` | `0` managed; `1` KMS: `key` option of string |
//! | `bucket_key` | bool |
//! | `customer_keys` | option of: `0` allowed, `1` blocked |

use serde::{Deserialize, Serialize};

use super::Record;

/// A bucket's default encryption, as the client set it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEncryptionRecord {
    /// Whose keys objects are sealed under.
    pub default: DefaultEncryption,
    /// Whether a bucket key is asked for.
    pub bucket_key: bool,
    /// Whether clients may use keys of their own; `None` if nobody ever said, so they may.
    pub customer_keys: Option<CustomerKeys>,
}

/// Whose keys objects are sealed under by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultEncryption {
    /// The server's: SSE-S3.
    #[default]
    Managed,
    /// A key service's: SSE-KMS.
    Kms {
        /// The key, by any of its names, as the client gave it; the service's default if `None`.
        key: Option<String>,
    },
}

/// Whether clients may use keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerKeys {
    /// They may.
    Allowed,
    /// Such writes are refused.
    Blocked,
}

impl Record for BucketEncryptionRecord {
    const NAME: &'static str = "bucket encryption record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_encryption_has_golden_bytes() {
        let kms = |key| DefaultEncryption::Kms { key };
        let blocked = Some(CustomerKeys::Blocked);
        for (default, bucket_key, customer_keys, golden) in [
            (DefaultEncryption::Managed, false, None, &[1, 0, 0, 0][..]),
            (kms(None), true, Some(CustomerKeys::Allowed), &[1, 1, 0, 1, 1, 0]),
            (kms(Some("k".into())), false, blocked, &[1, 1, 1, 1, b'k', 0, 1, 1]),
        ] {
            let record = BucketEncryptionRecord { default, bucket_key, customer_keys };
            assert_eq!(record.encode()[..], *golden);
            assert_eq!(BucketEncryptionRecord::decode(golden), Ok(record));
            for cut in 0..golden.len() {
                BucketEncryptionRecord::decode(&golden[..cut]).unwrap_err();
            }
        }
    }
}
