//! Sequence numbers of object versions.
//!
//! Layout: 64 bits of Unix milliseconds, 32 bits that tell process starts apart, 32 bits that count
//! within the millisecond.
//!
//! Invariants:
//! - numbers of one process only grow, also when the clock steps back;
//! - a version's number is greater than its predecessor's, whoever made that;
//! - two processes make equal numbers only if they started in the same millisecond (modulo four
//!   seconds), drew the same 20 random bits, and count alike.

use node_proto::UnixMillis;
use parking_lot::Mutex;

/// Makes the sequence numbers of one process.
pub(crate) struct Sequencer {
    start: u32,
    last: Mutex<(u64, u32)>,
}

impl Sequencer {
    /// The numbers of the process with this incarnation.
    pub(crate) fn new(incarnation: u64) -> Self {
        // The low half holds the random bits and the lowest bits of the start time.
        let start = u32::try_from(incarnation & u64::from(u32::MAX)).expect("32 bits were kept");
        Self { start, last: Mutex::new((0, 0)) }
    }

    /// A number never made before, greater than all made before and than `predecessor`.
    pub(crate) fn next(&self, now: UnixMillis, predecessor: Option<u128>) -> u128 {
        let mut last = self.last.lock();
        let (last_ms, last_count) = *last;
        *last = if now.0 > last_ms {
            (now.0, 0)
        } else {
            match last_count.checked_add(1) {
                Some(count) => (last_ms, count),
                None => (last_ms.saturating_add(1), 0),
            }
        };
        if let Some(predecessor) = predecessor.filter(|seq| *seq >= self.number(*last)) {
            let millis = u64::try_from(predecessor >> 64).expect("64 bits remain");
            *last = (millis.saturating_add(1), 0);
        }
        self.number(*last)
    }

    fn number(&self, (millis, count): (u64, u32)) -> u128 {
        u128::from(millis) << 64 | u128::from(self.start) << 32 | u128::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_within_a_millisecond_and_when_the_clock_steps_back() {
        let sequencer = Sequencer::new(7);
        let numbers: Vec<u128> = [1000, 1000, 1001, 400, 400, 1002]
            .into_iter()
            .map(|now| sequencer.next(UnixMillis(now), None))
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:x?}");
    }

    #[test]
    fn a_version_sorts_behind_a_predecessor_from_the_future() {
        let ahead = Sequencer::new(9).next(UnixMillis(5000), None);
        let sequencer = Sequencer::new(7);
        let first = sequencer.next(UnixMillis(1000), Some(ahead));
        let second = sequencer.next(UnixMillis(1000), Some(first));
        assert!(ahead < first && first < second);
    }

    #[test]
    fn the_time_leads() {
        let seq = Sequencer::new(0x1_0000_0002).next(UnixMillis(3), None);
        assert_eq!(seq, 3 << 64 | 2 << 32);
    }
}
