//! Storing an object in one request.

use fail::fail_point;
use gateway_meta::{
    AccountId, Table,
    key::ctl,
    record::{BucketRecord, ChecksumAlgorithm, ChecksumType, ETag, ObjectMetadata, StoredChecksum},
};

use crate::{
    BodyError, Fault, IncomingBody, ObjectAttributes, ObjectWriteError, PutObject, WriteCondition,
    WriteReceipt,
    attributes::validate_attributes,
    conditions::{check_write, is_conditional},
    data::{WriteTarget, WrittenBody},
    encryption::{Sealing, etag_bytes, mask},
    engine::Engine,
    limits::PUT_LEN_BYTES_MAX,
    lock::check_asked,
    names::validate_key,
    publish::{NewObject, PublishError, no_such_bucket},
};

impl Engine {
    /// Stores an object.
    pub(crate) async fn put_object(
        &self,
        request: PutObject,
    ) -> Result<WriteReceipt, ObjectWriteError> {
        let PutObject { target, writer, body, attributes, condition } = request;
        check_key(&target.key)?;
        validate_attributes(&attributes)?;
        let bucket = self.writable_bucket(&target.bucket)?;
        check_asked(&bucket, &attributes.lock, self.clock.now())?;
        self.check_before_body(&bucket, &target.key, &condition)?;
        let sealing = self.sealing(&bucket, &attributes.encryption).await?;
        let written = self.write_body(&bucket, body, sealing).await?;
        self.publish_written(&bucket, &target.key, &condition, writer, attributes, written).await
    }

    /// A cheap look before bytes are moved in vain; the commit decides.
    pub(crate) fn check_before_body(
        &self,
        bucket: &BucketRecord,
        key: &str,
        condition: &WriteCondition,
    ) -> Result<(), ObjectWriteError> {
        if is_conditional(condition) {
            check_write(condition, self.current(bucket.id, key)?.live())?;
        }
        Ok(())
    }

    /// Makes the bytes of one PUT, copy or part durable.
    pub(crate) async fn write_body(
        &self,
        bucket: &BucketRecord,
        body: IncomingBody,
        sealing: Sealing,
    ) -> Result<WrittenBody, ObjectWriteError> {
        let target = WriteTarget::of(bucket, sealing);
        match self.data.write(target, body, PUT_LEN_BYTES_MAX).await {
            // A body that is read from our own devices fails for our own reasons.
            Err(ObjectWriteError::Body(BodyError::Unreadable { source })) => Err(source.into()),
            // A bucket takes its keys along when it goes.
            Err(ObjectWriteError::Fault(_)) if !self.is_there(bucket)? => {
                Err(no_such_bucket(&bucket.name))
            }
            written => written,
        }
    }

    fn is_there(&self, bucket: &BucketRecord) -> Result<bool, Fault> {
        Ok(self.row(Table::Ctl, &ctl::bucket_id(bucket.id))?.is_some())
    }

    /// Makes a durable body the object under `key`.
    pub(crate) async fn publish_written(
        &self,
        bucket: &BucketRecord,
        key: &str,
        condition: &WriteCondition,
        writer: AccountId,
        attributes: ObjectAttributes,
        written: WrittenBody,
    ) -> Result<WriteReceipt, ObjectWriteError> {
        let plain = whole_checksum(written.checksum);
        let version_key = written.sealing.version_key.as_deref();
        let mut checksum = plain.clone();
        mask(checksum.algorithm, &mut checksum.value, written.body, version_key);
        let md5 = etag_bytes(written.md5, written.body, version_key);
        let object = NewObject {
            metadata: ObjectMetadata {
                len_bytes: written.len_bytes,
                etag: ETag { md5, part_count: None },
                checksum: Some(checksum),
                headers: attributes.headers,
                user_metadata: attributes.user_metadata,
                tags: attributes.tags,
                storage_class: attributes.storage_class,
                owner: writer,
                upload: None,
                body: written.body,
                lock: attributes.lock,
                encryption: written.sealing.encryption,
            },
            guards: written.guards,
            ops: written.ops,
            released_bytes: 0,
            in_flight: written.in_flight,
        };
        fail_point!("put-before-commit");
        let published = self.publish(bucket, key, condition, object).await;
        fail_point!("put-after-commit");
        match published {
            Ok(receipt) => Ok(WriteReceipt { checksum: Some(plain), ..receipt }),
            Err(PublishError::Write(error)) => Err(error),
            Err(PublishError::Stale) => Err(fenced().into()),
        }
    }
}

/// The checksum of a body that was sent in one go.
pub(crate) fn whole_checksum((algorithm, value): (ChecksumAlgorithm, Vec<u8>)) -> StoredChecksum {
    StoredChecksum { algorithm, kind: ChecksumType::FullObject, value, part_count: None }
}

/// The durable intent behind a body was revoked while the body was in flight.
pub(crate) fn fenced() -> Fault {
    Fault::MetadataUnavailable { reason: "the lease of a body in flight was fenced".to_owned() }
}

/// Refuses keys that S3 does not allow.
pub(crate) fn check_key(key: &str) -> Result<(), ObjectWriteError> {
    validate_key(key).map_err(|len_bytes| ObjectWriteError::KeyTooLong { len_bytes })
}
