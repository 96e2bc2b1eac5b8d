//! A multipart upload under way.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `initiated` | varint, Unix milliseconds |
//! | `initiator` | varint |
//! | `headers` | as in an object record |
//! | `user_metadata` | sequence of two strings |
//! | `tags` | sequence of two strings |
//! | `storage_class` | string |
//! | `checksum` | option of: algorithm and type as in an object record |
//! | `lock`, `encryption` | as in an object record |
//!
//! Version 1 had neither `lock` nor `encryption`: not locked, managed.

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    ChecksumAlgorithm, ChecksumType, DecodeRecordError, Encryption, ObjectLock, Record,
    SystemHeaders, decode_version,
};
use crate::AccountId;

/// One multipart upload, under `bucket · key · upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// When it was started.
    pub initiated: UnixMillis,
    /// The account that started it.
    pub initiator: AccountId,
    /// What the completed object will carry.
    pub headers: SystemHeaders,
    /// `x-amz-meta-*` of the completed object.
    pub user_metadata: Vec<(String, String)>,
    /// Tags of the completed object.
    pub tags: Vec<(String, String)>,
    /// Storage class of the completed object; empty means `STANDARD`.
    pub storage_class: String,
    /// The checksum asked for at creation.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// What will keep the completed object from being deleted, as it was asked for.
    pub lock: ObjectLock,
    /// Whose keys the parts are sealed under.
    pub encryption: Encryption,
}

impl Record for UploadRecord {
    const NAME: &'static str = "upload record";
    const VERSION: u8 = 2;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        match bytes.first() {
            Some(&UploadV1::VERSION) => UploadV1::decode(bytes).map(Self::from),
            _ => decode_version(bytes),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct UploadV1 {
    initiated: UnixMillis,
    initiator: AccountId,
    headers: SystemHeaders,
    user_metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    storage_class: String,
    checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

impl Record for UploadV1 {
    const NAME: &'static str = "upload record";
}

impl From<UploadV1> for UploadRecord {
    fn from(old: UploadV1) -> Self {
        Self {
            initiated: old.initiated,
            initiator: old.initiator,
            headers: old.headers,
            user_metadata: old.user_metadata,
            tags: old.tags,
            storage_class: old.storage_class,
            checksum: old.checksum,
            lock: ObjectLock::default(),
            encryption: Encryption::Managed,
        }
    }
}
