//! Batches that share one durable write.
//!
//! Owns the write under construction. Invariants:
//! - batch `n` is judged against the database with batches `0..n` of the group laid over it;
//! - the write holds the rows of all applied batches and all outcomes, in order, or nothing.

use bytes::Bytes;
use rocksdb::WriteBatch;

use super::database::{Database, read_error};
use super::space::Room;
use crate::apply::{self, Change, Rejection};
use crate::ledger::Ledger;
use crate::overlay::{Layered, Overlay};
use crate::{Batch, CommitError, CommitOutcome, KeyRange, Op, ReadError, Table};

/// Rows up to which a range is deleted row by row. Every range tombstone costs every later read of
/// its table until it is compacted away, so they are kept for ranges that pay for it. Chosen;
/// revisit with a benchmark of deletes of multipart objects.
const ROWS_DELETED_ONE_BY_ONE: usize = 256;

/// One group under construction.
pub(super) struct Group<'a> {
    database: &'a Database,
    ledger: Ledger,
    overlay: Overlay,
    rows: WriteBatch,
    is_empty: bool,
}

/// Why a batch of the group has no outcome.
pub(super) enum Refusal {
    /// The batch alone is answered with this.
    Batch(CommitError),
    /// The write is incomplete and must not happen.
    Group(ReadError),
}

impl<'a> Group<'a> {
    /// An empty group behind everything that `ledger` knows of.
    pub(super) fn new(database: &'a Database, ledger: Ledger) -> Self {
        Self {
            database,
            ledger,
            overlay: Overlay::default(),
            rows: WriteBatch::default(),
            is_empty: true,
        }
    }

    /// Judges a batch and adds what it does to the write. `is_last` spares the bookkeeping for
    /// batches behind it.
    pub(super) fn add(
        &mut self,
        batch: Batch,
        room: Room,
        is_last: bool,
    ) -> Result<CommitOutcome, Refusal> {
        let view = Layered { base: self.database, overlay: &self.overlay };
        let unreadable = |error: ReadError| {
            Refusal::Batch(CommitError::Unavailable { reason: error.to_string() })
        };
        let txid = batch.txid;
        if let Some(outcome) = self.ledger.recall(&view, txid).map_err(unreadable)? {
            return Ok(outcome);
        }
        if !room.admits(&batch) {
            return Err(Refusal::Batch(CommitError::Full));
        }
        let reads_itself = batch.ops.iter().any(|op| matches!(op, Op::DeleteRange { .. }));
        let applied = apply::apply(&view, batch).map_err(|rejection| match rejection {
            Rejection::Malformed { reason } => Refusal::Batch(CommitError::Malformed { reason }),
            Rejection::Read(error) => unreadable(error),
        })?;
        let remembered = self.ledger.remember(txid, applied.outcome);
        self.is_empty = false;
        let changes = applied.changes.into_iter().chain(remembered.forget);
        for change in changes.chain([remembered.row]) {
            self.write(&change).map_err(Refusal::Group)?;
            if reads_itself || !is_last {
                self.overlay.record(change);
            }
        }
        Ok(applied.outcome)
    }

    /// The write and the ledger behind it; `None` when there is nothing to write.
    pub(super) fn finish(mut self) -> Option<(WriteBatch, Ledger)> {
        if self.is_empty {
            return None;
        }
        let Change::Put { table, key, value } = self.ledger.count_row() else {
            unreachable!("the count is a row that is put");
        };
        self.rows.put_cf(self.database.table(table), key, value);
        Some((self.rows, self.ledger))
    }

    fn write(&mut self, change: &Change) -> Result<(), ReadError> {
        match change {
            Change::Put { table, key, value } => {
                self.rows.put_cf(self.database.table(*table), key, value);
            }
            Change::Delete { table, key } => {
                self.rows.delete_cf(self.database.table(*table), key);
            }
            Change::DeleteRange { table, range } => self.delete_range(*table, range)?,
        }
        Ok(())
    }

    fn delete_range(&mut self, table: Table, range: &KeyRange) -> Result<(), ReadError> {
        let family = self.database.table(table);
        let mut stored: Vec<Bytes> = Vec::new();
        let mut rows = self.database.iterate(table, range);
        rows.seek(&range.start);
        while stored.len() <= ROWS_DELETED_ONE_BY_ONE
            && let Some(key) = rows.key()
        {
            stored.push(Bytes::copy_from_slice(key));
            rows.next();
        }
        rows.status().map_err(|error| read_error(&error))?;
        if stored.len() <= ROWS_DELETED_ONE_BY_ONE {
            for key in self.overlay.put_keys(table, range) {
                self.rows.delete_cf(family, key);
            }
            for key in stored {
                self.rows.delete_cf(family, key);
            }
            return Ok(());
        }
        match &range.end {
            Some(end) => self.rows.delete_range_cf(family, &range.start, end),
            None => {
                // RocksDB wants an end. There is a last row, as some were just seen.
                let put = self.overlay.put_keys(table, range).next_back().cloned();
                let mut end = self.database.last_key(table)?.max(put).unwrap_or_default();
                end.push(0x00);
                self.rows.delete_range_cf(family, &range.start, &end);
            }
        }
        Ok(())
    }
}
