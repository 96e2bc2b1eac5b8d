//! Bucket policies: what they are answered with, and whom they let in.

use gateway_meta::record::Versioning;
use http::Method;

use crate::harness::{ANN, Answer, Ask, BEN, BUCKET, Edge, ROOT};

/// The number of `ben`'s account: the third there is.
const BEN_NUMBER: &str = "000000000003";

/// A policy of one statement.
pub(crate) fn statement(effect: &str, principal: &str, actions: &[&str], resource: &str) -> String {
    conditional(effect, principal, actions, resource, "{}")
}

pub(crate) fn conditional(
    effect: &str,
    principal: &str,
    actions: &[&str],
    resource: &str,
    condition: &str,
) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"s3:{action}\"")).collect();
    format!(
        r#"{{"Effect":"{effect}","Principal":{principal},"Action":[{}],
            "Resource":"arn:aws:s3:::bucket{resource}","Condition":{condition}}}"#,
        actions.join(",")
    )
}

fn document(statements: &[String]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

pub(crate) const EVERYONE: &str = "\"*\"";

pub(crate) fn ben() -> String {
    format!(r#"{{"AWS":"{BEN_NUMBER}"}}"#)
}

impl Edge {
    pub(crate) async fn policy(&self, statements: &[String]) {
        let put = self.put("?policy").body(document(statements)).send().await;
        put.expect_status(204);
    }

    pub(crate) async fn denied(&self, ask: Ask) -> Answer {
        ask.send().await.expect_error(403, "AccessDenied")
    }
}

#[tokio::test]
async fn policy_is_told_as_it_was_given() {
    let edge = Edge::start().await;
    let none = edge.get("?policy").send().await.expect_error(404, "NoSuchBucketPolicy");
    assert_eq!(none.element("BucketName"), BUCKET);
    edge.get("?policyStatus").send().await.expect_error(404, "NoSuchBucketPolicy");
    let text = document(&[statement("Allow", EVERYONE, &["GetObject"], "/*")]) + " \n";
    edge.put("?policy").body(text.clone()).send().await.expect_status(204);
    let told = edge.get("?policy").send().await.expect_status(200);
    assert_eq!(told.body, text);
    assert_eq!(told.header("content-type"), "application/json");
    for _ in 0..2 {
        edge.delete("?policy").send().await.expect_status(204);
    }
    edge.get("?policy").send().await.expect_error(404, "NoSuchBucketPolicy");
}

#[tokio::test]
async fn policies_that_are_none_are_refused_and_the_old_one_stays() {
    let edge = Edge::start().await;
    edge.policy(&[statement("Allow", &ben(), &["GetObject"], "/*")]).await;
    let before = edge.get("?policy").send().await.expect_status(200).body;
    edge.put("?policy").send().await.expect_error(400, "MissingRequestBodyError");
    let long = document(&[statement("Allow", EVERYONE, &["GetObject"], "/*")]);
    let long = long.replacen('{', &format!("{{\"Id\":\"{}\",", "x".repeat(20 << 10)), 1);
    for text in [
        "nonsense".to_owned(),
        "{}".to_owned(),
        long,
        document(&[statement("Allow", EVERYONE, &["Nothing"], "/*")]),
        document(&[statement("Allow", EVERYONE, &["GetObject"], "s/*")]),
        document(&[statement("Allow", EVERYONE, &["ListBucket"], "/*")]),
        document(&[statement("Allow", "\"ben\"", &["GetObject"], "/*")]),
        document(&[conditional("Allow", EVERYONE, &["GetObject"], "/*", r#"{"Is":{"a":"b"}}"#)]),
    ] {
        let put = edge.put("?policy").body(text).send().await;
        put.expect_error(400, "MalformedPolicy");
    }
    assert_eq!(edge.get("?policy").send().await.body, before);
}

#[tokio::test]
async fn principals_must_be_there() {
    let edge = Edge::start().await;
    let canonical = edge.get("/").signed_by(BEN).send().await.element("ID");
    for there in [
        format!("\"AWS\":\"{BEN_NUMBER}\""),
        format!("\"AWS\":\"arn:aws:iam::{BEN_NUMBER}:root\""),
        format!("\"AWS\":\"arn:aws:iam::{BEN_NUMBER}:user/ben\""),
        format!("\"CanonicalUser\":\"{canonical}\""),
        "\"Service\":\"logging.s3.amazonaws.com\"".to_owned(),
    ] {
        edge.policy(&[statement("Allow", &format!("{{{there}}}"), &["GetObject"], "/*")]).await;
    }
    for absent in [
        "\"AWS\":\"000000000009\"".to_owned(),
        format!("\"AWS\":\"arn:aws:iam::{BEN_NUMBER}:user/ann\""),
        format!("\"CanonicalUser\":\"{}\"", "0".repeat(64)),
    ] {
        let policy = statement("Allow", &format!("{{{absent}}}"), &["GetObject"], "/*");
        let put = edge.put("?policy").body(document(&[policy])).send().await;
        let refused = put.expect_error(400, "MalformedPolicy");
        assert_eq!(refused.element("Message"), "Invalid principal in policy");
        assert!(!refused.element("Detail").is_empty());
    }
}

#[tokio::test]
async fn public_is_told() {
    let edge = Edge::start().await;
    for (principal, expected) in [(EVERYONE.to_owned(), "true"), (ben(), "false")] {
        edge.policy(&[statement("Allow", &principal, &["GetObject"], "/*")]).await;
        let status = edge.get("?policyStatus").send().await.expect_status(200);
        assert_eq!(status.element("IsPublic"), expected);
    }
}

#[tokio::test]
async fn strangers_read_what_is_public_and_nothing_else() {
    let edge = Edge::start().await;
    edge.store("open/k", "data").await;
    edge.store("k", "secret").await;
    edge.policy(&[statement("Allow", EVERYONE, &["GetObject"], "/open/*")]).await;
    let got = edge.get("open/k").anonymous().send().await.expect_status(200);
    assert_eq!(got.body, "data");
    edge.head("open/k").anonymous().send().await.expect_status(200);
    edge.get("open/k").signed_by(BEN).send().await.expect_status(200);
    for target in ["k", "", "?uploads", "?policy", "open/k?tagging", "open/k?versionId=null"] {
        edge.denied(edge.get(target).anonymous()).await;
    }
    edge.denied(edge.put("open/k").anonymous().body("x")).await;
    edge.denied(edge.delete("open/k").anonymous()).await;
    let ask = edge.get("open/k?response-content-type=a").anonymous();
    ask.send().await.expect_error(400, "InvalidRequest");
    edge.get("/nosuch/k").anonymous().send().await.expect_error(404, "NoSuchBucket");
    edge.delete("?policy").send().await.expect_status(204);
    edge.denied(edge.get("open/k").anonymous()).await;
}

#[tokio::test]
async fn what_is_missing_is_told_only_to_those_who_may_list() {
    let edge = Edge::start().await;
    let reads = statement("Allow", EVERYONE, &["GetObject", "GetObjectVersion"], "/*");
    edge.policy(std::slice::from_ref(&reads)).await;
    edge.denied(edge.get("missing").anonymous()).await;
    edge.head("missing").anonymous().send().await.expect_status(403);
    edge.get("missing").send().await.expect_error(404, "NoSuchKey");
    edge.policy(&[reads, statement("Allow", EVERYONE, &["ListBucket"], "")]).await;
    edge.get("missing").anonymous().send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn listings_are_let_in_by_prefix() {
    let edge = Edge::start().await;
    edge.store("open/k", "data").await;
    let prefix = r#"{"StringLike":{"s3:prefix":"open/*"},"NumericLessThanEquals":
        {"s3:max-keys":"10"}}"#;
    edge.policy(&[conditional("Allow", EVERYONE, &["ListBucket"], "", prefix)]).await;
    let listed = edge.get("?list-type=2&prefix=open/&max-keys=10").anonymous().send().await;
    assert_eq!(listed.expect_status(200).element("Key"), "open/k");
    for query in ["?list-type=2&prefix=open/&max-keys=11", "?prefix=open/", "?max-keys=1", ""] {
        edge.denied(edge.get(query).anonymous()).await;
    }
}

#[tokio::test]
async fn what_strangers_write_belongs_to_the_owner() {
    let edge = Edge::start().await;
    edge.policy(&[
        statement("Allow", EVERYONE, &["PutObject", "AbortMultipartUpload"], "/in/*"),
        statement("Allow", EVERYONE, &["ListBucket"], ""),
    ])
    .await;
    let owner = edge.get("?acl").send().await.element("ID");
    edge.put("in/a").anonymous().body("a").send().await.expect_status(200);
    edge.put("in/b").signed_by(BEN).body("b").send().await.expect_status(200);
    edge.put("in/c").signed_by(ROOT).body("c").send().await.expect_status(200);
    let listed = edge.get("").anonymous().send().await.expect_status(200);
    assert_eq!(listed.elements("ID"), vec![owner; 3]);
    assert_eq!(edge.get("in/a").send().await.expect_status(200).body, "a");
    edge.denied(edge.put("in/a?tagging").anonymous().body("<Tagging><TagSet/></Tagging>")).await;
    edge.denied(edge.put("in/a").anonymous().header("x-amz-tagging", "a=b").body("x")).await;
    // As S3: parts and copies need an account.
    edge.denied(edge.post("in/m?uploads").anonymous()).await;
    let copy = edge.put("in/d").anonymous().header("x-amz-copy-source", "bucket/in/a");
    edge.denied(copy).await;
    edge.post("in/m?uploads").signed_by(BEN).send().await.expect_status(200);
    let chunks = edge.put("in/e").anonymous().body("4\r\ndata\r\n0\r\n\r\n");
    let chunks = chunks.header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    edge.denied(chunks.header("x-amz-decoded-content-length", "4")).await;
}

#[tokio::test]
async fn forms_without_a_signature_are_judged() {
    let edge = Edge::start().await;
    let form = |key: &str| {
        let body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{key}\r\n\
             --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\
             data\r\n--XX--\r\n"
        );
        let ask = edge.post("").anonymous().body(body);
        ask.header("content-type", "multipart/form-data; boundary=XX")
    };
    edge.denied(form("in/k")).await;
    edge.policy(&[statement("Allow", EVERYONE, &["PutObject"], "/in/*")]).await;
    form("in/k").send().await.expect_status(204);
    assert_eq!(edge.get("in/k").send().await.expect_status(200).body, "data");
    edge.denied(form("out/k")).await;
}

#[tokio::test]
async fn another_account_does_what_it_is_allowed() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    edge.policy(&[
        statement("Allow", &ben(), &["GetObject", "PutObject", "GetObjectTagging"], "/*"),
        statement("Allow", &ben(), &["GetBucketLocation"], ""),
    ])
    .await;
    edge.get("k").signed_by(BEN).send().await.expect_status(200);
    edge.get("k?tagging").signed_by(BEN).send().await.expect_status(200);
    edge.get("?location").signed_by(BEN).send().await.expect_status(200);
    edge.put("b").signed_by(BEN).body("b").send().await.expect_status(200);
    edge.denied(edge.delete("k").signed_by(BEN)).await;
    edge.denied(edge.get("").signed_by(BEN)).await;
    edge.denied(edge.get("k?attributes").signed_by(BEN).header("x-amz-object-attributes", "ETag"))
        .await;
    edge.denied(edge.get("k").anonymous()).await;
}

#[tokio::test]
async fn guests_have_a_bucket_logged_into_itself_only() {
    let edge = Edge::start().await;
    edge.put("/logs").send().await.expect_status(200);
    edge.policy(&[statement("Allow", &ben(), &["PutBucketLogging"], "")]).await;
    let logged_into = |target: &str| {
        edge.put("?logging").body(format!(
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket>\
             <TargetPrefix>x/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
        ))
    };
    // Whether a bucket is there is not told either.
    for target in ["logs", "nosuch"] {
        edge.denied(logged_into(target).signed_by(BEN)).await;
    }
    logged_into(BUCKET).signed_by(BEN).send().await.expect_status(200);
    for key in [ANN, ROOT] {
        logged_into("logs").signed_by(key).send().await.expect_status(200);
    }
}

#[tokio::test]
async fn denials_hold_for_owner_and_operator_but_the_policy_stays_theirs() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let all = |resource| statement("Deny", EVERYONE, &["*"], resource);
    edge.policy(&[all(""), all("/*"), statement("Allow", EVERYONE, &["GetObject"], "/*")]).await;
    for key in [ANN, ROOT, BEN] {
        edge.denied(edge.get("k").signed_by(key)).await;
        edge.denied(edge.put("k").signed_by(key).body("x")).await;
        edge.denied(edge.get("").signed_by(key)).await;
    }
    edge.denied(edge.get("?policy").signed_by(BEN)).await;
    edge.get("?policy").send().await.expect_status(200);
    edge.get("?policy").signed_by(ROOT).send().await.expect_status(200);
    let confirmed = edge.put("?policy").body(document(&[all("/*")]));
    let name = "x-amz-confirm-remove-self-bucket-access";
    let wrong = edge.put("?policy").body(document(&[all("/*")])).header(name, "yes");
    wrong.send().await.expect_error(400, "InvalidArgument");
    confirmed.header(name, "true").send().await.expect_status(204);
    edge.get("").send().await.expect_status(200);
    edge.delete("?policy").send().await.expect_status(204);
    edge.get("k").send().await.expect_status(200);
}

#[tokio::test]
async fn policies_of_others_are_not_told_whatever_they_allow() {
    let edge = Edge::start().await;
    let actions = ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"];
    edge.policy(&[statement("Allow", EVERYONE, &actions, "")]).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let ask = edge.request(method, "?policy").signed_by(BEN);
        ask.send().await.expect_error(405, "MethodNotAllowed");
    }
}

#[tokio::test]
async fn each_object_of_a_deletion_is_judged() {
    let edge = Edge::start().await;
    for key in ["in/a", "in/b", "out/a"] {
        edge.store(key, "data").await;
    }
    edge.policy(&[
        statement("Allow", EVERYONE, &["DeleteObject"], "/in/*"),
        statement("Deny", EVERYONE, &["DeleteObject"], "/in/b"),
    ])
    .await;
    let body = "<Delete><Object><Key>in/a</Key></Object><Object><Key>in/b</Key></Object>\
                <Object><Key>out/a</Key></Object><Object><Key>in/a</Key><VersionId>null</VersionId>\
                </Object></Delete>";
    let delete = |ask: Ask| ask.body(body).header("content-md5", &md5(body));
    let done = delete(edge.post("?delete").anonymous()).send().await.expect_status(200);
    assert_eq!(done.elements("Deleted").len(), 1, "{}", done.text());
    assert_eq!(done.elements("Code"), ["AccessDenied"; 3]);
    edge.get("in/a").send().await.expect_status(404);
    for key in ["in/b", "out/a"] {
        edge.get(key).send().await.expect_status(200);
    }
    // The owner is denied one of them.
    let done = delete(edge.post("?delete")).send().await.expect_status(200);
    assert_eq!(done.elements("Code"), ["AccessDenied"]);
    edge.delete("?policy").send().await.expect_status(204);
    edge.denied(delete(edge.post("?delete").anonymous())).await;
}

pub(crate) fn md5(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use md5::{Digest as _, Md5};
    STANDARD.encode(Md5::digest(text.as_bytes()))
}

#[tokio::test]
async fn copies_are_judged_at_both_ends() {
    let edge = Edge::start().await;
    edge.store("open/k", "data").await;
    edge.store("k", "secret").await;
    edge.put("/bens").signed_by(BEN).send().await.expect_status(200);
    edge.policy(&[statement("Allow", &ben(), &["GetObject"], "/open/*")]).await;
    let copy = |source: &str, target: &str| {
        edge.put(target).signed_by(BEN).header("x-amz-copy-source", source)
    };
    copy("bucket/open/k", "/bens/k").send().await.expect_status(200);
    edge.denied(copy("bucket/k", "/bens/k")).await;
    edge.denied(copy("bucket/open/missing", "/bens/k")).await;
    edge.denied(copy("bens/k", "open/other")).await;
    edge.denied(copy("bucket/open/k?versionId=null", "/bens/k")).await;
    // Tags go along only if they may be read.
    let tagged = edge.put("open/k").body("x").header("x-amz-tagging", "a=b");
    tagged.send().await.expect_status(200);
    edge.denied(copy("bucket/open/k", "/bens/k")).await;
    let untagged = copy("bucket/open/k", "/bens/k").header("x-amz-tagging-directive", "REPLACE");
    untagged.send().await.expect_status(200);
    edge.policy(&[statement("Allow", &ben(), &["GetObject", "GetObjectTagging"], "/open/*")]).await;
    copy("bucket/open/k", "/bens/k").send().await.expect_status(200);
}

#[tokio::test]
async fn conditions_look_at_the_request() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let held = [
        r#"{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#,
        r#"{"Bool":{"aws:SecureTransport":"false"}}"#,
        r#"{"DateGreaterThan":{"aws:CurrentTime":"2025-06-15T00:00:00Z"}}"#,
        r#"{"NumericLessThan":{"aws:EpochTime":"1750003189"}}"#,
        r#"{"StringLike":{"aws:UserAgent":"agent/*","aws:Referer":"http://example.com/*"}}"#,
        r#"{"StringEquals":{"aws:username":"ben","aws:PrincipalType":"User"}}"#,
        r#"{"StringEquals":{"aws:userid":"000000000003","aws:PrincipalAccount":"000000000003"}}"#,
        r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/b*"}}"#,
        r#"{"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256","s3:authType":"REST-HEADER"}}"#,
        r#"{"StringEquals":{"aws:ResourceAccount":"000000000002","aws:RequestedRegion":"us-east-1"}}"#,
        r#"{"Null":{"s3:VersionId":"true","s3:x-amz-content-sha256":"false"}}"#,
    ];
    let refused = [
        r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
        r#"{"StringEquals":{"aws:username":"ann"}}"#,
        r#"{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}"#,
        r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#,
    ];
    for (conditions, allowed) in [(&held[..], true), (&refused[..], false)] {
        for condition in conditions {
            edge.policy(&[conditional("Allow", EVERYONE, &["GetObject"], "/*", condition)]).await;
            let ask = edge.get("k").signed_by(BEN).header("user-agent", "agent/1");
            // No header says where a request came from.
            let ask = ask.header("x-forwarded-for", "10.1.1.1");
            let got = ask.header("referer", "http://example.com/x").send().await;
            assert_eq!(got.status.is_success(), allowed, "{condition} {}", got.text());
        }
    }
}

#[tokio::test]
async fn uploads_may_be_made_to_be_encrypted_and_tagged() {
    let edge = Edge::start().await;
    let unencrypted = r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}"#;
    let untagged = r#"{"StringNotEquals":{"s3:RequestObjectTag/team":"red"}}"#;
    edge.policy(&[
        conditional("Deny", EVERYONE, &["PutObject"], "/*", unencrypted),
        conditional("Deny", EVERYONE, &["PutObject", "PutObjectTagging"], "/*", untagged),
    ])
    .await;
    let (encryption, tagging) =
        (("x-amz-server-side-encryption", "AES256"), ("x-amz-tagging", "team=red"));
    let put = |pairs: &[(&str, &str)]| {
        pairs.iter().fold(edge.put("k").body("x"), |ask, (name, value)| ask.header(name, value))
    };
    edge.denied(put(&[])).await;
    edge.denied(put(&[encryption])).await;
    edge.denied(put(&[tagging])).await;
    edge.denied(put(&[encryption, ("x-amz-tagging", "team=blue")])).await;
    put(&[encryption, tagging]).send().await.expect_status(200);
    let tags = |value: &str| {
        let tag = format!("<Tag><Key>team</Key><Value>{value}</Value></Tag>");
        edge.put("k?tagging").body(format!("<Tagging><TagSet>{tag}</TagSet></Tagging>"))
    };
    tags("red").send().await.expect_status(200);
    edge.denied(tags("blue")).await;
}

#[tokio::test]
async fn tags_that_are_there_are_looked_at() {
    let edge = Edge::start().await;
    let put = |key: &str, tags: &str| edge.put(key).body("x").header("x-amz-tagging", tags);
    put("open", "public=yes").send().await.expect_status(200);
    put("closed", "public=no").send().await.expect_status(200);
    let tagged = r#"{"StringEquals":{"s3:ExistingObjectTag/public":"yes"}}"#;
    let actions = ["GetObject", "DeleteObject"];
    edge.policy(&[conditional("Allow", EVERYONE, &actions, "/*", tagged)]).await;
    edge.get("open").anonymous().send().await.expect_status(200);
    edge.denied(edge.get("closed").anonymous()).await;
    edge.denied(edge.get("missing").anonymous()).await;
    let body =
        "<Delete><Object><Key>open</Key></Object><Object><Key>closed</Key></Object></Delete>";
    let delete = edge.post("?delete").anonymous().body(body).header("content-md5", &md5(body));
    let done = delete.send().await.expect_status(200);
    assert_eq!(done.elements("Code"), ["AccessDenied"]);
    edge.get("open").send().await.expect_status(404);
    edge.get("closed").send().await.expect_status(200);
}

#[tokio::test]
async fn presigned_requests_are_told_from_others() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let condition = r#"{"StringNotEquals":{"s3:authType":"REST-QUERY-STRING"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &["GetObject"], "/*", condition)]).await;
    edge.get("k").presigned().send().await.expect_status(200);
    edge.denied(edge.get("k")).await;
}

/// Retained in governance mode for a day by the tests' clock.
const RETAINED: [(&str, &str); 2] = [
    ("x-amz-object-lock-mode", "GOVERNANCE"),
    ("x-amz-object-lock-retain-until-date", "2025-06-16T00:00:00Z"),
];
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

pub(crate) async fn lockable() -> Edge {
    let edge = Edge::start().await;
    edge.service.set_versioning(BUCKET, Versioning::Enabled).await.unwrap();
    edge.service.enable_object_lock(BUCKET).await.unwrap();
    edge
}

/// Stores a retained object and names its version.
async fn retained(edge: &Edge, key: &str) -> String {
    let ask = edge.put(key).body("data").header("content-md5", &md5("data"));
    let ask = RETAINED.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.send().await.expect_status(200).header("x-amz-version-id").to_owned()
}

#[tokio::test]
async fn governance_is_bypassed_with_leave_only() {
    let edge = lockable().await;
    let version = retained(&edge, "in/k").await;
    let deletes = statement("Allow", &ben(), &["DeleteObject", "DeleteObjectVersion"], "/*");
    edge.policy(std::slice::from_ref(&deletes)).await;
    let delete = || {
        let ask = edge.delete(&format!("in/k?versionId={version}")).signed_by(BEN);
        ask.header(BYPASS.0, BYPASS.1)
    };
    edge.denied(delete()).await;
    let bypasses = statement("Allow", &ben(), &["BypassGovernanceRetention"], "/in/*");
    edge.policy(&[deletes, bypasses]).await;
    delete().send().await.expect_status(204);
    // Each of many on its own.
    let (inside, outside) = (retained(&edge, "in/k").await, retained(&edge, "out/k").await);
    let body = format!(
        "<Delete><Object><Key>in/k</Key><VersionId>{inside}</VersionId></Object>\
         <Object><Key>out/k</Key><VersionId>{outside}</VersionId></Object></Delete>"
    );
    let many = edge.post("?delete").signed_by(BEN).header("content-md5", &md5(&body)).body(body);
    let done = many.header(BYPASS.0, BYPASS.1).send().await.expect_status(200);
    assert_eq!(done.elements("Deleted").len(), 1, "{}", done.text());
    assert_eq!(done.elements("Code"), ["AccessDenied"]);
}

#[tokio::test]
async fn retention_may_be_limited() {
    let edge = lockable().await;
    let long = r#"{"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"10"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &["PutObjectRetention"], "/*", long)]).await;
    retained(&edge, "k").await;
    let until = |day: &str| format!("2025-07-{day}T00:00:00Z");
    let put = edge.put("k").body("data").header("content-md5", &md5("data"));
    let put = put.header(RETAINED[0].0, RETAINED[0].1);
    edge.denied(put.header(RETAINED[1].0, &until("16"))).await;
    let retain = |until: &str| {
        let body = format!(
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        edge.put("k?retention").header("content-md5", &md5(&body)).body(body)
    };
    edge.denied(retain(&until("16"))).await;
    retain("2025-06-20T00:00:00Z").send().await.expect_status(200);
}

#[tokio::test]
async fn holds_may_be_forbidden_to_be_lifted() {
    let edge = lockable().await;
    edge.store("k", "data").await;
    let lifted = r#"{"StringEquals":{"s3:object-lock-legal-hold":"OFF"}}"#;
    edge.policy(&[conditional("Deny", EVERYONE, &["PutObjectLegalHold"], "/*", lifted)]).await;
    let hold = |status: &str| {
        let body = format!("<LegalHold><Status>{status}</Status></LegalHold>");
        edge.put("k?legal-hold").header("content-md5", &md5(&body)).body(body)
    };
    hold("ON").send().await.expect_status(200);
    edge.denied(hold("OFF")).await;
}

#[tokio::test]
async fn versions_need_leave_of_their_own() {
    let edge = Edge::start().await;
    edge.service.set_versioning(BUCKET, Versioning::Enabled).await.unwrap();
    let put = edge.put("k").body("data").send().await.expect_status(200);
    let version = put.header("x-amz-version-id").to_owned();
    let target = format!("k?versionId={version}");
    edge.policy(&[statement("Allow", EVERYONE, &["GetObject"], "/*")]).await;
    edge.get("k").anonymous().send().await.expect_status(200);
    edge.denied(edge.get(&target).anonymous()).await;
    edge.policy(&[statement("Allow", EVERYONE, &["GetObjectVersion"], "/*")]).await;
    edge.get(&target).anonymous().send().await.expect_status(200);
    edge.denied(edge.get("k").anonymous()).await;
    edge.denied(edge.get("?versions").anonymous()).await;
    // A version that is not there is not told to those who may not list versions.
    edge.denied(edge.get(&format!("k?versionId={}", "0".repeat(32))).anonymous()).await;
    edge.policy(&[
        statement("Allow", EVERYONE, &["GetObjectVersion"], "/*"),
        statement("Allow", EVERYONE, &["ListBucketVersions"], ""),
    ])
    .await;
    edge.get("?versions").anonymous().send().await.expect_status(200);
    let missing = edge.get(&format!("k?versionId={}", "0".repeat(32))).anonymous();
    missing.send().await.expect_error(404, "NoSuchVersion");
}
