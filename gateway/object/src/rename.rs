//! Renaming objects: the version's record moves to another key in one commit, and no data with it.
//!
//! AWS has this for directory buckets, which keep no versions. Here it is for buckets that were
//! never versioned: elsewhere the old key's past would have to go along or become untrue.
//!
//! Invariants:
//! - source and target are guarded: the conditions hold for the very rows that the commit changes,
//!   and at no time are there both keys, or neither;
//! - the object stays what it was: ETag, checksum, time, metadata, tags, body.
//!
//! *Retries:* a rename under a token is remembered with the commit that did it, for
//! [`TOKEN_LIFETIME_MILLIS`] and as long as no other takes its slot of [`TOKEN_SLOTS`].

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use gateway_meta::{
    CommitOutcome, Guard, Op, Table,
    key::{self, ctl},
    record::{ObjectKind, ObjectRecord, Record, RenameTokenRecord, Versioning},
};

use crate::{
    Bucket, Fault, ObjectInfo, ObjectReadError, ReadCondition, RenameError, RenameObject,
    accounting::UsageChange,
    conditions::check_read,
    engine::{Engine, decode, unchanged},
    limits::COMMIT_ATTEMPTS_MAX,
    names::validate_key,
    publish::bucket_exists,
};

/// Renames under tokens that a bucket remembers. Chosen: a client repeats a request within minutes,
/// and rows that are never deleted must be few.
const TOKEN_SLOTS: u16 = 1024;
/// How long a token stands for its rename. Chosen: longer than any client repeats a request.
const TOKEN_LIFETIME_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Position of the guard that the bucket is there.
const BUCKET_IS_THERE: usize = 0;

impl Engine {
    /// Renames an object.
    pub(crate) async fn rename_object(&self, request: RenameObject) -> Result<(), RenameError> {
        let target = &request.target;
        for key in [&target.key, &request.source] {
            validate_key(key).map_err(|len_bytes| RenameError::KeyTooLong { len_bytes })?;
        }
        if target.key == request.source {
            return Err(RenameError::SameKey);
        }
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let bucket = self.renaming_bucket(&target.bucket)?;
            let keys = [target.key.as_bytes(), request.source.as_bytes()];
            let _turns = self.key_locks.lock_all(bucket.id, keys.into_iter()).await;
            let token = self.token(&bucket, &request)?;
            if token.as_ref().is_some_and(|token| token.is_done) {
                return Ok(());
            }
            let (guards, ops) = self.rename_ops(&bucket, &request, token)?;
            match self.commits.commit(guards, ops).await? {
                CommitOutcome::Applied => return Ok(()),
                CommitOutcome::GuardFailed { guard_index: BUCKET_IS_THERE } => {
                    return Err(no_such_bucket(&target.bucket));
                }
                CommitOutcome::GuardFailed { .. } => {}
            }
        }
        Err(Fault::Busy.into())
    }

    fn renaming_bucket(&self, name: &str) -> Result<Arc<Bucket>, RenameError> {
        let bucket = self.find_bucket(name)?.ok_or_else(|| no_such_bucket(name))?;
        match bucket.versioning {
            Versioning::Never => Ok(bucket),
            Versioning::Enabled | Versioning::Suspended => Err(RenameError::Versioned),
        }
    }

    fn rename_ops(
        &self,
        bucket: &Bucket,
        request: &RenameObject,
        token: Option<Token>,
    ) -> Result<(Vec<Guard>, Vec<Op>), RenameError> {
        let source = self.named(bucket, &request.source)?;
        let target = self.named(bucket, &request.target.key)?;
        let record = source.record.as_ref().ok_or_else(|| no_such_key(&request.source))?;
        check(&request.source_condition, &request.source, Some(record))?;
        check(&request.condition, &request.target.key, target.record.as_ref())?;
        let now = self.clock.now();
        let predecessor = target.record.as_ref().map(|replaced| replaced.seq).max(Some(record.seq));
        // Another number, because equal rows mean unchanged ones.
        let seq = self.sequencer.next(now, predecessor);
        let renamed = ObjectRecord { seq, ..record.clone() };
        let mode = ctl::bucket_mode(bucket.id);
        let mut guards = vec![
            bucket_exists(bucket),
            Guard::Absent { table: Table::Ctl, key: mode },
            unchanged(Table::Cur, source.row_key.clone(), source.row.clone()),
            unchanged(Table::Cur, target.row_key.clone(), target.row),
        ];
        let mut ops = vec![
            Op::Delete { table: Table::Cur, key: source.row_key },
            Op::Put { table: Table::Cur, key: target.row_key, value: renamed.encode() },
        ];
        ops.extend(self.replacement_ops(bucket, target.record.as_ref()));
        if let Some(token) = token {
            let record = RenameTokenRecord {
                token: token.text,
                source: request.source.clone(),
                target: request.target.key.clone(),
                renamed: now,
            };
            guards.push(unchanged(Table::Ctl, token.row_key.clone(), token.row));
            let value = record.encode();
            ops.push(Op::Put { table: Table::Ctl, key: token.row_key, value });
        }
        Ok((guards, ops))
    }

    /// What is under a key of a bucket that keeps no versions.
    fn named(&self, bucket: &Bucket, key: &str) -> Result<Named, Fault> {
        let row_key = key::cur(bucket.id, key.as_bytes());
        let row = self.row(Table::Cur, &row_key)?;
        let record = row.as_deref().map(decode::<ObjectRecord>).transpose()?;
        Ok(Named { row_key, row, record })
    }

    /// What becomes of the object that had the new key.
    fn replacement_ops(&self, bucket: &Bucket, target: Option<&ObjectRecord>) -> Vec<Op> {
        let Some((_, replaced)) = target.and_then(live) else { return Vec::new() };
        let mut usage = UsageChange::default();
        usage.remove_object(replaced.len_bytes);
        let mut ops = self.data.unlink_ops(&replaced.body);
        ops.extend(usage.ops(bucket.owner, bucket.id, self.clock.now()));
        ops
    }

    /// What is known of the client's token.
    fn token(&self, bucket: &Bucket, request: &RenameObject) -> Result<Option<Token>, RenameError> {
        let Some(text) = &request.token else { return Ok(None) };
        let row_key = ctl::rename_token(bucket.id, slot(text));
        let row = self.row(Table::Ctl, &row_key)?;
        let known = row.as_deref().map(decode::<RenameTokenRecord>).transpose()?;
        let now = self.clock.now();
        let known = known.filter(|known| {
            known.token == *text && now.0.saturating_sub(known.renamed.0) < TOKEN_LIFETIME_MILLIS
        });
        let is_done = match known {
            None => false,
            Some(known) if known.source == request.source && known.target == request.target.key => {
                true
            }
            Some(_) => return Err(RenameError::TokenReused),
        };
        Ok(Some(Token { text: text.clone(), row_key, row, is_done }))
    }
}

/// What is under a key.
struct Named {
    row_key: Vec<u8>,
    row: Option<Bytes>,
    record: Option<ObjectRecord>,
}

/// A client's token and the row that may say what was done under it.
struct Token {
    text: String,
    row_key: Vec<u8>,
    row: Option<Bytes>,
    is_done: bool,
}

/// Where a token is remembered.
fn slot(token: &str) -> u16 {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let start = hash.as_ref().first_chunk::<2>().expect("SHA-256 has 32 bytes");
    u16::from_be_bytes(*start) % TOKEN_SLOTS
}

/// Whether what is under a key is what the client expects there.
fn check(
    condition: &ReadCondition,
    key: &str,
    record: Option<&ObjectRecord>,
) -> Result<(), RenameError> {
    let Some((record, metadata)) = record.and_then(live) else {
        return match (&condition.if_match, &condition.if_modified_since) {
            (Some(_), _) => Err(no_such_key(key)),
            (None, Some(_)) => {
                Err(RenameError::PreconditionFailed { condition: "If-Modified-Since" })
            }
            (None, None) => Ok(()),
        };
    };
    let info = ObjectInfo {
        version: record.version,
        modified: record.modified,
        metadata: metadata.clone(),
    };
    check_read(condition, &info).map_err(|error| match error {
        ObjectReadError::PreconditionFailed { condition } => {
            RenameError::PreconditionFailed { condition }
        }
        _ if condition.if_none_match.is_some() => {
            RenameError::PreconditionFailed { condition: "If-None-Match" }
        }
        _ => RenameError::PreconditionFailed { condition: "If-Modified-Since" },
    })
}

fn live(record: &ObjectRecord) -> Option<(&ObjectRecord, &gateway_meta::record::ObjectMetadata)> {
    match &record.kind {
        ObjectKind::Object(metadata) => Some((record, metadata)),
        ObjectKind::DeleteMarker => None,
    }
}

fn no_such_key(key: &str) -> RenameError {
    RenameError::NoSuchKey { key: key.to_owned() }
}

fn no_such_bucket(name: &str) -> RenameError {
    RenameError::NoSuchBucket { bucket: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_slots_that_never_change() {
        assert_eq!(slot("token"), 70);
        assert_ne!(slot("a"), slot("b"));
    }
}
