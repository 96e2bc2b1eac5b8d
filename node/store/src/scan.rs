//! Reading a segment record by record, without an index.
//!
//! Invariants:
//! - every record whose header, trailer and (when asked) payload are sound is visited, in order;
//! - damage never ends a scan: it goes on at the next 4 KiB boundary where a record starts;
//! - memory is the larger of one record and one window.

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

/// Bytes read at once among small records and while looking for the next record. Chosen: one
/// large disk transfer.
const WINDOW_BYTES: usize = 1 << 20;
/// Records up to this length are read through, longer ones are skipped over. Measured: below it a
/// transfer of the whole record costs less than a second request.
const SMALL_RECORD_BYTES: u64 = 128 << 10;

/// How much of a record a scan checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Header and trailer: enough for a segment that was sealed after a sync.
    Ends,
    /// Also the payload: for what a crash may have torn.
    Whole,
}

/// A sound record.
pub(crate) enum Found {
    Shard(RecordHeader),
    Tombstones(RecordHeader, Vec<Tombstone>),
}

impl Found {
    pub(crate) fn header(&self) -> &RecordHeader {
        match self {
            Self::Shard(header) | Self::Tombstones(header, _) => header,
        }
    }
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
    /// Visits the sound records. What the medium refuses to read counts as damage.
    pub(crate) fn run<E>(
        &self,
        mut visit: impl FnMut(Found) -> Result<(), E>,
    ) -> Result<ScanEnd, ScanError<E>> {
        let mut end = ScanEnd { sound_bytes: self.from_bytes, damaged_runs: 0 };
        let mut window = Window::new(self.file);
        let mut offset_bytes = self.from_bytes;
        let mut in_damage = false;
        while offset_bytes + HEADER_BYTES as u64 <= self.len_bytes {
            let found = self.record_at(offset_bytes, &mut window).map_err(ScanError::Io)?;
            let Some(found) = found else {
                in_damage = true;
                window.read_ahead = true;
                offset_bytes += PAGE_BYTES as u64;
                continue;
            };
            let record_bytes = found.header().record_bytes();
            visit(found).map_err(ScanError::Visit)?;
            end.damaged_runs += u64::from(in_damage);
            in_damage = false;
            window.read_ahead = record_bytes <= SMALL_RECORD_BYTES;
            offset_bytes += record_bytes;
            end.sound_bytes = offset_bytes;
        }
        Ok(end)
    }

    /// The record that starts at an offset, when a sound one does.
    fn record_at(&self, offset_bytes: u64, window: &mut Window<'_>) -> io::Result<Option<Found>> {
        let position = Position { segment: self.segment, offset_bytes };
        // The last page of a torn file may be short of a page, never of a header.
        let page_bytes = (self.len_bytes - offset_bytes).min(PAGE_BYTES as u64);
        let Some(page) = window.bytes(offset_bytes, page_bytes)? else {
            return Ok(None);
        };
        let Ok(header) = RecordHeader::decode_at(page, self.uuid, position) else {
            return Ok(None);
        };
        if offset_bytes + header.record_bytes() > self.len_bytes {
            return Ok(None);
        }
        let payload_end = HEADER_BYTES as u64 + u64::from(header.payload_bytes);
        let whole = self.depth == Depth::Whole || header.kind == RecordKind::Tombstones;
        // The first byte to read, relative to the record.
        let skip = if whole { 0 } else { payload_end / PAGE_BYTES as u64 * PAGE_BYTES as u64 };
        let rest = window.bytes(offset_bytes + skip, header.record_bytes() - skip)?;
        let Some(bytes) = rest else { return Ok(None) };
        let trailer_at = usize::try_from(payload_end - skip).map_err(io::Error::other)?;
        if !trailer_matches(&bytes[trailer_at..], header.seq) {
            return Ok(None);
        }
        if !whole {
            return Ok(Some(Found::Shard(header)));
        }
        let payload = &bytes[HEADER_BYTES..trailer_at];
        if root_of(payload) != header.root {
            return Ok(None);
        }
        Ok(match header.kind {
            RecordKind::Shard => Some(Found::Shard(header)),
            RecordKind::Tombstones => {
                decode_tombstones(payload).map(|found| Found::Tombstones(header, found))
            }
        })
    }
}

/// The part of the file most recently read.
struct Window<'a> {
    file: &'a dyn VfsFile,
    buffer: AlignedBuffer,
    start_bytes: u64,
    filled: usize,
    /// Whether what follows is likely wanted too.
    read_ahead: bool,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn VfsFile) -> Self {
        Self {
            file,
            buffer: AlignedBuffer::new(PAGE_BYTES),
            start_bytes: 0,
            filled: 0,
            read_ahead: true,
        }
    }

    /// The bytes of a range that starts on a page boundary and lies inside the file. `None`: the
    /// medium cannot read them.
    fn bytes(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<Option<&[u8]>> {
        let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
        let inside = offset_bytes
            .checked_sub(self.start_bytes)
            .and_then(|distance| usize::try_from(distance).ok())
            .filter(|distance| distance.checked_add(len).is_some_and(|end| end <= self.filled));
        if let Some(at) = inside {
            return Ok(Some(&self.buffer[at..at + len]));
        }
        // One page more brings the next header along with a trailer.
        let ahead = if self.read_ahead { WINDOW_BYTES } else { len + PAGE_BYTES };
        self.start_bytes = offset_bytes;
        self.filled = 0;
        // One bad sector in a window must not hide the records around it: the second try reads no
        // more than was asked for.
        for wanted in [ahead.max(len), len] {
            let wanted = wanted.next_multiple_of(PAGE_BYTES);
            self.buffer.ensure(wanted);
            match read_full_at(self.file, &mut self.buffer[..wanted], offset_bytes) {
                Ok(filled) => {
                    self.filled = filled;
                    return Ok((filled >= len).then(|| &self.buffer[..len]));
                }
                Err(error) if is_medium_error(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Whether an error may concern a few sectors only.
fn is_medium_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
