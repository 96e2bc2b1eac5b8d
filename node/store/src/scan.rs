//! Reading a segment record by record, without an index.
//!
//! Invariants:
//! - every record whose header, trailer and (when asked) payload are sound is visited, in order;
//! - damage never ends a scan: it goes on at the next 4 KiB boundary where a record starts;
//! - memory is one record plus one window.

use std::io;

use node_proto::DeviceUuid;

use crate::{
    aligned::AlignedBuffer,
    record::{
        HEADER_BYTES, PAGE_BYTES, Position, RecordHeader, RecordKind, SegmentId, Tombstone,
        decode_tombstones, root_of, trailer_matches,
    },
    vfs::{VfsFile, read_full_at},
};

/// Bytes read at once while looking for the next record. Chosen: one large disk transfer.
const SEARCH_BYTES: usize = 1 << 20;

/// How much of a record a scan checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Header and trailer: enough for a segment that was sealed after a sync.
    Ends,
    /// Also the payload: for what a crash may have torn.
    Whole,
}

/// A sound record.
pub(crate) enum Found<'a> {
    Shard(&'a RecordHeader),
    Tombstones(&'a RecordHeader, Vec<Tombstone>),
}

/// What a scan saw besides the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanEnd {
    /// Where the last sound record ends; where the scan began when there was none.
    pub(crate) sound_bytes: u64,
    /// Runs of damage with a sound record behind them.
    pub(crate) damaged_runs: u64,
}

/// Why a scan stopped early.
pub(crate) enum ScanError<E> {
    /// The medium failed.
    Io(io::Error),
    /// The visitor failed.
    Visit(E),
}

/// One segment to scan.
pub(crate) struct Scan<'a> {
    pub(crate) file: &'a dyn VfsFile,
    pub(crate) segment: SegmentId,
    pub(crate) uuid: DeviceUuid,
    pub(crate) from_bytes: u64,
    pub(crate) len_bytes: u64,
    pub(crate) depth: Depth,
}

impl Scan<'_> {
    /// Visits the sound records. A page the medium refuses to read counts as damage.
    pub(crate) fn run<E>(
        &self,
        mut visit: impl FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<ScanEnd, ScanError<E>> {
        let mut end = ScanEnd {
            sound_bytes: self.from_bytes,
            damaged_runs: 0,
        };
        let mut window = Window::new();
        let mut record = AlignedBuffer::new(PAGE_BYTES);
        let mut offset_bytes = self.from_bytes;
        let mut in_damage = false;
        while offset_bytes + HEADER_BYTES as u64 <= self.len_bytes {
            let position = Position {
                segment: self.segment,
                offset_bytes,
            };
            let page = window
                .page(self.file, offset_bytes, in_damage)
                .map_err(ScanError::Io)?;
            let header = RecordHeader::decode_at(page, self.uuid, position).ok();
            let sound = match header {
                Some(header) => self
                    .check(&header, &mut record)
                    .map_err(ScanError::Io)?
                    .with(header),
                None => None,
            };
            let Some((header, tombstones)) = sound else {
                in_damage = true;
                offset_bytes += PAGE_BYTES as u64;
                continue;
            };
            let found = match tombstones {
                Some(tombstones) => Found::Tombstones(&header, tombstones),
                None => Found::Shard(&header),
            };
            visit(found).map_err(ScanError::Visit)?;
            end.damaged_runs += u64::from(in_damage);
            in_damage = false;
            offset_bytes += header.record_bytes();
            end.sound_bytes = offset_bytes;
        }
        Ok(end)
    }

    /// Checks the rest of a record whose header is sound.
    fn check(&self, header: &RecordHeader, record: &mut AlignedBuffer) -> io::Result<Checked> {
        let start = header.position.offset_bytes;
        let record_bytes = header.record_bytes();
        if start + record_bytes > self.len_bytes {
            return Ok(Checked::Unsound);
        }
        let payload_end = HEADER_BYTES as u64 + u64::from(header.payload_bytes);
        let whole = self.depth == Depth::Whole || header.kind == RecordKind::Tombstones;
        // The first byte to read, relative to the record.
        let skip = if whole {
            0
        } else {
            payload_end / PAGE_BYTES as u64 * PAGE_BYTES as u64
        };
        let wanted = usize::try_from(record_bytes - skip).map_err(io::Error::other)?;
        record.ensure(wanted);
        let bytes = &mut record[..wanted];
        if !read_or_damage(self.file, bytes, start + skip)? {
            return Ok(Checked::Unsound);
        }
        let trailer_at = usize::try_from(payload_end - skip).map_err(io::Error::other)?;
        if !trailer_matches(&bytes[trailer_at..], header.seq) {
            return Ok(Checked::Unsound);
        }
        if !whole {
            return Ok(Checked::Shard);
        }
        let payload = &bytes[HEADER_BYTES..trailer_at];
        if root_of(payload) != header.root {
            return Ok(Checked::Unsound);
        }
        Ok(match header.kind {
            RecordKind::Shard => Checked::Shard,
            RecordKind::Tombstones => {
                decode_tombstones(payload).map_or(Checked::Unsound, Checked::Tombstones)
            }
        })
    }
}

enum Checked {
    Unsound,
    Shard,
    Tombstones(Vec<Tombstone>),
}

impl Checked {
    fn with(self, header: RecordHeader) -> Option<(RecordHeader, Option<Vec<Tombstone>>)> {
        match self {
            Self::Unsound => None,
            Self::Shard => Some((header, None)),
            Self::Tombstones(tombstones) => Some((header, Some(tombstones))),
        }
    }
}

/// The part of the file most recently read for headers.
struct Window {
    buffer: AlignedBuffer,
    start_bytes: u64,
    filled: usize,
}

impl Window {
    fn new() -> Self {
        Self {
            buffer: AlignedBuffer::new(PAGE_BYTES),
            start_bytes: 0,
            filled: 0,
        }
    }

    /// The page at `offset_bytes`, shorter at the end of the file and empty when unreadable.
    fn page(
        &mut self,
        file: &dyn VfsFile,
        offset_bytes: u64,
        searching: bool,
    ) -> io::Result<&[u8]> {
        let inside = offset_bytes
            .checked_sub(self.start_bytes)
            .and_then(|distance| usize::try_from(distance).ok())
            .filter(|distance| *distance < self.filled);
        let at = match inside {
            Some(at) => at,
            None => {
                self.fill(
                    file,
                    offset_bytes,
                    if searching { SEARCH_BYTES } else { PAGE_BYTES },
                )?;
                0
            }
        };
        Ok(&self.buffer[at..self.filled.min(at + PAGE_BYTES)])
    }

    fn fill(&mut self, file: &dyn VfsFile, offset_bytes: u64, wanted: usize) -> io::Result<()> {
        self.buffer.ensure(wanted);
        self.start_bytes = offset_bytes;
        self.filled = match read_full_at(file, &mut self.buffer[..wanted], offset_bytes) {
            Ok(filled) => filled,
            // One bad sector in a large window must not hide the records around it.
            Err(_) if wanted > PAGE_BYTES => {
                let page = &mut self.buffer[..PAGE_BYTES];
                if read_or_damage(file, page, offset_bytes)? {
                    PAGE_BYTES
                } else {
                    0
                }
            }
            Err(error) if is_medium_error(&error) => 0,
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// Fills `buffer`; false when the file is too short or the medium cannot read there.
fn read_or_damage(file: &dyn VfsFile, buffer: &mut [u8], offset_bytes: u64) -> io::Result<bool> {
    match read_full_at(file, buffer, offset_bytes) {
        Ok(filled) => Ok(filled == buffer.len()),
        Err(error) if is_medium_error(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error may concern a few sectors only.
fn is_medium_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
