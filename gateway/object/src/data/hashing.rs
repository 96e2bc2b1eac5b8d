//! The digests of a body while it streams: stripe after stripe, beside everything else.
//!
//! Invariants:
//! - MD5 and the other digests see the same stripes in the same order, each at its own pace;
//! - work on fewer bytes than a hand-off costs is done at once, on the reactor.
//!
//! *Cancellation:* dropped with its upload; work under way is skipped by whoever runs it.
//! *Limits:* the caller holds back stripes while too many are queued.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use gateway_md5::Md5;
use tokio::time::Instant;

use super::Inner;
use super::digest::{Checksums, FinishedDigests};
use super::digest_lanes::{DigestLanes, patience};
use super::stripe_write::{HAND_OFF_LEN_BYTES_MIN, Plain};
use crate::{ExpectedDigests, Fault};

/// The running digests of one body.
pub(crate) struct Hashing {
    lanes: DigestLanes,
    md5: Chain<Md5>,
    checksums: Chain<Checksums>,
}

/// Something that takes one stripe after the other.
struct Chain<T> {
    state: ChainState<T>,
    queue: VecDeque<Queued>,
    run: Run<T>,
}

enum ChainState<T> {
    Idle(T),
    Busy(BoxFuture<'static, Result<T, Fault>>),
    /// A job was lost with the runtime.
    Lost,
}

struct Queued {
    plain: Arc<Plain>,
    due: Instant,
}

type Run<T> = Box<dyn Fn(T, Queued) -> BoxFuture<'static, Result<T, Fault>> + Send + Sync>;

impl Hashing {
    /// Starts what `expected` needs, for a body of `declared` bytes, if that is known.
    pub(crate) fn new(data: &Inner, expected: &ExpectedDigests, declared: Option<u64>) -> Self {
        let lanes = data.digest_lanes.clone();
        // Short bodies are hashed at once; nobody should wait for them.
        let is_short = declared.is_some_and(|declared| declared < HAND_OFF_LEN_BYTES_MIN as u64);
        let stream = (!is_short).then(|| Arc::new(lanes.stream()));
        let in_lanes = move |mut md5: Md5, Queued { plain, due }: Queued| match stream.clone() {
            Some(stream) => async move { stream.hash(md5, plain, due).await }.boxed(),
            None => {
                md5.update(plain.bytes());
                std::future::ready(Ok(md5)).boxed()
            }
        };
        let cpu = data.cpu.clone();
        let in_turn = move |mut checksums: Checksums, Queued { plain, .. }: Queued| {
            let cpu = cpu.clone();
            let job = move || {
                checksums.update(plain.bytes());
                checksums
            };
            async move { cpu.run(job).await }.boxed()
        };
        Self {
            lanes,
            md5: Chain::new(Md5::new(), Box::new(in_lanes)),
            checksums: Chain::new(Checksums::new(expected), Box::new(in_turn)),
        }
    }

    /// Takes the next stripe.
    pub(crate) fn push(&mut self, plain: &Arc<Plain>, is_last: bool) {
        let due = Instant::now() + patience(plain.len, is_last);
        self.md5.push(Queued { plain: Arc::clone(plain), due }, Md5::update);
        self.checksums.push(Queued { plain: Arc::clone(plain), due }, Checksums::update);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.md5.is_busy() || self.checksums.is_busy()
    }

    /// Stripes that wait for the one under way.
    pub(crate) fn queued(&self) -> usize {
        self.md5.queue.len().max(self.checksums.queue.len())
    }

    /// Says that somebody waits for room.
    pub(crate) fn hurry(&self) {
        self.lanes.hurry();
    }

    /// Waits for one of the jobs under way and starts the next. Cancel-safe.
    pub(crate) async fn step(&mut self) -> Result<(), Fault> {
        let Self { md5, checksums, .. } = self;
        tokio::select! {
            hashed = md5.step(), if md5.is_busy() => hashed,
            hashed = checksums.step(), if checksums.is_busy() => hashed,
            else => Ok(()),
        }
    }

    /// The digests of everything that was pushed, once nothing is under way.
    ///
    /// # Errors
    /// [`Fault::ShuttingDown`] when a job was lost.
    pub(crate) fn finish(&mut self) -> Result<FinishedDigests, Fault> {
        match (self.md5.take(), self.checksums.take()) {
            (Some(md5), Some(checksums)) => Ok(checksums.finish(md5.finish())),
            _ => Err(Fault::ShuttingDown),
        }
    }
}

impl<T> Chain<T> {
    fn new(state: T, run: Run<T>) -> Self {
        Self { state: ChainState::Idle(state), queue: VecDeque::new(), run }
    }

    fn push(&mut self, queued: Queued, update: impl FnOnce(&mut T, &[u8])) {
        if let ChainState::Idle(state) = &mut self.state
            && queued.plain.len < HAND_OFF_LEN_BYTES_MIN
        {
            update(state, queued.plain.bytes());
            return;
        }
        self.queue.push_back(queued);
        self.start();
    }

    fn start(&mut self) {
        if !matches!(self.state, ChainState::Idle(_)) {
            return;
        }
        let Some(queued) = self.queue.pop_front() else { return };
        let ChainState::Idle(state) = std::mem::replace(&mut self.state, ChainState::Lost) else {
            return;
        };
        self.state = ChainState::Busy((self.run)(state, queued));
    }

    fn is_busy(&self) -> bool {
        matches!(self.state, ChainState::Busy(_))
    }

    fn take(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.state, ChainState::Lost) {
            ChainState::Idle(state) => Some(state),
            ChainState::Busy(_) | ChainState::Lost => None,
        }
    }

    /// Waits for the job under way and starts the next. Cancel-safe.
    async fn step(&mut self) -> Result<(), Fault> {
        if let ChainState::Busy(job) = &mut self.state {
            let result = job.await;
            let (state, answer) = match result {
                Ok(state) => (ChainState::Idle(state), Ok(())),
                Err(fault) => (ChainState::Lost, Err(fault)),
            };
            self.state = state;
            answer?;
            self.start();
        }
        Ok(())
    }
}
