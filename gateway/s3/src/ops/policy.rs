//! Bucket policies.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_policy(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketPolicy"))
}

pub(super) async fn put_bucket_policy(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketPolicy"))
}

pub(super) async fn delete_bucket_policy(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketPolicy"))
}

pub(super) async fn get_bucket_policy_status(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketPolicyStatus"))
}
