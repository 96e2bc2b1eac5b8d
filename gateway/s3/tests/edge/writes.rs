//! Writing, copying, deleting, tagging.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::{Answer, Edge};

#[tokio::test]
async fn everything_attached_is_told_again() {
    let edge = Edge::start().await;
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment; filename=\"a b\""),
        ("content-language", "de"),
        ("cache-control", "max-age=5"),
        ("expires", "not a date at all"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-meta-empty", ""),
        ("x-amz-website-redirect-location", "/elsewhere"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let ask = headers.iter().fold(edge.put("k"), |ask, (name, value)| ask.header(name, value));
    let put = ask.header("x-amz-tagging", "a=1&b=2").body("data").send().await.expect_status(200);
    assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
    for ask in [edge.head("k"), edge.get("k")] {
        let told = ask.send().await.expect_status(200);
        for (name, value) in headers {
            assert_eq!(told.header(name), value, "{name}");
        }
        assert_eq!(told.header("x-amz-tagging-count"), "2");
    }
}

#[tokio::test]
async fn conditional_writes_are_refused_when_they_do_not_hold() {
    let edge = Edge::start().await;
    let absent = || edge.put("k").header("if-none-match", "*").body("data");
    let put = absent().send().await.expect_status(200);
    let answer = absent().send().await.expect_error(412, "PreconditionFailed");
    assert_eq!(answer.element("Condition"), "If-None-Match");
    let etag = put.header("etag").to_owned();
    for copies in [false, true] {
        let mut ask = edge.put("other").header("if-none-match", &etag);
        if copies {
            ask = ask.header("x-amz-copy-source", "bucket/k");
        }
        ask.body("data").send().await.expect_error(501, "NotImplemented");
    }
    edge.put("k").header("if-match", "\"x\"").body("b").send().await.expect_status(412);
    edge.put("k").header("if-match", &etag).body("b").send().await.expect_status(200);
    let missing = edge.put("missing").header("if-match", &etag).body("b").send().await;
    missing.expect_error(404, "NoSuchKey");
    edge.delete("k").header("if-match", &etag).send().await.expect_error(412, "PreconditionFailed");
    edge.delete("k").header("if-match", "*").send().await.expect_status(204);
}

#[tokio::test]
async fn acls_and_keys_that_are_not_there_are_refused() {
    let edge = Edge::start().await;
    for (name, value, status) in [
        ("x-amz-acl", "private", 200),
        ("x-amz-acl", "bucket-owner-full-control", 200),
        ("x-amz-acl", "public-read", 400),
        ("x-amz-grant-read", "id=1", 400),
        ("x-amz-server-side-encryption", "AES256", 200),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", 400),
        ("x-amz-object-lock-mode", "GOVERNANCE", 400),
        ("x-amz-write-offset-bytes", "0", 501),
        ("x-amz-storage-class", "LUKEWARM", 400),
        ("x-amz-website-redirect-location", "elsewhere", 400),
    ] {
        edge.put("k").header(name, value).body("data").send().await.expect_status(status);
    }
    let acl = edge.put("k").header("x-amz-acl", "public-read").body("data").send().await;
    acl.expect_error(400, "AccessControlListNotSupported");
}

#[tokio::test]
async fn copies_keep_or_replace_what_is_attached() {
    let edge = Edge::start().await;
    let put = edge.put("a%20b%2B").header("x-amz-meta-a", "1").header("x-amz-tagging", "t=1");
    put.body("data").send().await.expect_status(200);
    let source = "/bucket/a%20b%2B";
    let copy = |key: &str| edge.put(key).header("x-amz-copy-source", source);
    let answer = copy("copy").send().await.expect_status(200);
    assert_eq!(answer.element("ETag"), "&quot;8d777f385d3dfec8815d20f7496026dc&quot;");
    assert_eq!(answer.element("LastModified"), "2025-06-15T15:59:48.000Z");
    assert_eq!(answer.element("ChecksumType"), "FULL_OBJECT");
    let head = edge.head("copy").send().await;
    assert_eq!((head.header("x-amz-meta-a"), head.header("x-amz-tagging-count")), ("1", "1"));
    let replaced = copy("copy")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-meta-b", "2");
    replaced.send().await.expect_status(200);
    let head = edge.head("copy").send().await;
    assert_eq!((head.header("x-amz-meta-a"), head.header("x-amz-meta-b")), ("", "2"));
    assert_eq!(head.header("x-amz-tagging-count"), "");
    let unknown = copy("copy").header("x-amz-metadata-directive", "MERGE").send().await;
    unknown.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn copy_conditions_and_sources_are_judged() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let copy = |source: &str| edge.put("copy").header("x-amz-copy-source", source);
    copy("bucket/missing").send().await.expect_error(404, "NoSuchKey");
    copy("nosuchbucket/k").send().await.expect_error(404, "NoSuchBucket");
    copy("bucket").send().await.expect_error(400, "InvalidArgument");
    let unmet = copy("bucket/k").header("x-amz-copy-source-if-match", "\"x\"");
    unmet.send().await.expect_error(412, "PreconditionFailed");
    let same = "\"8d777f385d3dfec8815d20f7496026dc\"";
    let unmet = copy("bucket/k").header("x-amz-copy-source-if-none-match", same);
    unmet.send().await.expect_error(412, "PreconditionFailed");
    let onto_itself = edge.put("k").header("x-amz-copy-source", "bucket/k");
    onto_itself.send().await.expect_error(400, "InvalidRequest");
}

async fn delete_many(edge: &Edge, body: &str) -> Answer {
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(body));
    let ask = edge.post("?delete").header("content-md5", &md5).body(body.to_owned());
    ask.send().await
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let edge = Edge::start().await;
    for key in ["a", "b", "c"] {
        edge.store(key, "data").await;
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>missing</Key></Object>\
                <Object><Key>b</Key><ETag>x</ETag></Object>\
                <Object><Key>c</Key><VersionId>x</VersionId></Object></Delete>";
    let answer = delete_many(&edge, body).await.expect_status(200);
    assert_eq!(answer.elements("Deleted"), ["<Key>a</Key>", "<Key>missing</Key>"]);
    assert_eq!(answer.elements("Code"), ["PreconditionFailed", "NoSuchVersion"]);
    let body = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    let answer = delete_many(&edge, body).await.expect_status(200);
    assert_eq!(answer.elements("Deleted"), [""; 0]);
    let listed = edge.get("").send().await;
    assert_eq!(listed.elements("Key"), ["c"]);
}

#[tokio::test]
async fn deletion_of_many_wants_a_digest_and_a_list() {
    let edge = Edge::start().await;
    let body = "<Delete><Object><Key>a</Key></Object></Delete>";
    edge.post("?delete").body(body).send().await.expect_error(400, "InvalidRequest");
    delete_many(&edge, "<Delete/>").await.expect_error(400, "MalformedXML");
    delete_many(&edge, "").await.expect_error(400, "MissingRequestBodyError");
    delete_many(&edge, "<Delete>").await.expect_error(400, "MalformedXML");
    let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
    delete_many(&edge, &many).await.expect_error(400, "MalformedXML");
    let crc = edge.post("?delete").header("x-amz-checksum-crc32", "AAAAAA==").body(body);
    crc.send().await.expect_error(400, "BadDigest");
}

#[tokio::test]
async fn deletion_of_many_finds_keys_with_control_characters() {
    let edge = Edge::start().await;
    edge.store("a%01b", "data").await;
    let body = "<Delete><Object><Key>a&#x1;b</Key></Object></Delete>";
    delete_many(&edge, body).await.expect_status(200);
    edge.head("a%01b").send().await.expect_status(404);
}

#[tokio::test]
async fn tags_are_documents() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let tag = |name: &str| format!("<Tag><Key>{name}</Key><Value>1</Value></Tag>");
    let body = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let put = |text: String| edge.put("k?tagging").body(text).send();
    put(body(&(tag("a") + &tag("b")))).await.expect_status(200);
    let got = edge.get("k?tagging").send().await.expect_status(200);
    assert_eq!(got.elements("Key"), ["a", "b"]);
    put(body(&tag("a").repeat(2))).await.expect_error(400, "InvalidTag");
    put("<Tagging/>".to_owned()).await.expect_error(400, "MalformedXML");
    edge.delete("k?tagging").send().await.expect_status(204);
    let got = edge.get("k?tagging").send().await.expect_status(200);
    assert_eq!(got.elements("Key"), [""; 0]);
    edge.get("missing?tagging").send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn deletion_conditions_of_directory_buckets_are_not_implemented() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for name in ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"] {
        let ask = edge.delete("k").header(name, "4");
        ask.send().await.expect_error(501, "NotImplemented");
    }
    edge.head("k").send().await.expect_status(200);
}
