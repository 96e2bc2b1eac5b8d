//! Which operation a request is: method, path and query, nothing else.

use crate::Fixture;

/// Sub-resources of buckets that S3 has and this server does not, and one that nobody has.
const BUCKET_SUBRESOURCES: [&str; 7] = [
    "nosuch",
    "inventory&id=1",
    "metadataTable",
    "notification",
    "ownershipControls",
    "publicAccessBlock",
    "replication",
];

/// The same for objects.
const OBJECT_SUBRESOURCES: [&str; 4] = ["nosuch", "torrent", "select&select-type=2", "restore"];

#[test]
fn an_unknown_bucket_subresource_is_not_implemented() {
    let s3 = Fixture::new();
    for name in BUCKET_SUBRESOURCES {
        for method in ["DELETE", "PUT", "POST"] {
            let answer = s3.wire.request(method, &s3.at(&format!("?{name}"))).send();
            answer.expect_error(501, "NotImplemented");
        }
        s3.wire.head(&s3.at("")).send().expect_status(200);
    }
    for name in &BUCKET_SUBRESOURCES[1..] {
        let answer = s3.wire.get(&s3.at(&format!("?{name}"))).send();
        answer.expect_error(501, "NotImplemented");
    }
}

#[test]
fn an_unknown_object_subresource_is_not_implemented() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    for name in OBJECT_SUBRESOURCES {
        for method in ["DELETE", "PUT", "POST"] {
            let request = s3.wire.request(method, &s3.at(&format!("/k?{name}"))).body("other");
            request.send().expect_error(501, "NotImplemented");
        }
        s3.expect_body("k", "data");
    }
}

#[test]
fn x_id_does_not_choose_the_operation() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    s3.wire.put(&s3.at("/k?x-id=DeleteObject")).body("new").send().expect_status(200);
    s3.expect_body("k", "new");
    for operation in ["GetObjectTagging", "ListObjectsV2", "PutObject", "NoSuchOperation"] {
        let answer = s3.wire.get(&s3.at(&format!("/k?x-id={operation}"))).send().status_is(200);
        assert_eq!(answer.body, "new", "{operation}");
    }
    let listed = s3.wire.get(&s3.at("?x-id=GetBucketLocation")).send().status_is(200);
    assert_eq!(listed.elements("Key"), ["k"]);
    s3.wire.delete(&s3.at("/k?x-id=GetObject")).send().expect_status(204);
    s3.expect_absent("k");
    let _ = s3.wire.put(&s3.at("?x-id=DeleteBucket")).send();
    s3.wire.head(&s3.at("?x-id=DeleteBucket")).send().expect_status(200);
}

#[test]
fn bucket_names_follow_the_rules() {
    let s3 = Fixture::new();
    let long = "a".repeat(64);
    let illegal = [
        "ab",
        "Upper",
        "under_score",
        "-dash",
        "dash-",
        "two..dots",
        ".dot",
        "192.168.5.4",
        "xn--punycode",
        "name-s3alias",
        &long,
    ];
    for name in illegal {
        s3.wire.put(&format!("/{name}")).send().expect_error(400, "InvalidBucketName");
    }
}

#[test]
fn a_location_constraint_must_be_the_region() {
    let s3 = Fixture::new();
    let body = |region: &str| {
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    let other = s3.at("-other");
    let answer = s3.wire.put(&other).body(body("mars-north-1")).send();
    answer.expect_status(400);
    s3.wire.head(&other).send().expect_status(404);
    s3.wire.put(&other).body("<not xml").send().expect_error(400, "MalformedXML");
    s3.wire.head(&other).send().expect_status(404);
}

#[test]
fn delete_objects_wants_a_digest_of_its_body() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let request = s3.wire.post(&s3.at("?delete")).body(body);
    request.clone().send().expect_error(400, "InvalidRequest");
    let wrong = compat_tests::encoding::content_md5(b"other");
    request.clone().header("content-md5", &wrong).send().expect_error(400, "BadDigest");
    s3.expect_body("k", "data");
    let right = compat_tests::encoding::content_md5(body.as_bytes());
    let answer = request.header("content-md5", &right).send().status_is(200);
    assert_eq!(answer.elements("Key"), ["k"]);
    s3.expect_absent("k");
}

#[test]
fn malformed_xml_is_refused() {
    let s3 = Fixture::new();
    let upload = s3.wire.post(&s3.at("/k?uploads")).send().status_is(200);
    let id = upload.element("UploadId").expect("an upload has an id");
    let complete = s3.at(&format!("/k?uploadId={id}"));
    for body in
        ["", "no xml", "<Delete><Object>", "<Other/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete/>"]
    {
        let md5 = compat_tests::encoding::content_md5(body.as_bytes());
        for target in [&s3.at("?delete"), &complete] {
            let request = s3.wire.post(target).header("content-md5", &md5).body(body);
            let answer = request.send();
            assert_eq!(answer.status, 400, "{body:?} to {target}: {answer:?}");
        }
        let tags = s3.wire.put(&s3.at("/k?tagging")).header("content-md5", &md5).body(body);
        assert_eq!(tags.send().status, 400, "{body:?} as tags");
    }
}

#[test]
fn an_object_of_an_unversioned_bucket_is_version_null() {
    let s3 = Fixture::new();
    s3.put("k", "data");
    let answer = s3.wire.get(&s3.at("/k?versionId=null")).send().status_is(200);
    assert_eq!(answer.body, "data");
    assert_eq!(answer.header("x-amz-version-id"), None);
    let unknown = s3.wire.get(&s3.at("/k?versionId=unknown")).send();
    assert!([400, 404].contains(&unknown.status), "{unknown:?}");
}

#[test]
fn list_buckets_is_the_answer_to_the_root() {
    let s3 = Fixture::new();
    let answer = s3.wire.get("/").send().status_is(200);
    assert!(answer.elements("Name").contains(&s3.bucket));
    assert!(answer.element("ID").is_some_and(|id| !id.is_empty()));
    for method in ["PUT", "POST", "DELETE"] {
        let answer = s3.wire.request(method, "/").send();
        assert!((400..=501).contains(&answer.status), "{method}: {answer:?}");
    }
}
