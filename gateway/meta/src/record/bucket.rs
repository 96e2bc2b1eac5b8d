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

use node_proto::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Record;
use crate::{AccountId, BucketId};

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
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket record";
}
