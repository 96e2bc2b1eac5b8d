//! What a drive is told when it is opened.
//!
//! Invariant: every queue, cache and rate of the crate has its bound here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use node_proto::{Clock, ClusterId, DeviceId};

use crate::vfs::{RealVfs, Vfs};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Memory for index rows that drives share.
#[derive(Clone)]
pub struct IndexCache(pub(crate) rocksdb::Cache);

impl IndexCache {
    /// A cache of about `bytes` for all drives that get a clone of it.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(rocksdb::Cache::new_lru_cache(bytes))
    }
}

/// Which drive to open and how.
#[derive(Clone)]
pub struct DriveConfig {
    /// The layout slot the drive fills.
    pub device: DeviceId,
    /// The cluster the drive must belong to.
    pub cluster: ClusterId,
    /// The drive's directory: usually a mount point.
    pub directory: PathBuf,
    /// Space shards may use in bytes; `None` for whatever the file system has.
    pub capacity_bytes: Option<u64>,
    /// Create `directory` (not its parents) when [`crate::Drive::open`] finds it missing. A
    /// directory that goes missing later is never created, so an unmounted drive does not fill the
    /// disk below it.
    pub create_directory: bool,
    /// Format an empty directory. Without it an empty directory keeps the drive offline.
    pub format_if_empty: bool,
    /// Answer a directory that belongs to another cluster or device, or that is no drive, with an
    /// error of [`crate::Drive::open`]: right for a drive that is named for the first time, where
    /// it is a mistake. Without it, right for a drive that the layout knows already, such a
    /// directory leaves the drive offline with that reason until a probe finds the right one. A
    /// directory in use is an error either way. Default true.
    pub refuse_foreign: bool,
    /// Bounds and rates.
    pub limits: DriveLimits,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where segments and the superblock live.
    pub vfs: Arc<dyn Vfs>,
    /// Cache shared with other drives; `None` for a small one of its own.
    pub index_cache: Option<IndexCache>,
}

impl DriveConfig {
    /// A drive with default limits on the operating system's files, created and formatted when
    /// needed.
    #[must_use]
    pub fn new(
        device: DeviceId,
        cluster: ClusterId,
        directory: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            device,
            cluster,
            directory,
            capacity_bytes: None,
            create_directory: true,
            format_if_empty: true,
            refuse_foreign: true,
            limits: DriveLimits::default(),
            clock,
            vfs: Arc::new(RealVfs::new()),
            index_cache: None,
        }
    }
}

/// Bounds and rates of one drive. All defaults are chosen; revisit with `bench`.
#[derive(Clone, Copy, Debug)]
pub struct DriveLimits {
    /// Length at which a segment is closed at most; a sixteenth of the capacity, but at least
    /// 8 MiB, on drives where that is less. Default 512 MiB.
    pub segment_bytes: u64,
    /// Bytes written between two syncs at most. Default 8 MiB.
    pub group_bytes: u64,
    /// How long a group waits for writes that are already admitted. Default 2 ms.
    pub group_wait: Duration,
    /// Payload bytes admitted and not yet durable; more is answered `Busy`. Default 64 MiB.
    pub write_queue_bytes: u64,
    /// Writes admitted and not yet durable; more is answered `Busy`. Default 1,024.
    pub write_queue_len: usize,
    /// Delete calls in flight; more wait. Default 64.
    pub delete_queue_len: usize,
    /// Threads that read. Default 4.
    pub reader_threads: usize,
    /// Reads admitted and not yet answered; more is answered `Busy`. Default 256.
    pub read_queue_len: usize,
    /// List calls in flight; more wait. Default 16.
    pub list_queue_len: usize,
    /// Damaged shards remembered for `take_damaged`; the next scrub finds the rest. Default
    /// 10,000.
    pub damaged_len: usize,
    /// Segments held open for reading. Default 128.
    pub open_segments: usize,
    /// Memory of the index's write buffer in bytes. Default 4 MiB, twice per drive at most.
    pub index_buffer_bytes: usize,
    /// Bytes appended between checkpoints, hence scanned after a crash. Default 128 MiB.
    pub checkpoint_bytes: u64,
    /// Space writes may not use, kept for deletes, compaction and the index; `None` for a
    /// hundredth of the capacity, at most 2 GiB, but at least a full segment and a quarter.
    /// Compaction may stall on a full drive when it is less than a segment.
    pub reserve_bytes: Option<u64>,
    /// Usable space below which the drive calls itself full. Default 8 MiB.
    pub full_below_bytes: u64,
    /// Dead share of a segment, in percent, from which it is compacted; falls to one as the last
    /// tenth of the capacity fills. Default 30.
    pub compact_dead_percent: u8,
    /// Rate of compaction reads; rises without limit as the last tenth of the capacity fills.
    /// Default 64 MiB/s.
    pub compact_bytes_per_second: u64,
    /// Rate of scrub reads. Default 64 MiB/s.
    pub scrub_bytes_per_second: u64,
    /// Time from the end of one scrub pass to the start of the next. Default 30 days.
    pub scrub_interval: Duration,
    /// How often the maintenance thread looks for work. Default 1 s.
    pub maintenance_interval: Duration,
    /// How long [`crate::Drive::open`] waits for an index rebuild before it returns a drive that
    /// is still offline. Default 10 s.
    pub open_wait: Duration,
    /// How long a probe may take before the drive counts as unresponsive. Default 30 s.
    pub unresponsive_after: Duration,
}

impl Default for DriveLimits {
    fn default() -> Self {
        Self {
            segment_bytes: 512 * MIB,
            group_bytes: 8 * MIB,
            group_wait: Duration::from_millis(2),
            write_queue_bytes: 64 * MIB,
            write_queue_len: 1024,
            delete_queue_len: 64,
            reader_threads: 4,
            read_queue_len: 256,
            list_queue_len: 16,
            damaged_len: 10_000,
            open_segments: 128,
            index_buffer_bytes: 4 << 20,
            checkpoint_bytes: 128 * MIB,
            reserve_bytes: None,
            full_below_bytes: 8 * MIB,
            compact_dead_percent: 30,
            compact_bytes_per_second: 64 * MIB,
            scrub_bytes_per_second: 64 * MIB,
            scrub_interval: Duration::from_secs(30 * 24 * 60 * 60),
            maintenance_interval: Duration::from_secs(1),
            open_wait: Duration::from_secs(10),
            unresponsive_after: Duration::from_secs(30),
        }
    }
}

impl DriveLimits {
    /// The first limit that cannot work, if any.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let positive = [
            (self.segment_bytes >= 64 * KIB, "segment_bytes must be at least 64 KiB"),
            (self.group_bytes > 0, "group_bytes must not be zero"),
            (self.write_queue_bytes >= KIB, "write_queue_bytes must be at least 1 KiB"),
            (self.write_queue_len > 0, "write_queue_len must not be zero"),
            (self.delete_queue_len > 0, "delete_queue_len must not be zero"),
            (self.reader_threads > 0, "reader_threads must not be zero"),
            (self.read_queue_len > 0, "read_queue_len must not be zero"),
            (self.list_queue_len > 0, "list_queue_len must not be zero"),
            (self.open_segments > 0, "open_segments must not be zero"),
            (self.compact_bytes_per_second > 0, "compact_bytes_per_second must not be zero"),
            (self.scrub_bytes_per_second > 0, "scrub_bytes_per_second must not be zero"),
            ((1..=100).contains(&self.compact_dead_percent), "compact_dead_percent is 1 to 100"),
            (!self.maintenance_interval.is_zero(), "maintenance_interval must not be zero"),
        ];
        positive.into_iter().find(|(holds, _)| !holds).map(|(_, fault)| fault)
    }
}
