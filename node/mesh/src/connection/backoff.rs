//! How long a peer is left alone after it was not reached.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// The first wait. Chosen: a process restarts within some of these.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait. Chosen: a node that is back is noticed within a few seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// Failures of one peer in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    until: Instant,
    pub(super) reason: String,
}

impl Backoff {
    /// The state after another failure.
    pub(super) fn after(previous: Option<&Self>, now: Instant, reason: String) -> Self {
        let failures = previous.map_or(0, |previous| previous.failures).saturating_add(1);
        // A hasher's random keys are jitter enough.
        let share = RandomState::new().hash_one(failures) % 1000;
        Self { failures, until: now + wait(failures, share as u32), reason }
    }

    /// Whether the peer is to be left alone.
    pub(super) fn holds(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// Between half and all of a time that doubles; `share` is in thousandths.
fn wait(failures: u32, share: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = doubled.min(LONGEST);
    longest / 2 + longest / 2 * share / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!(wait(1, 0), FIRST / 2);
        assert_eq!(wait(2, 0), FIRST);
        assert_eq!(wait(60, 0), LONGEST / 2);
        assert!(wait(60, 999) <= LONGEST && wait(60, 999) > wait(60, 0));
    }

    #[test]
    fn a_peer_is_tried_again_after_the_wait() {
        let now = Instant::now();
        let first = Backoff::after(None, now, String::new());
        assert!(first.holds(now) && !first.holds(now + FIRST));
        let second = Backoff::after(Some(&first), now, String::new());
        assert!(second.holds(now + FIRST - Duration::from_millis(1)));
    }
}
