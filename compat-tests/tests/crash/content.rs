//! What an object or an upload is made of.

use bytes::Bytes;
use compat_tests::payload;
use md5::{Digest as _, Md5};

/// The smallest part S3 takes but for the last.
pub(crate) const PART_LEN: usize = 5 * 1024 * 1024;

/// Bytes in one AEAD chunk. Source: the geometry in `docs/ARCHITECTURE.md`.
const CHUNK_LEN: usize = 64 * 1024;

/// Bytes in one stripe. Source: the same.
const STRIPE_LEN: usize = 8 * 1024 * 1024;

/// Bytes that a body may have and stay in the metadata. Source: the same.
const INLINE_LEN_MAX: usize = 4 * 1024;

/// What rounding the chunks of a short body to whole KiB adds to a shard of 32 at most.
const ROUNDING_LEN_MAX: usize = 32 * 1024;

/// What a shard takes on a drive beyond its chunks: header, trailer, padding to pages and the tags
/// of its chunks. Chosen: two pages.
const SHARD_OVERHEAD: u64 = 8 * 1024;

/// The content of an object: generated from `seed`, `len` bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) len: usize,
    /// Whether it was uploaded in parts of [`PART_LEN`].
    pub(crate) in_parts: bool,
    /// What its ETag shows: its MD5, or that of its parts' MD5s.
    md5: [u8; 16],
}

/// What bodies take on the drives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) shards: u64,
    pub(crate) bytes: u64,
}

impl Content {
    pub(crate) fn new(seed: u64, len: usize) -> Self {
        let md5 = Md5::digest(payload::bytes(seed, len)).into();
        Self { seed, len, in_parts: false, md5 }
    }

    /// The same for an upload in parts.
    pub(crate) fn in_parts(seed: u64, len: usize) -> Self {
        let bytes = payload::bytes(seed, len);
        let parts = bytes.chunks(PART_LEN).flat_map(Md5::digest).collect::<Vec<u8>>();
        Self { seed, len, in_parts: true, md5: Md5::digest(parts).into() }
    }

    pub(crate) fn bytes(self) -> Bytes {
        payload::bytes(self.seed, self.len)
    }

    /// How many parts it is uploaded in.
    pub(crate) fn part_count(self) -> usize {
        self.len.div_ceil(PART_LEN).max(1)
    }

    /// One part's bytes, counted from 0.
    pub(crate) fn part(self, index: usize) -> Bytes {
        let bytes = self.bytes();
        let start = (index * PART_LEN).min(bytes.len());
        bytes.slice(start..(start + PART_LEN).min(bytes.len()))
    }

    /// The ETag that S3 gives an object with this content, with quotes.
    pub(crate) fn etag(self) -> String {
        let md5 = hex::encode(self.md5);
        if self.in_parts {
            format!("\"{md5}-{}\"", self.part_count())
        } else {
            format!("\"{md5}\"")
        }
    }

    /// What it takes on the drives while all of them are up.
    pub(crate) fn footprint(self) -> Footprint {
        if self.in_parts {
            let part = |index: usize| PART_LEN.min(self.len - index * PART_LEN);
            return (0..self.part_count()).map(|index| footprint_of_body(part(index))).sum();
        }
        footprint_of_body(self.len)
    }
}

fn footprint_of_body(len: usize) -> Footprint {
    if len <= INLINE_LEN_MAX {
        return Footprint::default();
    }
    if len > CHUNK_LEN && len <= STRIPE_LEN {
        // The chunks of a body of one stripe are as long as it takes to fill its shards evenly.
        return footprint(4, len.div_ceil(4) + ROUNDING_LEN_MAX);
    }
    let stripe = |index: usize| STRIPE_LEN.min(len - index * STRIPE_LEN);
    (0..len.div_ceil(STRIPE_LEN)).map(|index| footprint_of_stripe(stripe(index))).sum()
}

/// Each data shard is a run of whole chunks, and none of them is empty.
fn footprint_of_stripe(len: usize) -> Footprint {
    let chunks = len.div_ceil(CHUNK_LEN);
    let chunks_per_shard = chunks.div_ceil(chunks.min(4));
    footprint(chunks.div_ceil(chunks_per_shard), chunks_per_shard * CHUNK_LEN)
}

fn footprint(data_shards: usize, shard_len: usize) -> Footprint {
    let shards = data_shards as u64 + 2;
    Footprint { shards, bytes: shards * (shard_len as u64 + SHARD_OVERHEAD) }
}

impl std::iter::Sum for Footprint {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |sum, one| Self {
            shards: sum.shards + one.shards,
            bytes: sum.bytes + one.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(len: usize, in_parts: bool) -> u64 {
        Content { seed: 0, len, in_parts, md5: [0; 16] }.footprint().shards
    }

    #[test]
    fn shards_follow_the_documented_geometry() {
        let cases =
            [(0, 0), (4096, 0), (4097, 3), (65_536, 3), (65_537, 6), (1 << 20, 6), (8 << 20, 6)];
        for (len, expected) in cases {
            assert_eq!(shards(len, false), expected, "{len}");
        }
        assert_eq!(shards(STRIPE_LEN + 1, false), 9, "one full stripe and one of a single chunk");
        assert_eq!(shards(STRIPE_LEN + 5 * CHUNK_LEN, false), 11, "three shards take five chunks");
        assert_eq!(shards(PART_LEN + 1, true), 6, "the last part is kept in the metadata");
        assert_eq!(shards(PART_LEN + 5000, true), 9);
    }

    #[test]
    fn parts_put_together_are_the_content() {
        let content = Content::in_parts(7, 2 * PART_LEN + 11);
        let parts: Vec<u8> = (0..content.part_count()).flat_map(|i| content.part(i)).collect();
        assert_eq!(parts, content.bytes());
        assert!(content.etag().ends_with("-3\""));
    }
}
