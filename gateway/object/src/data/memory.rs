//! The bound on bytes in memory, buffers that are used again, and turns on the processor.
//!
//! Invariants:
//! - every large buffer is covered by a [`Reservation`] from before it is filled until after it is
//!   dropped, so the sum of all of them never exceeds the configured limit;
//! - a buffer that comes out of the pool holds another body's bytes: whoever takes it overwrites
//!   what it hands on.
//!
//! *Cancellation:* a dropped wait gives its place up; reservations end by drop.
//! *Limits:* idle buffers are kept up to an eighth of the memory limit and count against it only
//! while in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Fault;

/// Bytes per semaphore permit, so that a `u32` counts terabytes.
const UNIT_BYTES: u64 = 4096;

/// Shorter buffers come from the allocator. Chosen: below it an allocation is cheaper than a lock.
const POOLED_LEN_BYTES_MIN: usize = 1 << 20;

/// The process-wide bound on bytes held for bodies.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    permits: Arc<Semaphore>,
    limit_units: u32,
}

/// A share of the budget, given back on drop.
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let limit_units = u32::try_from(limit_bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        let permits = usize::try_from(limit_units).expect("32 bits").min(Semaphore::MAX_PERMITS);
        metrics::gauge!("datamesh_memory_limit_bytes").set(limit_bytes as f64);
        Self { permits: Arc::new(Semaphore::new(permits)), limit_units }
    }

    fn units(&self, len_bytes: usize) -> u32 {
        let units = (len_bytes as u64).div_ceil(UNIT_BYTES);
        // What could never be had is had once everything else is gone: it must not wait for ever.
        u32::try_from(units).unwrap_or(u32::MAX).min(self.limit_units)
    }

    /// Waits up to `wait_max` for `len_bytes`.
    ///
    /// # Errors
    /// [`Fault::Busy`] when they are not to be had in time.
    pub(crate) async fn reserve(
        &self,
        len_bytes: usize,
        wait_max: Duration,
    ) -> Result<Reservation, Fault> {
        if let Some(reservation) = self.try_reserve(len_bytes) {
            return Ok(reservation);
        }
        metrics::counter!("datamesh_memory_waits_total").increment(1);
        let acquired = Arc::clone(&self.permits).acquire_many_owned(self.units(len_bytes));
        match tokio::time::timeout(wait_max, acquired).await {
            Ok(Ok(permit)) => Ok(Reservation { permit }),
            Ok(Err(_closed)) => Err(Fault::ShuttingDown),
            Err(_elapsed) => {
                metrics::counter!("datamesh_memory_refusals_total").increment(1);
                Err(Fault::Busy)
            }
        }
    }

    /// Waits up to `wait_max` for two shares that end separately. Taken in one step: holders of one
    /// share that wait for another could wait for each other.
    ///
    /// # Errors
    /// [`Fault::Busy`] when they are not to be had in time.
    pub(crate) async fn reserve_two(
        &self,
        first_bytes: usize,
        second_bytes: usize,
        wait_max: Duration,
    ) -> Result<(Reservation, Reservation), Fault> {
        let both = self.reserve(first_bytes.saturating_add(second_bytes), wait_max).await?;
        Ok(both.split(self.units(second_bytes)))
    }

    /// `len_bytes`, if they are to be had now.
    pub(crate) fn try_reserve(&self, len_bytes: usize) -> Option<Reservation> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.try_acquire_many_owned(self.units(len_bytes)).ok()?;
        Some(Reservation { permit })
    }

    /// Two shares that end separately, if they are to be had now.
    pub(crate) fn try_reserve_two(
        &self,
        (first_bytes, second_bytes): (usize, usize),
    ) -> Option<(Reservation, Reservation)> {
        let both = self.try_reserve(first_bytes.saturating_add(second_bytes))?;
        Some(both.split(self.units(second_bytes)))
    }

    /// Bytes that are free.
    pub(crate) fn available_bytes(&self) -> u64 {
        self.permits.available_permits() as u64 * UNIT_BYTES
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        (u64::from(self.limit_units) * UNIT_BYTES).saturating_sub(self.available_bytes())
    }

    /// Whether more than half is in use, so that large read windows are no longer fair.
    pub(crate) fn is_tight(&self) -> bool {
        self.available_bytes() < u64::from(self.limit_units) * UNIT_BYTES / 2
    }
}

impl Reservation {
    /// Splits `units` off. Rounding and the cap may leave less than that; then there is nothing in
    /// the first.
    fn split(mut self, units: u32) -> (Self, Self) {
        let units = usize::try_from(units).expect("32 bits").min(self.permit.num_permits());
        let second = self.permit.split(units).expect("not more than there are");
        (self, Self { permit: second })
    }
}

/// Large buffers waiting to be used again.
#[derive(Clone)]
pub(crate) struct BufferPool {
    idle: Arc<Idle>,
}

struct Idle {
    buffers: Mutex<Vec<Vec<u8>>>,
    held_bytes: AtomicUsize,
    limit_bytes: usize,
}

/// A buffer whose content is arbitrary until written. Returns to its pool on drop.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    idle: Arc<Idle>,
    _reservation: Option<Reservation>,
}

impl BufferPool {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let idle =
            Idle { buffers: Mutex::new(Vec::new()), held_bytes: AtomicUsize::new(0), limit_bytes };
        Self { idle: Arc::new(idle) }
    }

    /// A buffer of `len` bytes, covered by `reservation` for as long as it lives.
    pub(crate) fn take(&self, len: usize, reservation: Option<Reservation>) -> Buffer {
        let reused = (len >= POOLED_LEN_BYTES_MIN).then(|| self.idle.find(len)).flatten();
        let bytes = reused.unwrap_or_else(|| vec![0; len]);
        Buffer { bytes, len, idle: Arc::clone(&self.idle), _reservation: reservation }
    }
}

impl Idle {
    /// The shortest idle buffer that fits and is not twice too long.
    fn find(&self, len: usize) -> Option<Vec<u8>> {
        let mut buffers = self.buffers.lock();
        let fits = |bytes: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&bytes.len());
        let (index, _) = buffers
            .iter()
            .enumerate()
            .filter(|(_, bytes)| fits(bytes))
            .min_by_key(|(_, bytes)| bytes.len())?;
        let found = buffers.swap_remove(index);
        self.held_bytes.fetch_sub(found.len(), Ordering::Relaxed);
        Some(found)
    }

    fn put(&self, bytes: Vec<u8>) {
        let len = bytes.len();
        if len < POOLED_LEN_BYTES_MIN {
            return;
        }
        let mut buffers = self.buffers.lock();
        if self.held_bytes.load(Ordering::Relaxed) + len <= self.limit_bytes {
            self.held_bytes.fetch_add(len, Ordering::Relaxed);
            buffers.push(bytes);
        }
    }
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Freezes the buffer; it returns to the pool when the last slice is gone.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.idle.put(std::mem::take(&mut self.bytes));
    }
}

/// Turns on the processor for hashing, sealing and coding, off the reactor.
#[derive(Clone)]
pub(crate) struct CpuGate {
    turns: Arc<Semaphore>,
}

impl CpuGate {
    /// `jobs_max` jobs at once; zero means one per core.
    pub(crate) fn new(jobs_max: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = if jobs_max == 0 { cores() } else { jobs_max };
        Self { turns: Arc::new(Semaphore::new(jobs)) }
    }

    /// Runs `job` on a worker thread once it is its turn.
    ///
    /// # Errors
    /// [`Fault::ShuttingDown`] when the runtime no longer runs jobs.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.map_err(|_closed| Fault::ShuttingDown)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = job();
            drop(turn);
            result
        });
        match done.await {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Fault::ShuttingDown),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_budget_refuses_after_the_wait_and_recovers() {
        let budget = MemoryBudget::new(10 * UNIT_BYTES);
        let held = budget.reserve(9 * 4096, Duration::from_secs(1)).await.unwrap();
        assert!(matches!(budget.reserve(2 * 4096, Duration::from_secs(1)).await, Err(Fault::Busy)));
        assert_eq!(budget.used_bytes(), 9 * UNIT_BYTES);
        assert!(budget.is_tight());
        drop(held);
        budget.reserve(2 * 4096, Duration::from_secs(1)).await.unwrap();
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn more_than_the_limit_is_everything() {
        let budget = MemoryBudget::new(4 * UNIT_BYTES);
        let all = budget.reserve(1 << 30, Duration::ZERO).await.unwrap();
        assert!(budget.try_reserve(1).is_none());
        drop(all);
        assert!(budget.try_reserve(1).is_some());
    }

    #[test]
    fn buffers_come_back_within_the_limit() {
        let pool = BufferPool::new(3 << 20);
        let (mut a, b) = (pool.take(2 << 20, None), pool.take(2 << 20, None));
        a.as_mut()[0] = 7;
        drop(a);
        drop(b);
        assert_eq!(pool.idle.held_bytes.load(Ordering::Relaxed), 2 << 20, "the second was freed");
        let again = pool.take((2 << 20) - 5, None);
        assert_eq!(again.as_ref().len(), (2 << 20) - 5);
        assert_eq!(again.as_ref()[0], 7, "the same memory");
        assert_eq!(pool.idle.held_bytes.load(Ordering::Relaxed), 0);
        let frozen = again.freeze();
        let slice = frozen.slice(1..3);
        drop(frozen);
        assert_eq!(pool.idle.held_bytes.load(Ordering::Relaxed), 0, "a slice still holds it");
        drop(slice);
        assert_eq!(pool.idle.held_bytes.load(Ordering::Relaxed), 2 << 20);
    }

    #[tokio::test]
    async fn a_cpu_job_returns_its_result() {
        assert_eq!(CpuGate::new(1).run(|| 2 + 2).await.unwrap(), 4);
    }
}
