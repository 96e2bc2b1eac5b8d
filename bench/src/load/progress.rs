//! A bar on the terminal while a run goes on.
//!
//! Invariant: nothing is written when standard error is not a terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How often the line changes. Chosen: readable.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// Characters of the bar. Chosen: leaves room for the figures in 80 columns.
const BAR_LEN: usize = 20;

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

    /// Draws how far the phase is, if that is known as a share of one, and what happened since the
    /// last time, if it is time.
    pub(crate) fn draw(&mut self, phase: &str, share: Option<f64>, counters: &Counters) {
        let since = self.drawn.elapsed();
        if !self.is_shown || since < REDRAW_INTERVAL {
            return;
        }
        let (operations, bytes) = (counters.operations.load(Relaxed), counters.bytes.load(Relaxed));
        let rate = operations.saturating_sub(self.operations) as f64 / since.as_secs_f64();
        let speed = bytes.saturating_sub(self.bytes) as f64 / since.as_secs_f64() / 1e6;
        let failures = counters.failures.load(Relaxed);
        let line = format!(
            "{phase} {}{operations} done, {rate:.0} op/s, {speed:.0} MB/s, {failures} failed",
            share.map(bar).unwrap_or_default()
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

/// A bar that is filled as far as `share`, from zero to one, says.
fn bar(share: f64) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let filled = (share * BAR_LEN as f64) as usize;
    let percent = (share * 100.0) as u8;
    format!("[{}{}] {percent:>3} % ", "#".repeat(filled), "-".repeat(BAR_LEN - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_as_the_share_grows_and_never_beyond() {
        assert_eq!(bar(0.0), "[--------------------]   0 % ");
        assert_eq!(bar(0.5), "[##########----------]  50 % ");
        assert_eq!(bar(7.0), "[####################] 100 % ");
        assert_eq!(bar(f64::NAN), bar(0.0));
    }
}
