//! The code [`crate::Codec::CauchyGf8`]: systematic Reed–Solomon over GF(2⁸) with a Cauchy matrix.
//!
//! # Format
//! The field is that of [`field`], modulo the polynomial x⁸ + x⁴ + x³ + x² + 1 over GF(2), bit `n` of
//! a byte being the coefficient of xⁿ. Byte `b` of parity shard `i` is the sum over all data shards `j` of
//! `a(i, j) ·` byte `b` of data shard `j`, where, with `⊕` as exclusive or of the numbers,
//!
//! ```text
//!           (255 ⊕ j) · (255 ⊕ i)
//! a(i, j) = ─────────────────────      for i + j < 255
//!           (255 ⊕ i ⊕ j) · 255
//! ```
//!
//! It is the Cauchy matrix 1 / (xᵢ + yⱼ) over xᵢ = 255 ⊕ i and yⱼ = j, with its rows and columns
//! scaled so that the first row and the first column are ones: the first parity shard is the
//! exclusive or of the data.
//!
//! Invariants:
//! - every square submatrix of a Cauchy matrix is regular, and scaling keeps it so; hence any `k`
//!   of up to 256 shards determine the others;
//! - a coefficient depends on its place alone, not on `k` and `m`: fewer shards are a prefix of more;
//! - every byte is coded on its own, so any equal ranges of shards decode, whatever their alignment;
//! - the bytes are the same from every kernel.
//!
//! Deliberately absent: caching of decoding matrices. Solving for two of six shards takes under a
//! microsecond, see `solving_is_cheap` among the tests.

mod field;
mod kernel;

use kernel::Kernel;

const SCALED_CAUCHY: &str = "square submatrices of a Cauchy matrix are regular";

/// Lines of coefficients: for each shard to make, one factor for each source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    rows: Vec<Vec<u8>>,
}

impl Matrix {
    /// The coefficients of the named parity shards over all data shards.
    pub(crate) fn of_parity(k: usize, parity: impl Iterator<Item = usize>) -> Self {
        let row = |parity| (0..k).map(|data| coefficient(parity, data)).collect();
        Self { rows: parity.map(row).collect() }
    }

    /// The coefficients of `wanted` shards over exactly `k` distinct `sources`, both named by
    /// index, data shards first.
    pub(crate) fn of_restoring(k: usize, sources: &[usize], wanted: &[usize]) -> Self {
        assert_eq!(sources.len(), k, "k shards: one equation for each unknown");
        let lost: Vec<usize> = (0..k).filter(|data| !sources.contains(data)).collect();
        let parity: Vec<usize> =
            sources.iter().filter_map(|source| source.checked_sub(k)).collect();
        let equations = parity
            .iter()
            .map(|parity| lost.iter().map(|data| coefficient(*parity, *data)).collect())
            .collect();
        // lost = solution · (parity - what the data shards that are left add to it)
        let solution = invert(equations).expect(SCALED_CAUCHY);
        let row = |wanted: &usize| {
            let over_data = |data: usize| match wanted.checked_sub(k) {
                Some(parity) => coefficient(parity, data),
                None => u8::from(*wanted == data),
            };
            let over_parity: Vec<u8> = (0..parity.len())
                .map(|equation| {
                    sum(lost.iter().zip(&solution).map(|(data, of_lost)| {
                        field::multiply(over_data(*data), of_lost[equation])
                    }))
                })
                .collect();
            let over_source = |source: &usize| match source.checked_sub(k) {
                Some(number) => {
                    let equation = parity.iter().position(|parity| *parity == number);
                    over_parity[equation.expect("listed above")]
                }
                None => {
                    let through_parity = parity.iter().zip(&over_parity).map(|(parity, factor)| {
                        field::multiply(*factor, coefficient(*parity, *source))
                    });
                    over_data(*source) ^ sum(through_parity)
                }
            };
            sources.iter().map(over_source).collect()
        };
        Self { rows: wanted.iter().map(row).collect() }
    }

    /// Fills each of `made` with its line of the matrix times `sources`. All slices have the same
    /// length; there are as many as the matrix has lines and columns.
    pub(crate) fn multiply(&self, sources: &[&[u8]], made: &mut [&mut [u8]]) {
        kernel::combine(Kernel::best(), &self.rows, sources, made);
    }
}

/// The factor of a data shard in a parity shard, each by its number among its kind.
fn coefficient(parity: usize, data: usize) -> u8 {
    assert!(parity + data < 255, "at most 256 shards");
    let (i, j) = (parity as u8, data as u8);
    let above = field::multiply(255 ^ j, 255 ^ i);
    let below = field::multiply(255 ^ i ^ j, 255);
    field::multiply(above, field::inverse(below))
}

fn sum(elements: impl Iterator<Item = u8>) -> u8 {
    elements.fold(0, |sum, element| sum ^ element)
}

/// The inverse of a square matrix by Gauss–Jordan elimination; `None` when there is none.
fn invert(mut matrix: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let size = matrix.len();
    for (index, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| u8::from(column == index)));
    }
    for column in 0..size {
        let pivot = (column..size).find(|row| matrix[*row][column] != 0)?;
        matrix.swap(column, pivot);
        let reciprocal = field::inverse(matrix[column][column]);
        for element in &mut matrix[column] {
            *element = field::multiply(*element, reciprocal);
        }
        let pivot_row = matrix[column].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column];
            for (element, pivot) in row.iter_mut().zip(&pivot_row) {
                *element ^= field::multiply(*pivot, factor);
            }
        }
    }
    Some(matrix.into_iter().map(|mut row| row.split_off(size)).collect())
}

#[cfg(test)]
mod tests;
