//! Where the access log of a bucket goes.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_logging(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketLogging"))
}

pub(super) async fn put_bucket_logging(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketLogging"))
}
