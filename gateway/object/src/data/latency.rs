//! How long devices take, and what is usual among them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Latencies remembered per device and kind of call. Chosen: a 95th percentile needs some dozens.
const LATENCIES_KEPT: usize = 64;

/// Latencies between two looks at the percentile: sorting 64 values for each of many calls is not
/// worth the freshness.
const NOTES_PER_LOOK: usize = LATENCIES_KEPT / 4;

/// A device is slow when its 95th percentile is more than so many times the median device's.
/// Chosen; revisit with nodes far away on purpose.
const SLOW_FACTOR: u32 = 4;

/// The last latencies of one kind of call to one device.
#[derive(Default)]
pub(crate) struct Latencies {
    recent: Mutex<Recent>,
    /// Zero while unknown.
    p95_micros: AtomicU64,
}

#[derive(Default)]
struct Recent {
    latencies: Vec<Duration>,
    next: usize,
}

impl Latencies {
    /// Notes a latency; the 95th percentile, when it was looked at anew.
    pub(crate) fn note(&self, latency: Duration) -> Option<Duration> {
        let mut recent = self.recent.lock();
        let at = recent.next % LATENCIES_KEPT;
        if recent.latencies.len() < LATENCIES_KEPT {
            recent.latencies.push(latency);
        } else {
            recent.latencies[at] = latency;
        }
        recent.next = recent.next.wrapping_add(1);
        if !recent.next.is_multiple_of(NOTES_PER_LOOK) {
            return None;
        }
        let mut sorted = recent.latencies.clone();
        drop(recent);
        sorted.sort_unstable();
        let p95 = sorted[(sorted.len() * 95 / 100).min(sorted.len() - 1)];
        let micros = u64::try_from(p95.as_micros()).unwrap_or(u64::MAX);
        self.p95_micros.store(micros.max(1), Ordering::Relaxed);
        Some(p95)
    }

    /// The 95th percentile; `None` while too little is known.
    pub(crate) fn p95(&self) -> Option<Duration> {
        let micros = self.p95_micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Forgets everything: the device is judged anew.
    pub(crate) fn clear(&self) {
        *self.recent.lock() = Recent::default();
        self.p95_micros.store(0, Ordering::Relaxed);
    }
}

/// The 95th percentile of the median device, so that one slow device does not make its own slowness
/// usual.
#[derive(Default)]
pub(crate) struct Usual {
    /// Zero while unknown.
    micros: AtomicU64,
    stale: AtomicBool,
}

impl Usual {
    /// A device's percentile changed.
    pub(crate) fn expire(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// The usual latency, looked at anew among `devices` if one of theirs changed.
    pub(crate) fn among<'a>(
        &self,
        devices: impl Iterator<Item = &'a Latencies>,
    ) -> Option<Duration> {
        if self.stale.swap(false, Ordering::Relaxed) {
            let mut known: Vec<Duration> = devices.filter_map(Latencies::p95).collect();
            known.sort_unstable();
            let median = known.get(known.len() / 2).map_or(0, Duration::as_micros);
            self.micros.store(u64::try_from(median).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.last_known()
    }

    fn last_known(&self) -> Option<Duration> {
        let micros = self.micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Whether `latency` is far beyond what is usual, and more than `least`.
    pub(crate) fn is_slow(&self, latency: Duration, least: Duration) -> bool {
        let usual = self.last_known();
        latency > least && usual.is_some_and(|usual| latency > usual * SLOW_FACTOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: u64) -> Latencies {
        let latencies = Latencies::default();
        note(&latencies, NOTES_PER_LOOK, Duration::from_millis(millis));
        latencies
    }

    fn note(latencies: &Latencies, times: usize, latency: Duration) {
        for _ in 0..times {
            latencies.note(latency);
        }
    }

    #[test]
    fn a_device_is_slow_beside_usual_ones_only() {
        let devices = [of(10), of(12), of(300)];
        let (usual, least) = (Usual::default(), Duration::from_millis(50));
        assert!(!usual.is_slow(Duration::from_secs(9), least), "nothing is known yet");
        usual.expire();
        assert_eq!(usual.among(devices.iter()), Some(Duration::from_millis(12)));
        assert!(usual.is_slow(Duration::from_millis(300), least));
        assert!(!usual.is_slow(Duration::from_millis(47), least));
        let all_slow = [of(300), of(310), of(320)];
        usual.expire();
        usual.among(all_slow.iter());
        assert!(!usual.is_slow(Duration::from_millis(320), least));
    }

    #[test]
    fn one_odd_latency_of_many_does_not_count_and_four_do() {
        let latencies = of(10);
        note(&latencies, 45, Duration::from_millis(10));
        note(&latencies, 1, Duration::from_secs(1));
        note(&latencies, 2, Duration::from_millis(10));
        assert_eq!(latencies.p95(), Some(Duration::from_millis(10)));
        note(&latencies, NOTES_PER_LOOK, Duration::from_secs(1));
        assert_eq!(latencies.p95(), Some(Duration::from_secs(1)));
        latencies.clear();
        assert_eq!(latencies.p95(), None);
    }
}
