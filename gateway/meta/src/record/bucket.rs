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
//! | `versioning` | `0` never, `1` enabled, `2` suspended |
//! | `object_lock` | bool |
//!
//! Version 2 had neither `versioning` nor `object_lock`: never. Version 1 had no `acknowledge`
//! either: all.

use bytes::Bytes;
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

/// What becomes of the version that a write replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Versioning {
    /// It goes: there is one version, `null`. The bucket was never versioned.
    #[default]
    Never,
    /// It stays; each write makes a version of its own.
    Enabled,
    /// It stays, unless it is the `null` version, which each write makes anew.
    Suspended,
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
    /// What becomes of replaced versions.
    pub versioning: Versioning,
    /// Whether versions can be locked. Never taken back.
    pub object_lock: bool,
}

impl BucketRecord {
    /// What [`crate::key::ctl::bucket_mode`] holds, which every write to the bucket guards; `None`
    /// for a bucket that was never versioned.
    #[must_use]
    pub fn mode(&self) -> Option<Bytes> {
        let versioning = match self.versioning {
            Versioning::Never => return None,
            Versioning::Enabled => 1,
            Versioning::Suspended => 2,
        };
        Some(Bytes::copy_from_slice(&[versioning, u8::from(self.object_lock)]))
    }
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket record";
    const VERSION: u8 = 3;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        match bytes.first() {
            Some(&BucketV1::VERSION) => {
                BucketV1::decode(bytes).map(|old| Self::from(BucketV2::from(old)))
            }
            Some(&BucketV2::VERSION) => BucketV2::decode(bytes).map(Self::from),
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

#[derive(Serialize, Deserialize)]
struct BucketV2 {
    id: BucketId,
    name: String,
    owner: AccountId,
    created: UnixMillis,
    region: String,
    key_epoch: u32,
    acknowledge: Acknowledge,
}

impl Record for BucketV2 {
    const NAME: &'static str = "bucket record";
    const VERSION: u8 = 2;
}

impl From<BucketV1> for BucketV2 {
    fn from(old: BucketV1) -> Self {
        let BucketV1 { id, name, owner, created, region, key_epoch } = old;
        Self { id, name, owner, created, region, key_epoch, acknowledge: Acknowledge::All }
    }
}

impl From<BucketV2> for BucketRecord {
    fn from(old: BucketV2) -> Self {
        Self {
            id: old.id,
            name: old.name,
            owner: old.owner,
            created: old.created,
            region: old.region,
            key_epoch: old.key_epoch,
            acknowledge: old.acknowledge,
            versioning: Versioning::Never,
            object_lock: false,
        }
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
            versioning: Versioning::Never,
            object_lock: false,
        }
    }

    #[test]
    fn bucket_has_golden_bytes() {
        for (acknowledge, number) in [(Acknowledge::All, 0), (Acknowledge::DataPlusOne, 1)] {
            let golden = [3, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2, number, 0, 0];
            assert_eq!(sample(acknowledge).encode()[..], golden);
            assert_eq!(BucketRecord::decode(&golden), Ok(sample(acknowledge)));
            for cut in 0..golden.len() {
                BucketRecord::decode(&golden[..cut]).unwrap_err();
            }
        }
        let newer = DecodeRecordError::UnknownVersion { record: "bucket record", version: 4 };
        assert_eq!(BucketRecord::decode(&[4]), Err(newer));
    }

    #[test]
    fn versioned_buckets_have_golden_bytes_and_a_mode() {
        let states = [(Versioning::Enabled, true, 1), (Versioning::Suspended, false, 2)];
        for (versioning, object_lock, number) in states {
            let bucket = BucketRecord { versioning, object_lock, ..sample(Acknowledge::All) };
            let lock = u8::from(object_lock);
            let golden = [3, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2, 0, number, lock];
            assert_eq!(bucket.encode()[..], golden);
            assert_eq!(BucketRecord::decode(&golden), Ok(bucket.clone()));
            assert_eq!(bucket.mode().as_deref(), Some(&[number, lock][..]));
        }
        assert_eq!(sample(Acknowledge::All).mode(), None);
    }

    #[test]
    fn buckets_of_earlier_versions_were_never_versioned() {
        let first = [1, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2];
        assert_eq!(BucketRecord::decode(&first), Ok(sample(Acknowledge::All)));
        let second = [2, 0xe8, 0x07, 1, b'b', 1, 5, 2, b'e', b'u', 2, 1];
        assert_eq!(BucketRecord::decode(&second), Ok(sample(Acknowledge::DataPlusOne)));
    }
}
