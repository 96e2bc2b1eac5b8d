//! Versions on the wire: what is named where, what is refused, how they are listed.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    forms::Form,
    harness::{Answer, Edge, encode},
};

const VERSION_ID: &str = "x-amz-version-id";
const DELETE_MARKER: &str = "x-amz-delete-marker";

async fn set(edge: &Edge, status: &str) -> Answer {
    let document =
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    edge.put("?versioning").body(document).send().await
}

async fn versioned() -> Edge {
    let edge = Edge::start().await;
    set(&edge, "Enabled").await.expect_status(200);
    edge
}

/// Stores an object and names its version.
async fn stored(edge: &Edge, key: &str, body: &'static str) -> String {
    let answer = edge.put(key).body(body).send().await.expect_status(200);
    answer.header(VERSION_ID).to_owned()
}

/// Deletes a key and names the delete marker.
async fn marked(edge: &Edge, key: &str) -> String {
    let answer = edge.delete(key).send().await.expect_status(204);
    assert_eq!(answer.header(DELETE_MARKER), "true");
    answer.header(VERSION_ID).to_owned()
}

async fn delete_many(edge: &Edge, objects: &str) -> Answer {
    let document = format!("<Delete>{objects}</Delete>");
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(&document));
    let ask = edge.post("?delete").header("content-md5", &md5).body(document);
    ask.send().await.expect_status(200)
}

fn wanted(key: &str, version: Option<&str>) -> String {
    let version = version.map(|id| format!("<VersionId>{id}</VersionId>")).unwrap_or_default();
    format!("<Object><Key>{key}</Key>{version}</Object>")
}

#[tokio::test]
async fn versioning_is_enabled_and_suspended_by_documents() {
    let edge = Edge::start().await;
    let status = async || {
        let answer = edge.get("?versioning").send().await.expect_status(200);
        assert!(answer.text().contains("<VersioningConfiguration xmlns="));
        answer.element("Status")
    };
    assert_eq!(status().await, "");
    for (document, code) in [
        ("<VersioningConfiguration/>", "IllegalVersioningConfigurationException"),
        ("<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"),
        ("<Versioning><Status>Enabled</Status></Versioning>", "MalformedXML"),
        ("<VersioningConfiguration>", "MalformedXML"),
        (
            "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>x</MfaDelete>\
             </VersioningConfiguration>",
            "MalformedXML",
        ),
    ] {
        edge.put("?versioning").body(document).send().await.expect_error(400, code);
        assert_eq!(status().await, "");
    }
    for state in ["Enabled", "Suspended", "Enabled"] {
        set(&edge, state).await.expect_status(200);
        assert_eq!(status().await, state);
    }
    let disabled = "<VersioningConfiguration><Status>Suspended</Status>\
                    <MfaDelete>Disabled</MfaDelete></VersioningConfiguration>";
    edge.put("?versioning").body(disabled).send().await.expect_status(200);
    assert_eq!(status().await, "Suspended");
}

#[tokio::test]
async fn what_needs_an_mfa_device_is_refused() {
    let edge = versioned().await;
    let version = stored(&edge, "k", "data").await;
    let document = "<VersioningConfiguration><Status>Suspended</Status>\
                    <MfaDelete>Enabled</MfaDelete></VersioningConfiguration>";
    edge.put("?versioning").body(document).send().await.expect_error(403, "AccessDenied");
    let named = format!("k?versionId={version}");
    let delete = edge.delete(&named).header("x-amz-mfa", "arn:aws:iam::1:mfa/a 123456");
    delete.send().await.expect_error(403, "AccessDenied");
    edge.get(&named).send().await.expect_status(200);
    assert_eq!(edge.get("?versioning").send().await.element("Status"), "Enabled");
}

#[tokio::test]
async fn a_bucket_with_object_lock_is_versioned_for_good() {
    let edge = Edge::start().await;
    let create = edge.put("/locked-bucket").header("x-amz-bucket-object-lock-enabled", "True");
    create.send().await.expect_status(200);
    let status = edge.get("/locked-bucket?versioning").send().await.element("Status");
    assert_eq!(status, "Enabled");
    let lock = edge.get("/locked-bucket?object-lock").send().await.expect_status(200);
    assert_eq!(lock.element("ObjectLockEnabled"), "Enabled");
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let refused = edge.put("/locked-bucket?versioning").body(suspend).send().await;
    refused.expect_error(409, "InvalidBucketState");
}

#[tokio::test]
async fn answers_name_the_version_they_are_about() {
    let edge = Edge::start().await;
    assert_eq!(stored(&edge, "k", "unversioned").await, "");
    assert_eq!(edge.get("k").send().await.header(VERSION_ID), "");
    set(&edge, "Enabled").await.expect_status(200);
    assert_eq!(edge.head("k").send().await.header(VERSION_ID), "null");
    let first = stored(&edge, "k", "first").await;
    let second = stored(&edge, "k", "second").await;
    assert!(first.len() == 32 && second.len() == 32 && first < second);
    for (version, body) in [("null", "unversioned"), (&first, "first"), (&second, "second")] {
        let read = edge.get(&format!("k?versionId={version}")).send().await.expect_status(200);
        assert_eq!((read.text(), read.header(VERSION_ID)), (body, version));
        let head = edge.head(&format!("k?versionId={version}")).send().await.expect_status(200);
        assert_eq!(head.header(VERSION_ID), version);
        let length = body.len().to_string();
        assert_eq!(head.header("content-length"), length);
        let attributes = edge
            .get(&format!("k?attributes&versionId={version}"))
            .header("x-amz-object-attributes", "ObjectSize")
            .send()
            .await
            .expect_status(200);
        assert_eq!(attributes.element("ObjectSize"), length);
        assert_eq!(attributes.header(VERSION_ID), version);
        edge.get(&format!("k?acl&versionId={version}")).send().await.expect_status(200);
        let known = edge.get(&format!("k?versionId={version}"));
        let known = known.header("if-none-match", head.header("etag")).send().await;
        assert_eq!(known.expect_status(304).header(VERSION_ID), version);
    }
    assert_eq!(edge.get("k").send().await.text(), "second");
    set(&edge, "Suspended").await.expect_status(200);
    assert_eq!(stored(&edge, "k", "suspended").await, "null");
    assert_eq!(edge.get("k?versionId=null").send().await.text(), "suspended");
    assert_eq!(edge.get(&format!("k?versionId={first}")).send().await.text(), "first");
}

#[tokio::test]
async fn delete_markers_hide_keys_and_say_so() {
    let edge = versioned().await;
    let version = stored(&edge, "k", "data").await;
    let marker = marked(&edge, "k").await;
    for ask in [edge.get("k"), edge.get("k?tagging"), edge.get("k?acl")] {
        let hidden = ask.send().await.expect_error(404, "NoSuchKey");
        assert_eq!(hidden.header(DELETE_MARKER), "true");
        assert_eq!(hidden.header(VERSION_ID), marker);
        assert_eq!(hidden.element("Key"), "k");
    }
    let hidden = edge.head("k").send().await.expect_status(404);
    assert_eq!((hidden.header(DELETE_MARKER), hidden.body.len()), ("true", 0));
    let named = format!("k?versionId={marker}");
    let refused = edge.get(&named).send().await.expect_error(405, "MethodNotAllowed");
    assert_eq!((refused.header("allow"), refused.header(DELETE_MARKER)), ("DELETE", "true"));
    assert_eq!(refused.header(VERSION_ID), marker);
    assert!(refused.header("last-modified").ends_with("GMT"));
    assert_eq!(
        (refused.element("Method"), refused.element("ResourceType")),
        ("GET".into(), "DeleteMarker".into())
    );
    let refused = edge.head(&named).send().await.expect_status(405);
    assert_eq!((refused.header(DELETE_MARKER), refused.body.len()), ("true", 0));
    let copy = edge.put("copy").header("x-amz-copy-source", &format!("/bucket/{named}"));
    copy.send().await.expect_error(400, "InvalidRequest");
    let copy = edge.put("copy").header("x-amz-copy-source", "/bucket/k");
    copy.send().await.expect_error(404, "NoSuchKey");
    // Removing the marker shows what it hid.
    let removed = edge.delete(&named).send().await.expect_status(204);
    assert_eq!((removed.header(VERSION_ID), removed.header(DELETE_MARKER)), (&*marker, "true"));
    let read = edge.get("k").send().await.expect_status(200);
    assert_eq!((read.text(), read.header(VERSION_ID)), ("data", &*version));
}

#[tokio::test]
async fn versions_are_deleted_one_by_one_and_the_next_comes_up() {
    let edge = versioned().await;
    let first = stored(&edge, "k", "first").await;
    let second = stored(&edge, "k", "second").await;
    for _ in 0..2 {
        // What is gone already is no failure.
        let gone = edge.delete(&format!("k?versionId={second}")).send().await.expect_status(204);
        assert_eq!((gone.header(VERSION_ID), gone.header(DELETE_MARKER)), (&*second, ""));
    }
    assert_eq!(edge.get("k").send().await.header(VERSION_ID), first);
    let missing = edge.get(&format!("k?versionId={second}")).send().await;
    let missing = missing.expect_error(404, "NoSuchVersion");
    assert_eq!((missing.element("Key"), missing.element("VersionId")), ("k".into(), second));
    for id in ["x", "", "NULL", &"F".repeat(32)] {
        for ask in
            [edge.get(&format!("k?versionId={id}")), edge.delete(&format!("k?versionId={id}"))]
        {
            ask.send().await.expect_error(400, "InvalidArgument");
        }
    }
    let refused = edge.delete("").send().await.expect_error(409, "BucketNotEmpty");
    assert!(refused.element("Message").contains("You must delete all versions"));
    edge.delete(&format!("k?versionId={first}")).send().await.expect_status(204);
    edge.delete("").send().await.expect_status(204);
}

#[tokio::test]
async fn many_versions_are_deleted_at_once() {
    let edge = versioned().await;
    let one = stored(&edge, "k", "1").await;
    let two = stored(&edge, "k", "2").await;
    let marker = marked(&edge, "k").await;
    stored(&edge, "other", "x").await;
    let objects = [
        wanted("k", Some(&marker)),
        wanted("k", Some(&two)),
        wanted("other", None),
        wanted("none", None),
        wanted("k", Some("what")),
    ];
    let answer = delete_many(&edge, &objects.concat()).await;
    let deleted = answer.elements("Deleted");
    assert_eq!(deleted.len(), 4);
    assert_eq!(
        deleted[0],
        format!(
            "<Key>k</Key><VersionId>{marker}</VersionId><DeleteMarker>true</DeleteMarker>\
             <DeleteMarkerVersionId>{marker}</DeleteMarkerVersionId>"
        )
    );
    assert_eq!(deleted[1], format!("<Key>k</Key><VersionId>{two}</VersionId>"));
    for (found, key) in deleted[2..].iter().zip(["other", "none"]) {
        let start =
            format!("<Key>{key}</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>");
        assert!(found.starts_with(&start), "{found}");
    }
    let errors = answer.elements("Error");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("<VersionId>what</VersionId><Code>NoSuchVersion</Code>"));
    let read = edge.get("k").send().await.expect_status(200);
    assert_eq!((read.text(), read.header(VERSION_ID)), ("1", &*one));
    let quiet = format!("<Quiet>true</Quiet>{}", wanted("k", Some(&one)));
    assert_eq!(delete_many(&edge, &quiet).await.elements("Deleted").len(), 0);
    edge.get("k").send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn copies_uploads_and_forms_make_versions() {
    let edge = versioned().await;
    let old = stored(&edge, "k", "0123456789abcdef").await;
    let new = stored(&edge, "k", "new").await;
    let source = format!("/bucket/k?versionId={old}");
    let copy = edge.put("k").header("x-amz-copy-source", &source).send().await.expect_status(200);
    assert_eq!(copy.header("x-amz-copy-source-version-id"), old);
    let restored = copy.header(VERSION_ID).to_owned();
    assert!(restored != new && restored != old);
    assert_eq!(edge.get("k").send().await.text(), "0123456789abcdef");
    let missing = format!("/bucket/k?versionId={}", "0".repeat(32));
    let refused = edge.put("k").header("x-amz-copy-source", &missing).send().await;
    refused.expect_error(404, "NoSuchVersion");

    let upload = edge.post("k?uploads").send().await.element("UploadId");
    let part = edge.put(&format!("k?partNumber=1&uploadId={upload}"));
    let part = part.header("x-amz-copy-source", &source).send().await.expect_status(200);
    assert_eq!(part.header("x-amz-copy-source-version-id"), old);
    let etag = part.element("ETag");
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let target = format!("k?uploadId={upload}");
    let completed = edge.post(&target).body(document.clone()).send().await.expect_status(200);
    let uploaded = completed.header(VERSION_ID).to_owned();
    assert_eq!(edge.get("k").send().await.header(VERSION_ID), uploaded);
    // A repetition finds its own version.
    let again = edge.post(&target).body(document).send().await.expect_status(200);
    assert_eq!(again.header(VERSION_ID), uploaded);

    let form = Form::new("f").post(&edge).await.expect_status(204);
    assert_eq!(form.header(VERSION_ID).len(), 32);
}

#[tokio::test]
async fn tags_belong_to_their_version() {
    let edge = versioned().await;
    let old = stored(&edge, "k", "old").await;
    let new = stored(&edge, "k", "new").await;
    let tags = |value: &str| {
        format!("<Tagging><TagSet><Tag><Key>a</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    let target = format!("k?tagging&versionId={old}");
    let put = edge.put(&target).body(tags("old")).send().await.expect_status(200);
    assert_eq!(put.header(VERSION_ID), old);
    let put = edge.put("k?tagging").body(tags("new")).send().await.expect_status(200);
    assert_eq!(put.header(VERSION_ID), new);
    let read = edge.get(&target).send().await.expect_status(200);
    assert_eq!((read.element("Value"), read.header(VERSION_ID)), ("old".into(), &*old));
    let deleted = edge.delete(&target).send().await.expect_status(204);
    assert_eq!(deleted.header(VERSION_ID), old);
    assert_eq!(edge.get(&target).send().await.element("Value"), "");
    assert_eq!(edge.get("k?tagging").send().await.element("Value"), "new");
    let counted = edge.get(&format!("k?versionId={old}")).send().await;
    assert_eq!((counted.header("x-amz-tagging-count"), counted.text()), ("", "old"));
}

#[tokio::test]
async fn versions_are_listed_from_the_newest_on() {
    let edge = Edge::start().await;
    edge.store("a", "null").await;
    set(&edge, "Enabled").await.expect_status(200);
    let newer = stored(&edge, "a", "newer").await;
    let marker = marked(&edge, "a").await;
    let other = stored(&edge, "b", "x").await;
    let answer = edge.get("?versions").send().await.expect_status(200);
    assert!(answer.text().contains("<ListVersionsResult xmlns="));
    let ids = answer.elements("VersionId");
    assert_eq!(ids, [&*marker, &*newer, "null", &*other]);
    assert_eq!(answer.elements("IsLatest"), ["true", "false", "false", "true"]);
    assert_eq!(answer.elements("Key"), ["a", "a", "a", "b"]);
    assert_eq!(answer.elements("Size"), ["5", "4", "1"]);
    assert_eq!(answer.elements("StorageClass"), ["STANDARD"; 3]);
    assert_eq!(answer.elements("ETag").len(), 3);
    assert_eq!(answer.elements("DeleteMarker").len(), 1);
    assert_eq!(answer.elements("Owner").len(), 4);
    assert_eq!(
        (answer.element("Name"), answer.element("MaxKeys")),
        ("bucket".into(), "1000".into())
    );
    assert_eq!(answer.element("IsTruncated"), "false");
    assert_eq!(answer.elements("ChecksumAlgorithm"), ["CRC64NVME"; 3]);
    assert_eq!(answer.elements("ChecksumType"), ["FULL_OBJECT"; 3]);
}

#[tokio::test]
async fn a_listing_of_versions_goes_on_page_by_page() {
    let edge = versioned().await;
    for key in ["a/1", "a/2", "b", "b", "c%20d"] {
        stored(&edge, key, "x").await;
    }
    marked(&edge, "b").await;
    let mut found = Vec::new();
    let mut target = "?versions&delimiter=/&max-keys=1&encoding-type=url".to_owned();
    loop {
        let page = edge.get(&target).send().await.expect_status(200);
        assert_eq!(page.element("EncodingType"), "url");
        let prefixes = page.elements("CommonPrefixes");
        found.extend(prefixes.iter().map(|inner| inner.replace("Prefix>", "")));
        found.extend(page.elements("Key"));
        if page.element("IsTruncated") == "false" {
            break;
        }
        let (key, version) = (page.element("NextKeyMarker"), page.element("NextVersionIdMarker"));
        assert_eq!(version.is_empty(), !prefixes.is_empty());
        target = format!(
            "?versions&delimiter=/&max-keys=1&encoding-type=url&key-marker={key}\
             &version-id-marker={version}"
        );
    }
    assert_eq!(found, ["<a/</", "b", "b", "b", "c%20d"]);
    let all = edge.get("?versions&prefix=b").send().await.expect_status(200);
    let ids = all.elements("VersionId");
    let behind = |id: &str| format!("?versions&prefix=b&key-marker=b&version-id-marker={id}");
    let page = edge.get(&behind(&ids[0])).send().await.expect_status(200);
    assert_eq!(page.elements("VersionId"), ids[1..]);
    assert_eq!(
        (page.element("KeyMarker"), page.element("VersionIdMarker")),
        ("b".into(), ids[0].clone())
    );
    // Also behind a version that is gone.
    edge.delete(&format!("b?versionId={}", ids[1])).send().await.expect_status(204);
    let page = edge.get(&behind(&ids[1])).send().await.expect_status(200);
    assert_eq!(page.elements("VersionId"), ids[2..]);
    let page = edge.get("?versions&key-marker=b").send().await.expect_status(200);
    assert_eq!(page.elements("Key"), ["c d"]);
    let none = edge.get("?versions&max-keys=0").send().await.expect_status(200);
    assert_eq!((none.elements("Key").len(), none.element("IsTruncated")), (0, "false".into()));
}

#[tokio::test]
async fn markers_that_lead_nowhere_are_refused() {
    let edge = versioned().await;
    let version = stored(&edge, "k", "x").await;
    let refused = async |query: &str| {
        let answer = edge.get(&format!("?versions&{query}")).send().await;
        answer.expect_error(400, "InvalidArgument").element("ArgumentName")
    };
    assert_eq!(refused(&format!("version-id-marker={version}")).await, "version-id-marker");
    assert_eq!(refused("key-marker=k&version-id-marker=x").await, "version-id-marker");
    assert_eq!(refused("max-keys=-1").await, "max-keys");
    assert_eq!(refused("encoding-type=base64").await, "encoding-type");
    let odd = encode("a\u{1}b");
    stored(&edge, &format!("/bucket/{odd}"), "x").await;
    let listed = edge.get("?versions&encoding-type=url&prefix=a").send().await;
    assert_eq!(listed.element("Key"), odd);
    edge.get("/none?versions").send().await.expect_error(404, "NoSuchBucket");
}
