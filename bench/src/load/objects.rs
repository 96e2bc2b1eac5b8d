//! The objects a run needs and leaves: made before it, removed after it.
//!
//! *Cancellation:* making them stops at Ctrl-C between two objects; removing them goes on, and only
//! the second Ctrl-C ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::{
    operation::{self, PAGE_LEN_MAX},
    pattern::Content,
    progress::{Counters, Progress},
    session::{Failure, Session, Target},
    workload::Workload,
};
use crate::{args::Payload, interrupt::Stop};

/// Objects written at once before a run, whatever its concurrency. Chosen: fills a few cores.
const FILL_CONCURRENCY: u64 = 16;
/// The same for objects of at most [`SMALL_LEN_BYTES`]. Chosen: they wait for synced writes, which
/// servers do for many at once.
const FILL_CONCURRENCY_SMALL: u64 = 64;
/// What small means to [`FILL_CONCURRENCY_SMALL`].
const SMALL_LEN_BYTES: u64 = 64 << 10;
/// Requests at once that delete after a run, each of a thousand objects. Chosen: likewise.
const CLEAR_CONCURRENCY: u64 = 4;
/// Attempts at one object before a run is given up. Chosen: a server that says SlowDown three
/// times to a few writers is not fit to be measured.
const ATTEMPTS_MAX: u32 = 3;

/// Writes the prepared objects.
///
/// # Errors
/// When an object cannot be written.
pub(crate) async fn fill(
    target: &Arc<Target>,
    workload: &Arc<Workload>,
    payload: Payload,
    stop: &Stop,
) -> Result<()> {
    let counters = Arc::new(Counters::default());
    let total = workload.prepared();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    let is_small = workload.size_mean() <= SMALL_LEN_BYTES;
    let concurrency = if is_small { FILL_CONCURRENCY_SMALL } else { FILL_CONCURRENCY };
    for _ in 0..concurrency.min(total) {
        let mut session = Session::new(Arc::clone(target));
        let (workload, next) = (Arc::clone(workload), Arc::clone(&next));
        let (counters, stop) = (Arc::clone(&counters), stop.clone());
        workers.spawn(async move {
            loop {
                let index = next.fetch_add(1, Relaxed);
                if index >= total || stop.is_set() {
                    return Ok(());
                }
                let (key, content) = workload.prepared_object(index);
                let len_bytes = content.len_bytes();
                attempt(&mut session, &Step::Put { key, content, payload }).await?;
                counters.operations.fetch_add(1, Relaxed);
                counters.bytes.fetch_add(len_bytes, Relaxed);
            }
        });
    }
    join(workers, "preparing", total, &counters).await.context("cannot prepare the objects")
}

/// Deletes the prepared and the written objects.
///
/// # Errors
/// When objects cannot be deleted.
pub(crate) async fn clear(
    target: &Arc<Target>,
    workload: &Arc<Workload>,
    filled: bool,
) -> Result<()> {
    let counters = Arc::new(Counters::default());
    let prepared = if filled { workload.prepared() } else { 0 };
    let total = prepared + workload.written();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CLEAR_CONCURRENCY.min(total.div_ceil(PAGE_LEN_MAX)) {
        let mut session = Session::new(Arc::clone(target));
        let (workload, next) = (Arc::clone(workload), Arc::clone(&next));
        let counters = Arc::clone(&counters);
        workers.spawn(async move {
            loop {
                let first = next.fetch_add(PAGE_LEN_MAX, Relaxed);
                if first >= total {
                    return Ok(());
                }
                let key = |index: u64| match index.checked_sub(prepared) {
                    Some(written) => workload.written_key(written),
                    None => workload.prepared_key(index),
                };
                let keys: Vec<String> = (first..total.min(first + PAGE_LEN_MAX)).map(key).collect();
                let count = keys.len() as u64;
                attempt(&mut session, &Step::Delete { keys }).await?;
                counters.operations.fetch_add(count, Relaxed);
            }
        });
    }
    join(workers, "removing", total, &counters).await.context("cannot remove the objects")
}

/// One thing to do before or after a run.
enum Step {
    Put { key: String, content: Content, payload: Payload },
    Delete { keys: Vec<String> },
}

impl Step {
    async fn take(&self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Put { key, content, payload } => {
                operation::put(session, key, content, *payload).await.map(|_| ())
            }
            Self::Delete { keys } => operation::delete_many(session, keys).await,
        }
    }
}

async fn attempt(session: &mut Session, step: &Step) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let limit = session.target().timeout;
        let outcome = tokio::time::timeout(limit, step.take(session)).await;
        let failure = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => {
                session.disconnect();
                Failure::TimedOut
            }
        };
        if attempts == ATTEMPTS_MAX {
            return Err(failure);
        }
        tokio::time::sleep(super::PAUSE_AFTER_FAILURE * attempts).await;
    }
}

async fn join(
    mut workers: JoinSet<Result<(), Failure>>,
    phase: &str,
    total: u64,
    counters: &Counters,
) -> Result<()> {
    let mut progress = Progress::new();
    let mut ticker = tokio::time::interval(super::TICK);
    let outcome = loop {
        tokio::select! {
            joined = workers.join_next() => match joined {
                None => break Ok(()),
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => break Err(failure.into()),
                Some(Err(error)) => break Err(error.into()),
            },
            _ = ticker.tick() => {
                let done = counters.operations.load(Relaxed) as f64 / total.max(1) as f64;
                progress.draw(phase, Some(done), counters);
            }
        }
    };
    progress.clear();
    outcome
}
