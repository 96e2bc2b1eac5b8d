//! Signature version 2, for tools that know no other. Off unless the operator allows it.
//!
//! Verified here rather than by the adapter, which refuses the dates that common tools send and
//! does not tell what was compared. A verified request goes on without its signature, and the
//! [`SignedBy`] beside it says whose it is. (Forms are the adapter's also here.)
//!
//! Invariants:
//! - the version covers neither every parameter nor the body, so a request may only carry
//!   parameters that it covers, or that choose no operation: what was signed as one operation never
//!   becomes another;
//! - signatures are compared in constant time;
//! - what cannot be read is refused, never taken for anonymous.
//!
//! Deliberately absent: signed chunks, which the version does not know.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Uri, header, request::Parts};
use node_proto::UnixMillis;

use crate::{
    convert,
    error::{Code, Failure, Outcome},
    explain::{SKEW_MAX_SECONDS, hex_bytes},
    query::Query,
};

/// What an `Authorization` header of the version begins with.
const SCHEME: &str = "AWS ";
/// The parameter that names the key, and that only this version has.
const ACCESS_KEY: &str = "AWSAccessKeyId";
/// Parameters that make up a signature in the query.
const PARAMETERS: [&str; 3] = [ACCESS_KEY, "Expires", "Signature"];

/// Parameters that the version covers, in the order in which it does. S3's list.
const COVERED: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Parameters that the version does not cover and that choose no operation.
const HARMLESS: [&str; 17] = [
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// Beside a request whose signature of this version was verified.
#[derive(Clone, Debug)]
pub(crate) struct SignedBy {
    /// The key.
    pub(crate) access_key: String,
    /// Where the signature stood.
    pub(crate) place: SignedIn,
}

/// Where a signature stands, as policies look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedIn {
    /// In `Authorization`.
    Header,
    /// In the query.
    Query,
    /// In a browser's form.
    Form,
}

impl SignedIn {
    /// Its name in policies.
    pub(crate) fn auth_type(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
            Self::Form => "POST",
        }
    }
}

/// A signature as it was presented, and what it should be of.
#[derive(Debug)]
pub(crate) struct Presented {
    access_key: String,
    place: SignedIn,
    signature: String,
    string_to_sign: String,
}

impl Presented {
    /// Reads the signature of a request, if it is of this version. `host_bucket` is the bucket that
    /// the host names.
    ///
    /// # Errors
    /// `AccessDenied` without a usable date or beyond it, `RequestTimeTooSkewed`, `InvalidRequest`
    /// for what the version does not cover, `SignatureDoesNotMatch` for what it cannot.
    pub(crate) fn read(
        parts: &Parts,
        host_bucket: Option<&str>,
        now: UnixMillis,
    ) -> Outcome<Option<Self>> {
        let Some(place) = Place::of(parts)? else { return Ok(None) };
        check_coverage(&place, &parts.headers)?;
        let date = place.check_date(&parts.headers, now)?;
        let (access_key, signature) = place.credentials()?;
        let string_to_sign = string_to_sign(parts, host_bucket, place.query(), &date)?;
        let place = match place {
            Place::Header { .. } => SignedIn::Header,
            Place::Query(_) => SignedIn::Query,
        };
        Ok(Some(Self { access_key, place, signature, string_to_sign }))
    }

    /// The key that the request claims to be signed with.
    pub(crate) fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Compares the signature, in constant time.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch` with what was compared.
    pub(crate) fn verify(&self, secret: &str) -> Outcome<SignedBy> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let matches = STANDARD.decode(&self.signature).is_ok_and(|signature| {
            hmac::verify(&key, self.string_to_sign.as_bytes(), &signature).is_ok()
        });
        if matches {
            return Ok(SignedBy { access_key: self.access_key.clone(), place: self.place });
        }
        Err(Failure::new(Code::SignatureDoesNotMatch)
            .detail("AWSAccessKeyId", self.access_key.as_str())
            .detail("StringToSign", self.string_to_sign.as_str())
            .detail("SignatureProvided", self.signature.as_str())
            .detail("StringToSignBytes", hex_bytes(&self.string_to_sign)))
    }
}

/// Takes the signature out of a verified request.
pub(crate) fn strip(parts: &mut Parts) {
    parts.headers.remove(header::AUTHORIZATION);
    let Some(query) = parts.uri.query() else { return };
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = crate::percent::decode_query(name);
        !name.is_some_and(|name| PARAMETERS.contains(&name.as_str()))
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    let target = match kept.is_empty() {
        true => parts.uri.path().to_owned(),
        false => format!("{}?{}", parts.uri.path(), kept.join("&")),
    };
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = target.parse().ok();
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
}

/// Where a signature stands.
enum Place<'a> {
    Header { authorization: &'a str, query: Query },
    Query(Query),
}

impl<'a> Place<'a> {
    fn of(parts: &'a Parts) -> Outcome<Option<Self>> {
        let authorization = parts.headers.get(header::AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok()).map(str::trim);
        if let Some(authorization) = authorization.and_then(|text| text.strip_prefix(SCHEME)) {
            let query = Query::parse(parts.uri.query())?;
            return Ok(Some(Self::Header { authorization, query }));
        }
        if !parts.uri.query().is_some_and(|query| query.contains(ACCESS_KEY)) {
            return Ok(None);
        }
        let query = Query::parse(parts.uri.query())?;
        Ok(query.has(ACCESS_KEY).then_some(Self::Query(query)))
    }

    fn query(&self) -> &Query {
        match self {
            Self::Header { query, .. } | Self::Query(query) => query,
        }
    }

    /// The key and the signature.
    fn credentials(&self) -> Outcome<(String, String)> {
        let (access_key, signature) = match self {
            Self::Header { authorization, .. } => {
                authorization.trim().split_once(':').ok_or_else(|| {
                    let message = "AWS authorization header is invalid. Expected AwsAccessKeyId:\
                                   signature";
                    Failure::invalid_argument("Authorization", authorization, message)
                })?
            }
            Self::Query(query) => {
                let get = |name| query.get(name).unwrap_or_default();
                (get(ACCESS_KEY), get("Signature"))
            }
        };
        Ok((access_key.to_owned(), signature.to_owned()))
    }

    /// What stands for the date in the string to sign, once it is close enough.
    fn check_date(&self, headers: &HeaderMap, now: UnixMillis) -> Outcome<String> {
        match self {
            Self::Header { .. } => check_header_date(headers, now),
            Self::Query(query) => check_expiry(query, now),
        }
    }
}

fn check_header_date(headers: &HeaderMap, now: UnixMillis) -> Outcome<String> {
    let amz_date = unique(headers, "x-amz-date");
    let date = unique(headers, "date");
    let shown = amz_date.or(date);
    let at = shown.and_then(parse_date).ok_or_else(|| {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        Failure::with_message(Code::AccessDenied, message)
    })?;
    if at.0.abs_diff(now.0) > u64::from(SKEW_MAX_SECONDS) * 1000 {
        return Err(Failure::new(Code::RequestTimeTooSkewed)
            .detail("RequestTime", shown.unwrap_or_default())
            .detail("ServerTime", convert::iso_8601_seconds(now))
            .detail("MaxAllowedSkewMilliseconds", format!("{SKEW_MAX_SECONDS}000")));
    }
    // With a date of S3's own, the other is not signed.
    let signed = date.filter(|_| !headers.contains_key("x-amz-date"));
    Ok(signed.unwrap_or_default().to_owned())
}

fn check_expiry(query: &Query, now: UnixMillis) -> Outcome<String> {
    let denied = |message: Cow<'static, str>| Failure::with_message(Code::AccessDenied, message);
    if PARAMETERS.iter().any(|name| !query.has(name)) {
        let message = "Query-string authentication requires the Signature, Expires and \
                       AWSAccessKeyId parameters";
        return Err(denied(message.into()));
    }
    let text = query.get("Expires").unwrap_or_default();
    let seconds: u64 = text.parse().map_err(|_| {
        denied(format!("Invalid date (should be seconds since epoch): {text}").into())
    })?;
    let expires = UnixMillis(seconds.saturating_mul(1000));
    if expires < now {
        return Err(denied("Request has expired".into())
            .detail("Expires", convert::iso_8601_seconds(expires))
            .detail("ServerTime", convert::iso_8601_seconds(now)));
    }
    Ok(text.to_owned())
}

fn parse_date(text: &str) -> Option<UnixMillis> {
    convert::parse_amz_date(text)
        .or_else(|| convert::parse_http_date(text))
        .or_else(|| convert::parse_rfc_2822(text))
}

/// The value of a header that is there once.
fn unique<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => value.to_str().ok(),
    }
}

/// Refuses what could turn a signed request into another one.
fn check_coverage(place: &Place<'_>, headers: &HeaderMap) -> Outcome<()> {
    let query = place.query();
    for parameter in query.iter() {
        let name = parameter.name.as_str();
        let in_signature = matches!(place, Place::Query(_)) && PARAMETERS.contains(&name);
        let is_covered = in_signature || COVERED.contains(&name);
        if !is_covered && !HARMLESS.contains(&name) {
            return Err(needs_version_4(format!("The query parameter {name}")));
        }
        if is_covered && query.iter().filter(|other| other.name == name).count() > 1 {
            let message = "Query parameters that a signature covers must not be repeated.";
            return Err(Failure::invalid_argument("query", name, message));
        }
    }
    let payload = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    if payload.is_some_and(|payload| payload.starts_with("STREAMING-AWS4-")) {
        return Err(needs_version_4("A body of signed chunks".to_owned()));
    }
    Ok(())
}

fn needs_version_4(what: String) -> Failure {
    Failure::invalid_request(format!("{what} requires a signature of version 4."))
}

fn string_to_sign(
    parts: &Parts,
    host_bucket: Option<&str>,
    query: &Query,
    date: &str,
) -> Outcome<String> {
    let value = |name| unique(&parts.headers, name).unwrap_or_default();
    let mut text =
        [parts.method.as_str(), value("content-md5"), value("content-type"), date, ""].join("\n");
    push_amz_headers(&parts.headers, &mut text)?;
    if let Some(bucket) = host_bucket {
        text.extend(["/", bucket]);
    }
    text.push_str(parts.uri.path());
    let mut separator = "?";
    for name in COVERED {
        let Some(value) = query.get(name) else { continue };
        text.extend([separator, name]);
        if !value.is_empty() {
            text.extend(["=", value]);
        }
        separator = "&";
    }
    Ok(text)
}

fn push_amz_headers(headers: &HeaderMap, text: &mut String) -> Outcome<()> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| name.starts_with("x-amz-"));
    names.sort_unstable();
    for name in names {
        let values = headers.get_all(name).iter();
        let values: Result<Vec<&str>, _> =
            values.map(|value| std::str::from_utf8(value.as_bytes()).map(str::trim)).collect();
        let values = values.map_err(|_| Code::SignatureDoesNotMatch)?;
        text.extend([name, ":", &values.join(","), "\n"]);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
