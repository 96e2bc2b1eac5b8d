//! Transaction ids of one process.

use std::sync::atomic::{AtomicU64, Ordering};

use node_proto::UnixMillis;

use crate::TxId;

/// Hands out [`TxId`]s of one incarnation. One per process, shared by everything that commits.
#[derive(Debug)]
pub struct TxIds {
    incarnation: u64,
    next_seq: AtomicU64,
}

impl TxIds {
    /// Low bits of an incarnation that are random; the others are the start time, so that later
    /// incarnations have greater numbers unless the clock went back. Chosen: two starts within a
    /// millisecond collide once in a million.
    const RANDOM_BITS: u32 = 20;

    /// The ids of a process that starts at `now`.
    #[must_use]
    pub fn new(now: UnixMillis, random: u32) -> Self {
        let random = u64::from(random) & ((1 << Self::RANDOM_BITS) - 1);
        Self { incarnation: now.0 << Self::RANDOM_BITS | random, next_seq: AtomicU64::new(1) }
    }

    /// The incarnation, unique per process start.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// An id that was never handed out before.
    #[must_use]
    pub fn next(&self) -> TxId {
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        TxId { incarnation: self.incarnation, seq }
    }
}
