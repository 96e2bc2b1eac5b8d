//! The kernel of processors without vectors, and of the last bytes of the others.

use std::ops::Range;

use super::super::field::NIBBLES;

/// Fills a range of `made`.
pub(super) fn combine(row: &[u8], sources: &[&[u8]], made: &mut [u8], range: Range<usize>) {
    let made = &mut made[range.clone()];
    made.fill(0);
    for (factor, source) in row.iter().zip(sources) {
        let (low, high) = NIBBLES[usize::from(*factor)].split_at(16);
        for (sum, byte) in made.iter_mut().zip(&source[range.clone()]) {
            *sum ^= low[usize::from(byte & 15)] ^ high[usize::from(byte >> 4)];
        }
    }
}
