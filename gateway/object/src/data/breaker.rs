//! Whether a device is to be relied on now: one circuit breaker for each.
//!
//! | State | New shards | Reads |
//! | --- | --- | --- |
//! | closed | yes | yes |
//! | open | no | only where too few other shards are left |
//! | half-open | while few calls are under way | as open, and probes beside them |
//!
//! Invariants:
//! - a breaker only steers: whoever has no other device uses this one all the same;
//! - it closes only after several good answers in a row, and every opening that follows one without
//!   a close between them lasts twice as long, up to a bound, jittered.
//!
//! What opens it: an error on writing, a call that timed out or stalled, some errors on reading in a
//! row, or answers that take much longer than those of the other devices.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::Random;
use crate::BreakerState;

/// Weight of failures in a row that opens a closed breaker.
const OPENING_WEIGHT: u32 = 3;

/// Good answers in a row that close a half-open breaker. Chosen: one may be luck.
const PROBES_TO_CLOSE: u32 = 3;

/// Calls under way beyond which a half-open breaker lets no more new shards through. Chosen.
const PROBES_AT_ONCE: u32 = 2;

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A shard was not stored. Its stripe had to be stored anew.
    Put,
    /// A read was answered with an error that is the device's, not the shard's.
    Get,
    /// The device had no room for the call, also after some pauses.
    Busy,
    /// No answer within the bound of the call.
    Timeout,
    /// No answer for so long that something must be wrong.
    Stall,
    /// Answers take much longer than those of other devices.
    Slow,
}

impl Failure {
    fn weight(self) -> u32 {
        match self {
            Self::Put | Self::Timeout | Self::Stall | Self::Slow => OPENING_WEIGHT,
            Self::Get | Self::Busy => 1,
        }
    }
}

/// The breaker of one device.
pub(crate) struct Breaker {
    /// The device, for logs and metrics.
    device: String,
    inner: Mutex<Inner>,
    cool_down_min: Duration,
    cool_down_max: Duration,
    random: Random,
}

struct Inner {
    phase: Phase,
    /// Weight of the failures since the last good answer.
    failed: u32,
    /// Openings since the breaker was last closed.
    openings: u32,
    /// The last opening was for slowness alone.
    was_slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { passed: u32 },
}

impl Breaker {
    pub(crate) fn new(device: String, cool_down: (Duration, Duration), random: Random) -> Self {
        let inner = Inner { phase: Phase::Closed, failed: 0, openings: 0, was_slow: false };
        let (cool_down_min, cool_down_max) = cool_down;
        Self { device, inner: Mutex::new(inner), cool_down_min, cool_down_max, random }
    }

    /// Where it stands; an opening that is over is half-open.
    pub(crate) fn state(&self) -> BreakerState {
        let mut inner = self.inner.lock();
        self.cool_down(&mut inner);
        inner.phase.state()
    }

    /// Whether a device with `in_flight` calls under way may be sent new shards.
    pub(crate) fn takes_shards(&self, in_flight: u32) -> bool {
        match self.state() {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => in_flight < PROBES_AT_ONCE,
        }
    }

    /// Whether all that is wrong is that the device is slower than others.
    pub(crate) fn is_merely_slow(&self) -> bool {
        let mut inner = self.inner.lock();
        self.cool_down(&mut inner);
        inner.phase != Phase::Closed && inner.was_slow
    }

    /// Notes a good answer.
    pub(crate) fn succeeded(&self) {
        let mut inner = self.inner.lock();
        inner.failed = 0;
        self.cool_down(&mut inner);
        if let Phase::HalfOpen { passed } = &mut inner.phase {
            *passed += 1;
            if *passed >= PROBES_TO_CLOSE {
                inner.openings = 0;
                self.enter(&mut inner, Phase::Closed, "it answers well again");
            }
        }
    }

    /// Notes a failure; whether it opened the breaker.
    pub(crate) fn failed(&self, failure: Failure) -> bool {
        let mut inner = self.inner.lock();
        self.cool_down(&mut inner);
        inner.failed = inner.failed.saturating_add(failure.weight());
        let opens = match inner.phase {
            Phase::Closed => inner.failed >= OPENING_WEIGHT,
            Phase::HalfOpen { .. } => true,
            Phase::Open { .. } => false,
        };
        if opens {
            inner.failed = 0;
            inner.was_slow = failure == Failure::Slow;
            let doubled = self.cool_down_min * 2_u32.saturating_pow(inner.openings.min(16));
            inner.openings = inner.openings.saturating_add(1);
            let pause = self.random.jitter(doubled.min(self.cool_down_max));
            let reason = match failure {
                Failure::Put => "a shard was not stored",
                Failure::Get => "reads fail",
                Failure::Busy => "it stays busy",
                Failure::Timeout => "a call timed out",
                Failure::Stall => "a call stalled",
                Failure::Slow => "it is much slower than others",
            };
            self.enter(&mut inner, Phase::Open { until: Instant::now() + pause }, reason);
        }
        opens
    }

    /// An opening that is over ends.
    fn cool_down(&self, inner: &mut Inner) {
        if let Phase::Open { until } = inner.phase
            && Instant::now() >= until
        {
            self.enter(inner, Phase::HalfOpen { passed: 0 }, "its pause is over");
        }
    }

    fn enter(&self, inner: &mut Inner, phase: Phase, reason: &str) {
        inner.phase = phase;
        let state = phase.state();
        let (name, value) = match state {
            BreakerState::Closed => ("closed", 0.0),
            BreakerState::HalfOpen => ("half_open", 1.0),
            BreakerState::Open => ("open", 2.0),
        };
        let device = &self.device;
        tracing::info!(device, breaker = name, reason, "breaker of a device changed");
        metrics::gauge!("datamesh_device_breaker_state", "device" => device.clone()).set(value);
        metrics::counter!(
            "datamesh_device_breaker_transitions_total",
            "device" => device.clone(), "to" => name
        )
        .increment(1);
    }
}

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(4);
    const MAX: Duration = Duration::from_secs(16);

    fn breaker() -> Breaker {
        Breaker::new("0".to_owned(), (MIN, MAX), Random::system())
    }

    async fn pause_of(breaker: &Breaker) -> Duration {
        let started = Instant::now();
        while breaker.state() == BreakerState::Open {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_write_a_timeout_or_a_stall_opens_at_once() {
        for failure in [Failure::Put, Failure::Timeout, Failure::Stall, Failure::Slow] {
            let breaker = breaker();
            assert!(breaker.failed(failure), "{failure:?}");
            assert_eq!(breaker.state(), BreakerState::Open);
            assert!(!breaker.takes_shards(0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slowness_is_told_from_failure() {
        let breaker = breaker();
        assert!(!breaker.is_merely_slow(), "it is closed");
        assert!(breaker.failed(Failure::Slow) && breaker.is_merely_slow());
        let _ = pause_of(&breaker).await;
        assert!(breaker.failed(Failure::Stall) && !breaker.is_merely_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_reads_open_only_in_a_row() {
        let breaker = breaker();
        for _ in 0..10 {
            breaker.failed(Failure::Get);
            breaker.failed(Failure::Busy);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        for _ in 0..3 {
            breaker.failed(Failure::Get);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_breaker_lets_few_through_and_closes_after_good_answers() {
        let breaker = breaker();
        breaker.failed(Failure::Put);
        // An answer to a call from before says nothing.
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Open);
        pause_of(&breaker).await;
        assert!(breaker.takes_shards(PROBES_AT_ONCE - 1));
        assert!(!breaker.takes_shards(PROBES_AT_ONCE));
        for _ in 1..PROBES_TO_CLOSE {
            breaker.succeeded();
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
        }
        breaker.succeeded();
        assert!(breaker.takes_shards(u32::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_until_the_breaker_closes() {
        let breaker = breaker();
        let within = |pause: Duration, expected: Duration| {
            assert!(pause >= expected * 3 / 4 && pause <= expected * 13 / 10, "{pause:?}");
        };
        for expected in [MIN, MIN * 2, MIN * 4, MAX, MAX] {
            assert!(breaker.failed(Failure::Get) || breaker.failed(Failure::Put));
            within(pause_of(&breaker).await, expected);
        }
        (0..PROBES_TO_CLOSE).for_each(|_| breaker.succeeded());
        breaker.failed(Failure::Put);
        within(pause_of(&breaker).await, MIN);
    }
}
