//! Doing what was judged, if it still holds.
//!
//! *Retries:* what changed in between is judged anew, a bounded number of times, and else left to
//! the next pass. *Limits:* so many keys and versions in one commit; the keys wait for it.

use std::sync::Arc;

use bytes::Bytes;
use gateway_meta::{
    BucketId, Guard, Table,
    key::ctl,
    record::{LifecycleRecord, ObjectKind, ObjectRecord, Versioning},
};

use super::{
    ledger::Action,
    walk::{Doomed, DoomedKey, DoomedUpload, Judge, Judged},
};
use crate::{
    Bucket, BucketConfig, Fault, MultipartError, ObjectRef, ObjectWriteError, UploadRef,
    engine::{Engine, decode},
    limits::COMMIT_ATTEMPTS_MAX,
    lock::Locked,
    versions::{EditOutcome, KeyEdit},
};

/// Keys of one commit. Chosen: requests for a sixteenth of all keys wait for it.
const KEYS_PER_COMMIT: usize = 64;
/// Versions of one commit. Chosen: some hundred kilobytes of metadata at most.
const VERSIONS_PER_COMMIT: usize = 256;
/// Versions of a key that are read from the newest on before some of them are judged anew. A rule
/// that keeps more keeps all. Chosen: some thousand rows for most commits.
const JUDGED_AGAIN_MAX: u64 = 1000;

/// A bucket's rules, and the guard that they are in force.
pub(crate) struct InForce {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) record: LifecycleRecord,
    pub(crate) row: Bytes,
}

/// Why a version stays.
enum Stop {
    /// It is locked.
    Locked,
    /// It cannot be told.
    Fault(Fault),
}

impl From<Locked> for Stop {
    fn from(_: Locked) -> Self {
        Self::Locked
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl InForce {
    fn guard(&self) -> Guard {
        let key = ctl::bucket_config(self.bucket.id, LifecycleRecord::KIND);
        Guard::Equals { table: Table::Ctl, key, value: self.row.clone() }
    }
}

impl Engine {
    /// The rules in force for a bucket; `None` when it, or they, are gone.
    pub(super) fn rules_in_force(
        &self,
        name: &str,
        id: BucketId,
    ) -> Result<Option<InForce>, Fault> {
        let Some(bucket) = self.find_bucket(name)?.filter(|bucket| bucket.id == id) else {
            return Ok(None);
        };
        let row_key = ctl::bucket_config(id, LifecycleRecord::KIND);
        let Some(row) = self.row(Table::Ctl, &row_key)? else { return Ok(None) };
        Ok(Some(InForce { bucket, record: decode(&row)?, row }))
    }

    /// What judges by these rules now.
    pub(super) fn judge(&self, in_force: &InForce) -> Judge {
        Judge {
            bucket: in_force.bucket.id,
            record: in_force.record.clone(),
            day: self.lifecycle_day(),
            now: self.clock.now(),
        }
    }

    /// Acts on doomed versions, in one commit.
    pub(super) async fn act_on_versions(
        &self,
        (name, id): (&str, BucketId),
        batch: Vec<DoomedKey>,
    ) -> Result<(), Fault> {
        let keys = batch.iter().map(|doomed| doomed.key.as_bytes());
        let _turns = self.key_locks.lock_all(id, keys).await;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let Some(in_force) = self.rules_in_force(name, id)? else { return Ok(()) };
            if self.act_on_batch(in_force, batch.clone()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether it came to an end: it happened, or nothing was left to do.
    async fn act_on_batch(&self, in_force: InForce, batch: Vec<DoomedKey>) -> Result<bool, Fault> {
        let judge = self.judge(&in_force);
        let again = move |snapshot: &dyn gateway_meta::MetaSnapshot| {
            let judged = |wanted| judge.again(snapshot, wanted, JUDGED_AGAIN_MAX);
            batch.into_iter().map(judged).collect::<Result<Vec<_>, Fault>>()
        };
        let judged = self.on_snapshot(again).await?;
        let mut edits = Vec::with_capacity(judged.len());
        let mut done = Vec::new();
        let mut guards = vec![in_force.guard()];
        for Judged { key, actions, guards: standing } in &judged {
            if actions.is_empty() {
                continue;
            }
            // The edit looks at a later moment; the guards insist that it is as this one was.
            guards.extend_from_slice(standing);
            let mut edit = KeyEdit::begin(self, &in_force.bucket, key)?;
            for (version, action) in in_order(actions) {
                match self.act_on_version(&mut edit, &in_force.bucket, version, action) {
                    Ok(true) => done.push(action),
                    Ok(false) => {}
                    Err(Stop::Locked) => self.lifecycle.locked(),
                    Err(Stop::Fault(fault)) => return Err(fault),
                }
            }
            edits.push(edit);
        }
        if done.is_empty() {
            return Ok(true);
        }
        let outcome = self.commit_edits(&in_force.bucket, edits, &guards).await?;
        if outcome == EditOutcome::Applied {
            done.into_iter().for_each(|action| self.lifecycle.acted(action));
        }
        Ok(outcome == EditOutcome::Applied)
    }

    /// Acts on a version within an edit of its key. Says whether it was there.
    fn act_on_version(
        &self,
        edit: &mut KeyEdit<'_>,
        bucket: &Bucket,
        doomed: Doomed,
        action: Action,
    ) -> Result<bool, Stop> {
        let newest = edit.newest()?;
        let Some(place) = edit.find(doomed.version)? else { return Ok(false) };
        if edit.record(place).seq != doomed.seq {
            return Ok(false);
        }
        if (newest == Some(place)) == (action == Action::RemoveOlder) {
            return Ok(false);
        }
        if action != Action::Expire {
            self.remove_unlocked(edit, place, false)?;
            return Ok(true);
        }
        let (seq, version) = self.make_room::<Stop>(bucket, edit)?;
        if bucket.versioning != Versioning::Never {
            let (modified, kind) = (self.clock.now(), ObjectKind::DeleteMarker);
            edit.push(ObjectRecord { version, seq, modified, kind });
        }
        Ok(true)
    }

    /// Aborts doomed uploads.
    pub(super) async fn act_on_uploads(
        &self,
        (name, id): (&str, BucketId),
        doomed: Vec<DoomedUpload>,
    ) -> Result<(), Fault> {
        for doomed in doomed {
            let Some(in_force) = self.rules_in_force(name, id)? else { return Ok(()) };
            if !self.judge(&in_force).aborts(&doomed) {
                continue;
            }
            let DoomedUpload { key, upload, .. } = doomed;
            let target = ObjectRef { bucket: name.to_owned(), key };
            let upload = UploadRef { target, upload };
            match self.abort_upload_while(&upload, &[in_force.guard()]).await {
                Ok(()) => self.lifecycle.acted(Action::AbortUpload),
                // Completed or aborted meanwhile, or parts keep arriving: the next pass sees.
                Err(MultipartError::NoSuchUpload) => {}
                Err(MultipartError::Write(ObjectWriteError::Fault(fault)))
                    if !matches!(fault, Fault::Corrupt { .. }) =>
                {
                    return Err(fault);
                }
                Err(error) => {
                    tracing::debug!(%error, "an upload was not aborted");
                    self.lifecycle.erred(1);
                }
            }
        }
        Ok(())
    }
}

/// Older versions first: what expires is covered by a new version, on top of what is left.
fn in_order(doomed: &[(Doomed, Action)]) -> impl Iterator<Item = (Doomed, Action)> {
    let part = |expires: bool| {
        doomed.iter().copied().filter(move |(_, action)| (*action == Action::Expire) == expires)
    };
    part(false).chain(part(true))
}

/// Cuts what is doomed into what fits one commit.
pub(super) fn batches(doomed: Vec<DoomedKey>) -> Vec<Vec<DoomedKey>> {
    let mut batches: Vec<Vec<DoomedKey>> = Vec::new();
    let mut room = 0;
    for DoomedKey { key, versions } in doomed {
        for versions in versions.chunks(VERSIONS_PER_COMMIT) {
            let part = DoomedKey { key: key.clone(), versions: versions.to_vec() };
            match batches.last_mut() {
                Some(batch)
                    if versions.len() <= room
                        && batch.len() < KEYS_PER_COMMIT
                        && batch.iter().all(|other| other.key != key) =>
                {
                    room -= versions.len();
                    batch.push(part);
                }
                _ => {
                    room = VERSIONS_PER_COMMIT - versions.len();
                    batches.push(vec![part]);
                }
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use gateway_meta::VersionId;

    use super::*;

    fn doomed(key: &str, count: u128) -> DoomedKey {
        let version = |seq| Doomed { version: VersionId::Null, seq, newer: None };
        DoomedKey { key: key.to_owned(), versions: (0..count).map(version).collect() }
    }

    #[test]
    fn commits_are_bounded_and_hold_each_key_once() {
        let all: Vec<DoomedKey> = [doomed("long", 600), doomed("other", 250)]
            .into_iter()
            .chain((0..200).map(|at| doomed(&format!("k{at}"), 1)))
            .collect();
        let batches = batches(all.clone());
        let mut count = 0;
        for batch in &batches {
            assert!(batch.len() <= KEYS_PER_COMMIT);
            let versions: usize = batch.iter().map(|part| part.versions.len()).sum();
            assert!(versions <= VERSIONS_PER_COMMIT);
            count += versions;
            let keys: std::collections::HashSet<_> = batch.iter().map(|part| &part.key).collect();
            assert_eq!(keys.len(), batch.len());
        }
        assert_eq!(count, 1050);
        assert!(batches.len() < 12, "{}", batches.len());
    }
}
