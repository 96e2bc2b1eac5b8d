//! Multipart uploads: from their start to the object they become, or to nothing.
//!
//! Invariants:
//! - a part exists only while its upload does: its commit guards the upload's row;
//! - an upload ends (completed or aborted) in one commit that is guarded by its exact set of parts,
//!   so that no part is lost or left behind, and its row goes with all its parts' rows;
//! - uploaded parts count as live bytes from their commit on.
//!
//! *Retries:* a repeated completion finds its own object and answers again. *Crash consistency:* an
//! upload under way is nothing but its rows; a crash changes nothing about it.

mod assemble;
mod complete;
mod list;
mod part;

use bytes::Bytes;
use gateway_meta::{
    BucketId, CommitOutcome, Guard, KeyRange, Op, Table, UploadId, key,
    record::{PartRecord, Record, UploadRecord},
};
use node_proto::UnixMillis;

use crate::{
    CreateUpload, Fault, MultipartError, ObjectWriteError, UploadReceipt, UploadRef,
    accounting::UsageChange,
    attributes::validate_attributes,
    checksum::checksum_type,
    engine::{Engine, decode, read_fault, unchanged},
    limits::COMMIT_ATTEMPTS_MAX,
    lock::check_asked,
    publish::{bucket_exists, contended, no_such_bucket},
    put::check_key,
};

/// An upload with all its parts, as one snapshot had them.
struct UploadState {
    row_key: Vec<u8>,
    row: Bytes,
    upload: UploadId,
    record: UploadRecord,
    parts: Vec<StoredPart>,
}

/// A part as it was read.
struct StoredPart {
    number: u16,
    row: Bytes,
    record: PartRecord,
}

impl Engine {
    /// Starts an upload.
    pub(crate) async fn create_upload(
        &self,
        request: CreateUpload,
    ) -> Result<UploadReceipt, MultipartError> {
        let CreateUpload { target, initiator, attributes, checksum } = request;
        check_key(&target.key)?;
        validate_attributes(&attributes)?;
        let checksum = checksum
            .map(|(algorithm, asked)| checksum_type(algorithm, asked).map(|kind| (algorithm, kind)))
            .transpose()?;
        let bucket = self.writable_bucket(&target.bucket)?;
        check_asked(&bucket, &attributes.lock, self.clock.now())?;
        let sealing = self.sealing(&bucket, &attributes.encryption).await?;
        let upload = self.new_upload_id()?;
        let record = UploadRecord {
            initiated: self.clock.now(),
            initiator,
            headers: attributes.headers,
            user_metadata: attributes.user_metadata,
            tags: attributes.tags,
            storage_class: attributes.storage_class,
            checksum,
            lock: attributes.lock,
            encryption: sealing.encryption.clone(),
        };
        let row_key = key::mpu(bucket.id, target.key.as_bytes(), upload);
        let guards =
            vec![bucket_exists(&bucket), Guard::Absent { table: Table::Mpu, key: row_key.clone() }];
        let put = Op::Put { table: Table::Mpu, key: row_key, value: record.encode() };
        match self.commits.commit(guards, vec![put]).await? {
            CommitOutcome::Applied => Ok(UploadReceipt { upload, encryption: sealing.encryption }),
            CommitOutcome::GuardFailed { guard_index: 0 } => {
                Err(no_such_bucket(&target.bucket).into())
            }
            CommitOutcome::GuardFailed { .. } => {
                Err(Fault::Corrupt { reason: "an upload id was drawn twice".to_owned() }.into())
            }
        }
    }

    /// Ends an upload and unlinks its parts.
    pub(crate) async fn abort_upload(&self, upload: UploadRef) -> Result<(), MultipartError> {
        self.abort_upload_while(&upload, &[]).await
    }

    /// Ends an upload and unlinks its parts, if `guards` hold.
    pub(crate) async fn abort_upload_while(
        &self,
        upload: &UploadRef,
        guards: &[Guard],
    ) -> Result<(), MultipartError> {
        let bucket = self.writable_bucket(&upload.target.bucket)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let state =
                self.upload_state(bucket.id, upload).await?.ok_or(MultipartError::NoSuchUpload)?;
            let mut usage = UsageChange::default();
            let mut ops = state.end_ops();
            for part in &state.parts {
                usage.remove_bytes(part.record.len_bytes);
                ops.extend(self.data.unlink_ops(&part.record.body));
            }
            ops.extend(usage.ops(bucket.owner, bucket.id, self.clock.now()));
            fail::fail_point!("abort-before-commit");
            let all = state.unchanged().into_iter().chain(guards.iter().cloned()).collect();
            let outcome = self.commits.commit(all, ops).await?;
            fail::fail_point!("abort-after-commit");
            if outcome == CommitOutcome::Applied {
                return Ok(());
            }
        }
        // Parts kept arriving, or a guard does not hold.
        Err(contended(true).into())
    }

    /// Reads an upload and its parts; `None` when there is no such upload of the key.
    async fn upload_state(
        &self,
        bucket: BucketId,
        upload: &UploadRef,
    ) -> Result<Option<UploadState>, Fault> {
        let row_key = key::mpu(bucket, upload.target.key.as_bytes(), upload.upload);
        let upload = upload.upload;
        self.on_snapshot(move |snapshot| {
            let Some(row) = snapshot.get(Table::Mpu, &row_key).map_err(read_fault)? else {
                return Ok(None);
            };
            let mut parts = Vec::new();
            let rows = KeyRange::prefix(&key::part_prefix(upload));
            let mut cursor = snapshot.cursor(Table::Part, rows);
            while let Some((row_key, row)) = cursor.next().map_err(read_fault)? {
                let number = part_number(&row_key)?;
                parts.push(StoredPart { number, record: decode(&row)?, row });
            }
            let record = decode(&row)?;
            Ok(Some(UploadState { row_key, row, upload, record, parts }))
        })
        .await
    }

    /// The record of an upload under way.
    fn upload_record(
        &self,
        bucket: BucketId,
        upload: &UploadRef,
    ) -> Result<UploadRecord, ObjectWriteError> {
        let row_key = key::mpu(bucket, upload.target.key.as_bytes(), upload.upload);
        let row = self.row(Table::Mpu, &row_key)?.ok_or(ObjectWriteError::NoSuchUpload)?;
        Ok(decode(&row)?)
    }
}

impl UploadState {
    /// Holds while the upload has exactly these parts. Numbers that follow each other leave no room
    /// between them, so an upload without gaps needs one range guard.
    fn unchanged(&self) -> Vec<Guard> {
        let row = |table, key, row: &Bytes| unchanged(table, key, Some(row.clone()));
        let mut guards = vec![row(Table::Mpu, self.row_key.clone(), &self.row)];
        let mut next_number = 1;
        for part in &self.parts {
            if part.number > next_number {
                guards.push(self.no_parts_between(next_number, Some(part.number)));
            }
            guards.push(row(Table::Part, key::part(self.upload, part.number), &part.row));
            next_number = part.number.saturating_add(1);
        }
        guards.push(self.no_parts_between(next_number, None));
        guards
    }

    fn no_parts_between(&self, first: u16, end: Option<u16>) -> Guard {
        let behind_all = || KeyRange::prefix(&key::part_prefix(self.upload)).end;
        Guard::RangeEmpty {
            table: Table::Part,
            range: KeyRange {
                start: key::part(self.upload, first),
                end: end.map_or_else(behind_all, |end| Some(key::part(self.upload, end))),
            },
        }
    }

    /// The ops that remove the upload and its parts' rows, not the bodies.
    fn end_ops(&self) -> Vec<Op> {
        let parts = KeyRange::prefix(&key::part_prefix(self.upload));
        vec![
            Op::Delete { table: Table::Mpu, key: self.row_key.clone() },
            Op::DeleteRange { table: Table::Part, range: parts },
        ]
    }
}

/// When an upload was started, which its id says.
pub(crate) fn started(upload: UploadId) -> UnixMillis {
    let mut ms = [0; 8];
    ms[2..].copy_from_slice(&upload.0[..6]);
    UnixMillis(u64::from_be_bytes(ms))
}

/// The number at the end of a `part` row key.
fn part_number(row_key: &[u8]) -> Result<u16, Fault> {
    match row_key.split_last_chunk::<2>() {
        Some((_upload, number)) => Ok(u16::from_be_bytes(*number)),
        None => Err(Fault::Corrupt { reason: "a part row key is too short".to_owned() }),
    }
}
