//! The system's wall clock, the only place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use node_proto::{Clock, UnixMillis};

/// The system's wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

/// The operating system's randomness, for keys.
pub(crate) fn system_random(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system provides randomness");
}

/// The current time, for signatures.
pub(crate) fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
    SystemTime::now()
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since_epoch = now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
