//! Completing an upload: its parts become an object in the commit that ends the upload.

use fail::fail_point;
use gateway_meta::{
    Guard, Op, Table, key,
    record::{Body, BucketRecord, ObjectMetadata, Record},
};
use node_proto::ManifestId;

use super::{
    UploadState,
    assemble::{Assembled, assemble, check_order, pages},
};
use crate::{
    CompleteUpload, Fault, MultipartError, ObjectWriteError, UploadRef, WriteReceipt,
    data::InFlight,
    engine::Engine,
    limits::COMMIT_ATTEMPTS_MAX,
    publish::{NewObject, PublishError, contended, receipt},
    put::check_key,
};

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
        state: UploadState,
    ) -> Result<WriteReceipt, Attempt> {
        let minimum = self.config.part_len_bytes_min;
        let assembled = assemble(request, &state.record, &state.parts, minimum)?;
        let (manifest, lease, in_flight) = self.data.allocate_manifest().await?;
        let object = self.object_of(&state, assembled, (manifest, lease, in_flight));
        fail_point!("complete-before-commit");
        let key = &request.upload.target.key;
        let published = self.publish(bucket, key, &request.condition, object).await;
        fail_point!("complete-after-commit");
        match published {
            Ok(receipt) => Ok(receipt),
            Err(PublishError::Stale) => Err(Attempt::Stale),
            Err(PublishError::Write(error @ ObjectWriteError::PreconditionFailed { .. })) => {
                // The object in the way may be this upload's own, by a completion that was faster.
                self.completed_before(bucket, &request.upload)
                    .map_err(|_| Attempt::Failed(error.into()))
            }
            Err(PublishError::Write(error)) => Err(Attempt::Failed(error.into())),
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

    /// The answer to a completion of an upload that is gone: its object, if that is still live.
    fn completed_before(
        &self,
        bucket: &BucketRecord,
        upload: &UploadRef,
    ) -> Result<WriteReceipt, MultipartError> {
        let current = self.current(bucket.id, &upload.target.key)?;
        match (&current.record, current.live()) {
            (Some(record), Some(live)) if live.upload == Some(upload.upload) => {
                Ok(receipt(record, live))
            }
            _ => Err(MultipartError::NoSuchUpload),
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
