//! Object requests.

use gateway_meta::{
    AccountId, VersionId,
    record::{
        ChecksumAlgorithm, ETag, Encryption, ObjectLock, ObjectMetadata, StoredChecksum,
        SystemHeaders,
    },
};
use node_proto::UnixMillis;

use super::{ByteStream, CustomerKey, EncryptionRequest, IncomingBody};

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket's name.
    pub bucket: String,
    /// The key: 1 to 1,024 bytes of UTF-8; the service validates it.
    pub key: String,
}

/// What a client attaches to an object.
#[derive(Clone, Debug, Default)]
pub struct ObjectAttributes {
    /// System-defined headers.
    pub headers: SystemHeaders,
    /// `x-amz-meta-*`, names without the prefix, in lower case.
    pub user_metadata: Vec<(String, String)>,
    /// Tags; the service validates them.
    pub tags: Vec<(String, String)>,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// What shall keep the version from being deleted; the bucket's default where not said.
    pub lock: ObjectLock,
    /// Whose keys the bytes shall be sealed under.
    pub encryption: EncryptionRequest,
}

/// `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagCondition {
    /// `*`.
    Any,
    /// One or several ETags, without quotes.
    Tags(Vec<String>),
}

/// Conditions on the live object, evaluated atomically with the write.
#[derive(Clone, Debug, Default)]
pub struct WriteCondition {
    /// The live object must match: otherwise precondition failed, or no such key without one.
    pub if_match: Option<ETagCondition>,
    /// No live object may match.
    pub if_none_match: Option<ETagCondition>,
}

/// Conditions on reads and copy sources, in RFC 9110 order of precedence.
#[derive(Clone, Debug, Default)]
pub struct ReadCondition {
    /// `If-Match`.
    pub if_match: Option<ETagCondition>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagCondition>,
    /// `If-Modified-Since`, whole seconds.
    pub if_modified_since: Option<UnixMillis>,
    /// `If-Unmodified-Since`, whole seconds.
    pub if_unmodified_since: Option<UnixMillis>,
}

/// Stores an object.
#[derive(Debug)]
pub struct PutObject {
    /// Where.
    pub target: ObjectRef,
    /// Who writes it.
    pub writer: AccountId,
    /// Its bytes.
    pub body: IncomingBody,
    /// What else it carries.
    pub attributes: ObjectAttributes,
    /// Guards on the live object.
    pub condition: WriteCondition,
}

/// What a stored object is told by.
#[derive(Clone, Debug)]
pub struct WriteReceipt {
    /// Its entity tag.
    pub etag: ETag,
    /// Its version; [`VersionId::Null`] where none was made.
    pub version: VersionId,
    /// Its checksum.
    pub checksum: Option<StoredChecksum>,
    /// Plaintext length in bytes.
    pub len_bytes: u64,
    /// When it was stored.
    pub modified: UnixMillis,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Whose keys it is sealed under.
    pub encryption: Encryption,
}

/// A wanted byte range, not yet resolved against a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// `bytes=first-last` or `bytes=first-`.
    From {
        /// First byte wanted.
        first: u64,
        /// Last byte wanted, inclusive.
        last: Option<u64>,
    },
    /// `bytes=-len`.
    Suffix {
        /// How many bytes from the end.
        len_bytes: u64,
    },
}

/// A byte range within an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedRange {
    /// First byte.
    pub offset_bytes: u64,
    /// Number of bytes.
    pub len_bytes: u64,
}

/// Reads an object, or only what is known of it.
#[derive(Clone, Debug)]
pub struct GetObject {
    /// Which.
    pub target: ObjectRef,
    /// Which version; the newest if `None`.
    pub version: Option<VersionId>,
    /// Which bytes.
    pub range: Option<RangeRequest>,
    /// Only this part; excludes `range`.
    pub part_number: Option<u16>,
    /// Conditions on the version found.
    pub condition: ReadCondition,
    /// The client's key, for what is sealed under it.
    pub customer_key: Option<CustomerKey>,
}

/// A version and its metadata.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// S3's name of it.
    pub version: VersionId,
    /// When it was made.
    pub modified: UnixMillis,
    /// Its metadata.
    pub metadata: ObjectMetadata,
}

/// An object that is being read.
pub struct ObjectRead {
    /// What is known of it.
    pub info: ObjectInfo,
    /// The bytes that follow, where a range or a part was asked for.
    pub range: Option<ResolvedRange>,
    /// Parts of the object, where a part was asked for.
    pub part_count: Option<u32>,
    /// The checksum of `body`: the object's, or the part's where a part was asked for; `None` for
    /// any other range.
    pub checksum: Option<StoredChecksum>,
    /// The bytes, each verified before it is given out. Empty for [`super::ObjectInfo`]-only reads.
    pub body: ByteStream,
}

/// The source of a copy.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// Which object.
    pub object: ObjectRef,
    /// Which version; the newest if `None`.
    pub version: Option<VersionId>,
    /// Conditions on it.
    pub condition: ReadCondition,
    /// The client's key, for a source that is sealed under it.
    pub customer_key: Option<CustomerKey>,
}

/// Whether a copy keeps the source's attributes.
#[derive(Clone, Debug)]
pub enum MetadataDirective {
    /// Keep headers and user metadata. A copy onto itself must change something else.
    Copy,
    /// Take these headers and user metadata.
    Replace {
        /// System-defined headers.
        headers: SystemHeaders,
        /// `x-amz-meta-*`.
        user_metadata: Vec<(String, String)>,
    },
}

/// Whether a copy keeps the source's tags.
#[derive(Clone, Debug)]
pub enum TaggingDirective {
    /// Keep them.
    Copy,
    /// Take these.
    Replace(Vec<(String, String)>),
}

/// Copies an object.
#[derive(Clone, Debug)]
pub struct CopyObject {
    /// From where.
    pub source: CopySource,
    /// To where.
    pub target: ObjectRef,
    /// Who writes it.
    pub writer: AccountId,
    /// Headers and user metadata.
    pub metadata: MetadataDirective,
    /// Tags.
    pub tagging: TaggingDirective,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// The checksum to compute; `None` keeps the source's algorithm.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What shall keep the copy from being deleted. Never copied.
    pub lock: ObjectLock,
    /// Whose keys the copy shall be sealed under. Never copied.
    pub encryption: EncryptionRequest,
    /// Guards on the live target.
    pub condition: WriteCondition,
}

/// What a copy is told by.
#[derive(Clone, Debug)]
pub struct CopyReceipt {
    /// The object written.
    pub written: WriteReceipt,
    /// The version read, of a bucket that has versions.
    pub source_version: Option<VersionId>,
}

/// Gives an object another key.
#[derive(Clone, Debug)]
pub struct RenameObject {
    /// Its new name.
    pub target: ObjectRef,
    /// Its key so far, in the same bucket.
    pub source: String,
    /// Conditions on the live target.
    pub condition: ReadCondition,
    /// Conditions on the source.
    pub source_condition: ReadCondition,
    /// What a client repeats a request under: one that was done is not done again.
    pub token: Option<String>,
}

/// Deletes an object.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    /// Which.
    pub target: ObjectRef,
    /// Which version, for good; `None` puts a delete marker on top, or deletes the live object of
    /// an unversioned bucket.
    pub version: Option<VersionId>,
    /// The live object must match.
    pub if_match: Option<ETagCondition>,
    /// Whether retention in governance mode does not count.
    pub bypass_governance: bool,
}

/// What a deletion did.
#[derive(Clone, Debug, Default)]
pub struct DeleteReceipt {
    /// The version deleted or, with `delete_marker`, made.
    pub version: Option<VersionId>,
    /// Whether a delete marker was made or deleted.
    pub delete_marker: bool,
}
