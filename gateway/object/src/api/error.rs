//! Typed failures. Each says what the caller should do.

use gateway_meta::record::ChecksumAlgorithm;

use super::{BodyError, EncryptionError};

/// Trouble that is not the request's fault.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A bound on memory or work in flight was reached. Slow down and retry.
    #[error("the server is busy")]
    Busy,
    /// Too few devices are up to keep full parity. Retry when devices are back.
    #[error("{up} devices are up, {needed} are needed")]
    TooFewDevices {
        /// Failure domains that could take a shard.
        up: usize,
        /// Failure domains needed.
        needed: usize,
    },
    /// No space for data or metadata. Free some, or add devices.
    #[error("storage is full")]
    StorageFull,
    /// Shards of stored data are missing or damaged beyond the code's reach for now.
    #[error("{readable} of {needed} needed shards of stripe {stripe_index} are readable")]
    Unreadable {
        /// Index of the stripe within its body.
        stripe_index: u32,
        /// Intact shards found.
        readable: usize,
        /// Shards needed.
        needed: usize,
    },
    /// The metadata store failed; nothing was changed.
    #[error("metadata is unavailable: {reason}")]
    MetadataUnavailable {
        /// What happened, for the log.
        reason: String,
    },
    /// The metadata store failed while committing; the write may or may not have happened.
    #[error("the outcome of the write is unknown: {reason}")]
    Indeterminate {
        /// What happened, for the log.
        reason: String,
    },
    /// Stored metadata or key material cannot be understood.
    #[error("stored metadata is damaged: {reason}")]
    Corrupt {
        /// What was found, for the log.
        reason: String,
    },
    /// The service is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Which declared digest did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestKind {
    /// `Content-MD5`.
    Md5,
    /// `x-amz-content-sha256`.
    ContentSha256,
    /// An additional checksum.
    Checksum(ChecksumAlgorithm),
}

/// Why an object or part was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ObjectWriteError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// `If-Match` without a live object.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The key is longer than 1,024 bytes.
    #[error("the key is {len_bytes} bytes long")]
    KeyTooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// A condition on the live object does not hold.
    #[error("the precondition {condition} does not hold")]
    PreconditionFailed {
        /// The header's name.
        condition: &'static str,
    },
    /// Another write to the key won a race that a conditional write lost too often.
    #[error("a conflicting write is under way")]
    Conflict,
    /// The body ended early or was refused.
    #[error(transparent)]
    Body(BodyError),
    /// The body is longer than declared, or shorter.
    #[error("the body does not have its declared length")]
    LengthMismatch,
    /// The object or part is larger than S3 allows.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// A declared digest does not match the bytes.
    #[error("{kind:?} of the body does not match")]
    DigestMismatch {
        /// Which.
        kind: DigestKind,
    },
    /// The checksum trailer is malformed or was announced and left out.
    #[error("the checksum trailer is malformed or missing")]
    MalformedTrailer,
    /// Tags are too many, too long, repeated, or contain characters S3 refuses.
    #[error("invalid tag: {reason}")]
    InvalidTag {
        /// What is wrong.
        reason: &'static str,
    },
    /// User metadata exceeds 2 KiB.
    #[error("user metadata takes {len_bytes} bytes")]
    MetadataTooLarge {
        /// Its size.
        len_bytes: usize,
    },
    /// The storage class is unknown.
    #[error("unknown storage class {storage_class}")]
    InvalidStorageClass {
        /// As given.
        storage_class: String,
    },
    /// The copy source cannot be read.
    #[error("copy source: {0}")]
    Source(#[source] ObjectReadError),
    /// A copy onto itself that changes nothing.
    #[error("a copy onto itself must change metadata")]
    SelfCopy,
    /// A copied range does not lie within the source.
    #[error("the copied range lies outside the source of {len_bytes} bytes")]
    InvalidCopyRange {
        /// Length of the source.
        len_bytes: u64,
    },
    /// A copy source larger than 5 GiB must be copied in parts.
    #[error("the copy source is larger than {limit_bytes} bytes")]
    CopySourceTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The version that would be replaced for good is locked.
    #[error("the version is locked")]
    Locked,
    /// A lock for a version of a bucket without object lock.
    #[error("the bucket has no object lock")]
    ObjectLockNotEnabled,
    /// A retention that would have ended already.
    #[error("the retention would end in the past")]
    RetentionInPast,
    /// No such multipart upload (parts only).
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// The part number is not within 1 to 10,000 (parts only).
    #[error("part number {number} is not allowed")]
    InvalidPartNumber {
        /// As given.
        number: u16,
    },
    /// The part's checksum algorithm is not the upload's (parts only).
    #[error("the upload was started with another checksum algorithm")]
    ChecksumAlgorithmMismatch {
        /// The upload's.
        expected: ChecksumAlgorithm,
    },
    /// It cannot be sealed as asked.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectReadError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// No such key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// No such version of the key.
    #[error("the version does not exist")]
    NoSuchVersion,
    /// The version is a delete marker.
    #[error("the version is a delete marker")]
    DeleteMarker {
        /// It was asked for by version id.
        named: bool,
        /// S3's name of it.
        version: gateway_meta::VersionId,
        /// When it was made.
        modified: node_proto::UnixMillis,
    },
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    #[error("the precondition {condition} does not hold")]
    PreconditionFailed {
        /// The header's name.
        condition: &'static str,
    },
    /// `If-None-Match` or `If-Modified-Since` does not hold.
    #[error("the object was not modified")]
    NotModified {
        /// What the answer's headers tell.
        info: Box<super::ObjectInfo>,
    },
    /// The range lies outside the object.
    #[error("the range lies outside the object of {len_bytes} bytes")]
    RangeNotSatisfiable {
        /// Length of the object.
        len_bytes: u64,
    },
    /// The object has no such part.
    #[error("the object has no part {number}")]
    NoSuchPart {
        /// As given.
        number: u16,
        /// Parts of the object.
        part_count: u32,
    },
    /// It cannot be opened with what was given.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an object was not deleted. A missing key is no error.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// `If-Match` without a live object.
    #[error("the key does not exist")]
    NoSuchKey,
    /// `If-Match` does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The key is longer than 1,024 bytes.
    #[error("the key is {len_bytes} bytes long")]
    KeyTooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// The version is locked.
    #[error("the version is locked")]
    Locked,
    /// Another write to the key won a race that a conditional delete lost too often.
    #[error("a conflicting write is under way")]
    Conflict,
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a bucket operation failed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// Someone else owns the name.
    #[error("the bucket name is taken")]
    AlreadyExists,
    /// The caller owns the name already.
    #[error("the bucket is already yours")]
    AlreadyOwnedByYou,
    /// The name breaks S3's rules.
    #[error("the bucket name is not valid: {reason}")]
    InvalidName {
        /// Which rule.
        reason: &'static str,
    },
    /// Objects, versions or uploads remain.
    #[error("the bucket is not empty")]
    NotEmpty,
    /// The account has as many buckets as it may.
    #[error("the account has {limit} buckets already")]
    TooManyBuckets {
        /// The limit.
        limit: u64,
    },
    /// The account that should own the bucket does not exist.
    #[error("the account does not exist")]
    NoSuchAccount,
    /// Versioning, once enabled, can only be suspended.
    #[error("the bucket was versioned already")]
    AlreadyVersioned,
    /// Object lock and versioning that is not enabled exclude each other.
    #[error("object lock needs versioning")]
    ObjectLockNeedsVersioning,
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a configuration that a bucket has several of cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ListedConfigError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// No configuration with the id.
    #[error("the configuration does not exist")]
    NoSuchConfiguration,
    /// The bucket has as many as it may.
    #[error("the bucket has {limit} configurations already")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an object was not renamed.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// The bucket keeps versions, or kept some: a rename would make the past untrue.
    #[error("the bucket has versions")]
    Versioned,
    /// The source does not exist, or `If-Match` without a live target.
    #[error("the key {key:?} does not exist")]
    NoSuchKey {
        /// Which of the two.
        key: String,
    },
    /// Source and target are one.
    #[error("source and target are the same key")]
    SameKey,
    /// A key is empty or longer than 1,024 bytes.
    #[error("the key is {len_bytes} bytes long")]
    KeyTooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// A condition on source or target does not hold.
    #[error("the precondition {condition} does not hold")]
    PreconditionFailed {
        /// The header's name.
        condition: &'static str,
    },
    /// The client's token stands for another rename.
    #[error("the token was used for another rename")]
    TokenReused,
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a listing failed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// Not the request's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why tags cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TaggingError {
    /// The object cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// Tags are too many, too long, repeated, or contain characters S3 refuses.
    #[error("invalid tag: {reason}")]
    InvalidTag {
        /// What is wrong.
        reason: &'static str,
    },
}

/// Why a version's lock cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The version cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// The bucket has no object lock.
    #[error("the bucket has no object lock")]
    NotEnabled,
    /// A retention that would have ended already.
    #[error("the retention would end in the past")]
    RetentionInPast,
    /// The retention that runs must not be shortened, weakened or taken away.
    #[error("the version is locked")]
    Locked,
}

/// Which part of a completion is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPart {
    /// The part's number.
    pub number: u16,
}

/// Why a multipart request failed. Storing parts fails with [`ObjectWriteError`].
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    /// No such upload, or not of this key.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// A listed part was not uploaded, or its ETag or checksum is another.
    #[error("part {} is missing or another one", .0.number)]
    InvalidPart(InvalidPart),
    /// Parts are not listed in ascending order, or none is.
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    /// No parts are listed.
    #[error("no parts are listed")]
    NoParts,
    /// A part other than the last is below 5 MiB.
    #[error("part {number} of {len_bytes} bytes is too small")]
    PartTooSmall {
        /// Its number.
        number: u16,
        /// Its length.
        len_bytes: u64,
        /// The least length allowed.
        minimum_bytes: u64,
        /// Its ETag.
        etag: String,
    },
    /// The completed object does not have the declared length.
    #[error("the object would have {actual_bytes} bytes")]
    LengthMismatch {
        /// The sum of the parts.
        actual_bytes: u64,
    },
    /// The declared checksum does not match.
    #[error("the {0:?} checksum does not match")]
    ChecksumMismatch(ChecksumAlgorithm),
    /// The checksum type cannot be had: the algorithm has none, or the upload was started with
    /// another.
    #[error("the checksum type is not possible for this upload")]
    InvalidChecksumType,
    /// What storing any object can fail with: bucket, key, conditions, tags, faults.
    #[error(transparent)]
    Write(#[from] ObjectWriteError),
}

impl From<EncryptionError> for MultipartError {
    fn from(error: EncryptionError) -> Self {
        Self::Write(error.into())
    }
}

impl From<Fault> for MultipartError {
    fn from(fault: Fault) -> Self {
        Self::Write(ObjectWriteError::Fault(fault))
    }
}

impl From<Fault> for TaggingError {
    fn from(fault: Fault) -> Self {
        Self::Object(ObjectReadError::Fault(fault))
    }
}

impl From<Fault> for LockError {
    fn from(fault: Fault) -> Self {
        Self::Object(ObjectReadError::Fault(fault))
    }
}
