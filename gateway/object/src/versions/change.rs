//! Finding versions, and changing what is recorded of one in place.

use gateway_meta::{
    VersionId,
    record::{BucketRecord, ObjectKind, ObjectMetadata, ObjectRecord, Versioning},
};
use node_proto::UnixMillis;

use super::{EditOutcome, KeyEdit};
use crate::{Fault, ObjectReadError, ObjectRef, engine::Engine, limits::COMMIT_ATTEMPTS_MAX};

/// A version that is an object.
pub(crate) struct FoundVersion {
    pub(crate) version: VersionId,
    pub(crate) modified: UnixMillis,
    pub(crate) metadata: Box<ObjectMetadata>,
}

impl Engine {
    /// The version asked for, or the newest one: an object.
    ///
    /// # Errors
    /// [`ObjectReadError::NoSuchKey`], [`ObjectReadError::NoSuchVersion`],
    /// [`ObjectReadError::DeleteMarker`], faults.
    pub(crate) fn find_version(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionId>,
    ) -> Result<FoundVersion, ObjectReadError> {
        let current = self.current(bucket.id, key)?.record;
        let found = match (current, version) {
            (Some(current), None) => current,
            (Some(current), Some(version)) if current.version == version => current,
            _ if bucket.versioning == Versioning::Never => return Err(absent(version)),
            _ => {
                let mut edit = KeyEdit::begin(self, bucket, key)?;
                let place = match version {
                    Some(version) => edit.find(version)?,
                    None => edit.newest()?,
                };
                edit.record(place.ok_or_else(|| absent(version))?).clone()
            }
        };
        object(found, version.is_some())
    }

    /// Changes what is recorded of a version, wherever it is: neither the version nor its time
    /// changes. Returns which version it was.
    ///
    /// # Errors
    /// Those of `change`, which then changed nothing, and those of [`Self::find_version`].
    pub(crate) async fn change_version<E>(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectMetadata) -> Result<(), E>,
    ) -> Result<VersionId, E>
    where
        E: From<ObjectReadError> + From<Fault>,
    {
        let bucket = self.readable_bucket(&target.bucket)?;
        let _turn = self.key_locks.lock(bucket.id, target.key.as_bytes()).await;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.readable_bucket(&target.bucket)?;
            let mut edit = KeyEdit::begin(self, &bucket, &target.key)?;
            let place = match version {
                Some(version) => edit.find(version)?,
                None => edit.newest()?,
            };
            let record = edit.record_mut(place.ok_or_else(|| absent(version))?);
            let found = (record.version, record.modified);
            match &mut record.kind {
                ObjectKind::Object(metadata) => change(metadata)?,
                ObjectKind::DeleteMarker => {
                    return Err(marker(found.0, found.1, version.is_some()).into());
                }
            }
            match self.commit_edits(&bucket, vec![edit], &[]).await? {
                EditOutcome::Applied => return Ok(found.0),
                EditOutcome::Changed | EditOutcome::NoBucket | EditOutcome::Refused { .. } => {}
            }
        }
        Err(Fault::Busy.into())
    }
}

fn object(record: ObjectRecord, named: bool) -> Result<FoundVersion, ObjectReadError> {
    let ObjectRecord { version, modified, kind, .. } = record;
    match kind {
        ObjectKind::Object(metadata) => Ok(FoundVersion { version, modified, metadata }),
        ObjectKind::DeleteMarker => Err(marker(version, modified, named)),
    }
}

fn marker(version: VersionId, modified: UnixMillis, named: bool) -> ObjectReadError {
    ObjectReadError::DeleteMarker { named, version, modified }
}

fn absent(version: Option<VersionId>) -> ObjectReadError {
    match version {
        None => ObjectReadError::NoSuchKey,
        Some(_) => ObjectReadError::NoSuchVersion,
    }
}
