//! Deleting objects: by a delete marker on top, or one version for good.
//!
//! *Retries:* deleting what is not there succeeds, so requests may be repeated; each repetition of a
//! deletion without a version makes a delete marker of its own in a versioned bucket, as S3 does.
//! *Cancellation:* each key of a dropped request is deleted or is not.

use std::{collections::HashMap, sync::Arc};

use fail::fail_point;
use gateway_meta::{
    VersionId,
    record::{BucketRecord, ETag, ObjectKind, ObjectRecord, Versioning},
};

use crate::{
    Bucket, DeleteError, DeleteObject, DeleteReceipt, ETagCondition, Fault, conditions,
    engine::Engine,
    limits::{COMMIT_ATTEMPTS_MAX, DELETE_KEYS_PER_COMMIT},
    names::validate_key,
    versions::{EditOutcome, KeyEdit},
};

type Outcome = Result<DeleteReceipt, DeleteError>;

impl Engine {
    /// Deletes an object.
    pub(crate) async fn delete_object(&self, request: DeleteObject) -> Outcome {
        let bucket = self.deletable_bucket(&request.target.bucket)?;
        let key = request.target.key.as_bytes();
        let _turn = self.key_locks.lock(bucket.id, key).await;
        self.delete_in_turn(&request.target.bucket, &request).await
    }

    /// Deletes objects of one bucket, several per commit.
    pub(crate) async fn delete_objects(
        &self,
        bucket: &str,
        requests: Vec<DeleteObject>,
    ) -> Result<Vec<Outcome>, DeleteError> {
        self.deletable_bucket(bucket)?;
        let mut outcomes = Vec::with_capacity(requests.len());
        for group in requests.chunks(DELETE_KEYS_PER_COMMIT) {
            outcomes.extend(self.delete_group(bucket, group).await?);
        }
        Ok(outcomes)
    }

    pub(crate) fn deletable_bucket(&self, name: &str) -> Result<Arc<Bucket>, DeleteError> {
        self.find_bucket(name)?.ok_or_else(|| DeleteError::NoSuchBucket { bucket: name.to_owned() })
    }

    /// Deletes in one commit; if that does not go through, in one each.
    async fn delete_group(
        &self,
        name: &str,
        group: &[DeleteObject],
    ) -> Result<Vec<Outcome>, DeleteError> {
        let bucket = self.deletable_bucket(name)?;
        let keys = group.iter().map(|request| request.target.key.as_bytes());
        let _turns = self.key_locks.lock_all(bucket.id, keys).await;
        // Taken after the wait, in which its mode may have changed.
        let bucket = self.deletable_bucket(name)?;
        let mut edits: HashMap<&str, KeyEdit<'_>> = HashMap::new();
        let mut outcomes = Vec::with_capacity(group.len());
        for request in group {
            outcomes.push(self.delete_within(&bucket, &mut edits, request));
        }
        let edits = edits.into_values().collect();
        fail_point!("delete-before-commit");
        let committed = self.commit_edits(&bucket, edits, &[]).await;
        fail_point!("delete-after-commit");
        if !matches!(committed, Ok(EditOutcome::Applied)) {
            for (outcome, request) in outcomes.iter_mut().zip(group) {
                if outcome.is_ok() {
                    *outcome = self.delete_in_turn(name, request).await;
                }
            }
        }
        Ok(outcomes)
    }

    /// Deletes in the edits of one commit: several versions of a key share an edit.
    fn delete_within<'a>(
        &'a self,
        bucket: &'a BucketRecord,
        edits: &mut HashMap<&'a str, KeyEdit<'a>>,
        request: &'a DeleteObject,
    ) -> Outcome {
        check_key(request)?;
        let key = request.target.key.as_str();
        if !edits.contains_key(key) {
            edits.insert(key, KeyEdit::begin(self, bucket, key)?);
        }
        let edit = edits.get_mut(key).expect("it was just put there");
        self.delete_from(bucket, edit, request)
    }

    /// Deletes one key whose turn the caller holds.
    async fn delete_in_turn(&self, name: &str, request: &DeleteObject) -> Outcome {
        check_key(request)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.deletable_bucket(name)?;
            let mut edit = KeyEdit::begin(self, &bucket, &request.target.key)?;
            let receipt = self.delete_from(&bucket, &mut edit, request)?;
            fail_point!("delete-before-commit");
            let committed = self.commit_edits(&bucket, vec![edit], &[]).await;
            fail_point!("delete-after-commit");
            match committed? {
                EditOutcome::Applied => return Ok(receipt),
                EditOutcome::Changed | EditOutcome::NoBucket | EditOutcome::Refused { .. } => {}
            }
        }
        Err(match request.if_match {
            Some(_) => DeleteError::Conflict,
            None => Fault::Busy.into(),
        })
    }

    /// What a deletion makes of a key.
    fn delete_from(
        &self,
        bucket: &BucketRecord,
        edit: &mut KeyEdit<'_>,
        request: &DeleteObject,
    ) -> Outcome {
        match request.version {
            Some(version) => self.delete_version(edit, request, version),
            None => {
                let live = edit.live()?.map(|live| live.etag);
                check_condition(request.if_match.as_ref(), live.as_ref())?;
                if bucket.versioning == Versioning::Never && live.is_none() {
                    return Ok(DeleteReceipt::default());
                }
                let (seq, version) = self.make_room::<DeleteError>(bucket, edit)?;
                if bucket.versioning == Versioning::Never {
                    return Ok(DeleteReceipt::default());
                }
                let modified = self.clock.now();
                let kind = ObjectKind::DeleteMarker;
                edit.push(ObjectRecord { version, seq, modified, kind });
                Ok(DeleteReceipt { version: Some(version), delete_marker: true })
            }
        }
    }

    /// Removes a version for good. One that is not there is no error.
    fn delete_version(
        &self,
        edit: &mut KeyEdit<'_>,
        request: &DeleteObject,
        version: VersionId,
    ) -> Outcome {
        let place = edit.find(version)?;
        let etag = place.and_then(|place| match &edit.record(place).kind {
            ObjectKind::Object(metadata) => Some(metadata.etag),
            ObjectKind::DeleteMarker => None,
        });
        check_condition(request.if_match.as_ref(), etag.as_ref())?;
        let delete_marker = match place {
            Some(place) => self.remove_unlocked(edit, place, request.bypass_governance)?,
            None => false,
        };
        Ok(DeleteReceipt { version: Some(version), delete_marker })
    }
}

fn check_key(request: &DeleteObject) -> Result<(), DeleteError> {
    validate_key(&request.target.key).map_err(|len_bytes| DeleteError::KeyTooLong { len_bytes })
}

fn check_condition(
    if_match: Option<&ETagCondition>,
    live: Option<&ETag>,
) -> Result<(), DeleteError> {
    match (if_match, live) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(DeleteError::NoSuchKey),
        (Some(wanted), Some(etag)) if conditions::names(wanted, etag) => Ok(()),
        (Some(_), Some(_)) => Err(DeleteError::PreconditionFailed),
    }
}
