//! Who pays for requests to a bucket.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_request_payment(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketRequestPayment"))
}

pub(super) async fn put_bucket_request_payment(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketRequestPayment"))
}
