//! Object tags. They are part of the version's record, so changing them replaces the record and
//! nothing else: neither the version nor its time changes.

use gateway_meta::{
    CommitOutcome, Op, Table, VersionId,
    record::{ObjectKind, ObjectRecord, Record},
};

use crate::{
    Fault, ObjectReadError, ObjectRef, TaggingError,
    attributes::validate_tags,
    engine::{CurrentRow, Engine},
    limits::COMMIT_ATTEMPTS_MAX,
};

impl Engine {
    /// Reads an object's tags.
    pub(crate) fn object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
    ) -> Result<(VersionId, Vec<(String, String)>), TaggingError> {
        let found = self.find(target, version, &crate::ReadCondition::default())?;
        Ok((found.info.version, found.info.metadata.tags))
    }

    /// Replaces an object's tags.
    pub(crate) async fn put_object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        tags: Vec<(String, String)>,
    ) -> Result<VersionId, TaggingError> {
        validate_tags(&tags).map_err(|reason| TaggingError::InvalidTag { reason })?;
        let bucket = self.readable_bucket(&target.bucket)?;
        let _turn = self.key_locks.lock(bucket.id, target.key.as_bytes()).await;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let current = self.current(bucket.id, &target.key)?;
            let guard = current.unchanged();
            let row_key = current.row_key.clone();
            let mut record = taggable(current, version)?;
            if let ObjectKind::Object(metadata) = &mut record.kind {
                metadata.tags.clone_from(&tags);
            }
            let version = record.version;
            let ops = vec![Op::Put { table: Table::Cur, key: row_key, value: record.encode() }];
            match self.commits.commit(vec![guard], ops).await? {
                CommitOutcome::Applied => return Ok(version),
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
        Err(Fault::Busy.into())
    }
}

/// The object version that carries the tags.
fn taggable(
    current: CurrentRow,
    version: Option<VersionId>,
) -> Result<ObjectRecord, ObjectReadError> {
    let record = current.record.ok_or(match version {
        None => ObjectReadError::NoSuchKey,
        Some(_) => ObjectReadError::NoSuchVersion,
    })?;
    if version.is_some_and(|version| version != record.version) {
        return Err(ObjectReadError::NoSuchVersion);
    }
    match record.kind {
        ObjectKind::Object(_) => Ok(record),
        ObjectKind::DeleteMarker => Err(ObjectReadError::DeleteMarker { named: version.is_some() }),
    }
}
