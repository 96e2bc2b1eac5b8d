//! An object version.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `version` | `0` null, or `1` and 16 bytes |
//! | `seq` | varint, 128 bits |
//! | `modified` | varint, Unix milliseconds |
//! | `kind` | `0` and the metadata below, or `1` delete marker |
//!
//! Metadata:
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `len_bytes` | varint |
//! | `etag` | 16 bytes, then option of `part_count` varint |
//! | `checksum` | option of: `algorithm` `0` CRC-32, `1` CRC-32C, `2` CRC-64/NVME, `3` SHA-1, `4` SHA-256; `kind` `0` full object, `1` composite; `value` bytes; `part_count` option of varint |
//! | `headers` | seven options of string, in field order |
//! | `user_metadata` | sequence of two strings |
//! | `tags` | sequence of two strings |
//! | `storage_class` | string |
//! | `owner` | varint |
//! | `upload` | option of 16 bytes |
//! | `body` | `0` empty, or `1` inline, `2` stripes, `3` parts and the manifest id as varint |
//! | `lock` | `retention` option of: `0` governance or `1` compliance, Unix milliseconds as varint; `legal_hold` option of bool |
//! | `encryption` | `0` managed; `1` KMS: `key_id` string, `sealed_key` bytes, `context` option of string, `bucket_key` bool; `2` customer: `salt` 16 bytes, `check` 32 bytes |
//!
//! Version 1 had neither `lock` nor `encryption`: not locked, managed.

use node_proto::{ManifestId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{DecodeRecordError, Record, decode_version};
use crate::{AccountId, UploadId, VersionId};

/// One version of an object, in `cur` while it is the newest and in `ver` afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// S3's name of the version.
    pub version: VersionId,
    /// Orders versions of a key and makes every record distinct; the gateway's clock and lease
    /// make it unique.
    pub seq: u128,
    /// When the version was made.
    pub modified: UnixMillis,
    /// An object or a delete marker.
    pub kind: ObjectKind,
}

/// What a version is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    /// Bytes and their metadata.
    Object(Box<ObjectMetadata>),
    /// S3's delete marker.
    DeleteMarker,
}

/// Everything S3 can tell of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMetadata {
    /// Plaintext length in bytes.
    pub len_bytes: u64,
    /// The entity tag.
    pub etag: ETag,
    /// The additional checksum.
    pub checksum: Option<StoredChecksum>,
    /// System-defined headers.
    pub headers: SystemHeaders,
    /// `x-amz-meta-*`, names without the prefix in lower case, in the order given.
    pub user_metadata: Vec<(String, String)>,
    /// Object tags, in the order given.
    pub tags: Vec<(String, String)>,
    /// Storage class as the client named it; empty means `STANDARD`.
    pub storage_class: String,
    /// The account that wrote the object.
    pub owner: AccountId,
    /// The multipart upload that made it, so that a repeated completion finds its own result.
    pub upload: Option<UploadId>,
    /// Where the bytes are.
    pub body: Body,
    /// What keeps the version from being deleted.
    pub lock: ObjectLock,
    /// Whose keys the bytes are sealed under.
    pub encryption: Encryption,
}

/// What keeps a version from being deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// Until when, and how firmly.
    pub retention: Option<Retention>,
    /// Whether it is held without an end; `None` if nobody ever said.
    pub legal_hold: Option<bool>,
}

/// A retention period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How firmly.
    pub mode: RetentionMode,
    /// Its end.
    pub until: UnixMillis,
}

/// How firmly a version is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Who has the permission may bypass it.
    Governance,
    /// Nobody may.
    Compliance,
}

/// Whose keys a version is sealed under, besides the bucket's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// Nobody else's: SSE-S3.
    #[default]
    Managed,
    /// A key service's: SSE-KMS.
    Kms(Box<KmsEncryption>),
    /// The client's, which is not stored: SSE-C.
    Customer {
        /// Random.
        salt: [u8; 16],
        /// What salt and key hash to, so that another key is refused.
        check: [u8; 32],
    },
}

/// A version's key as the key service sealed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsEncryption {
    /// The key service's key.
    pub key_id: String,
    /// The version's key, sealed under it.
    #[serde(with = "serde_bytes")]
    pub sealed_key: Vec<u8>,
    /// The encryption context as the client gave it: JSON, in base64.
    pub context: Option<String>,
    /// Whether the client asked for a bucket key.
    pub bucket_key: bool,
}

/// Where a body's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// There are none.
    Empty,
    /// In [`super::InlineRecord`].
    Inline(ManifestId),
    /// On devices, by [`super::ManifestPage`]s.
    Stripes(ManifestId),
    /// In the parts of a [`super::PartTablePage`] list.
    Parts(ManifestId),
}

/// An entity tag as S3 clients expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ETag {
    /// MD5 of the bytes, or of the parts' MD5s.
    pub md5: [u8; 16],
    /// Number of parts, for multipart objects.
    pub part_count: Option<u16>,
}

/// Additional checksum algorithms of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// How a multipart checksum relates to the parts'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumType {
    /// Over the object's bytes.
    FullObject,
    /// Over the parts' checksums.
    Composite,
}

/// A checksum that the gateway verified or computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChecksum {
    /// Its algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub kind: ChecksumType,
    /// Raw big-endian bytes.
    pub value: Vec<u8>,
    /// Number of parts, for composite checksums.
    pub part_count: Option<u16>,
}

/// System-defined metadata that S3 stores and returns. `None` was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as the client sent it.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect_location: Option<String>,
}

impl Record for ObjectRecord {
    const NAME: &'static str = "object record";
    const VERSION: u8 = 2;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        match bytes.first() {
            Some(&ObjectV1::VERSION) => ObjectV1::decode(bytes).map(Self::from),
            _ => decode_version(bytes),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ObjectV1 {
    version: VersionId,
    seq: u128,
    modified: UnixMillis,
    kind: ObjectKindV1,
}

#[derive(Serialize, Deserialize)]
enum ObjectKindV1 {
    Object(Box<ObjectMetadataV1>),
    DeleteMarker,
}

#[derive(Serialize, Deserialize)]
struct ObjectMetadataV1 {
    len_bytes: u64,
    etag: ETag,
    checksum: Option<StoredChecksum>,
    headers: SystemHeaders,
    user_metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    storage_class: String,
    owner: AccountId,
    upload: Option<UploadId>,
    body: Body,
}

impl Record for ObjectV1 {
    const NAME: &'static str = "object record";
}

impl From<ObjectV1> for ObjectRecord {
    fn from(old: ObjectV1) -> Self {
        let kind = match old.kind {
            ObjectKindV1::Object(metadata) => ObjectKind::Object(Box::new((*metadata).into())),
            ObjectKindV1::DeleteMarker => ObjectKind::DeleteMarker,
        };
        Self { version: old.version, seq: old.seq, modified: old.modified, kind }
    }
}

impl From<ObjectMetadataV1> for ObjectMetadata {
    fn from(old: ObjectMetadataV1) -> Self {
        Self {
            len_bytes: old.len_bytes,
            etag: old.etag,
            checksum: old.checksum,
            headers: old.headers,
            user_metadata: old.user_metadata,
            tags: old.tags,
            storage_class: old.storage_class,
            owner: old.owner,
            upload: old.upload,
            body: old.body,
            lock: ObjectLock::default(),
            encryption: Encryption::Managed,
        }
    }
}
