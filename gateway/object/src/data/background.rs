//! Calls to devices that nobody waits for: answers of late devices that are still wanted to judge
//! them by, and shards that a write did not wait for.
//!
//! *Limits:* so many tasks at once; what does not fit is not done. Each ends with the bound of its
//! calls.
//! *Cancellation:* shutdown waits a while and then aborts; nothing here is needed for correctness.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Tasks at once. Chosen: some for each of a few devices that are slow at once.
const TASKS_MAX: usize = 64;

/// How long shutdown waits for them. Chosen: what is late by more is repaired later.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// A bounded set of tasks.
#[derive(Default)]
pub(crate) struct Background {
    tasks: Mutex<JoinSet<()>>,
}

impl Background {
    /// Runs `work` unless too much is under way; whether it runs.
    pub(crate) fn try_spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        let has_room = tasks.len() < TASKS_MAX;
        if has_room {
            tasks.spawn(work);
        }
        has_room
    }

    /// Waits for what is under way, within bounds.
    pub(crate) async fn drain(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_are_bounded_and_end_with_shutdown() {
        let background = Background::default();
        let forever = || tokio::time::sleep(Duration::from_secs(1 << 20));
        for _ in 0..TASKS_MAX {
            assert!(background.try_spawn(forever()));
        }
        assert!(!background.try_spawn(forever()));
        background.drain().await;
        assert!(background.try_spawn(async {}));
    }
}
