//! Reads request headers into the domain's values.
//!
//! Invariants:
//! - header values are UTF-8; other bytes are refused rather than guessed at;
//! - a header sent twice counts as one whose values are joined by commas only where HTTP says so
//!   (conditions, metadata); elsewhere it is refused;
//! - a header that asks for something that is not there is refused with `NotImplemented`, never
//!   ignored.

use gateway_meta::record::SystemHeaders;
use gateway_object::{ETagCondition, ObjectAttributes, ReadCondition, WriteCondition};
use http::HeaderMap;

use crate::{
    convert,
    error::{Code, Failure, Outcome},
    lock_header, percent, sse,
};

/// Most tags of an object, which is S3's limit.
const TAG_COUNT_MAX: usize = 10;

/// The value of a header; `None` when absent or empty.
///
/// # Errors
/// `InvalidArgument` when it is repeated or not UTF-8.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Outcome<Option<&'a str>> {
    Ok(given(headers, name)?.filter(|text| !text.is_empty()))
}

/// The value of a header, empty or not; `None` when absent.
///
/// # Errors
/// As [`text`].
pub(crate) fn given<'a>(headers: &'a HeaderMap, name: &str) -> Outcome<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refused = |message: String| Failure::with_message(Code::InvalidArgument, message);
    if values.next().is_some() {
        return Err(refused(format!("The header {name} was given more than once.")));
    }
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| refused(format!("The header {name} is not UTF-8.")))?
        .trim();
    Ok(Some(text))
}

/// The whole number in a header.
///
/// # Errors
/// `InvalidArgument` when it is repeated or no number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Outcome<Option<u64>> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(Some(number)),
        _ => {
            let message = format!("The header {name} is not a whole number.");
            Err(Failure::with_message(Code::InvalidArgument, message).detail("ArgumentValue", text))
        }
    }
}

/// The conditions of a write.
///
/// # Errors
/// `NotImplemented` for an `If-None-Match` that names ETags, as S3 does, and as [`text`].
pub(crate) fn write_condition(headers: &HeaderMap) -> Outcome<WriteCondition> {
    if joined(headers, "if-none-match")?.is_some_and(|text| text.trim() != "*") {
        let what = "If-None-Match with anything but * on a write";
        return Err(Failure::not_implemented(what).detail("Header", "If-None-Match"));
    }
    Ok(WriteCondition {
        if_match: condition(headers, "if-match")?,
        if_none_match: condition(headers, "if-none-match")?,
    })
}

/// The conditions of a read.
///
/// # Errors
/// As [`text`].
pub(crate) fn read_condition(headers: &HeaderMap) -> Outcome<ReadCondition> {
    conditions(headers, ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"])
}

/// The conditions on a copy's source.
///
/// # Errors
/// As [`text`].
pub(crate) fn source_condition(headers: &HeaderMap) -> Outcome<ReadCondition> {
    conditions(
        headers,
        [
            "x-amz-copy-source-if-match",
            "x-amz-copy-source-if-none-match",
            "x-amz-copy-source-if-modified-since",
            "x-amz-copy-source-if-unmodified-since",
        ],
    )
}

/// The conditions on the object that is renamed.
///
/// # Errors
/// As [`text`].
pub(crate) fn rename_condition(headers: &HeaderMap) -> Outcome<ReadCondition> {
    conditions(
        headers,
        [
            "x-amz-rename-source-if-match",
            "x-amz-rename-source-if-none-match",
            "x-amz-rename-source-if-modified-since",
            "x-amz-rename-source-if-unmodified-since",
        ],
    )
}

fn conditions(headers: &HeaderMap, names: [&str; 4]) -> Outcome<ReadCondition> {
    // HTTP ignores dates that it cannot read.
    let date = |name| Ok::<_, Failure>(text(headers, name)?.and_then(convert::parse_http_date));
    Ok(ReadCondition {
        if_match: condition(headers, names[0])?,
        if_none_match: condition(headers, names[1])?,
        if_modified_since: date(names[2])?,
        if_unmodified_since: date(names[3])?,
    })
}

fn condition(headers: &HeaderMap, name: &str) -> Outcome<Option<ETagCondition>> {
    let joined = joined(headers, name)?;
    Ok(joined.map(|text| convert::etag_condition(&text)))
}

fn joined(headers: &HeaderMap, name: &str) -> Outcome<Option<String>> {
    let values = headers.get_all(name).iter();
    let values: Result<Vec<&str>, _> =
        values.map(|value| std::str::from_utf8(value.as_bytes())).collect();
    let values = values.map_err(|_| {
        Failure::with_message(Code::InvalidArgument, format!("The header {name} is not UTF-8."))
    })?;
    Ok((!values.is_empty()).then(|| values.join(",")))
}

/// Everything a client attaches to an object.
///
/// # Errors
/// `InvalidArgument`, `InvalidRedirectLocation`, and what [`refuse_unsupported`] refuses.
pub(crate) fn attributes(headers: &HeaderMap) -> Outcome<ObjectAttributes> {
    Ok(ObjectAttributes {
        headers: system_headers(headers)?,
        user_metadata: user_metadata(headers)?,
        tags: tags(headers)?.unwrap_or_default(),
        storage_class: storage_class(headers)?,
        lock: lock_header::lock(headers)?,
        encryption: sse::request(headers)?,
    })
}

/// The storage class; empty for none.
///
/// # Errors
/// As [`text`].
pub(crate) fn storage_class(headers: &HeaderMap) -> Outcome<String> {
    Ok(text(headers, "x-amz-storage-class")?.unwrap_or_default().to_owned())
}

/// System-defined metadata.
///
/// # Errors
/// `InvalidRedirectLocation`, and as [`text`].
pub(crate) fn system_headers(headers: &HeaderMap) -> Outcome<SystemHeaders> {
    let owned = |name| Ok::<_, Failure>(text(headers, name)?.map(str::to_owned));
    let redirect = owned("x-amz-website-redirect-location")?;
    let is_location = |location: &str| {
        ["/", "http://", "https://"].iter().any(|start| location.starts_with(start))
    };
    if redirect.as_deref().is_some_and(|location| !is_location(location)) {
        return Err(Failure::new(Code::InvalidRedirectLocation));
    }
    Ok(SystemHeaders {
        content_type: owned("content-type")?,
        content_encoding: content_encoding(headers)?,
        content_disposition: owned("content-disposition")?,
        content_language: owned("content-language")?,
        cache_control: owned("cache-control")?,
        expires: owned("expires")?,
        website_redirect_location: redirect,
    })
}

/// `Content-Encoding` without `aws-chunked`, which describes the request and not the object.
fn content_encoding(headers: &HeaderMap) -> Outcome<Option<String>> {
    let Some(encodings) = joined(headers, "content-encoding")? else {
        return Ok(None);
    };
    let kept: Vec<&str> = encodings
        .split(',')
        .map(str::trim)
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    Ok((!kept.is_empty()).then(|| kept.join(",")))
}

/// `x-amz-meta-*`, by name.
///
/// # Errors
/// As [`text`], except that values of a repeated header are joined by commas.
pub(crate) fn user_metadata(headers: &HeaderMap) -> Outcome<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix("x-amz-meta-") else {
            continue;
        };
        if !short.is_empty() {
            let value = joined(headers, name.as_str())?.unwrap_or_default();
            found.push((short.to_owned(), value));
        }
    }
    // The map keeps no useful order; by name is the same every time.
    found.sort_unstable();
    Ok(found)
}

/// `x-amz-tagging`, encoded like a query.
///
/// # Errors
/// `InvalidArgument` when it is not percent-encoded, `BadRequest` for too many.
pub(crate) fn tags(headers: &HeaderMap) -> Outcome<Option<Vec<(String, String)>>> {
    let Some(text) = text(headers, "x-amz-tagging")? else {
        return Ok(None);
    };
    let found = parse_tags(text).ok_or_else(|| {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL \
                       query parameters without tag name duplicates.";
        Failure::with_message(Code::InvalidArgument, message)
    })?;
    few_tags(&found)?;
    Ok(Some(found))
}

/// Refuses more tags than an object may have, in S3's own words for it.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn few_tags(tags: &[(String, String)]) -> Outcome<()> {
    match tags.len() > TAG_COUNT_MAX {
        true => {
            let message = format!("Object tags cannot be greater than {TAG_COUNT_MAX}");
            Err(Failure::with_message(Code::BadRequest, message))
        }
        false => Ok(()),
    }
}

fn parse_tags(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent::decode_query(name)?, percent::decode_query(value)?))
        })
        .collect()
}

/// Refuses headers that ask a write for what is not there: ACLs, appends.
///
/// # Errors
/// `AccessControlListNotSupported`, `NotImplemented`, `InvalidArgument`.
pub(crate) fn refuse_unsupported(headers: &HeaderMap) -> Outcome<()> {
    refuse_acl(headers)?;
    const LATER: [&str; 2] = ["x-amz-write-offset-bytes", "x-amz-rename-source"];
    for name in LATER {
        let asked = text(headers, name)?.is_some_and(|value| !value.eq_ignore_ascii_case("false"));
        if asked {
            return Err(Failure::not_implemented(&format!("The header {name}")));
        }
    }
    Ok(())
}

/// Buckets have their owner enforced: an ACL may say what holds anyway, and nothing more.
fn refuse_acl(headers: &HeaderMap) -> Outcome<()> {
    let canned = text(headers, "x-amz-acl")?;
    let holds = canned.is_none_or(|acl| matches!(acl, "private" | "bucket-owner-full-control"));
    let granted = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    if !holds || granted {
        return Err(Failure::new(Code::AccessControlListNotSupported));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
