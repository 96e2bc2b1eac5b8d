//! Consistent views that own what they look at, and walks over them.
//!
//! RocksDB's snapshot borrows the database; [`PinnedSnapshot`] holds both, so that it can be moved
//! to worker threads. The only unsafe code of the crate is here.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DBRawIterator, Snapshot};

use super::database::{Database, bounds, read_error};
use crate::{Cursor, KeyRange, MetaSnapshot, ReadError, Row, Table};

/// A snapshot and the database it is of.
pub(super) struct PinnedSnapshot {
    /// Borrows from `database`. Declared before it, because fields drop in order.
    snapshot: Snapshot<'static>,
    database: Arc<Database>,
}

impl PinnedSnapshot {
    pub(super) fn new(database: Arc<Database>) -> Self {
        let snapshot = database.db().snapshot();
        // SAFETY: the snapshot borrows the `DB` inside the `Arc`, whose address never changes and
        // which lives as long as `database` next to it. The snapshot is dropped first, and
        // `Self::snapshot` hands it out with the lifetime of `self` only.
        let snapshot = unsafe { std::mem::transmute::<Snapshot<'_>, Snapshot<'static>>(snapshot) };
        Self { snapshot, database }
    }

    fn snapshot<'a>(&'a self) -> &'a Snapshot<'a> {
        &self.snapshot
    }
}

impl MetaSnapshot for PinnedSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let value = self
            .snapshot()
            .get_cf(self.database.table(table), key)
            .map_err(|error| read_error(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn cursor(&self, table: Table, range: KeyRange) -> Box<dyn Cursor + '_> {
        let rows = self.snapshot().raw_iterator_cf_opt(self.database.table(table), bounds(&range));
        Box::new(RocksCursor::new(rows, range))
    }
}

/// A walk over an iterator that ends behind the range.
struct RocksCursor<'a> {
    rows: DBRawIterator<'a>,
    range: KeyRange,
    /// Where to go before the next row is read; otherwise the iterator stands on the row returned
    /// last.
    target: Option<Vec<u8>>,
}

impl<'a> RocksCursor<'a> {
    fn new(rows: DBRawIterator<'a>, range: KeyRange) -> Self {
        let target = Some(range.start.clone());
        Self { rows, range, target }
    }
}

impl Cursor for RocksCursor<'_> {
    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        match self.target.take() {
            Some(target) => self.rows.seek(target),
            None => self.rows.next(),
        }
        match self.rows.item() {
            Some((key, value)) => {
                Ok(Some((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
            }
            None => {
                self.rows.status().map_err(|error| read_error(&error))?;
                Ok(None)
            }
        }
    }

    fn seek(&mut self, key: &[u8]) {
        let target = self.target.get_or_insert_default();
        target.clear();
        target.extend_from_slice(key.max(&self.range.start));
    }
}
