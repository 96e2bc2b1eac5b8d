//! Who is let in.

use crate::harness::{ANN, BEN, BUCKET, Edge, ROOT};

#[tokio::test]
async fn anonymous_requests_are_denied() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for target in ["/", "", "k", "?uploads", "?policy"] {
        edge.get(target).anonymous().send().await.expect_error(403, "AccessDenied");
    }
    edge.put("k").anonymous().body("x").send().await.expect_error(403, "AccessDenied");
    edge.delete("k").anonymous().send().await.expect_error(403, "AccessDenied");
    edge.get("k?response-content-type=a")
        .anonymous()
        .send()
        .await
        .expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn another_account_is_denied_and_root_is_not() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for target in ["", "k", "?uploads", "k?tagging", "k?attributes"] {
        let ask = edge.get(target).header("x-amz-object-attributes", "ETag").signed_by(BEN);
        ask.send().await.expect_error(403, "AccessDenied");
    }
    edge.put("k").signed_by(BEN).body("x").send().await.expect_error(403, "AccessDenied");
    edge.delete("").signed_by(BEN).send().await.expect_error(403, "AccessDenied");
    let got = edge.get("k").signed_by(ROOT).send().await.expect_status(200);
    assert_eq!(got.body, "data");
}

#[tokio::test]
async fn account_sees_only_its_own_buckets() {
    let edge = Edge::start().await;
    let listed = edge.get("/").signed_by(BEN).send().await.expect_status(200);
    assert_eq!(listed.elements("Name"), [""; 0]);
    let taken = edge.put("").signed_by(BEN).send().await;
    taken.expect_error(409, "BucketAlreadyExists");
}

#[tokio::test]
async fn copy_needs_leave_to_read_its_source() {
    let edge = Edge::start().await;
    edge.store("secret", "data").await;
    edge.put("/bens").signed_by(BEN).send().await.expect_status(200);
    let source = format!("{BUCKET}/secret");
    let copy = edge.put("/bens/k").signed_by(BEN).header("x-amz-copy-source", &source);
    copy.send().await.expect_error(403, "AccessDenied");
    let upload = edge.post("/bens/k?uploads").signed_by(BEN).send().await.element("UploadId");
    let part = edge.put(&format!("/bens/k?partNumber=1&uploadId={upload}")).signed_by(BEN);
    part.header("x-amz-copy-source", &source).send().await.expect_error(403, "AccessDenied");
}

#[tokio::test]
async fn wrong_secret_and_unknown_key_are_refused() {
    let edge = Edge::start().await;
    let wrong = edge.get("").signed_by((ANN.0, "not the secret"));
    wrong.send().await.expect_error(403, "SignatureDoesNotMatch");
    let unknown = edge.get("").signed_by(("nosuchkey", "secret"));
    unknown.send().await.expect_error(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn signatures_must_be_for_this_region() {
    const HERE: &str = "eu-north-7";
    let config =
        gateway_s3::S3EdgeConfig { region: HERE.to_owned(), ..gateway_s3::S3EdgeConfig::default() };
    let edge = Edge::start_with(config, None).await;
    let wrong = edge.get("").send().await.expect_error(400, "AuthorizationHeaderMalformed");
    assert_eq!(
        (wrong.element("Region").as_str(), wrong.header("x-amz-bucket-region")),
        (HERE, HERE)
    );
    let wrong = edge.head("").send().await.expect_status(400);
    assert_eq!(wrong.header("x-amz-bucket-region"), HERE);
    let wrong = edge.get("").presigned().send().await;
    let wrong = wrong.expect_error(400, "AuthorizationQueryParametersError");
    assert_eq!(wrong.element("Region"), HERE);
    edge.put("/here").signed_for(HERE, "s3").send().await.expect_status(200);
    let head = edge.head("/here").signed_for(HERE, "s3").send().await.expect_status(200);
    assert_eq!(head.header("x-amz-bucket-region"), HERE);
    let presigned = edge.get("/here?location").signed_for(HERE, "s3").presigned();
    assert!(presigned.send().await.expect_status(200).text().contains(HERE));
}

#[tokio::test]
async fn signatures_must_be_for_s3() {
    let edge = Edge::start().await;
    let other = edge.get("").signed_for("us-east-1", "ec2").send().await;
    let other = other.expect_error(400, "AuthorizationHeaderMalformed");
    assert_eq!(other.element("Region"), "");
}

#[tokio::test]
async fn expected_owner_must_be_the_owner() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let owner = edge.get("?acl").send().await.element("ID");
    let header = "x-amz-expected-bucket-owner";
    edge.get("k").header(header, &owner).send().await.expect_status(200);
    edge.get("k").header(header, "000000000002").send().await.expect_status(200);
    edge.get("k").header(header, "000000000003").send().await.expect_error(403, "AccessDenied");
    edge.delete("k").header(header, "111122223333").send().await.expect_error(403, "AccessDenied");
    let copy = edge.put("copy").header("x-amz-copy-source", "bucket/k");
    let copy = copy.header("x-amz-source-expected-bucket-owner", "3");
    copy.send().await.expect_error(403, "AccessDenied");
}

#[tokio::test]
async fn session_tokens_are_refused() {
    let edge = Edge::start().await;
    let ask = edge.get("").header("x-amz-security-token", "token");
    ask.send().await.expect_error(400, "InvalidToken");
}

#[tokio::test]
async fn presigned_query_carries_headers() {
    let edge = Edge::start().await;
    let put = edge.put("k?x-amz-meta-colour=blue&x-amz-tagging=a%3Db").presigned();
    put.body("data").send().await.expect_status(200);
    let head = edge.head("k").presigned().send().await.expect_status(200);
    assert_eq!(head.header("x-amz-meta-colour"), "blue");
    assert_eq!(head.header("x-amz-tagging-count"), "1");
    let changed = edge.get("k").presigned().into_target() + "&x-amz-checksum-mode=ENABLED";
    let refused = edge.get(&changed).anonymous().send().await;
    refused.expect_error(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn unsigned_amz_header_is_refused() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let target = edge.put("other").presigned().into_target();
    let smuggled = edge.put(&target).anonymous().header("x-amz-copy-source", "bucket/k");
    smuggled.send().await.expect_error(403, "AccessDenied");
    edge.head("other").send().await.expect_status(404);
}
