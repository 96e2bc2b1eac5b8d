//! Copying objects: the source is read, opened, sealed anew for the target, and published like any
//! other write. A copy onto itself leaves the old body readable until the new one is published.

use gateway_meta::record::{BucketRecord, ChecksumAlgorithm, ObjectMetadata, Versioning};

use crate::{
    ChecksumRequest, CopyObject, CopyReceipt, CopySource, EncryptionRequest, ExpectedDigests,
    Fault, IncomingBody, MetadataDirective, ObjectAttributes, ObjectReadError, ObjectWriteError,
    ResolvedRange, TaggingDirective,
    attributes::{effective_storage_class, validate_attributes},
    engine::Engine,
    get::Found,
    limits::{PUT_LEN_BYTES_MAX, READ_ATTEMPTS_MAX},
    lock::check_asked,
    put::check_key,
};

impl Engine {
    /// Copies an object.
    pub(crate) async fn copy_object(
        &self,
        request: CopyObject,
    ) -> Result<CopyReceipt, ObjectWriteError> {
        check_key(&request.target.key)?;
        let bucket = self.writable_bucket(&request.target.bucket)?;
        check_asked(&bucket, &request.lock, self.clock.now())?;
        let plan = |found: &Found| {
            let metadata = &found.info.metadata;
            if is_self_copy(&request, &bucket) && !changes_something(&request, metadata) {
                return Err(ObjectWriteError::SelfCopy);
            }
            check_source_len(metadata.len_bytes)?;
            validate_attributes(&attributes(&request, metadata))?;
            self.check_before_body(&bucket, &request.target.key, &request.condition)?;
            // A checksum over parts makes no sense for a copy, which has none; its algorithm does.
            let kept = metadata.checksum.as_ref().map(|checksum| checksum.algorithm);
            let whole = ResolvedRange { offset_bytes: 0, len_bytes: metadata.len_bytes };
            Ok((whole, request.checksum.or(kept)))
        };
        let (found, body) = self.open_source(&request.source, plan).await?;
        let attributes = attributes(&request, &found.info.metadata);
        let sealing = self.sealing(&bucket, &request.encryption).await?;
        let written = self.write_body(&bucket, body, sealing).await?;
        let written = self
            .publish_written(
                &bucket,
                &request.target.key,
                &request.condition,
                request.writer,
                attributes,
                written,
            )
            .await?;
        Ok(CopyReceipt { written, source_version: found.told_version() })
    }

    /// Finds the source of a copy, lets `plan` say which of its bytes are wanted and with which
    /// checksum, and opens them. A source that was replaced and reclaimed in between is found anew.
    pub(crate) async fn open_source(
        &self,
        source: &CopySource,
        plan: impl Fn(&Found) -> Result<(ResolvedRange, Option<ChecksumAlgorithm>), ObjectWriteError>,
    ) -> Result<(Found, IncomingBody), ObjectWriteError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let mut found = self.find_source(source)?;
            let unlocked = self.unlock(&mut found, source.customer_key.as_ref()).await;
            unlocked.map_err(|error| ObjectWriteError::Source(error.into()))?;
            let (range, checksum) = plan(&found)?;
            match self.source_body(&found, range, checksum).await {
                Ok(body) => return Ok((found, body)),
                Err(_) if self.was_replaced(&source.object.key, &found)? => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Finds the source of a copy. Conditions on it that do not hold are failed preconditions, also
    /// those that would answer a GET with "not modified".
    fn find_source(&self, source: &CopySource) -> Result<Found, ObjectWriteError> {
        let found = self.find(&source.object, source.version, &source.condition);
        found.map_err(|error| {
            ObjectWriteError::Source(match error {
                ObjectReadError::NotModified { .. } => ObjectReadError::PreconditionFailed {
                    condition: if source.condition.if_none_match.is_some() {
                        "If-None-Match"
                    } else {
                        "If-Modified-Since"
                    },
                },
                ObjectReadError::Fault(fault) => return fault.into(),
                error => error,
            })
        })
    }

    /// The bytes of a copy source, as a body to store.
    async fn source_body(
        &self,
        found: &Found,
        range: ResolvedRange,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<IncomingBody, Fault> {
        Ok(IncomingBody {
            stream: self.read_body(found, range).await?,
            len_bytes: Some(range.len_bytes),
            expected: ExpectedDigests {
                checksum: checksum.map(|algorithm| ChecksumRequest { algorithm, expected: None }),
                ..ExpectedDigests::default()
            },
        })
    }
}

/// Refuses to copy more than one PUT may hold.
pub(crate) fn check_source_len(len_bytes: u64) -> Result<(), ObjectWriteError> {
    if len_bytes > PUT_LEN_BYTES_MAX {
        return Err(ObjectWriteError::CopySourceTooLarge { limit_bytes: PUT_LEN_BYTES_MAX });
    }
    Ok(())
}

/// Whether the copy would be made of the very object that it takes the place of. A version of a
/// versioned bucket that is asked for by its id may be copied on top of the others.
fn is_self_copy(request: &CopyObject, target: &BucketRecord) -> bool {
    let names_no_version =
        request.source.version.is_none() || target.versioning == Versioning::Never;
    request.source.object == request.target && names_no_version
}

/// What makes a copy onto itself legal: other metadata, another storage class, a
/// checksum, or that it says how to encrypt.
fn changes_something(request: &CopyObject, source: &ObjectMetadata) -> bool {
    matches!(request.metadata, MetadataDirective::Replace { .. })
        || effective_storage_class(&request.storage_class)
            != effective_storage_class(&source.storage_class)
        || request.checksum.is_some()
        || request.encryption != EncryptionRequest::BucketDefault
}

fn attributes(request: &CopyObject, source: &ObjectMetadata) -> ObjectAttributes {
    let (headers, user_metadata) = match &request.metadata {
        MetadataDirective::Copy => {
            let mut headers = source.headers.clone();
            // S3 never copies where an object redirects to.
            headers.website_redirect_location = None;
            (headers, source.user_metadata.clone())
        }
        MetadataDirective::Replace { headers, user_metadata } => {
            (headers.clone(), user_metadata.clone())
        }
    };
    let tags = match &request.tagging {
        TaggingDirective::Copy => source.tags.clone(),
        TaggingDirective::Replace(tags) => tags.clone(),
    };
    let storage_class = request.storage_class.clone();
    let (lock, encryption) = (request.lock, request.encryption.clone());
    ObjectAttributes { headers, user_metadata, tags, storage_class, lock, encryption }
}
