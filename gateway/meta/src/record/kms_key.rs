//! Keys of the built-in key service, and the names they go by.
//!
//! | Record | Field | Encoding |
//! | --- | --- | --- |
//! | key | `id` | string |
//! | key | `description` | string |
//! | key | `created` | varint, Unix milliseconds |
//! | key | `enabled` | bool |
//! | key | `versions` | sequence of: `created` varint, `sealed` bytes |
//! | alias | `key_id` | string |

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;

/// One key of the built-in key service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKeyRecord {
    /// Its id, unique for ever.
    pub id: String,
    /// What the administrator says of it.
    pub description: String,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether it seals and opens.
    pub enabled: bool,
    /// Its versions, the first one first. The last one seals.
    pub versions: Vec<KmsKeyVersion>,
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKeyVersion {
    /// When it was made.
    pub created: UnixMillis,
    /// A `gateway_seal::SealedSecret` of a `gateway_seal::ServiceKey`, encoded; its context is the
    /// key's id and the version's number.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// A name of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsAliasRecord {
    /// The key's id.
    pub key_id: String,
}

impl Record for KmsKeyRecord {
    const NAME: &'static str = "kms key record";
}

impl Record for KmsAliasRecord {
    const NAME: &'static str = "kms alias record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_key_service_have_golden_bytes() {
        let version = KmsKeyVersion { created: UnixMillis(300), sealed: vec![9, 8] };
        let record = KmsKeyRecord {
            id: "k".into(),
            description: "d".into(),
            created: UnixMillis(5),
            enabled: true,
            versions: vec![version],
        };
        let golden = [1, 1, b'k', 1, b'd', 5, 1, 1, 0xac, 0x02, 2, 9, 8];
        assert_eq!(record.encode()[..], golden);
        assert_eq!(KmsKeyRecord::decode(&golden), Ok(record));
        for cut in 0..golden.len() {
            KmsKeyRecord::decode(&golden[..cut]).unwrap_err();
        }
    }

    #[test]
    fn names_of_keys_have_golden_bytes() {
        let record = KmsAliasRecord { key_id: "k".into() };
        assert_eq!(record.encode()[..], [1, 1, b'k']);
        assert_eq!(KmsAliasRecord::decode(&[1, 1, b'k']), Ok(record));
    }
}
