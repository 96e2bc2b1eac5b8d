//! Index changes of one group of writes, collected in memory until their records are durable.
//!
//! Invariants:
//! - lookups see the collected changes over the index;
//! - segment statistics change exactly as shards and tombstones come and go, and applying the same
//!   record twice counts it once, so that a scan may repeat what the index already knows.

use std::collections::{BTreeMap, HashMap};

use node_proto::ShardKey;
use parking_lot::Mutex;

use crate::{
    index::{Index, IndexError, RowBatch},
    record::{Position, RecordHeader, SegmentId, Tombstone},
    rows::{Place, SegmentStats, ShardRow},
    segments::SegmentTable,
};

#[derive(Default)]
pub(crate) struct Changes {
    shards: HashMap<ShardKey, Option<ShardRow>>,
    places: BTreeMap<Position, Option<Place>>,
    stats: BTreeMap<SegmentId, SegmentStats>,
}

/// The index and the table the changes apply to.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) index: &'a Index,
    pub(crate) table: &'a Mutex<SegmentTable>,
}

impl Changes {
    pub(crate) fn len(&self) -> usize {
        self.shards.len() + self.places.len()
    }

    /// The row a shard would have if the changes were applied now.
    pub(crate) fn shard(
        &self,
        base: Base<'_>,
        key: &ShardKey,
    ) -> Result<Option<ShardRow>, IndexError> {
        match self.shards.get(key) {
            Some(row) => Ok(*row),
            None => base.index.shard(key),
        }
    }

    /// Makes `row` the current record of a shard; its previous record is dead.
    pub(crate) fn store(
        &mut self,
        base: Base<'_>,
        key: ShardKey,
        row: ShardRow,
    ) -> Result<(), IndexError> {
        if let Some(old) = self.shard(base, &key)? {
            if old == row {
                return Ok(());
            }
            self.bury(base, &old);
        }
        self.shards.insert(key, Some(row));
        self.places.insert(row.position, Some(Place::Shard(key)));
        let stats = self.stats_mut(base, row.position.segment);
        stats.live_bytes += row.record_bytes();
        stats.live_shards += 1;
        Ok(())
    }

    /// Forgets a shard; says whether there was one.
    pub(crate) fn delete(&mut self, base: Base<'_>, key: ShardKey) -> Result<bool, IndexError> {
        let Some(old) = self.shard(base, &key)? else {
            return Ok(false);
        };
        self.bury(base, &old);
        self.shards.insert(key, None);
        Ok(true)
    }

    /// Notes a tombstone record.
    pub(crate) fn add_tombstones(
        &mut self,
        base: Base<'_>,
        position: Position,
        count: u32,
    ) -> Result<(), IndexError> {
        if self.place(base, position)?.is_none() {
            self.places.insert(position, Some(Place::Tombstones { count }));
            self.stats_mut(base, position.segment).tombstones += u64::from(count);
        }
        Ok(())
    }

    /// Forgets a tombstone record whose tombstones are gone or lie elsewhere now.
    pub(crate) fn drop_tombstones(
        &mut self,
        base: Base<'_>,
        position: Position,
    ) -> Result<(), IndexError> {
        if let Some(Place::Tombstones { count }) = self.place(base, position)? {
            self.places.insert(position, None);
            let stats = self.stats_mut(base, position.segment);
            stats.tombstones = stats.tombstones.saturating_sub(u64::from(count));
        }
        Ok(())
    }

    /// Forgets what lived at a place whose record is lost.
    pub(crate) fn lose(
        &mut self,
        base: Base<'_>,
        position: Position,
        place: &Place,
    ) -> Result<(), IndexError> {
        match place {
            Place::Shard(key) => {
                if self.shard(base, key)?.is_some_and(|row| row.position == position) {
                    self.delete(base, *key)?;
                }
                self.places.insert(position, None);
                Ok(())
            }
            Place::Tombstones { .. } => self.drop_tombstones(base, position),
        }
    }

    /// Applies a shard record found by a scan, unless a newer one is known.
    pub(crate) fn replay_shard(
        &mut self,
        base: Base<'_>,
        key: ShardKey,
        header: &RecordHeader,
    ) -> Result<(), IndexError> {
        if self.shard(base, &key)?.is_some_and(|known| known.seq > header.seq) {
            return Ok(());
        }
        let row = ShardRow {
            position: header.position,
            seq: header.seq,
            payload_bytes: header.payload_bytes,
            root: header.root,
        };
        self.store(base, key, row)
    }

    /// Applies a tombstone record found by a scan.
    pub(crate) fn replay_tombstones(
        &mut self,
        base: Base<'_>,
        position: Position,
        tombstones: &[Tombstone],
    ) -> Result<(), IndexError> {
        for tombstone in tombstones {
            let known = self.shard(base, &tombstone.key)?;
            if known.is_some_and(|known| known.seq < tombstone.seq) {
                self.delete(base, tombstone.key)?;
            }
        }
        let count = u32::try_from(tombstones.len()).expect("a record holds fewer than 2^32");
        self.add_tombstones(base, position, count)
    }

    /// Makes sure the segment has a row, also when nothing lives in it.
    pub(crate) fn touch(&mut self, base: Base<'_>, segment: SegmentId) {
        self.stats_mut(base, segment);
    }

    /// Applies and forgets the collected changes.
    pub(crate) fn commit(&mut self, base: Base<'_>, logged: bool) -> Result<(), IndexError> {
        if self.shards.is_empty() && self.places.is_empty() && self.stats.is_empty() {
            return Ok(());
        }
        let mut rows = RowBatch::default();
        for (key, row) in &self.shards {
            rows.shard(key, row.as_ref());
        }
        for (position, place) in &self.places {
            rows.place(*position, place.as_ref());
        }
        for (segment, stats) in &self.stats {
            rows.segment(*segment, Some(stats));
        }
        base.index.apply(rows, logged)?;
        let mut table = base.table.lock();
        for (segment, stats) in &self.stats {
            table.set_stats(*segment, *stats);
        }
        drop(table);
        self.clear();
        Ok(())
    }

    /// Marks a segment in which nothing lives as about to be unlinked. Takes effect at once.
    pub(crate) fn retire(&self, base: Base<'_>, segment: SegmentId) -> Result<(), IndexError> {
        let stats = SegmentStats { retiring: true, ..SegmentStats::default() };
        let mut rows = RowBatch::default();
        rows.segment(segment, Some(&stats));
        base.index.apply(rows, true)?;
        base.table.lock().set_stats(segment, stats);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.shards.clear();
        self.places.clear();
        self.stats.clear();
    }

    fn place(&self, base: Base<'_>, position: Position) -> Result<Option<Place>, IndexError> {
        match self.places.get(&position) {
            Some(place) => Ok(*place),
            None => base.index.place(position),
        }
    }

    /// Takes a record out of the places and the statistics.
    fn bury(&mut self, base: Base<'_>, old: &ShardRow) {
        self.places.insert(old.position, None);
        let stats = self.stats_mut(base, old.position.segment);
        stats.live_bytes = stats.live_bytes.saturating_sub(old.record_bytes());
        stats.live_shards = stats.live_shards.saturating_sub(1);
    }

    fn stats_mut(&mut self, base: Base<'_>, segment: SegmentId) -> &mut SegmentStats {
        self.stats.entry(segment).or_insert_with(|| base.table.lock().stats(segment))
    }
}
