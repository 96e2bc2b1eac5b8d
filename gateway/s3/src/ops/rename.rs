//! Renaming objects.

use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
};

pub(super) async fn rename_object(_call: Call<'_>) -> Outcome<Answer> {
    Err(Failure::not_implemented("RenameObject"))
}
