//! Removing versions for good, as background work does it: only while what it judged still holds.

use gateway_meta::{
    Guard, VersionId,
    record::{ObjectKind, ObjectRecord},
};

use super::{EditOutcome, KeyEdit, Place};
use crate::{DeleteError, engine::Engine, limits::COMMIT_ATTEMPTS_MAX, lock::may_remove};

/// Asks for a version to be removed for good.
pub(crate) struct RemoveVersion<'a> {
    /// The bucket's name.
    pub(crate) bucket: &'a str,
    /// The key.
    pub(crate) key: &'a str,
    /// Which version.
    pub(crate) version: VersionId,
    /// Whether retention in governance mode does not count.
    pub(crate) bypass_governance: bool,
    /// What else must hold: rows that were judged along with the version.
    pub(crate) guards: Vec<Guard>,
}

/// A version among the others of its key, at the moment of action.
pub(crate) struct VersionStanding<'a> {
    /// The version.
    pub(crate) record: &'a ObjectRecord,
    /// Whether it is the newest.
    pub(crate) is_latest: bool,
    /// Whether the key has no other version.
    pub(crate) is_only: bool,
}

/// What became of a version that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone; the next newest took its place if it was the newest.
    Gone,
    /// It was not there.
    Absent,
    /// It stays: the caller no longer wants it removed, or its guards do not hold.
    Kept,
}

impl Engine {
    /// Removes a version for good if `wanted` still says so, whatever else happens to the key.
    ///
    /// # Errors
    /// [`DeleteError::Locked`], [`DeleteError::NoSuchBucket`], faults.
    pub(crate) async fn remove_version(
        &self,
        request: RemoveVersion<'_>,
        wanted: impl Fn(&VersionStanding<'_>) -> bool,
    ) -> Result<Removed, DeleteError> {
        let RemoveVersion { bucket: name, key, version, bypass_governance, guards } = request;
        let bucket = self.deletable_bucket(name)?;
        let _turn = self.key_locks.lock(bucket.id, key.as_bytes()).await;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.deletable_bucket(name)?;
            let mut edit = KeyEdit::begin(self, &bucket, key)?;
            let Some(place) = edit.find(version)? else { return Ok(Removed::Absent) };
            let is_latest = edit.newest()? == Some(place);
            let is_only = is_latest && !edit.has_others(place)?;
            let record = edit.record(place);
            if !wanted(&VersionStanding { record, is_latest, is_only }) {
                return Ok(Removed::Kept);
            }
            self.remove_unlocked(&mut edit, place, bypass_governance)?;
            match self.commit_edits(&bucket, vec![edit], &guards).await? {
                EditOutcome::Applied => return Ok(Removed::Gone),
                EditOutcome::Refused { .. } => return Ok(Removed::Kept),
                EditOutcome::Changed | EditOutcome::NoBucket => {}
            }
        }
        Err(crate::Fault::Busy.into())
    }

    /// Removes a version from an edit unless it is locked. Says whether it was a delete marker.
    pub(crate) fn remove_unlocked(
        &self,
        edit: &mut KeyEdit<'_>,
        place: Place,
        bypass_governance: bool,
    ) -> Result<bool, crate::lock::Locked> {
        let is_marker = match &edit.record(place).kind {
            ObjectKind::Object(metadata) => {
                may_remove(&metadata.lock, self.clock.now(), bypass_governance)?;
                false
            }
            ObjectKind::DeleteMarker => true,
        };
        edit.remove(place);
        Ok(is_marker)
    }
}
