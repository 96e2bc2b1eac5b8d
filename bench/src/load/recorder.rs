//! What the workers saw: latencies, bytes and failures.
//!
//! *Limits:* one histogram per operation and worker (about 200 KiB), [`CODES_MAX`] failure codes,
//! [`EXAMPLES_MAX`] examples of them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::session::Failure;
use crate::args::Operation;

/// Failure codes that are told apart. Chosen: S3 has about 100, a run meets a few.
const CODES_MAX: usize = 64;
/// Failures that are kept in full. Chosen: enough to see what goes wrong.
const EXAMPLES_MAX: usize = 5;
/// Longest latency that is told apart, in microseconds: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;
/// Name for the failures beyond [`CODES_MAX`].
const OTHER_CODES: &str = "other";

/// What was seen of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) bytes: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) operations: BTreeMap<Operation, Tally>,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) examples: Vec<String>,
    /// Operations that met a wrong byte, those outside the measurement included.
    pub(crate) wrong_reads: u64,
    /// When the last recorded operation ended.
    pub(crate) last_end: Option<Instant>,
}

impl Tally {
    fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS)
            .expect("the bounds are constants that fit");
        Self { latencies, bytes: 0 }
    }
}

impl Recorder {
    /// Records a done operation.
    pub(crate) fn done(
        &mut self,
        operation: Operation,
        bytes: u64,
        latency: Duration,
        end: Instant,
    ) {
        let tally = self.operations.entry(operation).or_insert_with(Tally::new);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        tally.latencies.saturating_record(micros);
        tally.bytes += bytes;
        self.last_end = self.last_end.max(Some(end));
    }

    /// Records a failure. Outside of the measurement only wrong bytes count.
    pub(crate) fn failed(&mut self, operation: Operation, failure: &Failure, is_measured: bool) {
        let is_wrong = matches!(failure, Failure::WrongByte { .. });
        self.wrong_reads += u64::from(is_wrong);
        if !is_measured && !is_wrong {
            return;
        }
        self.count(failure.code(), 1);
        self.keep_example(format!("{}: {failure}", operation.name()));
    }

    /// Adds what another worker saw.
    pub(crate) fn merge(&mut self, other: Self) {
        for (operation, theirs) in other.operations {
            let ours = self.operations.entry(operation).or_insert_with(Tally::new);
            ours.latencies.add(&theirs.latencies).expect("all histograms have the same bounds");
            ours.bytes += theirs.bytes;
        }
        for (code, count) in other.failures {
            self.count(code, count);
        }
        other.examples.into_iter().for_each(|example| self.keep_example(example));
        self.wrong_reads += other.wrong_reads;
        self.last_end = self.last_end.max(other.last_end);
    }

    fn count(&mut self, code: String, count: u64) {
        let is_known = self.failures.contains_key(&code);
        let code =
            if is_known || self.failures.len() < CODES_MAX { code } else { OTHER_CODES.to_owned() };
        *self.failures.entry(code).or_default() += count;
    }

    fn keep_example(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX && !self.examples.contains(&example) {
            self.examples.push(example);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Failure {
        Failure::WrongByte { key: "k".to_owned(), offset: 7 }
    }

    #[test]
    fn merging_adds_everything_up() {
        let now = Instant::now();
        let mut one = Recorder::default();
        one.done(Operation::Put, 10, Duration::from_millis(1), now);
        one.failed(Operation::Get, &Failure::TimedOut, true);
        let mut two = Recorder::default();
        two.done(Operation::Put, 5, Duration::from_millis(3), now + Duration::from_secs(1));
        two.failed(Operation::Get, &Failure::TimedOut, true);
        two.failed(Operation::Get, &wrong(), true);
        one.merge(two);
        let put = &one.operations[&Operation::Put];
        assert_eq!((put.bytes, put.latencies.len()), (15, 2));
        assert_eq!(put.latencies.max() / 100, 30);
        assert_eq!(one.failures["timeout"], 2);
        assert_eq!((one.failures["wrong byte"], one.wrong_reads), (1, 1));
        assert_eq!(one.last_end, Some(now + Duration::from_secs(1)));
        assert_eq!(one.examples, ["get: no answer in time", "get: wrong byte in k at 7"]);
    }

    #[test]
    fn a_wrong_byte_counts_also_during_warm_up() {
        let mut recorder = Recorder::default();
        recorder.failed(Operation::Get, &Failure::TimedOut, false);
        assert!(recorder.failures.is_empty());
        recorder.failed(Operation::Get, &wrong(), false);
        assert_eq!(recorder.wrong_reads, 1);
    }

    #[test]
    fn codes_beyond_the_limit_are_counted_together() {
        let mut recorder = Recorder::default();
        for index in 0..CODES_MAX + 10 {
            recorder.count(format!("Code{index}"), 1);
        }
        assert_eq!(recorder.failures[OTHER_CODES], 10);
        assert_eq!(recorder.failures.len(), CODES_MAX + 1);
    }
}
