//! What old and odd clients send, and how bytes on a connection are taken.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use gateway_s3::S3EdgeConfig;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    forms::Form,
    harness::{ANN, Answer, Ask, Edge, encode, read_to_end},
};

/// The tests' clock, as a date and in seconds.
const NOW: &str = "Sun, 15 Jun 2025 15:59:48 +0000";
pub(crate) const NOW_SECONDS: u64 = 1_750_003_188;

pub(crate) async fn old_edge() -> Edge {
    let config = S3EdgeConfig {
        allow_signature_v2: true,
        domains: vec!["s3.test".to_owned()],
        ..S3EdgeConfig::default()
    };
    Edge::start_with(config, None).await
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, ANN.1.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// A request that is signed in its header. `resource` is what the signature covers of the target.
pub(crate) fn old(ask: Ask, method: &str, headers: &[(&str, &str)], resource: &str) -> Ask {
    let amz: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let signature = sign(&format!("{method}\n\n\n{NOW}\n{amz}{resource}"));
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    let authorization = format!("AWS {}:{signature}", ANN.0);
    ask.anonymous().header("date", NOW).header("authorization", &authorization)
}

/// A signed URL.
pub(crate) fn old_url(method: &str, resource: &str, expires: u64) -> String {
    let signature = encode(&sign(&format!("{method}\n\n\n{expires}\n{resource}")));
    let separator = if resource.contains('?') { '&' } else { '?' };
    let key = ANN.0;
    format!("{resource}{separator}AWSAccessKeyId={key}&Expires={expires}&Signature={signature}")
}

#[tokio::test]
async fn version_2_is_refused_unless_it_is_allowed() {
    let edge = Edge::start().await;
    let header = old(edge.get("k"), "GET", &[], "/bucket/k").send().await;
    let header = header.expect_error(400, "InvalidRequest");
    assert!(header.element("Message").contains("Please use AWS4-HMAC-SHA256."));
    let url = old_url("GET", "/bucket/k", NOW_SECONDS + 60);
    let query = edge.get(&url).anonymous().send().await;
    query.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn version_2_in_the_header_reads_and_writes() {
    let edge = old_edge().await;
    let meta = [("x-amz-acl", "private"), ("x-amz-meta-by", "ann")];
    let put = old(edge.put("k").body("data"), "PUT", &meta, "/bucket/k").send().await;
    put.expect_status(200);
    let got = old(edge.get("k"), "GET", &[], "/bucket/k").send().await.expect_status(200);
    assert_eq!((got.text(), got.header("x-amz-meta-by")), ("data", "ann"));
    let host = old(edge.get("/k").host("bucket.s3.test"), "GET", &[], "/bucket/k").send().await;
    assert_eq!(host.expect_status(200).text(), "data");
    let tags = old(edge.get("k?tagging"), "GET", &[], "/bucket/k?tagging").send().await;
    tags.expect_status(200);
    let listed = old(edge.get("?prefix=k&max-keys=1"), "GET", &[], "/bucket").send().await;
    assert_eq!(listed.expect_status(200).elements("Key"), ["k"]);
    let forged = old(edge.get("k"), "PUT", &[], "/bucket/k").send().await;
    let forged = forged.expect_error(403, "SignatureDoesNotMatch");
    assert_eq!(forged.element("AWSAccessKeyId"), ANN.0);
    assert_eq!(forged.element("StringToSign"), format!("GET\n\n\n{NOW}\n/bucket/k"));
    let nobody = edge.get("k").anonymous().header("date", NOW);
    let nobody = nobody.header("authorization", "AWS nobody:c2ln").send().await;
    nobody.expect_error(403, "InvalidAccessKeyId");
    let late = edge.get("k").anonymous().header("date", "Sun, 15 Jun 2025 15:40:00 GMT");
    let late = late.header("authorization", "AWS annkey:c2ln").send().await;
    late.expect_error(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn version_2_urls_do_what_they_were_signed_for_until_they_expire() {
    let edge = old_edge().await;
    edge.store("k", "data").await;
    let far = NOW_SECONDS + 60;
    let send = |method: Method, url: String, body: &'static str| {
        edge.request(method, &url).anonymous().body(body).send()
    };
    let got = send(Method::GET, old_url("GET", "/bucket/k", far), "").await;
    assert_eq!(got.expect_status(200).text(), "data");
    send(Method::PUT, old_url("PUT", "/bucket/new", far), "new").await.expect_status(200);
    let expired = send(Method::GET, old_url("GET", "/bucket/k", NOW_SECONDS - 1), "").await;
    expired.expect_error(403, "AccessDenied");
    let other = send(Method::DELETE, old_url("GET", "/bucket/k", far), "").await;
    other.expect_error(403, "SignatureDoesNotMatch");
    // What is covered cannot be added, and what is not covered is refused.
    let put = old_url("PUT", "/bucket/k", far);
    let tagged = send(Method::PUT, format!("{put}&tagging"), "<Tagging/>").await;
    tagged.expect_error(403, "SignatureDoesNotMatch");
    for more in ["&legal-hold", "&retention", "&tagging&tagging"] {
        let turned = send(Method::PUT, format!("{put}{more}"), "x").await;
        assert_eq!(turned.status.as_u16(), 400, "{more}: {}", turned.text());
    }
    let override_url = old_url("GET", "/bucket/k?response-content-type=text/x", far);
    let told = send(Method::GET, override_url, "").await.expect_status(200);
    assert_eq!(told.header("content-type"), "text/x");
    edge.head("k").send().await.expect_status(200);
}

/// A request without a signature of the harness's, over HTTP/2 to an authority.
async fn over_http_2(edge: &Edge, authority: &str, target: &str) -> (u16, Bytes) {
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let request = Request::get(format!("http://{authority}{target}"));
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let answer = async {
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn version_2_covers_the_bucket_that_http_2_names() {
    let edge = old_edge().await;
    edge.store("k", "data").await;
    let far = NOW_SECONDS + 60;
    let by_path = old_url("GET", "/bucket/k", far);
    let by_host = by_path.strip_prefix("/bucket").unwrap();
    let data = (200, Bytes::from("data"));
    assert_eq!(over_http_2(&edge, "s3.test", &by_path).await, data);
    assert_eq!(over_http_2(&edge, "bucket.s3.test", by_host).await, data);
    // Signed for the bucket `k`, or whatever a host makes of it.
    let other = old_url("GET", "/k", far);
    let (status, document) = over_http_2(&edge, "bucket.s3.test", &other).await;
    assert_eq!(status, 403, "{document:?}");
}

#[tokio::test]
async fn the_bucket_of_an_old_request_is_not_taken_from_its_target() {
    let edge = old_edge().await;
    let rule = "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>";
    let rules = format!("<CORSConfiguration>{rule}</CORSRule></CORSConfiguration>");
    edge.put("?cors").body(rules).send().await.expect_status(200);
    let ask = async |host: &str| {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let line = "GET http://bucket.s3.test/k HTTP/1.0";
        let text = format!("{line}\r\n{host}origin: http://page.test\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    };
    let named = ask("host: bucket.s3.test\r\n").await;
    assert!(named.contains("access-control-allow-origin"), "{named}");
    // Performed on the bucket `k`, which is not there: so also judged by its rules.
    let unnamed = ask("").await;
    assert!(unnamed.contains("NoSuchBucket"), "{unnamed}");
    assert!(!unnamed.contains("access-control-allow-origin"), "{unnamed}");
}

#[tokio::test]
async fn version_2_signs_forms() {
    let edge = old_edge().await;
    let post = |secret: &str| {
        let policy = "{\"expiration\":\"2099-01-01T00:00:00.000Z\",\"conditions\":[\
                      {\"bucket\":\"bucket\"},[\"starts-with\",\"$key\",\"\"]]}";
        let policy = STANDARD.encode(policy);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, policy.as_bytes()));
        let form = Form::new("form").open_field("AWSAccessKeyId", ANN.0);
        form.open_field("policy", &policy).open_field("signature", &signature)
    };
    post(ANN.1).send(&edge).await.expect_status(204);
    assert_eq!(edge.get("form").send().await.text(), "data");
    post("another").send(&edge).await.expect_error(403, "SignatureDoesNotMatch");
    let closed = Edge::start().await;
    post(ANN.1).send(&closed).await.expect_error(403, "AccessDenied");
    closed.head("form").send().await.expect_status(404);
}

#[tokio::test]
async fn the_region_is_told_also_where_there_is_no_body() {
    let edge = Edge::start().await;
    let head = edge.head("").signed_for("eu-west-1", "s3").send().await.expect_status(400);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    assert!(head.body.is_empty());
    let get = edge.get("").signed_for("eu-west-1", "s3").send().await;
    let get = get.expect_error(400, "AuthorizationHeaderMalformed");
    assert_eq!(get.element("Region"), "us-east-1");
}

#[tokio::test]
async fn directory_buckets_are_refused() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    edge.put("/b--use1-az4--x-s3").send().await.expect_error(400, "InvalidBucketName");
    edge.get("/b--use1-az4--x-s3").send().await.expect_error(404, "NoSuchBucket");
    let session = edge.get("?session").header("x-amz-create-session-mode", "ReadWrite");
    session.send().await.expect_error(501, "NotImplemented");
    for target in ["/?x-id=ListDirectoryBuckets", "/?max-directory-buckets=5"] {
        edge.get(target).send().await.expect_error(501, "NotImplemented");
    }
    let append = edge.put("k").header("x-amz-write-offset-bytes", "4").body("more");
    append.send().await.expect_error(501, "NotImplemented");
    let token = edge.get("k").header("x-amz-s3session-token", "t").send().await;
    token.expect_error(400, "InvalidToken");
    assert_eq!(edge.get("k").send().await.text(), "data");
}

#[tokio::test]
async fn dates_and_classes_are_told_as_clients_sent_them() {
    let edge = Edge::start().await;
    for expires in ["Thu, 01 Dec 1994 16:00:00 GMT", "0", "-1", "never", "2030-01-01T00:00:00Z"] {
        edge.put("k").header("expires", expires).body("data").send().await.expect_status(200);
        assert_eq!(edge.head("k").send().await.header("expires"), expires);
    }
    for class in
        ["REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]
    {
        let put = edge.put("k").header("x-amz-storage-class", class).body("data");
        put.send().await.expect_status(200);
        let got = edge.get("k").send().await.expect_status(200);
        assert_eq!((got.header("x-amz-storage-class"), got.text()), (class, "data"));
        assert_eq!(edge.get("").send().await.element("StorageClass"), class);
    }
    for class in ["GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "standard"] {
        let put = edge.put("k").header("x-amz-storage-class", class).body("data");
        put.send().await.expect_error(400, "InvalidStorageClass");
    }
}

#[tokio::test]
async fn slashes_at_the_end_belong_to_keys_and_not_to_buckets() {
    let edge = Edge::start().await;
    edge.put("/slashed/").send().await.expect_status(200);
    edge.head("/slashed/").send().await.expect_status(200);
    edge.head("/slashed").send().await.expect_status(200);
    let folder = edge.put("/slashed/dir/").header("content-length", "0");
    folder.send().await.expect_status(200);
    edge.put("/slashed/dir").body("file").send().await.expect_status(200);
    assert_eq!(edge.get("/slashed/dir/").send().await.expect_status(200).text(), "");
    assert_eq!(edge.get("/slashed/dir").send().await.expect_status(200).text(), "file");
    edge.get("/slashed//dir").send().await.expect_error(404, "NoSuchKey");
    assert_eq!(edge.get("/slashed/").send().await.elements("Key"), ["dir", "dir/"]);
    edge.delete("/slashed/dir/").send().await.expect_status(204);
    edge.delete("/slashed/dir").send().await.expect_status(204);
    edge.delete("/slashed/").send().await.expect_status(204);
}

#[tokio::test]
async fn completion_compares_the_size_and_parts_are_read_by_number() {
    let edge = Edge::start().await;
    let upload = edge.post("k?uploads").send().await.element("UploadId");
    let mut parts = String::new();
    for (number, body) in [(1, "0123456789abcdef"), (3, "tail")] {
        let target = format!("k?partNumber={number}&uploadId={upload}");
        let etag = edge.put(&target).body(body).send().await.header("etag").to_owned();
        parts += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let complete = |size: &str| {
        let ask = edge.post(&format!("k?uploadId={upload}")).body(body.clone());
        ask.header("x-amz-mp-object-size", size).send()
    };
    complete("19").await.expect_error(400, "InvalidRequest");
    complete("many").await.expect_error(400, "InvalidArgument");
    complete("20").await.expect_status(200);
    let told = |answer: Answer| {
        let answer = answer.expect_status(206);
        ["x-amz-mp-parts-count", "content-range", "content-length"]
            .map(|name| answer.header(name).to_owned())
    };
    let second = ["2", "bytes 16-19/20", "4"].map(str::to_owned);
    // Parts keep the numbers that they were uploaded under.
    assert_eq!(told(edge.get("k?partNumber=3").send().await), second);
    assert_eq!(told(edge.head("k?partNumber=3").send().await), second);
    edge.get("k?partNumber=2").send().await.expect_error(416, "InvalidPartNumber");
    let whole = edge.get("k").send().await.expect_status(200);
    assert_eq!((whole.text(), whole.header("x-amz-mp-parts-count")), ("0123456789abcdeftail", ""));
}

/// The text of a request, as it goes over a connection.
async fn text_of(edge: &Edge, ask: Ask) -> String {
    let target = ask.presigned().into_target();
    format!("{target} HTTP/1.1\r\nhost: {}\r\n", edge.address)
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let edge = Edge::start().await;
    edge.store("one", "first").await;
    edge.store("two", "second").await;
    let mut text = String::new();
    text += &format!("GET {}\r\n", text_of(&edge, edge.get("one")).await);
    text += &format!("HEAD {}\r\n", text_of(&edge, edge.head("none")).await);
    text +=
        &format!("PUT {}content-length: 5\r\n\r\nthird", text_of(&edge, edge.put("three")).await);
    text += &format!("GET {}\r\n", text_of(&edge, edge.get("three")).await);
    text += &format!("GET {}connection: close\r\n\r\n", text_of(&edge, edge.get("two")).await);
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200", "200", "200"], "{answers}");
    let bodies: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1)
        .collect();
    assert_eq!(bodies, ["first", "", "", "third", "second"]);
}

#[tokio::test]
async fn a_client_that_has_sent_everything_may_close_its_side() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let text = format!("GET {}\r\n", text_of(&edge, edge.get("k")).await);
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\ndata"), "{answer}");

    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let put = text_of(&edge, edge.put("new")).await;
    let text = format!("PUT {put}content-length: 3\r\n\r\nnew");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(edge.get("new").send().await.text(), "new");
}

#[tokio::test]
async fn a_client_may_wait_with_its_body_or_not() {
    let edge = Edge::start().await;
    let put = text_of(&edge, edge.put("k")).await;
    let head = format!("PUT {put}expect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    // Some never wait, and send the body along.
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(format!("{head}data").as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("HTTP/1.1 200") {
        let mut bytes = [0; 512];
        let len = stream.read(&mut bytes).await.unwrap();
        assert!(len > 0, "{answer}");
        answer += std::str::from_utf8(&bytes[..len]).unwrap();
    }
    assert_eq!(edge.get("k").send().await.text(), "data");
    // Other expectations are ignored, as HTTP allows.
    let text = format!("GET {}expect: wonders\r\n", text_of(&edge, edge.get("k")).await);
    let text = text + "connection: close\r\n\r\n";
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn answers_to_head_have_no_body_whatever_they_say() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let mut text = String::new();
    for key in ["k", "none", "k?versionId=x", "k?nosuch"] {
        text += &format!("HEAD {}\r\n", text_of(&edge, edge.head(key)).await);
    }
    text +=
        &format!("HEAD /bucket/k HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", edge.address);
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    let parts: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).collect();
    let statuses: Vec<&str> = parts.iter().map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "400", "501", "403"], "{answers}");
    for answer in parts {
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
    }
}
