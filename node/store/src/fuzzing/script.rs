//! Segments made by a script, so that a fuzzer reaches what lies behind checksums.
//!
//! A script appends sound records, copies, garbage and records whose header lies, overwrites and
//! cuts off. Every choice comes from the fuzzer's bytes.

use arbitrary::{Result, Unstructured};
use node_proto::{DeviceUuid, ManifestId, ShardIndex, ShardKey, StripeSeq};

use crate::record::{
    HEADER_BYTES, PAGE_BYTES, Position, RecordHeader, RecordKind, SegmentId, Seq, Tombstone,
    encode_tombstones, encode_trailer, root_of,
};

/// Longest segment a script makes. Longer ones take the same paths.
const SEGMENT_BYTES_MAX: usize = 192 << 10;
/// Most steps of a script.
const STEPS_MAX: usize = 40;

/// A segment in the making.
pub(super) struct Script {
    pub(super) uuid: DeviceUuid,
    pub(super) segment: SegmentId,
    pub(super) bytes: Vec<u8>,
    next_seq: u64,
}

impl Script {
    /// Plays the steps that `input` holds for one segment. `next_seq` is the first number that
    /// sound records get.
    pub(super) fn play(
        input: &mut Unstructured<'_>,
        uuid: DeviceUuid,
        segment: SegmentId,
        next_seq: u64,
    ) -> Result<Self> {
        let mut script = Self { uuid, segment, bytes: Vec::new(), next_seq };
        for _ in 0..STEPS_MAX {
            if input.is_empty() || script.bytes.len() > SEGMENT_BYTES_MAX {
                break;
            }
            script.step(input)?;
        }
        script.bytes.truncate(SEGMENT_BYTES_MAX);
        Ok(script)
    }

    /// The number after the last one used.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=7u8)? {
            0..=2 => self.shard(input),
            3 => self.tombstones(input),
            4 => {
                let len = input.int_in_range(0..=200usize)?.min(input.len());
                self.bytes.extend_from_slice(input.bytes(len)?);
                Ok(())
            }
            5 => {
                let at = input.choose_index(self.bytes.len().max(1))?;
                let len = input.int_in_range(0..=16usize)?.min(input.len());
                let over = input.bytes(len)?;
                let end = (at + len).min(self.bytes.len());
                self.bytes[at..end].copy_from_slice(&over[..end - at]);
                Ok(())
            }
            6 => {
                let len = input.choose_index(self.bytes.len() + 1)?;
                self.bytes.truncate(len);
                Ok(())
            }
            // A record that was copied to where it was not written.
            _ => {
                let pages = self.bytes.len() / PAGE_BYTES;
                let from = input.choose_index(pages.max(1))? * PAGE_BYTES;
                let end = (from + 2 * PAGE_BYTES).min(self.bytes.len());
                self.align();
                self.bytes.extend_from_within(from.min(end)..end);
                Ok(())
            }
        }
    }

    fn shard(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let key = key(input)?;
        let len = match input.int_in_range(0..=3u8)? {
            0 => input.int_in_range(0..=64usize)?,
            1 => PAGE_BYTES - HEADER_BYTES - input.int_in_range(0..=32usize)?,
            2 => PAGE_BYTES + input.int_in_range(0..=64usize)?,
            _ => input.int_in_range(0..=40usize)? << 10,
        };
        let payload = vec![input.arbitrary()?; len];
        self.append(RecordKind::Shard, Some(key), &payload, input)
    }

    fn tombstones(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let count = input.int_in_range(0..=4usize)?;
        let mut tombstones = Vec::new();
        for _ in 0..count {
            let seq = Seq(self.number(input)?);
            let origin = SegmentId(input.int_in_range(0..=3)?);
            tombstones.push(Tombstone { key: key(input)?, seq, origin });
        }
        self.append(RecordKind::Tombstones, None, &encode_tombstones(&tombstones), input)
    }

    fn append(
        &mut self,
        kind: RecordKind,
        key: Option<ShardKey>,
        payload: &[u8],
        input: &mut Unstructured<'_>,
    ) -> Result<()> {
        self.align();
        let offset_bytes = self.bytes.len() as u64;
        let mut header = RecordHeader {
            kind,
            key,
            seq: Seq(self.number(input)?),
            position: Position { segment: self.segment, offset_bytes },
            payload_bytes: u32::try_from(payload.len()).expect("scripts write short payloads"),
            root: root_of(payload),
        };
        // One record in eight lies about itself.
        match input.int_in_range(0..=31u8)? {
            0 => header.position.offset_bytes = input.arbitrary()?,
            1 => header.payload_bytes = input.arbitrary()?,
            2 => header.root.0[0] ^= 1,
            3 => header.position.segment = SegmentId(input.arbitrary()?),
            _ => {}
        }
        self.bytes.extend_from_slice(&header.encode(self.uuid));
        self.bytes.extend_from_slice(payload);
        self.bytes.extend_from_slice(&encode_trailer(header.seq));
        self.align();
        Ok(())
    }

    /// Mostly the next number, sometimes an earlier one, rarely any.
    fn number(&mut self, input: &mut Unstructured<'_>) -> Result<u64> {
        match input.int_in_range(0..=15u8)? {
            0 => input.arbitrary(),
            1..=3 => input.int_in_range(0..=self.next_seq),
            _ => {
                self.next_seq += 1;
                Ok(self.next_seq - 1)
            }
        }
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(PAGE_BYTES), 0);
    }
}

/// One of a few keys, so that records meet.
fn key(input: &mut Unstructured<'_>) -> Result<ShardKey> {
    let bits: u8 = input.arbitrary()?;
    Ok(ShardKey {
        manifest: ManifestId(u64::from(bits & 3)),
        stripe: StripeSeq(u32::from(bits >> 2 & 1)),
        index: ShardIndex(bits >> 3 & 1),
    })
}
