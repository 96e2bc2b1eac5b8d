//! Making an object the live one under its key: the one commit by which it exists.
//!
//! Invariants:
//! - the conditions hold for the very version that the commit replaces: it is guarded to be the one
//!   they were evaluated on;
//! - the replaced body is unlinked, and counters and meters move, in the same commit.
//!
//! *Cancellation:* dropping the future leaves the object either published or not, and its bytes
//! protected until that is known.

use std::sync::Arc;

use gateway_meta::{
    CommitOutcome, Guard, Op, Table, VersionId,
    key::ctl,
    record::{BucketRecord, ObjectKind, ObjectMetadata, ObjectRecord, Record},
};

use crate::{
    Bucket, Fault, ObjectWriteError, WriteCondition, WriteReceipt,
    accounting::UsageChange,
    conditions::{check_write, is_conditional},
    data::InFlight,
    engine::{CurrentRow, Engine},
    limits::COMMIT_ATTEMPTS_MAX,
};

/// An object whose bytes are durable.
pub(crate) struct NewObject {
    /// What it will be.
    pub(crate) metadata: ObjectMetadata,
    /// What else must hold.
    pub(crate) guards: Vec<Guard>,
    /// What else happens.
    pub(crate) ops: Vec<Op>,
    /// Bytes that were counted before and no longer are on their own: those of an upload's parts.
    pub(crate) released_bytes: u64,
    /// What protects the bytes until the commit.
    pub(crate) in_flight: Option<InFlight>,
}

/// Why an object was not published.
pub(crate) enum PublishError {
    /// One of [`NewObject::guards`] does not hold.
    Stale,
    /// Anything else.
    Write(ObjectWriteError),
}

impl From<ObjectWriteError> for PublishError {
    fn from(error: ObjectWriteError) -> Self {
        Self::Write(error)
    }
}

impl From<Fault> for PublishError {
    fn from(fault: Fault) -> Self {
        Self::Write(fault.into())
    }
}

impl Engine {
    /// The bucket that a write goes to.
    pub(crate) fn writable_bucket(&self, name: &str) -> Result<Arc<Bucket>, ObjectWriteError> {
        self.find_bucket(name)?.ok_or_else(|| no_such_bucket(name))
    }

    /// Makes `object` the live one under `key` if `condition` holds.
    pub(crate) async fn publish(
        &self,
        bucket: &BucketRecord,
        key: &str,
        condition: &WriteCondition,
        mut object: NewObject,
    ) -> Result<WriteReceipt, PublishError> {
        let _turn = self.key_locks.lock(bucket.id, key.as_bytes()).await;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let current = self.current(bucket.id, key)?;
            check_write(condition, current.live())?;
            let record = self.version_record(&current, &object.metadata);
            let guards = [current.unchanged(), bucket_exists(bucket)]
                .into_iter()
                .chain(object.guards.iter().cloned())
                .collect();
            let ops = self.publish_ops(bucket, &current, &record, &object);
            match self.commits.commit_body(guards, ops, &mut object.in_flight).await? {
                CommitOutcome::Applied => return Ok(receipt(&record, &object.metadata)),
                CommitOutcome::GuardFailed { guard_index: 0 } => {
                    tracing::debug!(bucket = bucket.name, "a key changed under a commit");
                }
                CommitOutcome::GuardFailed { guard_index: 1 } => {
                    return Err(no_such_bucket(&bucket.name).into());
                }
                CommitOutcome::GuardFailed { .. } => return Err(PublishError::Stale),
            }
        }
        Err(contended(is_conditional(condition)).into())
    }

    /// The next version of the key, an unversioned bucket's `null` version.
    fn version_record(&self, current: &CurrentRow, metadata: &ObjectMetadata) -> ObjectRecord {
        let now = self.clock.now();
        let predecessor = current.record.as_ref().map(|record| record.seq);
        ObjectRecord {
            version: VersionId::Null,
            seq: self.sequencer.next(now, predecessor),
            modified: now,
            kind: ObjectKind::Object(Box::new(metadata.clone())),
        }
    }

    fn publish_ops(
        &self,
        bucket: &BucketRecord,
        current: &CurrentRow,
        record: &ObjectRecord,
        object: &NewObject,
    ) -> Vec<Op> {
        let mut usage = UsageChange::default();
        usage.add_object(object.metadata.len_bytes);
        usage.remove_bytes(object.released_bytes);
        let mut ops = vec![Op::Put {
            table: Table::Cur,
            key: current.row_key.clone(),
            value: record.encode(),
        }];
        if let Some(replaced) = current.live() {
            usage.remove_object(replaced.len_bytes);
            ops.extend(self.data.unlink_ops(&replaced.body));
        }
        ops.extend(object.ops.iter().cloned());
        ops.extend(usage.ops(bucket.owner, bucket.id, record.modified));
        ops
    }
}

/// Holds while the bucket exists.
pub(crate) fn bucket_exists(bucket: &BucketRecord) -> Guard {
    Guard::Present { table: Table::Ctl, key: ctl::bucket_id(bucket.id) }
}

/// The error of writes to a missing bucket.
pub(crate) fn no_such_bucket(name: &str) -> ObjectWriteError {
    ObjectWriteError::NoSuchBucket { bucket: name.to_owned() }
}

/// The error of a write that lost every race: only one under a condition is told of a conflict.
pub(crate) fn contended(conditional: bool) -> ObjectWriteError {
    if conditional { ObjectWriteError::Conflict } else { Fault::Busy.into() }
}

/// What the writer is told of a version.
pub(crate) fn receipt(record: &ObjectRecord, metadata: &ObjectMetadata) -> WriteReceipt {
    WriteReceipt {
        etag: metadata.etag,
        version: record.version,
        checksum: metadata.checksum.clone(),
        len_bytes: metadata.len_bytes,
        modified: record.modified,
        encryption: metadata.encryption.clone(),
    }
}
