//! What every answer has, and what errors look like.

use std::{collections::HashSet, sync::atomic::Ordering};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{Edge, read_to_end};

#[tokio::test]
async fn every_answer_names_its_request() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let answers = [
        edge.get("k").send().await.expect_status(200),
        edge.head("k").send().await.expect_status(200),
        edge.head("missing").send().await.expect_status(404),
        edge.get("k").header("if-none-match", "*").send().await.expect_status(304),
        edge.get("k").header("range", "bytes=9-").send().await.expect_status(416),
        edge.get("k").anonymous().send().await.expect_status(403),
        edge.get("k").signed_by(("nosuchkey", "secret")).send().await.expect_status(403),
        edge.delete("k?nosuch").send().await.expect_status(501),
        edge.get("/bucket/%zz").anonymous().send().await.expect_status(400),
        edge.get(&"a".repeat(40_000)).anonymous().send().await.expect_status(414),
    ];
    let mut seen = HashSet::new();
    for answer in &answers {
        assert!(seen.insert(answer.header("x-amz-request-id").to_owned()), "{answer:?}");
        assert!(!answer.header("x-amz-id-2").is_empty(), "{answer:?}");
        assert_eq!(answer.header("server"), "DataMesh");
        assert_eq!(answer.header("date"), "Sun, 15 Jun 2025 15:59:48 GMT");
    }
}

#[tokio::test]
async fn errors_of_every_layer_have_the_same_form() {
    let edge = Edge::start().await;
    for (answer, status, code) in [
        (edge.get("a%20b").send().await, 404, "NoSuchKey"),
        (edge.get("a%20b").signed_by(("nosuchkey", "s")).send().await, 403, "InvalidAccessKeyId"),
        (edge.get("a%20b?acl=1&nosuch").send().await, 501, "NotImplemented"),
    ] {
        let answer = answer.expect_error(status, code);
        let ids = (answer.header("x-amz-request-id"), answer.header("x-amz-id-2"));
        assert_eq!((answer.element("RequestId").as_str(), answer.element("HostId").as_str()), ids);
        assert_eq!(answer.element("Resource"), "/bucket/a%20b");
        assert_eq!(answer.header("content-type"), "application/xml");
        assert!(!answer.element("Message").is_empty());
        assert!(answer.text().starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    }
}

#[tokio::test]
async fn head_errors_have_no_body() {
    let edge = Edge::start().await;
    for ask in [edge.head("missing"), edge.head("missing").anonymous()] {
        let mut stream = ask.header("connection", "close").begin(0).await;
        let text = read_to_end(&mut stream).await;
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[tokio::test]
async fn large_headers_are_refused_with_a_document() {
    let edge = Edge::start().await;
    let ask = edge.get("k").anonymous().header("x-large", &"a".repeat(33_000));
    ask.send().await.expect_error(400, "RequestHeaderSectionTooLarge");
    let metadata = edge.put("k").header("x-amz-meta-a", &"a".repeat(3000)).body("x").send().await;
    metadata.expect_error(400, "MetadataTooLarge");
}

#[tokio::test]
async fn keys_are_at_most_1024_bytes() {
    let edge = Edge::start().await;
    let longest = "k".repeat(1024);
    edge.put(&longest).body("x").send().await.expect_status(200);
    edge.get(&longest).send().await.expect_status(200);
    let longer = "k".repeat(1025);
    edge.put(&longer).body("x").send().await.expect_error(400, "KeyTooLongError");
    edge.get(&longer).send().await.expect_error(400, "KeyTooLongError");
    edge.delete(&longer).send().await.expect_error(400, "KeyTooLongError");
    edge.head(&longer).send().await.expect_status(400);
    edge.get("/nosuchbucket/").send().await.expect_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn many_header_lines_are_refused_with_a_document() {
    let edge = Edge::start().await;
    let many = |count| {
        (0..count).fold(edge.get("k").anonymous(), |ask, n| ask.header(&format!("x-{n}"), ""))
    };
    many(200).send().await.expect_error(403, "AccessDenied");
    many(1000).send().await.expect_error(400, "RequestHeaderSectionTooLarge");
}

#[tokio::test]
async fn what_is_no_http_is_answered_with_a_document() {
    let edge = Edge::start().await;
    let many = "x:y\r\n".repeat(10_000);
    for (start, code) in [
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "RequestHeaderSectionTooLarge"),
        ("GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n".to_owned(), "BadRequest"),
        ("PUT /b/k HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n".to_owned(), "BadRequest"),
    ] {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        // The answer may come before all of it is sent.
        let _ = stream.write_all(start.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("x-amz-request-id: "), "{answer}");
        assert!(answer.contains(&format!("<Code>{code}</Code>")), "{answer}");
    }
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

/// What the HTTP library refuses behind an answer it answers itself: its bytes cannot be told from
/// an object's there.
#[tokio::test]
async fn what_is_no_http_behind_a_request_is_answered_without_a_document() {
    let edge = Edge::start().await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\ngarbage\r\n\r\n").await.unwrap();
    let answers = read_to_end(&mut stream).await;
    assert!(answers.contains("<Code>AccessDenied</Code>"), "{answers}");
    assert!(answers.contains("HTTP/1.1 400 Bad Request"), "{answers}");
}

#[tokio::test]
async fn signature_errors_tell_what_was_compared() {
    let edge = Edge::start().await;
    let wrong = edge.get("k?a=b").signed_by((crate::harness::ANN.0, "wrong")).send().await;
    let wrong = wrong.expect_error(403, "SignatureDoesNotMatch");
    assert_eq!(wrong.element("AWSAccessKeyId"), crate::harness::ANN.0);
    let canonical = wrong.element("CanonicalRequest");
    assert!(canonical.starts_with("GET\n/bucket/k\na=b\nhost:"), "{canonical}");
    let to_sign = wrong.element("StringToSign");
    assert!(to_sign.starts_with("AWS4-HMAC-SHA256\n20"), "{to_sign}");
    assert!(wrong.element("StringToSignBytes").starts_with("41 57 53 34 2d 48 4d 41 43"));
    assert_eq!(wrong.element("SignatureProvided").len(), 64);
    let unknown = edge.get("k").signed_by(("nosuchkey", "s")).send().await;
    let unknown = unknown.expect_error(403, "InvalidAccessKeyId");
    assert_eq!(unknown.element("AWSAccessKeyId"), "nosuchkey");
}

#[tokio::test]
async fn preflights_find_no_rules() {
    let edge = Edge::start().await;
    let ask = || edge.request(http::Method::OPTIONS, "k").anonymous();
    let asked = ask().header("origin", "http://x").header("access-control-request-method", "PUT");
    asked.send().await.expect_error(403, "AccessForbidden");
    ask().send().await.expect_error(400, "BadRequest");
}

#[tokio::test]
async fn what_cannot_be_read_for_now_is_unavailable() {
    let edge = Edge::start().await;
    edge.put("k").body(vec![7; 300_000]).send().await.expect_status(200);
    edge.unreadable.store(true, Ordering::Relaxed);
    let answer = edge.get("k").send().await.expect_error(503, "ServiceUnavailable");
    assert_eq!(answer.header("retry-after"), "1");
    edge.unreadable.store(false, Ordering::Relaxed);
    edge.get("k").send().await.expect_status(200);
}

#[tokio::test]
async fn service_that_is_gone_is_unavailable() {
    let edge = Edge::start().await;
    edge.service.shutdown().await;
    let answer = edge.get("k").send().await.expect_error(503, "ServiceUnavailable");
    assert_eq!(answer.header("retry-after"), "1");
}
