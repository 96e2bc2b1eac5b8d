//! What moved on a lane, and when something last did.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// Bytes each way and the time of the last one. Pings that were sent do not count as movement:
/// they would keep a lane alive that nobody reads.
pub(crate) struct Progress {
    started: Instant,
    last_ms: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            last_ms: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn sent(&self, bytes: usize, counts: bool) {
        self.sent_bytes.fetch_add(bytes as u64, Relaxed);
        if counts {
            self.touch();
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Relaxed);
        self.touch();
    }

    /// Starts the time without movement anew: something to wait for has just begun.
    pub(crate) fn touch(&self) {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed_ms, Relaxed);
    }

    /// Time since something moved.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Relaxed));
        self.started.elapsed().saturating_sub(last)
    }

    /// Bytes sent and received.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.sent_bytes.load(Relaxed), self.received_bytes.load(Relaxed))
    }
}
