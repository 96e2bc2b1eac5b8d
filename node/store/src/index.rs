//! The index: where each shard lies. Rebuildable from the segments at any time.
//!
//! Rows, keys big-endian so that iteration follows key and position order:
//!
//! | Key | Value | Meaning |
//! | --- | --- | --- |
//! | `s` · shard key | [`ShardRow`] | the current record of a shard |
//! | `p` · segment · offset | [`Place`] | what lives at a position |
//! | `g` · segment | [`SegmentStats`] | what lives in a segment |
//! | `mc` | [`Checkpoint`] | everything before it is in the index, durably |
//! | `ms` | [`ScrubCursor`] | how far scrubbing has come |
//!
//! Invariants:
//! - an `s` row, its `p` row and the `g` rows they count in change in one atomic batch;
//! - rows describe durable records only;
//! - a row that does not decode is corruption, answered with [`IndexError::Corrupt`], never a panic.
//!
//! *Crash consistency:* writes go to RocksDB's log without a sync. A crash loses a suffix of them;
//! the segments from the last checkpoint on are scanned again.

use std::path::Path;

use node_proto::{ShardEntry, ShardKey};
use rocksdb::{DB, Options, ReadOptions, WriteBatch, WriteOptions};

use crate::{
    config::IndexCache,
    durability::SyncSite,
    record::{Position, SegmentId, TOMBSTONE_BYTES, record_bytes},
    rows::{Checkpoint, Place, RowError, ScrubCursor, SegmentStats, ShardRow},
};

const SHARD: u8 = b's';
const PLACE: u8 = b'p';
const SEGMENT: u8 = b'g';
const CHECKPOINT: &[u8] = b"mc";
const SCRUB: &[u8] = b"ms";

/// Cache of a drive that shares none. Chosen: the index's hot filters of a million shards.
const OWN_CACHE_BYTES: usize = 8 << 20;
/// Table files RocksDB keeps open. Chosen; revisit when an index outgrows a few gigabytes.
const OPEN_TABLES: i32 = 64;

/// Why the index did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("the index is damaged: {reason}")]
    Corrupt { reason: String },
    #[error("the index is in use: {reason}")]
    InUse { reason: String },
    #[error("no space for the index")]
    NoSpace,
    #[error("the index failed: {reason}")]
    Failed { reason: String },
}

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        let reason = error.to_string();
        // RocksDB hands errors over as text only.
        if reason.contains("No space left") || reason.contains("quota exceeded") {
            return Self::NoSpace;
        }
        if reason.contains("lock hold by current process") || reason.contains("While lock file") {
            return Self::InUse { reason };
        }
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::Corrupt { reason },
            _ => Self::Failed { reason },
        }
    }
}

impl From<RowError> for IndexError {
    fn from(error: RowError) -> Self {
        Self::Corrupt { reason: error.to_string() }
    }
}

/// The open index.
pub(crate) struct Index {
    db: DB,
}

impl Index {
    /// Opens the index in `directory`, creating an empty one when there is none.
    pub(crate) fn open(
        directory: &Path,
        buffer_bytes: usize,
        cache: Option<&IndexCache>,
    ) -> Result<Self, IndexError> {
        Ok(Self { db: DB::open(&options(buffer_bytes, cache), directory)? })
    }

    pub(crate) fn shard(&self, key: &ShardKey) -> Result<Option<ShardRow>, IndexError> {
        match self.db.get_pinned(shard_key(key))? {
            Some(value) => Ok(Some(ShardRow::decode(&value)?)),
            None => Ok(None),
        }
    }

    /// Up to `limit` shards after `after`, ascending.
    pub(crate) fn shards(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, IndexError> {
        let mut start = vec![SHARD];
        if let Some(after) = after {
            start.extend_from_slice(&after.encode());
            start.push(0);
        }
        let mut entries = Vec::new();
        self.each(&start, SHARD + 1, |key, value| {
            if entries.len() == limit {
                return Ok(false);
            }
            let key = ShardKey::decode(&key[1..]).map_err(|_| RowError { kind: "shard key" })?;
            let row = ShardRow::decode(value)?;
            entries.push(ShardEntry {
                key,
                len_bytes: u64::from(row.payload_bytes),
                root: row.root,
            });
            Ok(true)
        })?;
        Ok(entries)
    }

    /// Up to `limit` live places at or after `from`, in segment order.
    pub(crate) fn places(
        &self,
        from: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Place)>, IndexError> {
        let mut places = Vec::new();
        self.each(&place_key(from), PLACE + 1, |key, value| {
            if places.len() == limit {
                return Ok(false);
            }
            places.push((decode_place_key(key)?, Place::decode(value)?));
            Ok(true)
        })?;
        Ok(places)
    }

    /// The last live place in a segment.
    pub(crate) fn last_place(
        &self,
        segment: SegmentId,
    ) -> Result<Option<(Position, Place)>, IndexError> {
        let mut rows = self.db.raw_iterator();
        rows.seek_for_prev(place_key(Position { segment, offset_bytes: u64::MAX }));
        let found = match rows.item() {
            Some((key, value)) if key.first() == Some(&PLACE) => {
                Some((decode_place_key(key)?, Place::decode(value)?))
            }
            _ => None,
        };
        rows.status()?;
        Ok(found.filter(|(position, _)| position.segment == segment))
    }

    /// Where the record at a live place ends within its segment.
    pub(crate) fn end_of(&self, position: Position, place: &Place) -> Result<u64, IndexError> {
        let payload_bytes = match place {
            // A row without its shard still says that a record starts here.
            Place::Shard(key) => self
                .shard(key)?
                .filter(|row| row.position == position)
                .map_or(0, |row| u64::from(row.payload_bytes)),
            Place::Tombstones { count } => u64::from(*count) * TOMBSTONE_BYTES as u64,
        };
        Ok(position.offset_bytes.saturating_add(record_bytes(payload_bytes)))
    }

    /// Whether something live lies at or after `from` within its segment.
    pub(crate) fn has_place_from(&self, from: Position) -> Result<bool, IndexError> {
        let next = self.places(from, 1)?;
        Ok(next.first().is_some_and(|(position, _)| position.segment == from.segment))
    }

    pub(crate) fn place(&self, position: Position) -> Result<Option<Place>, IndexError> {
        match self.db.get_pinned(place_key(position))? {
            Some(value) => Ok(Some(Place::decode(&value)?)),
            None => Ok(None),
        }
    }

    /// Every known segment, ascending.
    pub(crate) fn segments(&self) -> Result<Vec<(SegmentId, SegmentStats)>, IndexError> {
        let mut segments = Vec::new();
        self.each(&[SEGMENT], SEGMENT + 1, |key, value| {
            let id = key[1..].try_into().map_err(|_| RowError { kind: "segment key" })?;
            segments.push((SegmentId(u64::from_be_bytes(id)), SegmentStats::decode(value)?));
            Ok(true)
        })?;
        Ok(segments)
    }

    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, IndexError> {
        match self.db.get_pinned(CHECKPOINT)? {
            Some(value) => Ok(Some(Checkpoint::decode(&value)?)),
            None => Ok(None),
        }
    }

    /// Makes everything written so far durable, together with the position it is complete up to.
    pub(crate) fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), IndexError> {
        let mut batch = WriteBatch::default();
        batch.put(CHECKPOINT, checkpoint.encode());
        let mut durable = WriteOptions::default();
        durable.set_sync(!SyncSite::IndexCheckpoint.is_left_out());
        Ok(self.db.write_opt(batch, &durable)?)
    }

    pub(crate) fn scrub_cursor(&self) -> Result<Option<ScrubCursor>, IndexError> {
        match self.db.get_pinned(SCRUB)? {
            Some(value) => Ok(Some(ScrubCursor::decode(&value)?)),
            None => Ok(None),
        }
    }

    pub(crate) fn write_scrub_cursor(&self, cursor: &ScrubCursor) -> Result<(), IndexError> {
        Ok(self.db.put(SCRUB, cursor.encode())?)
    }

    /// Applies a batch. Without `logged`, it is durable only after [`Self::flush`].
    pub(crate) fn apply(&self, rows: RowBatch, logged: bool) -> Result<(), IndexError> {
        let mut options = WriteOptions::default();
        options.disable_wal(!logged);
        Ok(self.db.write_opt(rows.0, &options)?)
    }

    /// Forgets a segment that was unlinked.
    pub(crate) fn forget_segment(&self, id: SegmentId) -> Result<(), IndexError> {
        let mut rows = RowBatch::default();
        rows.segment(id, None);
        self.apply(rows, true)
    }

    /// Writes everything to tables, durably.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        if SyncSite::IndexTables.is_left_out() {
            return Ok(());
        }
        Ok(self.db.flush()?)
    }

    /// Visits rows from `start` until the first byte reaches `end` or `visit` says stop.
    fn each(
        &self,
        start: &[u8],
        end: u8,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(vec![end]);
        let mut rows = self.db.raw_iterator_opt(read);
        rows.seek(start);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value)? {
                return Ok(());
            }
            rows.next();
        }
        Ok(rows.status()?)
    }
}

/// Row changes that become visible together.
#[derive(Default)]
pub(crate) struct RowBatch(WriteBatch);

impl RowBatch {
    pub(crate) fn shard(&mut self, key: &ShardKey, row: Option<&ShardRow>) {
        match row {
            Some(row) => self.0.put(shard_key(key), row.encode()),
            None => self.0.delete(shard_key(key)),
        }
    }

    pub(crate) fn place(&mut self, position: Position, place: Option<&Place>) {
        match place {
            Some(place) => self.0.put(place_key(position), place.encode()),
            None => self.0.delete(place_key(position)),
        }
    }

    pub(crate) fn segment(&mut self, id: SegmentId, stats: Option<&SegmentStats>) {
        let mut key = [SEGMENT; 9];
        key[1..].copy_from_slice(&id.0.to_be_bytes());
        match stats {
            Some(stats) => self.0.put(key, stats.encode()),
            None => self.0.delete(key),
        }
    }
}

fn shard_key(key: &ShardKey) -> [u8; 1 + ShardKey::ENCODED_LEN] {
    let mut out = [SHARD; 1 + ShardKey::ENCODED_LEN];
    out[1..].copy_from_slice(&key.encode());
    out
}

fn place_key(position: Position) -> [u8; 17] {
    let mut out = [PLACE; 17];
    out[1..9].copy_from_slice(&position.segment.0.to_be_bytes());
    out[9..].copy_from_slice(&position.offset_bytes.to_be_bytes());
    out
}

fn decode_place_key(key: &[u8]) -> Result<Position, RowError> {
    let (segment, offset) = key
        .get(1..)
        .and_then(|rest| rest.split_first_chunk::<8>())
        .and_then(|(segment, rest)| Some((*segment, <[u8; 8]>::try_from(rest).ok()?)))
        .ok_or(RowError { kind: "place key" })?;
    Ok(Position {
        segment: SegmentId(u64::from_be_bytes(segment)),
        offset_bytes: u64::from_be_bytes(offset),
    })
}

fn options(buffer_bytes: usize, cache: Option<&IndexCache>) -> Options {
    let own;
    let cache = match cache {
        Some(cache) => &cache.0,
        None => {
            own = rocksdb::Cache::new_lru_cache(OWN_CACHE_BYTES);
            &own
        }
    };
    let mut tables = rocksdb::BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_bloom_filter(10.0, false);
    // Filters and table indexes count against the cache, so that memory stays bounded.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&tables);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    options.set_write_buffer_size(buffer_bytes);
    options.set_max_write_buffer_number(2);
    options.set_max_open_files(OPEN_TABLES);
    options.set_max_background_jobs(2);
    // A log that is missing or cut off makes the index unusable, not silently incomplete.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_log_level(rocksdb::LogLevel::Warn);
    options
}
