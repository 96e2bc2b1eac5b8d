//! What a request claims about its signature, checked before the signature is.
//!
//! The adapter refuses wrong claims as well, but in other words than S3's, from which SDKs learn
//! nothing: they follow a wrong region to the right one only if the error names it.
//!
//! Invariants:
//! - what cannot be read here is left to the adapter, which refuses it; nothing is let in.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    error::{Code, Failure, Outcome},
    query::Query,
};

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

/// Checks the claims of a request to a server in `region`.
///
/// # Errors
/// `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`, `InvalidArgument`.
pub(crate) fn check(headers: &HeaderMap, query: Option<&str>, region: &str) -> Outcome<()> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(credential) = authorization.and_then(credential_of) {
        check_scope(credential, region, Place::Header)?;
    } else if let Ok(query) = Query::parse(query)
        && let Some(credential) = query.get("X-Amz-Credential")
    {
        check_scope(credential, region, Place::Query)?;
    }
    check_payload(headers)
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

/// The credential of an `Authorization` header of version 4.
fn credential_of(authorization: &str) -> Option<&str> {
    let (algorithm, parameters) = authorization.trim_start().split_once(' ')?;
    if !algorithm.starts_with("AWS4-") {
        return None;
    }
    let parameters = parameters.split(',').map(str::trim);
    parameters.filter_map(|parameter| parameter.strip_prefix("Credential=")).next()
}

/// Checks `key/date/region/service/terminal`. Key ids may contain slashes, so it is read from its
/// end.
fn check_scope(credential: &str, here: &str, place: Place) -> Outcome<()> {
    let mut rest = credential.rsplitn(4, '/');
    let (Some(terminal), Some(service), Some(region), Some(_)) =
        (rest.next(), rest.next(), rest.next(), rest.next())
    else {
        return Ok(());
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
    if region == here {
        return Ok(());
    }
    let failure = place.failure(format!("the region '{region}' is wrong; expecting '{here}'"));
    let failure = failure.detail("Region", here);
    Err(match HeaderValue::from_str(here) {
        Ok(value) => failure.header(BUCKET_REGION, value),
        Err(_) => failure,
    })
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
        check(&headers, Some(query), "eu-north-7")
            .map_err(|failure| (failure.code(), failure.message().to_owned()))
    }

    fn header_scope(scope: &str) -> Result<(), (Code, String)> {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=k/e/y/20250101/{scope},SignedHeaders=a, Signature=b"
        );
        told(&[("authorization", &value)], "")
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
        let query = "X-Amz-Credential=k%2F20250101%2Fus-east-1%2Fs3%2Faws4_request";
        let code = told(&[], query).map_err(|(code, _)| code);
        assert_eq!(code, Err(Code::AuthorizationQueryParameters));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_adapter() {
        for value in ["", "AWS k:s", "Basic abc", "AWS4-HMAC-SHA256 Credential=k/us-east-1"] {
            assert_eq!(told(&[("authorization", value)], "X-Amz-Signature=%zz"), Ok(()), "{value}");
        }
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
