//! Ctrl-C: the first one ends the measurement and still reports, the second one ends the process.

use tokio::{sync::watch, task::JoinSet};

/// What shells report for a process that Ctrl-C ended: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Tells everybody who asks whether to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// Listens for Ctrl-C as long as it lives.
#[derive(Debug)]
pub(crate) struct Interrupt {
    stop: Stop,
    _listener: JoinSet<()>,
}

impl Interrupt {
    /// Starts to listen. Must be called within a runtime.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                // Without a handler Ctrl-C ends the process at once, which is safe too.
                return std::future::pending().await;
            }
            let _ = sender.send(true);
            eprintln!("\nstopping; Ctrl-C again ends at once and leaves what was written");
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
        Self { stop: Stop(receiver), _listener: listener }
    }

    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl Stop {
    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for Ctrl-C. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
