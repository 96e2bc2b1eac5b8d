//! Which operation a request is, and that nothing else is.

use http::Method;

use crate::harness::{BUCKET, Edge};

#[tokio::test]
async fn unknown_subresource_does_not_delete_the_bucket() {
    let edge = Edge::start().await;
    for query in ["?nosuch", "?nosuch=1", "?replication", "?inventory", "?versionId=null"] {
        edge.delete(query).send().await.expect_error(501, "NotImplemented");
    }
    edge.head("").send().await.expect_status(200);
}

#[tokio::test]
async fn unknown_subresource_does_not_write() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for query in ["?nosuch", "?acl", "?select", "?torrent", "?restore"] {
        let target = format!("k{query}");
        edge.put(&target).body("other").send().await.expect_error(501, "NotImplemented");
        edge.delete(&target).send().await.expect_error(501, "NotImplemented");
        edge.post(&target).send().await.expect_error(501, "NotImplemented");
    }
    assert_eq!(edge.get("k").send().await.expect_status(200).body, "data");
}

#[tokio::test]
async fn unknown_subresource_is_not_listed_or_read() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for query in ["?nosuch", "?notification", "?replication", "?inventory", "?publicAccessBlock"] {
        edge.get(query).send().await.expect_error(501, "NotImplemented");
    }
    edge.get("k?torrent").send().await.expect_error(501, "NotImplemented");
    edge.get("k?harmless=1").send().await.expect_status(200);
}

#[tokio::test]
async fn x_id_does_not_choose_the_operation() {
    let edge = Edge::start().await;
    edge.put("k?x-id=DeleteObject").body("data").send().await.expect_status(200);
    let got = edge.get("k?x-id=GetObjectTagging").send().await.expect_status(200);
    assert_eq!(got.body, "data");
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let edge = Edge::start().await;
    edge.request(Method::PATCH, "k").send().await.expect_error(405, "MethodNotAllowed");
    edge.post("").send().await.expect_error(405, "MethodNotAllowed");
}

#[tokio::test]
async fn virtual_host_style_names_the_bucket_in_the_host() {
    let config = gateway_s3::S3EdgeConfig {
        domains: vec!["s3.example.com".to_owned()],
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    let host = format!("{BUCKET}.s3.example.com:9000");
    edge.put("/k").host(&host).body("data").send().await.expect_status(200);
    assert_eq!(edge.get("k").send().await.expect_status(200).body, "data");
    let listed = edge.get("/?list-type=2").host(&host).send().await.expect_status(200);
    assert_eq!(listed.elements("Key"), ["k"]);
    let path_style = edge.get(&format!("/{BUCKET}/k")).host("s3.example.com").send().await;
    assert_eq!(path_style.expect_status(200).body, "data");
}

#[tokio::test]
async fn buckets_are_made_found_and_removed() {
    let edge = Edge::start().await;
    let head = edge.head("").send().await.expect_status(200);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    edge.put("").send().await.expect_error(409, "BucketAlreadyOwnedByYou");
    edge.put("/Bad_Name").send().await.expect_error(400, "InvalidBucketName");
    edge.store("k", "data").await;
    edge.delete("").send().await.expect_error(409, "BucketNotEmpty");
    edge.delete("k").send().await.expect_status(204);
    edge.delete("").send().await.expect_status(204);
    edge.head("").send().await.expect_status(404);
}

#[tokio::test]
async fn location_is_null_for_us_east_1() {
    let edge = Edge::start().await;
    let answer = edge.get("?location").send().await.expect_status(200);
    assert!(answer.text().ends_with(
        "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>"
    ));
}

#[tokio::test]
async fn location_constraint_must_be_the_region() {
    let config = gateway_s3::S3EdgeConfig {
        region: "eu-west-3".to_owned(),
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    let body = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let put = |region| edge.put("/other").body(body(region)).signed_for("eu-west-3", "s3");
    let wrong = put("us-west-2").send().await;
    wrong.expect_error(400, "IllegalLocationConstraintException");
    put("eu-west-3").send().await.expect_status(200);
    let ask = edge.get("/other?location").signed_for("eu-west-3", "s3");
    let answer = ask.send().await.expect_status(200);
    assert!(answer.text().contains(">eu-west-3</LocationConstraint>"));
}

#[tokio::test]
async fn versioning_was_never_enabled() {
    let edge = Edge::start().await;
    let answer = edge.get("?versioning").send().await.expect_status(200);
    assert!(answer.text().contains("<VersioningConfiguration"));
    assert_eq!(answer.elements("Status"), [""; 0]);
    edge.put("?versioning").body("<V/>").send().await.expect_error(400, "MalformedXML");
}

#[tokio::test]
async fn acl_says_that_the_owner_has_everything() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    for target in ["?acl", "k?acl"] {
        let answer = edge.get(target).send().await.expect_status(200);
        assert_eq!(answer.elements("Permission"), ["FULL_CONTROL"]);
        let ids = answer.elements("ID");
        assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    }
    edge.get("missing?acl").send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let edge = Edge::start().await;
    for name in ["a-one", "a-two", "b-one"] {
        edge.put(&format!("/{name}")).send().await.expect_status(200);
    }
    let all = edge.get("/").send().await.expect_status(200);
    assert_eq!(all.elements("Name"), ["a-one", "a-two", "b-one", BUCKET]);
    let first = edge.get("/?prefix=a-&max-buckets=1").send().await.expect_status(200);
    assert_eq!(first.elements("Name"), ["a-one"]);
    assert_eq!(first.element("Prefix"), "a-");
    let token = first.element("ContinuationToken");
    let next = format!("/?prefix=a-&max-buckets=1&continuation-token={token}");
    let second = edge.get(&next).send().await.expect_status(200);
    assert_eq!(second.elements("Name"), ["a-two"]);
    assert_eq!(second.element("ContinuationToken"), "");
    let garbage = edge.get("/?continuation-token=x").send().await;
    garbage.expect_error(400, "InvalidArgument");
}
