//! Reading shards and verifying them.
//!
//! Invariants:
//! - the record's header is checked against the index row on every read;
//! - a record that moved while it was read is looked up again, so compaction is invisible;
//! - damage is noted for repair, unless the drive itself is gone.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use node_proto::{ByteRange, GetShardError, ShardEntry, ShardKey};

use crate::{
    aligned::AlignedBuffer,
    core::Core,
    record::{
        HEADER_BYTES, PAGE_BYTES, Position, RecordHeader, RecordKind, root_of, trailer_matches,
    },
    rows::ShardRow,
    segments::Source,
    vfs::{VfsFile, read_full_at},
};

/// How often a shard is looked up again because it moved meanwhile. Chosen: a second move within
/// one read is already unlikely.
const ATTEMPTS: usize = 4;
/// Header and range are read together when at most this much lies between them. Chosen: the cost
/// of a second read on a fast drive.
const JOIN_BYTES: u64 = 64 << 10;

/// Ranges of at least this length bypass the page cache when read for the first time. Measured
/// with `drive_bench`: filling the cache costs several times the processor time of the transfer.
/// Ranges as long are read into pooled buffers in any case: fresh memory is mapped, faulted in and
/// unmapped again, which took half of the processor time of 64 MiB GETs from the page cache.
const BYPASS_BYTES: u64 = 256 << 10;
/// Records remembered to tell a first read from a repeated one. Chosen: 16 GiB of full shards.
const RECENT_READS: usize = 8192;

/// Which records were read lately, approximately: a record is forgotten when another falls into
/// its place.
pub(crate) struct RecentReads(Box<[AtomicU64]>);

impl RecentReads {
    pub(crate) fn new() -> Self {
        Self((0..RECENT_READS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether this is the first read of a record for a while. What is read again is worth the
    /// page cache.
    fn is_first(&self, position: Position) -> bool {
        // Fibonacci hashing; pages of up to 2^20 segments stay apart.
        let name = position.segment.0 << 40 ^ position.offset_bytes;
        let hash = (name / PAGE_BYTES as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (hash >> 32) as usize % RECENT_READS;
        self.0[place].swap(hash, Ordering::Relaxed) != hash
    }
}

/// Why a record could not be read as the index describes it.
#[derive(Debug)]
pub(crate) struct ReadFault {
    pub(crate) reason: String,
    /// The medium or file system answered with an error: the drive itself may be gone.
    pub(crate) io: bool,
}

impl ReadFault {
    fn content(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), io: false }
    }

    fn io(error: &io::Error) -> Self {
        Self { reason: error.to_string(), io: true }
    }
}

/// Reads a range of a shard.
pub(crate) fn get(core: &Core, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
    let bytes = with_row(core, key, |row| {
        let end = range.offset_bytes.checked_add(range.len_bytes);
        if range.len_bytes == 0 || end.is_none_or(|end| end > u64::from(row.payload_bytes)) {
            // The caller's mistake: not damage to report.
            return Err(Stop::Answer(GetShardError::Damaged {
                key,
                device: core.device(),
                reason: format!(
                    "{} bytes from {} lie outside of its {} bytes",
                    range.len_bytes, range.offset_bytes, row.payload_bytes
                ),
            }));
        }
        read_range(core, key, row, range).map_err(Stop::Fault)
    })?;
    core.shared.telemetry.read_bytes.increment(bytes.len() as u64);
    Ok(bytes)
}

/// Reads a whole shard from the medium and compares it with its root.
pub(crate) fn verify(
    core: &Core,
    key: ShardKey,
    scratch: &mut AlignedBuffer,
) -> Result<ShardEntry, GetShardError> {
    with_row(core, key, |row| {
        read_record(core, key, row, scratch).map_err(Stop::Fault)?;
        Ok(ShardEntry { key, len_bytes: u64::from(row.payload_bytes), root: row.root })
    })
}

/// Reads the record of a shard from the medium, checks every byte of it and returns the payload.
pub(crate) fn read_record<'a>(
    core: &Core,
    key: ShardKey,
    row: &ShardRow,
    scratch: &'a mut AlignedBuffer,
) -> Result<&'a [u8], ReadFault> {
    let start = row.position.offset_bytes;
    let known = core.table.lock().get(row.position.segment).map_or(0, |entry| entry.file_bytes);
    if start + row.record_bytes() > known {
        return Err(ReadFault::content("its record lies beyond the end of its segment"));
    }
    let record_bytes = usize::try_from(row.record_bytes())
        .map_err(|_| ReadFault::content("its record does not fit into memory"))?;
    scratch.ensure(record_bytes);
    let bytes = &mut scratch[..record_bytes];
    let file = core
        .files
        .open(row.position.segment, Source::Medium)
        .map_err(|error| ReadFault::io(&error))?;
    let filled =
        read_full_at(file.as_ref(), bytes, start).map_err(|error| ReadFault::io(&error))?;
    if filled < record_bytes {
        return Err(ReadFault::content("its record is cut off"));
    }
    check_header(core, key, row, bytes)?;
    let payload_end = HEADER_BYTES + row.payload_bytes as usize;
    if !trailer_matches(&bytes[payload_end..], row.seq) {
        return Err(ReadFault::content("its trailer is damaged"));
    }
    let payload = &scratch[HEADER_BYTES..payload_end];
    if root_of(payload) != row.root {
        return Err(ReadFault::content("its content does not match its root"));
    }
    Ok(payload)
}

/// Notes a fault of a record whose row is still current.
pub(crate) fn note_damage(core: &Core, key: ShardKey, fault: &ReadFault) {
    if core.shared.damaged.insert(key) {
        core.shared.telemetry.damaged.increment(1);
        tracing::warn!(
            device = core.device().0,
            shard = %key,
            reason = fault.reason,
            "shard is damaged"
        );
    }
}

/// Whether an I/O error means that the drive is gone, in which case it is taken offline.
pub(crate) fn drive_is_gone(core: &Core, fault: &ReadFault) -> bool {
    if core.failed().is_some() {
        return true;
    }
    if fault.io
        && let Err(reason) = core.check_present()
    {
        core.fail(reason);
        return true;
    }
    false
}

enum Stop {
    Answer(GetShardError),
    Fault(ReadFault),
}

/// Looks a shard up and reads it, again when it moved in between.
fn with_row<T>(
    core: &Core,
    key: ShardKey,
    mut read: impl FnMut(&ShardRow) -> Result<T, Stop>,
) -> Result<T, GetShardError> {
    let device = core.device();
    let offline = || GetShardError::Offline { device, reason: core.offline_reason() };
    let mut row = lookup(core, key)?;
    for attempt in 1.. {
        let fault = match read(&row) {
            Ok(answer) => return Ok(answer),
            Err(Stop::Answer(error)) => return Err(error),
            Err(Stop::Fault(fault)) => fault,
        };
        let now = lookup(core, key)?;
        if now != row && attempt < ATTEMPTS {
            row = now;
            continue;
        }
        if drive_is_gone(core, &fault) {
            return Err(offline());
        }
        if now == row {
            note_damage(core, key, &fault);
        }
        return Err(GetShardError::Damaged { key, device, reason: fault.reason });
    }
    unreachable!("the loop above only ends by returning")
}

fn lookup(core: &Core, key: ShardKey) -> Result<ShardRow, GetShardError> {
    let device = core.device();
    match core.index.shard(&key) {
        Ok(Some(row)) => Ok(row),
        Ok(None) => Err(GetShardError::NotFound { key, device }),
        Err(error) => {
            core.fail_index(&error);
            Err(GetShardError::Offline { device, reason: core.offline_reason() })
        }
    }
}

fn read_range(
    core: &Core,
    key: ShardKey,
    row: &ShardRow,
    range: ByteRange,
) -> Result<Bytes, ReadFault> {
    let start = row.position.offset_bytes;
    // Both fit: the range lies inside a payload whose length is a u32.
    let (skip, len) = (range.offset_bytes as usize, range.len_bytes as usize);
    if range.len_bytes >= BYPASS_BYTES && core.recent_reads.is_first(row.position) {
        let file = open(core, row, Source::Medium)?;
        if file.bypasses_cache() {
            return read_range_from_medium(core, file.as_ref(), key, row, skip..skip + len);
        }
    }
    let file = open(core, row, Source::Cache)?;
    if range.offset_bytes <= JOIN_BYTES {
        let bytes = read_bytes(core, file.as_ref(), HEADER_BYTES + skip + len, start)?;
        check_header(core, key, row, &bytes)?;
        return Ok(bytes.slice(HEADER_BYTES + skip..));
    }
    let mut header = [0; HEADER_BYTES];
    fill(file.as_ref(), &mut header, start)?;
    check_header(core, key, row, &header)?;
    read_bytes(core, file.as_ref(), len, start + (HEADER_BYTES + skip) as u64)
}

/// Reads `len` bytes, into a buffer that is used again when there are many.
fn read_bytes(
    core: &Core,
    file: &dyn VfsFile,
    len: usize,
    offset_bytes: u64,
) -> Result<Bytes, ReadFault> {
    if (len as u64) < BYPASS_BYTES {
        let mut bytes = vec![0; len];
        fill(file, &mut bytes, offset_bytes)?;
        return Ok(Bytes::from(bytes));
    }
    let mut buffer = core.buffers.take(len);
    fill(file, &mut buffer.bytes_mut()[..len], offset_bytes)?;
    Ok(Bytes::from_owner(buffer).slice(..len))
}

/// Reads a range past the page cache, in whole pages.
fn read_range_from_medium(
    core: &Core,
    file: &dyn VfsFile,
    key: ShardKey,
    row: &ShardRow,
    range: Range<usize>,
) -> Result<Bytes, ReadFault> {
    let start = row.position.offset_bytes;
    let mut from = (HEADER_BYTES + range.start) / PAGE_BYTES * PAGE_BYTES;
    if from as u64 <= JOIN_BYTES {
        from = 0;
    } else {
        let mut header = core.buffers.take(PAGE_BYTES);
        fill(file, &mut header.bytes_mut()[..PAGE_BYTES], start)?;
        check_header(core, key, row, header.as_ref())?;
    }
    // Records end on a page boundary, so the last page is there.
    let len = (HEADER_BYTES + range.end).next_multiple_of(PAGE_BYTES) - from;
    let mut buffer = core.buffers.take(len);
    fill(file, &mut buffer.bytes_mut()[..len], start + from as u64)?;
    if from == 0 {
        check_header(core, key, row, buffer.as_ref())?;
    }
    let first = HEADER_BYTES + range.start - from;
    Ok(Bytes::from_owner(buffer).slice(first..first + range.len()))
}

fn open(core: &Core, row: &ShardRow, source: Source) -> Result<Arc<dyn VfsFile>, ReadFault> {
    core.files.open(row.position.segment, source).map_err(|error| ReadFault::io(&error))
}

/// Fills `buffer` or says why not.
fn fill(file: &dyn VfsFile, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadFault> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset_bytes + filled as u64) {
            Ok(0) => return Err(ReadFault::content("its record is cut off")),
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadFault::io(&error)),
        }
    }
    Ok(())
}

fn check_header(core: &Core, key: ShardKey, row: &ShardRow, bytes: &[u8]) -> Result<(), ReadFault> {
    debug_assert!(row.position.offset_bytes.is_multiple_of(PAGE_BYTES as u64));
    let found = RecordHeader::decode(bytes, core.superblock.uuid)
        .map_err(|error| ReadFault::content(error.to_string()))?;
    let expected = RecordHeader {
        kind: RecordKind::Shard,
        key: Some(key),
        seq: row.seq,
        position: row.position,
        payload_bytes: row.payload_bytes,
        root: row.root,
    };
    if found == expected {
        Ok(())
    } else {
        Err(ReadFault::content("its record is not the one the index describes"))
    }
}
