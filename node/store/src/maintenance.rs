//! The maintenance thread: space figures, compaction and scrub of one drive.
//!
//! Invariant: reads of scrub never exceed their configured rate, and those of compaction only when
//! space is short: writes must not be refused for want of reads.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use crate::{
    aligned::AlignedBuffer, commands::WriterCommand, compaction::Compactor, core::Core,
    record::PAGE_BYTES, scrub::Scrubber,
};

/// Works until the drive stops.
pub(crate) fn run(core: &Arc<Core>, writer: SyncSender<WriterCommand>, mut scrubber: Scrubber) {
    let limits = core.config().limits;
    let mut compactor = Compactor::new(Arc::clone(core), writer);
    let mut scratch = AlignedBuffer::new(PAGE_BYTES);
    while !core.stop.is_stopped() && core.failed().is_none() {
        if let Err(reason) = core.refresh_space() {
            core.fail(reason);
            return;
        }
        let compacted = compactor.step(&mut scratch);
        if let Some(bytes) = compacted
            && !core.stop.pace(eased(
                time_for(bytes, limits.compact_bytes_per_second),
                core.space.ease_percent(),
            ))
        {
            return;
        }
        if compacted.is_some() && core.space.ease_percent() == 0 {
            continue;
        }
        let scrubbed = scrubber.step(&mut scratch);
        if let Some(bytes) = scrubbed
            && !core.stop.pace(time_for(bytes, limits.scrub_bytes_per_second))
        {
            return;
        }
        if compacted.is_none()
            && scrubbed.is_none()
            && !core.stop.sleep(limits.maintenance_interval)
        {
            return;
        }
    }
}

/// How long `bytes` take at a rate.
fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A pause, cut short as space gets short.
fn eased(pause: Duration, ease_percent: u64) -> Duration {
    if ease_percent >= 100 {
        return pause;
    }
    pause * u32::try_from(ease_percent).unwrap_or(0) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_shrink_with_space() {
        let pause = Duration::from_secs(8);
        assert_eq!(eased(pause, 100), pause);
        assert_eq!(eased(pause, 25), Duration::from_secs(2));
        assert_eq!(eased(pause, 0), Duration::ZERO);
    }

    #[test]
    fn pace_follows_the_rate() {
        assert_eq!(time_for(0, 100), Duration::ZERO);
        assert_eq!(time_for(50, 100), Duration::from_millis(500));
        assert_eq!(time_for(1 << 40, 1 << 20), Duration::from_secs(1 << 20));
    }
}
