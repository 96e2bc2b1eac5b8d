//! What documents of bucket configurations have in common.
//!
//! Invariants:
//! - a document is bounded before it is read, and judged whole before anything is changed, so the
//!   configuration in force stays when a new one is refused;
//! - elements that S3's schema does not have are refused, as S3 does for configurations.

use crate::{
    body,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::Element,
};

/// Longest document of a configuration. Chosen: a filter with many tags takes a few KiB; S3 has 64
/// KiB for CORS rules.
const DOCUMENT_LEN_BYTES_MAX: usize = 64 << 10;

/// The root of the document sent, which must have the name.
///
/// # Errors
/// `MaxMessageLengthExceeded`, `MissingRequestBodyError`, `MalformedXML`, and what the body or its
/// digests are refused for.
pub(super) async fn document(call: &Call<'_>, name: &str) -> Outcome<Element> {
    let max_bytes = call.gateway.config.document_len_bytes_max.min(DOCUMENT_LEN_BYTES_MAX);
    let document = body::read_document(call.take_payload()?, &call.headers, max_bytes).await?;
    document.root(name)
}

/// The text of a child that must be there.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn required<'a>(parent: &'a Element, name: &str) -> Outcome<&'a str> {
    Ok(parent.only_text(name)?.ok_or(Code::MalformedXml)?.trim())
}

/// Whether a child that must be there says `yes` rather than `no`.
///
/// # Errors
/// `MalformedXML` for anything else.
pub(super) fn either(parent: &Element, name: &str, yes: &str, no: &str) -> Outcome<bool> {
    match required(parent, name)? {
        text if text == yes => Ok(true),
        text if text == no => Ok(false),
        _ => Err(Failure::new(Code::MalformedXml)),
    }
}

/// One `Tag`.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn tag(element: &Element) -> Outcome<(String, String)> {
    element.knows_only(&["Key", "Value"])?;
    let key = element.only_text("Key")?.ok_or(Code::MalformedXml)?;
    let value = element.only_text("Value")?.ok_or(Code::MalformedXml)?;
    Ok((key.to_owned(), value.to_owned()))
}
