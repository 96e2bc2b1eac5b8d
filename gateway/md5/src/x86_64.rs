//! Kernels of AVX-512 and AVX2.

use std::arch::{asm, x86_64::*};

use crate::rounds::{self, Lane, STEP_LEN_BYTES, STEP_WORDS, Words};

/// How far ahead of the step at hand a lane's bytes are fetched. Measured: so many streams at once
/// are more than the processor's own prefetcher follows.
const PREFETCH_STEPS: usize = 8;

/// Streams in one AVX-512 register.
pub(crate) const AVX512_LANES: usize = 16;

/// Streams in one AVX2 register.
pub(crate) const AVX2_LANES: usize = 8;

/// Up to 16 lanes.
#[target_feature(enable = "avx512f")]
pub(crate) fn advance_avx512(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Avx512, 1>(lanes);
}

/// Up to 32 lanes.
#[target_feature(enable = "avx512f")]
pub(crate) fn advance_avx512_twice(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Avx512, 2>(lanes);
}

/// Up to 8 lanes.
#[target_feature(enable = "avx2")]
pub(crate) fn advance_avx2(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Avx2, 1>(lanes);
}

/// Up to 16 lanes.
#[target_feature(enable = "avx2")]
pub(crate) fn advance_avx2_twice(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Avx2, 2>(lanes);
}

#[inline(always)]
fn prefetch(steps: &[[u8; STEP_LEN_BYTES]], index: usize) {
    let ahead = steps.as_ptr().wrapping_add(index + PREFETCH_STEPS);
    // SAFETY: a prefetch is a hint; it neither reads nor faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
}

/// Sixteen streams.
#[derive(Clone, Copy)]
struct Avx512(__m512i);

// SAFETY of all intrinsics below: they are inlined into `advance_avx512*`, which a caller may only
// reach on a processor with AVX-512F; loads and stores are of arrays of their length.
impl Words for Avx512 {
    const LANES: usize = AVX512_LANES;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_set1_epi32(word as i32) })
    }

    #[inline(always)]
    fn load(words: &[u32]) -> Self {
        let words: &[u32; AVX512_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words: &mut [u32; AVX512_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn step(inputs: &[&[[u8; STEP_LEN_BYTES]]], index: usize) -> [Self; STEP_WORDS] {
        // Loops, not closures: those would not inherit the kernel's instructions.
        let mut rows = [Self::splat(0).0; AVX512_LANES];
        for (row, input) in rows.iter_mut().zip(inputs) {
            prefetch(input, index);
            // SAFETY: see above; a step is as long as the register.
            *row = unsafe { _mm512_loadu_si512(input[index].as_ptr().cast()) };
        }
        // SAFETY: see above.
        let columns = unsafe { transpose_16(rows) };
        let mut words = [Self::splat(0); STEP_WORDS];
        for (word, column) in words.iter_mut().zip(columns) {
            *word = Self(column);
        }
        words
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn settled(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { settled_zmm(self.0) })
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_rol_epi32::<BY>(self.0) })
    }

    // The constants are the truth tables of the functions over (first, second, third) operand.

    #[inline(always)]
    fn f(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { _mm512_ternarylogic_epi32::<0xca>(b.0, c.0, d.0) }))
    }

    #[inline(always)]
    fn g(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { _mm512_ternarylogic_epi32::<0xe4>(b.0, c.0, d.0) }))
    }

    #[inline(always)]
    fn h(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { _mm512_ternarylogic_epi32::<0x96>(b.0, c.0, d.0) }))
    }

    #[inline(always)]
    fn i(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { _mm512_ternarylogic_epi32::<0x39>(b.0, c.0, d.0) }))
    }
}

/// See [`Words::settled`].
#[inline]
#[target_feature(enable = "avx512f")]
fn settled_zmm(mut value: __m512i) -> __m512i {
    // SAFETY: no instruction, no memory, no flag.
    unsafe {
        asm!("/* {0} */", inout(zmm_reg) value, options(pure, nomem, nostack, preserves_flags))
    };
    value
}

/// Turns sixteen rows of sixteen words into sixteen columns: first within each quarter of a row,
/// then the quarters.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_16(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = rows;
    for (pair, row) in pairs.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
        pair[0] = _mm512_unpacklo_epi32(row[0], row[1]);
        pair[1] = _mm512_unpackhi_epi32(row[0], row[1]);
    }
    // In `fours[4 * i + w]`, quarter `q` holds word `4 * q + w` of rows `4 * i` to `4 * i + 3`.
    let mut fours = pairs;
    for (four, pair) in fours.chunks_exact_mut(4).zip(pairs.chunks_exact(4)) {
        four[0] = _mm512_unpacklo_epi64(pair[0], pair[2]);
        four[1] = _mm512_unpackhi_epi64(pair[0], pair[2]);
        four[2] = _mm512_unpacklo_epi64(pair[1], pair[3]);
        four[3] = _mm512_unpackhi_epi64(pair[1], pair[3]);
    }
    let mut columns = fours;
    for word in 0..4 {
        let quarter = |four: usize| fours[4 * four + word];
        let low_01 = _mm512_shuffle_i32x4::<0x88>(quarter(0), quarter(1));
        let high_01 = _mm512_shuffle_i32x4::<0xdd>(quarter(0), quarter(1));
        let low_23 = _mm512_shuffle_i32x4::<0x88>(quarter(2), quarter(3));
        let high_23 = _mm512_shuffle_i32x4::<0xdd>(quarter(2), quarter(3));
        columns[word] = _mm512_shuffle_i32x4::<0x88>(low_01, low_23);
        columns[8 + word] = _mm512_shuffle_i32x4::<0xdd>(low_01, low_23);
        columns[4 + word] = _mm512_shuffle_i32x4::<0x88>(high_01, high_23);
        columns[12 + word] = _mm512_shuffle_i32x4::<0xdd>(high_01, high_23);
    }
    columns
}

/// Eight streams.
#[derive(Clone, Copy)]
struct Avx2(__m256i);

// SAFETY of all intrinsics below: they are inlined into `advance_avx2*`, which a caller may only
// reach on a processor with AVX2; loads and stores are of arrays of their length.
impl Words for Avx2 {
    const LANES: usize = AVX2_LANES;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_set1_epi32(word as i32) })
    }

    #[inline(always)]
    fn load(words: &[u32]) -> Self {
        let words: &[u32; AVX2_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words: &mut [u32; AVX2_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn step(inputs: &[&[[u8; STEP_LEN_BYTES]]], index: usize) -> [Self; STEP_WORDS] {
        // Loops, not closures: those would not inherit the kernel's instructions.
        let mut words = [Self::splat(0); STEP_WORDS];
        let mut rows = [Self::splat(0).0; AVX2_LANES];
        for (half, words) in words.chunks_exact_mut(AVX2_LANES).enumerate() {
            for (row, input) in rows.iter_mut().zip(inputs) {
                prefetch(input, index);
                let (halves, _) = input[index].as_chunks::<{ STEP_LEN_BYTES / 2 }>();
                // SAFETY: see above; half a step is as long as the register.
                *row = unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) };
            }
            // SAFETY: see above.
            let columns = unsafe { transpose_8(rows) };
            for (word, column) in words.iter_mut().zip(columns) {
                *word = Self(column);
            }
        }
        words
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn settled(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { settled_ymm(self.0) })
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe {
            _mm256_or_si256(_mm256_slli_epi32::<BY>(self.0), _mm256_srli_epi32::<REST>(self.0))
        })
    }

    #[inline(always)]
    fn f(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe {
            _mm256_xor_si256(d.0, _mm256_and_si256(b.0, _mm256_xor_si256(c.0, d.0)))
        }))
    }

    #[inline(always)]
    fn g(early: Self, b: Self, c: Self, d: Self) -> Self {
        // The halves have no bit in common, so one may be added after the other.
        // SAFETY: see above.
        let (late, soon) = unsafe { (_mm256_and_si256(d.0, b.0), _mm256_andnot_si256(d.0, c.0)) };
        early.add(Self(soon)).settled().add(Self(late))
    }

    #[inline(always)]
    fn h(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { _mm256_xor_si256(b.0, _mm256_xor_si256(c.0, d.0)) }))
    }

    #[inline(always)]
    fn i(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe {
            let not_d = _mm256_xor_si256(d.0, _mm256_set1_epi32(-1));
            _mm256_xor_si256(c.0, _mm256_or_si256(b.0, not_d))
        }))
    }
}

/// See [`Words::settled`].
#[inline]
#[target_feature(enable = "avx2")]
fn settled_ymm(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction, no memory, no flag.
    unsafe {
        asm!("/* {0} */", inout(ymm_reg) value, options(pure, nomem, nostack, preserves_flags))
    };
    value
}

/// Turns eight rows of eight words into eight columns: first within each half of a row, then the
/// halves.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_8(rows: [__m256i; 8]) -> [__m256i; 8] {
    let mut pairs = rows;
    for (pair, row) in pairs.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
        pair[0] = _mm256_unpacklo_epi32(row[0], row[1]);
        pair[1] = _mm256_unpackhi_epi32(row[0], row[1]);
    }
    // In `fours[4 * i + w]`, half `h` holds word `4 * h + w` of rows `4 * i` to `4 * i + 3`.
    let mut fours = pairs;
    for (four, pair) in fours.chunks_exact_mut(4).zip(pairs.chunks_exact(4)) {
        four[0] = _mm256_unpacklo_epi64(pair[0], pair[2]);
        four[1] = _mm256_unpackhi_epi64(pair[0], pair[2]);
        four[2] = _mm256_unpacklo_epi64(pair[1], pair[3]);
        four[3] = _mm256_unpackhi_epi64(pair[1], pair[3]);
    }
    let mut columns = fours;
    for word in 0..4 {
        columns[word] = _mm256_permute2x128_si256::<0x20>(fours[word], fours[4 + word]);
        columns[4 + word] = _mm256_permute2x128_si256::<0x31>(fours[word], fours[4 + word]);
    }
    columns
}
