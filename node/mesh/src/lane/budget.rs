//! The bytes of shard payloads that may be in memory, all peers together.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use node_proto::wire::PAYLOAD_LEN_BYTES_MAX;

/// What one permit stands for. Chosen: small shards waste little, and counts stay small.
const UNIT_BYTES: usize = 1024;

/// A bound on bytes. Clones share it.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
}

/// Bytes taken from a budget, given back when dropped.
pub(crate) struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// At least one payload of greatest length always fits.
    pub(crate) fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).max(PAYLOAD_LEN_BYTES_MAX);
        let units = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)) }
    }

    /// Takes `len_bytes` if they are there.
    pub(crate) fn try_reserve(&self, len_bytes: usize) -> Option<Reservation> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units(len_bytes)).ok()?;
        Some(Reservation { _permit: permit })
    }

    /// Takes `len_bytes`, waiting up to `bound`. Cancel-safe.
    pub(crate) async fn reserve(&self, len_bytes: usize, bound: Duration) -> Option<Reservation> {
        if let Some(reservation) = self.try_reserve(len_bytes) {
            return Some(reservation);
        }
        let acquired = Arc::clone(&self.units).acquire_many_owned(units(len_bytes));
        let permit = tokio::time::timeout(bound, acquired).await.ok()?.ok()?;
        Some(Reservation { _permit: permit })
    }
}

fn units(len_bytes: usize) -> u32 {
    u32::try_from(len_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_comes_back() {
        let budget = Budget::new(0);
        let all = budget.try_reserve(PAYLOAD_LEN_BYTES_MAX).unwrap();
        assert!(budget.try_reserve(1).is_none());
        assert!(budget.reserve(1, Duration::from_millis(50)).await.is_none());
        let waiting = budget.reserve(1, Duration::from_secs(1));
        let (reserved, ()) = tokio::join!(waiting, async { drop(all) });
        assert!(reserved.is_some());
        assert!(budget.try_reserve(usize::MAX).is_none());
    }
}
