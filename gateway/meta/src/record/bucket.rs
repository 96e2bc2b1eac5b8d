//! A bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `id` | varint |
//! | `name` | string |
//! | `owner` | varint |
//! | `created` | varint, Unix milliseconds |
//! | `region` | string |
//! | `key_epoch` | varint |
//! | `acknowledge` | `0` all, `1` data plus one |
//!
//! Version 1 had no `acknowledge`: all.

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{DecodeRecordError, Record, decode_version};
use crate::{AccountId, BucketId};

/// When a write to a bucket is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledge {
    /// Once all shards of each stripe are durable.
    #[default]
    All,
    /// Once one shard more than it takes to read each stripe is durable and the others are late or
    /// failed; they are recreated afterwards. Until then one loss is survived, not as many as there
    /// are parity shards.
    DataPlusOne,
}

/// One bucket, kept under its name and found through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Prefix of the bucket's object rows; never reused.
    pub id: BucketId,
    /// The bucket's name.
    pub name: String,
    /// The account that made it.
    pub owner: AccountId,
    /// When it was made.
    pub created: UnixMillis,
    /// The location constraint given at creation; empty means `us-east-1`.
    pub region: String,
    /// The key epoch that new objects are sealed under.
    pub key_epoch: u32,
    /// When writes are answered.
    pub acknowledge: Acknowledge,
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket record";
    const VERSION: u8 = 2;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        match bytes.first() {
            Some(&BucketV1::VERSION) => BucketV1::decode(bytes).map(Self::from),
            _ => decode_version(bytes),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct BucketV1 {
    id: BucketId,
    name: String,
    owner: AccountId,
    created: UnixMillis,
    region: String,
    key_epoch: u32,
}

impl Record for BucketV1 {
    const NAME: &'static str = "bucket record";
}

impl From<BucketV1> for BucketRecord {
    fn from(old: BucketV1) -> Self {
        let BucketV1 { id, name, owner, created, region, key_epoch } = old;
        Self { id, name, owner, created, region, key_epoch, acknowledge: Acknowledge::All }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(acknowledge: Acknowledge) -> BucketRecord {
        BucketRecord {
            id: BucketId(1000),
            name: "b".to_owned(),
            owner: AccountId(1),
            created: UnixMillis(5),
            region: "eu".to_owned(),
            key_epoch: 2,
            acknowledge,
        }
    }

    #[test]
    fn bucket_has_golden_bytes() {
        for (acknowledge, last) in [(Acknowledge::All, 0), (Acknowledge::DataPlusOne, 1)] {
            let golden = [2, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2, last];
            assert_eq!(sample(acknowledge).encode()[..], golden);
            assert_eq!(BucketRecord::decode(&golden), Ok(sample(acknowledge)));
            for cut in 0..golden.len() {
                BucketRecord::decode(&golden[..cut]).unwrap_err();
            }
        }
        let newer = DecodeRecordError::UnknownVersion { record: "bucket record", version: 3 };
        assert_eq!(BucketRecord::decode(&[3]), Err(newer));
    }

    #[test]
    fn buckets_of_the_first_version_wait_for_all_shards() {
        let golden = [1, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2];
        assert_eq!(BucketRecord::decode(&golden), Ok(sample(Acknowledge::All)));
    }
}
