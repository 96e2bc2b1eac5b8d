//! Delivery: rows of lines become objects.
//!
//! One object takes rows of one source that go to one place. Its commit removes them, so whatever
//! happens in between, a line is in exactly one object.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use gateway_meta::{
    Guard, KeyRange, Op, Table,
    key::ctl,
    record::{AccessLogRecord, LogKeyFormat, PartitionDate, SystemHeaders},
};
use metrics::counter;

use super::{AccessLog, DELIVERIES, Loss, name};
use crate::{
    Bucket, ExpectedDigests, Fault, IncomingBody, ObjectAttributes, ObjectWriteError,
    WriteCondition,
    encryption::Sealing,
    engine::{Engine, decode, read_fault},
    worker::{Pace, Worker},
};

/// Most rows of one object. Chosen: log objects of at most 4 MiB, which fit the memory of one
/// request.
const ROWS_PER_OBJECT: usize = 16;

/// Lines as they wait, under the key of their row.
type Waiting = (Bytes, AccessLogRecord);

/// Delivers what waits, and then waits itself.
pub(crate) struct Deliver {
    engine: Arc<Engine>,
    interval: Duration,
    /// Where the pass under way goes on; none has begun without.
    next: Option<Vec<u8>>,
    is_counted: bool,
}

impl Deliver {
    pub(crate) fn new(engine: Arc<Engine>, interval: Duration) -> Self {
        Self { engine, interval, next: None, is_counted: false }
    }
}

#[async_trait]
impl Worker for Deliver {
    fn name(&self) -> &'static str {
        "access-log-delivery"
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        if !self.is_counted {
            self.engine.count_backlog().await?;
            self.is_counted = true;
        }
        let start = match self.next.take() {
            Some(next) => next,
            None => {
                self.engine.flush_access_log().await?;
                ctl::access_log_prefix()
            }
        };
        let rows = self.engine.waiting_lines(&start).await?;
        let Some((key, _)) = rows.last() else { return Ok(Pace::Idle) };
        let behind = [&key[..], &[0]].concat();
        match self.engine.deliver(&rows).await {
            Ok(()) => self.next = Some(start),
            Err(error) => {
                let target = &rows[0].1.target_bucket;
                tracing::warn!(%error, target, "an access log was not delivered");
                // The others shall not wait for it; the next pass tries again.
                self.next = Some(behind);
            }
        }
        Ok(Pace::More)
    }
}

impl Engine {
    /// Finds out what earlier processes left. Nothing is written meanwhile, so nothing counts twice.
    async fn count_backlog(&self) -> Result<(), Fault> {
        let _writing = self.access_log.writing.lock().await;
        let len_bytes = self
            .on_snapshot(|snapshot| {
                let rows = KeyRange::prefix(&ctl::access_log_prefix());
                let mut cursor = snapshot.cursor(Table::Ctl, rows);
                let mut len_bytes: i64 = 0;
                while let Some((_, value)) = cursor.next().map_err(read_fault)? {
                    len_bytes = len_bytes.saturating_add(counted(value.len()));
                }
                Ok(len_bytes)
            })
            .await?;
        self.access_log.add_backlog(len_bytes);
        Ok(())
    }

    /// The first rows at or behind `start` that may share an object.
    async fn waiting_lines(&self, start: &[u8]) -> Result<Vec<Waiting>, Fault> {
        let mut range = KeyRange::prefix(&ctl::access_log_prefix());
        range.start = start.to_vec();
        let rows = self.meta.scan(Table::Ctl, range, ROWS_PER_OBJECT).await.map_err(read_fault)?;
        let mut waiting: Vec<Waiting> = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            let record: AccessLogRecord = decode(&value)?;
            if waiting.first().is_some_and(|(_, first)| !share_object(first, &record)) {
                break;
            }
            waiting.push((key, record));
        }
        Ok(waiting)
    }

    /// Makes an object of rows; drops them where it may not be made.
    async fn deliver(&self, rows: &[Waiting]) -> Result<(), ObjectWriteError> {
        let first = &rows[0].1;
        let target = self.find_bucket(&first.target_bucket)?;
        match target.filter(|target| target.owner == first.source_owner) {
            Some(target) => {
                self.put_log_object(&target, rows).await?;
                counter!(DELIVERIES).increment(1);
            }
            None => {
                let (guards, ops) = removal(rows);
                self.commits.commit(guards, ops).await?;
                let lines = rows.iter().map(|(_, record)| record.line_count).sum();
                AccessLog::lose(Loss::Target, lines);
            }
        }
        let len_bytes: i64 = rows.iter().map(|(_, record)| counted(record.lines.len())).sum();
        self.access_log.add_backlog(-len_bytes);
        Ok(())
    }

    async fn put_log_object(
        &self,
        target: &Bucket,
        rows: &[Waiting],
    ) -> Result<(), ObjectWriteError> {
        let first = &rows[0].1;
        let key = name::key(first, self.clock.now(), &unique()?);
        let lines: Vec<u8> = rows.iter().flat_map(|(_, record)| &record.lines).copied().collect();
        let body = IncomingBody {
            len_bytes: Some(lines.len() as u64),
            stream: stream::iter([Ok(Bytes::from(lines))]).boxed(),
            expected: ExpectedDigests::default(),
        };
        let headers =
            SystemHeaders { content_type: Some("text/plain".to_owned()), ..Default::default() };
        let attributes = ObjectAttributes { headers, ..ObjectAttributes::default() };
        let condition = WriteCondition::default();
        let mut written = self.write_body(target, body, Sealing::MANAGED).await?;
        let (guards, ops) = removal(rows);
        written.guards.extend(guards);
        written.ops.extend(ops);
        let writer = target.owner;
        self.publish_written(target, &key, &condition, writer, attributes, written).await?;
        Ok(())
    }
}

/// What a row counts as.
fn counted(len_bytes: usize) -> i64 {
    i64::try_from(len_bytes).unwrap_or(i64::MAX)
}

/// Takes rows away, unless they are gone.
fn removal(rows: &[Waiting]) -> (Vec<Guard>, Vec<Op>) {
    let table = Table::Ctl;
    rows.iter()
        .map(|(key, _)| {
            let key = key.to_vec();
            (Guard::Present { table, key: key.clone() }, Op::Delete { table, key })
        })
        .unzip()
}

fn share_object(first: &AccessLogRecord, other: &AccessLogRecord) -> bool {
    let by_day = matches!(first.key_format, LogKeyFormat::Partitioned(PartitionDate::Event));
    first.source_bucket == other.source_bucket
        && first.source_owner == other.source_owner
        && first.target_bucket == other.target_bucket
        && first.target_prefix == other.target_prefix
        && first.key_format == other.key_format
        && (!by_day || first.day == other.day)
}

/// What tells log objects of one second apart: sixteen hexadecimal digits, as S3 writes them.
fn unique() -> Result<String, Fault> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Fault::MetadataUnavailable {
        reason: format!("no randomness for a log object's name: {error}"),
    })?;
    Ok(format!("{:016X}", u64::from_be_bytes(bytes)))
}
