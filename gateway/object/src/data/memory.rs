//! The bound on bytes in memory, buffers that are used again, and turns on the processor.
//!
//! Invariants:
//! - every large buffer is covered by a [`Reservation`] from before it is filled until after it is
//!   dropped, so the sum of all of them never exceeds the configured limit;
//! - a buffer that comes out of the pool holds another body's bytes: whoever takes it overwrites
//!   what it hands on;
//! - a part of the limit is kept for small requests, so that clients which stall with large bodies
//!   cannot stop those;
//! - a turn on the processor belongs to a job that runs, never to one that waits for its caller: a
//!   caller that is not polled holds nothing up.
//!
//! Who holds how much when clients stall: a reader takes a whole stripe, and one more ahead, only
//! while memory is plentiful; after that a small share of what is free, down to one chunk. A writer
//! holds one stripe, with its shards.
//!
//! *Cancellation:* a dropped wait gives its place up; reservations end by drop; a job whose caller
//! is gone before its turn is skipped.
//! *Limits:* idle buffers are kept up to an eighth of the memory limit and count against it only
//! while in use. Jobs that wait for a turn are as many as reservations allow.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Fault;

/// Bytes per semaphore permit, so that a `u32` counts terabytes.
const UNIT_BYTES: u64 = 4096;

/// Shorter buffers come from the allocator. Chosen: below it an allocation is cheaper than a lock.
const POOLED_LEN_BYTES_MIN: usize = 1 << 20;

/// Longest body, or range of one, that may use what is kept for small requests. Chosen: most
/// objects are shorter, and an eighth of any limit has room for some of them.
pub(crate) const SMALL_LEN_BYTES_MAX: u64 = 1 << 20;

/// Share of the limit that is kept for small requests, as a divisor. Chosen.
const RESERVE_DIVISOR: u64 = 8;

/// Share of the free bytes that one more read window may take while memory is not plentiful, as a
/// divisor. Chosen: 200 readers that stall under the least limit leave room for a large upload.
const WINDOW_DIVISOR: u64 = 256;

/// The process-wide bound on bytes held for bodies.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    /// For everybody.
    general: Arc<Semaphore>,
    /// For small requests only.
    reserve: Arc<Semaphore>,
    general_units: u32,
    reserve_units: u32,
}

/// What a reservation may be taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Not what is kept for small requests.
    General,
    /// Also what is kept for small requests.
    Small,
}

impl Share {
    /// The share of a request that moves `len_bytes` in all.
    pub(crate) fn of_request(len_bytes: u64) -> Self {
        if len_bytes <= SMALL_LEN_BYTES_MAX { Self::Small } else { Self::General }
    }
}

/// A share of the budget, given back on drop.
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
}

fn units_of(bytes: u64) -> u32 {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).min(most)
}

fn semaphore(units: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(units).expect("32 bits")))
}

impl MemoryBudget {
    /// `limit_bytes` in all, of which an eighth, but at least `reserve_bytes_min`, is for small
    /// requests.
    pub(crate) fn new(limit_bytes: u64, reserve_bytes_min: u64) -> Self {
        let reserve_bytes = (limit_bytes / RESERVE_DIVISOR).max(reserve_bytes_min).min(limit_bytes);
        let reserve_units = units_of(reserve_bytes);
        let general_units = units_of(limit_bytes - reserve_bytes);
        metrics::gauge!("datamesh_memory_limit_bytes").set(limit_bytes as f64);
        Self {
            general: semaphore(general_units),
            reserve: semaphore(reserve_units),
            general_units,
            reserve_units,
        }
    }

    fn units(&self, len_bytes: usize) -> u32 {
        let units = (len_bytes as u64).div_ceil(UNIT_BYTES);
        // What could never be had is had once everything else is gone: it must not wait for ever.
        u32::try_from(units).unwrap_or(u32::MAX).min(self.general_units)
    }

    /// Waits up to `wait_max` for `len_bytes`.
    ///
    /// # Errors
    /// [`Fault::Busy`] when they are not to be had in time.
    pub(crate) async fn reserve(
        &self,
        len_bytes: usize,
        share: Share,
        wait_max: Duration,
    ) -> Result<Reservation, Fault> {
        if let Some(reservation) = self.try_reserve(len_bytes, share) {
            return Ok(reservation);
        }
        metrics::counter!("datamesh_memory_waits_total").increment(1);
        let units = self.units(len_bytes);
        let general = Arc::clone(&self.general).acquire_many_owned(units);
        let reserve = Arc::clone(&self.reserve).acquire_many_owned(units);
        let may_use_reserve = share == Share::Small && units <= self.reserve_units;
        let acquired = async {
            tokio::select! {
                permit = general => permit,
                permit = reserve, if may_use_reserve => permit,
            }
        };
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
        (first_bytes, second_bytes): (usize, usize),
        share: Share,
        wait_max: Duration,
    ) -> Result<(Reservation, Reservation), Fault> {
        let both = self.reserve(first_bytes.saturating_add(second_bytes), share, wait_max).await?;
        Ok(both.split(self.units(second_bytes)))
    }

    /// `len_bytes`, if they are to be had now.
    pub(crate) fn try_reserve(&self, len_bytes: usize, share: Share) -> Option<Reservation> {
        let units = self.units(len_bytes);
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_many_owned(units);
        let permit = match share {
            Share::General => take(&self.general),
            Share::Small => take(&self.general).or_else(|_| take(&self.reserve)),
        };
        Some(Reservation { permit: permit.ok()? })
    }

    /// Two shares that end separately, if they are to be had now.
    pub(crate) fn try_reserve_two(
        &self,
        (first_bytes, second_bytes): (usize, usize),
        share: Share,
    ) -> Option<(Reservation, Reservation)> {
        let both = self.try_reserve(first_bytes.saturating_add(second_bytes), share)?;
        Some(both.split(self.units(second_bytes)))
    }

    /// Bytes that anybody may have now.
    fn free_bytes(&self) -> u64 {
        self.general.available_permits() as u64 * UNIT_BYTES
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        let limit = (u64::from(self.general_units) + u64::from(self.reserve_units)) * UNIT_BYTES;
        let reserve = self.reserve.available_permits() as u64 * UNIT_BYTES;
        limit.saturating_sub(self.free_bytes() + reserve)
    }

    /// Whether three quarters are free, so that readers may take whole stripes, and one ahead.
    pub(crate) fn is_plentiful(&self) -> bool {
        self.free_bytes() >= u64::from(self.general_units) * UNIT_BYTES / 4 * 3
    }

    /// Plaintext that one more read window may hold now; `None` while memory is plentiful.
    pub(crate) fn window_len_bytes_max(&self) -> Option<u64> {
        (!self.is_plentiful()).then(|| self.free_bytes() / WINDOW_DIVISOR)
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
///
/// Jobs wait in a queue of their own and are started by the jobs that end before them, so that
/// turns go round whether or not anybody polls the futures that wait for results.
#[derive(Clone)]
pub(crate) struct CpuGate {
    turns: Arc<Turns>,
}

type Job = Box<dyn FnOnce() + Send>;

struct Turns {
    jobs_max: usize,
    state: Mutex<TurnState>,
}

#[derive(Default)]
struct TurnState {
    taken: usize,
    waiting: VecDeque<Job>,
}

/// A turn that is taken. Goes from job to job until none waits.
struct Turn {
    turns: Arc<Turns>,
    has_ended: bool,
}

impl CpuGate {
    /// `jobs_max` jobs at once; zero means one per core.
    pub(crate) fn new(jobs_max: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs_max = if jobs_max == 0 { cores() } else { jobs_max };
        Self { turns: Arc::new(Turns { jobs_max, state: Mutex::default() }) }
    }

    /// Jobs that run at once.
    pub(crate) fn jobs_max(&self) -> usize {
        self.turns.jobs_max
    }

    /// Runs `job`, for which nobody waits, on a worker thread once it is its turn. It is dropped
    /// when the runtime no longer runs jobs.
    pub(crate) fn start(&self, job: impl FnOnce() + Send + 'static) {
        self.turns.start_or_queue(Box::new(move || {
            if std::panic::catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a job panicked");
            }
        }));
    }

    /// Runs `job` on a worker thread once it is its turn, counted from the first poll. A job whose
    /// turn comes runs to its end, whether or not this is polled again.
    ///
    /// # Errors
    /// [`Fault::ShuttingDown`] when the runtime no longer runs jobs.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        self.turns.start_or_queue(Box::new(move || {
            if answer.is_closed() {
                return;
            }
            // Nobody listens any more: then there is nobody to tell.
            let _ = answer.send(std::panic::catch_unwind(AssertUnwindSafe(job)));
        }));
        match answered.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_dropped) => Err(Fault::ShuttingDown),
        }
    }
}

impl Turns {
    fn start_or_queue(self: &Arc<Self>, job: Job) {
        {
            let mut state = self.state.lock();
            if state.taken >= self.jobs_max {
                state.waiting.push_back(job);
                return;
            }
            state.taken += 1;
        }
        let turn = Turn { turns: Arc::clone(self), has_ended: false };
        // Its end is not waited for: every job answers for itself.
        drop(tokio::task::spawn_blocking(move || turn.run(job)));
    }
}

impl Turn {
    fn run(mut self, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            job();
            next = self.next();
        }
    }

    /// The next job; without one, the turn ends under the same lock that jobs queue under.
    fn next(&mut self) -> Option<Job> {
        let mut state = self.turns.state.lock();
        let job = state.waiting.pop_front();
        if job.is_none() {
            state.taken -= 1;
            self.has_ended = true;
        }
        job
    }
}

impl Drop for Turn {
    /// Only a runtime that shuts down drops a turn before its end. What waits then is told.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.turns.state.lock();
        state.taken -= 1;
        let refused = std::mem::take(&mut state.waiting);
        drop(state);
        drop(refused);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn budget(general_units: u64, reserve_units: u64) -> MemoryBudget {
        MemoryBudget::new((general_units + reserve_units) * UNIT_BYTES, reserve_units * UNIT_BYTES)
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_budget_refuses_after_the_wait_and_recovers() {
        let budget = budget(10, 2);
        let wait = Duration::from_secs(1);
        let held = budget.reserve(9 * 4096, Share::General, wait).await.unwrap();
        let refused = budget.reserve(2 * 4096, Share::General, wait).await;
        assert!(matches!(refused, Err(Fault::Busy)));
        assert_eq!(budget.used_bytes(), 9 * UNIT_BYTES);
        assert!(!budget.is_plentiful());
        drop(held);
        budget.reserve(2 * 4096, Share::General, wait).await.unwrap();
        assert_eq!(budget.used_bytes(), 0);
        assert!(budget.is_plentiful());
    }

    #[tokio::test]
    async fn more_than_the_limit_is_everything() {
        let budget = budget(4, 1);
        let all = budget.reserve(1 << 30, Share::General, Duration::ZERO).await.unwrap();
        assert!(budget.try_reserve(1, Share::General).is_none());
        drop(all);
        assert!(budget.try_reserve(1, Share::General).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_for_small_requests_is_theirs_alone() {
        let budget = budget(16, 4);
        let wait = Duration::from_secs(1);
        let all = budget.reserve(16 * 4096, Share::General, wait).await.unwrap();
        let small = budget.reserve(3 * 4096, Share::Small, wait).await.unwrap();
        assert!(matches!(budget.reserve(4096, Share::General, wait).await, Err(Fault::Busy)));
        assert!(matches!(budget.reserve(2 * 4096, Share::Small, wait).await, Err(Fault::Busy)));
        assert_eq!(budget.used_bytes(), 19 * UNIT_BYTES);
        // A small request that waits takes whatever is free first.
        let mut waiting = Box::pin(budget.reserve(2 * 4096, Share::Small, wait));
        assert!((&mut waiting).now_or_never().is_none());
        drop(small);
        let from_reserve = waiting.await.unwrap();
        let mut waiting = Box::pin(budget.reserve(4 * 4096, Share::Small, wait));
        assert!((&mut waiting).now_or_never().is_none());
        drop(all);
        waiting.await.unwrap();
        drop(from_reserve);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn windows_shrink_with_what_is_free() {
        let budget = MemoryBudget::new(1 << 30, 0);
        assert_eq!(budget.window_len_bytes_max(), None);
        let held = budget.try_reserve(512 << 20, Share::General).unwrap();
        assert_eq!(budget.window_len_bytes_max(), Some((384 << 20) / 256));
        drop(held);
        assert_eq!(budget.window_len_bytes_max(), None);
    }

    #[tokio::test]
    async fn a_turn_never_waits_for_a_caller_that_is_not_polled() {
        let gate = CpuGate::new(1);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let first = gate.run(move || gone.recv().unwrap());
        let mut first = Box::pin(first);
        assert!((&mut first).now_or_never().is_none());
        // Queued, and then nobody polls them again.
        let mut stalled: Vec<_> = (0..20).map(|_| Box::pin(gate.run(|| ()))).collect();
        for waiting in &mut stalled {
            assert!(waiting.now_or_never().is_none());
        }
        let dropped = stalled.split_off(10);
        drop(dropped);
        go.send(()).unwrap();
        first.await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(10), gate.run(|| 5)).await;
        assert_eq!(next.expect("turns go round").unwrap(), 5);
        for waiting in stalled {
            waiting.await.unwrap();
        }
        assert!(gate.turns.state.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_a_job_reaches_its_caller_and_the_turn_goes_on() {
        let gate = CpuGate::new(1);
        let panicking = AssertUnwindSafe(gate.run(|| panic!("on purpose")));
        assert!(panicking.catch_unwind().await.is_err());
        assert_eq!(gate.run(|| 1).await.unwrap(), 1);
    }

    #[test]
    fn a_runtime_that_is_gone_refuses_jobs() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let gate = CpuGate::new(1);
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let refused = gate.run(|| 1).now_or_never();
        assert!(matches!(refused, Some(Err(Fault::ShuttingDown))));
        assert_eq!(gate.turns.state.lock().taken, 0);
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
