//! Access logs of buckets: from the line of a finished request to an object in another bucket.
//!
//! Owns what is between: lines wait in memory for [`FLUSH_INTERVAL`] at most, then as rows of the
//! metadata, and leave it with the commit that makes the log object. What a line says is the edge's
//! business.
//!
//! Invariants:
//! - a request is never held up: adding a line takes a lock for a copy, and what has no room is
//!   dropped and counted;
//! - a line that is a row is delivered exactly once: its row goes in the commit that makes its
//!   object;
//! - deliveries are no requests, so a bucket that logs into itself does not grow by itself.
//!
//! *Crash consistency:* lines of the last [`FLUSH_INTERVAL`] and a commit's time are lost with the
//! process; a clean stop loses none. *Limits:* [`BUFFER_LEN_BYTES_MAX`] in memory,
//! [`BACKLOG_LEN_BYTES_MAX`] in the metadata.

mod buffer;
mod deliver;
mod name;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gateway_meta::{CommitOutcome, Op, Table, key::ctl, record::Record};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use node_proto::UnixMillis;
use tokio::sync::{Mutex, Notify};

use self::buffer::{Buffer, Sealed};
pub(crate) use self::deliver::Deliver;
use crate::{
    Bucket, Fault,
    engine::Engine,
    worker::{Pace, Worker},
};

/// Longest time that a line waits in memory. Chosen: what a crash may cost, for one commit a
/// second and only while lines come.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Most bytes of lines in memory. Chosen: 30,000 lines of the usual 500 bytes, several times what
/// a gateway answers within [`FLUSH_INTERVAL`].
const BUFFER_LEN_BYTES_MAX: usize = 16 << 20;
/// Most bytes of lines that wait for delivery. Chosen: two million lines, hours of a busy bucket
/// whose target cannot be written.
const BACKLOG_LEN_BYTES_MAX: i64 = 1 << 30;
/// Most rows of one commit. Chosen: with rows of 256 KiB, a commit stays within 1 MiB.
const ROWS_PER_COMMIT: usize = 4;

const LINES: &str = "datamesh_access_log_lines_total";
const LOST: &str = "datamesh_access_log_lost_lines_total";
const DELIVERIES: &str = "datamesh_access_log_deliveries_total";
const BACKLOG: &str = "datamesh_access_log_backlog_bytes";

/// Why lines were lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// More came than could be written.
    Overflow,
    /// More was written than could be delivered.
    Backlog,
    /// The target bucket is gone, or another account's.
    Target,
}

/// The lines that wait.
pub(crate) struct AccessLog {
    buffer: parking_lot::Mutex<Buffer>,
    /// Lines that are being written, in the order of their rows.
    writing: Mutex<Vec<Sealed>>,
    /// The buffer is half full.
    filling: Notify,
    /// Bytes of lines in the metadata.
    backlog_len_bytes: AtomicI64,
}

impl AccessLog {
    pub(crate) fn new() -> Self {
        describe_counter!(LINES, "Lines of buckets' access logs taken");
        describe_counter!(LOST, "Lines of buckets' access logs dropped, by reason");
        describe_counter!(DELIVERIES, "Objects of buckets' access logs delivered");
        describe_gauge!(BACKLOG, Unit::Bytes, "Lines of access logs that wait for delivery");
        Self {
            buffer: parking_lot::Mutex::new(Buffer::default()),
            writing: Mutex::default(),
            filling: Notify::new(),
            backlog_len_bytes: AtomicI64::new(0),
        }
    }

    fn lose(reason: Loss, line_count: u32) {
        let reason = match reason {
            Loss::Overflow => "overflow",
            Loss::Backlog => "backlog",
            Loss::Target => "target",
        };
        counter!(LOST, "reason" => reason).increment(line_count.into());
    }

    fn add_backlog(&self, len_bytes: i64) {
        let before = self.backlog_len_bytes.fetch_add(len_bytes, Ordering::Relaxed);
        // Exact to a mantissa; a gauge needs no more.
        gauge!(BACKLOG).set((before + len_bytes) as f64);
    }
}

impl Engine {
    /// Takes a line of a bucket's access log, of a request of `at`, without its line feed. Never
    /// waits. Does nothing for a bucket without one.
    pub(crate) fn log_access(&self, bucket: &Bucket, at: UnixMillis, line: &str) {
        let Some(logging) = &bucket.configs.logging else { return };
        let taken = self.access_log.buffer.lock().push(&bucket.record, logging, at, line);
        counter!(LINES).increment(1);
        match taken {
            buffer::Taken::Yes => {}
            buffer::Taken::HalfFull => self.access_log.filling.notify_one(),
            buffer::Taken::No => AccessLog::lose(Loss::Overflow, 1),
        }
    }

    /// Makes all lines taken so far durable.
    ///
    /// # Errors
    /// A fault; the lines are kept, and written with the next call.
    pub(crate) async fn flush_access_log(&self) -> Result<(), Fault> {
        let log = &self.access_log;
        let mut writing = log.writing.lock().await;
        let now = self.clock.now();
        writing.extend(log.buffer.lock().take(|| self.sequencer.next(now, None)));
        while !writing.is_empty() {
            let count = writing.len().min(ROWS_PER_COMMIT);
            let len_bytes: usize = writing[..count].iter().map(|row| row.record.lines.len()).sum();
            let len_bytes = i64::try_from(len_bytes).expect("a buffer fits an i64");
            if log.backlog_len_bytes.load(Ordering::Relaxed) + len_bytes > BACKLOG_LEN_BYTES_MAX {
                let lost = writing[..count].iter().map(|sealed| sealed.record.line_count).sum();
                AccessLog::lose(Loss::Backlog, lost);
            } else {
                self.write_lines(&writing[..count]).await?;
                log.add_backlog(len_bytes);
            }
            let freed = writing.drain(..count).map(|sealed| sealed.len_bytes()).sum();
            log.buffer.lock().give_back(freed);
        }
        Ok(())
    }

    /// Rows keep their keys, so that a commit whose outcome is unknown can be made again.
    async fn write_lines(&self, lines: &[Sealed]) -> Result<(), Fault> {
        let row = |sealed: &Sealed| Op::Put {
            table: Table::Ctl,
            key: ctl::access_log(sealed.bucket, sealed.seq),
            value: sealed.record.encode(),
        };
        match self.commits.commit(Vec::new(), lines.iter().map(row).collect()).await? {
            CommitOutcome::Applied => Ok(()),
            CommitOutcome::GuardFailed { .. } => Err(Fault::Busy),
        }
    }
}

/// Writes lines to the metadata as they come.
pub(crate) struct Flush {
    engine: Arc<Engine>,
}

impl Flush {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl Worker for Flush {
    fn name(&self) -> &'static str {
        "access-log-flush"
    }

    fn interval(&self) -> Duration {
        // Jitter makes a pause up to a quarter longer.
        FLUSH_INTERVAL.mul_f32(0.8)
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        self.engine.flush_access_log().await?;
        Ok(Pace::Idle)
    }

    async fn woken(&mut self) {
        self.engine.access_log.filling.notified().await;
    }
}
