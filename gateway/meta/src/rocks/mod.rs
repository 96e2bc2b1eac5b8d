//! The RocksDB engine: the default, in one gateway process.
//!
//! Owns one directory and one committer thread, the only writer.
//!
//! Invariants:
//! - guards are judged and rows written by one thread, so commits are linear without locks;
//! - an answered commit is synced; rows and the remembered outcome are one write;
//! - reads never wait for commits and go on when commits cannot.
//!
//! *Crash consistency:* the write-ahead log is synced once per group of commits; a reopened store
//! holds every answered commit and no part of another.
//! *Cancellation:* a dropped `commit` abandons the answer, not the effect.
//! *Limits:* queue and group by count and bytes, cache and write buffers by bytes
//! ([`RocksConfig`]). A full disk is refused before RocksDB meets it ([`SpaceLimits`]).
//!
//! Deliberately absent: replication, backup.

mod committer;
mod config;
mod database;
mod group;
mod log_check;
mod options;
mod queue;
mod snapshot;
mod space;
mod telemetry;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use config::{RocksConfig, SpaceLimits};
pub use database::OpenError;
pub use space::{FilesystemSpace, FreeSpace};

use crate::apply::View;
use crate::ledger::Ledger;
use crate::{
    Batch, CommitError, CommitOutcome, KeyRange, MetaSnapshot, MetaStore, ReadError, Row, Table,
};
use committer::Committer;
use database::Database;
use queue::Queue;
use snapshot::PinnedSnapshot;

/// A [`MetaStore`] in a RocksDB directory.
///
/// Dropping it drains the queue like [`Self::close`], blocking for the last write. The directory is
/// free for another open once every snapshot is dropped too.
pub struct RocksMetaStore {
    database: Arc<Database>,
    queue: Arc<Queue>,
    committer: Mutex<Option<JoinHandle<()>>>,
    finished: watch::Receiver<bool>,
}

/// Why a store did not close cleanly. What was answered is durable all the same.
#[derive(Debug, thiserror::Error)]
#[error("the metadata store did not close cleanly: {reason}")]
pub struct CloseError {
    /// What happened, for the log.
    pub reason: String,
}

impl RocksMetaStore {
    /// Opens the store, making it if the directory has none. Blocking: replays what was not in
    /// table files.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: RocksConfig) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(&config)?);
        let ledger = Ledger::load(&*database)
            .map_err(|error| OpenError::Io { reason: error.to_string() })?;
        let (queue, requests) = Queue::new(config.queue_batches_max, config.queue_bytes_max);
        let queue = Arc::new(queue);
        let (sender, finished) = watch::channel(false);
        let committer = Committer {
            database: Arc::clone(&database),
            config,
            queue: Arc::clone(&queue),
            requests,
            ledger,
            met_full_disk: false,
            finished: sender,
        };
        telemetry::opened();
        let thread = std::thread::Builder::new()
            .name("meta-committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { database, queue, committer: Mutex::new(Some(thread)), finished })
    }

    /// Takes no further commits and waits for those that wait; their answers are synced. Reads go
    /// on. May be called again. *Cancellation:* dropping the future stops the waiting only.
    ///
    /// # Errors
    /// [`CloseError`] when the committer had died.
    pub async fn close(&self) -> Result<(), CloseError> {
        self.queue.close();
        let mut finished = self.finished.clone();
        match finished.wait_for(|finished| *finished).await {
            Ok(_) => Ok(()),
            Err(_) => Err(CloseError { reason: "the committer died".to_owned() }),
        }
    }
}

impl Drop for RocksMetaStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.committer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the committer of the metadata store had panicked");
        }
    }
}

impl fmt::Debug for RocksMetaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksMetaStore").field("path", &self.database.db().path()).finish()
    }
}

#[async_trait]
impl MetaStore for RocksMetaStore {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        let outcome = match self.queue.push(batch) {
            Ok(outcome) => outcome,
            Err(error) => {
                let refused = Err(error);
                telemetry::answered(&refused);
                return refused;
            }
        };
        outcome.await.unwrap_or_else(|_| {
            Err(CommitError::Indeterminate { reason: "the committer died".to_owned() })
        })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        View::get(&*self.database, table, key)
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let database = Arc::clone(&self.database);
        let rows = tokio::task::spawn_blocking(move || {
            // A snapshot that ends is also what makes RocksDB look for deletions to clear away.
            let snapshot = PinnedSnapshot::new(database);
            let mut cursor = snapshot.cursor(table, range);
            let mut rows = Vec::new();
            while rows.len() < limit
                && let Some(row) = cursor.next()?
            {
                rows.push(row);
            }
            Ok(rows)
        });
        rows.await.unwrap_or_else(|error| Err(ReadError::Io { reason: error.to_string() }))
    }

    fn snapshot(&self) -> Box<dyn MetaSnapshot> {
        Box::new(PinnedSnapshot::new(Arc::clone(&self.database)))
    }
}
