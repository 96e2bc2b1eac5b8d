//! The one thread that writes.
//!
//! *Grouping:* a group is what waits when the previous write ends, so an idle store commits at once
//! and a busy one shares the cost of syncing.
//! *Consistency:* no answer of a group leaves before the group is durable; even a failed guard may
//! have failed because of an earlier batch of the group.
//! *Crash consistency:* a group is one RocksDB write, synced; torn writes are dropped on replay.
//! *Failure:* a failed write makes its group's outcomes unknown. Unless the medium was full, the
//! store is poisoned: after a failed sync nobody knows what the disk holds, so nothing is retried.
//! After a full disk RocksDB recovers by itself once there is space; every group first probes
//! whether it has.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use super::config::RocksConfig;
use super::database::Database;
use super::group::{Group, Refusal};
use super::queue::{Queue, Request};
use super::space::Room;
use super::telemetry;
use crate::ledger::Ledger;
use crate::{CommitError, CommitOutcome};

/// State of the committer thread.
pub(super) struct Committer {
    pub(super) database: Arc<Database>,
    pub(super) config: RocksConfig,
    pub(super) queue: Arc<Queue>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) ledger: Ledger,
    /// Set while RocksDB refuses to write because it met a full disk.
    pub(super) met_full_disk: bool,
    /// Tells [`super::RocksMetaStore::close`] that the queue is drained.
    pub(super) finished: watch::Sender<bool>,
}

struct Answer {
    result: Result<CommitOutcome, CommitError>,
    queued: Instant,
    to: oneshot::Sender<Result<CommitOutcome, CommitError>>,
}

/// Poisons the queue if the thread ends by a panic.
struct PanicWatch(Arc<Queue>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the committer panicked".to_owned());
        }
    }
}

impl Committer {
    /// Serves requests until the queue is closed and drained.
    pub(super) fn run(mut self) {
        let _watch = PanicWatch(Arc::clone(&self.queue));
        while let Some(first) = self.requests.blocking_recv() {
            let group = self.gather(first);
            self.commit(group);
        }
        // Nothing is left to sync: every group was, before it was answered.
        self.finished.send_replace(true);
    }

    fn gather(&mut self, first: Request) -> Vec<Request> {
        self.queue.taken(&first);
        let mut len_bytes = first.len_bytes;
        let mut group = vec![first];
        while group.len() < self.config.group_batches_max
            && len_bytes < self.config.group_bytes_max
            && let Ok(request) = self.requests.try_recv()
        {
            self.queue.taken(&request);
            len_bytes += request.len_bytes;
            group.push(request);
        }
        telemetry::gathered(group.len(), self.requests.len());
        group
    }

    fn commit(&mut self, group: Vec<Request>) {
        let room = match self.ready() {
            Ok(room) => room,
            Err(refused) => {
                let answers = group.into_iter().map(|request| Answer {
                    result: Err(refused.error()),
                    queued: request.queued,
                    to: request.answer,
                });
                return answer(answers.collect());
            }
        };
        let (mut answers, failure) = self.judge_and_write(group, room);
        if let Some(failure) = failure {
            for answer in answers.iter_mut().filter(|answer| answer.result.is_ok()) {
                answer.result = Err(failure.error());
            }
            self.fail(failure);
        }
        answer(answers);
    }

    /// Whether the next group may be written, and what there is room for.
    fn ready(&mut self) -> Result<Room, Refused> {
        if let Some(reason) = self.queue.poison_reason() {
            return Err(Refused::Poisoned { reason: reason.to_owned() });
        }
        if self.met_full_disk {
            if let Err(error) = self.database.probe() {
                let failure = Failure::of(error.to_string());
                let refused = match &failure {
                    Failure::Full { .. } => Refused::Full,
                    Failure::Unread { reason } | Failure::Broken { reason } => {
                        Refused::Poisoned { reason: reason.clone() }
                    }
                };
                self.fail(failure);
                return Err(refused);
            }
            tracing::info!("the metadata store writes again");
            self.met_full_disk = false;
        }
        Ok(match self.config.free_space.free_bytes(&self.config.directory) {
            Ok(free_bytes) => Room::of(free_bytes, &self.config.space),
            Err(error) => {
                tracing::warn!(%error, "free space of the metadata store is unknown");
                Room::Ample
            }
        })
    }

    fn judge_and_write(
        &mut self,
        group: Vec<Request>,
        room: Room,
    ) -> (Vec<Answer>, Option<Failure>) {
        let database = Arc::clone(&self.database);
        let mut write = Group::new(&database, self.ledger);
        let mut answers = Vec::with_capacity(group.len());
        let mut failure = None;
        let last = group.len() - 1;
        for (index, request) in group.into_iter().enumerate() {
            let result = match &failure {
                Some(Failure::Unread { reason }) => {
                    Err(CommitError::Unavailable { reason: reason.clone() })
                }
                _ => {
                    write.add(request.batch, room, index == last).map_err(|refusal| match refusal {
                        Refusal::Batch(error) => error,
                        Refusal::Group(error) => {
                            let reason = error.to_string();
                            failure = Some(Failure::Unread { reason: reason.clone() });
                            CommitError::Unavailable { reason }
                        }
                    })
                }
            };
            answers.push(Answer { result, queued: request.queued, to: request.answer });
        }
        if failure.is_none()
            && let Some((rows, ledger)) = write.finish()
        {
            match durably(&database, rows) {
                Ok(()) => self.ledger = ledger,
                Err(error) => failure = Some(error),
            }
        }
        (answers, failure)
    }

    fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Unread { reason } => {
                tracing::error!(reason, "metadata could not be read for a commit");
            }
            Failure::Full { reason } => {
                if !self.met_full_disk {
                    tracing::error!(reason, "the metadata store met a full disk");
                }
                self.met_full_disk = true;
            }
            Failure::Broken { reason } => {
                tracing::error!(reason, "the metadata store failed and takes no more commits");
                self.queue.poison(reason);
            }
        }
    }
}

/// Why a group is not even tried.
enum Refused {
    /// An earlier write failed.
    Poisoned { reason: String },
    /// RocksDB still waits for space.
    Full,
}

impl Refused {
    fn error(&self) -> CommitError {
        match self {
            Self::Poisoned { reason } => CommitError::Unavailable { reason: reason.clone() },
            Self::Full => CommitError::Full,
        }
    }
}

/// Why a group did not happen, as far as anyone knows.
enum Failure {
    /// The group was not written, because the state behind it could not be read.
    Unread { reason: String },
    /// The write met a full disk.
    Full { reason: String },
    /// The write failed otherwise.
    Broken { reason: String },
}

impl Failure {
    /// RocksDB reports a full disk or quota in words only: those of the operating system.
    fn of(reason: String) -> Self {
        let is_full = ["No space left on device", "Disk quota exceeded"]
            .iter()
            .any(|words| reason.contains(words));
        if is_full { Self::Full { reason } } else { Self::Broken { reason } }
    }

    /// The answer to a batch of the group.
    fn error(&self) -> CommitError {
        match self {
            Self::Unread { reason } => CommitError::Unavailable { reason: reason.clone() },
            Self::Full { reason } | Self::Broken { reason } => {
                CommitError::Indeterminate { reason: reason.clone() }
            }
        }
    }
}

/// Writes a group and syncs it. The failpoints stand for a crash or an error on either side of it:
/// `return(text)` fails with that text.
fn durably(database: &Database, rows: rocksdb::WriteBatch) -> Result<(), Failure> {
    fail::fail_point!("meta-before-write", |text| { Err(Failure::of(text.unwrap_or_default())) });
    database.write(rows).map_err(|error| Failure::of(error.to_string()))?;
    fail::fail_point!("meta-after-write-before-ack", |text| {
        Err(Failure::of(text.unwrap_or_default()))
    });
    Ok(())
}

fn answer(answers: Vec<Answer>) {
    for Answer { result, queued, to } in answers {
        telemetry::answered(&result);
        telemetry::took(queued.elapsed());
        // A caller that went away does not want the answer.
        drop(to.send(result));
    }
}
