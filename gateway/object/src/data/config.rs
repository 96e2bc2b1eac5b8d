//! What can be tuned of the data path, and its source of randomness.

use std::sync::Arc;
use std::time::Duration;

use gateway_seal::RandomSource;
use node_stripe::{Profile, ProfileError};
use parking_lot::Mutex;

pub(crate) use crate::config::ReadStrategy;

/// Limits and defaults of the data path. Durations are monotonic time.
#[derive(Clone)]
pub(crate) struct DataConfig {
    /// Coding parameters of new bodies.
    pub(crate) profile: Profile,
    /// Longest body kept in the metadata store, in bytes. Chosen: 4 KiB; above it a row costs the
    /// metadata store's compaction more than three shards cost the devices.
    pub(crate) inline_len_bytes_max: u64,
    /// Bytes that bodies on their way in and out, and repairs, may hold together. Chosen: 1 GiB.
    pub(crate) memory_limit_bytes: u64,
    /// How long a request waits for memory before it is told to slow down. Chosen: 5 s.
    pub(crate) memory_wait_max: Duration,
    /// How long a request that already moved bytes waits for memory for more. Longer, because
    /// giving up wastes what was done. Chosen: 60 s.
    pub(crate) memory_wait_under_way_max: Duration,
    /// Stripes of one upload that may be on their way to devices. Chosen: 3, so that one is
    /// received, one encoded and one stored.
    pub(crate) stripes_in_flight_max: usize,
    /// Attempts to store one stripe before the upload fails. Chosen: 4.
    pub(crate) store_attempts_max: u32,
    /// How long a device may take for one shard before it counts as failed. Chosen: 30 s.
    pub(crate) put_timeout: Duration,
    /// How long a device may take for one read before it counts as failed. Chosen: 30 s.
    pub(crate) get_timeout: Duration,
    /// How long a call may go without an answer before its device is avoided. Chosen: 5 s, when a
    /// connection without progress is given up as well.
    pub(crate) stall_after: Duration,
    /// How long a device that failed is avoided at first; doubles. Chosen: 5 s.
    pub(crate) breaker_open: Duration,
    /// How long a device that keeps failing is avoided at most. Chosen: 60 s, so that one that is
    /// well again is soon used.
    pub(crate) breaker_open_max: Duration,
    /// Which of several devices that would do is asked.
    pub(crate) read_strategy: ReadStrategy,
    /// A read is never hedged earlier than this. Chosen: 20 ms, above a seek on a drive; earlier, a
    /// hedge costs more than it saves.
    pub(crate) hedge_delay_min: Duration,
    /// A read is always hedged after this, however slow devices were before. Chosen: 1 s.
    pub(crate) hedge_delay_max: Duration,
    /// The last shards of a stripe are never put elsewhere as well earlier than this. Chosen:
    /// 300 ms, above a synced group on a busy drive.
    pub(crate) straggler_delay_min: Duration,
    /// How long a write that may do with fewer shards waits for all of them. Chosen: 250 ms.
    pub(crate) acknowledge_delay: Duration,
    /// Manifest ids per lease. Chosen: a lease costs one synced commit, ids are plenty.
    pub(crate) lease_ids: u64,
    /// Bytes of decoded manifest pages kept. Chosen: 64 MiB, the pages of 2 TiB.
    pub(crate) page_cache_bytes_max: usize,
    /// Bucket keys kept open. Chosen: 4,096.
    pub(crate) key_cache_max: usize,
    /// Jobs that may use a processor at once; zero means as many as there are cores.
    pub(crate) cpu_jobs_max: usize,
    /// Background work.
    pub(crate) workers: WorkerConfig,
    /// Randomness for keys, placement and jitter.
    pub(crate) random: Random,
}

/// Pace and bounds of background work.
#[derive(Clone, Debug)]
pub(crate) struct WorkerConfig {
    /// Whether workers run at all. Tests that step them by hand say no.
    pub(crate) enabled: bool,
    /// How long an unlinked body stays readable for requests that found it just before. Not a
    /// safety margin for anything else: readers under way are pinned. Chosen: 2 s.
    pub(crate) reclaim_grace: Duration,
    /// Time between looks at the reclamation queue. Chosen: 1 s.
    pub(crate) reclaim_interval: Duration,
    /// Time between sweeps of a device. Chosen: 6 h; most garbage is deleted at once.
    pub(crate) sweep_interval: Duration,
    /// Time between looks at the repair queue. Chosen: 1 s.
    pub(crate) repair_interval: Duration,
    /// Delay after the first failed attempt to repair a stripe; doubles. Chosen: 1 s.
    pub(crate) repair_backoff_min: Duration,
    /// Longest delay between attempts to repair a stripe. Chosen: 10 min.
    pub(crate) repair_backoff_max: Duration,
    /// Bytes a second that repair and rebuild may read and write. Chosen: 256 MiB/s.
    pub(crate) repair_bytes_per_second: u64,
    /// Bytes a second that relocation may move, within what repair may. Chosen: 128 MiB/s.
    pub(crate) move_bytes_per_second: u64,
    /// Bodies whose shards are moved at once. Chosen: 4; their stripes move one after the other.
    pub(crate) move_concurrency: usize,
    /// How long a shard stays where it was after it moved, for readers that hold the page of a
    /// moment ago. Others fall back to parity or look again. Chosen: 30 s.
    pub(crate) move_grace: Duration,
    /// Time between counts of what devices hold, while they seem unevenly full and nobody changes
    /// the layout: a count reads all pages. Chosen: 1 h.
    pub(crate) rebalance_interval: Duration,
    /// Stripes that a rebuild works on at once. Chosen: 2.
    pub(crate) rebuild_concurrency: usize,
    /// Time between looks at the devices. Chosen: 1 s.
    pub(crate) device_interval: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            reclaim_grace: Duration::from_secs(2),
            reclaim_interval: Duration::from_secs(1),
            sweep_interval: Duration::from_secs(6 * 3600),
            repair_interval: Duration::from_secs(1),
            repair_backoff_min: Duration::from_secs(1),
            repair_backoff_max: Duration::from_secs(600),
            repair_bytes_per_second: 256 << 20,
            move_bytes_per_second: 128 << 20,
            move_concurrency: 4,
            move_grace: Duration::from_secs(30),
            rebalance_interval: Duration::from_secs(3600),
            rebuild_concurrency: 2,
            device_interval: Duration::from_secs(1),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            inline_len_bytes_max: 4 << 10,
            memory_limit_bytes: 1 << 30,
            memory_wait_max: Duration::from_secs(5),
            memory_wait_under_way_max: Duration::from_secs(60),
            stripes_in_flight_max: 3,
            store_attempts_max: 4,
            put_timeout: Duration::from_secs(30),
            get_timeout: Duration::from_secs(30),
            stall_after: Duration::from_secs(5),
            breaker_open: Duration::from_secs(5),
            breaker_open_max: Duration::from_secs(60),
            read_strategy: ReadStrategy::default(),
            hedge_delay_min: Duration::from_millis(20),
            hedge_delay_max: Duration::from_secs(1),
            straggler_delay_min: Duration::from_millis(300),
            acknowledge_delay: Duration::from_millis(250),
            lease_ids: 1 << 16,
            page_cache_bytes_max: 64 << 20,
            key_cache_max: 4096,
            cpu_jobs_max: 0,
            workers: WorkerConfig::default(),
            random: Random::system(),
        }
    }
}

impl DataConfig {
    /// Least memory that lets one stripe of any kind be written, read or repaired: two stripes
    /// with all their shards at `k = 1`, the widest an adapted stripe can get.
    pub(crate) fn memory_limit_bytes_min(&self) -> u64 {
        let copies = u64::from(self.profile.m) + 2;
        u64::from(self.profile.stripe_len_bytes) * 2 * copies
    }

    /// Checks the parts that cannot be any value.
    pub(crate) fn validate(&self) -> Result<(), InvalidDataConfig> {
        self.profile.validate()?;
        let (limit_bytes, least_bytes) = (self.memory_limit_bytes, self.memory_limit_bytes_min());
        if limit_bytes < least_bytes {
            return Err(InvalidDataConfig::MemoryLimit { limit_bytes, least_bytes });
        }
        if self.stripes_in_flight_max == 0 || self.store_attempts_max == 0 || self.lease_ids == 0 {
            return Err(InvalidDataConfig::Zero);
        }
        Ok(())
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidDataConfig {
    /// The coding parameters make no sense.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// One stripe would not fit.
    #[error("a memory limit of {limit_bytes} bytes is below the least, {least_bytes}")]
    MemoryLimit {
        /// The refused limit.
        limit_bytes: u64,
        /// The least possible.
        least_bytes: u64,
    },
    /// A count that must be positive is zero.
    #[error("stripes in flight, store attempts and lease ids must be positive")]
    Zero,
}

/// A shared source of randomness.
#[derive(Clone)]
pub(crate) struct Random {
    source: Arc<Mutex<dyn RandomSource + Send>>,
}

impl Random {
    /// The operating system's generator.
    pub(crate) fn system() -> Self {
        Self::new(|out: &mut [u8]| {
            getrandom::fill(out).expect("the operating system provides randomness");
        })
    }

    /// Any source. Tests pass a deterministic one.
    pub(crate) fn new(source: impl RandomSource + Send + 'static) -> Self {
        Self { source: Arc::new(Mutex::new(source)) }
    }

    /// Uses the source for something that takes one.
    pub(crate) fn with<T>(&self, using: impl FnOnce(&mut dyn RandomSource) -> T) -> T {
        using(&mut *self.source.lock())
    }

    /// A number below `bound`, which is not zero. The bias is below `bound / 2^64`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.source.lock().fill(&mut bytes);
        let wide = u128::from(u64::from_le_bytes(bytes)) * bound as u128;
        usize::try_from(wide >> 64).expect("below a usize")
    }

    /// `delay`, up to a quarter shorter or longer, so that periodic work does not fall into step.
    pub(crate) fn jitter(&self, delay: Duration) -> Duration {
        let thousandths = 750 + self.below(501);
        delay * u32::try_from(thousandths).expect("at most 1,250") / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        DataConfig::default().validate().unwrap();
    }

    #[test]
    fn a_limit_below_one_stripe_is_refused() {
        let config = DataConfig { memory_limit_bytes: 8 << 20, ..DataConfig::default() };
        assert!(matches!(config.validate(), Err(InvalidDataConfig::MemoryLimit { .. })));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_jitter_within_a_quarter() {
        let random = Random::system();
        for bound in 1..50 {
            assert!(random.below(bound) < bound);
        }
        for _ in 0..100 {
            let delay = random.jitter(Duration::from_millis(1000));
            assert!((750..=1250).contains(&delay.as_millis()), "{delay:?}");
        }
    }
}
