use http::Request;

use super::*;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn signatures_do_not_get_into_logs() {
    let uri = "/b/k?versionId=null&X-Amz-Signature=secret&x-amz-security-token=secret&a";
    let line = request_line(&parts("GET", uri, &[]));
    assert_eq!(
        line,
        "GET /b/k?versionId=null&X-Amz-Signature=REDACTED&x-amz-security-token=REDACTED&a HTTP/1.1"
    );
    let line = request_line(&parts("GET", "/b/k?AWSAccessKeyId=id&Signature=secret", &[]));
    assert_eq!(line, "GET /b/k?AWSAccessKeyId=id&Signature=REDACTED HTTP/1.1");
    assert_eq!(request_line(&parts("GET", "/b/a%20b", &[])), "GET /b/a%20b HTTP/1.1");
}

#[test]
fn secrets_do_not_get_into_logs_by_another_spelling() {
    const KEY: &str = "x-amz-server-side-encryption-customer-key";
    for name in [
        "X-Amz-Signatur%65",
        "%73ignature",
        "x-amz-SIGNATURE",
        "X-Amz-S3session-Token",
        KEY,
        "X-Amz-Server-Side-Encryption-Customer-Ke%79",
        "x-amz-copy-source-server-side-encryption-customer-key-MD5",
        "X-Amz-Signature%f",
    ] {
        let line = request_line(&parts("GET", &format!("/b/k?a=1&{name}=secret&b"), &[]));
        assert_eq!(line, format!("GET /b/k?a=1&{name}=REDACTED&b HTTP/1.1"));
    }
    // A page tells where it was read.
    let page = format!("https://host/b/page?{KEY}=secret&X-Amz-Signature=secret");
    let told = format!("https://host/b/page?{KEY}=REDACTED&X-Amz-Signature=REDACTED");
    assert_eq!(without_secrets(&page), told);
    assert_eq!(without_secrets("https://host/b/page"), "https://host/b/page");
}

#[test]
fn credentials_are_told_by_kind() {
    let told = |uri, headers: &[(&str, &str)]| {
        let parts = parts("GET", uri, headers);
        let query = Query::parse(parts.uri.query()).unwrap();
        credentials(&parts, Some(&query))
    };
    let in_header = Some("AuthHeader");
    let header = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    assert_eq!(told("/b", &header), (Some("SigV4"), in_header));
    assert_eq!(told("/b", &[("authorization", "AWS id:x")]), (Some("SigV2"), in_header));
    let in_query = Some("QueryString");
    assert_eq!(told("/b?X-Amz-Signature=x", &[]), (Some("SigV4"), in_query));
    assert_eq!(told("/b?AWSAccessKeyId=i&Signature=x", &[]), (Some("SigV2"), in_query));
    assert_eq!(told("/b", &[]), (None, None));
}

#[test]
fn quoted_fields_stay_within_their_quotes() {
    for (value, expected) in [
        ("", " \"-\""),
        ("a b", " \"a b\""),
        ("a\" 200 \"b", " \"a%22 200 %22b\""),
        ("tab\té", " \"tab%09%C3%A9\""),
    ] {
        let mut line = String::new();
        quoted(&mut line, value);
        assert_eq!(line, expected);
    }
    assert_eq!(visible("a b\tc\u{e9}"), "abc");
}

#[test]
fn sizes_of_objects_are_those_of_the_whole() {
    let sized =
        |status, headers: &[(&str, &str)]| object_len(status, &parts("GET", "/", headers).headers);
    assert_eq!(sized(200, &[("content-length", "7")]), Some(7));
    let range = [("content-length", "2"), ("content-range", "bytes 0-1/9")];
    assert_eq!(sized(206, &range), Some(9));
    assert_eq!(sized(416, &[("content-range", "bytes */9")]), Some(9));
    assert_eq!(sized(404, &[("content-length", "300")]), None);
    let chunked = [("content-length", "90"), ("x-amz-decoded-content-length", "5")];
    assert_eq!(declared_len(&parts("PUT", "/", &chunked).headers).as_deref(), Some("5"));
}
