//! Lifecycle configurations of buckets.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_lifecycle_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketLifecycleConfiguration"))
}

pub(super) async fn put_bucket_lifecycle_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketLifecycleConfiguration"))
}

pub(super) async fn delete_bucket_lifecycle(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketLifecycle"))
}
