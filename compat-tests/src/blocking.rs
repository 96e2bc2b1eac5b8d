//! Runs asynchronous work to its end from anywhere, also from inside another runtime.

use std::panic::resume_unwind;

/// Runs `work` on a runtime and a thread of its own. A panic of `work` is the caller's.
pub(crate) fn run<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be built").block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
}
