//! Entry points for fuzzing: everything that is read back from a drive.
//!
//! Each function takes any bytes and panics when a property of the reading side does not hold. The
//! targets of `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! Checksums hide what lies behind them from a fuzzer, so inputs that are mostly structure are
//! given right ones here.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

mod drive;
mod script;
mod segment;

pub use drive::drive;
pub use segment::segment;

use node_proto::{DeviceUuid, ShardKey};

use crate::{
    record::{
        HEADER_BYTES, PAGE_BYTES, RecordHeader, TOMBSTONE_BYTES, decode_tombstones,
        encode_tombstones, encode_trailer, trailer_matches,
    },
    rows::{Checkpoint, Place, RowError, ScrubCursor, SegmentStats, ShardRow},
    superblock::Superblock,
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

const UUID: DeviceUuid = DeviceUuid([0x5a; 16]);

/// A record's header, trailer, and the tombstones of its payload.
///
/// What decodes encodes to the same header; a header is one on its own formatting only; tombstones
/// are a plain list.
pub fn record(data: &[u8]) {
    let _ = RecordHeader::decode(data, UUID);
    let mut header = [0; HEADER_BYTES];
    let given = data.len().min(HEADER_BYTES);
    header[..given].copy_from_slice(&data[..given]);
    header[..8].copy_from_slice(b"DMRECORD");
    let mut crc = crc32fast::Hasher::new();
    crc.update(&UUID.0);
    crc.update(&header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..].copy_from_slice(&crc.finalize().to_be_bytes());
    if let Ok(found) = RecordHeader::decode(&header, UUID) {
        assert_eq!(RecordHeader::decode(&found.encode(UUID), UUID), Ok(found));
        assert_eq!(RecordHeader::decode_at(&header, UUID, found.position), Ok(found));
        assert!(RecordHeader::decode(&header, DeviceUuid([0; 16])).is_err());
        let bytes = found.record_bytes();
        assert!(bytes.is_multiple_of(PAGE_BYTES as u64));
        assert!(bytes > u64::from(found.payload_bytes));
        let trailer = encode_trailer(found.seq);
        assert!(trailer_matches(&trailer, found.seq));
        assert_eq!(trailer_matches(data, found.seq), data.starts_with(&trailer));
    }
    match decode_tombstones(data) {
        Some(found) => assert_eq!(encode_tombstones(&found), data),
        None => assert!(!data.len().is_multiple_of(TOMBSTONE_BYTES)),
    }
    if let Ok(key) = ShardKey::decode(data) {
        assert_eq!(key.encode(), data);
    }
}

/// A superblock, as it is and with a right magic and checksum.
///
/// What decodes encodes to the same superblock.
pub fn superblock(data: &[u8]) {
    let mut sealed = data.to_vec();
    if let [magic, .., _, _, _, _] = &mut sealed[..]
        && *magic != 0
        && let Some(covered) = data.len().checked_sub(4).filter(|covered| *covered >= 8)
    {
        sealed[..8].copy_from_slice(b"DMDRIVE1");
        let crc = crc32fast::hash(&sealed[..covered]);
        sealed[covered..].copy_from_slice(&crc.to_be_bytes());
    }
    for bytes in [data, &sealed] {
        if let Ok(found) = Superblock::decode(bytes) {
            let again = Superblock::decode(&found.encode()).expect("what was encoded decodes");
            assert_eq!(again, found);
        }
    }
}

/// Values of index rows. The first byte chooses the kind.
///
/// What decodes encodes to the same bytes, but for the one byte of a truth value.
pub fn index_row(data: &[u8]) {
    let Some((kind, value)) = data.split_first() else {
        return;
    };
    match kind % 5 {
        0 => round_trip(value, ShardRow::decode, ShardRow::encode),
        1 => round_trip(value, Place::decode, Place::encode),
        2 => round_trip(value, SegmentStats::decode, SegmentStats::encode),
        3 => round_trip(value, Checkpoint::decode, Checkpoint::encode),
        _ => round_trip(value, ScrubCursor::decode, ScrubCursor::encode),
    }
}

fn round_trip<T: PartialEq + std::fmt::Debug>(
    value: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, RowError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(row) = decode(value) else {
        return;
    };
    let encoded = encode(&row);
    assert_eq!(encoded.len(), value.len());
    assert_eq!(decode(&encoded).expect("what was encoded decodes"), row);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("store_record", record);
        kept::replay("store_superblock", superblock);
        kept::replay("store_index_row", index_row);
        kept::replay("store_segment", segment);
        kept::replay("store_drive", drive);
    }
}
