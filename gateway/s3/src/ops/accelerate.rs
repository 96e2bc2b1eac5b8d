//! Transfer acceleration of buckets.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_accelerate_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketAccelerateConfiguration"))
}

pub(super) async fn put_bucket_accelerate_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketAccelerateConfiguration"))
}
