//! The kernel for AArch64.
//!
//! The intrinsics are safe where their instructions are enabled. Lanes are read and written as arrays
//! of bytes rather than through the intrinsics that take pointers: those are slow in builds with
//! debug assertions.

use std::arch::aarch64::*;
use std::mem::transmute;
use std::ops::Range;

use super::super::field::NIBBLES;
use super::lanes::start;

/// A table instruction looks up the products of 16 nibbles.
pub(super) mod neon {
    use super::*;

    type Lane = uint8x16_t;
    /// Lanes for which a factor is loaded once. Chosen: sums of four results fit into registers.
    const LANES: usize = 4;

    start!("neon");

    #[inline]
    #[target_feature(enable = "neon")]
    fn zero() -> Lane {
        vdupq_n_u8(0)
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
    #[target_feature(enable = "neon")]
    fn operand(lane: Lane) -> (Lane, Lane) {
        (vandq_u8(lane, vdupq_n_u8(15)), vshrq_n_u8::<4>(lane))
    }

    /// Products of low and of high nibbles.
    #[inline]
    #[target_feature(enable = "neon")]
    fn factor(factor: u8) -> (Lane, Lane) {
        let tables = NIBBLES[usize::from(factor)].as_chunks::<16>().0;
        (load(&tables[0]), load(&tables[1]))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn product(operand: (Lane, Lane), factor: (Lane, Lane)) -> Lane {
        add(vqtbl1q_u8(factor.0, operand.0), vqtbl1q_u8(factor.1, operand.1))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn add(a: Lane, b: Lane) -> Lane {
        veorq_u8(a, b)
    }
}
