//! Storing parts.

use fail::fail_point;
use gateway_meta::{
    CommitOutcome, Guard, Op, Table, key,
    record::{BucketRecord, PartRecord, Record, UploadRecord},
};
use node_proto::UnixMillis;

use crate::{
    ChecksumRequest, IncomingBody, ObjectWriteError, PartReceipt, ResolvedRange, UploadPart,
    UploadPartCopy, UploadRef,
    accounting::UsageChange,
    copy::check_source_len,
    data::WrittenBody,
    encryption::{etag_bytes, mask},
    engine::{Engine, decode, unchanged},
    get::Found,
    limits::{COMMIT_ATTEMPTS_MAX, PART_NUMBER_MAX},
    publish::contended,
    put::{fenced, whole_checksum},
    range::resolve_within,
};

impl Engine {
    /// Stores a part.
    pub(crate) async fn upload_part(
        &self,
        request: UploadPart,
    ) -> Result<PartReceipt, ObjectWriteError> {
        let UploadPart { upload, number, mut body, customer_key } = request;
        check_part_number(number)?;
        let bucket = self.writable_bucket(&upload.target.bucket)?;
        let record = self.upload_record(bucket.id, &upload)?;
        agree_on_checksum(&mut body, &record)?;
        let sealing = self.opening_upload(&bucket.name, &record.encryption, customer_key.as_ref());
        let written = self.write_body(&bucket, body, sealing.await?).await?;
        self.commit_part(&bucket, &upload, number, written).await
    }

    /// Stores a part copied from an object.
    pub(crate) async fn upload_part_copy(
        &self,
        request: UploadPartCopy,
    ) -> Result<PartReceipt, ObjectWriteError> {
        let UploadPartCopy { upload, number, source, range, customer_key } = request;
        check_part_number(number)?;
        let bucket = self.writable_bucket(&upload.target.bucket)?;
        let record = self.upload_record(bucket.id, &upload)?;
        let algorithm = record.checksum.map(|(algorithm, _)| algorithm);
        let plan = |found: &Found| {
            let len_bytes = found.info.metadata.len_bytes;
            let range = match range {
                Some(range) => resolve_within(range, len_bytes)
                    .ok_or(ObjectWriteError::InvalidCopyRange { len_bytes })?,
                None => ResolvedRange { offset_bytes: 0, len_bytes },
            };
            check_source_len(range.len_bytes)?;
            Ok((range, algorithm))
        };
        let sealing = self.opening_upload(&bucket.name, &record.encryption, customer_key.as_ref());
        let sealing = sealing.await?;
        let (found, body) = self.open_source(&source, plan).await?;
        let written = self.write_body(&bucket, body, sealing).await?;
        let receipt = self.commit_part(&bucket, &upload, number, written).await?;
        Ok(PartReceipt { source_version: found.told_version(), ..receipt })
    }

    /// Makes a durable body the part `number`, in place of an earlier one.
    async fn commit_part(
        &self,
        bucket: &BucketRecord,
        upload: &UploadRef,
        number: u16,
        mut written: WrittenBody,
    ) -> Result<PartReceipt, ObjectWriteError> {
        let part_key = key::part(upload.upload, number);
        let _turn = self.key_locks.lock(bucket.id, &part_key).await;
        let upload_key = key::mpu(bucket.id, upload.target.key.as_bytes(), upload.upload);
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let replaced = self.row(Table::Part, &part_key)?;
            let modified = self.clock.now();
            let record = part_record(&written, modified);
            let mut usage = UsageChange::default();
            usage.add_bytes(record.len_bytes);
            let mut ops = written.ops.clone();
            ops.push(Op::Put { table: Table::Part, key: part_key.clone(), value: record.encode() });
            if let Some(row) = &replaced {
                let replaced: PartRecord = decode(row)?;
                usage.remove_bytes(replaced.len_bytes);
                ops.extend(self.data.unlink_ops(&replaced.body));
            }
            ops.extend(usage.ops(bucket.owner, bucket.id, modified));
            let guards = [
                Guard::Present { table: Table::Mpu, key: upload_key.clone() },
                unchanged(Table::Part, part_key.clone(), replaced),
            ];
            let guards = guards.into_iter().chain(written.guards.iter().cloned()).collect();
            fail_point!("part-before-commit");
            let outcome = self.commits.commit_body(guards, ops, &mut written.in_flight).await?;
            fail_point!("part-after-commit");
            match outcome {
                CommitOutcome::Applied => return Ok(receipt(&record, written)),
                CommitOutcome::GuardFailed { guard_index: 0 } => {
                    return Err(ObjectWriteError::NoSuchUpload);
                }
                CommitOutcome::GuardFailed { guard_index: 1 } => {}
                CommitOutcome::GuardFailed { .. } => return Err(fenced().into()),
            }
        }
        Err(contended(false))
    }
}

fn check_part_number(number: u16) -> Result<(), ObjectWriteError> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        Ok(())
    } else {
        Err(ObjectWriteError::InvalidPartNumber { number })
    }
}

/// Makes sure that the part gets a checksum in the algorithm that the upload was started with. An
/// upload that was started without one takes any.
fn agree_on_checksum(
    body: &mut IncomingBody,
    upload: &UploadRecord,
) -> Result<(), ObjectWriteError> {
    let Some((expected, _)) = upload.checksum else { return Ok(()) };
    match &body.expected.checksum {
        Some(given) if given.algorithm != expected => {
            Err(ObjectWriteError::ChecksumAlgorithmMismatch { expected })
        }
        Some(_) => Ok(()),
        None => {
            body.expected.checksum = Some(ChecksumRequest { algorithm: expected, expected: None });
            Ok(())
        }
    }
}

/// What is stored of a part. What its bytes hash to is hidden where somebody else keeps its key.
fn part_record(written: &WrittenBody, modified: UnixMillis) -> PartRecord {
    let key = written.sealing.version_key.as_deref();
    let (algorithm, mut value) = written.checksum.clone();
    mask(algorithm, &mut value, written.body, key);
    PartRecord {
        len_bytes: written.len_bytes,
        md5: etag_bytes(written.md5, written.body, key),
        checksum: Some((algorithm, value)),
        modified,
        body: written.body,
    }
}

fn receipt(record: &PartRecord, written: WrittenBody) -> PartReceipt {
    PartReceipt {
        md5: record.md5,
        encryption: written.sealing.encryption,
        checksum: Some(whole_checksum(written.checksum)),
        modified: record.modified,
        source_version: None,
    }
}
