//! The S3 operations that are measured.
//!
//! Invariants:
//! - an operation counts as done only when its whole answer was read and, unless switched off,
//!   every byte of it compared;
//! - what has to be computed before sending (content, its hash) is not part of the latency.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Either;
use md5::Digest as _;

use super::{
    pattern::{Content, ContentBody},
    session::{Answer, Call, Failure, Session, elements},
    signer::PayloadHash,
};
use crate::args::Payload;

/// Keys on a page. Source: S3's limit.
pub(crate) const PAGE_LEN_MAX: u64 = 1000;

/// A done operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// When its first request was sent.
    pub(crate) started: Instant,
    /// Object bytes sent or received.
    pub(crate) bytes: u64,
}

/// Stores an object.
pub(crate) async fn put(
    session: &mut Session,
    key: &str,
    content: &Content,
    payload: Payload,
) -> Result<Done, Failure> {
    let len = content.len_bytes();
    let call = upload(format!("/{key}"), content, 0, len, payload);
    let started = Instant::now();
    session.fetch(call).await?;
    Ok(Done { started, bytes: len })
}

/// Stores an object in parts, one after the other.
pub(crate) async fn multipart(
    session: &mut Session,
    key: &str,
    content: &Content,
    part_size: u64,
    payload: Payload,
) -> Result<Done, Failure> {
    let started = Instant::now();
    let call = Call::empty(Method::POST, format!("/{key}?uploads="));
    let (_, document) = session.fetch(call).await?;
    let text = std::str::from_utf8(&document).unwrap_or("");
    let upload_id = elements(text, "UploadId")
        .next()
        .map(percent_encoded)
        .ok_or(Failure::Unusable { reason: "no upload id" })?;
    let uploaded = parts(session, key, &upload_id, content, part_size, payload).await;
    if uploaded.is_err() {
        // The failure to report is the first one; what cannot be aborted now expires later.
        let abort = Call::empty(Method::DELETE, format!("/{key}?uploadId={upload_id}"));
        let _ = session.fetch(abort).await;
    }
    uploaded?;
    Ok(Done { started, bytes: content.len_bytes() })
}

async fn parts(
    session: &mut Session,
    key: &str,
    upload_id: &str,
    content: &Content,
    part_size: u64,
    payload: Payload,
) -> Result<(), Failure> {
    let count = content.len_bytes().div_ceil(part_size).max(1);
    let mut document = String::from("<CompleteMultipartUpload>");
    for part in 0..count {
        let first = part * part_size;
        let len = part_size.min(content.len_bytes() - first);
        let number = part + 1;
        let path = format!("/{key}?partNumber={number}&uploadId={upload_id}");
        let (headers, _) = session.fetch(upload(path, content, first, len, payload)).await?;
        let etag = headers
            .get(header::ETAG)
            .and_then(|etag| etag.to_str().ok())
            .ok_or(Failure::Unusable { reason: "a part without an ETag" })?;
        document.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ));
    }
    document.push_str("</CompleteMultipartUpload>");
    let path = format!("/{key}?uploadId={upload_id}");
    let (_, answer) = session.fetch(with_document(Method::POST, path, document)).await?;
    // S3 may answer 200 before it knows, and then put the error into the document.
    let answer = std::str::from_utf8(&answer).unwrap_or("");
    match elements(answer, "Code").next() {
        None => Ok(()),
        Some(code) => Err(Failure::Refused { status: StatusCode::OK, code: Some(code.to_owned()) }),
    }
}

fn upload(path: String, content: &Content, first: u64, len: u64, payload: Payload) -> Call {
    let payload = match payload {
        Payload::Signed => PayloadHash::Sha256(content.sha256_hex(first, len)),
        Payload::Unsigned => PayloadHash::Unsigned,
    };
    let body: ContentBody = content.body(first, len);
    Call { method: Method::PUT, path, headers: Vec::new(), body: Either::Left(body), payload }
}

/// Reads an object and compares it.
pub(crate) async fn get(
    session: &mut Session,
    key: &str,
    content: &Content,
    verify: bool,
) -> Result<Done, Failure> {
    let call = Call::empty(Method::GET, format!("/{key}"));
    let started = Instant::now();
    let answer = session.send(call).await?;
    let bytes = receive(session, answer, key, content, 0..content.len_bytes(), verify).await?;
    Ok(Done { started, bytes })
}

/// Reads the bytes `range` of an object and compares them.
pub(crate) async fn ranged_get(
    session: &mut Session,
    key: &str,
    content: &Content,
    range: std::ops::Range<u64>,
    verify: bool,
) -> Result<Done, Failure> {
    let value = format!("bytes={}-{}", range.start, range.end - 1);
    let call = Call::empty(Method::GET, format!("/{key}")).header("range", value);
    let started = Instant::now();
    let answer = session.send(call).await?;
    if answer.status != StatusCode::PARTIAL_CONTENT {
        session.disconnect();
        return Err(Failure::Unusable { reason: "a range was answered without 206" });
    }
    let bytes = receive(session, answer, key, content, range, verify).await?;
    Ok(Done { started, bytes })
}

/// Reads a body, which must be exactly the bytes `range` of the content.
async fn receive(
    session: &mut Session,
    mut answer: Answer,
    key: &str,
    content: &Content,
    range: std::ops::Range<u64>,
    verify: bool,
) -> Result<u64, Failure> {
    let mut offset = range.start;
    while let Some(bytes) = session.next_bytes(&mut answer.body).await? {
        let end = offset + bytes.len() as u64;
        let wrong = if end > range.end {
            Some(range.end)
        } else if verify {
            content.first_difference(offset, &bytes)
        } else {
            None
        };
        if let Some(offset) = wrong {
            session.disconnect();
            return Err(Failure::WrongByte { key: key.to_owned(), offset });
        }
        offset = end;
    }
    if offset < range.end {
        return Err(Failure::WrongByte { key: key.to_owned(), offset });
    }
    Ok(offset - range.start)
}

/// Asks for an object's metadata and compares the length.
pub(crate) async fn stat(
    session: &mut Session,
    key: &str,
    content: &Content,
) -> Result<Done, Failure> {
    let call = Call::empty(Method::HEAD, format!("/{key}"));
    let started = Instant::now();
    let (headers, _) = session.fetch(call).await?;
    let len = headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    match len {
        Some(len) if content.len_bytes() == len => Ok(Done { started, bytes: 0 }),
        Some(len) => {
            let offset = content.len_bytes().min(len);
            Err(Failure::WrongByte { key: key.to_owned(), offset })
        }
        None => Err(Failure::Unusable { reason: "no Content-Length" }),
    }
}

/// Lists the page behind `after` and compares its keys with `expected`.
pub(crate) async fn list(
    session: &mut Session,
    prefix: &str,
    after: Option<&str>,
    expected: impl Iterator<Item = String>,
    verify: bool,
) -> Result<Done, Failure> {
    let mut path =
        format!("?list-type=2&max-keys={PAGE_LEN_MAX}&prefix={}", percent_encoded(prefix));
    if let Some(after) = after {
        path.push_str(&format!("&start-after={}", percent_encoded(after)));
    }
    let call = Call::empty(Method::GET, path);
    let started = Instant::now();
    let (_, document) = session.fetch(call).await?;
    if verify {
        let text = std::str::from_utf8(&document).unwrap_or("");
        let found = elements(text, "Key");
        if let Some(offset) = first_unequal(found, expected) {
            return Err(Failure::WrongByte { key: prefix.to_owned(), offset });
        }
    }
    Ok(Done { started, bytes: 0 })
}

fn first_unequal<'a>(
    mut found: impl Iterator<Item = &'a str>,
    mut expected: impl Iterator<Item = String>,
) -> Option<u64> {
    let mut index = 0;
    loop {
        match (found.next(), expected.next()) {
            (None, None) => return None,
            (Some(found), Some(expected)) if found == expected => index += 1,
            _ => return Some(index),
        }
    }
}

/// Deletes an object.
pub(crate) async fn delete(session: &mut Session, key: &str) -> Result<Done, Failure> {
    let call = Call::empty(Method::DELETE, format!("/{key}"));
    let started = Instant::now();
    session.fetch(call).await?;
    Ok(Done { started, bytes: 0 })
}

/// Deletes up to [`PAGE_LEN_MAX`] objects at once; missing ones are fine.
pub(crate) async fn delete_many(session: &mut Session, keys: &[String]) -> Result<(), Failure> {
    let objects: String =
        keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
    let document = format!("<Delete><Quiet>true</Quiet>{objects}</Delete>");
    let md5 = STANDARD.encode(md5::Md5::digest(document.as_bytes()));
    let call = with_document(Method::POST, "?delete=".to_owned(), document);
    let (_, answer) = session.fetch(call.header("content-md5", md5)).await?;
    match elements(std::str::from_utf8(&answer).unwrap_or(""), "Code").next() {
        None => Ok(()),
        Some(code) => Err(Failure::Refused { status: StatusCode::OK, code: Some(code.to_owned()) }),
    }
}

/// Makes the bucket unless it is there.
pub(crate) async fn ensure_bucket(session: &mut Session, region: &str) -> Result<(), Failure> {
    let found = session.fetch(Call::empty(Method::HEAD, String::new())).await;
    match found {
        Err(Failure::Refused { status: StatusCode::NOT_FOUND, .. }) => {}
        other => return other.map(|_| ()),
    }
    let call = if region == "us-east-1" {
        Call::empty(Method::PUT, String::new())
    } else {
        let document = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        with_document(Method::PUT, String::new(), document)
    };
    match session.fetch(call).await {
        // Somebody else made it in between.
        Err(Failure::Refused { status: StatusCode::CONFLICT, code: Some(code) })
            if code == "BucketAlreadyOwnedByYou" =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

fn with_document(method: Method, path: String, document: String) -> Call {
    let sha256 = hex::encode(digest(&SHA256, document.as_bytes()));
    Call::document(method, path, Bytes::from(document), sha256)
}

/// A query value as AWS wants it encoded.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded_as_signatures_want_them() {
        assert_eq!(percent_encoded("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(percent_encoded("a/b +=\u{e9}"), "a%2Fb%20%2B%3D%C3%A9");
    }

    #[test]
    fn the_first_unequal_entry_is_named() {
        let expected = || ["a", "b"].into_iter().map(str::to_owned);
        assert_eq!(first_unequal(["a", "b"].into_iter(), expected()), None);
        assert_eq!(first_unequal(["a", "c"].into_iter(), expected()), Some(1));
        assert_eq!(first_unequal(["a"].into_iter(), expected()), Some(1));
        assert_eq!(first_unequal(["a", "b", "c"].into_iter(), expected()), Some(2));
    }
}
