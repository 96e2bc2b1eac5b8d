//! Reading: ranges, conditions, headers.

use http::Method;

use crate::harness::Edge;

const ETAG: &str = "\"781e5e245d69b566979b86e28d23f2c7\"";

#[tokio::test]
async fn ranges_follow_http() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    for (range, shown, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("bytes=8-99999999999999999999999", "bytes 8-9/10", "89"),
    ] {
        let answer = edge.get("k").header("range", range).send().await.expect_status(206);
        assert_eq!((answer.header("content-range"), answer.text()), (shown, body), "{range}");
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
}

#[tokio::test]
async fn range_that_does_not_parse_is_ignored() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    for range in ["bytes=x-y", "bytes=4-2", "lines=0-1", "bytes=0-1,3-4", "nonsense"] {
        let answer = edge.get("k").header("range", range).send().await.expect_status(200);
        assert_eq!(answer.text(), "0123456789", "{range}");
        edge.head("k").header("range", range).send().await.expect_status(200);
    }
}

#[tokio::test]
async fn unsatisfiable_range_says_how_long_the_object_is() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    for range in ["bytes=10-", "bytes=-0"] {
        let answer = edge.get("k").header("range", range).send().await;
        let answer = answer.expect_error(416, "InvalidRange");
        assert_eq!(answer.header("content-range"), "bytes */10");
        assert_eq!(answer.element("ActualObjectSize"), "10");
    }
}

#[tokio::test]
async fn head_tells_what_get_tells() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    let get = edge.get("k").send().await.expect_status(200);
    let head = edge.head("k").send().await.expect_status(200);
    for name in ["content-length", "content-type", "etag", "last-modified", "accept-ranges"] {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), "10");
    assert_eq!(head.header("etag"), ETAG);
    assert_eq!(head.header("content-type"), "binary/octet-stream");
    assert_eq!(head.header("last-modified"), "Sun, 15 Jun 2025 15:59:48 GMT");
    assert_eq!(head.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(head.header("x-amz-storage-class"), "");
    assert!(head.body.is_empty());
    let ranged = edge.head("k").header("range", "bytes=1-2").send().await.expect_status(206);
    assert_eq!(ranged.header("content-length"), "2");
}

#[tokio::test]
async fn conditions_on_reads_follow_http() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    let before = "Sat, 14 Jun 2025 00:00:00 GMT";
    let after = "Mon, 16 Jun 2025 00:00:00 GMT";
    for (name, value, status) in [
        ("if-match", ETAG, 200),
        ("if-match", "781e5e245d69b566979b86e28d23f2c7", 200),
        ("if-match", "\"x\"", 412),
        ("if-match", &format!("\"x\", {ETAG}"), 200),
        ("if-none-match", ETAG, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"x\"", 200),
        ("if-modified-since", before, 200),
        ("if-modified-since", after, 304),
        ("if-modified-since", "yesterday", 200),
        ("if-unmodified-since", before, 412),
        ("if-unmodified-since", after, 200),
        ("if-unmodified-since", "yesterday", 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let ask = edge.request(method.clone(), "k").header(name, value);
            let answer = ask.send().await.expect_status(status);
            if status == 304 {
                assert!(answer.body.is_empty(), "{name}");
                assert_eq!(answer.header("etag"), ETAG);
            }
        }
    }
}

#[tokio::test]
async fn signed_requests_override_headers() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let query = "k?response-content-type=text%2Fx&response-cache-control=no-store\
                 &response-expires=whenever&response-content-disposition=a%3Bb";
    for method in [Method::GET, Method::HEAD] {
        let answer = edge.request(method, query).send().await.expect_status(200);
        assert_eq!(answer.header("content-type"), "text/x");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("expires"), "whenever");
        assert_eq!(answer.header("content-disposition"), "a;b");
    }
    let split = edge.get("k?response-content-type=a%0d%0aX-Evil:1").send().await;
    split.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn version_null_is_the_object_itself() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let answer = edge.get("k?versionId=null").send().await.expect_status(200);
    assert_eq!(answer.header("x-amz-version-id"), "");
    edge.get("k?versionId=x").send().await.expect_error(400, "InvalidArgument");
    let unknown = format!("k?versionId={}", "0".repeat(32));
    edge.get(&unknown).send().await.expect_error(404, "NoSuchVersion");
}

#[tokio::test]
async fn range_and_part_exclude_each_other() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let ask = edge.get("k?partNumber=1").header("range", "bytes=0-1");
    ask.send().await.expect_error(400, "InvalidRequest");
    edge.get("k?partNumber=0").send().await.expect_error(400, "InvalidArgument");
    edge.get("k?partNumber=x").send().await.expect_error(400, "InvalidArgument");
    edge.get("k?partNumber=2").send().await.expect_error(416, "InvalidPartNumber");
}

#[tokio::test]
async fn attributes_are_told_as_asked() {
    let edge = Edge::start().await;
    edge.store("k", "0123456789").await;
    let ask = |names: &str| edge.get("k?attributes").header("x-amz-object-attributes", names);
    let answer = ask("ETag,ObjectSize").send().await.expect_status(200);
    assert_eq!(answer.element("ETag"), ETAG.trim_matches('"'));
    assert_eq!(answer.element("ObjectSize"), "10");
    assert_eq!(answer.element("StorageClass"), "");
    let answer = ask("Checksum,StorageClass,ObjectParts").send().await.expect_status(200);
    assert_eq!(answer.element("StorageClass"), "STANDARD");
    assert_eq!(answer.element("ChecksumType"), "FULL_OBJECT");
    assert_eq!(answer.elements("ObjectParts"), [""; 0]);
    ask("Nonsense").send().await.expect_error(400, "InvalidArgument");
    edge.get("k?attributes").send().await.expect_error(400, "InvalidArgument");
}
