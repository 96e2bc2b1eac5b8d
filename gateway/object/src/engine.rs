//! What every operation works with: the metadata store, the data path, and the small state between
//! them.
//!
//! Invariants:
//! - all commits go through [`Commits`];
//! - walks over rows happen on worker threads, on snapshots, a bounded number at once.
//!
//! *Cancellation:* a dropped operation abandons its answer; a commit that was handed over may still
//! happen, and then happens whole. *Crash consistency:* nothing here outlives the process.

use std::sync::Arc;

use bytes::Bytes;
use gateway_kms::KeyService;
use gateway_meta::{
    BucketId, Guard, MetaSnapshot, MetaStore, ReadError, Table, UploadId, key,
    record::{BucketRecord, DecodeRecordError, ObjectKind, ObjectMetadata, ObjectRecord, Record},
};
use node_proto::Clock;
use tokio::sync::Semaphore;

use crate::{
    Fault, ObjectConfig, ObjectDeps,
    access_log::{self, AccessLog},
    bucket::{Bucket, BucketCache, BucketConfigs},
    commit::Commits,
    data::DataPath,
    gate::Gate,
    key_locks::KeyLocks,
    lifecycle,
    sequence::Sequencer,
    worker::Worker,
};

/// Shared by all operations.
pub(crate) struct Engine {
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) commits: Commits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) data: DataPath,
    pub(crate) config: ObjectConfig,
    pub(crate) buckets: BucketCache,
    pub(crate) bucket_creation: tokio::sync::Mutex<()>,
    pub(crate) key_locks: KeyLocks,
    pub(crate) sequencer: Sequencer,
    pub(crate) gate: Gate,
    pub(crate) access_log: AccessLog,
    pub(crate) lifecycle: lifecycle::Ledger,
    pub(crate) key_service: Option<Arc<dyn KeyService>>,
    snapshot_reads: Arc<Semaphore>,
}

/// What works on metadata in the background.
pub(crate) fn workers(engine: &Arc<Engine>) -> Vec<Box<dyn Worker>> {
    let interval = engine.config.access_log_interval;
    vec![
        Box::new(access_log::Flush::new(Arc::clone(engine))),
        Box::new(access_log::Deliver::new(Arc::clone(engine), interval)),
        Box::new(lifecycle::Lifecycle::new(Arc::clone(engine))),
    ]
}

impl Engine {
    pub(crate) fn new(deps: ObjectDeps, data: DataPath, config: ObjectConfig) -> Self {
        Self {
            sequencer: Sequencer::new(deps.txids.incarnation()),
            commits: Commits::new(Arc::clone(&deps.meta), deps.txids),
            meta: deps.meta,
            clock: deps.clock,
            data,
            buckets: BucketCache::new(config.cached_buckets_max),
            bucket_creation: tokio::sync::Mutex::new(()),
            key_locks: KeyLocks::new(),
            gate: Gate::new(),
            access_log: AccessLog::new(),
            lifecycle: lifecycle::Ledger::default(),
            key_service: deps.key_service,
            snapshot_reads: Arc::new(Semaphore::new(config.snapshot_reads_max.max(1))),
            config,
        }
    }

    /// Reads one row.
    pub(crate) fn row(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.meta.get(table, key).map_err(read_fault)
    }

    /// Runs `read` on a snapshot of now, on a worker thread.
    pub(crate) async fn on_snapshot<T, F>(&self, read: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&dyn MetaSnapshot) -> Result<T, Fault> + Send + 'static,
    {
        let turn = Arc::clone(&self.snapshot_reads).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let meta = Arc::clone(&self.meta);
        let walk = tokio::task::spawn_blocking(move || {
            let found = read(&*meta.snapshot());
            drop(turn);
            found
        });
        match walk.await {
            Ok(found) => found,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Fault::ShuttingDown),
            },
        }
    }

    /// Finds a bucket by name.
    pub(crate) fn find_bucket(&self, name: &str) -> Result<Option<Arc<Bucket>>, Fault> {
        let load = || {
            let Some(row) = self.row(Table::Ctl, &key::ctl::bucket(name))? else {
                return Ok(None);
            };
            let record: BucketRecord = decode(&row)?;
            let configs = BucketConfigs::load(&*self.meta, record.id)?;
            Ok(Some(Bucket { record, configs }))
        };
        self.buckets.find(name, load)
    }

    /// Reads the current object under a key, whichever versions lie below it.
    pub(crate) fn current(&self, bucket: BucketId, key: &str) -> Result<CurrentRow, Fault> {
        let row = self.row(Table::Cur, &key::cur(bucket, key.as_bytes()))?;
        let record = row.as_deref().map(decode::<ObjectRecord>).transpose()?;
        Ok(CurrentRow { record })
    }

    /// An upload id that was never handed out: the time, then random bits.
    pub(crate) fn new_upload_id(&self) -> Result<UploadId, Fault> {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&self.clock.now().0.to_be_bytes()[2..]);
        getrandom::fill(&mut id[6..]).map_err(|error| Fault::MetadataUnavailable {
            reason: format!("no randomness for an upload id: {error}"),
        })?;
        Ok(UploadId(id))
    }
}

/// What the `cur` row of a key says.
pub(crate) struct CurrentRow {
    pub(crate) record: Option<ObjectRecord>,
}

impl CurrentRow {
    /// The live object, if there is one.
    pub(crate) fn live(&self) -> Option<&ObjectMetadata> {
        match &self.record.as_ref()?.kind {
            ObjectKind::Object(metadata) => Some(metadata),
            ObjectKind::DeleteMarker => None,
        }
    }
}

/// Holds while the row under `key` is `row`.
pub(crate) fn unchanged(table: Table, key: Vec<u8>, row: Option<Bytes>) -> Guard {
    match row {
        Some(value) => Guard::Equals { table, key, value },
        None => Guard::Absent { table, key },
    }
}

/// Reads a record that was stored by us or by a release before.
pub(crate) fn decode<R: Record>(row: &[u8]) -> Result<R, Fault> {
    R::decode(row).map_err(|error: DecodeRecordError| Fault::Corrupt { reason: error.to_string() })
}

/// What a failed read means to the caller.
pub(crate) fn read_fault(error: ReadError) -> Fault {
    Fault::MetadataUnavailable { reason: error.to_string() }
}
