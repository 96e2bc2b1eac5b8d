//! Multipart uploads.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::{Answer, Edge};

const PART: &str = "0123456789abcdef";

async fn begin(edge: &Edge) -> String {
    edge.post("k?uploads").send().await.expect_status(200).element("UploadId")
}

async fn store_part(edge: &Edge, upload: &str, number: u16, body: &'static str) -> String {
    let target = format!("k?partNumber={number}&uploadId={upload}");
    let answer = edge.put(&target).body(body).send().await.expect_status(200);
    answer.header("etag").trim_matches('"').to_owned()
}

fn document(parts: &[(u16, &str)]) -> String {
    let part = |(number, etag): &(u16, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

async fn complete(edge: &Edge, upload: &str, parts: &[(u16, &str)]) -> Answer {
    edge.post(&format!("k?uploadId={upload}")).body(document(parts)).send().await
}

#[tokio::test]
async fn parts_become_an_object() {
    let edge = Edge::start().await;
    let upload = begin(&edge).await;
    let one = store_part(&edge, &upload, 1, PART).await;
    let two = store_part(&edge, &upload, 2, "tail").await;
    let answer = complete(&edge, &upload, &[(1, &one), (2, &two)]).await.expect_status(200);
    assert!(answer.element("ETag").ends_with("-2&quot;"));
    assert_eq!(answer.element("Location"), format!("http://{}/bucket/k", edge.address));
    assert_eq!((answer.element("Bucket"), answer.element("Key")), ("bucket".into(), "k".into()));
    let got = edge.get("k").send().await.expect_status(200);
    assert_eq!(got.text(), format!("{PART}tail"));
    let part = edge.get("k?partNumber=2").send().await.expect_status(206);
    assert_eq!((part.text(), part.header("x-amz-mp-parts-count")), ("tail", "2"));
    assert_eq!(part.header("content-range"), "bytes 16-19/20");
    let head = edge.head("k?partNumber=1").send().await.expect_status(206);
    assert_eq!(head.header("content-length"), "16");
    let again = complete(&edge, &upload, &[(1, &one), (2, &two)]).await.expect_status(200);
    assert_eq!(again.element("ETag"), answer.element("ETag"));
}

#[tokio::test]
async fn attributes_tell_the_parts() {
    let edge = Edge::start().await;
    let ask = edge.post("k?uploads").header("x-amz-checksum-algorithm", "SHA256");
    let begun = ask.send().await.expect_status(200);
    assert_eq!(begun.header("x-amz-checksum-algorithm"), "SHA256");
    let upload = begun.element("UploadId");
    let mut parts = String::new();
    for (number, body) in [(1, PART), (2, "tail")] {
        let put = edge.put(&format!("k?partNumber={number}&uploadId={upload}")).body(body);
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let put = put.header("x-amz-checksum-sha256", &STANDARD.encode(sha256));
        let put = put.send().await.expect_status(200);
        parts += &format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><ChecksumSHA256>{}\
             </ChecksumSHA256></Part>",
            put.header("etag"),
            put.header("x-amz-checksum-sha256"),
        );
    }
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let done = edge.post(&format!("k?uploadId={upload}")).body(document).send().await;
    let done = done.expect_status(200);
    assert_eq!(done.element("ChecksumType"), "COMPOSITE");
    assert!(done.element("ChecksumSHA256").ends_with("-2"));
    let names = "ObjectParts,Checksum";
    let ask = edge.get("k?attributes").header("x-amz-object-attributes", names);
    let answer = ask.clone().send().await.expect_status(200);
    assert_eq!(answer.element("PartsCount"), "2");
    assert_eq!(answer.elements("PartNumber"), ["1", "2"]);
    assert_eq!(answer.elements("Size"), ["16", "4"]);
    let page = ask.header("x-amz-max-parts", "1").send().await.expect_status(200);
    assert_eq!(
        (page.element("IsTruncated"), page.element("NextPartNumberMarker")),
        ("true".into(), "1".into())
    );
}

#[tokio::test]
async fn wrong_completions_are_refused() {
    let edge = Edge::start().await;
    let upload = begin(&edge).await;
    let small = store_part(&edge, &upload, 1, "small").await;
    let last = store_part(&edge, &upload, 2, "last").await;
    let complete = async |parts: &[(u16, &str)]| complete(&edge, &upload, parts).await;
    let too_small = complete(&[(1, &small), (2, &last)]).await.expect_error(400, "EntityTooSmall");
    assert_eq!(too_small.element("PartNumber"), "1");
    complete(&[(2, &last), (1, &small)]).await.expect_error(400, "InvalidPartOrder");
    complete(&[(3, &last)]).await.expect_error(400, "InvalidPart");
    complete(&[(2, &small)]).await.expect_error(400, "InvalidPart");
    complete(&[]).await.expect_error(400, "MalformedXML");
    let target = format!("k?uploadId={upload}");
    edge.post(&target).send().await.expect_error(400, "MalformedXML");
    edge.post(&target).body("<x/>").send().await.expect_error(400, "MalformedXML");
    let size = edge.post(&target).header("x-amz-mp-object-size", "5").body(document(&[(2, &last)]));
    size.send().await.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn completion_may_be_conditional() {
    let edge = Edge::start().await;
    edge.store("k", "there").await;
    let upload = begin(&edge).await;
    let one = store_part(&edge, &upload, 1, "tail").await;
    let ask = edge.post(&format!("k?uploadId={upload}")).body(document(&[(1, &one)]));
    let unmet = ask.clone().header("if-none-match", "*").send().await;
    unmet.expect_error(412, "PreconditionFailed");
    let etag = ask.clone().header("if-none-match", "\"x\"").send().await;
    etag.expect_error(501, "NotImplemented");
    ask.header("if-match", "*").send().await.expect_status(200);
}

#[tokio::test]
async fn uploads_that_are_not_there_are_told() {
    let edge = Edge::start().await;
    let upload = begin(&edge).await;
    for id in ["x", &"0".repeat(32)] {
        let target = format!("k?uploadId={id}");
        edge.get(&target).send().await.expect_error(404, "NoSuchUpload");
        edge.delete(&target).send().await.expect_error(404, "NoSuchUpload");
        let part = edge.put(&format!("k?partNumber=1&uploadId={id}")).body("x").send().await;
        part.expect_error(404, "NoSuchUpload");
    }
    edge.store("source", "x").await;
    for number in ["0", "10001", "-1", "%2B1", "x", ""] {
        for id in [upload.as_str(), "x"] {
            let put = edge.put(&format!("k?partNumber={number}&uploadId={id}"));
            put.clone().body("x").send().await.expect_error(400, "InvalidArgument");
            let copy = put.header("x-amz-copy-source", "bucket/source");
            copy.send().await.expect_error(400, "InvalidArgument");
        }
    }
    edge.delete(&format!("k?uploadId={upload}")).send().await.expect_status(204);
    edge.get(&format!("k?uploadId={upload}")).send().await.expect_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn parts_and_uploads_are_listed() {
    let edge = Edge::start().await;
    let upload = begin(&edge).await;
    for number in 1..=3 {
        store_part(&edge, &upload, number, PART).await;
    }
    let page = edge.get(&format!("k?uploadId={upload}&max-parts=2")).send().await;
    assert_eq!(page.elements("PartNumber"), ["1", "2"]);
    assert_eq!(page.element("NextPartNumberMarker"), "2");
    assert_eq!(page.element("IsTruncated"), "true");
    let rest = format!("k?uploadId={upload}&part-number-marker=2");
    assert_eq!(edge.get(&rest).send().await.elements("PartNumber"), ["3"]);
    let listed = edge.get("?uploads").send().await.expect_status(200);
    assert_eq!(listed.elements("UploadId"), [upload.as_str()]);
    assert_eq!(listed.element("Initiated"), "2025-06-15T15:59:48.000Z");
    let garbage = edge.get("?uploads&key-marker=k&upload-id-marker=x").send().await;
    garbage.expect_error(400, "InvalidArgument");
    let after = edge.get(&format!("?uploads&key-marker=k&upload-id-marker={upload}")).send().await;
    assert_eq!(after.expect_status(200).elements("UploadId"), [""; 0]);
}

#[tokio::test]
async fn parts_are_copied() {
    let edge = Edge::start().await;
    edge.store("source", "0123456789abcdefghij").await;
    let upload = begin(&edge).await;
    let target = format!("k?partNumber=1&uploadId={upload}");
    let copy = |range: &str| {
        let ask = edge.put(&target).header("x-amz-copy-source", "bucket/source");
        ask.header("x-amz-copy-source-range", range)
    };
    copy("bytes=0-99").send().await.expect_error(400, "InvalidArgument");
    copy("bytes=5-").send().await.expect_error(400, "InvalidArgument");
    let answer = copy("bytes=10-19").send().await.expect_status(200);
    let etag = answer.element("ETag").replace("&quot;", "");
    complete(&edge, &upload, &[(1, &etag)]).await.expect_status(200);
    assert_eq!(edge.get("k").send().await.text(), "abcdefghij");
}
