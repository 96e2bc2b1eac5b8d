//! Making an object the live one under its key: the one commit by which it exists.
//!
//! Invariants:
//! - the conditions hold for the very version that the commit replaces: it is guarded to be the one
//!   they were evaluated on;
//! - what it replaces stays as an older version, or its body is unlinked, as the bucket's mode says
//!   that the commit guards; counters and meters move in the same commit.
//!
//! *Cancellation:* dropping the future leaves the object either published or not, and its bytes
//! protected until that is known.

use std::sync::Arc;

use gateway_meta::{
    Guard, Op, Table, VersionId,
    key::ctl,
    record::{BucketRecord, ObjectKind, ObjectMetadata, ObjectRecord, Versioning},
};
use node_proto::UnixMillis;

use crate::{
    Bucket, Fault, ObjectWriteError, WriteCondition, WriteReceipt,
    conditions::{check_write, is_conditional},
    data::InFlight,
    engine::Engine,
    limits::COMMIT_ATTEMPTS_MAX,
    lock::{Locked, lock_of_new},
    versions::{EditOutcome, Finished, KeyEdit, edit_outcome, standing_guards},
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

impl From<Locked> for PublishError {
    fn from(locked: Locked) -> Self {
        Self::Write(locked.into())
    }
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
            let bucket = self.still_there(bucket)?;
            let mut edit = KeyEdit::begin(self, &bucket, key)?;
            check_write(condition, edit.live()?)?;
            let (seq, version) = self.make_room::<PublishError>(&bucket, &mut edit)?;
            let mut metadata = object.metadata.clone();
            metadata.lock = lock_of_new(&bucket, &metadata.lock, seq)?;
            let modified = self.clock.now();
            let receipt = receipt(version, modified, &metadata);
            let kind = ObjectKind::Object(Box::new(metadata));
            edit.push(ObjectRecord { version, seq, modified, kind });
            match self.commit_object(&bucket, edit, &mut object, modified).await? {
                EditOutcome::Applied => return Ok(receipt),
                EditOutcome::Changed => {
                    tracing::debug!(bucket = bucket.name, "a key changed under a commit");
                }
                EditOutcome::NoBucket => return Err(no_such_bucket(&bucket.name).into()),
                EditOutcome::Refused { .. } => return Err(PublishError::Stale),
            }
        }
        Err(contended(is_conditional(condition)).into())
    }

    /// A bucket as it is by now; one that was made anew under its name is another.
    fn still_there(&self, bucket: &BucketRecord) -> Result<Arc<Bucket>, ObjectWriteError> {
        let found = self.find_bucket(&bucket.name)?.filter(|found| found.id == bucket.id);
        found.ok_or_else(|| no_such_bucket(&bucket.name))
    }

    /// Removes what a new version replaces for good, and says what that one is called.
    pub(crate) fn make_room<E: From<Fault> + From<Locked>>(
        &self,
        bucket: &BucketRecord,
        edit: &mut KeyEdit<'_>,
    ) -> Result<(u128, VersionId), E> {
        let seq = edit.next_seq(self.clock.now())?;
        if bucket.versioning == Versioning::Enabled {
            return Ok((seq, VersionId::Id(seq.to_be_bytes())));
        }
        if let Some(place) = edit.find(VersionId::Null)? {
            self.remove_unlocked(edit, place, false)?;
        }
        Ok((seq, VersionId::Null))
    }

    async fn commit_object(
        &self,
        bucket: &BucketRecord,
        edit: KeyEdit<'_>,
        object: &mut NewObject,
        modified: UnixMillis,
    ) -> Result<EditOutcome, Fault> {
        let Finished { guards, mut ops, mut usage } = edit.finish()?;
        usage.remove_bytes(object.released_bytes);
        ops.extend(object.ops.iter().cloned());
        ops.extend(usage.ops(bucket.owner, bucket.id, modified));
        let mut all = standing_guards(bucket).to_vec();
        all.extend(guards);
        let own_from = all.len();
        all.extend(object.guards.iter().cloned());
        let outcome = self.commits.commit_body(all, ops, &mut object.in_flight).await?;
        Ok(edit_outcome(outcome, own_from))
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
pub(crate) fn receipt(
    version: VersionId,
    modified: UnixMillis,
    metadata: &ObjectMetadata,
) -> WriteReceipt {
    WriteReceipt {
        etag: metadata.etag,
        version,
        checksum: metadata.checksum.clone(),
        len_bytes: metadata.len_bytes,
        modified,
        tags: metadata.tags.clone(),
        encryption: metadata.encryption.clone(),
    }
}
