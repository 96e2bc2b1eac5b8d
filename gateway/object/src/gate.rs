//! What is under way, so that a shutdown can wait for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Fault;

/// Permits of the gate: more than requests can be under way.
const PASSES: u32 = 1 << 20;

/// Counts what is under way and refuses more once closed.
pub(crate) struct Gate {
    passes: Arc<Semaphore>,
    closed: AtomicBool,
}

/// Held by something under way.
pub(crate) struct Pass(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Gate {
    pub(crate) fn new() -> Self {
        Self { passes: Arc::new(Semaphore::new(PASSES as usize)), closed: AtomicBool::new(false) }
    }

    /// Lets something begin.
    ///
    /// # Errors
    /// [`Fault::ShuttingDown`] once [`Self::close`] was called; [`Fault::Busy`] beyond
    /// [`PASSES`].
    pub(crate) fn enter(&self) -> Result<Pass, Fault> {
        let pass = Arc::clone(&self.passes).try_acquire_owned();
        if self.closed.load(Ordering::SeqCst) {
            return Err(Fault::ShuttingDown);
        }
        pass.map(Pass).map_err(|_| Fault::Busy)
    }

    /// Refuses newcomers and waits until everything that entered is done. May be called again.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // The semaphore is never closed, so the error cannot happen; with it nothing is under way.
        let _all = self.passes.acquire_many(PASSES).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_what_is_under_way_and_refuses_newcomers() {
        let gate = Gate::new();
        let pass = gate.enter().unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(9), gate.close()).await;
        assert!(waited.is_err());
        assert!(matches!(gate.enter(), Err(Fault::ShuttingDown)));
        drop(pass);
        gate.close().await;
    }
}
