//! Persisted records, one file each.
//!
//! A record is a version byte followed by its postcard encoding. Fields are never reordered or
//! retyped within a version; a change makes a new version that knows how to read its predecessor.
//!
//! The tables in the files below list the fields behind the version byte, in order. Their words:
//! *varint* is LEB128, least significant group first; *bytes* and *string* (UTF-8) are a varint
//! length and that many bytes; *sequence* is a varint count and the items; *option* is `0`, or `1`
//! and the value; *bool* is one byte, `0` or `1`; alternatives start with their number as a varint.

mod abac;
mod accelerate;
mod access_log;
mod availability;
mod bucket;
mod bucket_encryption;
mod bucket_logging;
mod bucket_policy;
mod bucket_tags;
mod cors;
mod device;
mod gc;
mod job;
mod key_material;
mod kms_key;
mod layout;
mod layout_ids;
mod layout_revision;
mod lease;
mod lifecycle;
mod listed_config;
mod manifest;
mod node;
mod object;
mod object_lock;
mod outcome;
mod part;
mod placement_group;
mod rename_token;
mod repair;
mod request_payment;
mod staged_layout;
mod token;
mod upload;
mod website;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use abac::AbacRecord;
pub use accelerate::AccelerateRecord;
pub use access_log::AccessLogRecord;
pub use availability::{AvailabilityRecord, DeviceAvailability};
pub use bucket::{Acknowledge, BucketRecord, Versioning};
pub use bucket_encryption::{BucketEncryptionRecord, CustomerKeys, DefaultEncryption};
pub use bucket_logging::{BucketLoggingRecord, LogKeyFormat, PartitionDate};
pub use bucket_policy::BucketPolicyRecord;
pub use bucket_tags::BucketTagsRecord;
pub use cors::{CorsMethod, CorsRecord, CorsRule};
pub use device::{DeviceRecord, RebuildState};
pub use gc::GcRecord;
pub use job::{JobKind, JobRecord, JobState};
pub use key_material::{AccountKeyRecord, BucketKeyRecord};
pub use kms_key::{KmsAliasRecord, KmsKeyRecord, KmsKeyVersion};
pub use layout_ids::LayoutIdsRecord;
pub use layout_revision::LayoutRevisionRecord;
pub use lease::LeaseRecord;
pub use lifecycle::{
    Expiration, LifecyclePlace, LifecycleProgressRecord, LifecycleRecord, LifecycleRule,
    LifecycleStage, NoncurrentExpiration, NoncurrentTransition, RuleFilter, RuleScope, RuleTime,
    Transition, TransitionMinimum, WithinKey,
};
pub use listed_config::{
    AnalyticsExport, AnalyticsRecord, ArchiveTier, ConfigFilter, IntelligentTieringRecord,
    MetricsRecord, Tiering,
};
pub use manifest::{InlineRecord, ManifestPage, PartTableEntry, PartTablePage, StripeRecord};
pub use node::{Membership, NodeRecord};
pub use object::{
    Body, ChecksumAlgorithm, ChecksumType, ETag, Encryption, KmsEncryption, ObjectKind, ObjectLock,
    ObjectMetadata, ObjectRecord, Retention, RetentionMode, StoredChecksum, SystemHeaders,
};
pub use object_lock::{DefaultRetention, ObjectLockRecord, RetentionPeriod};
pub use outcome::OutcomeRecord;
pub use part::PartRecord;
pub use placement_group::PlacementGroupRecord;
pub use rename_token::RenameTokenRecord;
pub use repair::RepairRecord;
pub use request_payment::RequestPaymentRecord;
pub use staged_layout::{LayoutChange, StagedLayoutRecord};
pub use token::TokenRecord;
pub use upload::UploadRecord;
pub use website::{RedirectKey, RoutingRule, WebsiteProtocol, WebsiteRecord};

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRecordError {
    /// The bytes were written by a newer release, or are not this record.
    #[error("{record} has unknown version {version}")]
    UnknownVersion {
        /// Name of the record type.
        record: &'static str,
        /// The version byte found.
        version: u8,
    },
    /// The bytes are damaged.
    #[error("{record} is damaged: {reason}")]
    Damaged {
        /// Name of the record type.
        record: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// A type that is kept in a row's value.
pub trait Record: Serialize + DeserializeOwned {
    /// Name in errors.
    const NAME: &'static str;
    /// The version that [`Self::encode`] writes.
    const VERSION: u8 = 1;

    /// The row's value.
    fn encode(&self) -> Bytes {
        let out = postcard::to_extend(self, vec![Self::VERSION])
            .expect("records hold only types that postcard can encode, and memory grows");
        Bytes::from(out)
    }

    /// Reads a row's value.
    ///
    /// # Errors
    /// [`DecodeRecordError`] when the bytes are of another version or damaged; trailing bytes count
    /// as damage.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeRecordError> {
        decode_version(bytes)
    }
}

/// Reads a value of the version that is written now.
fn decode_version<R: Record>(bytes: &[u8]) -> Result<R, DecodeRecordError> {
    let damaged = |reason: String| DecodeRecordError::Damaged { record: R::NAME, reason };
    let (&version, body) = bytes.split_first().ok_or_else(|| damaged("empty".to_owned()))?;
    if version != R::VERSION {
        return Err(DecodeRecordError::UnknownVersion { record: R::NAME, version });
    }
    let (record, rest) =
        postcard::take_from_bytes(body).map_err(|error| damaged(error.to_string()))?;
    if !rest.is_empty() {
        return Err(damaged(format!("{} bytes too long", rest.len())));
    }
    Ok(record)
}

#[cfg(test)]
mod tests;
