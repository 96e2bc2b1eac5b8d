//! Background work: one trait, one supervisor.
//!
//! | Worker | Does |
//! | --- | --- |
//! | `reclaim` | deletes what commits unlinked |
//! | `discard` | deletes what failed and aborted uploads left, at once |
//! | `sweep` | finds and deletes what nobody names, device by device |
//! | `damage` | records damaged shards, from reads and from scrubs |
//! | `repair` | recreates damaged shards, fewest losses to spare first |
//! | `devices` | notices devices that come, go, or return empty or old |
//! | `relocate` | moves shards to other devices, see [`crate::relocate`] |
//! | `rebuild` | recreates everything that a returned device lacks, or a device lost silently |
//!
//! Invariants:
//! - a step is bounded and may be dropped: what it had not committed is done again;
//! - correctness never depends on a step having run: queues are hints, sweeps and records decide;
//! - a panic in a step is logged and the worker goes on.
//!
//! *Limits:* steps work on bounded batches; memory of repairs counts against the budget of the
//! data path; repair, rebuild and relocation share one bandwidth limit.

mod damage;
mod device_watch;
mod discard;
pub(crate) mod garbage;
mod rebuild;
mod reclaim;
mod repair;
pub(crate) mod restore;
mod status;
#[cfg(test)]
mod stepping;
mod sweep;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) use device_watch::{Marks, observe_devices, observe_slots};
pub(crate) use status::repair_status;
#[cfg(test)]
pub(crate) use stepping::Workers;

use crate::Fault;
use crate::data::config::Random;
use crate::data::lease::Discard;
use crate::data::{Damage, Inner};

/// How long workers get to finish their step on shutdown. Chosen; a step may wait for a device.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Pause after a failed or panicked step. Chosen.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What a step leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// There is more to do now.
    More,
    /// Nothing to do until the interval is over or the worker is woken.
    Idle,
}

/// A background job.
#[async_trait]
pub(crate) trait Worker: Send + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Longest pause between steps; jittered.
    fn interval(&self) -> Duration;

    /// Does a bounded amount of work.
    ///
    /// # Errors
    /// A fault is logged, and the step is taken again after a pause.
    async fn step(&mut self) -> Result<Pace, Fault>;

    /// Completes when there is something to do before the interval is over. Cancel-safe.
    async fn woken(&mut self) {
        std::future::pending().await
    }
}

/// What the data path sends its workers.
pub(crate) struct Queues {
    pub(crate) discards: mpsc::Receiver<Discard>,
    pub(crate) damages: mpsc::Receiver<Damage>,
}

/// All workers of a data path.
pub(crate) fn all(data: &Arc<Inner>, queues: Queues) -> Vec<Box<dyn Worker>> {
    let throttle = Arc::new(restore::Throttle::new(data.config.workers.repair_bytes_per_second));
    vec![
        Box::new(reclaim::Reclaim::new(Arc::clone(data))),
        Box::new(discard::DiscardGarbage::new(Arc::clone(data), queues.discards)),
        Box::new(sweep::Sweep::new(Arc::clone(data))),
        Box::new(damage::RecordDamage::new(Arc::clone(data), queues.damages)),
        Box::new(repair::Repair::new(Arc::clone(data), Arc::clone(&throttle))),
        Box::new(device_watch::DeviceWatch::new(Arc::clone(data))),
        Box::new(rebuild::Rebuild::new(Arc::clone(data), Arc::clone(&throttle))),
        Box::new(crate::relocate::Relocate::new(Arc::clone(data), throttle)),
    ]
}

/// Runs workers until it is stopped.
pub(crate) struct Supervisor {
    random: Random,
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    /// Queues without workers, kept so that their senders do not fail.
    parked: Mutex<Option<Queues>>,
}

impl Supervisor {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
            parked: Mutex::default(),
        }
    }

    pub(crate) fn start_all(&self, workers: Vec<Box<dyn Worker>>) {
        let mut tasks = self.tasks.lock();
        for worker in workers {
            tasks.spawn(run(worker, self.random.clone(), self.stopping.subscribe()));
        }
    }

    /// Keeps the queues of workers that do not run.
    pub(crate) fn park(&self, queues: Queues) {
        *self.parked.lock() = Some(queues);
    }

    /// The queues that were parked.
    #[cfg(test)]
    pub(crate) fn unpark(&self) -> Option<Queues> {
        self.parked.lock().take()
    }

    /// Lets every worker finish its step, within bounds.
    pub(crate) async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("a background step was cut off");
            tasks.shutdown().await;
        }
    }
}

async fn run(mut worker: Box<dyn Worker>, random: Random, mut stopping: watch::Receiver<bool>) {
    let name = worker.name();
    while !*stopping.borrow() {
        let step = AssertUnwindSafe(worker.step()).catch_unwind().await;
        let pause = match step {
            Ok(Ok(Pace::More)) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Ok(Pace::Idle)) => worker.interval(),
            Ok(Err(fault)) => {
                metrics::counter!("datamesh_worker_failures_total", "worker" => name).increment(1);
                tracing::warn!(worker = name, %fault, "background step failed");
                FAILURE_PAUSE.max(worker.interval())
            }
            Err(_panic) => {
                metrics::counter!("datamesh_worker_panics_total", "worker" => name).increment(1);
                tracing::error!(worker = name, "background step panicked");
                FAILURE_PAUSE.max(worker.interval())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(random.jitter(pause)) => {}
            () = worker.woken() => {}
            _ = stopping.changed() => {}
        }
    }
}
