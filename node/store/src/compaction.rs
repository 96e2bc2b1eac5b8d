//! Compaction: giving the space of dead records back.
//!
//! A segment with enough dead bytes is emptied by copying what lives in it to the active segment,
//! and then unlinked.
//!
//! Invariants:
//! - a copy is durable and indexed before its source may be unlinked;
//! - a tombstone is forgotten only when no other segment as old as its origin exists: then no
//!   rebuild can find a record that it kills;
//! - a damaged live record is never lost: its segment stays until the shard is replaced or deleted.
//!
//! The fuller the drive, the smaller the dead share that is worth copying for, and the faster
//! compaction may read.
//!
//! *Limits:* one batch of [`BATCH_BYTES`] in memory, reads at `compact_bytes_per_second` while
//! space is easy. Works on a full drive as long as the live part of some segment fits into the
//! reserve, which holds a full segment unless configured otherwise. When none fits, because
//! segments are longer than the limits say now, one may exceed the configured capacity for a while,
//! never the medium's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use fail::fail_point;
use node_proto::ShardKey;
use tracing::debug;

use crate::{
    aligned::AlignedBuffer,
    commands::{Relocate, RelocateError, RelocatedShard, WriterCommand},
    core::Core,
    reader::{drive_is_gone, note_damage, read_record},
    record::{
        HEADER_BYTES, Position, RecordHeader, RecordKind, SegmentId, Tombstone, decode_tombstones,
        root_of, trailer_matches,
    },
    rows::Place,
    segments::{SegmentEntry, Source},
    vfs::read_full_at,
};

/// Payload copied in one go. Chosen: half a group, so that writes get in between.
const BATCH_BYTES: u64 = 4 << 20;
/// Places looked at in one go. Chosen.
const BATCH_PLACES: usize = 1024;
/// Dead share from which a segment is compacted when there is no space left, in percent. Chosen:
/// above what padding of copied tombstones leaves dead, so that compaction comes to rest.
const SHORT_DEAD_PERCENT: u64 = 1;
/// The active segment is ended for compaction when this part of a full segment is dead. Chosen.
const SEAL_DIVISOR: u64 = 8;
/// The same when space is short. Chosen.
const SEAL_DIVISOR_SHORT: u64 = 64;
/// Sealed segments of less than an eighth of a full one that are tolerated; restarts make them.
/// Chosen.
const SMALL_SEGMENTS_MAX: usize = 16;
/// Part of what the medium has free, as a divisor, that may be used beyond the configured capacity
/// to compact a segment that fits in no other way. Chosen: other drives may share the medium.
const MEDIUM_DIVISOR: u64 = 2;
/// How long a segment that could not be emptied is left alone while nothing changes. Chosen.
const RETRY_AFTER: Duration = Duration::from_secs(600);
/// The same for one there was no space for, although there seemed to be. Chosen: a full medium is
/// asked rarely, and each attempt copies something.
const SPACE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The compaction under way and what it knows.
pub(crate) struct Compactor {
    core: Arc<Core>,
    writer: SyncSender<WriterCommand>,
    job: Option<Job>,
    /// Segments that could not be emptied.
    blocked: HashMap<SegmentId, Blocked>,
}

/// When and how a segment could not be emptied.
struct Blocked {
    since: Instant,
    /// The room there was, if it was too little.
    room_bytes: Option<u64>,
    kept_bytes: u64,
}

struct Job {
    segment: SegmentId,
    places: VecDeque<(Position, Place)>,
    /// Live records that could not be copied.
    damaged: bool,
    /// The room there was at the start.
    room_bytes: u64,
}

impl Compactor {
    pub(crate) fn new(core: Arc<Core>, writer: SyncSender<WriterCommand>) -> Self {
        Self { core, writer, job: None, blocked: HashMap::new() }
    }

    /// Does a little work; returns the bytes it read, `None` when there is nothing to do.
    pub(crate) fn step(&mut self, scratch: &mut AlignedBuffer) -> Option<u64> {
        if self.core.failed().is_some() {
            return None;
        }
        let mut job = match self.job.take() {
            Some(job) => job,
            None => self.start()?,
        };
        if job.places.is_empty() {
            self.retire(&job);
            return Some(0);
        }
        match self.relocate(&mut job, scratch) {
            Ok(read_bytes) => {
                self.core.shared.telemetry.compaction_bytes.increment(read_bytes);
                self.job = Some(job);
                Some(read_bytes)
            }
            Err(RelocateError::NoSpace) => {
                // What was copied so far stays copied, so the next attempt needs less.
                self.put_off(job.segment, Some(job.room_bytes));
                None
            }
            Err(RelocateError::Stopped) => {
                self.core.space.take_loan_back();
                None
            }
        }
    }

    /// Chooses the next segment and lists what lives in it.
    fn start(&mut self) -> Option<Job> {
        self.unblock();
        self.seal_if_worthwhile();
        let room_bytes = self.core.space.room_bytes();
        let segment = self.choose(room_bytes)?;
        let mut places = VecDeque::new();
        let mut from = Position { segment, offset_bytes: 0 };
        loop {
            let batch = match self.core.index.places(from, BATCH_PLACES) {
                Ok(batch) => batch,
                Err(error) => {
                    self.core.fail_index(&error);
                    return None;
                }
            };
            let full = batch.len() == BATCH_PLACES;
            let here = batch.into_iter().take_while(|(position, _)| position.segment == segment);
            let before = places.len();
            places.extend(here);
            match places.back() {
                Some((last, _)) if full && places.len() - before == BATCH_PLACES => {
                    from = Position { segment, offset_bytes: last.offset_bytes + 1 };
                }
                _ => break,
            }
        }
        debug!(device = self.core.device().0, segment = segment.0, "compacting");
        Some(Job { segment, places, damaged: false, room_bytes })
    }

    /// Tries segments again that have changed, or that there may be room for now.
    fn unblock(&mut self) {
        let table = self.core.table.lock();
        let room_bytes = self.core.space.room_bytes();
        self.blocked.retain(|id, blocked| {
            let retry_after =
                if blocked.room_bytes.is_some() { SPACE_RETRY_AFTER } else { RETRY_AFTER };
            blocked.since.elapsed() < retry_after
                && table.get(*id).is_some_and(|entry| entry.kept_bytes() == blocked.kept_bytes)
                && blocked.room_bytes.is_none_or(|before| room_bytes <= before)
        });
    }

    /// Ends the active segment when that lets compaction free a good part of it.
    fn seal_if_worthwhile(&self) {
        let active = self.core.active_segment();
        let Some(entry) = self.core.table.lock().get(active) else {
            return;
        };
        let space = &self.core.space;
        let is_short = space.ease_percent() < 100;
        let divisor = if is_short { SEAL_DIVISOR_SHORT } else { SEAL_DIVISOR };
        let worthwhile = space.segment_bytes() / divisor;
        if entry.dead_bytes() >= worthwhile && self.is_dead_enough(&entry) {
            // The writer looks again: seen from here, what it is just writing looks dead. A full
            // queue means it is busy; the next round asks again.
            let _ = self.writer.try_send(WriterCommand::Seal { dead_bytes_min: worthwhile });
        }
    }

    fn is_dead_enough(&self, entry: &SegmentEntry) -> bool {
        let configured = u64::from(self.core.config().limits.compact_dead_percent);
        let eased = configured * self.core.space.ease_percent() / 100;
        let percent = eased.max(SHORT_DEAD_PERCENT);
        entry.dead_bytes() > 0 && entry.dead_bytes() * 100 >= entry.file_bytes * percent
    }

    /// The sealed segment whose compaction frees the largest share and fits into the space left.
    fn choose(&self, room: u64) -> Option<SegmentId> {
        let active = self.core.active_segment();
        let space = &self.core.space;
        let small_below = space.segment_bytes() / SEAL_DIVISOR;
        let sealed: Vec<(SegmentId, SegmentEntry)> = self
            .core
            .table
            .lock()
            .iter()
            .filter(|(id, _)| *id != active && !self.blocked.contains_key(id))
            .collect();
        let by_death = |room: u64| {
            sealed
                .iter()
                .filter(|(_, entry)| entry.kept_bytes() == 0 || self.is_dead_enough(entry))
                .filter(|(_, entry)| entry.kept_bytes() <= room)
                .max_by_key(|(_, entry)| entry.dead_bytes() * 1000 / entry.file_bytes.max(1))
                .map(|(id, _)| *id)
        };
        if let Some(id) = by_death(room) {
            return Some(id);
        }
        if space.ease_percent() == 0
            && let Some(id) = by_death(space.medium_bytes() / MEDIUM_DIVISOR)
        {
            return Some(id);
        }
        let small: Vec<_> =
            sealed.iter().filter(|(_, entry)| entry.file_bytes < small_below).collect();
        if small.len() <= SMALL_SEGMENTS_MAX {
            return None;
        }
        small.iter().find(|(_, entry)| entry.kept_bytes() <= room).map(|(id, _)| *id)
    }

    /// Copies the next batch; returns the bytes read.
    fn relocate(
        &mut self,
        job: &mut Job,
        scratch: &mut AlignedBuffer,
    ) -> Result<u64, RelocateError> {
        let mut read_bytes = 0;
        let mut shards = Vec::new();
        let mut tombstones = Vec::new();
        let mut tombstone_sources = Vec::new();
        while read_bytes < BATCH_BYTES
            && let Some((position, place)) = job.places.pop_front()
        {
            match place {
                Place::Shard(key) => {
                    if let Some(shard) = self.read_shard(position, key, job, scratch)? {
                        read_bytes += shard.row.record_bytes();
                        shards.push(shard);
                    }
                }
                Place::Tombstones { count } => {
                    let found = read_tombstones(&self.core, position, count, scratch);
                    let found = found.unwrap_or_else(|| {
                        // What they killed stays dead in the index; only a rebuild could find it.
                        self.core.shared.telemetry.damaged.increment(1);
                        Vec::new()
                    });
                    read_bytes += crate::record::PAGE_BYTES as u64;
                    let oldest = self.core.table.lock().oldest_except(job.segment);
                    tombstones.extend(found.into_iter().filter(|tombstone| {
                        oldest.is_some_and(|oldest| oldest <= tombstone.origin)
                    }));
                    tombstone_sources.push(position);
                }
            }
        }
        let (done, answer) = sync_channel(1);
        let relocate = Relocate { shards, tombstones, tombstone_sources, done };
        self.writer.send(WriterCommand::Relocate(relocate)).map_err(|_| RelocateError::Stopped)?;
        answer.recv().unwrap_or(Err(RelocateError::Stopped))?;
        mid_compaction()?;
        Ok(read_bytes)
    }

    /// Reads a shard that still lives at `position`.
    fn read_shard(
        &self,
        position: Position,
        key: ShardKey,
        job: &mut Job,
        scratch: &mut AlignedBuffer,
    ) -> Result<Option<RelocatedShard>, RelocateError> {
        let current = || match self.core.index.shard(&key) {
            Ok(row) => Ok(row.filter(|row| row.position == position)),
            Err(error) => {
                self.core.fail_index(&error);
                Err(RelocateError::Stopped)
            }
        };
        let Some(row) = current()? else {
            return Ok(None);
        };
        let fault = match read_record(&self.core, key, &row, scratch) {
            Ok(payload) => {
                return Ok(Some(RelocatedShard { key, row, payload: payload.to_vec() }));
            }
            Err(fault) => fault,
        };
        if drive_is_gone(&self.core, &fault) {
            return Err(RelocateError::Stopped);
        }
        if current()?.is_some() {
            note_damage(&self.core, key, &fault);
            job.damaged = true;
        }
        Ok(None)
    }

    /// Asks the writer to unlink the emptied segment.
    fn retire(&mut self, job: &Job) {
        let (done, answer) = sync_channel(1);
        let command = WriterCommand::Retire { segment: job.segment, done };
        if self.writer.send(command).is_err() {
            return;
        }
        // Not emptied: a damaged record stayed. Otherwise the drive stops.
        if !answer.recv().unwrap_or(false) || job.damaged {
            self.put_off(job.segment, None);
        }
    }

    fn put_off(&mut self, segment: SegmentId, room_bytes: Option<u64>) {
        self.core.space.take_loan_back();
        if let Some(entry) = self.core.table.lock().get(segment) {
            let (since, kept_bytes) = (Instant::now(), entry.kept_bytes());
            self.blocked.insert(segment, Blocked { since, room_bytes, kept_bytes });
        }
    }
}

/// The tombstones at a position; `None` when they cannot be read.
pub(crate) fn read_tombstones(
    core: &Core,
    position: Position,
    count: u32,
    scratch: &mut AlignedBuffer,
) -> Option<Vec<Tombstone>> {
    let expected = count as usize * crate::record::TOMBSTONE_BYTES;
    let record_bytes = usize::try_from(crate::record::record_bytes(expected as u64)).ok()?;
    scratch.ensure(record_bytes);
    let file = core.files.open(position.segment, Source::Medium).ok()?;
    let bytes = &mut scratch[..record_bytes];
    let filled = read_full_at(file.as_ref(), bytes, position.offset_bytes).ok()?;
    let header = RecordHeader::decode_at(&bytes[..filled], core.superblock.uuid, position).ok()?;
    if header.kind != RecordKind::Tombstones || header.payload_bytes as usize != expected {
        return None;
    }
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + expected)?;
    let sound = filled == record_bytes
        && trailer_matches(&bytes[HEADER_BYTES + expected..], header.seq)
        && root_of(payload) == header.root;
    if sound { decode_tombstones(payload) } else { None }
}

fn mid_compaction() -> Result<(), RelocateError> {
    fail_point!("node-store::mid-compaction", |_| Err(RelocateError::Stopped));
    Ok(())
}
