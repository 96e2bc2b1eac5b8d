//! Request documents: small bodies that are read whole.

use std::borrow::Cow;

use futures::StreamExt as _;
use gateway_object::{BodyError, ByteStream, ExpectedChecksum, ExpectedDigests};
use http::{HeaderMap, HeaderValue, header};

use super::{Payload, digest};
use crate::{
    error::{Code, Failure, Outcome},
    error_table,
    xml::{self, Element},
};

/// A request document.
pub(crate) struct Document {
    /// Its root; `None` for an empty body.
    pub(crate) root: Option<Element>,
    /// Whether `Content-MD5` or a checksum vouches for it.
    pub(crate) checked: bool,
}

impl Document {
    /// The root, which must have the name.
    ///
    /// # Errors
    /// `MissingRequestBodyError`, `MalformedXML`.
    pub(crate) fn root(self, name: &str) -> Outcome<Element> {
        let root = self.root.ok_or(Code::MissingRequestBody)?;
        if root.name != name {
            return Err(Failure::new(Code::MalformedXml));
        }
        Ok(root)
    }
}

/// Reads a document of at most `max_bytes` and compares its digests.
///
/// # Errors
/// What the body, its digests or its XML are refused for.
pub(crate) async fn read_document(
    payload: Payload,
    headers: &HeaderMap,
    max_bytes: usize,
) -> Outcome<Document> {
    let (bytes, checked) = read_bytes(payload, headers, max_bytes).await?;
    let root = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => None,
        false => Some(xml::parse(&bytes).map_err(|_| Code::MalformedXml)?),
    };
    Ok(Document { root, checked })
}

/// Reads a body of at most `max_bytes` and compares its digests. Says whether there were any.
///
/// # Errors
/// What the body or its digests are refused for.
pub(crate) async fn read_bytes(
    payload: Payload,
    headers: &HeaderMap,
    max_bytes: usize,
) -> Outcome<(Vec<u8>, bool)> {
    let mut headers = Cow::Borrowed(headers);
    if !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
    {
        // A request without either has no body (RFC 9112 §6.3).
        headers.to_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let body = payload.into_body(&headers)?;
    let len_bytes = body.len_bytes.unwrap_or_default();
    if len_bytes > max_bytes as u64 {
        return Err(Failure::new(Code::MaxMessageLengthExceeded));
    }
    let bytes = collect(body.stream, max_bytes).await?;
    if bytes.len() as u64 != len_bytes {
        return Err(error_table::body(&BodyError::Truncated));
    }
    let checked = compare(&bytes, body.expected)?;
    Ok((bytes, checked))
}

async fn collect(mut stream: ByteStream, max_bytes: usize) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| error_table::body(&error))?;
        if bytes.len() + chunk.len() > max_bytes {
            return Err(Failure::new(Code::MaxMessageLengthExceeded));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Compares the digests declared. Says whether there was one besides the signature's.
fn compare(bytes: &[u8], expected: ExpectedDigests) -> Outcome<bool> {
    if expected.md5.is_some_and(|md5| md5 != digest::md5(bytes)) {
        return Err(Failure::new(Code::BadDigest));
    }
    if expected.sha256.is_some_and(|sha256| sha256[..] != digest::sha256(bytes)) {
        return Err(Failure::new(Code::XAmzContentSha256Mismatch));
    }
    let checksum = expected.checksum.map(|checksum| (checksum.algorithm, checksum.expected));
    let (algorithm, wanted) = match checksum {
        None | Some((_, None)) => return Ok(expected.md5.is_some()),
        Some((algorithm, Some(ExpectedChecksum::Value(value)))) => (algorithm, value),
        Some((algorithm, Some(ExpectedChecksum::Trailer(find)))) => {
            let found = find().map_err(|_| Code::MalformedTrailer)?;
            (algorithm, found.ok_or(Code::MalformedTrailer)?)
        }
    };
    if wanted != digest::of(algorithm, bytes) {
        return Err(Failure::new(Code::BadDigest));
    }
    Ok(true)
}
