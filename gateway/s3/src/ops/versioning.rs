//! Versioning of buckets, and listings of versions.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn put_bucket_versioning(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketVersioning"))
}

pub(super) async fn list_object_versions(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("ListObjectVersions"))
}
