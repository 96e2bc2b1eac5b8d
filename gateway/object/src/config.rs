//! What an operator or a test can set.

use std::time::Duration;

use crate::data::DataConfig;

/// Which device is asked where several would do: one of equal copies, one of the parity shards that a
/// late or lost data shard can be made from. Weighs the choice among placement groups with equal
/// room as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStrategy {
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest requests under way; of equals, the one that answers sooner.
    #[default]
    LeastLoaded,
    /// The one that answered soonest lately.
    Nearest,
}

/// Limits and pace of an [`crate::ObjectService`].
#[derive(Clone, Debug)]
pub struct ObjectConfig {
    /// Bytes that bodies on their way in and out, and repairs, may hold together. Default 1 GiB;
    /// more requests at once need more, or are told to slow down.
    pub memory_limit_bytes: u64,
    /// Bytes a second that repair and rebuild may read and write. Default 256 MiB; more repairs
    /// faster and leaves requests less.
    pub repair_bytes_per_second: u64,
    /// Bytes a second that relocation may move between devices, within what repair may. Default
    /// 128 MiB; more drains and rebalances faster and leaves requests less.
    pub move_bytes_per_second: u64,
    /// Jobs that may use a processor at once for sealing, coding and hashing. Default zero: as many
    /// as there are cores.
    pub cpu_jobs_max: usize,
    /// Which device is asked where several would do. Default least loaded.
    pub read_strategy: ReadStrategy,
    /// Least time after which the last shards of a stripe are put on spare devices as well. Default
    /// 300 ms; less writes more on devices of uneven speed.
    pub straggler_delay_min: Duration,
    /// Least length in bytes of every part of a completed upload but the last. Default 5 MiB, as
    /// S3; tests use less.
    pub part_len_bytes_min: u64,
    /// Buckets that one account may have. Default 10,000, as S3.
    pub buckets_per_account_max: u64,
    /// Buckets kept in memory. Default 10,000, about 2 MiB; a miss costs one point read.
    pub cached_buckets_max: usize,
    /// Listings that read at once; others wait. Default 16: each takes a thread and holds a
    /// snapshot.
    pub snapshot_reads_max: usize,
    /// How long a day of lifecycle rules is. Default 24 h; less lets tests see rules act.
    pub lifecycle_day: Duration,
    /// How often access logs of buckets are delivered. Default 5 minutes; less makes more and
    /// smaller log objects.
    pub access_log_interval: Duration,
}

impl Default for ObjectConfig {
    fn default() -> Self {
        let data = DataConfig::default();
        Self {
            memory_limit_bytes: data.memory_limit_bytes,
            repair_bytes_per_second: data.workers.repair_bytes_per_second,
            move_bytes_per_second: data.workers.move_bytes_per_second,
            cpu_jobs_max: data.cpu_jobs_max,
            read_strategy: data.read_strategy,
            straggler_delay_min: data.straggler_delay_min,
            part_len_bytes_min: 5 << 20,
            buckets_per_account_max: 10_000,
            cached_buckets_max: 10_000,
            snapshot_reads_max: 16,
            lifecycle_day: Duration::from_secs(24 * 3600),
            access_log_interval: Duration::from_secs(300),
        }
    }
}

impl ObjectConfig {
    /// The data path's share.
    pub(crate) fn data(&self) -> DataConfig {
        let mut data = DataConfig {
            memory_limit_bytes: self.memory_limit_bytes,
            cpu_jobs_max: self.cpu_jobs_max,
            read_strategy: self.read_strategy,
            straggler_delay_min: self.straggler_delay_min,
            ..DataConfig::default()
        };
        data.workers.repair_bytes_per_second = self.repair_bytes_per_second;
        data.workers.move_bytes_per_second = self.move_bytes_per_second;
        data
    }
}
