//! The book of long jobs.
//!
//! Invariants:
//! - there is at most one open job of a kind;
//! - a state that an operator set is durable before the call returns;
//! - what a job moved is counted on across restarts; a crash forgets at most [`SAVE_INTERVAL`].
//!
//! *Crash consistency:* the book is for people. What is left to do follows from the layout, so a
//! lost count costs nothing but the count.
//! *Limits:* one open job per node and kind; [`ENDED_MAX`] ended ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gateway_meta::{
    KeyRange, Op, Table, key,
    record::{JobKind, JobRecord, JobState},
};
use node_proto::Clock;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::data::rows::{Rows, decode, delete, put};
use crate::{Fault, JobError, JobReport};

/// Time between records of what a job moved. Chosen: a small commit in this time costs nothing.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// Ended jobs that are kept. Chosen.
const ENDED_MAX: usize = 100;
/// Time over which the rate is taken. Chosen: smooth, and still showing a change soon.
const RATE_WINDOW: Duration = Duration::from_secs(30);
/// Samples of a rate. Chosen: one a second.
const SAMPLES_MAX: usize = 30;

/// What was moved at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) bytes: u64,
    pub(crate) shards: u64,
}

/// All jobs of a cluster.
pub(crate) struct Jobs {
    rows: Rows,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    /// Held while a record is written, so that records are written in order.
    writing: tokio::sync::Mutex<()>,
    /// Told when an operator changed a job.
    pub(super) changed: tokio::sync::Notify,
}

#[derive(Default)]
struct Book {
    open: BTreeMap<String, Entry>,
    /// Oldest first.
    ended: VecDeque<JobRecord>,
}

struct Entry {
    record: JobRecord,
    saved: Instant,
    /// How many bytes had been moved when, oldest first.
    samples: VecDeque<(Instant, u64)>,
}

/// What a job of this kind is called.
pub(crate) fn id_of(kind: JobKind) -> String {
    match kind {
        JobKind::Drain(node) => format!("drain:{}", node.0),
        JobKind::Departed => "departed".to_owned(),
        JobKind::Respread => "respread".to_owned(),
        JobKind::Rebalance => "rebalance".to_owned(),
    }
}

/// What metrics call a kind.
pub(super) fn label_of(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Drain(_) => "drain",
        JobKind::Departed => "departed",
        JobKind::Respread => "respread",
        JobKind::Rebalance => "rebalance",
    }
}

impl Jobs {
    /// Reads the book.
    pub(crate) async fn open(rows: Rows, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let mut book = Book::default();
        let prefix = KeyRange::prefix(&key::ctl::job_prefix());
        for (_, value) in rows.scan(Table::Ctl, prefix, usize::MAX).await? {
            let record: JobRecord = decode(&value)?;
            book.open.insert(id_of(record.kind), Entry::new(record));
        }
        let prefix = KeyRange::prefix(&key::ctl::ended_job_prefix());
        for (_, value) in rows.scan(Table::Ctl, prefix, usize::MAX).await? {
            book.ended.push_back(decode(&value)?);
        }
        let (writing, changed) = (tokio::sync::Mutex::new(()), tokio::sync::Notify::new());
        Ok(Self { rows, clock, book: Mutex::new(book), writing, changed })
    }

    /// All of them: open ones, then those that ended, the last first.
    pub(crate) fn reports(&self) -> Vec<JobReport> {
        let book = self.book.lock();
        let open = book.open.values().map(Entry::report);
        let ended = book.ended.iter().rev();
        open.chain(ended.map(|record| Entry::new(record.clone()).report())).collect()
    }

    /// The state of the open job of a kind.
    pub(super) fn state(&self, kind: JobKind) -> Option<JobState> {
        Some(self.book.lock().open.get(&id_of(kind))?.record.state.clone())
    }

    /// Kinds with an open job.
    pub(super) fn open_kinds(&self) -> Vec<JobKind> {
        self.book.lock().open.values().map(|entry| entry.record.kind).collect()
    }

    /// Opens a job of a kind, unless there is one.
    pub(super) async fn begin(&self, kind: JobKind, total_bytes: u64) -> Result<(), Fault> {
        let _writing = self.writing.lock().await;
        if self.state(kind).is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        let record = JobRecord {
            kind,
            state: JobState::Running,
            started: now,
            changed: now,
            moved_bytes: 0,
            moved_shards: 0,
            total_bytes_at_start: total_bytes,
            remaining_bytes: total_bytes,
        };
        let id = id_of(kind);
        tracing::info!(job = id, total_bytes, "a job begins");
        let op = put(Table::Ctl, key::ctl::job(&id), &record);
        self.rows.commit(Vec::new(), vec![op]).await?;
        self.book.lock().open.insert(id, Entry::new(record));
        Ok(())
    }

    /// Counts what was moved; written down from time to time.
    pub(super) async fn moved(&self, kind: JobKind, moved: Moved) -> Result<(), Fault> {
        let is_due = {
            let mut book = self.book.lock();
            let Some(entry) = book.open.get_mut(&id_of(kind)) else { return Ok(()) };
            entry.add(moved);
            entry.saved.elapsed() >= SAVE_INTERVAL
        };
        if is_due { self.write(kind, |_| {}).await } else { Ok(()) }
    }

    /// Notes how much is left to move, as counted anew.
    pub(super) fn counted(&self, kind: JobKind, remaining_bytes: u64) {
        if let Some(entry) = self.book.lock().open.get_mut(&id_of(kind)) {
            entry.record.remaining_bytes = remaining_bytes;
        }
    }

    /// Says why a running job cannot go on for now, or that it can.
    pub(super) async fn blocked(&self, kind: JobKind, why: Option<String>) -> Result<(), Fault> {
        let next = why.map_or(JobState::Running, |reason| JobState::Blocked { reason });
        match self.state(kind) {
            None | Some(JobState::Paused) => return Ok(()),
            Some(state) if state == next => return Ok(()),
            Some(_) => {}
        }
        if let JobState::Blocked { reason } = &next {
            tracing::warn!(job = id_of(kind), reason, "a job is blocked");
        }
        self.write(kind, |record| {
            // An operator may have paused it meanwhile.
            if record.state != JobState::Paused {
                record.state = next;
            }
        })
        .await
    }

    /// Ends a job.
    pub(super) async fn end(&self, kind: JobKind, state: JobState) -> Result<(), Fault> {
        let _writing = self.writing.lock().await;
        let id = id_of(kind);
        let found = self.book.lock().open.get(&id).map(|entry| entry.record.clone());
        let Some(record) = found else { return Ok(()) };
        let record = JobRecord { state, changed: self.clock.now(), remaining_bytes: 0, ..record };
        let row_key = key::ctl::ended_job(record.started, &id);
        let mut ops: Vec<Op> =
            vec![delete(Table::Ctl, key::ctl::job(&id)), put(Table::Ctl, row_key, &record)];
        let forgotten = {
            let book = self.book.lock();
            let surplus = (book.ended.len() + 1).saturating_sub(ENDED_MAX);
            book.ended.iter().take(surplus).map(|old| (old.started, old.kind)).collect::<Vec<_>>()
        };
        ops.extend(forgotten.iter().map(|(started, kind)| {
            delete(Table::Ctl, key::ctl::ended_job(*started, &id_of(*kind)))
        }));
        self.rows.commit(Vec::new(), ops).await?;
        tracing::info!(job = id, state = ?record.state, bytes = record.moved_bytes, "a job ended");
        let mut book = self.book.lock();
        book.open.remove(&id);
        book.ended.drain(..forgotten.len());
        book.ended.push_back(record);
        Ok(())
    }

    /// Stops a job until it is resumed.
    pub(crate) async fn pause(&self, id: &str) -> Result<(), JobError> {
        self.set_state(id, JobState::Paused).await
    }

    /// Lets a paused job go on.
    pub(crate) async fn resume(&self, id: &str) -> Result<(), JobError> {
        self.set_state(id, JobState::Running).await
    }

    async fn set_state(&self, id: &str, state: JobState) -> Result<(), JobError> {
        let found = self.book.lock().open.get(id).map(|entry| entry.record.kind);
        let Some(kind) = found else {
            let has_ended = self.book.lock().ended.iter().any(|ended| id_of(ended.kind) == id);
            let id = id.to_owned();
            return Err(if has_ended {
                JobError::Ended { id }
            } else {
                JobError::NoSuchJob { id }
            });
        };
        self.write(kind, |record| record.state = state).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Writes the record of an open job as it is, with a change to its state.
    async fn write(&self, kind: JobKind, change: impl FnOnce(&mut JobRecord)) -> Result<(), Fault> {
        let _writing = self.writing.lock().await;
        let id = id_of(kind);
        let found = self.book.lock().open.get(&id).map(|entry| entry.record.clone());
        let Some(mut record) = found else { return Ok(()) };
        record.changed = self.clock.now();
        change(&mut record);
        let op = put(Table::Ctl, key::ctl::job(&id), &record);
        self.rows.commit(Vec::new(), vec![op]).await?;
        if let Some(entry) = self.book.lock().open.get_mut(&id) {
            (entry.record.state, entry.record.changed) = (record.state, record.changed);
            entry.saved = Instant::now();
        }
        Ok(())
    }
}

impl Entry {
    fn new(record: JobRecord) -> Self {
        Self { record, saved: Instant::now(), samples: VecDeque::new() }
    }

    fn add(&mut self, moved: Moved) {
        let now = Instant::now();
        let before = self.record.moved_bytes;
        let is_new = self.samples.back().is_none_or(|(at, _)| {
            now.duration_since(*at) >= RATE_WINDOW / u32::try_from(SAMPLES_MAX).unwrap_or(1)
        });
        if is_new {
            self.samples.push_back((now, before));
        }
        while self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.record.moved_bytes += moved.bytes;
        self.record.moved_shards += moved.shards;
        self.record.remaining_bytes = self.record.remaining_bytes.saturating_sub(moved.bytes);
    }

    fn bytes_per_second(&self) -> u64 {
        let is_recent = |(at, _): &&(Instant, u64)| at.elapsed() <= RATE_WINDOW;
        let Some((since, before)) = self.samples.iter().find(is_recent) else { return 0 };
        let seconds = since.elapsed().as_secs_f64().max(1.0);
        ((self.record.moved_bytes - before) as f64 / seconds) as u64
    }

    fn report(&self) -> JobReport {
        let record = &self.record;
        let is_over = matches!(record.state, JobState::Done | JobState::Cancelled);
        let rate = if record.state == JobState::Running { self.bytes_per_second() } else { 0 };
        let eta = record.remaining_bytes.checked_div(rate).map(Duration::from_secs);
        JobReport {
            id: id_of(record.kind),
            kind: record.kind,
            state: record.state.clone(),
            started: record.started,
            ended: is_over.then_some(record.changed),
            moved_bytes: record.moved_bytes,
            moved_shards: record.moved_shards,
            total_bytes_at_start: record.total_bytes_at_start,
            remaining_bytes: record.remaining_bytes,
            bytes_per_second: rate,
            eta,
        }
    }
}

#[cfg(test)]
mod tests;
