//! Default encryption of buckets.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_bucket_encryption(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetBucketEncryption"))
}

pub(super) async fn put_bucket_encryption(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutBucketEncryption"))
}

pub(super) async fn delete_bucket_encryption(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("DeleteBucketEncryption"))
}
