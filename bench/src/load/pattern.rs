//! Object contents that follow from seed and key, so that every byte read can be checked.
//!
//! A table of pseudo-random bytes is made once per seed; an object is the table repeated, beginning
//! at an offset that follows from its key. Sending and checking need no copy and no computation.
//!
//! Invariants:
//! - the same seed, key and offset always give the same byte, in every run and version;
//! - the table's length is a prime, so bytes of an object that are misplaced by any distance that
//!   is not a multiple of it differ: chunks, stripes and parts that change places are noticed;
//! - two objects agree only when their beginnings do, once in four million pairs.
//!
//! Deliberately absent: contents that do not compress or repeat over more than 4 MiB; a server
//! that removes duplicates would have to be measured in another way.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Length of the table: the largest prime below 2^22. Chosen: larger than a second-level cache,
/// small beside the memory of the objects in flight.
const PERIOD: usize = 4_194_301;

/// Bytes handed to the connection at once. Chosen: long enough that hyper writes them as they are.
const FRAME_LEN_BYTES: usize = 256 << 10;

/// The contents of all objects under one seed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    table: Bytes,
    seed: u64,
}

/// The content of one object.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    table: Bytes,
    start: usize,
    len_bytes: u64,
}

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        let words = (0..PERIOD.div_ceil(8) as u64).flat_map(|index| {
            scramble(seed.wrapping_add(index.wrapping_mul(GOLDEN))).to_le_bytes()
        });
        let mut table: Vec<u8> = words.collect();
        table.truncate(PERIOD);
        Self { table: table.into(), seed }
    }

    /// The content of the object `key`, `len_bytes` long.
    pub(crate) fn content(&self, key: &str, len_bytes: u64) -> Content {
        let start = scramble(self.seed ^ hash(key)) % PERIOD as u64;
        let start = usize::try_from(start).expect("below the period");
        Content { table: self.table.clone(), start, len_bytes }
    }
}

impl Content {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The bytes `first..first + len_bytes` as a request body.
    pub(crate) fn body(&self, first: u64, len_bytes: u64) -> ContentBody {
        ContentBody { content: self.clone(), offset: first, end: first + len_bytes }
    }

    /// SHA-256 of the bytes `first..first + len_bytes`, in hexadecimal.
    pub(crate) fn sha256_hex(&self, first: u64, len_bytes: u64) -> String {
        let mut context = digest::Context::new(&SHA256);
        let mut body = self.body(first, len_bytes);
        while let Some(bytes) = body.next_frame() {
            context.update(&bytes);
        }
        hex::encode(context.finish())
    }

    /// Where `bytes`, read at `offset`, first differ from the content, if they do. Bytes behind
    /// the end differ.
    pub(crate) fn first_difference(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut offset = offset;
        let mut left = bytes;
        while !left.is_empty() {
            let expected = self.slice(offset, left.len());
            if expected.is_empty() {
                return Some(offset);
            }
            let (now, later) = left.split_at(expected.len());
            if now != expected {
                let matching = now.iter().zip(&expected).take_while(|(is, should)| is == should);
                return Some(offset + matching.count() as u64);
            }
            offset += now.len() as u64;
            left = later;
        }
        None
    }

    /// Contiguous bytes at `offset`, at most `len_max`; empty only at the end.
    fn slice(&self, offset: u64, len_max: usize) -> Bytes {
        let left = self.len_bytes.saturating_sub(offset);
        let at = (self.start as u64 + offset) % PERIOD as u64;
        let at = usize::try_from(at).expect("below the period");
        let len = len_max.min(PERIOD - at).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.table.slice(at..at + len)
    }
}

/// A range of a content on its way to a server.
#[derive(Clone, Debug)]
pub(crate) struct ContentBody {
    content: Content,
    offset: u64,
    end: u64,
}

impl ContentBody {
    fn next_frame(&mut self) -> Option<Bytes> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let bytes = self.content.slice(self.offset, left.min(FRAME_LEN_BYTES));
        self.offset += bytes.len() as u64;
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_frame().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.offset)
    }
}

/// 2^64 divided by the golden ratio. Source: splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of splitmix64: every bit of the result depends on every bit of `number`.
pub(crate) fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(GOLDEN);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static PATTERN: LazyLock<Pattern> = LazyLock::new(|| Pattern::new(1));

    fn bytes_of(content: &Content, first: u64, len: u64) -> Vec<u8> {
        let mut body = content.body(first, len);
        std::iter::from_fn(|| body.next_frame()).flatten().collect()
    }

    #[test]
    fn contents_are_the_same_in_every_version() {
        let content = PATTERN.content("bench/1/o/0000000000", 16);
        assert_eq!(hex::encode(bytes_of(&content, 0, 16)), "16cb10cc9dfd6d3c10b680ef744f194d");
    }

    #[test]
    fn the_period_is_prime() {
        assert!((2..2048).all(|divisor| !PERIOD.is_multiple_of(divisor)));
        const { assert!(PERIOD < 2048 * 2048) };
    }

    #[test]
    fn seeds_and_keys_give_other_contents() {
        let of = |pattern: &Pattern, key: &str| bytes_of(&pattern.content(key, 64), 0, 64);
        assert_ne!(of(&PATTERN, "a"), of(&PATTERN, "b"));
        assert_ne!(of(&PATTERN, "a"), of(&Pattern::new(2), "a"));
    }

    #[test]
    fn chunks_that_change_places_are_noticed() {
        let len = 16 << 20;
        let content = PATTERN.content("a", len);
        for step in [4 << 10, 64 << 10, 1 << 20, 8 << 20] {
            let moved = bytes_of(&content, step, 4096);
            assert!(content.first_difference(0, &moved).is_some(), "{step}");
        }
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let content = PATTERN.content("a", 10 << 20);
        let mut body = content.body(5, 9 << 20);
        assert_eq!(body.size_hint().exact(), Some(9 << 20));
        let mut sent = 0;
        while let Some(bytes) = body.next_frame() {
            sent += bytes.len();
        }
        assert_eq!(sent, 9 << 20);
        assert!(body.is_end_stream());
        assert!(content.body(0, 0).is_end_stream());
    }

    #[test]
    fn the_hash_is_that_of_the_bytes() {
        let content = PATTERN.content("a", 6 << 20);
        let expected = digest::digest(&SHA256, &bytes_of(&content, 7, 5 << 20));
        assert_eq!(content.sha256_hex(7, 5 << 20), hex::encode(expected));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_found_where_it_is(
            first in 0_u64..5_000_000,
            len in 1_usize..2000,
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let content = PATTERN.content("a", 5_002_000);
            let mut bytes = bytes_of(&content, first, len as u64);
            prop_assert_eq!(content.first_difference(first, &bytes), None);
            let at = at.index(len);
            bytes[at] ^= flip;
            prop_assert_eq!(content.first_difference(first, &bytes), Some(first + at as u64));
        }

        #[test]
        fn bytes_behind_the_end_are_wrong(len in 0_u64..1000, more in 1_u64..100) {
            let long = bytes_of(&PATTERN.content("a", 2000), 0, len + more);
            let content = PATTERN.content("a", len);
            prop_assert_eq!(content.first_difference(0, &long), Some(len));
        }
    }
}
