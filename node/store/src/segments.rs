//! Segments: their names, their files and what is known of each.
//!
//! Invariants:
//! - segment numbers only grow; the newest may be written, all others are sealed;
//! - a segment in the table is counted in [`crate::space::Space`] with its whole length.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    record::{NUMBER_END, SegmentId, TOMBSTONE_BYTES, record_bytes},
    rows::SegmentStats,
    vfs::{OpenMode, Vfs, VfsFile},
};

/// Name of the directory that holds the segments.
pub(crate) const SEGMENT_DIRECTORY: &str = "segments";
const SUFFIX: &str = ".seg";

pub(crate) fn segment_path(drive: &Path, id: SegmentId) -> PathBuf {
    drive.join(SEGMENT_DIRECTORY).join(format!("{:016x}{SUFFIX}", id.0))
}

/// Numbers of the segments in a drive's directory, ascending. Other files are left alone, and so
/// are those whose number no drive reaches.
pub(crate) fn list_segments(vfs: &dyn Vfs, drive: &Path) -> io::Result<Vec<SegmentId>> {
    let mut ids: Vec<SegmentId> = vfs
        .list(&drive.join(SEGMENT_DIRECTORY))?
        .iter()
        .filter_map(|name| {
            let digits = name.to_str()?.strip_suffix(SUFFIX)?;
            (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        })
        .filter(|number| *number < NUMBER_END)
        .map(SegmentId)
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

/// What is known of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) stats: SegmentStats,
    /// Length of the file in bytes, as far as it is durable.
    pub(crate) file_bytes: u64,
}

impl SegmentEntry {
    /// Bytes that compaction would have to keep.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let tombstones = match self.stats.tombstones {
            0 => 0,
            count => record_bytes(count * TOMBSTONE_BYTES as u64),
        };
        self.stats.live_bytes + tombstones
    }

    /// Bytes that compaction would free.
    pub(crate) fn dead_bytes(&self) -> u64 {
        self.file_bytes.saturating_sub(self.kept_bytes())
    }
}

/// Every segment of the drive.
#[derive(Default)]
pub(crate) struct SegmentTable {
    entries: BTreeMap<SegmentId, SegmentEntry>,
    shard_count: u64,
}

impl SegmentTable {
    pub(crate) fn stats(&self, id: SegmentId) -> SegmentStats {
        self.entries.get(&id).map(|entry| entry.stats).unwrap_or_default()
    }

    pub(crate) fn get(&self, id: SegmentId) -> Option<SegmentEntry> {
        self.entries.get(&id).copied()
    }

    pub(crate) fn set_stats(&mut self, id: SegmentId, stats: SegmentStats) {
        let entry = self.entries.entry(id).or_default();
        self.shard_count =
            self.shard_count.saturating_sub(entry.stats.live_shards) + stats.live_shards;
        entry.stats = stats;
    }

    pub(crate) fn set_file_bytes(&mut self, id: SegmentId, file_bytes: u64) {
        self.entries.entry(id).or_default().file_bytes = file_bytes;
    }

    pub(crate) fn remove(&mut self, id: SegmentId) -> Option<SegmentEntry> {
        let entry = self.entries.remove(&id)?;
        self.shard_count = self.shard_count.saturating_sub(entry.stats.live_shards);
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SegmentId, SegmentEntry)> + '_ {
        self.entries.iter().map(|(id, entry)| (*id, *entry))
    }

    /// The oldest segment other than `except`.
    pub(crate) fn oldest_except(&self, except: SegmentId) -> Option<SegmentId> {
        self.entries.keys().find(|id| **id != except).copied()
    }

    pub(crate) fn shard_count(&self) -> u64 {
        self.shard_count
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.file_bytes).sum()
    }
}

/// Open segment files, for readers.
///
/// *Limits:* at most `open_max` files; the one unused for longest is closed.
pub(crate) struct SegmentFiles {
    vfs: Arc<dyn Vfs>,
    drive: PathBuf,
    open_max: usize,
    open: Mutex<OpenFiles>,
}

#[derive(Default)]
struct OpenFiles {
    files: HashMap<(SegmentId, Source), (Arc<dyn VfsFile>, u64)>,
    uses: u64,
}

/// Where reads come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The page cache when it has the bytes.
    Cache,
    /// The medium itself: for verification.
    Medium,
}

impl SegmentFiles {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, drive: PathBuf, open_max: usize) -> Self {
        Self { vfs, drive, open_max, open: Mutex::default() }
    }

    pub(crate) fn open(&self, id: SegmentId, source: Source) -> io::Result<Arc<dyn VfsFile>> {
        {
            let mut open = self.open.lock();
            open.uses += 1;
            let now = open.uses;
            if let Some((file, used)) = open.files.get_mut(&(id, source)) {
                *used = now;
                return Ok(Arc::clone(file));
            }
        }
        let mode = match source {
            Source::Cache => OpenMode::Read,
            Source::Medium => OpenMode::ReadMedium,
        };
        let file = self.vfs.open(&segment_path(&self.drive, id), mode)?;
        let mut open = self.open.lock();
        if open.files.len() >= self.open_max {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                open.files.remove(&oldest);
            }
        }
        let now = open.uses;
        open.files.insert((id, source), (Arc::clone(&file), now));
        Ok(file)
    }

    /// Forgets a segment that is about to be unlinked. Reads under way keep their file.
    pub(crate) fn forget(&self, id: SegmentId) {
        self.open.lock().files.retain(|(open, _), _| *open != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::RealVfs;

    #[test]
    fn files_that_are_no_segments_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join(SEGMENT_DIRECTORY);
        std::fs::create_dir(&directory).unwrap();
        for id in [SegmentId(2), SegmentId(NUMBER_END - 1)] {
            std::fs::write(segment_path(root.path(), id), b"").unwrap();
        }
        for name in ["ffffffffffffffff.seg", "4000000000000000.seg", "1.seg", "notes.txt"] {
            std::fs::write(directory.join(name), b"").unwrap();
        }
        let found = list_segments(&RealVfs::buffered(), root.path()).unwrap();
        assert_eq!(found, [SegmentId(2), SegmentId(NUMBER_END - 1)]);
    }
}
