//! Object lock, as headers of writes say it.

use gateway_meta::record::ObjectLock;
use http::HeaderMap;

use crate::{error::Outcome, header};

/// What shall keep an object from being deleted.
///
/// # Errors
/// `NotImplemented` for anything.
pub(crate) fn lock(headers: &HeaderMap) -> Outcome<ObjectLock> {
    header::refuse_unsupported(headers)?;
    Ok(ObjectLock::default())
}

/// Whether retention in governance mode shall not count.
///
/// # Errors
/// `NotImplemented` for anything.
pub(crate) fn bypasses_governance(headers: &HeaderMap) -> Outcome<bool> {
    header::refuse_unsupported(headers)?;
    Ok(false)
}
