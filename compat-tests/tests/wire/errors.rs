//! The form of errors, and the ids on every answer.

use std::collections::HashSet;

use compat_tests::server::Credentials;

use crate::Fixture;

#[test]
fn an_error_says_code_message_resource_and_ids() {
    let s3 = Fixture::new();
    let wrong = s3.wire.signed_by(&Credentials::new("NOSUCHACCESSKEY00000", "secret"));
    for (answer, status, code, resource) in [
        (s3.wire.get(&s3.at("/no%20key")).send(), 404, "NoSuchKey", s3.at("/no%20key")),
        (
            s3.wire.get("/no-such-bucket-here/k").send(),
            404,
            "NoSuchBucket",
            "/no-such-bucket-here/k".to_owned(),
        ),
        (wrong.get(&s3.at("/k")).send(), 403, "InvalidAccessKeyId", s3.at("/k")),
        (s3.wire.get(&s3.at("/k")).anonymous().send(), 403, "AccessDenied", s3.at("/k")),
        (s3.wire.delete(&s3.at("?accelerate")).send(), 501, "NotImplemented", s3.at("")),
    ] {
        answer.expect_error(status, code);
        assert!(answer.element("Message").is_some_and(|text| !text.is_empty()), "{answer:?}");
        let named = answer.element("Resource").unwrap_or_default();
        // AWS decodes the path in some errors and not in others.
        let decoded = resource.replace("%20", " ");
        assert!([&resource, &decoded].contains(&&named), "{named}, wanted {resource}");
        let request_id = answer.header("x-amz-request-id").map(str::to_owned);
        assert!(request_id.as_ref().is_some_and(|id| !id.is_empty()), "{answer:?}");
        assert_eq!(answer.element("RequestId"), request_id);
        assert_eq!(answer.element("HostId"), answer.header("x-amz-id-2").map(str::to_owned));
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        assert!(answer.body.starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    }
}

#[test]
fn every_answer_has_its_own_request_id() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let answers = [
        s3.wire.get("/").send(),
        s3.wire.head(&s3.at("")).send(),
        s3.wire.get(&s3.at("")).send(),
        s3.wire.put(&s3.at("/k")).body("data").send(),
        s3.wire.get(&s3.at("/k")).send(),
        s3.wire.get(&s3.at("/k")).header("range", "bytes=0-1").send(),
        s3.wire.head(&s3.at("/k")).send(),
        s3.wire.head(&s3.at("/missing")).send(),
        s3.wire.get(&s3.at("/k")).header("if-none-match", "*").send(),
        s3.wire.post(&s3.at("/k?uploads")).send(),
        s3.wire.delete(&s3.at("/k")).send(),
        s3.wire.get(&s3.at("/k")).anonymous().send(),
        s3.wire.delete(&s3.at("?nosuch")).send(),
        s3.wire.request("OPTIONS", &s3.at("/k")).anonymous().send(),
        s3.wire.request("PATCH", &s3.at("/k")).send(),
    ];
    let mut seen = HashSet::new();
    for answer in &answers {
        let id = answer.header("x-amz-request-id").unwrap_or_default();
        assert!(!id.is_empty(), "{answer:?}");
        assert!(answer.header("x-amz-id-2").is_some_and(|id| !id.is_empty()), "{answer:?}");
        assert!(seen.insert(id.to_owned()), "{id} came twice");
    }
}

#[test]
fn head_errors_have_no_body() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    for (request, status) in [
        (s3.wire.head(&s3.at("/missing")), 404),
        (s3.wire.head("/no-such-bucket-here"), 404),
        (s3.wire.head(&s3.at("/k")).anonymous(), 403),
        (s3.wire.head(&s3.at("/k")).header("if-match", "\"0\""), 412),
    ] {
        let raw = request.send_raw();
        let text = String::from_utf8_lossy(&raw);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[test]
fn keys_that_are_no_keys_are_refused() {
    let s3 = Fixture::new();
    let long = format!("/{}", "a".repeat(1025));
    s3.wire.put(&s3.at(&long)).body("x").send().expect_error(400, "KeyTooLongError");
    for key in ["/%FF", "/%C3%28"] {
        let answer = s3.wire.put(&s3.at(key)).body("x").send();
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
    }
    let listed = s3.wire.get(&s3.at("")).send().status_is(200);
    assert!(listed.elements("Key").is_empty());
}

#[test]
fn unknown_methods_are_not_allowed() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    for method in ["PATCH", "TRACE", "LOCK"] {
        let answer = s3.wire.request(method, &s3.at("/k")).send();
        assert!([405, 501].contains(&answer.status), "{method}: {answer:?}");
    }
    s3.expect_body("k", "data");
}
