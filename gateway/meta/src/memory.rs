//! The model: a deterministic metadata store in memory.
//!
//! Owns nothing durable. It defines what every other engine must do, and serves tests of the crates
//! above: cheap to make, snapshots cost 14 reference counts, a write behind a live snapshot copies
//! the tables it touches.
//!
//! Deliberately absent: limits. It is never busy, full or unavailable.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::apply::{self, Change, Rejection, View};
use crate::ledger::Ledger;
use crate::overlay::range_of;
use crate::{
    Batch, CommitError, CommitOutcome, Cursor, KeyRange, MetaSnapshot, MetaStore, ReadError, Row,
    Table,
};

/// An in-memory [`MetaStore`].
#[derive(Debug, Default)]
pub struct MemoryMetaStore {
    rows: Mutex<Rows>,
}

impl MemoryMetaStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn commit_now(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        let mut rows = self.rows.lock();
        let mut ledger = Ledger::load(&*rows).map_err(unreadable)?;
        if let Some(outcome) = ledger.recall(&*rows, batch.txid).map_err(unreadable)? {
            return Ok(outcome);
        }
        let txid = batch.txid;
        let applied = apply::apply(&*rows, batch).map_err(|rejection| match rejection {
            Rejection::Malformed { reason } => CommitError::Malformed { reason },
            Rejection::Read(error) => unreadable(error),
        })?;
        let remembered = ledger.remember(txid, applied.outcome);
        for change in applied.changes {
            rows.change(change);
        }
        remembered.forget.into_iter().for_each(|change| rows.change(change));
        rows.change(remembered.row);
        rows.change(ledger.count_row());
        Ok(applied.outcome)
    }
}

fn unreadable(error: ReadError) -> CommitError {
    CommitError::Unavailable { reason: error.to_string() }
}

/// All tables. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    tables: [Arc<BTreeMap<Bytes, Bytes>>; Table::ALL.len()],
}

impl Rows {
    pub(crate) fn table(&self, table: Table) -> &BTreeMap<Bytes, Bytes> {
        &self.tables[table as usize]
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Put { table, key, value } => {
                Arc::make_mut(&mut self.tables[table as usize]).insert(Bytes::from(key), value);
            }
            Change::Delete { table, key } => {
                Arc::make_mut(&mut self.tables[table as usize]).remove(key.as_slice());
            }
            Change::DeleteRange { table, range } => {
                let rows = Arc::make_mut(&mut self.tables[table as usize]);
                let keys: Vec<Bytes> = range_of(rows, &range).map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| {
                    rows.remove(key);
                });
            }
        }
    }
}

impl View for Rows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.table(table).get(key).cloned())
    }

    fn first_key(&self, table: Table, range: &KeyRange) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(range_of(self.table(table), range).next().map(|(key, _)| key.to_vec()))
    }
}

impl MetaSnapshot for Rows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        View::get(self, table, key)
    }

    fn cursor(&self, table: Table, range: KeyRange) -> Box<dyn Cursor + '_> {
        Box::new(MemoryCursor { rows: self.table(table), rest: range.clone(), range })
    }
}

struct MemoryCursor<'a> {
    rows: &'a BTreeMap<Bytes, Bytes>,
    range: KeyRange,
    /// What [`Cursor::next`] has not returned yet.
    rest: KeyRange,
}

impl Cursor for MemoryCursor<'_> {
    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        let Some((key, value)) = range_of(self.rows, &self.rest).next() else {
            return Ok(None);
        };
        self.rest.start.clear();
        self.rest.start.extend_from_slice(key);
        self.rest.start.push(0x00);
        Ok(Some((key.clone(), value.clone())))
    }

    fn seek(&mut self, key: &[u8]) {
        self.rest.start.clear();
        self.rest.start.extend_from_slice(key.max(&self.range.start));
    }
}

#[async_trait]
impl MetaStore for MemoryMetaStore {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        self.commit_now(batch)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        View::get(&*self.rows.lock(), table, key)
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let rows = self.rows.lock();
        Ok(range_of(rows.table(table), &range)
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn snapshot(&self) -> Box<dyn MetaSnapshot> {
        Box::new(self.rows.lock().clone())
    }
}
