//! The kernels of the processor's ordinary registers: one stream, or few side by side.
//!
//! MD5 of one stream is bound by the latency of a chain of operations, not by their number. So the
//! order of additions matters, and two streams together take hardly longer than one.

use crate::rounds::{self, Lane, STEP_LEN_BYTES, STEP_WORDS, State, Words};

/// Streams side by side whose states fit into the registers.
pub(crate) const SIDE_BY_SIDE: usize = 2;

/// Advances one stream over `steps`.
pub(crate) fn advance(state: &mut State, steps: &[[u8; STEP_LEN_BYTES]]) {
    let mut states = [*state];
    for index in 0..steps.len() {
        rounds::compress(&mut states, &[u32::step(&[steps], index)]);
    }
    [*state] = states;
}

/// Up to two lanes.
pub(crate) fn advance_side_by_side(lanes: &mut [Lane<'_>]) {
    match lanes {
        [lane] => advance(lane.state, lane.steps),
        lanes => rounds::advance::<u32, SIDE_BY_SIDE>(lanes),
    }
}

/// One stream.
impl Words for u32 {
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn load(words: &[u32]) -> Self {
        words[0]
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        words[0] = self;
    }

    #[inline(always)]
    fn step(inputs: &[&[[u8; STEP_LEN_BYTES]]], index: usize) -> [Self; STEP_WORDS] {
        let (words, _) = inputs[0][index].as_chunks();
        std::array::from_fn(|word| Self::from_le_bytes(words[word]))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn settled(mut self) -> Self {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: no instruction, no memory, no flag.
        unsafe {
            std::arch::asm!(
                "/* {0:e} */", inout(reg) self, options(pure, nomem, nostack, preserves_flags),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: no instruction, no memory, no flag.
        unsafe {
            std::arch::asm!(
                "/* {0:w} */", inout(reg) self, options(pure, nomem, nostack, preserves_flags),
            );
        }
        self
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self) -> Self {
        self.rotate_left(BY.unsigned_abs())
    }

    #[inline(always)]
    fn f(early: Self, b: Self, c: Self, d: Self) -> Self {
        early.wrapping_add(d ^ (b & (c ^ d)))
    }

    #[inline(always)]
    fn g(early: Self, b: Self, c: Self, d: Self) -> Self {
        // The halves have no bit in common, so one may be added after the other.
        early.wrapping_add(!d & c).settled().wrapping_add(d & b)
    }

    #[inline(always)]
    fn h(early: Self, b: Self, c: Self, d: Self) -> Self {
        early.wrapping_add(b ^ (c ^ d))
    }

    #[inline(always)]
    fn i(early: Self, b: Self, c: Self, d: Self) -> Self {
        early.wrapping_add(c ^ (b | !d))
    }
}
