//! Deterministic test data: a seed and a length name the same bytes in every process.
//!
//! Deliberately absent: cryptographic strength. The bytes only have to be incompressible and
//! different for different seeds.

use bytes::Bytes;

/// A small deterministic generator (SplitMix64), so that a printed seed replays a run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that yields the same sequence for the same `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; `bound` is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// `len` bytes that only `seed` determines.
#[must_use]
pub fn bytes(seed: u64, len: usize) -> Bytes {
    let mut random = Random::new(seed);
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        data.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    data.truncate(len);
    data.into()
}
