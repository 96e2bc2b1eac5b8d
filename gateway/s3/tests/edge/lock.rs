//! Object lock on the wire.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_meta::record::Versioning;

use crate::{
    forms::Form,
    harness::{Answer, Ask, BEN, BUCKET, Edge, ROOT},
};

/// A day after the tests' clock, and one before it.
const LATER: &str = "2025-06-16T00:00:00.000Z";
const EARLIER: &str = "2025-06-14T00:00:00Z";

const ENABLED: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
                       </ObjectLockConfiguration>";

fn with_default(inner: &str) -> String {
    let rule = format!("<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>");
    ENABLED.replace("</ObjectLockConfiguration>", &rule) + "</ObjectLockConfiguration>"
}

fn retention(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

fn hold(status: &str) -> String {
    format!("<LegalHold><Status>{status}</Status></LegalHold>")
}

/// A body with its digest.
fn checked(ask: Ask, body: &str) -> Ask {
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(body));
    ask.header("content-md5", &md5).body(body.to_owned())
}

async fn lockable() -> Edge {
    let edge = Edge::start().await;
    edge.service.set_versioning(BUCKET, Versioning::Enabled).await.unwrap();
    checked(edge.put("?object-lock"), ENABLED).send().await.expect_status(200);
    edge
}

/// Stores an object with headers and names its version.
async fn stored(edge: &Edge, key: &str, headers: &[(&str, &str)]) -> String {
    let ask = checked(edge.put(key), "data");
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.send().await.expect_status(200).header("x-amz-version-id").to_owned()
}

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

#[tokio::test]
async fn lock_configuration_needs_versioning_and_stays() {
    let edge = Edge::start().await;
    let put = |body: &str| checked(edge.put("?object-lock"), body).send();
    let missing = edge.get("?object-lock").send().await;
    missing.expect_error(404, "ObjectLockConfigurationNotFoundError");
    put(ENABLED).await.expect_error(409, "InvalidBucketState");
    edge.service.set_versioning(BUCKET, Versioning::Enabled).await.unwrap();
    let unchecked = edge.put("?object-lock").body(ENABLED).send().await;
    unchecked.expect_error(400, "InvalidRequest");
    put(&with_default("<Mode>GOVERNANCE</Mode><Days>3</Days>")).await.expect_status(200);
    for (body, code) in [
        (ENABLED.replace("Enabled</O", "Disabled</O"), "MalformedXML"),
        (with_default("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (with_default("<Mode>strict</Mode><Days>1</Days>"), "MalformedXML"),
        (with_default("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidArgument"),
        (with_default("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidArgument"),
        ("<ObjectLockConfiguration>".to_owned(), "MalformedXML"),
    ] {
        put(&body).await.expect_error(400, code);
    }
    let told = edge.get("?object-lock").send().await.expect_status(200);
    assert_eq!(told.element("ObjectLockEnabled"), "Enabled");
    assert_eq!((told.element("Mode"), told.element("Days")), ("GOVERNANCE".into(), "3".into()));
    put(&with_default("<Mode>COMPLIANCE</Mode><Years>1</Years>")).await.expect_status(200);
    assert_eq!(edge.get("?object-lock").send().await.element("Years"), "1");
    // Without a rule there is no default, and object lock stays.
    put(ENABLED).await.expect_status(200);
    let told = edge.get("?object-lock").send().await.expect_status(200);
    assert_eq!(told.element("Rule"), "");
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let suspended = checked(edge.put("?versioning"), suspend).send().await;
    suspended.expect_error(409, "InvalidBucketState");
}

#[tokio::test]
async fn a_bucket_is_made_with_object_lock() {
    let edge = Edge::start().await;
    let create = edge.put("/locked").header("x-amz-bucket-object-lock-enabled", "true");
    create.send().await.expect_status(200);
    let told = edge.get("/locked?object-lock").send().await.expect_status(200);
    assert_eq!(told.element("ObjectLockEnabled"), "Enabled");
    assert_eq!(edge.get("/locked?versioning").send().await.element("Status"), "Enabled");
}

#[tokio::test]
async fn writes_carry_locks_that_reads_tell() {
    let edge = lockable().await;
    stored(&edge, "k", &[(MODE, "COMPLIANCE"), (UNTIL, LATER), (HOLD, "ON")]).await;
    for ask in [edge.get("k"), edge.head("k")] {
        let told = ask.send().await.expect_status(200);
        assert_eq!(told.header(MODE), "COMPLIANCE");
        assert_eq!(told.header(UNTIL), LATER);
        assert_eq!(told.header(HOLD), "ON");
    }
    // Copies take no lock along, and may bring one.
    edge.put("c").header("x-amz-copy-source", "bucket/k").send().await.expect_status(200);
    assert_eq!(edge.head("c").send().await.header(MODE), "");
    let copy = edge.put("c").header("x-amz-copy-source", "bucket/k").header(HOLD, "OFF");
    copy.send().await.expect_status(200);
    assert_eq!(edge.head("c").send().await.header(HOLD), "OFF");
    let start = edge.post("m?uploads").header(MODE, "GOVERNANCE").header(UNTIL, LATER);
    let upload = start.send().await.expect_status(200).element("UploadId");
    let part = edge.put(&format!("m?partNumber=1&uploadId={upload}")).body("part");
    let etag = part.send().await.expect_status(200).header("etag").to_owned();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let complete = edge.post(&format!("m?uploadId={upload}")).body(body);
    complete.send().await.expect_status(200);
    assert_eq!(edge.head("m").send().await.header(MODE), "GOVERNANCE");
    let form = Form::new("f").field(MODE, "GOVERNANCE").field(UNTIL, LATER).field(HOLD, "ON");
    let form = form.field("content-md5", "jXd/OF09/siBXSD3SWAm3A==");
    let posted = form.post(&edge).await;
    posted.expect_status(204);
    let told = edge.head("f").send().await;
    assert_eq!((told.header(MODE), told.header(UNTIL)), ("GOVERNANCE", LATER));
}

#[tokio::test]
async fn lock_headers_are_judged() {
    let edge = lockable().await;
    let put = |headers: &[(&str, &str)]| {
        let ask = checked(edge.put("k"), "data");
        headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send()
    };
    for headers in [
        &[(MODE, "GOVERNANCE")][..],
        &[(UNTIL, LATER)],
        &[(MODE, "governance"), (UNTIL, LATER)],
        &[(MODE, "GOVERNANCE"), (UNTIL, "soon")],
        &[(MODE, "GOVERNANCE"), (UNTIL, EARLIER)],
        &[(HOLD, "on")],
    ] {
        put(headers).await.expect_error(400, "InvalidArgument");
    }
    let unchecked = edge.put("k").body("data").header(HOLD, "ON").send().await;
    let unchecked = unchecked.expect_error(400, "InvalidRequest");
    assert!(unchecked.element("Message").starts_with("Content-MD5 OR x-amz-checksum-"));
    let crc = edge.put("k").body("data").header(HOLD, "OFF");
    crc.header("x-amz-checksum-crc32", "rfPzYw==").send().await.expect_status(200);
    let plain = Edge::start().await;
    let refused = checked(plain.put("k"), "data").header(HOLD, "ON").send().await;
    let refused = refused.expect_error(400, "InvalidRequest");
    assert_eq!(refused.element("Message"), "Bucket is missing Object Lock Configuration");
    for target in ["k?retention", "k?legal-hold"] {
        plain.get(target).send().await.expect_error(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn retention_and_legal_hold_are_documents_of_versions() {
    let edge = lockable().await;
    let old = stored(&edge, "k", &[]).await;
    let new = stored(&edge, "k", &[]).await;
    for target in ["k?retention", "k?legal-hold"] {
        let unset = edge.get(target).send().await;
        unset.expect_error(404, "NoSuchObjectLockConfiguration");
    }
    let put = |target: String, body: String| {
        let ask = checked(edge.put(&target), &body);
        async move { ask.send().await }
    };
    let of_old = format!("k?retention&versionId={old}");
    let told = put(of_old.clone(), retention("GOVERNANCE", LATER)).await.expect_status(200);
    assert_eq!(told.header("x-amz-version-id"), old);
    let told = edge.get(&of_old).send().await.expect_status(200);
    assert_eq!(told.element("Mode"), "GOVERNANCE");
    assert_eq!(told.element("RetainUntilDate"), LATER);
    put("k?legal-hold".to_owned(), hold("ON")).await.expect_status(200);
    let told = edge.get(&format!("k?legal-hold&versionId={new}")).send().await;
    assert_eq!(told.element("Status"), "ON");
    for (target, body, status, code) in [
        ("k?retention", retention("GOVERNANCE", EARLIER), 400, "InvalidArgument"),
        ("k?retention", retention("STRICT", LATER), 400, "MalformedXML"),
        (
            "k?retention",
            "<Retention><Mode>GOVERNANCE</Mode></Retention>".into(),
            400,
            "MalformedXML",
        ),
        ("k?legal-hold", hold("on"), 400, "MalformedXML"),
        ("none?legal-hold", hold("ON"), 404, "NoSuchKey"),
        ("k?retention&versionId=x", retention("GOVERNANCE", LATER), 400, "InvalidArgument"),
    ] {
        put(target.to_owned(), body).await.expect_error(status, code);
    }
    let unchecked = edge.put("k?legal-hold").body(hold("OFF")).send().await;
    unchecked.expect_error(400, "InvalidRequest");
    let foreign = checked(edge.put("k?legal-hold"), &hold("OFF")).signed_by(BEN).send().await;
    foreign.expect_error(403, "AccessDenied");
    assert_eq!(edge.get("k?legal-hold").send().await.element("Status"), "ON");
}

#[tokio::test]
async fn governance_gives_way_to_a_bypass_and_compliance_to_nobody() {
    let edge = lockable().await;
    let governed = stored(&edge, "g", &[(MODE, "GOVERNANCE"), (UNTIL, LATER)]).await;
    let complied = stored(&edge, "c", &[(MODE, "COMPLIANCE"), (UNTIL, LATER)]).await;
    let denied = |answer: Answer| {
        let answer = answer.expect_error(403, "AccessDenied");
        let message = "Access Denied because object protected by object lock.";
        assert_eq!(answer.element("Message"), message);
    };
    let shorter = retention("GOVERNANCE", "2025-06-15T23:00:00Z");
    let put = |key: &str, body: &str| checked(edge.put(&format!("{key}?retention")), body);
    denied(put("g", &shorter).send().await);
    denied(put("g", "<Retention/>").send().await);
    put("g", &shorter).header(BYPASS.0, BYPASS.1).send().await.expect_status(200);
    for root in [false, true] {
        let by = |ask: Ask| if root { ask.signed_by(ROOT) } else { ask };
        let weaker = by(put("c", &retention("COMPLIANCE", "2025-06-15T23:00:00Z")));
        denied(weaker.header(BYPASS.0, BYPASS.1).send().await);
        denied(by(put("c", "<Retention/>")).header(BYPASS.0, BYPASS.1).send().await);
        let delete = by(edge.delete(&format!("c?versionId={complied}")));
        denied(delete.header(BYPASS.0, BYPASS.1).send().await);
    }
    put("c", &retention("COMPLIANCE", "2025-06-17T00:00:00Z")).send().await.expect_status(200);

    let many = format!(
        "<Delete><Object><Key>g</Key><VersionId>{governed}</VersionId></Object>\
         <Object><Key>c</Key><VersionId>{complied}</VersionId></Object></Delete>"
    );
    let both = checked(edge.post("?delete"), &many).send().await.expect_status(200);
    assert_eq!(both.elements("Code"), ["AccessDenied", "AccessDenied"]);
    let one = checked(edge.post("?delete"), &many).header(BYPASS.0, BYPASS.1).send().await;
    assert_eq!(one.elements("Code"), ["AccessDenied"]);
    assert_eq!(one.elements("Deleted").len(), 1);
    // A deletion without a version only hides.
    edge.delete("c").send().await.expect_status(204);
    edge.get("c").send().await.expect_error(404, "NoSuchKey");
    let read = edge.get(&format!("c?versionId={complied}")).send().await.expect_status(200);
    assert_eq!(read.body, "data");
    edge.delete("").send().await.expect_error(409, "BucketNotEmpty");
}
