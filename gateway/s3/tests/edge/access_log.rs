//! Access logs of buckets.

use std::{sync::Arc, time::Duration};

use gateway_s3::TlsConfig;
use http::Method;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;

use crate::harness::{Ask, BEN, BUCKET, Edge, encode, exchange};

const CERTIFICATE: &str = include_str!("localhost.crt");
const KEY: &str = include_str!("localhost.key");

/// Longest time until a line is delivered, with the harness's interval of 50 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// An edge whose bucket logs into `logs`.
async fn logging_edge(target: &str) -> Edge {
    let edge = Edge::start().await;
    edge.put("/logs").send().await.expect_status(200);
    let document = format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket>\
         <TargetPrefix>log/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
    );
    edge.put("?logging").body(document).send().await.expect_status(200);
    edge
}

/// The lines delivered to a bucket once there are `count` of them, each split into its fields.
async fn delivered(edge: &Edge, bucket: &str, count: usize) -> Vec<Vec<String>> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lines = lines_in(edge, bucket).await;
        if lines.len() >= count {
            return lines.iter().map(|line| fields(line)).collect();
        }
        assert!(tokio::time::Instant::now() < deadline, "{} of {count} lines", lines.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn lines_in(edge: &Edge, bucket: &str) -> Vec<String> {
    let listed = edge.get(&format!("/{bucket}?prefix=log/")).send().await.expect_status(200);
    let mut lines = Vec::new();
    for key in listed.elements("Key") {
        let object = edge.get(&format!("/{bucket}/{key}")).send().await.expect_status(200);
        lines.extend(object.text().lines().map(str::to_owned));
    }
    lines
}

/// Fields are told apart by spaces, unless they are in quotes or brackets.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, tail) = match rest.as_bytes()[0] {
            b'"' => rest[1..].split_once('"').unwrap(),
            b'[' => rest[1..].split_once(']').unwrap(),
            _ => {
                rest.split_once(' ').map_or((rest, ""), |(field, _)| (field, &rest[field.len()..]))
            }
        };
        fields.push(field.to_owned());
        rest = tail.strip_prefix(' ').unwrap_or(tail);
    }
    fields
}

/// The line of an operation.
fn line<'a>(lines: &'a [Vec<String>], operation: &str) -> &'a [String] {
    lines.iter().find(|line| line[6] == operation).unwrap_or_else(|| {
        panic!("no {operation} in {lines:?}");
    })
}

#[tokio::test]
async fn requests_make_lines_in_the_format_of_s3() {
    let edge = logging_edge("logs").await;
    edge.put("dir/a%20b").body("hello").send().await.expect_status(200);
    let get = edge.get("dir/a%20b?versionId=null").header("range", "bytes=0-1");
    let get = get.header("referer", "http://r/\"x\"").header("user-agent", "agent 1");
    let get = get.send().await.expect_status(206);
    edge.get("nosuch").send().await.expect_status(404);
    edge.get("?list-type=2").send().await.expect_status(200);
    let lines = delivered(&edge, "logs", 4).await;

    let read = line(&lines, "REST.GET.OBJECT");
    assert_eq!(read.len(), 26, "{read:?}");
    let ann = &lines[0][0];
    let expected = [
        (0, ann.as_str()),
        (1, BUCKET),
        (3, "127.0.0.1"),
        (4, ann),
        (5, get.header("x-amz-request-id")),
        (7, "dir/a%20b"),
        (8, "GET /bucket/dir/a%20b?versionId=null HTTP/1.1"),
        (9, "206"),
        (10, "-"),
        (11, "2"),
        (12, "5"),
        (15, "http://r/%22x%22"),
        (16, "agent 1"),
        (17, "null"),
        (18, get.header("x-amz-id-2")),
        (19, "SigV4"),
        (20, "-"),
        (21, "AuthHeader"),
        (22, &edge.address.to_string()),
        (23, "-"),
        (24, "-"),
        (25, "-"),
    ];
    for (index, value) in expected {
        assert_eq!(read[index], value, "{index}: {read:?}");
    }
    assert_eq!(ann.len(), 64, "a canonical id");
    // The harness's clock stands still on that day.
    assert_eq!(read[2], "15/Jun/2025:15:59:48 +0000");
    for time in [&read[13], &read[14]] {
        assert!(time.parse::<u64>().unwrap() < 30_000, "{read:?}");
    }

    let write = line(&lines, "REST.PUT.OBJECT");
    assert_eq!((write[9].as_str(), write[11].as_str(), write[12].as_str()), ("200", "-", "5"));
    let missing = lines.iter().find(|line| line[7] == "nosuch").unwrap();
    assert_eq!((missing[9].as_str(), missing[10].as_str()), ("404", "NoSuchKey"));
    assert_eq!(line(&lines, "REST.GET.BUCKET")[7], "-");
}

#[tokio::test]
async fn refused_requests_make_lines() {
    let edge = logging_edge("logs").await;
    edge.get("key").anonymous().send().await.expect_status(403);
    edge.get("key").signed_by(BEN).send().await.expect_status(403);
    edge.get("key").signed_by(("annkey", "wrong")).send().await.expect_status(403);
    let presigned = edge.get("key").presigned().send().await.expect_status(404);
    edge.request(Method::OPTIONS, "key").anonymous().send().await.expect_status(400);
    let lines = delivered(&edge, "logs", 5).await;
    let told = |index: usize| -> Vec<&str> {
        let mut told: Vec<&str> = lines.iter().map(|line| line[index].as_str()).collect();
        told.sort_unstable();
        told
    };
    let codes =
        ["AccessDenied", "AccessDenied", "BadRequest", "NoSuchKey", "SignatureDoesNotMatch"];
    assert_eq!(told(10), codes);
    assert_eq!(lines.iter().filter(|line| line[4] == "-").count(), 3, "who asks is unknown");
    let id = presigned.header("x-amz-request-id");
    let presigned = lines.iter().find(|line| line[5] == id).unwrap();
    assert_eq!(presigned[21], "QueryString");
    assert!(presigned[8].contains("X-Amz-Signature=REDACTED"), "{presigned:?}");
    assert_eq!(line(&lines, "REST.OPTIONS.PREFLIGHT")[9], "400");
}

#[tokio::test]
async fn each_object_of_a_deletion_of_many_makes_a_line() {
    let edge = logging_edge("logs").await;
    edge.store("one", "1").await;
    let document = "<Delete><Object><Key>one</Key></Object><Object><Key>a b</Key></Object>\
                    <Object><Key>x</Key><VersionId>wrong</VersionId></Object></Delete>";
    let delete = edge.post("?delete").header("content-md5", &md5(document)).body(document);
    let delete = delete.send().await.expect_status(200);
    let lines = delivered(&edge, "logs", 5).await;
    let of_request: Vec<&Vec<String>> =
        lines.iter().filter(|line| line[5] == delete.header("x-amz-request-id")).collect();
    assert_eq!(of_request.len(), 4, "{lines:?}");
    line(&lines, "REST.POST.MULTI_OBJECT_DELETE");
    let batch: Vec<[&str; 4]> = of_request
        .iter()
        .filter(|line| line[6] == "BATCH.DELETE.OBJECT")
        .inspect(|line| assert_eq!(line.len(), 26, "{line:?}"))
        .map(|line| [&*line[7], &*line[9], &*line[10], &*line[17]])
        .collect();
    assert_eq!(
        batch,
        [
            ["one", "204", "-", "-"],
            ["a%20b", "204", "-", "-"],
            ["x", "404", "NoSuchVersion", "wrong"],
        ]
    );
}

fn md5(text: &str) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(text.as_bytes()))
}

#[tokio::test]
async fn a_bucket_that_logs_into_itself_logs_requests_only() {
    let edge = logging_edge(BUCKET).await;
    edge.store("key", "x").await;
    // Deliveries happen several times meanwhile; were they logged, each would make the next one.
    delivered(&edge, BUCKET, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let lines = lines_in(&edge, BUCKET).await;
    let written: Vec<&String> = lines.iter().filter(|line| line.contains("REST.PUT.")).collect();
    assert_eq!(written.len(), 1, "{written:?}");
}

#[tokio::test]
async fn nothing_is_logged_any_more_once_it_is_disabled() {
    let edge = logging_edge("logs").await;
    edge.get("one").send().await.expect_status(404);
    edge.put("?logging").body("<BucketLoggingStatus/>").send().await.expect_status(200);
    edge.get("two").send().await.expect_status(404);
    let lines = delivered(&edge, "logs", 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(lines_in(&edge, "logs").await.len(), 2, "{lines:?}");
    // The request that ends it was one to a bucket with a log.
    line(&lines, "REST.PUT.LOGGING_STATUS");
}

#[tokio::test]
async fn keys_of_log_lines_are_one_field() {
    let edge = logging_edge("logs").await;
    let key = "a b\u{1}\"é";
    edge.get(&encode(key)).send().await.expect_status(404);
    let lines = delivered(&edge, "logs", 1).await;
    assert_eq!(line(&lines, "REST.GET.OBJECT")[7], encode(key));
}

/// Sends a request over TLS and answers what comes back as text.
async fn over_tls(edge: &Edge, ask: Ask) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await;
    let answer = exchange(stream.unwrap(), ask.into_request()).await;
    assert!(answer.status().is_success(), "{answer:?}");
    String::from_utf8(answer.body().to_vec()).unwrap()
}

#[tokio::test]
async fn lines_tell_how_a_connection_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let paths = (dir.path().join("crt.pem"), dir.path().join("key.pem"));
    std::fs::write(&paths.0, CERTIFICATE).unwrap();
    std::fs::write(&paths.1, KEY).unwrap();
    let edge = Edge::start_tls(TlsConfig::load(&paths.0, &paths.1).unwrap()).await;
    let document = format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{BUCKET}</TargetBucket>\
         <TargetPrefix>log/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
    );
    over_tls(&edge, edge.put("?logging").body(document)).await;
    over_tls(&edge, edge.put("key").body("x")).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let line = loop {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let listed = over_tls(&edge, edge.get("?prefix=log/&max-keys=1")).await;
        let Some((_, rest)) = listed.split_once("<Key>") else { continue };
        let key = rest.split('<').next().unwrap();
        let lines = over_tls(&edge, edge.get(key)).await;
        break fields(lines.lines().next().unwrap());
    };
    assert!(line[20].starts_with("TLS_"), "{line:?}");
    assert_eq!(line[23], "TLSv1.3");
}
