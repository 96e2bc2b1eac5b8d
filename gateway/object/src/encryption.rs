//! Whose keys a version is sealed under, besides the bucket's own.
//!
//! | Request | Version key | Kept with the version |
//! | --- | --- | --- |
//! | SSE-S3 | none | nothing |
//! | SSE-KMS | random, from the key service | sealed by the service, for the bucket and the client's context |
//! | SSE-C | the client's key | a salted check that refuses other keys |
//!
//! A version key and the bucket key together wrap the data key of each body (`gateway-seal`), so
//! that deleting the bucket's key shreds all of them alike.
//!
//! Invariants:
//! - a client's key is neither stored nor logged, and lives as long as its request;
//! - no digest of the plaintext is stored in the clear beside a version that has a key: its ETag is
//!   derived from digest and key, its checksums are masked;
//! - which key opens a version never changes; the key service decides each time whether it does.
//!
//! Deliberately absent: repair, relocation and reclamation, which need no key.

use std::sync::Arc;

use gateway_kms::{GeneratedKey, KeyContext, KeyError, KeyName, KeyService};
use gateway_meta::record::{
    Body, BucketEncryptionRecord, ChecksumAlgorithm, CustomerKeys, DefaultEncryption, Encryption,
    KmsEncryption, StoredChecksum,
};
use gateway_seal::VersionKey;

use crate::{
    Bucket, CustomerKey, EncryptionError, EncryptionRequest, Fault, engine::Engine, get::Found,
};

/// The pair of an encryption context that binds a sealed key to its bucket.
const BUCKET_PAIR: &str = "aws:s3:arn";

/// How a new version is sealed.
#[derive(Clone, Debug)]
pub(crate) struct Sealing {
    /// What is kept with it.
    pub(crate) encryption: Encryption,
    /// The version's key, where it has one.
    pub(crate) version_key: Option<Arc<VersionKey>>,
}

impl Sealing {
    /// Under nobody else's key: SSE-S3.
    pub(crate) const MANAGED: Self = Self { encryption: Encryption::Managed, version_key: None };
}

impl Engine {
    /// How a new version of a bucket is sealed.
    pub(crate) async fn sealing(
        &self,
        bucket: &Bucket,
        request: &EncryptionRequest,
    ) -> Result<Sealing, EncryptionError> {
        let default = bucket.configs.encryption.as_deref();
        match effective(request, default)? {
            Effective::Managed => Ok(Sealing::MANAGED),
            Effective::Kms { key, context, bucket_key } => {
                let name = parse_name(key.as_deref())?;
                let bound = bound_context(&bucket.name, context.as_deref())?;
                let service = self.key_service()?;
                let made = counted("generate", service.generate(&name, &bound).await)?;
                let GeneratedKey { key_id, plain, sealed: sealed_key } = made;
                let kms = KmsEncryption { key_id, sealed_key, context, bucket_key };
                let encryption = Encryption::Kms(Box::new(kms));
                Ok(Sealing { encryption, version_key: Some(plain) })
            }
            Effective::Customer(key) => {
                let mut salt = [0; VersionKey::SALT_LEN_BYTES];
                getrandom::fill(&mut salt).map_err(|error| Fault::MetadataUnavailable {
                    reason: format!("no randomness for a salt: {error}"),
                })?;
                let key = VersionKey::from_bytes(key.expose());
                let check = key.check(&salt);
                let encryption = Encryption::Customer { salt, check };
                Ok(Sealing { encryption, version_key: Some(Arc::new(key)) })
            }
        }
    }

    /// The key of a stored version or of an upload under way.
    pub(crate) async fn opening(
        &self,
        bucket: &str,
        encryption: &Encryption,
        given: Option<&CustomerKey>,
    ) -> Result<Option<Arc<VersionKey>>, EncryptionError> {
        match encryption {
            Encryption::Managed => match given {
                None => Ok(None),
                Some(_) => Err(EncryptionError::CustomerKeyUnwanted),
            },
            Encryption::Kms(_) if given.is_some() => Err(EncryptionError::CustomerKeyUnwanted),
            Encryption::Kms(kms) => {
                let context = bound_context(bucket, kms.context.as_deref())?;
                let service = self.key_service()?;
                let opened = service.open(&kms.key_id, &kms.sealed_key, &context).await;
                counted("open", opened).map(Some)
            }
            Encryption::Customer { .. } => {
                customer_key(encryption, given.ok_or(EncryptionError::CustomerKeyMissing)?)
            }
        }
    }

    /// As [`Self::opening`], in the words that clients are told about an upload.
    pub(crate) async fn opening_upload(
        &self,
        bucket: &str,
        encryption: &Encryption,
        given: Option<&CustomerKey>,
    ) -> Result<Sealing, EncryptionError> {
        let opened = self.opening(bucket, encryption, given).await.map_err(of_upload)?;
        Ok(Sealing { encryption: encryption.clone(), version_key: opened })
    }

    /// Makes a version that was found readable: its key, and its checksum as it is.
    pub(crate) async fn unlock(
        &self,
        found: &mut Found,
        given: Option<&CustomerKey>,
    ) -> Result<(), EncryptionError> {
        let metadata = &mut found.info.metadata;
        let key = self.opening(&found.bucket.name, &metadata.encryption, given).await?;
        if let Some(key) = &key {
            metadata.checksum = unmasked(metadata.checksum.take(), metadata.body, key);
        }
        found.version_key = key;
        Ok(())
    }

    /// As [`Self::unlock`], for what is told without reading. S3 tells it without the key service
    /// as well; a checksum takes the key.
    pub(crate) async fn unlock_to_tell(
        &self,
        found: &mut Found,
        given: Option<&CustomerKey>,
    ) -> Result<(), EncryptionError> {
        match self.unlock(found, given).await {
            Err(error) if error.is_of_key_service() => {
                found.info.metadata.checksum = None;
                Ok(())
            }
            unlocked => unlocked,
        }
    }

    fn key_service(&self) -> Result<&dyn KeyService, EncryptionError> {
        self.key_service.as_deref().ok_or(EncryptionError::NoKeyService)
    }
}

/// What a request amounts to.
enum Effective {
    Managed,
    Kms { key: Option<String>, context: Option<String>, bucket_key: bool },
    Customer(CustomerKey),
}

fn effective(
    request: &EncryptionRequest,
    default: Option<&BucketEncryptionRecord>,
) -> Result<Effective, EncryptionError> {
    let bucket_key_default = default.is_some_and(|default| default.bucket_key);
    Ok(match request {
        EncryptionRequest::BucketDefault => match default.map(|default| &default.default) {
            None | Some(DefaultEncryption::Managed) => Effective::Managed,
            Some(DefaultEncryption::Kms { key }) => {
                Effective::Kms { key: key.clone(), context: None, bucket_key: bucket_key_default }
            }
        },
        EncryptionRequest::Managed => Effective::Managed,
        EncryptionRequest::Kms { key_id, context, bucket_key } => Effective::Kms {
            // Who asks for the key service and names no key gets the service's default, as in S3,
            // and not the bucket's.
            key: key_id.clone(),
            context: context.clone(),
            bucket_key: bucket_key.unwrap_or(bucket_key_default),
        },
        EncryptionRequest::Customer(key) => {
            if default.and_then(|default| default.customer_keys) == Some(CustomerKeys::Blocked) {
                return Err(EncryptionError::CustomerKeysBlocked);
            }
            Effective::Customer(key.clone())
        }
    })
}

fn parse_name(key: Option<&str>) -> Result<KeyName, EncryptionError> {
    match key {
        None => Ok(KeyName::default_key()),
        Some(text) => {
            KeyName::parse(text).map_err(|_| EncryptionError::NoSuchKey { key: text.to_owned() })
        }
    }
}

/// The context that a version key is sealed for: the client's pairs, and the bucket's name.
fn bound_context(bucket: &str, given: Option<&str>) -> Result<KeyContext, EncryptionError> {
    let context = given.map(KeyContext::parse).transpose();
    let context = context.map_err(|_| EncryptionError::MalformedContext)?.unwrap_or_default();
    Ok(context.with(BUCKET_PAIR, &format!("arn:aws:s3:::{bucket}")))
}

/// The client's key, if it is the one that a version is sealed under.
fn customer_key(
    encryption: &Encryption,
    given: &CustomerKey,
) -> Result<Option<Arc<VersionKey>>, EncryptionError> {
    let Encryption::Customer { salt, check } = encryption else {
        return Err(EncryptionError::CustomerKeyUnwanted);
    };
    let key = VersionKey::from_bytes(given.expose());
    match key.matches(salt, check) {
        true => Ok(Some(Arc::new(key))),
        false => Err(EncryptionError::CustomerKeyWrong),
    }
}

fn of_upload(error: EncryptionError) -> EncryptionError {
    match error {
        EncryptionError::CustomerKeyMissing => EncryptionError::UploadKeyMissing,
        EncryptionError::CustomerKeyWrong => EncryptionError::UploadKeyWrong,
        EncryptionError::CustomerKeyUnwanted => EncryptionError::UploadKeyUnwanted,
        error => error,
    }
}

/// Counts a call of the key service, and says what its failure means to a request.
fn counted<T>(operation: &'static str, outcome: Result<T, KeyError>) -> Result<T, EncryptionError> {
    let (told, outcome) = match outcome {
        Ok(done) => ("ok", Ok(done)),
        Err(KeyError::NotFound { key }) => ("not_found", Err(EncryptionError::NoSuchKey { key })),
        Err(KeyError::Disabled { key }) => ("disabled", Err(EncryptionError::KeyDisabled { key })),
        Err(KeyError::Refused { key }) => {
            let reason = format!("a version key does not open with the key {key}");
            ("refused", Err(Fault::Corrupt { reason }.into()))
        }
        Err(KeyError::Unavailable { reason }) => {
            ("unavailable", Err(EncryptionError::KeyServiceUnavailable { reason }))
        }
        Err(KeyError::Corrupt { reason }) => ("corrupt", Err(Fault::Corrupt { reason }.into())),
    };
    let labels = [("operation", operation), ("outcome", told)];
    metrics::counter!("datamesh_kms_operations_total", &labels).increment(1);
    outcome
}

/// The ETag bytes of a body: its MD5, or what takes the version's key to make of it.
pub(crate) fn etag_bytes(md5: [u8; 16], body: Body, key: Option<&VersionKey>) -> [u8; 16] {
    key.map_or(md5, |key| key.opaque_tag(manifest_number(body), &md5))
}

/// A checksum of a body as it is stored beside it, or as it is again.
pub(crate) fn mask(
    algorithm: ChecksumAlgorithm,
    value: &mut [u8],
    body: Body,
    key: Option<&VersionKey>,
) {
    // What is stored may be damaged; no checksum is longer.
    if let Some(key) = key.filter(|_| value.len() <= VersionKey::MASK_LEN_BYTES_MAX) {
        key.mask(manifest_number(body), algorithm_number(algorithm), value);
    }
}

/// A stored checksum as it is.
pub(crate) fn unmasked(
    checksum: Option<StoredChecksum>,
    body: Body,
    key: &VersionKey,
) -> Option<StoredChecksum> {
    checksum.map(|mut checksum| {
        mask(checksum.algorithm, &mut checksum.value, body, Some(key));
        checksum
    })
}

/// Manifest ids start at one, and what has none is empty: all its digests are known.
fn manifest_number(body: Body) -> u64 {
    body.manifest().map_or(0, |manifest| manifest.0)
}

/// Part of what is stored: never changes.
fn algorithm_number(algorithm: ChecksumAlgorithm) -> u8 {
    match algorithm {
        ChecksumAlgorithm::Crc32 => 0,
        ChecksumAlgorithm::Crc32c => 1,
        ChecksumAlgorithm::Crc64Nvme => 2,
        ChecksumAlgorithm::Sha1 => 3,
        ChecksumAlgorithm::Sha256 => 4,
    }
}
