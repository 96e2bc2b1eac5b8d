//! Single objects: bytes, ranges, conditions, attributes, copies, tags, deletion.

use gateway_meta::{
    VersionId,
    record::{ChecksumAlgorithm, ChecksumType, SystemHeaders},
};
use gateway_object::{
    ChecksumRequest, CopyObject, DeleteError, DeleteObject, DigestKind, ETagCondition,
    ExpectedChecksum, ExpectedDigests, GetObject, MetadataDirective, ObjectAttributes,
    ObjectReadError, ObjectWriteError, PutObject, RangeRequest, ReadCondition, ResolvedRange,
    TaggingDirective, TaggingError, WriteCondition, etag_text,
};

use crate::harness::{
    BUCKET, Harness, START, body, collect, copy_request, get_request, object, put_request, sample,
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn tag(etag: &str) -> Option<ETagCondition> {
    Some(ETagCondition::Tags(vec![etag.to_owned()]))
}

fn delete_request(key: &str) -> DeleteObject {
    DeleteObject { target: object(key), version: None, if_match: None, bypass_governance: false }
}

#[tokio::test]
async fn what_was_put_is_read_back() {
    let harness = Harness::start().await;
    for len in [0, 1, 4096, 4097, 70_000, 9 << 20] {
        let bytes = sample(len, 3);
        let receipt = harness.put("key", &bytes).await;
        assert_eq!(receipt.len_bytes, len as u64);
        assert_eq!(receipt.modified, START);
        assert_eq!(harness.get("key").await.unwrap(), bytes, "{len} bytes");
    }
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn attributes_are_kept() {
    let harness = Harness::start().await;
    let attributes = ObjectAttributes {
        headers: SystemHeaders {
            content_type: Some("text/plain".to_owned()),
            ..SystemHeaders::default()
        },
        user_metadata: pairs(&[("b", "2"), ("a", "1")]),
        tags: pairs(&[("z", "26"), ("y", "")]),
        storage_class: "STANDARD_IA".to_owned(),
        ..Default::default()
    };
    let request = PutObject { attributes: attributes.clone(), ..put_request("key", b"x") };
    let receipt = harness.service.put_object(request).await.unwrap();
    let read = harness.service.head_object(get_request("key")).await.unwrap();
    let metadata = read.info.metadata;
    assert_eq!(metadata.headers, attributes.headers);
    assert_eq!(metadata.user_metadata, attributes.user_metadata);
    assert_eq!(metadata.tags, attributes.tags);
    assert_eq!(metadata.storage_class, attributes.storage_class);
    assert_eq!(etag_text(&metadata.etag), "9dd4e461268c8034f5c8564e155c67a6");
    assert_eq!(metadata.checksum, receipt.checksum);
    let checksum = metadata.checksum.unwrap();
    assert_eq!(checksum.algorithm, ChecksumAlgorithm::Crc64Nvme);
    assert_eq!(checksum.kind, ChecksumType::FullObject);
    assert_eq!(collect(read.body).await, b"");
}

#[tokio::test]
async fn a_refused_write_leaves_the_object_as_it_was() {
    let harness = Harness::start().await;
    harness.put("key", b"old").await;
    let long_key = "k".repeat(1025);
    let with = |attributes| PutObject { attributes, ..put_request("key", b"new") };
    let digest = |md5| PutObject {
        body: gateway_object::IncomingBody {
            expected: ExpectedDigests { md5: Some(md5), ..ExpectedDigests::default() },
            ..body(b"new")
        },
        ..put_request("key", b"")
    };
    let class = ObjectAttributes { storage_class: "GLACIER".to_owned(), ..Default::default() };
    let tags = ObjectAttributes { tags: pairs(&[("aws:x", "")]), ..Default::default() };
    let metadata = ObjectAttributes {
        user_metadata: pairs(&[("k", &"v".repeat(2048))]),
        ..Default::default()
    };
    let refuse = async |request| harness.service.put_object(request).await.unwrap_err();
    assert!(matches!(
        refuse(put_request(&long_key, b"new")).await,
        ObjectWriteError::KeyTooLong { len_bytes: 1025 }
    ));
    assert!(matches!(
        refuse(put_request("", b"new")).await,
        ObjectWriteError::KeyTooLong { len_bytes: 0 }
    ));
    assert!(matches!(refuse(with(class)).await, ObjectWriteError::InvalidStorageClass { .. }));
    assert!(matches!(refuse(with(tags)).await, ObjectWriteError::InvalidTag { .. }));
    assert!(matches!(
        refuse(with(metadata)).await,
        ObjectWriteError::MetadataTooLarge { len_bytes: 2049 }
    ));
    assert!(matches!(
        refuse(digest([0; 16])).await,
        ObjectWriteError::DigestMismatch { kind: DigestKind::Md5 }
    ));
    assert_eq!(harness.get("key").await.unwrap(), b"old");
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn ranges_are_read() {
    let harness = Harness::start().await;
    let bytes = sample(200_000, 9);
    harness.put("key", &bytes).await;
    for (range, start, end) in [
        (RangeRequest::From { first: 0, last: Some(0) }, 0, 1),
        (RangeRequest::From { first: 65_530, last: Some(131_080) }, 65_530, 131_081),
        (RangeRequest::From { first: 199_999, last: None }, 199_999, 200_000),
        (RangeRequest::Suffix { len_bytes: 70_000 }, 130_000, 200_000),
        (RangeRequest::Suffix { len_bytes: 1 << 40 }, 0, 200_000),
    ] {
        let request = GetObject { range: Some(range), ..get_request("key") };
        let read = harness.service.get_object(request).await.unwrap();
        let (offset_bytes, len_bytes) = (start as u64, (end - start) as u64);
        assert_eq!(read.range, Some(ResolvedRange { offset_bytes, len_bytes }));
        assert_eq!(collect(read.body).await, bytes[start..end]);
    }
    let outside = GetObject {
        range: Some(RangeRequest::From { first: 200_000, last: None }),
        ..get_request("key")
    };
    assert!(matches!(
        harness.service.get_object(outside).await,
        Err(ObjectReadError::RangeNotSatisfiable { len_bytes: 200_000 })
    ));
}

#[tokio::test]
async fn an_object_of_one_part_is_its_own_part_1() {
    let harness = Harness::start().await;
    harness.put("key", b"bytes").await;
    let part = async |number| {
        let request = GetObject { part_number: Some(number), ..get_request("key") };
        harness.service.get_object(request).await
    };
    let read = part(1).await.unwrap();
    assert_eq!(read.range, Some(ResolvedRange { offset_bytes: 0, len_bytes: 5 }));
    assert_eq!(read.part_count, None);
    assert_eq!(collect(read.body).await, b"bytes");
    assert!(matches!(part(2).await, Err(ObjectReadError::NoSuchPart { number: 2, part_count: 1 })));
    harness.put("key", b"").await;
    assert_eq!(part(1).await.unwrap().range, None);
}

#[tokio::test]
async fn versions_of_an_unversioned_bucket_are_null() {
    let harness = Harness::start().await;
    assert_eq!(harness.put("key", b"bytes").await.version, VersionId::Null);
    let read = async |key, version| {
        let request = GetObject { version: Some(version), ..get_request(key) };
        harness.service.get_object(request).await
    };
    assert_eq!(collect(read("key", VersionId::Null).await.unwrap().body).await, b"bytes");
    for (key, version) in [("key", VersionId::Id([1; 16])), ("none", VersionId::Null)] {
        assert!(matches!(read(key, version).await, Err(ObjectReadError::NoSuchVersion)));
    }
    let delete = |version| DeleteObject { version: Some(version), ..delete_request("key") };
    harness.service.delete_object(delete(VersionId::Id([1; 16]))).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), b"bytes");
    let receipt = harness.service.delete_object(delete(VersionId::Null)).await.unwrap();
    assert_eq!((receipt.version, receipt.delete_marker), (Some(VersionId::Null), false));
    assert!(matches!(harness.get("key").await, Err(ObjectReadError::NoSuchKey)));
}

#[tokio::test]
async fn a_read_under_way_survives_overwriting_and_deleting() {
    let harness = Harness::start().await;
    let bytes = sample(20 << 20, 1);
    harness.put("key", &bytes).await;
    let read = harness.service.get_object(get_request("key")).await.unwrap();
    harness.put("key", b"new").await;
    harness.service.delete_object(delete_request("key")).await.unwrap();
    assert!(collect(read.body).await == bytes);
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_what_the_directives_say() {
    let harness = Harness::start().await;
    let attributes = ObjectAttributes {
        headers: SystemHeaders {
            content_type: Some("text/plain".to_owned()),
            website_redirect_location: Some("/elsewhere".to_owned()),
            ..SystemHeaders::default()
        },
        user_metadata: pairs(&[("a", "1")]),
        tags: pairs(&[("t", "1")]),
        storage_class: "STANDARD_IA".to_owned(),
        ..Default::default()
    };
    let bytes = sample(100_000, 5);
    let put = PutObject { attributes, ..put_request("source", &bytes) };
    let original = harness.service.put_object(put).await.unwrap();
    harness.make_bucket("other").await;
    let to_other = CopyObject {
        target: gateway_object::ObjectRef { bucket: "other".to_owned(), key: "copy".to_owned() },
        ..copy_request("source", "copy")
    };
    let copied = harness.service.copy_object(to_other.clone()).await.unwrap();
    assert_eq!(copied.written.etag, original.etag);
    assert_eq!(copied.source_version, None);
    let get = GetObject { target: to_other.target.clone(), ..get_request("copy") };
    let read = harness.service.get_object(get).await.unwrap();
    let metadata = &read.info.metadata;
    assert_eq!(metadata.headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(metadata.headers.website_redirect_location, None);
    assert_eq!(metadata.user_metadata, pairs(&[("a", "1")]));
    assert_eq!(metadata.tags, pairs(&[("t", "1")]));
    assert_eq!(metadata.storage_class, "");
    assert!(collect(read.body).await == bytes);
    let replaced = CopyObject {
        metadata: MetadataDirective::Replace {
            headers: SystemHeaders::default(),
            user_metadata: pairs(&[("b", "2")]),
        },
        tagging: TaggingDirective::Replace(Vec::new()),
        checksum: Some(ChecksumAlgorithm::Sha256),
        ..copy_request("source", "replaced")
    };
    harness.service.copy_object(replaced).await.unwrap();
    let metadata =
        harness.service.head_object(get_request("replaced")).await.unwrap().info.metadata;
    assert_eq!(metadata.headers, SystemHeaders::default());
    assert_eq!(metadata.user_metadata, pairs(&[("b", "2")]));
    assert_eq!(metadata.tags, []);
    assert_eq!(metadata.checksum.unwrap().algorithm, ChecksumAlgorithm::Sha256);
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn a_copy_keeps_the_checksum_algorithm_of_its_source() {
    let harness = Harness::start().await;
    let mut put = put_request("source", b"bytes");
    put.body.expected.checksum =
        Some(ChecksumRequest { algorithm: ChecksumAlgorithm::Crc32c, expected: None });
    let original = harness.service.put_object(put).await.unwrap();
    let copied = harness.service.copy_object(copy_request("source", "copy")).await.unwrap();
    assert_eq!(copied.written.checksum, original.checksum);
}

#[tokio::test]
async fn a_declared_checksum_is_compared() {
    let harness = Harness::start().await;
    let put = |value: &[u8]| {
        let mut put = put_request("key", b"123456789");
        put.body.expected.checksum = Some(ChecksumRequest {
            algorithm: ChecksumAlgorithm::Crc32,
            expected: Some(ExpectedChecksum::Value(value.to_vec())),
        });
        harness.service.put_object(put)
    };
    put(&[0xcb, 0xf4, 0x39, 0x26]).await.unwrap();
    assert!(matches!(
        put(&[0, 0, 0, 0]).await,
        Err(ObjectWriteError::DigestMismatch {
            kind: DigestKind::Checksum(ChecksumAlgorithm::Crc32)
        })
    ));
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let harness = Harness::start().await;
    let bytes = sample(100_000, 5);
    harness.put("key", &bytes).await;
    let onto_itself = copy_request("key", "key");
    let copy = async |request| harness.service.copy_object(request).await;
    assert!(matches!(copy(onto_itself.clone()).await, Err(ObjectWriteError::SelfCopy)));
    let standard = CopyObject { storage_class: "STANDARD".to_owned(), ..onto_itself.clone() };
    assert!(matches!(copy(standard).await, Err(ObjectWriteError::SelfCopy)));
    let colder = CopyObject { storage_class: "STANDARD_IA".to_owned(), ..onto_itself.clone() };
    copy(colder).await.unwrap();
    let relabelled = CopyObject {
        metadata: MetadataDirective::Replace {
            headers: SystemHeaders::default(),
            user_metadata: pairs(&[("a", "1")]),
        },
        ..onto_itself
    };
    copy(relabelled).await.unwrap();
    assert!(harness.get("key").await.unwrap() == bytes);
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn copy_conditions_fail_as_preconditions() {
    let harness = Harness::start().await;
    let etag = etag_text(&harness.put("source", b"bytes").await.etag);
    harness.put("target", b"old").await;
    let copy = async |source, target| {
        let mut request = copy_request("source", "target");
        request.source.condition = source;
        request.condition = target;
        harness.service.copy_object(request).await
    };
    let none = WriteCondition::default;
    for condition in [
        ReadCondition { if_match: tag("other"), ..Default::default() },
        ReadCondition { if_none_match: tag(&etag), ..Default::default() },
        ReadCondition { if_modified_since: Some(START), ..Default::default() },
    ] {
        assert!(matches!(
            copy(condition, none()).await,
            Err(ObjectWriteError::Source(ObjectReadError::PreconditionFailed { .. }))
        ));
    }
    let absent = WriteCondition { if_none_match: Some(ETagCondition::Any), if_match: None };
    assert!(matches!(
        copy(ReadCondition::default(), absent).await,
        Err(ObjectWriteError::PreconditionFailed { condition: "If-None-Match" })
    ));
    assert_eq!(harness.get("target").await.unwrap(), b"old");
    let holds = ReadCondition { if_match: tag(&etag), ..Default::default() };
    copy(holds, none()).await.unwrap();
    assert_eq!(harness.get("target").await.unwrap(), b"bytes");
    let missing = harness.service.copy_object(copy_request("none", "target")).await;
    assert!(matches!(missing, Err(ObjectWriteError::Source(ObjectReadError::NoSuchKey))));
}

#[tokio::test]
async fn tags_are_replaced_without_touching_the_rest() {
    let harness = Harness::start().await;
    harness.put("key", b"bytes").await;
    let before = harness.service.head_object(get_request("key")).await.unwrap().info;
    harness.clock.advance_ms(5000);
    let service = &harness.service;
    let target = object("key");
    let tags = pairs(&[("a", "1"), ("b", "")]);
    service.put_object_tags(&target, None, tags.clone()).await.unwrap();
    assert_eq!(service.object_tags(&target, None).await.unwrap(), (VersionId::Null, tags));
    let after = service.head_object(get_request("key")).await.unwrap().info;
    assert_eq!(after.modified, before.modified);
    assert_eq!(after.metadata.etag, before.metadata.etag);
    service.put_object_tags(&target, Some(VersionId::Null), Vec::new()).await.unwrap();
    assert_eq!(service.object_tags(&target, None).await.unwrap().1, []);
    assert!(matches!(
        service.put_object_tags(&target, None, pairs(&[("", "1")])).await,
        Err(TaggingError::InvalidTag { .. })
    ));
    assert!(matches!(
        service.put_object_tags(&object("none"), None, Vec::new()).await,
        Err(TaggingError::Object(ObjectReadError::NoSuchKey))
    ));
    assert_eq!(harness.get("key").await.unwrap(), b"bytes");
}

#[tokio::test]
async fn deleting_is_idempotent_and_conditional_on_request() {
    let harness = Harness::start().await;
    let etag = etag_text(&harness.put("key", b"bytes").await.etag);
    let delete = async |if_match| {
        let request = DeleteObject { if_match, ..delete_request("key") };
        harness.service.delete_object(request).await
    };
    assert!(matches!(delete(tag("other")).await, Err(DeleteError::PreconditionFailed)));
    delete(tag(&etag)).await.unwrap();
    delete(None).await.unwrap();
    assert!(matches!(delete(Some(ETagCondition::Any)).await, Err(DeleteError::NoSuchKey)));
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn many_keys_are_deleted_at_once() {
    let harness = Harness::start().await;
    for index in 0..600 {
        harness.put(&format!("key {index}"), b"bytes").await;
    }
    let mut requests: Vec<_> =
        (0..1000).map(|index| delete_request(&format!("key {}", index % 700))).collect();
    requests[3].if_match = tag("other");
    requests[703].if_match = Some(ETagCondition::Any);
    requests[4].target.key = "k".repeat(1025);
    let outcomes = harness.service.delete_objects(BUCKET, requests).await.unwrap();
    for (index, outcome) in outcomes.iter().enumerate() {
        match index {
            3 => assert!(matches!(outcome, Err(DeleteError::PreconditionFailed))),
            4 => assert!(matches!(outcome, Err(DeleteError::KeyTooLong { .. }))),
            _ => assert!(outcome.is_ok(), "{index}: {outcome:?}"),
        }
    }
    assert!(matches!(harness.get("key 3").await, Err(ObjectReadError::NoSuchKey)));
    assert!(matches!(harness.get("key 599").await, Err(ObjectReadError::NoSuchKey)));
    harness.assert_usage_is_right().await;
    harness.service.delete_bucket(BUCKET).await.unwrap();
}

#[tokio::test]
async fn a_service_that_was_shut_down_refuses_work() {
    let harness = Harness::start().await;
    harness.put("key", b"bytes").await;
    harness.service.shutdown().await;
    assert!(matches!(
        harness.get("key").await,
        Err(ObjectReadError::Fault(gateway_object::Fault::ShuttingDown))
    ));
    harness.service.shutdown().await;
}
