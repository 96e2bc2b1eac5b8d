//! Bodies: lengths, digests, framing.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::Edge;

const CRC32_OF_DATA: &str = "rfPzYw==";
const MD5_OF_DATA: &str = "jXd/OF09/siBXSD3SWAm3A==";

#[tokio::test]
async fn declared_digests_are_compared() {
    let edge = Edge::start().await;
    for (name, right, code) in [
        ("content-md5", MD5_OF_DATA, "BadDigest"),
        ("x-amz-checksum-crc32", CRC32_OF_DATA, "BadDigest"),
    ] {
        let other = edge.put("k").header(name, right).body("other");
        other.send().await.expect_error(400, code);
        edge.put("k").header(name, right).body("data").send().await.expect_status(200);
    }
    let wrong = edge.put("k").payload_hash(&"0".repeat(64)).body("data");
    wrong.send().await.expect_error(400, "XAmzContentSHA256Mismatch");
}

#[tokio::test]
async fn digests_that_cannot_be_read_are_refused() {
    let edge = Edge::start().await;
    for text in ["", "AAAA", "!"] {
        let md5 = edge.put("k").header("content-md5", text).body("data").send().await;
        md5.expect_error(400, "InvalidDigest");
        let crc = edge.put("k").header("x-amz-checksum-crc32", text).body("data").send().await;
        let crc = crc.expect_error(400, "InvalidRequest");
        let message = "Value for x-amz-checksum-crc32 header is invalid.";
        assert_eq!(crc.element("Message"), message);
    }
    for text in ["garbage", "STREAMING-PAYLOAD"] {
        let hash = edge.put("k").payload_hash(text).body("data").send().await;
        let hash = hash.expect_error(400, "InvalidArgument");
        assert_eq!(hash.element("ArgumentName"), "x-amz-content-sha256");
    }
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn conflicting_checksums_are_refused() {
    let edge = Edge::start().await;
    let ask = edge.put("k").body("data").header("x-amz-checksum-crc32", CRC32_OF_DATA);
    let both = ask.clone().header("x-amz-checksum-crc32c", "AAAAAA==");
    both.send().await.expect_error(400, "InvalidRequest");
    let other = ask.header("x-amz-sdk-checksum-algorithm", "SHA1");
    other.send().await.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn algorithm_without_value_is_refused() {
    let edge = Edge::start().await;
    let upload = edge.post("k?uploads").send().await.element("UploadId");
    for target in ["k", &format!("k?partNumber=1&uploadId={upload}")] {
        let ask = edge.put(target).body("data").header("x-amz-sdk-checksum-algorithm", "CRC32");
        ask.clone().send().await.expect_error(400, "InvalidRequest");
        ask.header("x-amz-checksum-crc32", CRC32_OF_DATA).send().await.expect_status(200);
    }
}

#[tokio::test]
async fn checksums_in_a_presigned_url_are_ignored() {
    let edge = Edge::start().await;
    for query in [
        "x-amz-sdk-checksum-algorithm=CRC32",
        "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32",
    ] {
        let put = edge.put(&format!("k?{query}")).presigned().body("data").send().await;
        let put = put.expect_status(200);
        assert_eq!(put.header("x-amz-checksum-crc32"), "");
        assert_eq!(put.header("x-amz-checksum-crc64nvme").len(), 12);
        assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
    }
}

#[tokio::test]
async fn checksums_are_told_on_request_only() {
    let edge = Edge::start().await;
    edge.put("k").body("data").header("x-amz-checksum-crc32", CRC32_OF_DATA).send().await;
    let plain = edge.get("k").send().await;
    assert_eq!(plain.header("x-amz-checksum-crc32"), "");
    let mode = |ask: crate::harness::Ask| ask.header("x-amz-checksum-mode", "ENABLED");
    let told = mode(edge.get("k")).send().await.expect_status(200);
    assert_eq!(told.header("x-amz-checksum-crc32"), CRC32_OF_DATA);
    let ranged = mode(edge.get("k")).header("range", "bytes=0-1").send().await.expect_status(206);
    assert_eq!(ranged.header("x-amz-checksum-crc32"), "");
}

#[tokio::test]
async fn body_of_unknown_length_is_refused() {
    let edge = Edge::start().await;
    let ask = edge.put("k").chunked().payload_hash("UNSIGNED-PAYLOAD").body("data");
    ask.send().await.expect_error(411, "MissingContentLength");
}

fn unsigned_chunks(edge: &Edge, body: String, len: usize) -> crate::harness::Ask {
    edge.put("k")
        .payload_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-decoded-content-length", &len.to_string())
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("content-encoding", "gzip,aws-chunked")
        .body(body)
}

#[tokio::test]
async fn unsigned_chunks_are_decoded_and_their_trailer_compared() {
    let edge = Edge::start().await;
    let body = |crc: &str| format!("2\r\nda\r\n2\r\nta\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
    unsigned_chunks(&edge, body(CRC32_OF_DATA), 4).send().await.expect_status(200);
    let got = edge.get("k").send().await.expect_status(200);
    assert_eq!(got.body, "data");
    assert_eq!(got.header("content-encoding"), "gzip");
    let wrong = unsigned_chunks(&edge, body("AAAAAA=="), 4).send().await;
    wrong.expect_error(400, "BadDigest");
    let unreadable = unsigned_chunks(&edge, body("!"), 4).send().await;
    unreadable.expect_error(400, "MalformedTrailerError");
    let missing = unsigned_chunks(&edge, "4\r\ndata\r\n0\r\n\r\n".to_owned(), 4).send().await;
    missing.expect_error(400, "MalformedTrailerError");
}

#[tokio::test]
async fn unsigned_chunks_must_be_whole_and_well_formed() {
    let edge = Edge::start().await;
    for (body, code) in [
        ("4\r\ndata\r\n", "IncompleteBody"),
        ("4\r\nda", "IncompleteBody"),
        ("zz\r\ndata\r\n0\r\n\r\n", "InvalidRequest"),
        ("2\r\nda\r\n0\r\n\r\n", "IncompleteBody"),
        ("5\r\ndata!\r\n0\r\n\r\n", "IncompleteBody"),
    ] {
        unsigned_chunks(&edge, body.to_owned(), 4).send().await.expect_error(400, code);
    }
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn anonymous_chunks_are_not_stored() {
    let edge = Edge::start().await;
    let body = format!("4\r\ndata\r\n0\r\nx-amz-checksum-crc32:{CRC32_OF_DATA}\r\n\r\n");
    let ask = unsigned_chunks(&edge, body, 4)
        .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .anonymous();
    ask.send().await.expect_error(403, "AccessDenied");
}

#[tokio::test]
async fn body_that_ends_early_is_incomplete() {
    let edge = Edge::start().await;
    let put = edge.put("k").payload_hash("UNSIGNED-PAYLOAD");
    let answer = put.send_cut_short(b"half", 8).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn newer_checksums_are_not_implemented() {
    let edge = Edge::start().await;
    let ask = edge.put("k").header("x-amz-checksum-xxhash64", "AAAAAAAAAAA=").body("data");
    ask.send().await.expect_error(501, "NotImplemented");
}

#[tokio::test]
async fn documents_are_bounded() {
    let config = gateway_s3::S3EdgeConfig {
        document_len_bytes_max: 100,
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    let body = " ".repeat(101);
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(&body));
    let ask = edge.post("?delete").header("content-md5", &md5).body(body);
    ask.send().await.expect_error(400, "MaxMessageLengthExceeded");
}
