//! Tags of buckets.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_tagging(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketTagging"))
}

pub(super) async fn put_bucket_tagging(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketTagging"))
}

pub(super) async fn delete_bucket_tagging(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketTagging"))
}
