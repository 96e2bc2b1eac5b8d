//! What was asked for, told again when it fails.
//!
//! S3's error documents name the key that is not there, the upload, the range. The domain's errors
//! do not repeat what the request said, so it is added here, in one place.
//!
//! Invariants:
//! - only what the request itself said is added, and nothing that a failure says already.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use crate::{
    error::{Code, Failure},
    query::Query,
    target::{self, Domains, Target},
};

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// What a request asked for, kept while it is answered. Nothing is copied but references.
pub(crate) struct Asked {
    method: Method,
    uri: Uri,
    headers: [Option<HeaderValue>; 5],
}

impl Asked {
    /// Keeps what error documents tell.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let get = |name: HeaderName| headers.get(name).cloned();
        Self {
            method: method.clone(),
            uri: uri.clone(),
            headers: [
                get(header::HOST),
                get(header::RANGE),
                get(HeaderName::from_static("content-md5")),
                get(HeaderName::from_static(DECODED_LENGTH)),
                get(header::CONTENT_LENGTH),
            ],
        }
    }

    /// Adds to a failure what S3 tells with its code.
    pub(crate) fn complete(self, failure: Failure, domains: &Domains) -> Failure {
        let [host, range, md5, decoded_length, length] = &self.headers;
        let text = |value: &Option<HeaderValue>| {
            let text = value.as_ref().and_then(|value| value.to_str().ok());
            text.unwrap_or_default().to_owned()
        };
        let host = host.as_ref().and_then(|host| host.to_str().ok());
        let target = target::find(domains, host, self.uri.path()).unwrap_or(Target::Service);
        let query = Query::parse(self.uri.query()).unwrap_or_default();
        let asked = |name: &str| query.get(name).unwrap_or_default().to_owned();
        match failure.code() {
            Code::NoSuchKey => failure.detail_if_new("Key", target.key()),
            Code::NoSuchVersion => failure
                .detail_if_new("Key", target.key())
                .detail_if_new("VersionId", asked("versionId")),
            Code::NoSuchUpload | Code::InvalidPart | Code::InvalidPartOrder => {
                failure.detail_if_new("UploadId", asked("uploadId"))
            }
            Code::BucketAlreadyExists
            | Code::BucketAlreadyOwnedByYou
            | Code::BucketNotEmpty
            | Code::InvalidBucketName => failure.detail_if_new("BucketName", target.bucket()),
            Code::InvalidRange => failure.detail_if_new("RangeRequested", text(range)),
            Code::InvalidDigest => failure.detail_if_new("Content-MD5", text(md5)),
            Code::EntityTooLarge => {
                let proposed = decoded_length.as_ref().map_or(length, |_| decoded_length);
                failure.detail_if_new("ProposedSize", text(proposed))
            }
            Code::MethodNotAllowed => not_allowed(failure, self.method.as_str(), &target),
            _ => failure,
        }
    }
}

/// RFC 9110, section 15.5.6: the answer lists the methods there are. `POST` is for sub-resources
/// only.
fn not_allowed(failure: Failure, method: &str, target: &Target) -> Failure {
    let (kind, methods) = match target {
        Target::Service => ("SERVICE", "GET"),
        Target::Bucket { .. } => ("BUCKET", "DELETE, GET, HEAD, PUT"),
        Target::Object { .. } => ("OBJECT", "DELETE, GET, HEAD, PUT"),
    };
    let failure = failure.detail_if_new("Method", method).detail_if_new("ResourceType", kind);
    match failure.headers().contains_key(header::ALLOW) {
        true => failure,
        false => failure.header(header::ALLOW, HeaderValue::from_static(methods)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        method: Method,
        target: &str,
        pairs: &[(&'static str, &'static str)],
        code: Code,
    ) -> String {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let asked = Asked::of(&method, &target.parse().unwrap(), &headers);
        let failure = asked.complete(Failure::new(code), &Domains::default());
        let place = crate::error::ErrorPlace { resource: "", request_id: "", host_id: "" };
        failure.document(&place)
    }

    #[test]
    fn failures_name_what_was_asked_for() {
        let key = told(Method::GET, "/b/a%20b", &[], Code::NoSuchKey);
        assert!(key.contains("<Key>a b</Key>"), "{key}");
        let upload = told(Method::PUT, "/b/k?uploadId=u", &[], Code::NoSuchUpload);
        assert!(upload.contains("<UploadId>u</UploadId>"), "{upload}");
        let range = told(Method::GET, "/b/k", &[("range", "bytes=9-")], Code::InvalidRange);
        assert!(range.contains("<RangeRequested>bytes=9-</RangeRequested>"), "{range}");
        let lengths = [("content-length", "9"), (DECODED_LENGTH, "7")];
        let large = told(Method::PUT, "/b/k", &lengths, Code::EntityTooLarge);
        assert!(large.contains("<ProposedSize>7</ProposedSize>"), "{large}");
        let large = told(Method::PUT, "/b/k", &lengths[..1], Code::EntityTooLarge);
        assert!(large.contains("<ProposedSize>9</ProposedSize>"), "{large}");
        let method = told(Method::PATCH, "/b", &[], Code::MethodNotAllowed);
        assert!(method.contains("<Method>PATCH</Method><ResourceType>BUCKET</ResourceType>"));
    }

    #[test]
    fn what_a_failure_says_itself_is_not_said_again() {
        let asked = Asked::of(&Method::PUT, &"/b/k".parse().unwrap(), &HeaderMap::new());
        let failure = Failure::new(Code::NoSuchKey).detail("Key", "source");
        let place = crate::error::ErrorPlace { resource: "", request_id: "", host_id: "" };
        let document = asked.complete(failure, &Domains::default()).document(&place);
        assert_eq!(document.matches("<Key>").count(), 1, "{document}");
    }
}
