//! What an operator may set of the RocksDB engine. None of it decides an outcome.

use std::path::PathBuf;
use std::sync::Arc;

use super::space::{FilesystemSpace, FreeSpace};

/// Settings of [`super::RocksMetaStore`].
#[derive(Clone, Debug)]
pub struct RocksConfig {
    /// Where the database lives; made if missing. One process at a time may open it.
    pub directory: PathBuf,
    /// Cache of data, index and filter pages, in bytes.
    pub block_cache_bytes: usize,
    /// Rows in memory that are not in table files yet, all tables together, in bytes. Reopening
    /// replays at most about twice this.
    pub write_buffer_bytes: usize,
    /// Table files kept open; others are opened when read.
    pub open_files_max: u16,
    /// Threads that flush and compact.
    pub background_jobs: u8,
    /// Commits that may wait; further ones are answered [`crate::CommitError::Busy`].
    pub queue_batches_max: usize,
    /// Bytes of keys and values that may wait. A larger batch is malformed.
    pub queue_bytes_max: usize,
    /// Commits that share one synced write.
    pub group_batches_max: usize,
    /// Bytes after which a group takes no further commit.
    pub group_bytes_max: usize,
    /// When to refuse writes for want of space.
    pub space: SpaceLimits,
    /// Who knows how much space is free.
    pub free_space: Arc<dyn FreeSpace>,
}

/// Free space below which commits are refused, so that RocksDB itself never meets a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLimits {
    /// Below this many free bytes, batches that add content are answered
    /// [`crate::CommitError::Full`]; deletes and small system rows go on.
    pub content_floor_bytes: u64,
    /// Below this many free bytes every batch is, so that flushes and compactions can finish.
    pub reserve_floor_bytes: u64,
}

impl Default for SpaceLimits {
    /// 512 MiB and 128 MiB. Chosen: twice the default write buffer for RocksDB's own work, and
    /// room for half a million deletes; revisit with other buffer sizes.
    fn default() -> Self {
        Self { content_floor_bytes: 512 << 20, reserve_floor_bytes: 128 << 20 }
    }
}

impl RocksConfig {
    /// Defaults for `directory`. The sizes are chosen for a gateway with 1 GiB of memory; revisit
    /// with a benchmark of listings over a billion rows.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            block_cache_bytes: 128 << 20,
            write_buffer_bytes: 64 << 20,
            open_files_max: 1024,
            background_jobs: 2,
            queue_batches_max: 4096,
            queue_bytes_max: 64 << 20,
            group_batches_max: 1024,
            group_bytes_max: 4 << 20,
            space: SpaceLimits::default(),
            free_space: Arc::new(FilesystemSpace),
        }
    }
}
