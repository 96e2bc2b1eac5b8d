//! Object lock: what keeps versions from being deleted.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn get_object_lock_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetObjectLockConfiguration"))
}

pub(super) async fn put_object_lock_configuration(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutObjectLockConfiguration"))
}

pub(super) async fn get_object_retention(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetObjectRetention"))
}

pub(super) async fn put_object_retention(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutObjectRetention"))
}

pub(super) async fn get_object_legal_hold(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("GetObjectLegalHold"))
}

pub(super) async fn put_object_legal_hold(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("PutObjectLegalHold"))
}
