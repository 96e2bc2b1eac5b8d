//! Kernels for x86-64, one module per set of instructions.
//!
//! The intrinsics are safe where their instructions are enabled. Lanes are read and written as arrays
//! of bytes rather than through the intrinsics that take pointers: those are slow in builds with
//! debug assertions.

use std::arch::x86_64::*;
use std::mem::transmute;
use std::ops::Range;

use super::super::field::{AFFINE, NIBBLES};
use super::lanes::start;

/// The affine instruction multiplies by any constant of any field of bytes.
pub(super) mod gfni_512 {
    use super::*;

    type Lane = __m512i;
    /// Lanes for which a factor is loaded once. Chosen: sums of four results fit into registers.
    const LANES: usize = 4;

    start!("gfni,avx512f");

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Lane {
        _mm512_setzero_si512()
    }

    #[inline]
    fn load(lane: &[u8; 64]) -> Lane {
        // SAFETY: any 64 bytes are a lane.
        unsafe { transmute::<[u8; 64], Lane>(*lane) }
    }

    #[inline]
    fn store(lane: &mut [u8; 64], sum: Lane) {
        // SAFETY: any lane is 64 bytes.
        *lane = unsafe { transmute::<Lane, [u8; 64]>(sum) };
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn operand(lane: Lane) -> Lane {
        lane
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn factor(factor: u8) -> Lane {
        _mm512_set1_epi64(AFFINE[usize::from(factor)].cast_signed())
    }

    #[inline]
    #[target_feature(enable = "gfni,avx512f")]
    fn product(operand: Lane, factor: Lane) -> Lane {
        _mm512_gf2p8affine_epi64_epi8::<0>(operand, factor)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(a: Lane, b: Lane) -> Lane {
        _mm512_xor_si512(a, b)
    }
}

/// The affine instruction on half as many bytes.
pub(super) mod gfni_256 {
    use super::*;

    type Lane = __m256i;
    /// Lanes for which a factor is loaded once. Chosen: sums of four results fit into registers.
    const LANES: usize = 2;

    start!("gfni,avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Lane {
        _mm256_setzero_si256()
    }

    #[inline]
    fn load(lane: &[u8; 32]) -> Lane {
        // SAFETY: any 32 bytes are a lane.
        unsafe { transmute::<[u8; 32], Lane>(*lane) }
    }

    #[inline]
    fn store(lane: &mut [u8; 32], sum: Lane) {
        // SAFETY: any lane is 32 bytes.
        *lane = unsafe { transmute::<Lane, [u8; 32]>(sum) };
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn operand(lane: Lane) -> Lane {
        lane
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn factor(factor: u8) -> Lane {
        _mm256_set1_epi64x(AFFINE[usize::from(factor)].cast_signed())
    }

    #[inline]
    #[target_feature(enable = "gfni,avx2")]
    fn product(operand: Lane, factor: Lane) -> Lane {
        _mm256_gf2p8affine_epi64_epi8::<0>(operand, factor)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: Lane, b: Lane) -> Lane {
        _mm256_xor_si256(a, b)
    }
}

/// A shuffle looks up the products of 32 nibbles.
pub(super) mod avx2 {
    use super::*;

    type Lane = __m256i;
    /// Lanes for which a factor is loaded once. Chosen: sums of four results fit into registers.
    const LANES: usize = 2;

    start!("avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Lane {
        _mm256_setzero_si256()
    }

    #[inline]
    fn load(lane: &[u8; 32]) -> Lane {
        // SAFETY: any 32 bytes are a lane.
        unsafe { transmute::<[u8; 32], Lane>(*lane) }
    }

    #[inline]
    fn store(lane: &mut [u8; 32], sum: Lane) {
        // SAFETY: any lane is 32 bytes.
        *lane = unsafe { transmute::<Lane, [u8; 32]>(sum) };
    }

    /// Low and high nibbles.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn operand(lane: Lane) -> (Lane, Lane) {
        let nibble = _mm256_set1_epi8(15);
        let high = _mm256_srli_epi64::<4>(lane);
        (_mm256_and_si256(lane, nibble), _mm256_and_si256(high, nibble))
    }

    /// Products of low and of high nibbles, in both halves.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn factor(factor: u8) -> (Lane, Lane) {
        let both = load(&NIBBLES[usize::from(factor)]);
        let low = _mm256_permute2x128_si256::<0x00>(both, both);
        (low, _mm256_permute2x128_si256::<0x11>(both, both))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn product(operand: (Lane, Lane), factor: (Lane, Lane)) -> Lane {
        let low = _mm256_shuffle_epi8(factor.0, operand.0);
        add(low, _mm256_shuffle_epi8(factor.1, operand.1))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: Lane, b: Lane) -> Lane {
        _mm256_xor_si256(a, b)
    }
}

/// A shuffle looks up the products of 16 nibbles.
pub(super) mod ssse3 {
    use super::*;

    type Lane = __m128i;
    /// Lanes for which a factor is loaded once. Chosen: sums of four results fit into registers.
    const LANES: usize = 2;

    start!("ssse3");

    #[inline]
    #[target_feature(enable = "sse2")]
    fn zero() -> Lane {
        _mm_setzero_si128()
    }

    #[inline]
    fn load(lane: &[u8; 16]) -> Lane {
        // SAFETY: any 16 bytes are a lane.
        unsafe { transmute::<[u8; 16], Lane>(*lane) }
    }

    #[inline]
    fn store(lane: &mut [u8; 16], sum: Lane) {
        // SAFETY: any lane is 16 bytes.
        *lane = unsafe { transmute::<Lane, [u8; 16]>(sum) };
    }

    /// Low and high nibbles.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn operand(lane: Lane) -> (Lane, Lane) {
        let nibble = _mm_set1_epi8(15);
        (_mm_and_si128(lane, nibble), _mm_and_si128(_mm_srli_epi64::<4>(lane), nibble))
    }

    /// Products of low and of high nibbles.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn factor(factor: u8) -> (Lane, Lane) {
        let tables = NIBBLES[usize::from(factor)].as_chunks::<16>().0;
        (load(&tables[0]), load(&tables[1]))
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn product(operand: (Lane, Lane), factor: (Lane, Lane)) -> Lane {
        add(_mm_shuffle_epi8(factor.0, operand.0), _mm_shuffle_epi8(factor.1, operand.1))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn add(a: Lane, b: Lane) -> Lane {
        _mm_xor_si128(a, b)
    }
}
