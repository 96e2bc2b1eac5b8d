//! Scanning one segment, against a reference that knows no windows and no read-ahead.

use std::{collections::BTreeSet, io};

use arbitrary::{Result, Unstructured};

use super::{UUID, script::Script};
use crate::{
    record::{
        HEADER_BYTES, PAGE_BYTES, Position, RecordHeader, RecordKind, SegmentId, Tombstone,
        decode_tombstones, root_of, trailer_matches,
    },
    scan::{Depth, Found, Scan, ScanEnd, ScanError},
    vfs::VfsFile,
};

const SEGMENT: SegmentId = SegmentId(7);
const PAGE: u64 = PAGE_BYTES as u64;

/// What is seen of a record.
pub(super) type Seen = (RecordHeader, Option<Vec<Tombstone>>);

/// A segment of any content, on a medium with pages that cannot be read.
///
/// The scan visits exactly the sound records, in order, however it starts and however deep it
/// looks; what it visits has a right header and trailer, and where it looks whole, a right payload.
pub fn segment(data: &[u8]) {
    // The input ended where a choice was due: there is nothing to look at.
    let _ = play(&mut Unstructured::new(data));
}

fn play(input: &mut Unstructured<'_>) -> Result<()> {
    let depth = if input.arbitrary()? { Depth::Whole } else { Depth::Ends };
    let mut unreadable = BTreeSet::new();
    for _ in 0..input.int_in_range(0..=3u8)? {
        unreadable.insert(input.int_in_range(0..=31u64)?);
    }
    let pick: u8 = input.arbitrary()?;
    let bytes = match input.arbitrary()? {
        true => Script::play(input, UUID, SEGMENT, 1)?.bytes,
        // Raw bytes, a fresh page at most.
        false => input.bytes(input.len())?.to_vec(),
    };
    let file = Memory { bytes, unreadable };
    let (seen, end) = scan(&file, 0, depth);
    assert_eq!(seen, reference(&file, depth).0);
    assert_eq!(end, reference(&file, depth).1);
    let Some((middle, _)) = seen.get(usize::from(pick) % seen.len().max(1)) else {
        return Ok(());
    };
    let from_bytes = middle.position.offset_bytes;
    let (tail, _) = scan(&file, from_bytes, depth);
    let behind = seen.iter().filter(|(header, _)| header.position.offset_bytes >= from_bytes);
    assert!(tail.iter().eq(behind), "a scan from a record on sees what a whole scan sees there");
    Ok(())
}

fn scan(file: &Memory, from_bytes: u64, depth: Depth) -> (Vec<Seen>, ScanEnd) {
    let len_bytes = file.bytes.len() as u64;
    let scan = Scan { file, segment: SEGMENT, uuid: UUID, from_bytes, len_bytes, depth };
    let mut seen = Vec::new();
    let end = scan.run(|found| -> std::result::Result<(), ()> {
        seen.push(match found {
            Found::Shard(header) => (header, None),
            Found::Tombstones(header, tombstones) => (header, Some(tombstones)),
        });
        Ok(())
    });
    match end {
        Ok(end) => (seen, end),
        Err(ScanError::Io(error)) => panic!("a bad page ended the scan: {error}"),
        Err(ScanError::Visit(())) => panic!("the visitor never fails"),
    }
}

fn reference(file: &Memory, depth: Depth) -> (Vec<Seen>, ScanEnd) {
    let (seen, end) = sound_records(&file.bytes, UUID, SEGMENT, depth, |from, to| {
        (from / PAGE..to.div_ceil(PAGE)).all(|page| !file.unreadable.contains(&page))
    });
    (seen, end)
}

/// The sound records of a segment, page by page. `readable` says whether a range can be read.
pub(super) fn sound_records(
    bytes: &[u8],
    uuid: node_proto::DeviceUuid,
    segment: SegmentId,
    depth: Depth,
    readable: impl Fn(u64, u64) -> bool,
) -> (Vec<Seen>, ScanEnd) {
    let mut seen = Vec::new();
    let mut end = ScanEnd::default();
    let mut in_damage = false;
    let mut at = 0;
    while at + HEADER_BYTES <= bytes.len() {
        let position = Position { segment, offset_bytes: at as u64 };
        let found = RecordHeader::decode_at(&bytes[at..], uuid, position)
            .ok()
            .filter(|_| readable(at as u64, at as u64 + 1))
            .and_then(|header| sound(header, &bytes[at..], depth, &readable));
        match found {
            None => {
                in_damage = true;
                at += PAGE_BYTES;
            }
            Some(found) => {
                end.damaged_runs += u64::from(in_damage);
                in_damage = false;
                at += usize::try_from(found.0.record_bytes()).expect("it fits the segment");
                end.sound_bytes = at as u64;
                seen.push(found);
            }
        }
    }
    (seen, end)
}

/// The record that `header` heads, when it is sound. `bytes` start with it.
fn sound(
    header: RecordHeader,
    bytes: &[u8],
    depth: Depth,
    readable: &impl Fn(u64, u64) -> bool,
) -> Option<Seen> {
    let start = header.position.offset_bytes;
    let record = bytes.get(..usize::try_from(header.record_bytes()).ok()?)?;
    let payload_end = HEADER_BYTES + header.payload_bytes as usize;
    let whole = depth == Depth::Whole || header.kind == RecordKind::Tombstones;
    let first = if whole { 0 } else { payload_end as u64 / PAGE * PAGE };
    if !readable(start + first, start + header.record_bytes())
        || !trailer_matches(&record[payload_end..], header.seq)
    {
        return None;
    }
    let payload = &record[HEADER_BYTES..payload_end];
    if whole && root_of(payload) != header.root {
        return None;
    }
    match header.kind {
        RecordKind::Shard => Some((header, None)),
        RecordKind::Tombstones => decode_tombstones(payload).map(|found| (header, Some(found))),
    }
}

/// A file in memory. Reading any of the bad pages fails.
struct Memory {
    bytes: Vec<u8>,
    unreadable: BTreeSet<u64>,
}

impl VfsFile for Memory {
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let start = usize::try_from(offset_bytes).map_err(io::Error::other)?;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        let pages = offset_bytes / PAGE..(offset_bytes + len as u64).div_ceil(PAGE);
        if self.unreadable.range(pages).next().is_some() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_all_at(&self, _bytes: &[u8], _offset_bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _len_bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn bypasses_cache(&self) -> bool {
        false
    }
}
