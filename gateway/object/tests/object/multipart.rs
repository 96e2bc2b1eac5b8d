//! Multipart uploads.

use std::sync::Arc;

use futures::{StreamExt, stream};
use gateway_meta::{
    RocksConfig, RocksMetaStore, VersionId,
    record::{ChecksumAlgorithm, ChecksumType, SystemHeaders},
};
use gateway_object::{
    ChecksumRequest, CompletePart, CompleteUpload, CopySource, CreateUpload, ETagCondition,
    ExpectedChecksum, GetObject, ListParts, MultipartError, ObjectAttributes, ObjectConfig,
    ObjectReadError, ObjectWriteError, PartReceipt, RangeRequest, ReadCondition, ResolvedRange,
    UploadPart, UploadPartCopy, UploadRef, WriteCondition, etag_text,
};
use md5::{Digest, Md5};

use crate::harness::{
    Harness, PART_MIN, body, collect, complete_request, create_upload, get_request, hex, object,
    sample, upload_ref,
};

#[tokio::test]
async fn parts_become_an_object() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let bytes = [sample(100, 1), sample(70_000, 2), sample(5000, 3), Vec::new()];
    let mut receipts = Vec::new();
    for (number, bytes) in [2, 4, 7, 9].into_iter().zip(&bytes) {
        receipts.push((number, harness.upload_part(&upload, number, bytes).await.unwrap()));
    }
    let listed: Vec<_> = receipts.iter().map(|(number, receipt)| (*number, receipt)).collect();
    let receipt = harness.complete(&upload, &listed).await.unwrap();
    let md5s = bytes.each_ref().map(|bytes| <[u8; 16]>::from(Md5::digest(bytes))).concat();
    assert_eq!(etag_text(&receipt.etag), format!("{}-4", hex(&Md5::digest(md5s))));
    let whole = bytes.concat();
    assert_eq!(receipt.len_bytes, whole.len() as u64);
    assert!(harness.get("key").await.unwrap() == whole);
    let range = RangeRequest::From { first: 90, last: Some(70_110) };
    let request = GetObject { range: Some(range), ..get_request("key") };
    let read = harness.service.get_object(request).await.unwrap();
    assert!(collect(read.body).await == whole[90..=70_110]);
    let checksum = receipt.checksum.unwrap();
    assert_eq!(checksum.kind, ChecksumType::FullObject);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
    assert_eq!(checksum.value, crc.to_be_bytes());
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn a_part_of_a_completed_object_is_read_by_its_number() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let first = harness.upload_part(&upload, 2, &sample(100, 1)).await.unwrap();
    let second = harness.upload_part(&upload, 5, &sample(50, 2)).await.unwrap();
    harness.complete(&upload, &[(2, &first), (5, &second)]).await.unwrap();
    let part = async |number| {
        let request = GetObject { part_number: Some(number), ..get_request("key") };
        harness.service.get_object(request).await
    };
    let read = part(5).await.unwrap();
    assert_eq!(read.range, Some(ResolvedRange { offset_bytes: 100, len_bytes: 50 }));
    assert_eq!(read.part_count, Some(2));
    assert_eq!(collect(read.body).await, sample(50, 2));
    assert!(matches!(part(1).await, Err(ObjectReadError::NoSuchPart { number: 1, part_count: 2 })));
    let (_, page) = harness.service.object_parts(get_request("key"), 2, 9).await.unwrap();
    assert_eq!((page.parts.len(), page.parts[0].number), (1, 5));
    assert_eq!((page.total_part_count, page.truncated), (Some(2), false));
    let (_, page) = harness.service.object_parts(get_request("key"), 0, 1).await.unwrap();
    assert_eq!((page.parts.len(), page.truncated), (1, true));
    assert!(page.parts[0].checksum.is_some());
    harness.put("whole", b"bytes").await;
    let (_, page) = harness.service.object_parts(get_request("whole"), 0, 9).await.unwrap();
    assert_eq!((page.parts.len(), page.total_part_count), (0, None));
}

#[tokio::test]
async fn the_upload_attributes_become_the_objects() {
    let harness = Harness::start().await;
    let attributes = ObjectAttributes {
        headers: SystemHeaders {
            content_type: Some("text/plain".to_owned()),
            ..SystemHeaders::default()
        },
        user_metadata: vec![("a".to_owned(), "1".to_owned())],
        tags: vec![("t".to_owned(), "1".to_owned())],
        storage_class: "GLACIER_IR".to_owned(),
        ..Default::default()
    };
    let create = CreateUpload { attributes, ..create_upload("key") };
    let made = harness.service.create_upload(create).await.unwrap();
    let upload = upload_ref("key", made.upload);
    let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
    harness.complete(&upload, &[(1, &part)]).await.unwrap();
    let found = harness.service.head_object(get_request("key")).await.unwrap().info.metadata;
    assert_eq!(found.headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(found.user_metadata, [("a".to_owned(), "1".to_owned())]);
    assert_eq!(found.tags, [("t".to_owned(), "1".to_owned())]);
    assert_eq!(found.storage_class, "GLACIER_IR");
}

#[tokio::test]
async fn wrong_completions_are_refused_and_leave_the_upload() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let small = harness.upload_part(&upload, 1, b"small").await.unwrap();
    let large = harness.upload_part(&upload, 2, &sample(100, 1)).await.unwrap();
    let complete =
        async |parts: &[(u16, &PartReceipt)]| harness.complete(&upload, parts).await.unwrap_err();
    assert!(matches!(complete(&[]).await, MultipartError::NoParts));
    assert!(matches!(
        complete(&[(2, &large), (1, &small)]).await,
        MultipartError::InvalidPartOrder
    ));
    assert!(matches!(
        complete(&[(2, &large), (2, &large)]).await,
        MultipartError::InvalidPartOrder
    ));
    for (number, receipt) in [(3, &large), (2, &small), (0, &large), (10_001, &large)] {
        let error = complete(&[(number, receipt)]).await;
        assert!(
            matches!(&error, MultipartError::InvalidPart(part) if part.number == number),
            "{error}"
        );
    }
    assert!(matches!(
        complete(&[(1, &small), (2, &large)]).await,
        MultipartError::PartTooSmall { number: 1, len_bytes: 5, minimum_bytes: PART_MIN, .. }
    ));
    let request =
        CompleteUpload { object_len_bytes: Some(99), ..complete_request(&upload, &[(2, &large)]) };
    assert!(matches!(
        harness.service.complete_upload(request).await,
        Err(MultipartError::LengthMismatch { actual_bytes: 100 })
    ));
    harness.assert_usage_is_right().await;
    // Part 1 is not listed, so it goes.
    harness.complete(&upload, &[(2, &large)]).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), sample(100, 1));
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn a_completion_may_be_repeated_while_its_object_lives() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
    let first = harness.complete(&upload, &[(1, &part)]).await.unwrap();
    harness.clock.advance_ms(1000);
    let request = CompleteUpload {
        condition: WriteCondition { if_none_match: Some(ETagCondition::Any), if_match: None },
        ..complete_request(&upload, &[(1, &part)])
    };
    let again = harness.service.complete_upload(request).await.unwrap();
    assert_eq!((again.etag, again.modified), (first.etag, first.modified));
    harness.put("key", b"new").await;
    assert!(matches!(
        harness.complete(&upload, &[(1, &part)]).await,
        Err(MultipartError::NoSuchUpload)
    ));
}

#[tokio::test]
async fn completions_obey_conditions() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
    harness.put("key", b"in the way").await;
    let request = CompleteUpload {
        condition: WriteCondition { if_none_match: Some(ETagCondition::Any), if_match: None },
        ..complete_request(&upload, &[(1, &part)])
    };
    assert!(matches!(
        harness.service.complete_upload(request).await,
        Err(MultipartError::Write(ObjectWriteError::PreconditionFailed { .. }))
    ));
    assert_eq!(harness.get("key").await.unwrap(), b"in the way");
    harness.complete(&upload, &[(1, &part)]).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), b"bytes");
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn a_part_is_replaced_by_its_successor() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let old = harness.upload_part(&upload, 1, b"old").await.unwrap();
    let new = harness.upload_part(&upload, 1, b"newer").await.unwrap();
    harness.assert_usage_is_right().await;
    assert!(matches!(
        harness.complete(&upload, &[(1, &old)]).await,
        Err(MultipartError::InvalidPart(_))
    ));
    harness.complete(&upload, &[(1, &new)]).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), b"newer");
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let part = harness.upload_part(&upload, 3, b"bytes").await.unwrap();
    harness.service.abort_upload(upload.clone()).await.unwrap();
    harness.assert_usage_is_right().await;
    assert!(matches!(
        harness.service.abort_upload(upload.clone()).await,
        Err(MultipartError::NoSuchUpload)
    ));
    assert!(matches!(
        harness.upload_part(&upload, 1, b"x").await,
        Err(ObjectWriteError::NoSuchUpload)
    ));
    assert!(matches!(
        harness.complete(&upload, &[(3, &part)]).await,
        Err(MultipartError::NoSuchUpload)
    ));
    assert!(matches!(harness.get("key").await, Err(ObjectReadError::NoSuchKey)));
}

#[tokio::test]
async fn an_upload_belongs_to_its_key() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    let wrong = UploadRef { target: object("other"), upload: upload.upload };
    assert!(matches!(
        harness.upload_part(&wrong, 1, b"x").await,
        Err(ObjectWriteError::NoSuchUpload)
    ));
    for number in [0, 10_001] {
        assert!(matches!(
            harness.upload_part(&upload, number, b"x").await,
            Err(ObjectWriteError::InvalidPartNumber { .. })
        ));
    }
}

#[tokio::test]
async fn parts_are_listed() {
    let harness = Harness::start().await;
    let upload = harness.create_upload("key").await;
    for number in [1, 2, 500, 10_000] {
        harness.upload_part(&upload, number, &sample(usize::from(number), 0)).await.unwrap();
    }
    let list = async |after, limit| {
        let request = ListParts { upload: upload.clone(), after, limit };
        let page = harness.service.list_parts(request).await.unwrap();
        let numbers: Vec<u16> = page.parts.iter().map(|part| part.number).collect();
        (numbers, page.truncated)
    };
    assert_eq!(list(0, 3).await, (vec![1, 2, 500], true));
    assert_eq!(list(2, 3).await, (vec![500, 10_000], false));
    assert_eq!(list(10_000, 3).await, (vec![], false));
    assert_eq!(list(0, 0).await, (vec![], false));
    let gone = ListParts { upload: upload_ref("other", upload.upload), after: 0, limit: 1 };
    assert!(matches!(harness.service.list_parts(gone).await, Err(MultipartError::NoSuchUpload)));
}

#[tokio::test]
async fn parts_are_copied_from_ranges_of_objects() {
    let harness = Harness::start().await;
    let bytes = sample(100_000, 4);
    harness.put("source", &bytes).await;
    let upload = harness.create_upload("key").await;
    let copy = async |number, range| {
        let request = UploadPartCopy {
            upload: upload.clone(),
            number,
            source: CopySource {
                object: object("source"),
                version: None,
                condition: ReadCondition::default(),
                customer_key: None,
            },
            range,
            customer_key: None,
        };
        harness.service.upload_part_copy(request).await
    };
    let range = |first, last| Some(RangeRequest::From { first, last: Some(last) });
    let first = copy(1, range(1000, 69_999)).await.unwrap();
    let second = copy(2, None).await.unwrap();
    assert_eq!(second.source_version, None);
    assert!(matches!(
        copy(3, range(0, 100_000)).await,
        Err(ObjectWriteError::InvalidCopyRange { len_bytes: 100_000 })
    ));
    harness.complete(&upload, &[(1, &first), (2, &second)]).await.unwrap();
    assert!(harness.get("key").await.unwrap() == [&bytes[1000..70_000], &bytes].concat());
    let info = harness.service.head_object(get_request("key")).await.unwrap().info;
    assert_eq!(info.version, VersionId::Null);
    harness.assert_usage_is_right().await;
}

/// An upload with a checksum, and two parts of it.
async fn with_checksum(
    harness: &Harness,
    checksum: (ChecksumAlgorithm, Option<ChecksumType>),
) -> (UploadRef, PartReceipt, PartReceipt) {
    let create = CreateUpload { checksum: Some(checksum), ..create_upload("key") };
    let made = harness.service.create_upload(create).await.unwrap();
    let upload = upload_ref("key", made.upload);
    let first = harness.upload_part(&upload, 1, b"0123456789abcdef").await.unwrap();
    let second = harness.upload_part(&upload, 2, b"end").await.unwrap();
    (upload, first, second)
}

#[tokio::test]
async fn composite_checksums_cover_the_parts_checksums() {
    let harness = Harness::start().await;
    let (upload, first, second) = with_checksum(&harness, (ChecksumAlgorithm::Sha256, None)).await;
    let values = [&first, &second].map(|part| part.checksum.clone().unwrap().value);
    assert_eq!(values[1].len(), 32);
    let mut request = complete_request(&upload, &[(1, &first), (2, &second)]);
    request.checksum_type = Some(ChecksumType::FullObject);
    assert!(matches!(
        harness.service.complete_upload(request.clone()).await,
        Err(MultipartError::InvalidChecksumType)
    ));
    request.checksum_type = None;
    let wrong = CompletePart {
        checksum: Some((ChecksumAlgorithm::Sha256, vec![0; 32])),
        ..request.parts[1].clone()
    };
    let wrong = CompleteUpload { parts: vec![request.parts[0].clone(), wrong], ..request.clone() };
    assert!(matches!(
        harness.service.complete_upload(wrong).await,
        Err(MultipartError::InvalidPart(part)) if part.number == 2
    ));
    for (part, value) in request.parts.iter_mut().zip(values) {
        part.checksum = Some((ChecksumAlgorithm::Sha256, value));
    }
    let checksum = harness.service.complete_upload(request).await.unwrap().checksum.unwrap();
    assert_eq!(checksum.kind, ChecksumType::Composite);
    assert_eq!(checksum.part_count, Some(2));
    let (_, page) = harness.service.object_parts(get_request("key"), 0, 9).await.unwrap();
    assert_eq!(
        page.parts[0].checksum,
        Some((ChecksumAlgorithm::Sha256, first.checksum.unwrap().value))
    );
}

#[tokio::test]
async fn full_object_checksums_are_compared_with_the_declared_one() {
    let harness = Harness::start().await;
    let asked = (ChecksumAlgorithm::Crc32, Some(ChecksumType::FullObject));
    let (upload, first, second) = with_checksum(&harness, asked).await;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, b"0123456789abcdefend");
    let crc = u32::try_from(crc).unwrap().to_be_bytes().to_vec();
    let mut request = complete_request(&upload, &[(1, &first), (2, &second)]);
    request.checksum = Some((ChecksumAlgorithm::Crc32, vec![0; 4]));
    assert!(matches!(
        harness.service.complete_upload(request.clone()).await,
        Err(MultipartError::ChecksumMismatch(ChecksumAlgorithm::Crc32))
    ));
    request.checksum = Some((ChecksumAlgorithm::Crc32c, crc.clone()));
    assert!(matches!(
        harness.service.complete_upload(request.clone()).await,
        Err(MultipartError::InvalidChecksumType)
    ));
    request.checksum = Some((ChecksumAlgorithm::Crc32, crc.clone()));
    let receipt = harness.service.complete_upload(request).await.unwrap();
    assert_eq!(receipt.checksum.unwrap().value, crc);
}

#[tokio::test]
async fn parts_agree_with_the_uploads_checksum() {
    let harness = Harness::start().await;
    let (upload, ..) = with_checksum(&harness, (ChecksumAlgorithm::Crc32c, None)).await;
    let part = async |algorithm, value: &[u8]| {
        let mut body = body(b"123456789");
        let expected = Some(ExpectedChecksum::Value(value.to_vec()));
        body.expected.checksum = Some(ChecksumRequest { algorithm, expected });
        let request = UploadPart { upload: upload.clone(), number: 1, body, customer_key: None };
        harness.service.upload_part(request).await
    };
    part(ChecksumAlgorithm::Crc32c, &[0xe3, 0x06, 0x92, 0x83]).await.unwrap();
    assert!(matches!(
        part(ChecksumAlgorithm::Crc32c, &[0; 4]).await,
        Err(ObjectWriteError::DigestMismatch { .. })
    ));
    assert!(matches!(
        part(ChecksumAlgorithm::Crc32, &[0xcb, 0xf4, 0x39, 0x26]).await,
        Err(ObjectWriteError::ChecksumAlgorithmMismatch { expected: ChecksumAlgorithm::Crc32c })
    ));
    let impossible = (ChecksumAlgorithm::Sha1, Some(ChecksumType::FullObject));
    let create = CreateUpload { checksum: Some(impossible), ..create_upload("key") };
    assert!(matches!(
        harness.service.create_upload(create).await,
        Err(MultipartError::InvalidChecksumType)
    ));
}

/// Over the engine that servers use, because the commit is the largest there is.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_parts_become_an_object() {
    let directory = tempfile::tempdir().unwrap();
    let meta = RocksMetaStore::open(RocksConfig::new(directory.path())).unwrap();
    let harness = Harness::start_over(Arc::new(meta), ObjectConfig::default()).await;
    let upload = harness.create_upload("key").await;
    let bytes = sample(PART_MIN as usize, 1);
    let receipts: Vec<(u16, PartReceipt)> = stream::iter(1..=10_000)
        .map(async |number| (number, harness.upload_part(&upload, number, &bytes).await.unwrap()))
        .buffered(64)
        .collect()
        .await;
    let listed: Vec<_> = receipts.iter().map(|(number, receipt)| (*number, receipt)).collect();
    let started = std::time::Instant::now();
    let receipt = harness.complete(&upload, &listed).await.unwrap();
    println!("completed 10,000 parts in {:?}", started.elapsed());
    assert_eq!(receipt.etag.part_count, Some(10_000));
    let request = GetObject { part_number: Some(10_000), ..get_request("key") };
    let read = harness.service.get_object(request).await.unwrap();
    assert_eq!(read.part_count, Some(10_000));
    assert_eq!(collect(read.body).await, bytes);
    harness.assert_usage_is_right().await;
    let aborted = harness.create_upload("key").await;
    for number in [1, 10_000] {
        harness.upload_part(&aborted, number, &bytes).await.unwrap();
    }
    harness.service.abort_upload(aborted).await.unwrap();
    harness.assert_usage_is_right().await;
    harness.service.shutdown().await;
}
