//! The kernel of NEON.

use std::arch::{aarch64::*, asm};

use crate::rounds::{self, Lane, STEP_LEN_BYTES, STEP_WORDS, Words};

/// Streams in one register.
pub(crate) const NEON_LANES: usize = 4;

/// Up to 4 lanes.
#[target_feature(enable = "neon")]
pub(crate) fn advance_neon(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Neon, 1>(lanes);
}

/// Up to 8 lanes.
#[target_feature(enable = "neon")]
pub(crate) fn advance_neon_twice(lanes: &mut [Lane<'_>]) {
    rounds::advance::<Neon, 2>(lanes);
}

/// Four streams.
#[derive(Clone, Copy)]
struct Neon(uint32x4_t);

// SAFETY of all intrinsics below: they are inlined into `advance_neon*`, which a caller may only
// reach on a processor with NEON; loads and stores are of arrays of their length.
impl Words for Neon {
    const LANES: usize = NEON_LANES;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { vdupq_n_u32(word) })
    }

    #[inline(always)]
    fn load(words: &[u32]) -> Self {
        let words: &[u32; NEON_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        Self(unsafe { vld1q_u32(words.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words: &mut [u32; NEON_LANES] = words.try_into().expect("one word of each lane");
        // SAFETY: see above.
        unsafe { vst1q_u32(words.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn step(inputs: &[&[[u8; STEP_LEN_BYTES]]], index: usize) -> [Self; STEP_WORDS] {
        // Loops, not closures: those would not inherit the kernel's instructions.
        let mut words = [Self::splat(0); STEP_WORDS];
        let mut rows = [Self::splat(0).0; NEON_LANES];
        for (quarter, words) in words.chunks_exact_mut(NEON_LANES).enumerate() {
            for (row, input) in rows.iter_mut().zip(inputs) {
                let (quarters, _) = input[index].as_chunks::<{ STEP_LEN_BYTES / 4 }>();
                // SAFETY: see above; a quarter of a step is as long as the register. Bytes have no
                // alignment, and the words of MD5 are in little-endian order, as here.
                *row = unsafe { vreinterpretq_u32_u8(vld1q_u8(quarters[quarter].as_ptr())) };
            }
            // SAFETY: see above.
            let columns = unsafe { transpose_4(rows) };
            for (word, column) in words.iter_mut().zip(columns) {
                *word = Self(column);
            }
        }
        words
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { vaddq_u32(self.0, other.0) })
    }

    #[inline(always)]
    fn settled(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { settled_vreg(self.0) })
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { vsriq_n_u32::<REST>(vshlq_n_u32::<BY>(self.0), self.0) })
    }

    #[inline(always)]
    fn f(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { vbslq_u32(b.0, c.0, d.0) }))
    }

    #[inline(always)]
    fn g(early: Self, b: Self, c: Self, d: Self) -> Self {
        Self::f(early, d, b, c)
    }

    #[inline(always)]
    fn h(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { veorq_u32(b.0, veorq_u32(c.0, d.0)) }))
    }

    #[inline(always)]
    fn i(early: Self, b: Self, c: Self, d: Self) -> Self {
        // SAFETY: see above.
        early.add(Self(unsafe { veorq_u32(c.0, vornq_u32(b.0, d.0)) }))
    }
}

/// See [`Words::settled`].
#[inline]
#[target_feature(enable = "neon")]
fn settled_vreg(mut value: uint32x4_t) -> uint32x4_t {
    // SAFETY: no instruction, no memory, no flag.
    unsafe {
        asm!("/* {0:v} */", inout(vreg) value, options(pure, nomem, nostack, preserves_flags))
    };
    value
}

/// Turns four rows of four words into four columns.
#[inline]
#[target_feature(enable = "neon")]
fn transpose_4(rows: [uint32x4_t; 4]) -> [uint32x4_t; 4] {
    let wide = |narrow| vreinterpretq_u64_u32(narrow);
    let narrow = |wide| vreinterpretq_u32_u64(wide);
    let (even_01, odd_01) = (vtrn1q_u32(rows[0], rows[1]), vtrn2q_u32(rows[0], rows[1]));
    let (even_23, odd_23) = (vtrn1q_u32(rows[2], rows[3]), vtrn2q_u32(rows[2], rows[3]));
    [
        narrow(vtrn1q_u64(wide(even_01), wide(even_23))),
        narrow(vtrn1q_u64(wide(odd_01), wide(odd_23))),
        narrow(vtrn2q_u64(wide(even_01), wide(even_23))),
        narrow(vtrn2q_u64(wide(odd_01), wide(odd_23))),
    ]
}
