use std::fmt::Write as _;

use gateway_meta::record::ChecksumAlgorithm;
use gateway_object::InvalidPart;

use super::*;
use crate::error::ErrorPlace;

fn bucket() -> String {
    "b".to_owned()
}

fn faults() -> Vec<Fault> {
    let reason = || "secret path /x".to_owned();
    vec![
        Fault::Busy,
        Fault::TooFewDevices { up: 3, needed: 4 },
        Fault::StorageFull,
        Fault::Unreadable { stripe_index: 1, readable: 2, needed: 4 },
        Fault::MetadataUnavailable { reason: reason() },
        Fault::Indeterminate { reason: reason() },
        Fault::Corrupt { reason: reason() },
        Fault::ShuttingDown,
    ]
}

fn rejected(code: Code) -> BodyError {
    BodyError::Rejected { source: Box::new(Failure::new(code)) }
}

fn write_errors() -> Vec<ObjectWriteError> {
    use ObjectWriteError as E;
    vec![
        E::NoSuchBucket { bucket: bucket() },
        E::NoSuchKey,
        E::KeyTooLong { len_bytes: 1025 },
        E::PreconditionFailed { condition: "If-Match" },
        E::Conflict,
        E::Body(BodyError::Truncated),
        E::Body(BodyError::TimedOut),
        E::Body(rejected(Code::SignatureDoesNotMatch)),
        E::LengthMismatch,
        E::TooLarge { limit_bytes: 5 },
        E::DigestMismatch { kind: DigestKind::Md5 },
        E::DigestMismatch { kind: DigestKind::ContentSha256 },
        E::DigestMismatch { kind: DigestKind::Checksum(ChecksumAlgorithm::Crc32) },
        E::MalformedTrailer,
        E::InvalidTag { reason: "too long" },
        E::MetadataTooLarge { len_bytes: 3000 },
        E::InvalidStorageClass { storage_class: "HOT".to_owned() },
        E::Source(ObjectReadError::NoSuchKey),
        E::Source(ObjectReadError::PreconditionFailed { condition: "If-Match" }),
        E::Source(ObjectReadError::DeleteMarker {
            named: true,
            version: gateway_meta::VersionId::Null,
            modified: node_proto::UnixMillis(0),
        }),
        E::SelfCopy,
        E::InvalidCopyRange { len_bytes: 9 },
        E::CopySourceTooLarge { limit_bytes: 7 },
        E::Locked,
        E::ObjectLockNotEnabled,
        E::RetentionInPast,
        E::NoSuchUpload,
        E::InvalidPartNumber { number: 10_001 },
        E::ChecksumAlgorithmMismatch { expected: ChecksumAlgorithm::Sha1 },
    ]
}

fn read_errors() -> Vec<ObjectReadError> {
    use ObjectReadError as E;
    vec![
        E::NoSuchVersion,
        E::DeleteMarker {
            named: false,
            version: gateway_meta::VersionId::Null,
            modified: node_proto::UnixMillis(0),
        },
        E::DeleteMarker {
            named: true,
            version: gateway_meta::VersionId::Null,
            modified: node_proto::UnixMillis(0),
        },
        E::PreconditionFailed { condition: "If-Unmodified-Since" },
        E::RangeNotSatisfiable { len_bytes: 10 },
        E::NoSuchPart { number: 3, part_count: 2 },
    ]
}

fn other_failures() -> Vec<Failure> {
    let multipart = [
        MultipartError::NoSuchUpload,
        MultipartError::InvalidPart(InvalidPart { number: 2 }),
        MultipartError::InvalidPartOrder,
        MultipartError::NoParts,
        MultipartError::PartTooSmall {
            number: 1,
            len_bytes: 3,
            minimum_bytes: 5_242_880,
            etag: "e".to_owned(),
        },
        MultipartError::LengthMismatch { actual_bytes: 4 },
        MultipartError::ChecksumMismatch(ChecksumAlgorithm::Crc64Nvme),
        MultipartError::InvalidChecksumType,
    ];
    let buckets = [
        BucketError::AlreadyExists,
        BucketError::AlreadyOwnedByYou,
        BucketError::InvalidName { reason: "too short" },
        BucketError::NotEmpty,
        BucketError::TooManyBuckets { limit: 100 },
        BucketError::NoSuchAccount,
    ];
    let deletes = [DeleteError::PreconditionFailed, DeleteError::Conflict, DeleteError::Locked];
    let mut all: Vec<Failure> = multipart.into_iter().map(Failure::from).collect();
    all.extend(buckets.into_iter().map(Failure::from));
    all.extend(deletes.into_iter().map(Failure::from));
    let locks = [LockError::NotEnabled, LockError::RetentionInPast, LockError::Locked];
    all.extend(locks.into_iter().map(Failure::from));
    let configs = [ListedConfigError::NoSuchConfiguration, ListedConfigError::TooMany { limit: 9 }];
    all.extend(configs.into_iter().map(Failure::from));
    all.extend(rename_errors().into_iter().map(Failure::from));
    all.push(TaggingError::InvalidTag { reason: "repeated" }.into());
    all.push(ListError::NoSuchBucket { bucket: bucket() }.into());
    all
}

fn rename_errors() -> Vec<RenameError> {
    use RenameError as E;
    vec![
        E::Versioned,
        E::NoSuchKey { key: "source".to_owned() },
        E::SameKey,
        E::KeyTooLong { len_bytes: 1025 },
        E::PreconditionFailed { condition: "If-Match" },
        E::TokenReused,
    ]
}

fn encryption_errors() -> Vec<EncryptionError> {
    use EncryptionError as E;
    vec![
        E::CustomerKeyMissing,
        E::CustomerKeyWrong,
        E::CustomerKeyUnwanted,
        E::UploadKeyMissing,
        E::UploadKeyWrong,
        E::UploadKeyUnwanted,
        E::CustomerKeysBlocked,
        E::MalformedContext,
        E::NoSuchKey { key: "alias/k".to_owned() },
        E::KeyDisabled { key: "k".to_owned() },
        E::NoKeyService,
        E::KeyServiceUnavailable { reason: "secret host".to_owned() },
    ]
}

/// One line per failure: status, headers, document.
fn render(failures: impl IntoIterator<Item = Failure>) -> String {
    let place = ErrorPlace { resource: "/b/k", request_id: "R", host_id: "H" };
    failures.into_iter().fold(String::new(), |mut out, failure| {
        let document = failure.document(&place);
        let document = document.lines().nth(1).unwrap();
        let _ = write!(out, "{}", failure.code().status().as_u16());
        for (name, value) in failure.headers() {
            let _ = write!(out, " [{name}: {}]", value.to_str().unwrap());
        }
        let _ = writeln!(out, " {document}");
        out
    })
}

#[test]
fn failures_have_golden_answers() {
    let mut text = render(faults().into_iter().map(Failure::from));
    text += &render(write_errors().into_iter().map(Failure::from));
    text += &render(read_errors().into_iter().map(Failure::from));
    text += &render(other_failures());
    text += &render(encryption_errors().into_iter().map(Failure::from));
    let golden = include_str!("golden.txt");
    assert_eq!(text, golden);
}

#[test]
fn causes_of_faults_are_not_told() {
    let text = render(faults().into_iter().map(Failure::from));
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn busy_and_unavailable_say_when_to_retry() {
    for fault in [
        Fault::Busy,
        Fault::ShuttingDown,
        Fault::TooFewDevices { up: 1, needed: 4 },
        Fault::Unreadable { stripe_index: 0, readable: 3, needed: 4 },
    ] {
        let failure = Failure::from(fault);
        assert_eq!(failure.code().status().as_u16(), 503);
        assert!(failure.headers().contains_key(header::RETRY_AFTER));
    }
}

#[test]
fn edge_gets_its_own_body_error_back() {
    let failure = body(&rejected(Code::SignatureDoesNotMatch));
    assert_eq!(failure.code(), Code::SignatureDoesNotMatch);
}
