//! Wrapped keys. The bytes are `gateway-seal`'s encodings, opaque here.
//!
//! | Record | Field | Encoding |
//! | --- | --- | --- |
//! | account key | `sealed` | bytes |
//! | bucket key | `wrapped` | bytes |

use serde::{Deserialize, Serialize};

use super::Record;

/// An account's key pair; the secret half is sealed under the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKeyRecord {
    /// `gateway_seal::SealedAccountKey`, encoded.
    pub sealed: Vec<u8>,
}

/// One epoch of a bucket's key, wrapped to its account's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketKeyRecord {
    /// `gateway_seal::WrappedBucketKey`, encoded.
    pub wrapped: Vec<u8>,
}

impl Record for AccountKeyRecord {
    const NAME: &'static str = "account key record";
}

impl Record for BucketKeyRecord {
    const NAME: &'static str = "bucket key record";
}
