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

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{ChecksumAlgorithm, ChecksumType, Record, SystemHeaders};
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
}

impl Record for UploadRecord {
    const NAME: &'static str = "upload record";
}
