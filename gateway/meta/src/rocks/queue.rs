//! The way from callers to the committer: bounded in batches and bytes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::telemetry;
use crate::{Batch, CommitError, CommitOutcome, Guard, KeyRange, Op};

/// A batch on its way.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) len_bytes: usize,
    pub(super) queued: Instant,
    pub(super) answer: oneshot::Sender<Result<CommitOutcome, CommitError>>,
}

/// What callers and the committer share.
pub(super) struct Queue {
    /// `None` once the store is closed.
    sender: Mutex<Option<mpsc::Sender<Request>>>,
    len_bytes: AtomicUsize,
    len_bytes_max: usize,
    poison: OnceLock<String>,
}

impl Queue {
    pub(super) fn new(batches_max: usize, len_bytes_max: usize) -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(batches_max.max(1));
        let queue = Self {
            sender: Mutex::new(Some(sender)),
            len_bytes: AtomicUsize::new(0),
            len_bytes_max,
            poison: OnceLock::new(),
        };
        (queue, receiver)
    }

    /// Hands a batch to the committer without waiting.
    pub(super) fn push(
        &self,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<CommitOutcome, CommitError>>, CommitError> {
        if let Some(reason) = self.poison_reason() {
            return Err(CommitError::Unavailable { reason: reason.to_owned() });
        }
        let len_bytes = batch_len_bytes(&batch);
        if len_bytes > self.len_bytes_max {
            let reason = format!("{len_bytes} bytes, the limit is {}", self.len_bytes_max);
            return Err(CommitError::Malformed { reason });
        }
        let (answer, outcome) = oneshot::channel();
        let request = Request { batch, len_bytes, queued: Instant::now(), answer };
        let sender = self.sender.lock();
        let sender = sender
            .as_ref()
            .ok_or_else(|| CommitError::Unavailable { reason: "closed".to_owned() })?;
        // Under the lock, so that the sum cannot overshoot.
        if self.len_bytes.load(Ordering::Relaxed) + len_bytes > self.len_bytes_max {
            return Err(CommitError::Busy);
        }
        self.len_bytes.fetch_add(len_bytes, Ordering::Relaxed);
        sender.try_send(request).map_err(|error| {
            self.len_bytes.fetch_sub(len_bytes, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => CommitError::Busy,
                mpsc::error::TrySendError::Closed(_) => {
                    CommitError::Unavailable { reason: "the committer has ended".to_owned() }
                }
            }
        })?;
        Ok(outcome)
    }

    /// Says that a request has left the queue.
    pub(super) fn taken(&self, request: &Request) {
        self.len_bytes.fetch_sub(request.len_bytes, Ordering::Relaxed);
    }

    /// Lets the committer end once it has drained the queue.
    pub(super) fn close(&self) {
        self.sender.lock().take();
    }

    /// Refuses every commit from now on. The first reason stays.
    pub(super) fn poison(&self, reason: String) {
        if self.poison.set(reason).is_ok() {
            telemetry::poisoned();
        }
    }

    /// Why no commits are taken, if that is so.
    pub(super) fn poison_reason(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }
}

/// Bytes of keys and values; what a batch costs while it waits.
fn batch_len_bytes(batch: &Batch) -> usize {
    let range_len = |range: &KeyRange| range.start.len() + range.end.as_ref().map_or(0, Vec::len);
    let guards = batch.guards.iter().map(|guard| match guard {
        Guard::Absent { key, .. } | Guard::Present { key, .. } => key.len(),
        Guard::CounterAtMost { key, .. } => key.len(),
        Guard::Equals { key, value, .. } => key.len() + value.len(),
        Guard::RangeEmpty { range, .. } => range_len(range),
    });
    let ops = batch.ops.iter().map(|op| match op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Delete { key, .. } | Op::Add { key, .. } => key.len(),
        Op::DeleteRange { range, .. } => range_len(range),
    });
    let fixed = size_of_val(batch.guards.as_slice()) + size_of_val(batch.ops.as_slice());
    fixed + guards.sum::<usize>() + ops.sum::<usize>()
}
