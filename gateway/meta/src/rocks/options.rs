//! How RocksDB is set up, table by table.
//!
//! Three kinds of table: *scanned* ones are walked in order and deleted in masses, *looked-up* ones
//! are read by whole key, often in vain, and *sealed* ones are looked up and hold bytes that no
//! compressor can shrink.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, LogLevel, Options, WriteBufferManager};

use super::config::RocksConfig;
use crate::Table;

/// Bloom filter bits per key: about 1 % false positives (RocksDB's documentation).
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Data page of scanned tables, in bytes. Chosen: some 50 rows of 300 bytes.
const SCANNED_PAGE_BYTES: usize = 16 << 10;
/// Data page of looked-up tables, in bytes: RocksDB's default, one disk page.
const LOOKED_UP_PAGE_BYTES: usize = 4 << 10;
/// Table file, in bytes. Chosen: small enough that a compaction needs little spare space.
const TABLE_FILE_BYTES: u64 = 32 << 20;
/// A table file is compacted once this many of [`DELETION_WINDOW`] rows in a row are deletions.
/// Chosen: a listing then skips at most about this many before it meets a row.
const DELETION_TRIGGER: usize = 256;
/// See [`DELETION_TRIGGER`].
const DELETION_WINDOW: usize = 1024;
/// A table file is also compacted when this share of it is deletions.
const DELETION_RATIO: f64 = 0.5;
/// Deletions that one step of a walk may skip in memory before the memory is flushed, so that the
/// compaction above can drop them. Chosen: below a millisecond of skipping.
const MEMORY_SKIP_TRIGGER: u32 = 2000;
/// Write buffer of the default column family, in bytes. Chosen: it holds two short rows.
const DEFAULT_FAMILY_BUFFER_BYTES: usize = 64 << 10;
/// Share of a write buffer used for a filter of its keys (RocksDB's documentation suggests it).
const MEMORY_FILTER_RATIO: f64 = 0.02;
/// RocksDB's own log, in bytes per file. Chosen.
const LOG_FILE_BYTES: usize = 8 << 20;
/// RocksDB's own log files kept. Chosen.
const LOG_FILES: usize = 4;

/// Options of the whole database.
pub(super) fn database(config: &RocksConfig) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(i32::from(config.open_files_max));
    options.set_max_background_jobs(i32::from(config.background_jobs));
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(
        config.write_buffer_bytes,
        false,
    ));
    // Tables flush together. A quiet table then never pins old logs, and RocksDB's own recovery
    // from a full disk cannot leave half of a batch in table files and lose the other half.
    options.set_atomic_flush(true);
    options.set_max_total_wal_size(2 * config.write_buffer_bytes as u64);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(LOG_FILE_BYTES);
    options.set_keep_log_file_num(LOG_FILES);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options of one table.
pub(super) fn table(table: Table, config: &RocksConfig, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(config.write_buffer_bytes);
    options.set_max_write_buffer_number(4);
    options.set_target_file_size_base(TABLE_FILE_BYTES);
    options.set_max_bytes_for_level_base(4 * TABLE_FILE_BYTES);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.add_compact_on_deletion_collector_factory(
        DELETION_WINDOW,
        DELETION_TRIGGER,
        DELETION_RATIO,
    );
    let mut pages = BlockBasedOptions::default();
    pages.set_block_cache(cache);
    pages.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    pages.set_cache_index_and_filter_blocks(true);
    pages.set_cache_index_and_filter_blocks_with_high_priority(true);
    pages.set_pin_l0_filter_and_index_blocks_in_cache(true);
    pages.set_optimize_filters_for_memory(true);
    match kind(table) {
        Kind::Scanned => {
            options.set_compression_type(DBCompressionType::Lz4);
            pages.set_block_size(SCANNED_PAGE_BYTES);
        }
        Kind::LookedUp => {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_RATIO);
            pages.set_block_size(LOOKED_UP_PAGE_BYTES);
        }
        Kind::Sealed => {
            options.set_compression_type(DBCompressionType::None);
            pages.set_block_size(LOOKED_UP_PAGE_BYTES);
        }
    }
    options.set_block_based_table_factory(&pages);
    options
}

/// Options of the default column family, which holds the format and the probe and nothing else.
pub(super) fn default_family() -> Options {
    let mut options = Options::default();
    // RocksDB goes on after a full disk once the largest write buffer of any family fits.
    options.set_write_buffer_size(DEFAULT_FAMILY_BUFFER_BYTES);
    options
}

/// Options of a table that can only be set once it is open, by name.
pub(super) fn after_open(table: Table) -> Option<(&'static str, String)> {
    match kind(table) {
        Kind::Scanned => Some(("memtable_op_scan_flush_trigger", MEMORY_SKIP_TRIGGER.to_string())),
        Kind::LookedUp | Kind::Sealed => None,
    }
}

enum Kind {
    Scanned,
    LookedUp,
    Sealed,
}

fn kind(table: Table) -> Kind {
    match table {
        Table::Cur
        | Table::Ver
        | Table::Mpu
        | Table::Part
        | Table::Pgidx
        | Table::Gcq
        | Table::Meter
        | Table::Repair => Kind::Scanned,
        Table::Intent | Table::Ctr | Table::Ctl | Table::Tx | Table::Nul => Kind::LookedUp,
        // Nine tenths of a manifest page are hashes and wrapped keys.
        Table::Mf | Table::Inl => Kind::Sealed,
    }
}
