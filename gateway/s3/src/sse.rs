//! Server-side encryption, as headers of requests and answers say it.

use gateway_object::{CustomerKey, EncryptionRequest};
use http::HeaderMap;

use crate::{error::Outcome, header};

/// Whose keys an object shall be sealed under.
///
/// # Errors
/// `NotImplemented` for other keys than the server's.
pub(crate) fn request(headers: &HeaderMap) -> Outcome<EncryptionRequest> {
    header::refuse_encryption(headers)?;
    Ok(EncryptionRequest::BucketDefault)
}

/// The client's key for the object addressed.
///
/// # Errors
/// `NotImplemented` for other keys than the server's.
pub(crate) fn customer_key(headers: &HeaderMap) -> Outcome<Option<CustomerKey>> {
    header::refuse_encryption(headers)?;
    Ok(None)
}

/// The client's key for the source of a copy.
///
/// # Errors
/// `NotImplemented` for other keys than the server's.
pub(crate) fn source_customer_key(headers: &HeaderMap) -> Outcome<Option<CustomerKey>> {
    header::refuse_encryption(headers)?;
    Ok(None)
}
