//! Values of index rows: fixed layouts, integers big-endian, each opening with a version byte.
//!
//! Invariant: decoding bytes of any length and content gives a row or [`RowError`].

use node_proto::{DeviceUuid, ShardKey, ShardRoot, UnixMillis};

use crate::record::{NUMBER_END, Position, SegmentId, Seq, record_bytes};

const VERSION: u8 = 1;

/// A row does not decode.
#[derive(Debug, thiserror::Error)]
#[error("a {kind} row does not decode")]
pub(crate) struct RowError {
    pub(crate) kind: &'static str,
}

/// Where a shard lies and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardRow {
    pub(crate) position: Position,
    pub(crate) seq: Seq,
    pub(crate) payload_bytes: u32,
    pub(crate) root: ShardRoot,
}

impl ShardRow {
    pub(crate) fn record_bytes(&self) -> u64 {
        record_bytes(u64::from(self.payload_bytes))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_u64s(&mut out, &[self.position.segment.0, self.position.offset_bytes, self.seq.0]);
        out.extend_from_slice(&self.payload_bytes.to_be_bytes());
        out.extend_from_slice(&self.root.0);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::new(bytes, "shard")?;
        let row = Self {
            position: fields.position()?,
            seq: Seq(fields.u64()?),
            payload_bytes: u32::from_be_bytes(fields.take()?),
            root: ShardRoot(fields.take()?),
        };
        fields.end(row)
    }
}

/// What lives at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The current record of a shard.
    Shard(ShardKey),
    /// Tombstones that may still be needed.
    Tombstones { count: u32 },
}

impl Place {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Shard(key) => {
                out.push(1);
                out.extend_from_slice(&key.encode());
            }
            Self::Tombstones { count } => {
                out.push(2);
                out.extend_from_slice(&count.to_be_bytes());
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::new(bytes, "place")?;
        let [kind] = fields.take()?;
        let place = match kind {
            1 => {
                let key: [u8; ShardKey::ENCODED_LEN] = fields.take()?;
                Self::Shard(ShardKey::decode(&key).expect("the array has a key's length"))
            }
            2 => Self::Tombstones { count: u32::from_be_bytes(fields.take()?) },
            _ => return Err(RowError { kind: "place" }),
        };
        fields.end(place)
    }
}

/// What lives in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentStats {
    /// Record bytes of current shards.
    pub(crate) live_bytes: u64,
    /// Current shards.
    pub(crate) live_shards: u64,
    /// Tombstones that may still be needed.
    pub(crate) tombstones: u64,
    /// Nothing lives here and the file is about to be unlinked, or already is.
    pub(crate) retiring: bool,
}

impl SegmentStats {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_u64s(&mut out, &[self.live_bytes, self.live_shards, self.tombstones]);
        out.push(u8::from(self.retiring));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::new(bytes, "segment")?;
        let stats = Self {
            live_bytes: fields.u64()?,
            live_shards: fields.u64()?,
            tombstones: fields.u64()?,
            retiring: fields.take::<1>()? != [0],
        };
        fields.end(stats)
    }
}

/// Up to where the index is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The formatting the index belongs to.
    pub(crate) uuid: DeviceUuid,
    /// Records before this position are in the index.
    pub(crate) position: Position,
    /// First sequence number not used before the checkpoint.
    pub(crate) next_seq: Seq,
    /// First segment number not used before the checkpoint.
    pub(crate) next_segment: SegmentId,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.uuid.0);
        put_u64s(
            &mut out,
            &[
                self.position.segment.0,
                self.position.offset_bytes,
                self.next_seq.0,
                self.next_segment.0,
            ],
        );
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::new(bytes, "checkpoint")?;
        let checkpoint = Self {
            uuid: DeviceUuid(fields.take()?),
            position: fields.position()?,
            next_seq: Seq(fields.u64()?),
            next_segment: SegmentId(fields.u64()?),
        };
        if checkpoint.next_seq.0 > NUMBER_END || checkpoint.next_segment.0 > NUMBER_END {
            return Err(RowError { kind: "checkpoint" });
        }
        fields.end(checkpoint)
    }
}

/// How far scrubbing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScrubCursor {
    /// Whether a pass is under way.
    pub(crate) running: bool,
    /// The next position to verify.
    pub(crate) next: Position,
    /// The last segment of the pass: the newest one when it started.
    pub(crate) last_segment: SegmentId,
    /// When the last pass ended; the formatting of the drive before the first.
    pub(crate) last_end: UnixMillis,
    pub(crate) verified_shards: u64,
    pub(crate) verified_bytes: u64,
    pub(crate) damaged_shards: u64,
}

impl ScrubCursor {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.running)];
        put_u64s(
            &mut out,
            &[
                self.next.segment.0,
                self.next.offset_bytes,
                self.last_segment.0,
                self.last_end.0,
                self.verified_shards,
                self.verified_bytes,
                self.damaged_shards,
            ],
        );
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::new(bytes, "scrub")?;
        let cursor = Self {
            running: fields.take::<1>()? != [0],
            next: fields.position()?,
            last_segment: SegmentId(fields.u64()?),
            last_end: UnixMillis(fields.u64()?),
            verified_shards: fields.u64()?,
            verified_bytes: fields.u64()?,
            damaged_shards: fields.u64()?,
        };
        fields.end(cursor)
    }
}

fn put_u64s(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Reads fields off the front of a row.
struct Fields<'a> {
    rest: &'a [u8],
    kind: &'static str,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], kind: &'static str) -> Result<Self, RowError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Self { rest, kind }),
            _ => Err(RowError { kind }),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(RowError { kind: self.kind })?;
        self.rest = rest;
        Ok(*field)
    }

    fn u64(&mut self) -> Result<u64, RowError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn position(&mut self) -> Result<Position, RowError> {
        Ok(Position { segment: SegmentId(self.u64()?), offset_bytes: self.u64()? })
    }

    fn end<T>(&self, row: T) -> Result<T, RowError> {
        if self.rest.is_empty() { Ok(row) } else { Err(RowError { kind: self.kind }) }
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{ManifestId, ShardIndex, StripeSeq};
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn position() -> Position {
        Position { segment: SegmentId(2), offset_bytes: 0x3000 }
    }

    #[test]
    fn shard_row_has_golden_bytes() {
        let row = ShardRow {
            position: position(),
            seq: Seq(9),
            payload_bytes: 0x1234,
            root: ShardRoot([0xab; 32]),
        };
        assert_eq!(
            hex(&row.encode()),
            format!(
                "01000000000000000200000000000030000000000000000009{}{}",
                "00001234",
                "ab".repeat(32)
            )
        );
        assert_eq!(ShardRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn place_has_golden_bytes() {
        let shard = Place::Shard(ShardKey {
            manifest: ManifestId(1),
            stripe: StripeSeq(2),
            index: ShardIndex(3),
        });
        assert_eq!(hex(&shard.encode()), "010100000000000000010000000203");
        let tombstones = Place::Tombstones { count: 5 };
        assert_eq!(hex(&tombstones.encode()), "010200000005");
        for place in [shard, tombstones] {
            assert_eq!(Place::decode(&place.encode()).unwrap(), place);
        }
    }

    #[test]
    fn segment_stats_have_golden_bytes() {
        let stats = SegmentStats { live_bytes: 1, live_shards: 2, tombstones: 3, retiring: true };
        assert_eq!(hex(&stats.encode()), "0100000000000000010000000000000002000000000000000301");
        assert_eq!(SegmentStats::decode(&stats.encode()).unwrap(), stats);
    }

    #[test]
    fn checkpoint_has_golden_bytes() {
        let checkpoint = Checkpoint {
            uuid: DeviceUuid([0xd2; 16]),
            position: position(),
            next_seq: Seq(4),
            next_segment: SegmentId(3),
        };
        assert_eq!(
            hex(&checkpoint.encode()),
            format!(
                "01{}0000000000000002000000000000300000000000000000040000000000000003",
                "d2".repeat(16)
            )
        );
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).unwrap(), checkpoint);
    }

    #[test]
    fn checkpoint_without_room_for_further_numbers_is_refused() {
        let at = |next_seq, next_segment| Checkpoint {
            uuid: DeviceUuid([0xd2; 16]),
            position: position(),
            next_seq: Seq(next_seq),
            next_segment: SegmentId(next_segment),
        };
        assert!(Checkpoint::decode(&at(NUMBER_END, NUMBER_END).encode()).is_ok());
        assert!(Checkpoint::decode(&at(u64::MAX, 3).encode()).is_err());
        assert!(Checkpoint::decode(&at(4, u64::MAX).encode()).is_err());
    }

    #[test]
    fn scrub_cursor_has_golden_bytes() {
        let cursor = ScrubCursor {
            running: true,
            next: position(),
            last_segment: SegmentId(5),
            last_end: UnixMillis(6),
            verified_shards: 7,
            verified_bytes: 8,
            damaged_shards: 9,
        };
        assert_eq!(
            hex(&cursor.encode()),
            "0101000000000000000200000000000030000000000000000005000000000000\
             0006000000000000000700000000000000080000000000000009"
        );
        assert_eq!(ScrubCursor::decode(&cursor.encode()).unwrap(), cursor);
    }

    proptest! {
        #[test]
        fn arbitrary_rows_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = ShardRow::decode(&bytes);
            let _ = Place::decode(&bytes);
            let _ = SegmentStats::decode(&bytes);
            let _ = Checkpoint::decode(&bytes);
            let _ = ScrubCursor::decode(&bytes);
        }
    }
}
