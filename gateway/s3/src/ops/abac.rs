//! Whether tags of a bucket decide who may do what.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_abac(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketAbac"))
}

pub(super) async fn put_bucket_abac(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketAbac"))
}
