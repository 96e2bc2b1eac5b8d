//! Bringing the index up to date when a drive is opened.
//!
//! Normally only the records behind the last checkpoint are read. Without a usable index every
//! segment is.
//!
//! Invariant: after it, no row leads to a segment that is missing or into the part of one that was
//! cut off; that rows were given up for it is told as lost content, and so is a drive that came back
//! shorter than it went. What lies inside a segment is not looked at: that is for scrub.
//!
//! *Crash consistency:* the records found behind the checkpoint are made durable before the drive
//! serves, because an earlier process may have written and not synced them. When the previous
//! opening failed with an I/O error in this same process, everything it had not synced is cut off
//! first: after a failed sync the page cache no longer tells what the medium holds.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use node_proto::DeviceUuid;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::{
    changes::{Base, Changes},
    config::DriveConfig,
    durability::SyncSite,
    index::{Index, IndexError},
    record::{PAGE_BYTES, Position, SegmentId, Seq},
    rows::Checkpoint,
    scan::{Depth, Found, Scan, ScanEnd, ScanError},
    segments::{SegmentTable, list_segments, segment_path},
    vfs::OpenMode,
};

/// Name of the directory that holds the index.
pub(crate) const INDEX_DIRECTORY: &str = "index";
/// Index changes applied in one batch while scanning. Chosen: about a megabyte of rows.
const BATCH_CHANGES: usize = 4096;

/// A drive's index and segments, in agreement.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) table: SegmentTable,
    /// Where the next record goes, when the newest segment may be continued.
    pub(crate) end: Position,
    pub(crate) may_continue: bool,
    pub(crate) next_seq: Seq,
    pub(crate) next_segment: SegmentId,
    /// Runs of damage seen between records.
    pub(crate) damaged_runs: u64,
    /// Shards that were known, or may have been, are gone.
    pub(crate) content_lost: bool,
}

/// Why a drive's content could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error("{path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What recovery is told.
pub(crate) struct Recovery<'a> {
    pub(crate) config: &'a DriveConfig,
    /// Called before content is given up for lost, once or more: makes that this opening was there
    /// durable.
    pub(crate) before_loss: &'a dyn Fn() -> io::Result<()>,
    pub(crate) uuid: DeviceUuid,
    /// Up to where the failed opening before this one had synced.
    pub(crate) cut: Option<Position>,
    /// Do not trust the index that is there.
    pub(crate) rebuild: bool,
    /// Told what a long rebuild is at.
    pub(crate) progress: &'a (dyn Fn(String) + Sync),
}

impl Recovery<'_> {
    pub(crate) fn run(&self) -> Result<Recovered, RecoverError> {
        let segments = self.segment_lengths()?;
        let behind = self.is_behind_cut(&segments);
        if behind {
            warn!(device = self.config.device.0, "the drive holds less than when it failed");
            self.announce_loss()?;
        }
        let resumed = if self.rebuild { None } else { self.resume(&segments)? };
        let mut recovered = match resumed {
            Some(recovered) => recovered,
            None => self.rebuild(&segments)?,
        };
        recovered.content_lost |= behind;
        Ok(recovered)
    }

    /// Whether something is missing that the failed opening had synced: an old copy came back.
    fn is_behind_cut(&self, segments: &BTreeMap<SegmentId, u64>) -> bool {
        self.cut
            .is_some_and(|cut| segments.get(&cut.segment).copied().unwrap_or(0) < cut.offset_bytes)
    }

    /// Lists the segments with their lengths, after cutting what a failed opening left unsynced.
    fn segment_lengths(&self) -> Result<BTreeMap<SegmentId, u64>, RecoverError> {
        let directory = &self.config.directory;
        let vfs = self.config.vfs.as_ref();
        let ids = list_segments(vfs, directory).map_err(at(directory))?;
        let mut lengths = BTreeMap::new();
        for id in ids {
            let path = segment_path(directory, id);
            let cut = self.cut.filter(|cut| id >= cut.segment);
            let mode = if cut.is_some() { OpenMode::Append } else { OpenMode::Read };
            let file = vfs.open(&path, mode).map_err(at(&path))?;
            let mut len = file.len().map_err(at(&path))?;
            if let Some(cut) = cut {
                let keep = if id == cut.segment { cut.offset_bytes } else { 0 };
                if len > keep {
                    // Durable with the next sync of the file: before it is scanned, or before
                    // anything written over it is answered. Until then nothing depends on it.
                    file.set_len(keep).map_err(at(&path))?;
                    len = keep;
                }
            }
            lengths.insert(id, len);
        }
        Ok(lengths)
    }

    /// Opens the index that is there and scans what it does not know. `None`: it is of no use.
    fn resume(
        &self,
        segments: &BTreeMap<SegmentId, u64>,
    ) -> Result<Option<Recovered>, RecoverError> {
        let opened = self.open_index().and_then(|index| {
            let checkpoint = index.checkpoint()?;
            let known = index.segments()?;
            Ok((index, checkpoint, known))
        });
        let (index, checkpoint, known) = match opened {
            Ok(opened) => opened,
            Err(error @ (IndexError::NoSpace | IndexError::InUse { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                warn!(device = self.config.device.0, %error, "index is unusable");
                return Ok(None);
            }
        };
        let Some(checkpoint) = checkpoint.filter(|found| found.uuid == self.uuid) else {
            return Ok(None);
        };
        let mut table = SegmentTable::default();
        for (id, stats) in known {
            table.set_stats(id, stats);
        }
        let start = checkpoint.position;
        if segments.keys().any(|id| *id < start.segment && table.get(*id).is_none()) {
            warn!(device = self.config.device.0, "segments are unknown to the index");
            return Ok(None);
        }
        let table = Mutex::new(table);
        let mut pass = Pass::new(self, Base { index: &index, table: &table }, true);
        pass.next_seq = checkpoint.next_seq;
        for (id, len_bytes) in segments.range(start.segment..) {
            let from_bytes = if *id == start.segment { start.offset_bytes } else { 0 };
            pass.segment(*id, from_bytes, *len_bytes, Depth::Whole)?;
        }
        let mut end = pass.finish()?;
        for (id, len_bytes) in segments {
            table.lock().set_file_bytes(*id, *len_bytes);
        }
        end.content_lost = self.give_up_lost(Base { index: &index, table: &table }, segments)?;
        let newest = segments.keys().next_back().copied().unwrap_or(SegmentId(0));
        // A newest segment shorter than what the checkpoint promised has lost records.
        let short = newest == start.segment
            && segments.get(&newest).is_some_and(|len| *len < start.offset_bytes);
        end.may_continue &= !short;
        self.complete(index, table, end, newest, checkpoint.next_segment).map(Some)
    }

    /// Builds a new index from all segments.
    fn rebuild(&self, segments: &BTreeMap<SegmentId, u64>) -> Result<Recovered, RecoverError> {
        let directory = self.config.directory.join(INDEX_DIRECTORY);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&directory)(error));
            }
            _ => {}
        }
        if !segments.is_empty() {
            info!(
                device = self.config.device.0,
                segments = segments.len(),
                "rebuilding the index from the segments"
            );
        }
        let index = self.open_index()?;
        let table = Mutex::new(SegmentTable::default());
        let mut pass = Pass::new(self, Base { index: &index, table: &table }, false);
        let newest = segments.keys().next_back().copied().unwrap_or(SegmentId(0));
        for (number, (id, len_bytes)) in segments.iter().enumerate() {
            (self.progress)(format!(
                "rebuilding the index: segment {} of {}",
                number + 1,
                segments.len()
            ));
            let depth = if *id == newest { Depth::Whole } else { Depth::Ends };
            let scanned = pass.segment(*id, 0, *len_bytes, depth)?;
            // A crash tears the end of the newest segment only.
            let is_cut = *id != newest && scanned.sound_bytes < *len_bytes;
            pass.content_lost |= scanned.damaged_runs > 0 || is_cut;
        }
        let end = pass.finish()?;
        if end.content_lost {
            self.announce_loss()?;
        }
        index.flush()?;
        for (id, len_bytes) in segments {
            table.lock().set_file_bytes(*id, *len_bytes);
        }
        self.complete(index, table, end, newest, SegmentId(1))
    }

    /// Finds the place for the next record and writes the checkpoint.
    fn complete(
        &self,
        index: Index,
        table: Mutex<SegmentTable>,
        end: PassEnd,
        newest: SegmentId,
        next_segment: SegmentId,
    ) -> Result<Recovered, RecoverError> {
        let mut table = table.into_inner();
        self.unlink_retiring(&mut table)?;
        let file_bytes = table.get(newest).map_or(0, |entry| entry.file_bytes);
        let sound = match end.newest {
            Some((id, sound_bytes)) if id == newest => sound_bytes,
            _ => file_bytes,
        };
        let position = Position { segment: newest, offset_bytes: sound };
        let may_continue = end.may_continue
            && newest.0 > 0
            && sound.is_multiple_of(PAGE_BYTES as u64)
            && table.get(newest).is_some()
            && !index.has_place_from(position)?;
        if may_continue && sound < file_bytes {
            let path = segment_path(&self.config.directory, newest);
            self.config
                .vfs
                .open(&path, OpenMode::Append)
                // Durable with the next group. What a power cut brings back until then is no
                // record, as now.
                .and_then(|file| file.set_len(sound))
                .map_err(at(&path))?;
            table.set_file_bytes(newest, sound);
        }
        let known = table.iter().map(|(id, _)| id.0).max().unwrap_or(0);
        let next_segment = SegmentId(next_segment.0.max(newest.0 + 1).max(known + 1));
        let end_position = if may_continue {
            position
        } else {
            Position { segment: newest, offset_bytes: file_bytes }
        };
        index.write_checkpoint(&Checkpoint {
            uuid: self.uuid,
            position: end_position,
            next_seq: end.next_seq,
            next_segment,
        })?;
        Ok(Recovered {
            index,
            table,
            end: end_position,
            may_continue,
            next_seq: end.next_seq,
            next_segment,
            damaged_runs: end.damaged_runs,
            content_lost: end.content_lost,
        })
    }

    /// Drops the rows of segments that are missing or cut off; says whether there were any.
    fn give_up_lost(
        &self,
        base: Base<'_>,
        segments: &BTreeMap<SegmentId, u64>,
    ) -> Result<bool, RecoverError> {
        let known: Vec<SegmentId> = {
            let table = base.table.lock();
            table.iter().filter(|(_, entry)| !entry.stats.retiring).map(|(id, _)| id).collect()
        };
        let mut any = false;
        for segment in known {
            let len_bytes = segments.get(&segment).copied();
            let last = base.index.last_place(segment)?;
            let end = match &last {
                Some((position, place)) => base.index.end_of(*position, place)?,
                None => 0,
            };
            if end > len_bytes.unwrap_or(0) {
                if !any {
                    self.announce_loss()?;
                }
                any = true;
                warn!(
                    device = self.config.device.0,
                    segment = segment.0,
                    known_bytes = end,
                    found_bytes = len_bytes,
                    "segment is missing or cut off; its shards are given up for lost"
                );
                self.give_up_behind(base, segment, len_bytes.unwrap_or(0))?;
            }
            if len_bytes.is_none() {
                base.index.forget_segment(segment)?;
                base.table.lock().remove(segment);
            }
        }
        Ok(any)
    }

    /// Drops the rows of records that end behind `len_bytes` of their segment.
    fn give_up_behind(
        &self,
        base: Base<'_>,
        segment: SegmentId,
        len_bytes: u64,
    ) -> Result<(), IndexError> {
        let mut changes = Changes::default();
        let mut from = Position { segment, offset_bytes: 0 };
        loop {
            let places = base.index.places(from, BATCH_CHANGES)?;
            for (position, place) in &places {
                if position.segment != segment {
                    return changes.commit(base, true);
                }
                if base.index.end_of(*position, place)? > len_bytes {
                    changes.lose(base, *position, place)?;
                }
                from.offset_bytes = position.offset_bytes + 1;
            }
            changes.commit(base, true)?;
            if places.is_empty() {
                return Ok(());
            }
        }
    }

    fn announce_loss(&self) -> Result<(), RecoverError> {
        (self.before_loss)().map_err(at(&self.config.directory))
    }

    /// Finishes what a crash interrupted: segments that were emptied and not yet unlinked.
    fn unlink_retiring(&self, table: &mut SegmentTable) -> Result<(), RecoverError> {
        let retiring: Vec<SegmentId> =
            table.iter().filter(|(_, entry)| entry.stats.retiring).map(|(id, _)| id).collect();
        for id in retiring {
            let path = segment_path(&self.config.directory, id);
            match self.config.vfs.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&path)(error));
                }
                _ => {}
            }
            // The row stays, marked: it costs nothing, and its number is never used again.
            table.remove(id);
        }
        Ok(())
    }

    fn open_index(&self) -> Result<Index, IndexError> {
        Index::open(
            &self.config.directory.join(INDEX_DIRECTORY),
            self.config.limits.index_buffer_bytes,
            self.config.index_cache.as_ref(),
        )
    }
}

/// Scanning segments into an index.
struct Pass<'a> {
    recovery: &'a Recovery<'a>,
    base: Base<'a>,
    changes: Changes,
    logged: bool,
    next_seq: Seq,
    newest: Option<(SegmentId, u64)>,
    damaged_runs: u64,
    content_lost: bool,
}

struct PassEnd {
    next_seq: Seq,
    /// The last segment scanned and where its last sound record ends.
    newest: Option<(SegmentId, u64)>,
    may_continue: bool,
    damaged_runs: u64,
    content_lost: bool,
}

impl<'a> Pass<'a> {
    fn new(recovery: &'a Recovery<'a>, base: Base<'a>, logged: bool) -> Self {
        Self {
            recovery,
            base,
            changes: Changes::default(),
            logged,
            next_seq: Seq(1),
            newest: None,
            damaged_runs: 0,
            content_lost: false,
        }
    }

    fn segment(
        &mut self,
        segment: SegmentId,
        from_bytes: u64,
        len_bytes: u64,
        depth: Depth,
    ) -> Result<ScanEnd, RecoverError> {
        let config = self.recovery.config;
        let path = segment_path(&config.directory, segment);
        self.changes.touch(self.base, segment);
        if depth == Depth::Whole {
            // Durable first, so that what is read now is what a later crash leaves.
            let file = config.vfs.open(&path, OpenMode::Append).map_err(at(&path))?;
            SyncSite::RecoveredSegment.sync_data(file.as_ref()).map_err(at(&path))?;
        }
        let file = config.vfs.open(&path, OpenMode::ReadMedium).map_err(at(&path))?;
        let scan = Scan {
            file: file.as_ref(),
            segment,
            uuid: self.recovery.uuid,
            from_bytes: from_bytes.min(len_bytes),
            len_bytes,
            depth,
        };
        let end: ScanEnd = scan.run(|found| self.record(&found)).map_err(|error| match error {
            ScanError::Io(source) => RecoverError::Io { path: path.clone(), source },
            ScanError::Visit(error) => RecoverError::Index(error),
        })?;
        if end.damaged_runs > 0 || end.sound_bytes < len_bytes {
            warn!(
                device = config.device.0,
                segment = segment.0,
                damaged_runs = end.damaged_runs,
                tail_bytes = len_bytes.saturating_sub(end.sound_bytes),
                "segment has bytes that are no sound record"
            );
        }
        self.damaged_runs += end.damaged_runs;
        self.newest = Some((segment, end.sound_bytes));
        Ok(end)
    }

    fn record(&mut self, found: &Found) -> Result<(), IndexError> {
        let header = found.header();
        match found {
            Found::Shard(header) => {
                let key = header.key.expect("a shard record decodes with its key");
                self.changes.replay_shard(self.base, key, header)?;
            }
            Found::Tombstones(header, tombstones) => {
                self.changes.replay_tombstones(self.base, header.position, tombstones)?;
            }
        }
        self.next_seq = self.next_seq.max(Seq(header.seq.0.saturating_add(1)));
        if self.changes.len() >= BATCH_CHANGES {
            self.changes.commit(self.base, self.logged)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<PassEnd, IndexError> {
        self.changes.commit(self.base, self.logged)?;
        Ok(PassEnd {
            next_seq: self.next_seq,
            newest: self.newest,
            may_continue: true,
            damaged_runs: self.damaged_runs,
            content_lost: self.content_lost,
        })
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RecoverError + use<> {
    let path = path.to_owned();
    move |source| RecoverError::Io { path, source }
}

#[cfg(test)]
mod tests;
