//! The system's clock and random generator, the only place that reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use node_proto::{Clock, UnixMillis};

/// The system's wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Fills `out` from the operating system's generator.
pub(crate) fn system_random(out: &mut [u8]) {
    getrandom::fill(out).expect("without randomness no key is safe, so the process must stop");
}
