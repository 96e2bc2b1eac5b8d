//! Signature version 4 in headers and in the query, and what is refused.

use std::time::Duration;

use compat_tests::server::Credentials;

use crate::Fixture;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_bad_signature_is_refused() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let wrong = Credentials::new(&s3.server.root().access_key, "not the secret");
    let wire = s3.wire.signed_by(&wrong);
    wire.get(&s3.at("/k")).send().expect_error(403, "SignatureDoesNotMatch");
    wire.put(&s3.at("/k")).body("other").send().expect_error(403, "SignatureDoesNotMatch");
    wire.delete(&s3.at("/k")).send().expect_error(403, "SignatureDoesNotMatch");
    let presigned = wire.get(&s3.at("/k")).presigned(HOUR).send();
    presigned.expect_error(403, "SignatureDoesNotMatch");
    s3.expect_body("k", "data");
}

#[test]
fn an_unknown_access_key_is_refused() {
    let s3 = Fixture::new();
    let wire = s3.wire.signed_by(&Credentials::new("NOSUCHACCESSKEY00000", "secret"));
    wire.get(&s3.at("/k")).send().expect_error(403, "InvalidAccessKeyId");
    wire.get(&s3.at("/k")).presigned(HOUR).send().expect_error(403, "InvalidAccessKeyId");
}

#[test]
fn an_anonymous_request_is_refused() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    for (method, target) in [
        ("GET", s3.at("/k")),
        ("PUT", s3.at("/k")),
        ("DELETE", s3.at("/k")),
        ("GET", s3.at("")),
        ("GET", s3.at("/missing")),
        ("DELETE", s3.at("")),
        ("POST", s3.at("/k?uploads")),
        ("GET", s3.at("/k?tagging")),
        ("PUT", format!("/{}-new", s3.bucket)),
        ("GET", "/".to_owned()),
    ] {
        let answer = s3.wire.request(method, &target).anonymous().send();
        answer.expect_error(403, "AccessDenied");
    }
    s3.wire.head(&s3.at("/k")).anonymous().send().expect_status(403);
    s3.expect_body("k", "data");
}

#[test]
fn a_skewed_clock_is_refused() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    for minutes in [-16, 16, -600] {
        let answer = s3.wire.get(&s3.at("/k")).clock_offset(minutes * 60).send();
        answer.expect_error(403, "RequestTimeTooSkewed");
    }
    for minutes in [-14, 14] {
        s3.wire.get(&s3.at("/k")).clock_offset(minutes * 60).send().expect_status(200);
    }
}

#[test]
fn an_expired_presigned_request_is_refused() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let presigned = |seconds, offset| {
        let request = s3.wire.get(&s3.at("/k")).presigned(Duration::from_secs(seconds));
        request.clock_offset(offset).send()
    };
    assert_eq!(presigned(60, 0).status_is(200).body, "data");
    // Signed an hour ago for two hours: the 15 minutes of other requests do not apply.
    presigned(7200, -3600).expect_status(200);
    let expired = presigned(60, -120);
    expired.expect_error(403, "AccessDenied");
    assert!(expired.element("Message").is_some_and(|text| text.contains("expired")));
    presigned(7 * 86_400 + 1, 0).expect_error(400, "AuthorizationQueryParametersError");
    let early = presigned(60, 3600);
    assert_eq!(early.status, 403, "{early:?}");
}

#[test]
fn presigned_requests_write_and_delete() {
    let s3 = Fixture::new();
    let put = s3.wire.put(&s3.at("/k")).presigned(HOUR).body("data");
    put.send().expect_status(200);
    s3.expect_body("k", "data");
    let upload = s3.wire.post(&s3.at("/m?uploads")).presigned(HOUR).send().status_is(200);
    assert!(upload.element("UploadId").is_some());
    s3.wire.delete(&s3.at("/k")).presigned(HOUR).send().expect_status(204);
    s3.expect_absent("k");
}

#[test]
fn a_presigned_request_covers_its_query() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let target = s3.wire.get(&s3.at("/k")).presigned(HOUR).into_target();
    let changed = format!("{target}&response-content-type=text%2Fhtml");
    let answer = s3.wire.get(&changed).anonymous().send();
    answer.expect_error(403, "SignatureDoesNotMatch");
    let renamed = target.replace("/k?", "/other?");
    let answer = s3.wire.get(&renamed).anonymous().send();
    answer.expect_error(403, "SignatureDoesNotMatch");
}

/// The JavaScript SDK signs the checksum of an empty body into every URL it presigns; S3 does not
/// take checksums from the query.
#[test]
fn a_checksum_in_a_presigned_query_is_ignored() {
    let s3 = Fixture::new();
    let target = s3.at("/k?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32");
    s3.wire.put(&target).presigned(HOUR).body("data").send().expect_status(200);
    s3.expect_body("k", "data");
}

#[test]
fn the_payload_must_match_its_signed_hash() {
    let s3 = Fixture::new();
    let hash = compat_tests::encoding::sha256_hex(b"other");
    let put = s3.wire.put(&s3.at("/k")).body("data").payload_hash(&hash);
    put.send().expect_error(400, "XAmzContentSHA256Mismatch");
    s3.expect_absent("k");
    let put = s3.wire.put(&s3.at("/k")).body("data").payload_hash("UNSIGNED-PAYLOAD");
    put.send().expect_status(200);
    s3.expect_body("k", "data");
}

#[test]
fn amz_headers_must_be_signed() {
    let s3 = Fixture::new();
    let put = s3.wire.put(&s3.at("/k")).body("data");
    put.unsigned_header("x-amz-meta-a", "1").send().expect_error(403, "AccessDenied");
    s3.expect_absent("k");
    let put = s3.wire.put(&s3.at("/k")).body("data").presigned(HOUR);
    put.unsigned_header("x-amz-meta-a", "1").send().expect_error(403, "AccessDenied");
    s3.expect_absent("k");
}

#[test]
fn malformed_authorization_is_a_bad_request() {
    let s3 = Fixture::new();
    for value in [
        "",
        "garbage",
        "Bearer token",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/20300101/us-east-1/s3/aws4_request",
    ] {
        let request = s3.wire.get(&s3.at("/k")).anonymous();
        let answer = request.header("authorization", value).send();
        assert!([400, 403].contains(&answer.status), "{value:?}: {answer:?}");
        assert!(answer.element("Code").is_some(), "{value:?}: {answer:?}");
    }
    let query = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0";
    let answer = s3.wire.get(&s3.at(&format!("/k{query}"))).anonymous().send();
    answer.expect_error(400, "AuthorizationQueryParametersError");
}

#[test]
fn a_refused_request_does_not_wait_for_its_body() {
    let s3 = Fixture::new();
    let wrong = Credentials::new(&s3.server.root().access_key, "not the secret");
    let put = s3.wire.signed_by(&wrong).put(&s3.at("/k")).body(vec![0; 100_000]);
    let line = put.send_expecting_continue();
    assert!(line.starts_with("HTTP/1.1 403"), "{line}");
    let put = s3.wire.put(&s3.at("/k")).body(vec![0; 100_000]);
    let line = put.send_expecting_continue();
    assert_eq!(line, "HTTP/1.1 100 Continue");
}
