//! Scrub: reading everything from time to time, because media forget.
//!
//! Invariants:
//! - a pass covers every shard that existed when it began and was not moved since; moving verifies;
//! - where a pass stands is kept in the index, so a restart continues it;
//! - damage goes to the damaged set and is found again by every pass until the shard is replaced.
//!
//! *Limits:* reads at `scrub_bytes_per_second`, [`STEP_BYTES`] at a time.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use node_proto::{ScrubProgress, ShardKey, UnixMillis};
use tracing::info;

use crate::{
    aligned::AlignedBuffer,
    compaction::read_tombstones,
    core::Core,
    index::IndexError,
    reader::{drive_is_gone, note_damage, read_record},
    record::{PAGE_BYTES, Position, SegmentId},
    rows::{Place, ScrubCursor},
};

/// Bytes verified between two looks at the clock and the stop signal. Chosen.
const STEP_BYTES: u64 = 4 << 20;
/// Places fetched from the index at once. Chosen.
const STEP_PLACES: usize = 256;

pub(crate) struct Scrubber {
    core: Arc<Core>,
    cursor: ScrubCursor,
}

impl Scrubber {
    /// Continues where the last opening stopped.
    pub(crate) fn new(core: Arc<Core>) -> Result<Self, IndexError> {
        let cursor = core.index.scrub_cursor()?.unwrap_or(ScrubCursor {
            running: false,
            next: Position { segment: SegmentId(0), offset_bytes: 0 },
            last_segment: SegmentId(0),
            last_end: core.superblock.formatted_at,
            verified_shards: 0,
            verified_bytes: 0,
            damaged_shards: 0,
        });
        let scrubber = Self { core, cursor };
        scrubber.publish(0);
        Ok(scrubber)
    }

    /// Does a little work; returns the bytes it read, `None` when no pass is due.
    pub(crate) fn step(&mut self, scratch: &mut AlignedBuffer) -> Option<u64> {
        if self.core.failed().is_some() {
            return None;
        }
        let stepped = if self.cursor.running || self.start_when_due() {
            self.verify_some(scratch).map(Some)
        } else {
            Ok(None)
        };
        stepped.unwrap_or_else(|error| {
            self.core.index_failed(&error);
            None
        })
    }

    fn start_when_due(&mut self) -> bool {
        let interval = self.core.config().limits.scrub_interval.as_millis();
        let now = self.core.config().clock.now();
        let since = u128::from(now.0.saturating_sub(self.cursor.last_end.0));
        let wanted = self.core.shared.scrub_wanted.swap(false, SeqCst);
        if !wanted && since < interval {
            return false;
        }
        let newest = self.core.table.lock().iter().map(|(id, _)| id).max();
        self.cursor = ScrubCursor {
            running: true,
            next: Position { segment: SegmentId(0), offset_bytes: 0 },
            last_segment: newest.unwrap_or(SegmentId(0)),
            last_end: self.cursor.last_end,
            verified_shards: 0,
            verified_bytes: 0,
            damaged_shards: 0,
        };
        self.publish(0);
        info!(device = self.core.device().0, "scrub pass started");
        true
    }

    fn verify_some(&mut self, scratch: &mut AlignedBuffer) -> Result<u64, IndexError> {
        let places = self.core.index.places(self.cursor.next, STEP_PLACES)?;
        let mut read_bytes = 0;
        let mut ended = places.is_empty();
        for (position, place) in places {
            if position.segment > self.cursor.last_segment {
                ended = true;
                break;
            }
            if read_bytes >= STEP_BYTES || self.core.stop.is_stopped() {
                break;
            }
            match place {
                Place::Shard(key) => {
                    let Some(read) = self.verify_shard(position, key, scratch)? else {
                        return Ok(read_bytes);
                    };
                    read_bytes += read;
                }
                Place::Tombstones { count } => {
                    if read_tombstones(&self.core, position, count, scratch).is_none() {
                        self.core.shared.telemetry.damaged.increment(1);
                    }
                    read_bytes += PAGE_BYTES as u64;
                }
            }
            self.cursor.next = Position { offset_bytes: position.offset_bytes + 1, ..position };
        }
        self.core.shared.telemetry.scrub_bytes.increment(read_bytes);
        if ended {
            self.end_pass();
        } else {
            self.publish(0);
        }
        self.core.index.write_scrub_cursor(&self.cursor)?;
        Ok(read_bytes)
    }

    /// Verifies the shard at `position` unless it went; `None` when the drive is gone.
    fn verify_shard(
        &mut self,
        position: Position,
        key: ShardKey,
        scratch: &mut AlignedBuffer,
    ) -> Result<Option<u64>, IndexError> {
        let current = |core: &Core| -> Result<_, IndexError> {
            Ok(core.index.shard(&key)?.filter(|row| row.position == position))
        };
        let Some(row) = current(&self.core)? else {
            return Ok(Some(0));
        };
        if let Err(fault) = read_record(&self.core, key, &row, scratch) {
            if drive_is_gone(&self.core, &fault) {
                return Ok(None);
            }
            if current(&self.core)?.is_none() {
                return Ok(Some(0));
            }
            note_damage(&self.core, key, &fault);
            self.cursor.damaged_shards += 1;
        }
        self.cursor.verified_shards += 1;
        self.cursor.verified_bytes += u64::from(row.payload_bytes);
        Ok(Some(row.record_bytes()))
    }

    fn end_pass(&mut self) {
        self.cursor.running = false;
        let now = self.core.config().clock.now();
        // A clock that was set back must not make the next pass come early.
        self.cursor.last_end = UnixMillis(now.0.max(self.cursor.last_end.0));
        self.publish(1);
        info!(
            device = self.core.device().0,
            shards = self.cursor.verified_shards,
            damaged = self.cursor.damaged_shards,
            "scrub pass ended"
        );
    }

    fn publish(&self, completed: u64) {
        let mut progress = self.core.shared.scrub.lock();
        *progress = ScrubProgress {
            running: self.cursor.running,
            verified_shards: self.cursor.verified_shards,
            verified_bytes: self.cursor.verified_bytes,
            damaged_shards: self.cursor.damaged_shards,
            completed_passes: progress.completed_passes + completed,
        };
    }
}
