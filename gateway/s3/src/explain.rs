//! What a request is told about its signature when that was refused.
//!
//! The adapter refuses in few words. S3 says what it compared — the canonical request, the string
//! to sign, the times — and clients and their developers read that. So what a request said about
//! its signature is kept while the adapter verifies it, and told if it is refused.
//!
//! Invariants:
//! - nothing here decides whether a request is let in;
//! - everything told is the client's own, put in order: no secret, and no signature of ours.
//!
//! *Limits:* a canonical request beyond [`CANONICAL_LEN_BYTES_MAX`] is not told.

use std::{borrow::Cow, fmt::Write as _};

use http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts};
use node_proto::UnixMillis;
use s3s_sigv4::{
    AmzDate, Payload, create_canonical_request, create_presigned_canonical_request,
    create_string_to_sign,
};

use crate::{
    claim::{self, Authorization},
    convert,
    edge::FORM_FIELDS_LEN_BYTES_MAX,
    error::{Code, Failure},
    ops, percent,
    query::Query,
};

/// How far a client's clock may be off, which the adapter judges: S3's 15 minutes.
pub(crate) const SKEW_MAX_SECONDS: u32 = 15 * 60;
/// Longest canonical request that is told, in bytes, and told once more as hexadecimal digits.
/// Chosen: twice the 8 KiB that S3 allows for headers.
const CANONICAL_LEN_BYTES_MAX: usize = 16 << 10;

/// What a request said about its signature.
pub(crate) struct Claims {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Claims {
    /// Keeps what a signed request says.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let claim = claim::Claim { headers: &parts.headers, query: parts.uri.query() };
        claim.is_signed().then(|| Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }

    /// S3's failure for what the adapter calls `code` and explains with `message`. `None` where
    /// there is nothing to add.
    pub(crate) fn explain(&self, code: &str, message: &str, now: UnixMillis) -> Option<Failure> {
        let query = Query::parse(self.uri.query()).ok()?;
        let signed = Signed::read(self, &query)?;
        let server_time = convert::iso_8601_seconds(now);
        match (code, message) {
            ("InvalidAccessKeyId", _) => Some(unknown_key(signed.access_key)),
            ("SignatureDoesNotMatch", _) => Some(signed.mismatch(self, &query)),
            ("RequestTimeTooSkewed", _) if signed.presigned => {
                let failure = Failure::with_message(Code::AccessDenied, "Request is not yet valid");
                Some(signed.validity(failure, &query, server_time))
            }
            ("RequestTimeTooSkewed", _) => Some(
                Failure::new(Code::RequestTimeTooSkewed)
                    .detail("RequestTime", signed.date)
                    .detail("ServerTime", server_time)
                    .detail("MaxAllowedSkewMilliseconds", format!("{SKEW_MAX_SECONDS}000")),
            ),
            ("AccessDenied", "Request has expired") => {
                let failure = Failure::with_message(Code::AccessDenied, "Request has expired");
                Some(signed.validity(failure, &query, server_time))
            }
            ("AccessDenied", unsigned) if unsigned.starts_with("There were headers present") => {
                let failure = Failure::with_message(Code::AccessDenied, unsigned.to_owned());
                Some(failure.detail("HeadersNotSigned", signed.unsigned_headers(&self.headers)))
            }
            _ => None,
        }
    }
}

/// The failure of a key that nobody has.
pub(crate) fn unknown_key(access_key: &str) -> Failure {
    Failure::new(Code::InvalidAccessKeyId).detail("AWSAccessKeyId", access_key)
}

/// The fields of a signature, wherever it stands.
struct Signed<'a> {
    access_key: &'a str,
    region: &'a str,
    date: &'a str,
    headers: &'a str,
    signature: &'a str,
    presigned: bool,
}

impl<'a> Signed<'a> {
    fn read(claims: &'a Claims, query: &'a Query) -> Option<Self> {
        let authorization = claims.headers.get(header::AUTHORIZATION);
        let presigned = authorization.is_none();
        let (credential, headers, signature, date) = match authorization {
            Some(value) => {
                let (_, parameters) = value.to_str().ok()?.trim().split_once(' ')?;
                let fields = Authorization::read(parameters);
                let date = claims.headers.get("x-amz-date").and_then(|date| date.to_str().ok());
                (fields.credential?, fields.signed_headers?, fields.signature?, date?)
            }
            None => (
                query.get("X-Amz-Credential")?,
                query.get("X-Amz-SignedHeaders")?,
                query.get("X-Amz-Signature")?,
                query.get("X-Amz-Date")?,
            ),
        };
        let mut scope = credential.rsplitn(5, '/');
        let region = scope.nth(2)?;
        let access_key = scope.nth(1)?;
        Some(Self { access_key, region, date, headers, signature, presigned })
    }

    /// From when to when a presigned request is valid.
    fn validity(&self, failure: Failure, query: &Query, server_time: String) -> Failure {
        let seconds: u64 = query.get("X-Amz-Expires").and_then(|s| s.parse().ok()).unwrap_or(0);
        let failure = failure.detail("X-Amz-Expires", seconds.to_string());
        let begins = convert::parse_amz_date(self.date);
        let failure = match begins {
            Some(at) => {
                let ends = UnixMillis(at.0.saturating_add(seconds.saturating_mul(1000)));
                failure.detail("Expires", convert::iso_8601_seconds(ends))
            }
            None => failure,
        };
        failure.detail("ServerTime", server_time)
    }

    /// Headers of S3's that the signature does not cover.
    fn unsigned_headers(&self, headers: &HeaderMap) -> String {
        let signed = |name: &str| self.headers.split(';').any(|s| s.eq_ignore_ascii_case(name));
        let mut names: Vec<&str> = headers.keys().map(header::HeaderName::as_str).collect();
        names.retain(|name| {
            name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !signed(name)
        });
        names.sort_unstable();
        names.join(", ")
    }

    /// `SignatureDoesNotMatch` with what was compared.
    fn mismatch(&self, claims: &Claims, query: &Query) -> Failure {
        let failure =
            Failure::new(Code::SignatureDoesNotMatch).detail("AWSAccessKeyId", self.access_key);
        let canonical = self.canonical_request(claims, query);
        let canonical = canonical.filter(|text| text.len() <= CANONICAL_LEN_BYTES_MAX);
        let (Some(canonical), Ok(date)) = (canonical, AmzDate::parse(self.date)) else {
            return failure.detail("SignatureProvided", self.signature);
        };
        let to_sign = create_string_to_sign(&canonical, &date, self.region, "s3");
        failure
            .detail("StringToSign", to_sign.as_str())
            .detail("SignatureProvided", self.signature)
            .detail("StringToSignBytes", hex_bytes(&to_sign))
            .detail("CanonicalRequest", canonical.as_str())
            .detail("CanonicalRequestBytes", hex_bytes(&canonical))
    }

    /// The canonical request of what has arrived; `None` when it has none, because a signed header
    /// is missing, for example.
    fn canonical_request(&self, claims: &Claims, query: &Query) -> Option<String> {
        let mut headers = Vec::new();
        for name in self.headers.split(';') {
            let values = claims.headers.get_all(name).iter();
            let values: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
            let values = values?;
            match (values.as_slice(), claims.uri.authority()) {
                // HTTP/2 has the host elsewhere.
                ([], Some(authority)) if name == "host" => headers.push((name, authority.as_str())),
                ([], _) => return None,
                (values, _) => headers.extend(values.iter().map(|value| (name, *value))),
            }
        }
        let path = percent::decode(claims.uri.path())?;
        let pairs = query.iter().map(|found| (found.name.as_str(), found.value.as_str()));
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let method = claims.method.as_str();
        if self.presigned {
            return Some(create_presigned_canonical_request(method, &path, &pairs, &headers));
        }
        let payload = claims.headers.get("x-amz-content-sha256");
        let payload = payload.and_then(|value| value.to_str().ok())?;
        let payload = match payload {
            "UNSIGNED-PAYLOAD" => Payload::Unsigned,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Payload::UnsignedMultipleChunksWithTrailer,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Payload::MultipleChunks,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Payload::MultipleChunksWithTrailer,
            digest => Payload::SingleChunk(digest),
        };
        Some(create_canonical_request(method, &path, &pairs, &headers, payload))
    }
}

/// Bytes as S3 spells them: pairs of hexadecimal digits with spaces between them.
pub(crate) fn hex_bytes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for (index, byte) in text.bytes().enumerate() {
        let space = if index == 0 { "" } else { " " };
        let _ = write!(out, "{space}{byte:02x}");
    }
    out
}

/// What S3 says of a form that its policy does not allow, for what the adapter says. The adapter
/// calls some of them bad policies; S3 denies access.
fn broken_policy(code: &str, message: &str) -> Option<String> {
    match code {
        "AccessDenied" if message == "Request has expired" => Some("Policy expired.".to_owned()),
        "AccessDenied" if message.starts_with("Each form field that you specify") => {
            let name = message.split('"').nth(1).unwrap_or_default();
            Some(format!("Extra input fields: {name}"))
        }
        "InvalidPolicyDocument" if message.starts_with("Bucket in form field") => {
            Some(message.to_owned())
        }
        "InvalidPolicyDocument" => {
            let rest = message.strip_prefix("Policy condition '")?;
            let (operator, rest) = rest.split_once("' for field '")?;
            let (field, rest) = rest.split_once("' failed: expected ")?;
            let (_, rest) = rest.split_once('\'')?;
            let (value, _) = rest.rsplit_once("', got '")?;
            Some(format!("Policy Condition failed: [\"{operator}\", \"${field}\", \"{value}\"]"))
        }
        _ => None,
    }
}

/// S3's failure for what the adapter calls a form, of which `start` arrived. `None` where there is
/// nothing to add.
pub(crate) fn explain_form(
    code: &str,
    message: &str,
    content_type: Option<&HeaderValue>,
    start: &[u8],
) -> Option<Failure> {
    let content_type =
        content_type.map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()));
    let fields = ops::form_fields::read(&content_type, start);
    let field = |name: &str| {
        let found = fields.fields.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    };
    let access_key = || field("x-amz-credential").and_then(|text| text.rsplitn(5, '/').nth(4));
    if let Some(what) = broken_policy(code, message) {
        let message = format!("Invalid according to Policy: {what}");
        return Some(Failure::with_message(Code::AccessDenied, message));
    }
    match code {
        "InvalidAccessKeyId" => Some(unknown_key(access_key()?)),
        "SignatureDoesNotMatch" => {
            let (policy, signature) = (field("policy")?, field("x-amz-signature")?);
            Some(
                Failure::new(Code::SignatureDoesNotMatch)
                    .detail("AWSAccessKeyId", access_key()?)
                    .detail("StringToSign", policy)
                    .detail("SignatureProvided", signature)
                    .detail("StringToSignBytes", hex_bytes(policy)),
            )
        }
        // Scopes of other services, which the adapter does not know.
        "NotImplemented" if message.starts_with("unknown service") => {
            Some(Failure::new(Code::AuthorizationHeaderMalformed))
        }
        "InvalidRequest" if message == "missing boundary" => {
            Some(Failure::new(Code::MalformedPostRequest))
        }
        "InvalidRequest" if message == "missing key" => Some(ops::no_form_key()),
        "MalformedPOSTRequest" if fields.ended && !fields.has_file => {
            let message = "POST requires exactly one file upload per request.";
            Some(Failure::invalid_argument("file", "0", message))
        }
        "MalformedPOSTRequest" if !fields.has_file && start.len() > FORM_FIELDS_LEN_BYTES_MAX => {
            Some(Failure::new(Code::MaxPostPreDataLengthExceeded))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_policies_are_told_in_the_words_of_s3() {
        for (code, message, told) in [
            ("AccessDenied", "Request has expired", Some("Policy expired.")),
            (
                "AccessDenied",
                "Each form field that you specify in a form must appear in the list of policy \
                 conditions. \"acl\" not specified in the policy.",
                Some("Extra input fields: acl"),
            ),
            (
                "InvalidPolicyDocument",
                "Policy condition 'starts-with' for field 'key' failed: expected prefix 'u', got 'k'",
                Some("Policy Condition failed: [\"starts-with\", \"$key\", \"u\"]"),
            ),
            ("InvalidPolicyDocument", "failed to parse POST policy", None),
            ("AccessDenied", "Access Denied", None),
        ] {
            assert_eq!(broken_policy(code, message).as_deref(), told, "{message}");
        }
    }
}
