//! What conditions of bucket policies look at: only what takes effect.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    forms::Form,
    harness::{ANN, Ask, BEN, Edge},
    policy::{EVERYONE, ben, conditional, lockable, md5, statement},
    wire::{NOW_SECONDS, old, old_edge, old_url},
};

const NOT_RED: &str = r#"{"StringNotEquals":{"s3:RequestObjectTag/team":"red"}}"#;

fn tagging(team: &str) -> String {
    format!("<Tagging><TagSet><Tag><Key>team</Key><Value>{team}</Value></Tag></TagSet></Tagging>")
}

#[tokio::test]
async fn header_beside_a_document_of_tags_fulfils_no_condition() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let actions = ["PutObject", "PutObjectTagging"];
    edge.policy(&[conditional("Deny", EVERYONE, &actions, "/*", NOT_RED)]).await;
    let tags = |team| edge.put("k?tagging").body(tagging(team)).header("x-amz-tagging", "team=red");
    edge.denied(tags("blue")).await;
    tags("red").send().await.expect_status(200);
    let form =
        |team| Form::new("f").field("x-amz-tagging", "team=red").field("tagging", &tagging(team));
    form("blue").post(&edge).await.expect_error(403, "AccessDenied");
    form("red").post(&edge).await.expect_status(204);
}

#[tokio::test]
async fn header_beside_a_document_of_a_lock_fulfils_no_condition() {
    let edge = lockable().await;
    edge.store("k", "data").await;
    let lenient = r#"{"StringNotEquals":{"s3:object-lock-mode":"COMPLIANCE"}}"#;
    let lifted = r#"{"StringNotEquals":{"s3:object-lock-legal-hold":"ON"}}"#;
    edge.policy(&[
        conditional("Deny", EVERYONE, &["PutObjectRetention"], "/*", lenient),
        conditional("Deny", EVERYONE, &["PutObjectLegalHold"], "/*", lifted),
    ])
    .await;
    let until = "2025-06-16T00:00:00Z";
    let put = |target: &str, body: &str| {
        let ask = edge.put(target).header("content-md5", &md5(body)).body(body.to_owned());
        let ask = ask.header("x-amz-object-lock-mode", "COMPLIANCE");
        let ask = ask.header("x-amz-object-lock-retain-until-date", until);
        ask.header("x-amz-object-lock-legal-hold", "ON")
    };
    let inner = format!("<Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate>");
    edge.denied(put("k?retention", &format!("<Retention>{inner}</Retention>"))).await;
    edge.denied(put("k?retention", "<Retention/>")).await;
    edge.denied(put("k?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")).await;
    let held = put("k?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>");
    held.send().await.expect_status(200);
}

#[tokio::test]
async fn tags_that_a_copy_takes_along_are_judged_on_its_target() {
    let edge = Edge::start().await;
    for team in ["red", "blue"] {
        let put = edge.put(team).body("x").header("x-amz-tagging", &format!("team={team}"));
        put.send().await.expect_status(200);
    }
    edge.store("plain", "x").await;
    let actions = ["PutObject", "PutObjectTagging"];
    edge.policy(&[conditional("Deny", EVERYONE, &actions, "/out/*", NOT_RED)]).await;
    let copy =
        |source: &str| edge.put("out/k").header("x-amz-copy-source", &format!("bucket/{source}"));
    copy("red").send().await.expect_status(200);
    assert_eq!(edge.get("out/k").send().await.header("x-amz-tagging-count"), "1");
    edge.denied(copy("blue")).await;
    edge.denied(copy("plain")).await;
    // Ignored unless it says to replace them.
    let tagged = |source: &str| copy(source).header("x-amz-tagging", "team=red");
    edge.denied(tagged("blue")).await;
    edge.denied(tagged("plain").header("x-amz-tagging-directive", "COPY")).await;
    tagged("blue").header("x-amz-tagging-directive", "REPLACE").send().await.expect_status(200);
}

#[tokio::test]
async fn copy_of_tags_needs_leave_to_tag() {
    let edge = Edge::start().await;
    edge.store("plain", "x").await;
    let put = edge.put("tagged").body("x").header("x-amz-tagging", "a=b");
    put.send().await.expect_status(200);
    let copy = |source: &str, key: Option<_>| {
        let ask = edge.put("k").header("x-amz-copy-source", &format!("bucket/{source}"));
        if let Some(key) = key { ask.signed_by(key) } else { ask }
    };
    let mut actions = vec!["GetObject", "GetObjectTagging", "PutObject"];
    edge.policy(&[statement("Allow", &ben(), &actions, "/*")]).await;
    copy("plain", Some(BEN)).send().await.expect_status(200);
    edge.denied(copy("tagged", Some(BEN))).await;
    edge.denied(copy("missing", Some(BEN))).await;
    let missing = copy("missing", None).send().await.expect_error(404, "NoSuchKey");
    assert_eq!(missing.element("Key"), "missing");
    actions.push("PutObjectTagging");
    edge.policy(&[statement("Allow", &ben(), &actions, "/*")]).await;
    copy("tagged", Some(BEN)).send().await.expect_status(200);
    // Who may not write learns nothing of the source.
    edge.policy(&[statement("Allow", &ben(), &["GetObject", "GetObjectTagging"], "/*")]).await;
    edge.denied(copy("plain", Some(BEN))).await;
}

#[tokio::test]
async fn empty_header_is_none() {
    let edge = Edge::start().await;
    let name = "x-amz-server-side-encryption";
    let absent = format!(r#"{{"Null":{{"s3:{name}":"true"}}}}"#);
    edge.policy(&[conditional("Deny", EVERYONE, &["PutObject"], "/*", &absent)]).await;
    for value in ["", "  "] {
        edge.denied(edge.put("k").body("x").header(name, value)).await;
    }
    edge.put("k").body("x").header(name, "AES256").send().await.expect_status(200);
    let unlimited = r#"{"Null":{"s3:prefix":"true"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &["ListBucket"], "", unlimited)]).await;
    edge.get("?prefix=").send().await.expect_status(200);
    edge.denied(edge.get("")).await;
}

#[tokio::test]
async fn old_signatures_are_told_from_others() {
    let edge = old_edge().await;
    edge.store("k", "data").await;
    let old_get = || old(edge.get("k"), "GET", &[], "/bucket/k");
    let url = old_url("GET", "/bucket/k", NOW_SECONDS + 60);
    let old_form = || {
        let policy = r#"{"expiration":"2099-01-01T00:00:00.000Z","conditions":[
            {"bucket":"bucket"},["starts-with","$key",""]]}"#;
        let policy = STANDARD.encode(policy);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, ANN.1.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, policy.as_bytes()));
        let form = Form::new("form").open_field("AWSAccessKeyId", ANN.0);
        form.open_field("policy", &policy).open_field("signature", &signature)
    };
    let actions = ["GetObject", "PutObject"];
    let is_old = r#"{"StringEquals":{"s3:signatureversion":"AWS"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &actions, "/*", is_old)]).await;
    edge.denied(old_get()).await;
    edge.denied(edge.get(&url).anonymous()).await;
    old_form().send(&edge).await.expect_error(403, "AccessDenied");
    edge.get("k").send().await.expect_status(200);
    Form::new("form").post(&edge).await.expect_status(204);
    let in_query = r#"{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &actions, "/*", in_query)]).await;
    edge.denied(edge.get(&url).anonymous()).await;
    old_get().send().await.expect_status(200);
    let in_header = r#"{"StringEquals":{"s3:authType":"REST-HEADER"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &actions, "/*", in_header)]).await;
    edge.denied(old_get()).await;
    edge.get(&url).anonymous().send().await.expect_status(200);
    old_form().send(&edge).await.expect_status(204);
}

/// AWS's example for writes that must not overwrite, which leaves the steps of an upload alone.
#[tokio::test]
async fn creating_an_object_is_told_from_preparing_it() {
    let edge = Edge::start().await;
    edge.store("source", "data").await;
    let blind =
        r#"{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &["PutObject"], "/*", blind)]).await;
    let new = |ask: Ask| ask.header("if-none-match", "*");
    edge.denied(edge.put("put").body("x")).await;
    new(edge.put("put").body("x")).send().await.expect_status(200);
    let copy = || edge.put("copy").header("x-amz-copy-source", "bucket/source");
    edge.denied(copy()).await;
    new(copy()).send().await.expect_status(200);
    Form::new("form").post(&edge).await.expect_error(403, "AccessDenied");
    let begun = edge.post("parts?uploads").send().await.expect_status(200);
    let upload = begun.element("UploadId");
    let part = |number: u8| format!("parts?partNumber={number}&uploadId={upload}");
    let copied = edge.put(&part(1)).header("x-amz-copy-source", "bucket/source").send().await;
    let _ = copied.expect_status(200);
    let etag = edge.put(&part(1)).body("x").send().await.expect_status(200);
    let complete = || {
        let part =
            format!("<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>", etag.header("etag"));
        let body = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        edge.post(&format!("parts?uploadId={upload}")).body(body)
    };
    edge.denied(complete()).await;
    new(complete()).send().await.expect_status(200);
}

#[tokio::test]
async fn judgement_of_many_keys_ends() {
    let edge = Edge::start().await;
    let slow = format!("/*{}b", "a".repeat(33));
    let mut statements = vec![statement("Allow", EVERYONE, &["DeleteObject"], "/*")];
    for _ in 0..40 {
        statements.push(statement("Deny", EVERYONE, &["DeleteObject"], &slow));
    }
    edge.policy(&statements).await;
    let mut body = "<Delete>".to_owned();
    for number in 0..400 {
        write!(body, "<Object><Key>{number}{}</Key></Object>", "a".repeat(1000)).unwrap();
    }
    body += "</Delete>";
    let delete = edge.post("?delete").anonymous().header("content-md5", &md5(&body)).body(body);
    let done = delete.send().await.expect_status(200);
    let (deleted, refused) = (done.elements("Deleted").len(), done.elements("Error").len());
    assert_eq!(deleted + refused, 400);
    assert!(deleted > 10 && refused > 10, "{deleted} {refused}");
    // What one request used up does not count against others.
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let again = edge.post("?delete").anonymous().header("content-md5", &md5(body)).body(body);
    let again = again.send().await.expect_status(200);
    assert_eq!(again.elements("Deleted").len(), 1);
}
