//! What a request claims about its signature, checked before the signature is.
//!
//! The adapter refuses wrong claims as well, but in other words than S3's, from which SDKs learn
//! nothing: they follow a wrong region to the right one only if the error names it.
//!
//! Invariants:
//! - what cannot be read here is left to the adapter, which refuses it; nothing is let in.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    convert,
    error::{Code, Failure, Outcome},
    query::Query,
};

/// The algorithm of signatures that the adapter verifies.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Parameters any of which make a query a signature, that of version 2 included.
const SIGNS: [&str; 4] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "AWSAccessKeyId"];
/// Parameters all of which make up a signature in the query.
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
];
/// The first number of seconds that a signature in the query may not be valid for. S3's limit is a
/// week.
const EXPIRES_SECONDS_END: i64 = 604_801;

/// The service in every scope.
const SERVICE: &str = "s3";
/// The end of every scope.
const TERMINAL: &str = "aws4_request";
/// Where clients look for the region when an answer has no body.
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// What `x-amz-content-sha256` may say instead of a digest.
const PAYLOADS: [&str; 6] = [
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
];

/// What a request says about its signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The query as it came.
    pub(crate) query: Option<&'a str>,
}

impl Claim<'_> {
    /// Whether there is a signature at all, or what looks like one.
    pub(crate) fn is_signed(self) -> bool {
        self.headers.contains_key(header::AUTHORIZATION) || self.signs_in_query()
    }

    fn signs_in_query(self) -> bool {
        self.query.is_some_and(|query| SIGNS.iter().any(|name| query.contains(name)))
    }
}

/// Which signatures a server takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepts<'a> {
    /// The region they must be for.
    pub(crate) region: &'a str,
    /// Whether those of version 2 are looked at, which are for no region.
    pub(crate) version_2: bool,
}

/// Checks the claims of a request.
///
/// # Errors
/// `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`, `InvalidArgument`,
/// `InvalidRequest`, `AccessDenied` without a date, `NotImplemented` for other algorithms of S3's.
pub(crate) fn check(claim: Claim<'_>, accepts: Accepts<'_>) -> Outcome<()> {
    let mut values = claim.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = values.next();
    // What cannot be decoded is refused as such later.
    let query = match claim.signs_in_query() {
        true => Query::parse(claim.query).unwrap_or_default(),
        false => Query::default(),
    };
    let in_query = SIGNS.iter().any(|name| query.has(name));
    if values.next().is_some() || (authorization.is_some() && in_query) {
        return Err(Failure::invalid_argument(
            "Authorization",
            &shown(authorization),
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
             query string parameter or the Authorization header should be specified",
        ));
    }
    if authorization.is_some() {
        check_header(&shown(authorization), claim.headers, accepts)?;
    } else if in_query {
        check_query(&query, accepts)?;
    }
    check_payload(claim.headers)
}

fn shown(value: Option<&HeaderValue>) -> Cow<'_, str> {
    value.map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
}

/// The fields of an `Authorization` header of version 4.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Authorization<'a> {
    /// `Credential`.
    pub(crate) credential: Option<&'a str>,
    /// `SignedHeaders`.
    pub(crate) signed_headers: Option<&'a str>,
    /// `Signature`.
    pub(crate) signature: Option<&'a str>,
}

impl<'a> Authorization<'a> {
    /// Reads what follows the algorithm.
    pub(crate) fn read(parameters: &'a str) -> Self {
        let mut found = Self::default();
        for parameter in parameters.split(',').map(str::trim) {
            match parameter.split_once('=') {
                Some(("Credential", value)) => found.credential = Some(value),
                Some(("SignedHeaders", value)) => found.signed_headers = Some(value),
                Some(("Signature", value)) => found.signature = Some(value),
                _ => {}
            }
        }
        found
    }
}

fn check_header(value: &str, headers: &HeaderMap, accepts: Accepts<'_>) -> Outcome<()> {
    let value = value.trim();
    let (algorithm, parameters) = value.split_once(' ').unwrap_or((value, ""));
    match algorithm {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => {
            return Err(Failure::not_implemented("The algorithm AWS4-ECDSA-P256-SHA256"));
        }
        "AWS" if accepts.version_2 => return Ok(()),
        "AWS" => return Err(version_2()),
        _ => {
            let message = "Unsupported Authorization Type";
            return Err(Failure::invalid_argument("Authorization", value, message));
        }
    }
    let fields = Authorization::read(parameters);
    let (Some(credential), Some(signed_headers), Some(_)) =
        (fields.credential, fields.signed_headers, fields.signature)
    else {
        let what = "the authorization header requires three components: Credential, \
                    SignedHeaders, and Signature.";
        return Err(Place::Header.failure(what.to_owned()));
    };
    check_signed_headers(signed_headers, Place::Header)?;
    let date = text(headers, "x-amz-date").filter(|date| convert::parse_amz_date(date).is_some());
    let date = date.ok_or_else(|| {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        Failure::with_message(Code::AccessDenied, message)
    })?;
    check_credential(credential, date, accepts.region, Place::Header)?;
    if !headers.contains_key("x-amz-content-sha256") {
        let message = "Missing required header for this request: x-amz-content-sha256";
        return Err(Failure::invalid_request(message));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn version_2() -> Failure {
    Failure::invalid_request(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.",
    )
}

fn check_query(query: &Query, accepts: Accepts<'_>) -> Outcome<()> {
    let wrong = |message: &'static str| {
        Err(Failure::with_message(Code::AuthorizationQueryParameters, message))
    };
    if query.has("AWSAccessKeyId") {
        return if accepts.version_2 { Ok(()) } else { Err(version_2()) };
    }
    if PARAMETERS.iter().any(|name| !query.has(name)) {
        return wrong(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
             X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        );
    }
    let get = |name: &str| query.get(name).unwrap_or_default();
    match get("X-Amz-Algorithm") {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => {
            return Err(Failure::not_implemented("The algorithm AWS4-ECDSA-P256-SHA256"));
        }
        _ => return wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""),
    }
    let date = get("X-Amz-Date");
    if convert::parse_amz_date(date).is_none() {
        return wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
    }
    check_credential(get("X-Amz-Credential"), date, accepts.region, Place::Query)?;
    check_signed_headers(get("X-Amz-SignedHeaders"), Place::Query)?;
    match get("X-Amz-Expires").parse::<i64>() {
        Err(_) => wrong("X-Amz-Expires should be a number"),
        Ok(..0) => wrong("X-Amz-Expires must be non-negative"),
        Ok(EXPIRES_SECONDS_END..) => wrong(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
             must be less than 604800 seconds",
        ),
        Ok(_) if is_signature(get("X-Amz-Signature")) => Ok(()),
        Ok(_) => Err(Failure::new(Code::SignatureDoesNotMatch)),
    }
}

/// The adapter repeats these names, and cannot write every character into its documents.
fn check_signed_headers(names: &str, place: Place) -> Outcome<()> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token);
    match names.split(';').all(is_name) {
        true => Ok(()),
        false => Err(place.failure("SignedHeaders are not names of headers.".to_owned())),
    }
}

fn is_signature(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where a signature stands.
#[derive(Clone, Copy)]
enum Place {
    Header,
    Query,
}

impl Place {
    fn failure(self, what: String) -> Failure {
        match self {
            Self::Header => Failure::with_message(
                Code::AuthorizationHeaderMalformed,
                format!("The authorization header is malformed; {what}"),
            ),
            Self::Query => Failure::with_message(
                Code::AuthorizationQueryParameters,
                format!("Error parsing the X-Amz-Credential parameter; {what}"),
            ),
        }
    }
}

/// Checks `key/date/region/service/terminal` of a request that is dated `at`. Key ids may contain
/// slashes, so it is read from its end.
fn check_credential(credential: &str, at: &str, here: &str, place: Place) -> Outcome<()> {
    let mut rest = credential.rsplitn(5, '/');
    let (Some(terminal), Some(service), Some(region), Some(day), Some(_)) =
        (rest.next(), rest.next(), rest.next(), rest.next(), rest.next())
    else {
        let what = "the Credential is mal-formed; expecting \
                    \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        return Err(place.failure(what.to_owned()));
    };
    if terminal != TERMINAL {
        let what = format!("incorrect terminal \"{terminal}\". This endpoint uses \"{TERMINAL}\".");
        return Err(place.failure(what));
    }
    if service != SERVICE {
        let what =
            format!("incorrect service \"{service}\". This endpoint belongs to \"{SERVICE}\".");
        return Err(place.failure(what));
    }
    if region != here {
        let failure = place.failure(format!("the region '{region}' is wrong; expecting '{here}'"));
        let failure = failure.detail("Region", here);
        return Err(match HeaderValue::from_str(here) {
            Ok(value) => failure.header(BUCKET_REGION, value),
            Err(_) => failure,
        });
    }
    if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = format!(
            "incorrect date format \"{day}\". This date in the credential must be in the format \
             \"yyyyMMdd\"."
        );
        return Err(place.failure(what));
    }
    let signed_on = at.get(..8).unwrap_or_default();
    if day != signed_on {
        let what = format!(
            "Invalid credential date \"{day}\". This is not the same as X-Amz-Date: \"{signed_on}\"."
        );
        return Err(place.failure(what));
    }
    Ok(())
}

fn check_payload(headers: &HeaderMap) -> Outcome<()> {
    let Some(value) = headers.get("x-amz-content-sha256") else {
        return Ok(());
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let digest = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest || PAYLOADS.contains(&value.as_ref()) {
        return Ok(());
    }
    let message =
        format!("x-amz-content-sha256 must be {}, or a valid sha256 value.", PAYLOADS.join(", "));
    Err(Failure::invalid_argument("x-amz-content-sha256", &value, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&'static str, &str)], query: &str) -> Result<(), (Code, String)> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = pairs.iter().map(pair).collect();
        let accepts = Accepts { region: "eu-north-7", version_2: false };
        check(Claim { headers: &headers, query: Some(query) }, accepts)
            .map_err(|failure| (failure.code(), failure.message().to_owned()))
    }

    const DATED: (&str, &str) = ("x-amz-date", "20250101T120000Z");
    const HASHED: (&str, &str) = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");

    fn header_scope(scope: &str) -> Result<(), (Code, String)> {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=k/e/y/20250101/{scope},SignedHeaders=a, Signature=b"
        );
        told(&[("authorization", &value), DATED, HASHED], "")
    }

    #[test]
    fn scope_must_be_this_servers() {
        assert_eq!(header_scope("eu-north-7/s3/aws4_request"), Ok(()));
        let start = "The authorization header is malformed; ";
        for (scope, what) in [
            (
                "us-east-1/s3/aws4_request",
                "the region 'us-east-1' is wrong; expecting 'eu-north-7'",
            ),
            (
                "eu-north-7/ec2/aws4_request",
                "incorrect service \"ec2\". This endpoint belongs to \"s3\".",
            ),
            (
                "eu-north-7/s3/aws5_request",
                "incorrect terminal \"aws5_request\". This endpoint uses \"aws4_request\".",
            ),
        ] {
            let expected = Err((Code::AuthorizationHeaderMalformed, format!("{start}{what}")));
            assert_eq!(header_scope(scope), expected);
        }
        let query = presigned().replace("eu-north-7", "us-east-1");
        let code = told(&[], &query).map_err(|(code, _)| code);
        assert_eq!(code, Err(Code::AuthorizationQueryParameters));
    }

    #[test]
    fn headers_that_are_no_signature_are_refused() {
        let full = "AWS4-HMAC-SHA256 \
                    Credential=k/20250101/eu-north-7/s3/aws4_request,SignedHeaders=a,Signature=b";
        let code = |value: &str, date: &str| {
            let told = told(&[("authorization", value), ("x-amz-date", date), HASHED], "");
            told.map_err(|(code, _)| code)
        };
        assert_eq!(code(full, DATED.1), Ok(()));
        for (value, expected) in [
            ("", Code::InvalidArgument),
            ("Basic abc", Code::InvalidArgument),
            ("AWS4-HMAC-SHA512 Credential=k", Code::InvalidArgument),
            ("AWS k:s", Code::InvalidRequest),
            ("AWS4-ECDSA-P256-SHA256 Credential=k", Code::NotImplemented),
            ("AWS4-HMAC-SHA256", Code::AuthorizationHeaderMalformed),
            (&full.replace("Signature=", "S="), Code::AuthorizationHeaderMalformed),
            (&full.replace("/20250101", ""), Code::AuthorizationHeaderMalformed),
            (&full.replace("20250101", "2025"), Code::AuthorizationHeaderMalformed),
            (&full.replace("20250101", "20250102"), Code::AuthorizationHeaderMalformed),
        ] {
            assert_eq!(code(value, DATED.1), Err(expected), "{value}");
        }
        for date in ["", "yesterday", "20251399T120000Z", "2025-01-01T12:00:00Z"] {
            assert_eq!(code(full, date), Err(Code::AccessDenied), "{date}");
        }
        let unhashed = told(&[("authorization", full), DATED], "").map_err(|(code, _)| code);
        assert_eq!(unhashed, Err(Code::InvalidRequest));
        let both = told(&[("authorization", full), DATED, HASHED], &presigned());
        assert_eq!(both.map_err(|(code, _)| code), Err(Code::InvalidArgument));
    }

    fn presigned() -> String {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20250101T120000Z&X-Amz-Expires=604800\
             &X-Amz-Credential=k%2F20250101%2Feu-north-7%2Fs3%2Faws4_request\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "a".repeat(64)
        )
    }

    #[test]
    fn queries_that_are_no_signature_are_refused() {
        let code = |query: &str| told(&[], query).map_err(|(code, _)| code);
        assert_eq!(code(&presigned()), Ok(()));
        for name in PARAMETERS {
            let without = presigned().replace(&format!("{name}="), "x=");
            assert_eq!(code(&without), Err(Code::AuthorizationQueryParameters), "{name}");
        }
        for (from, to) in [
            ("HMAC-SHA256", "HMAC-SHA512"),
            ("604800", "604801"),
            ("604800", "-1"),
            ("604800", "week"),
            ("T120000Z", ""),
            ("20250101%2F", "20250102%2F"),
            ("SignedHeaders=host", "SignedHeaders=%00host"),
            ("SignedHeaders=host", "SignedHeaders=host%3B%3Bx"),
        ] {
            let changed = presigned().replace(from, to);
            assert_eq!(code(&changed), Err(Code::AuthorizationQueryParameters), "{to}");
        }
        assert_eq!(code(&presigned().replace("aaa", "zzz")), Err(Code::SignatureDoesNotMatch));
        assert_eq!(code("AWSAccessKeyId=a&Signature=b&Expires=1"), Err(Code::InvalidRequest));
        // What cannot be decoded is refused elsewhere.
        assert_eq!(code("X-Amz-Signature=%zz"), Ok(()));
    }

    #[test]
    fn payload_is_a_digest_or_a_known_word() {
        let payload = |value: &str| told(&[("x-amz-content-sha256", value)], "");
        assert_eq!(payload(&"aB".repeat(32)), Ok(()));
        assert_eq!(payload("UNSIGNED-PAYLOAD"), Ok(()));
        assert_eq!(payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), Ok(()));
        let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for bad in ["", "UNSIGNED", "STREAMING-PAYLOAD", base64, &"g".repeat(64)] {
            let code = payload(bad).map_err(|(code, _)| code);
            assert_eq!(code, Err(Code::InvalidArgument), "{bad}");
        }
    }
}
