//! Long-running tasks of the process that stop together.
//!
//! *Cancellation:* dropping a group aborts what is left of it.

use std::future::Future;

use anyhow::{Context, Result};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

/// A group of tasks and the signal that stops them.
pub(crate) struct Tasks {
    set: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { set: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Starts a task.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.set.spawn(task);
    }

    /// Resolves when the group is told to stop.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // A dropped sender also means stop.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Waits until a task ends by itself: none should before the group is told to stop.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        match self.set.join_next().await {
            Some(ended) => flatten(ended),
            None => std::future::pending().await,
        }
    }

    /// Tells the group to stop, waits for all of it, and answers its first error.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        let mut outcome = Ok(());
        while let Some(ended) = self.set.join_next().await {
            outcome = outcome.and(flatten(ended));
        }
        outcome
    }
}

fn flatten(ended: Result<Result<()>, JoinError>) -> Result<()> {
    ended.context("a server task panicked")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_stops_every_task_and_tells_the_first_error() {
        let mut tasks = Tasks::new();
        for name in ["one", "two"] {
            let stopped = tasks.stopped();
            tasks.spawn(async move {
                stopped.await;
                if name == "two" { anyhow::bail!("two failed") } else { Ok(()) }
            });
        }
        assert_eq!(tasks.drain().await.expect_err("told").to_string(), "two failed");
    }

    #[tokio::test]
    async fn panic_of_a_task_is_an_error() {
        let mut tasks = Tasks::new();
        tasks.spawn(async { panic!("on purpose") });
        assert!(tasks.ended().await.expect_err("told").to_string().contains("panicked"));
    }
}
