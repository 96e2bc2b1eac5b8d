//! Buckets.
//!
//! Invariants:
//! - a bucket's rows (name, id, ownership, first key) come and go in one commit each;
//! - a bucket is removed only while it has no version and no upload, and every commit that adds one
//!   guards that the bucket is there: never both;
//! - ids are never reused.
//!
//! *Cancellation:* a dropped request either happens or does not; see [`cache`] for what it costs.

mod cache;
mod configs;

use std::sync::Arc;

use gateway_meta::{
    BucketId, CommitOutcome, Guard, KeyRange, Op, Table,
    key::{self, ctl},
    record::{Acknowledge, BucketRecord, BucketTagsRecord, Record, Versioning},
};

use crate::{
    BucketError, BucketPage, CreateBucket, Fault, ListBuckets,
    accounting::remove_bucket_counters,
    engine::{Engine, decode, read_fault},
    limits::{BUCKET_PAGE_ENTRIES_MAX, COMMIT_ATTEMPTS_MAX},
    names::validate_bucket_name,
};

pub(crate) use cache::BucketCache;
pub use configs::{Bucket, BucketConfig, BucketConfigs};

/// Name of the source of bucket ids.
const ID_SOURCE: &str = "bucket";

/// The key epoch that buckets start with.
const FIRST_KEY_EPOCH: u32 = 1;

/// Guards of a creation, by position.
const NAME_IS_FREE: usize = 0;
const ID_IS_FRESH: usize = 1;

impl Engine {
    /// Finds a bucket.
    pub(crate) fn bucket(&self, name: &str) -> Result<Arc<Bucket>, BucketError> {
        self.find_bucket(name)?.ok_or_else(|| no_such_bucket(name))
    }

    /// Makes a bucket.
    pub(crate) async fn create_bucket(
        &self,
        request: CreateBucket,
    ) -> Result<BucketRecord, BucketError> {
        validate_bucket_name(&request.name)
            .map_err(|reason| BucketError::InvalidName { reason })?;
        // One at a time, so that two requests cannot both take the last place of an account.
        let _turn = self.bucket_creation.lock().await;
        // Without the account's key there is nothing to wrap the bucket's key to.
        if self.row(Table::Ctl, &ctl::account_key(request.owner))?.is_none() {
            return Err(BucketError::NoSuchAccount);
        }
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            self.check_name_is_free(&request)?;
            self.check_bucket_limit(&request).await?;
            let (record, outcome) = self.try_create_bucket(&request).await?;
            match outcome {
                CommitOutcome::Applied => return Ok(record),
                CommitOutcome::GuardFailed { guard_index: NAME_IS_FREE | ID_IS_FRESH } => {}
                CommitOutcome::GuardFailed { .. } => return Err(BucketError::NoSuchAccount),
            }
        }
        Err(Fault::Busy.into())
    }

    fn check_name_is_free(&self, request: &CreateBucket) -> Result<(), BucketError> {
        match self.find_bucket(&request.name)? {
            None => Ok(()),
            Some(bucket) if bucket.owner == request.owner => Err(BucketError::AlreadyOwnedByYou),
            Some(_) => Err(BucketError::AlreadyExists),
        }
    }

    async fn check_bucket_limit(&self, request: &CreateBucket) -> Result<(), BucketError> {
        let limit = self.config.buckets_per_account_max;
        let owned = KeyRange::prefix(&ctl::owned_bucket_prefix(request.owner));
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let rows = self.meta.scan(Table::Ctl, owned, wanted).await.map_err(read_fault)?;
        if rows.len() as u64 >= limit {
            return Err(BucketError::TooManyBuckets { limit });
        }
        Ok(())
    }

    async fn try_create_bucket(
        &self,
        request: &CreateBucket,
    ) -> Result<(BucketRecord, CommitOutcome), BucketError> {
        let source = key::id_source(ID_SOURCE);
        let last = match self.row(Table::Ctr, &source)? {
            Some(row) => key::decode_counter(&row).ok_or_else(|| Fault::Corrupt {
                reason: "the source of bucket ids is no counter".to_owned(),
            })?,
            None => 0,
        };
        let id = u64::try_from(last + 1)
            .map_err(|_| Fault::Corrupt { reason: format!("the last bucket id is {last}") })?;
        let record = BucketRecord {
            id: BucketId(id),
            name: request.name.clone(),
            owner: request.owner,
            created: self.clock.now(),
            region: request.region.clone(),
            key_epoch: FIRST_KEY_EPOCH,
            acknowledge: Acknowledge::All,
            versioning: if request.object_lock { Versioning::Enabled } else { Versioning::Never },
            object_lock: request.object_lock,
        };
        let guards = vec![
            Guard::Absent { table: Table::Ctl, key: ctl::bucket(&request.name) },
            Guard::CounterAtMost { table: Table::Ctr, key: source.clone(), limit: last + 1 },
            Guard::Present { table: Table::Ctl, key: ctl::account_key(request.owner) },
        ];
        let mut ops = self.bucket_rows(&record)?;
        if !request.tags.is_empty() {
            let tags = BucketTagsRecord { tags: request.tags.clone() };
            let key = ctl::bucket_config(record.id, BucketTagsRecord::KIND);
            ops.push(Op::Put { table: Table::Ctl, key, value: tags.encode() });
        }
        ops.push(Op::Add { table: Table::Ctr, key: source, delta: 1 });
        let outcome = self.commit_bucket_change(&record.name, guards, ops).await?;
        Ok((record, outcome))
    }

    fn bucket_rows(&self, record: &BucketRecord) -> Result<Vec<Op>, BucketError> {
        let epoch = record.key_epoch;
        let wrapped = self.data.new_bucket_key(record.owner, record.id, epoch)?;
        let put = |key, value| Op::Put { table: Table::Ctl, key, value };
        let mode = record.mode().map(|mode| put(ctl::bucket_mode(record.id), mode));
        let rows = vec![
            put(ctl::bucket(&record.name), record.encode()),
            put(ctl::bucket_id(record.id), record.name.clone().into_bytes().into()),
            put(ctl::owned_bucket(record.owner, &record.name), bytes::Bytes::new()),
            put(ctl::bucket_key(record.id, epoch), wrapped.encode()),
        ];
        Ok(rows.into_iter().chain(mode).collect())
    }

    /// Removes an empty bucket.
    pub(crate) async fn delete_bucket(&self, name: &str) -> Result<(), BucketError> {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let (bucket, is_unchanged) = self.bucket_to_change(name)?;
            let rows = KeyRange::prefix(&key::bucket_prefix(bucket.id));
            let empty = |table| Guard::RangeEmpty { table, range: rows.clone() };
            let guards =
                vec![is_unchanged, empty(Table::Cur), empty(Table::Ver), empty(Table::Mpu)];
            match self.commit_bucket_change(name, guards, removal_ops(&bucket)).await? {
                CommitOutcome::Applied => return Ok(()),
                CommitOutcome::GuardFailed { guard_index: 0 } => {}
                CommitOutcome::GuardFailed { .. } => return Err(BucketError::NotEmpty),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Says when writes to a bucket are answered from now on; those under way may do as before.
    pub(crate) async fn set_acknowledge(
        &self,
        name: &str,
        acknowledge: Acknowledge,
    ) -> Result<BucketRecord, BucketError> {
        self.change_bucket(name, |old| Ok(BucketRecord { acknowledge, ..old })).await
    }

    /// Says what becomes of replaced versions. Writes under way that have not committed yet follow.
    pub(crate) async fn set_versioning(
        &self,
        name: &str,
        versioning: Versioning,
    ) -> Result<BucketRecord, BucketError> {
        self.change_bucket(name, |old| match versioning {
            Versioning::Never if old.versioning != Versioning::Never => {
                Err(BucketError::AlreadyVersioned)
            }
            Versioning::Never | Versioning::Suspended if old.object_lock => {
                Err(BucketError::ObjectLockNeedsVersioning)
            }
            _ => Ok(BucketRecord { versioning, ..old }),
        })
        .await
    }

    /// Lets versions be locked from now on. Cannot be taken back.
    pub(crate) async fn enable_object_lock(&self, name: &str) -> Result<BucketRecord, BucketError> {
        self.change_bucket(name, |old| match old.versioning {
            Versioning::Enabled => Ok(BucketRecord { object_lock: true, ..old }),
            Versioning::Never | Versioning::Suspended => {
                Err(BucketError::ObjectLockNeedsVersioning)
            }
        })
        .await
    }

    async fn change_bucket(
        &self,
        name: &str,
        change: impl Fn(BucketRecord) -> Result<BucketRecord, BucketError>,
    ) -> Result<BucketRecord, BucketError> {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let (old, is_unchanged) = self.bucket_to_change(name)?;
            let new = change(old)?;
            let put = |key, value| Op::Put { table: Table::Ctl, key, value };
            let mode = new.mode().map(|mode| put(ctl::bucket_mode(new.id), mode));
            let ops = [put(ctl::bucket(name), new.encode())].into_iter().chain(mode).collect();
            let outcome = self.commit_bucket_change(name, vec![is_unchanged], ops).await?;
            if outcome == CommitOutcome::Applied {
                return Ok(new);
            }
        }
        Err(Fault::Busy.into())
    }

    /// A bucket as it is stored, and the guard that it still is. An earlier release may have stored
    /// it in other bytes.
    fn bucket_to_change(&self, name: &str) -> Result<(BucketRecord, Guard), BucketError> {
        let row_key = ctl::bucket(name);
        let row = self.row(Table::Ctl, &row_key)?.ok_or_else(|| no_such_bucket(name))?;
        let bucket = decode(&row)?;
        Ok((bucket, Guard::Equals { table: Table::Ctl, key: row_key, value: row }))
    }

    async fn commit_bucket_change(
        &self,
        name: &str,
        guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> Result<CommitOutcome, Fault> {
        let change = self.buckets.begin_change(name);
        let outcome = self.commits.commit(guards, ops).await;
        if !matches!(outcome, Err(Fault::Indeterminate { .. })) {
            change.finish();
        }
        outcome
    }

    /// Lists an account's buckets.
    pub(crate) async fn list_buckets(&self, request: ListBuckets) -> Result<BucketPage, Fault> {
        let limit = request.limit.clamp(1, BUCKET_PAGE_ENTRIES_MAX);
        let ListBuckets { owner, prefix, after, .. } = request;
        let mut range = KeyRange::prefix(&ctl::owned_bucket(owner, &prefix));
        if let Some(after) = after {
            let mut start = ctl::owned_bucket(owner, &after);
            start.push(0x00);
            range.start = range.start.max(start);
        }
        let names_at = ctl::owned_bucket_prefix(owner).len();
        self.on_snapshot(move |snapshot| {
            let mut page = BucketPage { buckets: Vec::new(), truncated: false };
            let mut cursor = snapshot.cursor(Table::Ctl, range);
            while let Some((row_key, _)) = cursor.next().map_err(read_fault)? {
                if page.buckets.len() == limit {
                    page.truncated = true;
                    break;
                }
                let row_key = [&ctl::bucket("")[..], &row_key[names_at..]].concat();
                let row = snapshot.get(Table::Ctl, &row_key).map_err(read_fault)?;
                let row = row.ok_or_else(|| Fault::Corrupt {
                    reason: "an owned bucket has no row of its own".to_owned(),
                })?;
                page.buckets.push(decode(&row)?);
            }
            Ok(page)
        })
        .await
    }
}

fn removal_ops(bucket: &BucketRecord) -> Vec<Op> {
    let delete = |key| Op::Delete { table: Table::Ctl, key };
    let mut ops = vec![
        delete(ctl::bucket(&bucket.name)),
        delete(ctl::bucket_id(bucket.id)),
        delete(ctl::owned_bucket(bucket.owner, &bucket.name)),
        delete(ctl::bucket_mode(bucket.id)),
        delete(ctl::lifecycle_progress(bucket.id)),
    ];
    let prefixes = [
        ctl::bucket_key_prefix(bucket.id),
        ctl::bucket_config_prefix(bucket.id),
        ctl::bucket_listed_config_prefix(bucket.id),
        ctl::rename_token_prefix(bucket.id),
    ];
    ops.extend(
        prefixes
            .map(|prefix| Op::DeleteRange { table: Table::Ctl, range: KeyRange::prefix(&prefix) }),
    );
    ops.extend(remove_bucket_counters(bucket.id));
    ops
}

fn no_such_bucket(name: &str) -> BucketError {
    BucketError::NoSuchBucket { bucket: name.to_owned() }
}
