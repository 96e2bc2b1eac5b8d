//! Lifecycle on the wire: configurations, and when objects expire and uploads are aborted.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::{Answer, Ask, Edge, ROOT};

const OLDER: &str = "<Rule><ID>logs</ID><Prefix>logs/</Prefix><Status>Enabled</Status>\
    <Expiration><Days>3</Days></Expiration></Rule>";

const NEWER: &str = "<Rule><ID>tagged</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>\
    <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
    <Rule><ID>large ones</ID><Filter><And><Prefix>l</Prefix>\
    <ObjectSizeGreaterThan>4</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status>\
    <Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>\
    <Rule><ID>uploads</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>\
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
    </AbortIncompleteMultipartUpload></Rule>";

fn document(rules: &str) -> String {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
}

/// A body with its digest.
fn checked(ask: Ask, body: &str) -> Ask {
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(body));
    ask.header("content-md5", &md5).body(body.to_owned())
}

async fn put_rules(edge: &Edge, rules: &str) -> Answer {
    checked(edge.put("?lifecycle"), &document(rules)).send().await
}

async fn told(edge: &Edge) -> String {
    let answer = edge.get("?lifecycle").send().await.expect_status(200);
    answer.text().split_once("03-01/\">").unwrap().1.to_owned()
}

fn expiry(answer: &Answer) -> Option<&str> {
    answer.headers.get("x-amz-expiration").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn configurations_of_both_generations_come_back_until_they_are_removed() {
    let edge = Edge::start().await;
    let none = edge.get("?lifecycle").send().await;
    none.expect_error(404, "NoSuchLifecycleConfiguration");
    for rules in [OLDER, NEWER] {
        put_rules(&edge, rules).await.expect_status(200);
        assert_eq!(told(&edge).await, format!("{rules}</LifecycleConfiguration>"));
    }
    for _ in 0..2 {
        edge.delete("?lifecycle").send().await.expect_status(204);
    }
    let none = edge.get("?lifecycle").send().await;
    none.expect_error(404, "NoSuchLifecycleConfiguration");
    let elsewhere = checked(edge.put("/nosuch?lifecycle"), &document(OLDER)).send().await;
    elsewhere.expect_error(404, "NoSuchBucket");
    edge.put("?lifecycle").anonymous().send().await.expect_error(403, "AccessDenied");
}

#[tokio::test]
async fn what_is_too_small_for_transitions_is_told() {
    const NAME: &str = "x-amz-transition-default-minimum-object-size";
    let edge = Edge::start().await;
    put_rules(&edge, OLDER).await.expect_status(200);
    let answer = edge.get("?lifecycle").send().await;
    assert_eq!(answer.header(NAME), "all_storage_classes_128K");
    let varying = checked(edge.put("?lifecycle"), &document(OLDER));
    let answer = varying.header(NAME, "varies_by_storage_class").send().await.expect_status(200);
    assert_eq!(answer.header(NAME), "varies_by_storage_class");
    let answer = edge.get("?lifecycle").send().await;
    assert_eq!(answer.header(NAME), "varies_by_storage_class");
    let wrong = checked(edge.put("?lifecycle"), &document(OLDER)).header(NAME, "64K").send().await;
    wrong.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn wrong_lifecycle_documents_leave_the_old_one() {
    let edge = Edge::start().await;
    put_rules(&edge, OLDER).await.expect_status(200);
    let many = "<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>\
                </Rule>"
        .repeat(1001);
    for (rules, code) in [
        (String::new(), "MalformedXML"),
        ("<Rule>".to_owned(), "MalformedXML"),
        (OLDER.replace("Status", "State"), "MalformedXML"),
        (OLDER.replace("Enabled", "On"), "MalformedXML"),
        (OLDER.repeat(2), "InvalidArgument"),
        (OLDER.replace(">3<", ">0<"), "InvalidArgument"),
        (OLDER.replace("<Expiration><Days>3</Days></Expiration>", ""), "InvalidRequest"),
        (many, "InvalidRequest"),
    ] {
        put_rules(&edge, &rules).await.expect_error(400, code);
    }
    let oversized = "x".repeat(5 << 20);
    let oversized = checked(edge.put("?lifecycle"), &oversized).send().await;
    oversized.expect_error(400, "MaxMessageLengthExceeded");
    let empty = checked(edge.put("?lifecycle"), "").send().await;
    empty.expect_error(400, "MissingRequestBodyError");
    let unchecked = edge.put("?lifecycle").body(document(NEWER)).send().await;
    unchecked.expect_error(400, "InvalidRequest");
    let corrupted = edge.put("?lifecycle").header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    corrupted.body(document(NEWER)).send().await.expect_error(400, "BadDigest");
    assert_eq!(told(&edge).await, format!("{OLDER}</LifecycleConfiguration>"));
}

#[tokio::test]
async fn writes_and_reads_tell_when_an_object_expires() {
    let edge = Edge::start().await;
    put_rules(&edge, OLDER).await.expect_status(200);
    // Made on 15 June at 15:59, three days: the midnight behind 18 June.
    let logs = Some("expiry-date=\"Thu, 19 Jun 2025 00:00:00 GMT\", rule-id=\"logs\"");
    let put = edge.put("logs/a").body("data").send().await.expect_status(200);
    assert_eq!(expiry(&put), logs);
    let other = edge.put("other").body("data").send().await.expect_status(200);
    assert_eq!(expiry(&other), None);
    for ask in [edge.get("logs/a"), edge.head("logs/a")] {
        assert_eq!(expiry(&ask.send().await.expect_status(200)), logs);
    }
    let by_version = edge.get("logs/a?versionId=null").send().await.expect_status(200);
    assert_eq!(expiry(&by_version), None);
    let copy = edge.put("logs/b").header("x-amz-copy-source", "/bucket/other").send().await;
    assert_eq!(expiry(&copy.expect_status(200)), logs);
    put_rules(&edge, NEWER).await.expect_status(200);
    let tagged = Some("expiry-date=\"Tue, 17 Jun 2025 00:00:00 GMT\", rule-id=\"tagged\"");
    let put = edge.put("x").header("x-amz-tagging", "k=v").body("data").send().await;
    assert_eq!(expiry(&put.expect_status(200)), tagged);
    let large = Some("expiry-date=\"Tue, 01 Jan 2030 00:00:00 GMT\", rule-id=\"large%20ones\"");
    let put = edge.put("large").body("12345").send().await.expect_status(200);
    assert_eq!(expiry(&put), large);
    let put = edge.put("little").body("1234").send().await.expect_status(200);
    assert_eq!(expiry(&put), None);
    edge.delete("?lifecycle").send().await.expect_status(204);
    assert_eq!(expiry(&edge.get("large").send().await.expect_status(200)), None);
}

#[tokio::test]
async fn uploads_tell_when_they_are_aborted_and_their_objects_when_they_expire() {
    let edge = Edge::start().await;
    put_rules(&edge, NEWER).await.expect_status(200);
    let aborts = |answer: &Answer| {
        let get = |name| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (get("x-amz-abort-date"), get("x-amz-abort-rule-id"))
    };
    let date = Some("Mon, 23 Jun 2025 00:00:00 GMT".to_owned());
    let due = (date, Some("uploads".to_owned()));
    let begun = edge.post("tmp/a?uploads").header("x-amz-tagging", "k=v").send().await;
    let begun = begun.expect_status(200);
    assert_eq!(aborts(&begun), due);
    let id = begun.element("UploadId");
    let parts = edge.get(&format!("tmp/a?uploadId={id}")).send().await.expect_status(200);
    assert_eq!(aborts(&parts), due);
    let part = edge.put(&format!("tmp/a?partNumber=1&uploadId={id}")).body("data").send().await;
    let etag = part.expect_status(200).header("etag").to_owned();
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let ask = edge.post(&format!("tmp/a?uploadId={id}")).body(complete);
    let tagged = Some("expiry-date=\"Tue, 17 Jun 2025 00:00:00 GMT\", rule-id=\"tagged\"");
    assert_eq!(expiry(&ask.send().await.expect_status(200)), tagged);
    let other = edge.post("a?uploads").signed_by(ROOT).send().await.expect_status(200);
    assert_eq!(aborts(&other), (None, None));
}
