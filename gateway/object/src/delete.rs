//! Deleting objects.
//!
//! *Retries:* deleting what is not there succeeds, so requests may be repeated. *Cancellation:* each
//! key of a dropped request is deleted or is not.

use fail::fail_point;
use gateway_meta::{CommitOutcome, Op, Table, VersionId, record::BucketRecord};

use crate::{
    Bucket, DeleteError, DeleteObject, DeleteReceipt, ETagCondition, Fault,
    accounting::UsageChange,
    conditions,
    engine::{CurrentRow, Engine},
    limits::{COMMIT_ATTEMPTS_MAX, DELETE_KEYS_PER_COMMIT},
    names::validate_key,
};

type Outcome = Result<DeleteReceipt, DeleteError>;

impl Engine {
    /// Deletes an object.
    pub(crate) async fn delete_object(&self, request: DeleteObject) -> Outcome {
        let bucket = self.deletable_bucket(&request.target.bucket)?;
        let key = request.target.key.as_bytes();
        let _turn = self.key_locks.lock(bucket.id, key).await;
        self.delete_in_turn(&bucket, &request).await
    }

    /// Deletes objects of one bucket, several per commit.
    pub(crate) async fn delete_objects(
        &self,
        bucket: &str,
        requests: Vec<DeleteObject>,
    ) -> Result<Vec<Outcome>, DeleteError> {
        let bucket = self.deletable_bucket(bucket)?;
        let mut outcomes = Vec::with_capacity(requests.len());
        let mut rest = requests.as_slice();
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(distinct_keys(rest));
            outcomes.extend(self.delete_group(&bucket, group).await);
            rest = behind;
        }
        Ok(outcomes)
    }

    fn deletable_bucket(&self, name: &str) -> Result<std::sync::Arc<Bucket>, DeleteError> {
        self.find_bucket(name)?.ok_or_else(|| DeleteError::NoSuchBucket { bucket: name.to_owned() })
    }

    /// Deletes distinct keys in one commit; if that does not go through, in one each.
    async fn delete_group(&self, bucket: &BucketRecord, group: &[DeleteObject]) -> Vec<Outcome> {
        let keys = group.iter().map(|request| request.target.key.as_bytes());
        let _turns = self.key_locks.lock_all(bucket.id, keys).await;
        let mut doomed = Vec::new();
        let mut outcomes = Vec::with_capacity(group.len());
        for (index, request) in group.iter().enumerate() {
            outcomes.push(match self.doomed_row(bucket, request) {
                Ok(Some(row)) => {
                    doomed.push((index, row));
                    Ok(receipt(request))
                }
                Ok(None) => Ok(receipt(request)),
                Err(error) => Err(error),
            });
        }
        let rows: Vec<&CurrentRow> = doomed.iter().map(|(_, row)| row).collect();
        if !rows.is_empty()
            && !matches!(self.commit_deletion(bucket, &rows).await, Ok(CommitOutcome::Applied))
        {
            for (index, _) in doomed {
                outcomes[index] = self.delete_in_turn(bucket, &group[index]).await;
            }
        }
        outcomes
    }

    /// Deletes one key whose turn the caller holds.
    async fn delete_in_turn(&self, bucket: &BucketRecord, request: &DeleteObject) -> Outcome {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let Some(row) = self.doomed_row(bucket, request)? else { return Ok(receipt(request)) };
            match self.commit_deletion(bucket, &[&row]).await? {
                CommitOutcome::Applied => return Ok(receipt(request)),
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
        Err(match request.if_match {
            Some(_) => DeleteError::Conflict,
            None => Fault::Busy.into(),
        })
    }

    /// The row that `request` deletes; `None` when there is nothing to do.
    fn doomed_row(
        &self,
        bucket: &BucketRecord,
        request: &DeleteObject,
    ) -> Result<Option<CurrentRow>, DeleteError> {
        validate_key(&request.target.key)
            .map_err(|len_bytes| DeleteError::KeyTooLong { len_bytes })?;
        let current = self.current(bucket.id, &request.target.key)?;
        let version = current.record.as_ref().map(|record| record.version);
        let named = request.version.is_none_or(|wanted| version == Some(wanted));
        let live = current.live().filter(|_| named);
        check_condition(request.if_match.as_ref(), live.map(|live| &live.etag))?;
        Ok(live.is_some().then_some(current))
    }

    async fn commit_deletion(
        &self,
        bucket: &BucketRecord,
        rows: &[&CurrentRow],
    ) -> Result<CommitOutcome, Fault> {
        let mut usage = UsageChange::default();
        let mut ops = Vec::new();
        for row in rows {
            ops.push(Op::Delete { table: Table::Cur, key: row.row_key.clone() });
            if let Some(live) = row.live() {
                usage.remove_object(live.len_bytes);
                ops.extend(self.data.unlink_ops(&live.body));
            }
        }
        ops.extend(usage.ops(bucket.owner, bucket.id, self.clock.now()));
        let guards = rows.iter().map(|row| row.unchanged()).collect();
        fail_point!("delete-before-commit");
        let outcome = self.commits.commit(guards, ops).await;
        fail_point!("delete-after-commit");
        outcome
    }
}

fn check_condition(
    if_match: Option<&ETagCondition>,
    live: Option<&gateway_meta::record::ETag>,
) -> Result<(), DeleteError> {
    match (if_match, live) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(DeleteError::NoSuchKey),
        (Some(wanted), Some(etag)) if conditions::names(wanted, etag) => Ok(()),
        (Some(_), Some(_)) => Err(DeleteError::PreconditionFailed),
    }
}

/// Buckets are unversioned: nothing but a version named by the client is worth telling.
fn receipt(request: &DeleteObject) -> DeleteReceipt {
    let version: Option<VersionId> = request.version;
    DeleteReceipt { version, delete_marker: false }
}

/// How many of `requests`, from the first, have keys of their own and fit one commit.
fn distinct_keys(requests: &[DeleteObject]) -> usize {
    let mut seen = std::collections::HashSet::new();
    requests
        .iter()
        .take(DELETE_KEYS_PER_COMMIT)
        .take_while(|request| seen.insert(request.target.key.as_str()))
        .count()
}
