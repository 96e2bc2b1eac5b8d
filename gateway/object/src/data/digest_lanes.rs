//! MD5 of all bodies on their way in, hashed together.
//!
//! MD5 is the largest cost of a large body, and several bodies together cost little more than one.
//! So stripes wait a little for company:
//! - a stripe goes at once when every body under way has one here, when all lanes are taken, or
//!   when there are fewer bodies than cores for them;
//! - otherwise it goes when its patience ends, and everything that waits goes along. Patience is
//!   in proportion to the time that hashing takes: see [`patience`].
//!
//! Invariants:
//! - a body's stripes are hashed in order: it hands over its state with one and has it back before
//!   the next;
//! - work runs in turns of [`CpuGate`], never on the reactor, and never in more turns than half of
//!   them, so that sealing and coding go on beside it;
//! - a batch takes at most an eighth longer than its longest stripe at the start: a turn ends.
//!
//! Deliberately absent: other digests; their instructions are fast for one body alone.
//!
//! *Cancellation:* a stripe whose waiter is gone leaves the queue at once, or its lane after the
//! slice at hand.
//! *Limits:* one stripe of each body; the bodies' memory is reserved.

use std::sync::Arc;
use std::time::Duration;

use gateway_md5::{Kernel, Md5, Update, update_together};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::memory::CpuGate;
use super::stripe_write::Plain;
use crate::Fault;

#[cfg(test)]
mod tests;

/// Bytes that each lane advances between looks at the queue. Chosen: a third of a millisecond, so
/// that short bodies do not wait behind long ones.
const SLICE_LEN_BYTES: usize = 256 << 10;

/// Bytes that one body alone is hashed at, by the millisecond. Measured with `bench stages`.
const ALONE_BYTES_PER_MS: usize = 800_000;

/// How many times its own hashing time a stripe waits that is not the last of its body: nobody
/// waits for it before the last. Chosen; revisit when stripes get longer.
const PATIENCE_BEFORE_LAST: u32 = 4;

/// How long a stripe waits for company at most. The last one of a body, for which a client waits,
/// never longer than it takes to hash it alone.
pub(crate) fn patience(len_bytes: usize, is_last: bool) -> Duration {
    let alone = Duration::from_micros((len_bytes * 1000 / ALONE_BYTES_PER_MS) as u64);
    if is_last { alone } else { alone * PATIENCE_BEFORE_LAST }
}

/// Where bodies meet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DigestLanes {
    shared: Arc<Shared>,
}

/// A body whose stripes are hashed here. Others may wait for it until it is dropped.
pub(crate) struct LaneStream {
    shared: Arc<Shared>,
}

struct Shared {
    cpu: CpuGate,
    kernel: Kernel,
    /// Batches at once.
    jobs_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bodies that may bring stripes.
    streams: usize,
    /// Batches that run or wait for their turn.
    jobs: usize,
    /// Stripes in batches that run.
    running: usize,
    /// The oldest first.
    waiting: Vec<Stripe>,
    next_id: u64,
}

/// A stripe that waits, or runs.
struct Stripe {
    id: u64,
    is_due: bool,
    md5: Md5,
    plain: Arc<Plain>,
    hashed_len: usize,
    answer: oneshot::Sender<Md5>,
}

/// A batch, from when it is decided on.
struct Batch {
    shared: Arc<Shared>,
    has_begun: bool,
    lanes: Vec<Stripe>,
    /// What each lane may still advance.
    budget_bytes: usize,
}

/// A place in the queue, given up when the waiter is gone.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl DigestLanes {
    pub(crate) fn new(cpu: CpuGate) -> Self {
        let jobs_max = (cpu.jobs_max() / 2).max(1);
        let kernel = Kernel::best();
        Self { shared: Arc::new(Shared { cpu, kernel, jobs_max, state: Mutex::default() }) }
    }

    /// Announces a body.
    pub(crate) fn stream(&self) -> LaneStream {
        self.shared.state.lock().streams += 1;
        LaneStream { shared: Arc::clone(&self.shared) }
    }

    /// Hashes what waits as soon as there is a turn: somebody waits for its memory.
    pub(crate) fn hurry(&self) {
        self.shared.hurry(|_| true);
    }
}

impl LaneStream {
    /// Takes the body's next stripe into `md5`, at the latest when `due` has come and there is a
    /// turn.
    ///
    /// # Errors
    /// [`Fault::ShuttingDown`] when the runtime no longer runs jobs.
    pub(crate) async fn hash(
        &self,
        md5: Md5,
        plain: Arc<Plain>,
        due: Instant,
    ) -> Result<Md5, Fault> {
        let (answer, mut answered) = oneshot::channel();
        let place = self.shared.enqueue(md5, plain, answer);
        self.shared.start_if_worthwhile();
        let answer = tokio::select! {
            biased;
            answer = &mut answered => answer,
            () = tokio::time::sleep_until(due) => {
                self.shared.hurry(|stripe| stripe.id == place.id);
                answered.await
            }
        };
        answer.map_err(|_dropped| Fault::ShuttingDown)
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        self.shared.state.lock().streams -= 1;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let index = state.waiting.iter().position(|stripe| stripe.id == self.id);
        let abandoned = index.map(|index| state.waiting.remove(index));
        drop(state);
        drop(abandoned);
    }
}

impl State {
    fn is_worthwhile(&self, lanes: usize, jobs_max: usize) -> bool {
        let waiting = self.waiting.len();
        if waiting == 0 || self.jobs >= jobs_max {
            return false;
        }
        let everybody_is_here = self.streams <= waiting + self.running;
        let cores_for_all = self.streams <= jobs_max;
        let is_due = || self.waiting.iter().any(|stripe| stripe.is_due);
        everybody_is_here || cores_for_all || waiting >= lanes || is_due()
    }

    /// Moves stripes that `fit` into `lanes`, up to `lanes_max`.
    fn fill(&mut self, lanes: &mut Vec<Stripe>, lanes_max: usize, fit: impl Fn(&Stripe) -> bool) {
        let mut index = 0;
        while lanes.len() < lanes_max && index < self.waiting.len() {
            if fit(&self.waiting[index]) {
                lanes.push(self.waiting.remove(index));
                self.running += 1;
            } else {
                index += 1;
            }
        }
    }
}

impl Shared {
    fn enqueue(&self, md5: Md5, plain: Arc<Plain>, answer: oneshot::Sender<Md5>) -> Place<'_> {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.push(Stripe { id, is_due: false, md5, plain, hashed_len: 0, answer });
        Place { shared: self, id }
    }

    fn hurry(self: &Arc<Self>, which: impl Fn(&Stripe) -> bool) {
        let mut state = self.state.lock();
        state.waiting.iter_mut().filter(|stripe| which(stripe)).for_each(|due| due.is_due = true);
        drop(state);
        self.start_if_worthwhile();
    }

    fn start_if_worthwhile(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            if !state.is_worthwhile(self.kernel.lanes(), self.jobs_max) {
                return;
            }
            state.jobs += 1;
        }
        let batch = Batch::new(Arc::clone(self));
        self.cpu.start(move || batch.run());
    }
}

impl Stripe {
    fn left(&self) -> &[u8] {
        &self.plain.bytes()[self.hashed_len..]
    }

    fn len(&self) -> usize {
        self.plain.len
    }
}

impl Batch {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, has_begun: false, lanes: Vec::new(), budget_bytes: 0 }
    }

    fn run(mut self) {
        self.begin();
        while !self.lanes.is_empty() {
            self.advance();
            self.answer();
            self.admit();
        }
    }

    /// Takes what waits by now.
    fn begin(&mut self) {
        self.has_begun = true;
        self.budget_bytes = usize::MAX;
        self.admit();
        let longest = self.lanes.iter().map(Stripe::len).max().unwrap_or(0);
        self.budget_bytes = longest + longest / 8;
    }

    /// Takes what came meanwhile and does not make the batch longer.
    fn admit(&mut self) {
        let Self { shared, lanes, budget_bytes, .. } = self;
        let fits = |stripe: &Stripe| stripe.len() <= *budget_bytes;
        shared.state.lock().fill(lanes, shared.kernel.lanes(), fits);
    }

    /// Advances every lane by a slice.
    fn advance(&mut self) {
        let mut updates: Vec<Update<'_>> = Vec::with_capacity(self.lanes.len());
        for Stripe { md5, plain, hashed_len, .. } in &mut self.lanes {
            let left = &plain.bytes()[*hashed_len..];
            let bytes = &left[..left.len().min(SLICE_LEN_BYTES)];
            *hashed_len += bytes.len();
            updates.push(Update { md5, bytes });
        }
        update_together(self.shared.kernel, &mut updates);
        self.budget_bytes = self.budget_bytes.saturating_sub(SLICE_LEN_BYTES);
    }

    /// Answers for stripes that are hashed, and drops those that nobody waits for.
    fn answer(&mut self) {
        let ended = |stripe: &mut Stripe| stripe.left().is_empty() || stripe.answer.is_closed();
        let ended: Vec<Stripe> = self.lanes.extract_if(.., ended).collect();
        if ended.is_empty() {
            return;
        }
        self.shared.state.lock().running -= ended.len();
        for Stripe { md5, plain, hashed_len, answer, .. } in ended {
            let is_whole = hashed_len == plain.len;
            // First, so that its memory is free when the body goes on.
            drop(plain);
            if is_whole {
                // Nobody listens any more: then there is nobody to tell.
                let _ = answer.send(md5);
            }
        }
    }
}

impl Drop for Batch {
    /// Only a runtime that shuts down drops a batch before it began. What waits then is told.
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.jobs -= 1;
        state.running -= self.lanes.len();
        let refused = if self.has_begun { Vec::new() } else { std::mem::take(&mut state.waiting) };
        drop(state);
        drop(refused);
        if self.has_begun {
            self.shared.start_if_worthwhile();
        }
    }
}
