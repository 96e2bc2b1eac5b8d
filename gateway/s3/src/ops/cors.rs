//! Which pages of other origins may use a bucket.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_cors(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketCors"))
}

pub(super) async fn put_bucket_cors(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketCors"))
}

pub(super) async fn delete_bucket_cors(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketCors"))
}
