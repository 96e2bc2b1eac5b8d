//! Persisted accounts and access keys. Golden bytes are in the tests.
//!
//! | record | row | fields |
//! | --- | --- | --- |
//! | account | `ctl account/ID` | id, name, created |
//! | access key | `ctl access-key/KEY` | account, created, sealed secret |

use gateway_meta::{AccountId, record::Record};
use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) created: UnixMillis,
}

/// One access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessKeyRecord {
    pub(crate) account: AccountId,
    pub(crate) created: UnixMillis,
    /// `gateway_seal::SealedSecret`, encoded; its context is the access key id.
    pub(crate) sealed_secret: Vec<u8>,
}

impl Record for AccountRecord {
    const NAME: &'static str = "account record";
}

impl Record for AccessKeyRecord {
    const NAME: &'static str = "access key record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_record_has_golden_bytes() {
        let record =
            AccountRecord { id: AccountId(2), name: "ann".to_owned(), created: UnixMillis(1_000) };
        let encoded = record.encode();
        assert_eq!(encoded[..], [1, 2, 3, b'a', b'n', b'n', 0xe8, 0x07]);
        assert_eq!(AccountRecord::decode(&encoded), Ok(record));
    }

    #[test]
    fn access_key_record_has_golden_bytes() {
        let record = AccessKeyRecord {
            account: AccountId(300),
            created: UnixMillis(1),
            sealed_secret: vec![9, 8],
        };
        let encoded = record.encode();
        assert_eq!(encoded[..], [1, 0xac, 0x02, 1, 2, 9, 8]);
        assert_eq!(AccessKeyRecord::decode(&encoded), Ok(record));
    }
}
