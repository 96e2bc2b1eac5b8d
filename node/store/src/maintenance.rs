//! The maintenance thread: space figures, compaction and scrub of one drive.
//!
//! Invariant: reads of compaction and scrub never exceed their configured rates.

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
            && !core.stop.pace(time_for(bytes, limits.compact_bytes_per_second))
        {
            return;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_follows_the_rate() {
        assert_eq!(time_for(0, 100), Duration::ZERO);
        assert_eq!(time_for(50, 100), Duration::from_millis(500));
        assert_eq!(time_for(1 << 40, 1 << 20), Duration::from_secs(1 << 20));
    }
}
