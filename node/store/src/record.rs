//! The record: the unit a segment consists of.
//!
//! Layout, integers big-endian, every record starting on a 4 KiB boundary of its segment:
//!
//! | Offset | Bytes | Field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `DMRECORD` |
//! | 8 | 2 | version, 1 |
//! | 10 | 1 | kind: 1 shard, 2 tombstones |
//! | 11 | 13 | shard key; zeros for tombstones |
//! | 24 | 8 | sequence number |
//! | 32 | 8 | segment the record was written to |
//! | 40 | 8 | offset within that segment |
//! | 48 | 4 | payload length |
//! | 52 | 4 | zeros |
//! | 56 | 32 | BLAKE3 of the payload |
//! | 88 | 4 | zeros |
//! | 92 | 4 | CRC-32 of the device uuid followed by bytes 0..92 |
//! | 96 | n | payload |
//! | 96 + n | 8 | magic `DMRECEND` |
//! | 104 + n | 8 | sequence number |
//! | … | | zeros up to the next 4 KiB boundary |
//!
//! Invariants:
//! - a header decodes only at the place it was written to and only on the formatting that wrote it:
//!   a record copied by accident, or embedded in a payload, is not taken for one;
//! - decoding never panics and never allocates by a length it has not checked.
//!
//! Deliberately absent: I/O, and any idea of which record of a key is current.

use node_proto::{DeviceUuid, ShardKey, ShardRoot};

/// Alignment of records, in bytes: the logical sector of O_DIRECT on every drive in use.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Length of a record header in bytes.
pub(crate) const HEADER_BYTES: usize = 96;
/// Length of a record trailer in bytes.
pub(crate) const TRAILER_BYTES: usize = 16;
/// Length of one encoded [`Tombstone`] in bytes.
pub(crate) const TOMBSTONE_BYTES: usize = ShardKey::ENCODED_LEN + 16;

/// Sequence and segment numbers from here on are damage: no drive counts that far, and there must
/// be room for the numbers that follow.
pub(crate) const NUMBER_END: u64 = 1 << 62;

const MAGIC: [u8; 8] = *b"DMRECORD";
const END_MAGIC: [u8; 8] = *b"DMRECEND";
const VERSION: u16 = 1;

/// Number of a segment. Grows with every segment a drive starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId(pub(crate) u64);

/// Order in which shards were written and deleted on this drive. A moved record keeps its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seq(pub(crate) u64);

/// Where a record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: SegmentId,
    pub(crate) offset_bytes: u64,
}

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// One shard; the payload is the shard.
    Shard,
    /// Deletions; the payload is a run of encoded [`Tombstone`]s.
    Tombstones,
}

/// A decoded record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    /// `None` for tombstones.
    pub(crate) key: Option<ShardKey>,
    pub(crate) seq: Seq,
    pub(crate) position: Position,
    pub(crate) payload_bytes: u32,
    pub(crate) root: ShardRoot,
}

/// Why bytes are not a record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the record ends early")]
    Short,
    #[error("no record starts here")]
    NoMagic,
    #[error("the record header fails its checksum")]
    BadChecksum,
    #[error("the record has unknown version {version}")]
    UnknownVersion { version: u16 },
    #[error("the record has unknown kind {kind}")]
    UnknownKind { kind: u8 },
    #[error("the record has a number that no drive reaches")]
    ImpossibleNumber,
}

impl RecordHeader {
    pub(crate) fn encode(&self, uuid: DeviceUuid) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_be_bytes());
        out[10] = match self.kind {
            RecordKind::Shard => 1,
            RecordKind::Tombstones => 2,
        };
        if let Some(key) = &self.key {
            out[11..24].copy_from_slice(&key.encode());
        }
        out[24..32].copy_from_slice(&self.seq.0.to_be_bytes());
        out[32..40].copy_from_slice(&self.position.segment.0.to_be_bytes());
        out[40..48].copy_from_slice(&self.position.offset_bytes.to_be_bytes());
        out[48..52].copy_from_slice(&self.payload_bytes.to_be_bytes());
        out[56..88].copy_from_slice(&self.root.0);
        let crc = header_crc(uuid, &out[..92]);
        out[92..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8], uuid: DeviceUuid) -> Result<Self, HeaderError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Short)?;
        if header[..8] != MAGIC {
            return Err(HeaderError::NoMagic);
        }
        if header_crc(uuid, &header[..92]) != be_u32(&header[92..]) {
            return Err(HeaderError::BadChecksum);
        }
        let version = u16::from_be_bytes([header[8], header[9]]);
        if version != VERSION {
            return Err(HeaderError::UnknownVersion { version });
        }
        let (kind, key) = match header[10] {
            1 => (
                RecordKind::Shard,
                Some(ShardKey::decode(&header[11..24]).expect("the slice has a key's length")),
            ),
            2 => (RecordKind::Tombstones, None),
            kind => return Err(HeaderError::UnknownKind { kind }),
        };
        let (seq, segment) = (be_u64(&header[24..]), be_u64(&header[32..]));
        if seq >= NUMBER_END || segment >= NUMBER_END {
            return Err(HeaderError::ImpossibleNumber);
        }
        Ok(Self {
            kind,
            key,
            seq: Seq(seq),
            position: Position { segment: SegmentId(segment), offset_bytes: be_u64(&header[40..]) },
            payload_bytes: be_u32(&header[48..]),
            root: ShardRoot(header[56..88].try_into().expect("the slice has 32 bytes")),
        })
    }

    /// Decodes a header and insists that it was written at `position`.
    pub(crate) fn decode_at(
        bytes: &[u8],
        uuid: DeviceUuid,
        position: Position,
    ) -> Result<Self, HeaderError> {
        let header = Self::decode(bytes, uuid)?;
        if header.position == position { Ok(header) } else { Err(HeaderError::NoMagic) }
    }

    /// Bytes the record takes in its segment.
    pub(crate) fn record_bytes(&self) -> u64 {
        record_bytes(u64::from(self.payload_bytes))
    }
}

/// Bytes a record with `payload_bytes` of payload takes in a segment.
pub(crate) fn record_bytes(payload_bytes: u64) -> u64 {
    let page = PAGE_BYTES as u64;
    (HEADER_BYTES as u64 + payload_bytes + TRAILER_BYTES as u64).div_ceil(page) * page
}

pub(crate) fn encode_trailer(seq: Seq) -> [u8; TRAILER_BYTES] {
    let mut out = [0; TRAILER_BYTES];
    out[..8].copy_from_slice(&END_MAGIC);
    out[8..].copy_from_slice(&seq.0.to_be_bytes());
    out
}

/// Whether `bytes` start with the trailer of the record with number `seq`.
pub(crate) fn trailer_matches(bytes: &[u8], seq: Seq) -> bool {
    bytes.get(..TRAILER_BYTES).is_some_and(|found| found == encode_trailer(seq))
}

/// One deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) key: ShardKey,
    /// Records of the key with a lower number are dead.
    pub(crate) seq: Seq,
    /// The segment the deletion was first written to. Every record it kills lies there or in an
    /// earlier segment, so it may be forgotten when those are gone.
    pub(crate) origin: SegmentId,
}

pub(crate) fn encode_tombstones(tombstones: &[Tombstone]) -> Vec<u8> {
    let mut out = Vec::with_capacity(tombstones.len() * TOMBSTONE_BYTES);
    for tombstone in tombstones {
        out.extend_from_slice(&tombstone.key.encode());
        out.extend_from_slice(&tombstone.seq.0.to_be_bytes());
        out.extend_from_slice(&tombstone.origin.0.to_be_bytes());
    }
    out
}

/// Reads what [`encode_tombstones`] wrote; `None` when the length does not fit.
pub(crate) fn decode_tombstones(payload: &[u8]) -> Option<Vec<Tombstone>> {
    if !payload.len().is_multiple_of(TOMBSTONE_BYTES) {
        return None;
    }
    payload
        .chunks_exact(TOMBSTONE_BYTES)
        .map(|chunk| {
            let (key, rest) = chunk.split_at(ShardKey::ENCODED_LEN);
            Some(Tombstone {
                key: ShardKey::decode(key).ok()?,
                seq: Seq(be_u64(rest)),
                origin: SegmentId(be_u64(&rest[8..])),
            })
        })
        .collect()
}

pub(crate) fn root_of(payload: &[u8]) -> ShardRoot {
    ShardRoot(*blake3::hash(payload).as_bytes())
}

fn header_crc(uuid: DeviceUuid, covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&uuid.0);
    hasher.update(covered);
    hasher.finalize()
}

/// The first four bytes as a number. Callers pass slices of fixed-size headers.
fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("the caller passes four bytes or more"))
}

/// The first eight bytes as a number. Callers pass slices of fixed-size headers.
fn be_u64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("the caller passes eight bytes or more"))
}

#[cfg(test)]
mod tests {
    use node_proto::{ManifestId, ShardIndex, StripeSeq};
    use proptest::prelude::*;

    use super::*;

    const UUID: DeviceUuid = DeviceUuid([0x5a; 16]);

    fn key() -> ShardKey {
        ShardKey {
            manifest: ManifestId(0x0102_0304_0506_0708),
            stripe: StripeSeq(0x0a0b_0c0d),
            index: ShardIndex(5),
        }
    }

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind::Shard,
            key: Some(key()),
            seq: Seq(0x1112_1314_1516_1718),
            position: Position { segment: SegmentId(0x21), offset_bytes: 0x3000 },
            payload_bytes: 0x0004_0000,
            root: ShardRoot([0xee; 32]),
        }
    }

    #[test]
    fn header_has_golden_bytes() {
        let golden = "444d5245434f524400010101020304050607080a0b0c0d05\
                      1112131415161718000000000000002100000000000030000004000000000000\
                      eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
                      00000000dd222dfb";
        assert_eq!(hex(&header().encode(UUID)), golden);
    }

    #[test]
    fn trailer_has_golden_bytes() {
        assert_eq!(hex(&encode_trailer(Seq(0x0102))), "444d524543454e440000000000000102");
    }

    #[test]
    fn tombstones_have_golden_bytes() {
        let tombstone = Tombstone { key: key(), seq: Seq(9), origin: SegmentId(7) };
        assert_eq!(
            hex(&encode_tombstones(&[tombstone])),
            "01020304050607080a0b0c0d0500000000000000090000000000000007"
        );
        assert_eq!(decode_tombstones(&encode_tombstones(&[tombstone])), Some(vec![tombstone]));
        assert_eq!(decode_tombstones(&[0; TOMBSTONE_BYTES + 1]), None);
    }

    #[test]
    fn a_record_of_another_formatting_or_place_is_not_one() {
        let bytes = header().encode(UUID);
        assert_eq!(
            RecordHeader::decode(&bytes, DeviceUuid([1; 16])),
            Err(HeaderError::BadChecksum)
        );
        let elsewhere = Position { segment: SegmentId(0x21), offset_bytes: 0x4000 };
        assert_eq!(RecordHeader::decode_at(&bytes, UUID, elsewhere), Err(HeaderError::NoMagic));
    }

    #[test]
    fn numbers_that_leave_no_room_for_the_next_are_damage() {
        let decoded = |header: RecordHeader| RecordHeader::decode(&header.encode(UUID), UUID);
        let last = RecordHeader { seq: Seq(NUMBER_END - 1), ..header() };
        assert_eq!(decoded(last), Ok(last));
        for seq in [NUMBER_END, u64::MAX] {
            let found = decoded(RecordHeader { seq: Seq(seq), ..header() });
            assert_eq!(found, Err(HeaderError::ImpossibleNumber));
        }
        let position = Position { segment: SegmentId(u64::MAX), offset_bytes: 0 };
        let found = decoded(RecordHeader { position, ..header() });
        assert_eq!(found, Err(HeaderError::ImpossibleNumber));
    }

    #[test]
    fn records_take_whole_pages() {
        assert_eq!(record_bytes(0), 4096);
        assert_eq!(record_bytes(4096 - 112), 4096);
        assert_eq!(record_bytes(4096 - 111), 8192);
        assert_eq!(record_bytes(2 << 20), (2 << 20) + 4096);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(byte in 0..HEADER_BYTES, bit in 0..8u32) {
            let mut bytes = header().encode(UUID);
            bytes[byte] ^= 1 << bit;
            prop_assert!(RecordHeader::decode(&bytes, UUID).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RecordHeader::decode(&bytes, UUID);
            let _ = decode_tombstones(&bytes);
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
