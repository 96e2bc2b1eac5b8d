//! Website configurations of buckets.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_website(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketWebsite"))
}

pub(super) async fn put_bucket_website(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketWebsite"))
}

pub(super) async fn delete_bucket_website(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketWebsite"))
}
