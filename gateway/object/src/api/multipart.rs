//! Multipart uploads.

use gateway_meta::{
    AccountId, UploadId,
    record::{ChecksumAlgorithm, ChecksumType, Encryption, StoredChecksum, UploadRecord},
};
use node_proto::UnixMillis;

use super::{
    CopySource, CustomerKey, IncomingBody, ObjectAttributes, ObjectRef, RangeRequest,
    WriteCondition,
};

/// Starts an upload.
#[derive(Clone, Debug)]
pub struct CreateUpload {
    /// What will be written.
    pub target: ObjectRef,
    /// Who starts it.
    pub initiator: AccountId,
    /// What the completed object will carry.
    pub attributes: ObjectAttributes,
    /// The checksum to keep per part and for the object.
    pub checksum: Option<(ChecksumAlgorithm, Option<ChecksumType>)>,
}

/// What a new upload is told by.
#[derive(Clone, Debug)]
pub struct UploadReceipt {
    /// Its id.
    pub upload: UploadId,
    /// Whose keys its parts are sealed under.
    pub encryption: Encryption,
}

/// Names an upload. The key must be the one the upload was started for.
#[derive(Clone, Debug)]
pub struct UploadRef {
    /// The object.
    pub target: ObjectRef,
    /// The upload.
    pub upload: UploadId,
}

/// Stores a part; an earlier part of the number is replaced.
#[derive(Debug)]
pub struct UploadPart {
    /// Where it belongs.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub number: u16,
    /// Its bytes.
    pub body: IncomingBody,
    /// The client's key, for an upload that was started with it.
    pub customer_key: Option<CustomerKey>,
}

/// Stores a part copied from an object.
#[derive(Clone, Debug)]
pub struct UploadPartCopy {
    /// Where it belongs.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub number: u16,
    /// Where the bytes come from.
    pub source: CopySource,
    /// Which of them; must lie within the source.
    pub range: Option<RangeRequest>,
    /// The client's key, for an upload that was started with it.
    pub customer_key: Option<CustomerKey>,
}

/// What a stored part is told by.
#[derive(Clone, Debug)]
pub struct PartReceipt {
    /// Its ETag: MD5 of the part, or opaque where somebody else keeps its key.
    pub md5: [u8; 16],
    /// Whose keys it is sealed under.
    pub encryption: Encryption,
    /// Its checksum.
    pub checksum: Option<StoredChecksum>,
    /// When it was stored.
    pub modified: UnixMillis,
    /// The version copied from, for copies out of buckets that have versions.
    pub source_version: Option<gateway_meta::VersionId>,
}

/// A part as the client lists it on completion.
#[derive(Clone, Debug)]
pub struct CompletePart {
    /// Its number.
    pub number: u16,
    /// The ETag the client was given, without quotes.
    pub etag: String,
    /// The checksum the client was given, raw bytes, if it says so.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

/// Makes an object of the listed parts. A completion that already happened answers again with the
/// same receipt while the object is still the one it made.
#[derive(Clone, Debug)]
pub struct CompleteUpload {
    /// The upload.
    pub upload: UploadRef,
    /// Parts, ascending by number.
    pub parts: Vec<CompletePart>,
    /// Guards on the live object.
    pub condition: WriteCondition,
    /// The object's checksum as the client computed it, raw bytes.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// The checksum type the client insists on.
    pub checksum_type: Option<ChecksumType>,
    /// `x-amz-mp-object-size`: the length the object must have.
    pub object_len_bytes: Option<u64>,
    /// The client's key, if it says it again.
    pub customer_key: Option<CustomerKey>,
}

/// Lists the parts of an upload.
#[derive(Clone, Debug)]
pub struct ListParts {
    /// The upload.
    pub upload: UploadRef,
    /// Only greater numbers.
    pub after: u16,
    /// At most so many.
    pub limit: usize,
}

/// One part.
#[derive(Clone, Debug)]
pub struct PartInfo {
    /// Its number.
    pub number: u16,
    /// Plaintext length in bytes.
    pub len_bytes: u64,
    /// MD5 of the part; `None` for parts of a completed object.
    pub md5: Option<[u8; 16]>,
    /// Its checksum, raw bytes.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// When it was stored; `None` for parts of a completed object.
    pub modified: Option<UnixMillis>,
}

/// A page of parts.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// Ascending by number.
    pub parts: Vec<PartInfo>,
    /// Whether more follow.
    pub truncated: bool,
    /// The upload; `None` for parts of a completed object.
    pub record: Option<UploadRecord>,
    /// Parts of the whole object; `None` for an upload under way.
    pub total_part_count: Option<u32>,
}

/// Lists uploads under way, by key and then by start.
#[derive(Clone, Debug)]
pub struct ListUploads {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so.
    pub prefix: String,
    /// Rolls keys up, as in [`super::ListObjects`].
    pub delimiter: String,
    /// Only uploads behind this key, or behind this upload of the key.
    pub after: Option<(String, Option<UploadId>)>,
    /// At most so many entries.
    pub limit: usize,
}

/// One upload under way.
#[derive(Clone, Debug)]
pub struct UploadInfo {
    /// The object key.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Its record.
    pub record: UploadRecord,
}

/// A page of uploads.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// Ascending by key, then by start.
    pub uploads: Vec<UploadInfo>,
    /// Keys rolled up.
    pub common_prefixes: Vec<String>,
    /// Pass as [`ListUploads::after`] to continue; `None` at the end.
    pub next: Option<(String, Option<UploadId>)>,
}
