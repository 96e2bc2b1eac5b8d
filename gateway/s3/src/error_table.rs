//! Which failure of the domain is answered with which code of S3.
//!
//! Owns the one table. Every match is exhaustive, so a new way to fail cannot be forgotten here.
//!
//! Invariants:
//! - what the client can mend is 4xx and says what is wrong; everything else is logged with its
//!   cause and answered without it;
//! - an answer that invites a retry says when (`Retry-After`).

use gateway_meta::VersionId;
use gateway_object::{
    BodyError, BucketError, DeleteError, DigestKind, EncryptionError, Fault, ListError,
    ListedConfigError, LockError, MultipartError, ObjectReadError, ObjectWriteError, RenameError,
    TaggingError,
};
use http::{HeaderName, HeaderValue, header};
use node_proto::UnixMillis;

use crate::{
    convert,
    error::{Code, Failure},
};

/// Seconds until a refused request may be retried. Chosen: longer than a burst, shorter than a
/// client's patience; SDKs back off on their own as well.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

fn retry(code: Code) -> Failure {
    Failure::new(code).header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        fault_failure(&fault)
    }
}

fn fault_failure(fault: &Fault) -> Failure {
    let failure = match fault {
        Fault::Busy => retry(Code::SlowDown),
        // Shards that are out of reach for now come back with their devices.
        Fault::TooFewDevices { .. }
        | Fault::Unreadable { .. }
        | Fault::MetadataUnavailable { .. }
        | Fault::ShuttingDown => retry(Code::ServiceUnavailable),
        Fault::StorageFull => Failure::new(Code::InsufficientStorage),
        Fault::Indeterminate { .. } | Fault::Corrupt { .. } => Failure::new(Code::InternalError),
    };
    match fault {
        // Shedding load must not cost a log line per request.
        Fault::Busy => tracing::debug!(%fault, "request shed"),
        Fault::Unreadable { .. } => tracing::warn!(%fault, "request failed"),
        _ => tracing::error!(%fault, "request failed"),
    }
    failure
}

/// Why a body ended early.
pub(crate) fn body(error: &BodyError) -> Failure {
    match error {
        BodyError::Truncated => Failure::new(Code::IncompleteBody),
        BodyError::TimedOut => Failure::new(Code::RequestTimeout),
        BodyError::Rejected { source } => match source.downcast_ref::<Failure>() {
            Some(failure) => Failure::with_message(failure.code(), failure.message().to_owned()),
            None => Failure::new(Code::IncompleteBody),
        },
        BodyError::Unreadable { source } => fault_failure(source),
    }
}

fn no_such_bucket(bucket: String) -> Failure {
    Failure::new(Code::NoSuchBucket).detail("BucketName", bucket)
}

fn key_too_long(len_bytes: usize) -> Failure {
    Failure::new(Code::KeyTooLong)
        .detail("Size", len_bytes.to_string())
        .detail("MaxSizeAllowed", "1024")
}

fn precondition_failed(condition: &str) -> Failure {
    Failure::new(Code::PreconditionFailed).detail("Condition", condition)
}

fn digest_mismatch(kind: DigestKind) -> Failure {
    match kind {
        DigestKind::Md5 => Failure::with_message(
            Code::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        ),
        DigestKind::ContentSha256 => Failure::new(Code::XAmzContentSha256Mismatch),
        DigestKind::Checksum(algorithm) => Failure::with_message(
            Code::BadDigest,
            format!(
                "The {} you specified did not match the calculated checksum.",
                convert::checksum_name(algorithm)
            ),
        ),
    }
}

fn locked() -> Failure {
    let message = "Access Denied because object protected by object lock.";
    Failure::with_message(Code::AccessDenied, message)
}

fn lock_not_enabled() -> Failure {
    Failure::invalid_request("Bucket is missing Object Lock Configuration")
}

fn retention_in_past() -> Failure {
    let message = "The retain until date must be in the future!";
    Failure::with_message(Code::InvalidArgument, message)
}

impl From<EncryptionError> for Failure {
    fn from(error: EncryptionError) -> Self {
        use EncryptionError as E;
        match error {
            E::CustomerKeyMissing => Self::invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct \
                 parameters must be provided to retrieve the object.",
            ),
            E::CustomerKeyWrong | E::CustomerKeysBlocked => Self::new(Code::AccessDenied),
            E::CustomerKeyUnwanted => Self::invalid_request(
                "The encryption parameters are not applicable to this object.",
            ),
            E::UploadKeyMissing => Self::invalid_request(
                "The multipart upload initiate requested encryption. Subsequent part requests \
                 must include the appropriate encryption parameters.",
            ),
            E::UploadKeyWrong => Self::invalid_request(
                "The provided encryption parameters did not match the ones used originally.",
            ),
            E::UploadKeyUnwanted => Self::invalid_request(
                "The multipart upload initiate did not request encryption. Please resend the \
                 request without sending encryption parameters.",
            ),
            E::MalformedContext => Self::with_message(
                Code::InvalidArgument,
                "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 \
                 string holding JSON which represents a string-string map",
            ),
            E::NoSuchKey { key } => {
                Self::with_message(Code::KmsNotFound, format!("Key '{key}' does not exist"))
            }
            E::KeyDisabled { key } => {
                Self::with_message(Code::KmsDisabled, format!("{key} is disabled."))
            }
            E::NoKeyService => Self::not_implemented("Encryption with aws:kms"),
            E::KeyServiceUnavailable { reason } => {
                tracing::warn!(reason, "the key service is unavailable");
                retry(Code::ServiceUnavailable)
            }
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<ObjectWriteError> for Failure {
    fn from(error: ObjectWriteError) -> Self {
        use ObjectWriteError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::NoSuchKey => Self::new(Code::NoSuchKey),
            E::KeyTooLong { len_bytes } => key_too_long(len_bytes),
            E::PreconditionFailed { condition } => precondition_failed(condition),
            E::Conflict => Self::new(Code::ConditionalRequestConflict),
            E::Body(error) => body(&error),
            E::LengthMismatch => Self::new(Code::IncompleteBody),
            E::TooLarge { limit_bytes } => {
                Self::new(Code::EntityTooLarge).detail("MaxSizeAllowed", limit_bytes.to_string())
            }
            E::DigestMismatch { kind } => digest_mismatch(kind),
            E::MalformedTrailer => Self::new(Code::MalformedTrailer),
            E::InvalidTag { reason } => Self::with_message(Code::InvalidTag, reason),
            E::MetadataTooLarge { len_bytes } => Self::new(Code::MetadataTooLarge)
                .detail("Size", len_bytes.to_string())
                .detail("MaxSizeAllowed", "2048"),
            E::InvalidStorageClass { storage_class } => {
                Self::new(Code::InvalidStorageClass).detail("StorageClassRequested", storage_class)
            }
            E::Source(error) => source(error),
            E::SelfCopy => Self::invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes.",
            ),
            E::InvalidCopyRange { len_bytes } => Self::with_message(
                Code::InvalidArgument,
                format!("Range specified is not valid for source object of size: {len_bytes}"),
            ),
            E::CopySourceTooLarge { limit_bytes } => Self::invalid_request(format!(
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {limit_bytes}"
            )),
            E::Locked => locked(),
            E::ObjectLockNotEnabled => lock_not_enabled(),
            E::RetentionInPast => retention_in_past(),
            E::NoSuchUpload => Self::new(Code::NoSuchUpload),
            E::InvalidPartNumber { number } => Self::invalid_argument(
                "partNumber",
                &number.to_string(),
                "Part number must be an integer between 1 and 10000, inclusive",
            ),
            E::ChecksumAlgorithmMismatch { expected } => Self::invalid_request(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}",
                convert::checksum_name(expected).to_lowercase()
            )),
            E::Encryption(error) => error.into(),
            E::Fault(fault) => fault.into(),
        }
    }
}

/// A copy's source cannot be read. Conditions on it fail the copy whichever way they point.
fn source(error: ObjectReadError) -> Failure {
    use ObjectReadError as E;
    match error {
        E::NotModified { .. } => precondition_failed("x-amz-copy-source-If-None-Match"),
        E::PreconditionFailed { condition } => {
            precondition_failed(&format!("x-amz-copy-source-{condition}"))
        }
        E::DeleteMarker { named: true, .. } => Failure::invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version \
             id.",
        ),
        error @ (E::NoSuchBucket { .. }
        | E::NoSuchKey
        | E::NoSuchVersion
        | E::DeleteMarker { named: false, .. }
        | E::RangeNotSatisfiable { .. }
        | E::NoSuchPart { .. }
        | E::Encryption(_)
        | E::Fault(_)) => error.into(),
    }
}

/// A delete marker cannot be read: as the newest version it hides the key, and by its name it can
/// only be deleted.
fn delete_marker(named: bool, version: VersionId, modified: UnixMillis) -> Failure {
    let shown = |text: String| HeaderValue::try_from(text).expect("ids and dates are ASCII");
    let failure = match named {
        false => Failure::new(Code::NoSuchKey),
        true => Failure::new(Code::MethodNotAllowed)
            .detail("ResourceType", "DeleteMarker")
            .header(header::ALLOW, HeaderValue::from_static("DELETE"))
            .header(header::LAST_MODIFIED, shown(convert::http_date(modified))),
    };
    failure
        .header(DELETE_MARKER, HeaderValue::from_static("true"))
        .header(VERSION_ID, shown(version.to_string()))
}

impl From<ObjectReadError> for Failure {
    fn from(error: ObjectReadError) -> Self {
        use ObjectReadError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::NoSuchKey => Self::new(Code::NoSuchKey),
            E::NoSuchVersion => Self::new(Code::NoSuchVersion),
            E::DeleteMarker { named, version, modified } => delete_marker(named, version, modified),
            E::PreconditionFailed { condition } => precondition_failed(condition),
            // Reads answer 304 before they come here; nothing else can be "not modified".
            E::NotModified { .. } => precondition_failed("If-None-Match"),
            E::RangeNotSatisfiable { len_bytes } => {
                let range = HeaderValue::try_from(format!("bytes */{len_bytes}"));
                let range = range.expect("digits are valid in a header");
                Self::new(Code::InvalidRange)
                    .detail("ActualObjectSize", len_bytes.to_string())
                    .header(header::CONTENT_RANGE, range)
            }
            E::NoSuchPart { number, part_count } => Self::new(Code::InvalidPartNumber)
                .detail("PartNumberRequested", number.to_string())
                .detail("ActualPartCount", part_count.to_string()),
            E::Encryption(error) => error.into(),
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Self {
        use DeleteError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::NoSuchKey => Self::new(Code::NoSuchKey),
            E::PreconditionFailed => precondition_failed("If-Match"),
            E::KeyTooLong { len_bytes } => key_too_long(len_bytes),
            E::Locked => locked(),
            E::Conflict => Self::new(Code::ConditionalRequestConflict),
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        use LockError as E;
        match error {
            E::Object(error) => error.into(),
            E::NotEnabled => lock_not_enabled(),
            E::RetentionInPast => retention_in_past(),
            E::Locked => locked(),
        }
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        use BucketError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::AlreadyExists => Self::new(Code::BucketAlreadyExists),
            E::AlreadyOwnedByYou => Self::new(Code::BucketAlreadyOwnedByYou),
            E::InvalidName { reason } => Self::with_message(
                Code::InvalidBucketName,
                format!("The specified bucket is not valid: {reason}."),
            ),
            E::NotEmpty => Self::new(Code::BucketNotEmpty),
            E::TooManyBuckets { limit } => {
                Self::new(Code::TooManyBuckets).detail("MaxAllowed", limit.to_string())
            }
            // The account was deleted after its key was looked up.
            E::NoSuchAccount => Self::new(Code::AccessDenied),
            E::AlreadyVersioned => Self::new(Code::IllegalVersioningConfiguration),
            E::ObjectLockNeedsVersioning => Self::new(Code::InvalidBucketState),
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        use ListError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListedConfigError> for Failure {
    fn from(error: ListedConfigError) -> Self {
        use ListedConfigError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::NoSuchConfiguration => Self::new(Code::NoSuchConfiguration),
            E::TooMany { limit } => {
                Self::new(Code::TooManyConfigurations).detail("MaxAllowed", limit.to_string())
            }
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<RenameError> for Failure {
    fn from(error: RenameError) -> Self {
        use RenameError as E;
        match error {
            E::NoSuchBucket { bucket } => no_such_bucket(bucket),
            E::Versioned => Self::with_message(
                Code::InvalidBucketState,
                "Objects can be renamed in buckets that were never versioned only.",
            ),
            E::NoSuchKey { key } => Self::new(Code::NoSuchKey).detail("Key", key),
            E::SameKey => Self::invalid_request("An object cannot be renamed to its own key."),
            E::KeyTooLong { len_bytes } => key_too_long(len_bytes),
            E::PreconditionFailed { condition } => precondition_failed(condition),
            E::TokenReused => Self::new(Code::IdempotencyParameterMismatch),
            E::Fault(fault) => fault.into(),
        }
    }
}

impl From<TaggingError> for Failure {
    fn from(error: TaggingError) -> Self {
        use TaggingError as E;
        match error {
            E::Object(error) => error.into(),
            E::InvalidTag { reason } => Self::with_message(Code::InvalidTag, reason),
        }
    }
}

impl From<MultipartError> for Failure {
    fn from(error: MultipartError) -> Self {
        use MultipartError as E;
        match error {
            E::NoSuchUpload => Self::new(Code::NoSuchUpload),
            E::InvalidPart(part) => {
                Self::new(Code::InvalidPart).detail("PartNumber", part.number.to_string())
            }
            E::InvalidPartOrder => Self::new(Code::InvalidPartOrder),
            E::NoParts => {
                Self::with_message(Code::MalformedXml, "You must specify at least one part")
            }
            E::PartTooSmall { number, len_bytes, minimum_bytes, etag } => {
                Self::new(Code::EntityTooSmall)
                    .detail("ProposedSize", len_bytes.to_string())
                    .detail("MinSizeAllowed", minimum_bytes.to_string())
                    .detail("PartNumber", number.to_string())
                    .detail("ETag", etag)
            }
            E::LengthMismatch { actual_bytes } => Self::invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header value does not match what was \
                 computed: {actual_bytes}"
            )),
            E::ChecksumMismatch(algorithm) => digest_mismatch(DigestKind::Checksum(algorithm)),
            E::InvalidChecksumType => Self::invalid_request(
                "The upload was created using another checksum mode, or the algorithm does not \
                 have that mode. The complete request must include the checksum mode of the upload.",
            ),
            E::Write(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
