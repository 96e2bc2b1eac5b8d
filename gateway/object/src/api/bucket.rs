//! Bucket requests.

use gateway_meta::{AccountId, record::BucketRecord};

/// Makes a bucket.
#[derive(Clone, Debug)]
pub struct CreateBucket {
    /// Its name; the service validates it.
    pub name: String,
    /// Who will own it.
    pub owner: AccountId,
    /// Location constraint; empty means `us-east-1`.
    pub region: String,
    /// Whether versions can be locked, which enables versioning as well.
    pub object_lock: bool,
    /// Its tags; the service validates them.
    pub tags: Vec<(String, String)>,
}

/// Lists an account's buckets by name.
#[derive(Clone, Debug)]
pub struct ListBuckets {
    /// Whose buckets.
    pub owner: AccountId,
    /// Only names that start so.
    pub prefix: String,
    /// Only names greater than this.
    pub after: Option<String>,
    /// At most so many, at least one.
    pub limit: usize,
}

/// A page of buckets.
#[derive(Clone, Debug)]
pub struct BucketPage {
    /// The buckets, ascending by name.
    pub buckets: Vec<BucketRecord>,
    /// Whether more follow.
    pub truncated: bool,
}
