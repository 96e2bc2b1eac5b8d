//! A line on the terminal while a run goes on.
//!
//! Invariant: nothing is written when standard error is not a terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How often the line changes. Chosen: readable.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// What the workers have done so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) operations: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    drawn: Instant,
    operations: u64,
    bytes: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_shown = std::io::stderr().is_terminal();
        Self { is_shown, drawn: Instant::now(), operations: 0, bytes: 0 }
    }

    /// Draws what happened since the last time, if it is time.
    pub(crate) fn draw(&mut self, phase: &str, counters: &Counters) {
        let since = self.drawn.elapsed();
        if !self.is_shown || since < REDRAW_INTERVAL {
            return;
        }
        let (operations, bytes) = (counters.operations.load(Relaxed), counters.bytes.load(Relaxed));
        let rate = operations.saturating_sub(self.operations) as f64 / since.as_secs_f64();
        let speed = bytes.saturating_sub(self.bytes) as f64 / since.as_secs_f64() / 1e6;
        let failures = counters.failures.load(Relaxed);
        let line = format!(
            "{phase}: {operations} done, {rate:.0} op/s, {speed:.0} MB/s, {failures} failed"
        );
        // A terminal that is gone is no reason to stop.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        (self.drawn, self.operations, self.bytes) = (Instant::now(), operations, bytes);
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
