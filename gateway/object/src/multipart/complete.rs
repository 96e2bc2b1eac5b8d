//! Completing an upload: its parts become an object in the commit that ends the upload.
//!
//! Where somebody else keeps the upload's key, the parts' checksums are masked. S3 lets clients
//! leave their own key out here; the object then gets no checksum.

use std::sync::Arc;

use fail::fail_point;
use gateway_meta::{
    Guard, KeyRange, Op, Table, key,
    record::{
        Body, BucketRecord, Encryption, ObjectKind, ObjectMetadata, ObjectRecord, Record,
        Versioning,
    },
};
use gateway_seal::VersionKey;
use node_proto::ManifestId;

use super::{
    UploadState,
    assemble::{Assembled, assemble, check_order, pages},
};
use crate::{
    CompleteUpload, EncryptionError, Fault, MultipartError, ObjectWriteError, UploadRef,
    WriteReceipt,
    data::InFlight,
    encryption::mask,
    engine::{Engine, decode, read_fault},
    limits::COMMIT_ATTEMPTS_MAX,
    publish::{NewObject, PublishError, contended, receipt},
    put::check_key,
};

/// Versions looked through for what a repeated completion made before. Chosen: a client repeats at
/// once, so few others come in between.
const OLDER_LOOKED_AT_MAX: usize = 100;

impl Engine {
    /// Makes an object of the listed parts.
    pub(crate) async fn complete_upload(
        &self,
        request: CompleteUpload,
    ) -> Result<WriteReceipt, MultipartError> {
        check_key(&request.upload.target.key)?;
        check_order(&request.parts)?;
        let bucket = self.writable_bucket(&request.upload.target.bucket)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let Some(state) = self.upload_state(bucket.id, &request.upload).await? else {
                return self.completed_before(&bucket, &request.upload);
            };
            match self.try_complete(&bucket, &request, state).await {
                Ok(receipt) => return Ok(receipt),
                Err(Attempt::Stale) => {}
                Err(Attempt::Failed(error)) => return Err(error),
            }
        }
        // Parts kept arriving.
        Err(contended(true).into())
    }

    async fn try_complete(
        &self,
        bucket: &BucketRecord,
        request: &CompleteUpload,
        mut state: UploadState,
    ) -> Result<WriteReceipt, Attempt> {
        let minimum = self.config.part_len_bytes_min;
        let key = self.show_checksums(&bucket.name, request, &mut state).await?;
        let mut assembled = assemble(request, &state.record, &state.parts, minimum)?;
        let checksum = assembled.metadata.checksum.clone();
        let (manifest, lease, in_flight) = self.data.allocate_manifest().await?;
        hide_checksums(&mut assembled, Body::Parts(manifest), key.as_deref());
        let object = self.object_of(&state, assembled, (manifest, lease, in_flight));
        fail_point!("complete-before-commit");
        let key = &request.upload.target.key;
        let published = self.publish(bucket, key, &request.condition, object).await;
        fail_point!("complete-after-commit");
        match published {
            Ok(receipt) => Ok(WriteReceipt { checksum, ..receipt }),
            Err(PublishError::Stale) => Err(Attempt::Stale),
            Err(PublishError::Write(error @ ObjectWriteError::PreconditionFailed { .. })) => {
                // The object in the way may be this upload's own, by a completion that was faster.
                self.completed_before(bucket, &request.upload)
                    .map_err(|_| Attempt::Failed(error.into()))
            }
            Err(PublishError::Write(error)) => Err(Attempt::Failed(error.into())),
        }
    }

    /// Makes the parts' checksums what they are, which takes the upload's key.
    async fn show_checksums(
        &self,
        bucket: &str,
        request: &CompleteUpload,
        state: &mut UploadState,
    ) -> Result<Option<Arc<VersionKey>>, MultipartError> {
        let given = request.customer_key.as_ref();
        let parts = state.parts.iter_mut().map(|part| &mut part.record);
        match self.opening_upload(bucket, &state.record.encryption, given).await {
            Ok(opened) => {
                for part in parts {
                    if let Some((algorithm, value)) = &mut part.checksum {
                        mask(*algorithm, value, part.body, opened.version_key.as_deref());
                    }
                }
                Ok(opened.version_key)
            }
            Err(EncryptionError::UploadKeyMissing) if !declares_checksums(request) => {
                parts.for_each(|part| part.checksum = None);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn object_of(
        &self,
        state: &UploadState,
        assembled: Assembled,
        (manifest, lease, in_flight): (ManifestId, Guard, InFlight),
    ) -> NewObject {
        let mut guards = state.unchanged();
        guards.push(lease);
        let mut ops = state.end_ops();
        ops.extend(pages(&assembled.entries).map(|(page, record)| Op::Put {
            table: Table::Mf,
            key: key::mf(manifest, page),
            value: record.encode(),
        }));
        for part in &assembled.unused {
            ops.extend(self.data.unlink_ops(&part.body));
        }
        NewObject {
            metadata: ObjectMetadata { body: Body::Parts(manifest), ..assembled.metadata },
            guards,
            ops,
            released_bytes: assembled.uploaded_bytes,
            in_flight: Some(in_flight),
        }
    }

    /// The answer to a completion of an upload that is gone: its object, if that is still the live
    /// one, or one of the newest versions below.
    fn completed_before(
        &self,
        bucket: &BucketRecord,
        upload: &UploadRef,
    ) -> Result<WriteReceipt, MultipartError> {
        let key = upload.target.key.as_bytes();
        let current = self.current(bucket.id, &upload.target.key)?;
        if let Some(found) = current.record.and_then(|record| made_by(record, upload)) {
            return Ok(found);
        }
        if bucket.versioning != Versioning::Never {
            let snapshot = self.meta.snapshot();
            let older = KeyRange::prefix(&key::ver_prefix(bucket.id, key));
            let mut cursor = snapshot.cursor(Table::Ver, older);
            for _ in 0..OLDER_LOOKED_AT_MAX {
                let Some((_, row)) = cursor.next().map_err(read_fault)? else { break };
                if let Some(found) = made_by(decode(&row)?, upload) {
                    return Ok(found);
                }
            }
        }
        Err(MultipartError::NoSuchUpload)
    }
}

/// The answer to the completion of `upload` if it made `record`.
fn made_by(record: ObjectRecord, upload: &UploadRef) -> Option<WriteReceipt> {
    let ObjectKind::Object(metadata) = &record.kind else { return None };
    if metadata.upload != Some(upload.upload) {
        return None;
    }
    let receipt = receipt(record.version, record.modified, metadata);
    // What is masked takes a key, which a repetition need not give.
    let is_plain = metadata.encryption == Encryption::Managed;
    let checksum = receipt.checksum.filter(|_| is_plain);
    Some(WriteReceipt { checksum, ..receipt })
}

/// Whether the client says what something hashes to, so that it has to be compared.
fn declares_checksums(request: &CompleteUpload) -> bool {
    request.checksum.is_some() || request.parts.iter().any(|part| part.checksum.is_some())
}

/// Masks the checksums of an object and its parts.
fn hide_checksums(assembled: &mut Assembled, body: Body, key: Option<&VersionKey>) {
    if let Some(checksum) = &mut assembled.metadata.checksum {
        mask(checksum.algorithm, &mut checksum.value, body, key);
        for entry in &mut assembled.entries {
            mask(checksum.algorithm, &mut entry.checksum, entry.body, key);
        }
    }
}

/// Why one attempt at a completion did not succeed.
enum Attempt {
    /// The upload changed in between; look again.
    Stale,
    /// It cannot succeed.
    Failed(MultipartError),
}

impl From<MultipartError> for Attempt {
    fn from(error: MultipartError) -> Self {
        Self::Failed(error)
    }
}

impl From<Fault> for Attempt {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}
