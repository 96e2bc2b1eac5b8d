//! The code [`crate::Codec::LeopardGf16`]: Reed–Solomon over GF(2¹⁶) by the reed-solomon-simd
//! crate.
//!
//! Encoding is the crate's. Its decoder is made for thousands of shards: each call costs 0.7 ms
//! before the first byte, and a 4+2 stripe then decodes at 0.6 GB/s. For the few losses of our
//! stripes it is cheaper to solve for them: parity is a linear function of the data, so encoding
//! what is left and comparing with the parity that is left gives as many equations as unknowns.
//!
//! Invariants:
//! - the parity bytes are the crate's; only how lost data is found differs;
//! - inputs are worked through in runs of columns, so that scratch memory stays in the processor's
//!   caches; it belongs to the thread and carries nothing from one call to the next.
//!
//! *Limits:* scratch memory is at most two times [`SCRATCH_LEN_BYTES`] for each thread that ever
//! coded, and 9 MiB of tables for the process.

use std::cell::RefCell;
use std::ops::Range;

use reed_solomon_simd::ReedSolomonEncoder;
use reed_solomon_simd::engine::{DefaultEngine, Engine, GF_MODULUS, GfElement, tables, utils};

use crate::geometry::{COLUMN_LEN_BYTES, StripeGeometry};

/// Scratch memory of the encoder in bytes. Chosen so that a run of columns fits into the second
/// level cache; revisit with the coding figures of the stage benchmarks.
const SCRATCH_LEN_BYTES: usize = 512 << 10;

const VALID: &str = "the geometry is within what the code supports";

type Column = [u8; COLUMN_LEN_BYTES];
type Matrix = Vec<Vec<GfElement>>;

thread_local! {
    static ENCODER: RefCell<Option<ReedSolomonEncoder>> = const { RefCell::new(None) };
}

/// The two numbers that choose a code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Data shards, at least one.
    pub(crate) k: usize,
    /// Parity shards, at least one.
    pub(crate) m: usize,
}

impl Shape {
    pub(crate) fn of(geometry: &StripeGeometry) -> Self {
        Self { k: usize::from(geometry.k()), m: usize::from(geometry.m()) }
    }
}

/// Makes those parity shards that `parity` names by their number among the parity shards, from all
/// data shards. All slices have the same length in whole columns.
pub(crate) fn encode(shape: Shape, data: &[&[u8]], parity: &mut [(usize, &mut [u8])]) {
    for run in runs(data[0].len(), shape) {
        let of_run = data.iter().map(|shard| &shard[run.clone()]);
        encode_run(shape, of_run, |index, made| {
            for (_, out) in parity.iter_mut().filter(|(wanted, _)| *wanted == index) {
                out[run.clone()].copy_from_slice(made);
            }
        });
    }
}

/// The solution for one loss: how the lost data shards follow from exactly `k` others.
#[derive(Clone, Debug)]
pub(crate) struct Restoring {
    shape: Shape,
    sources: Vec<usize>,
    wanted: Vec<usize>,
    lost: Vec<usize>,
    /// Parity shards among the sources by their number: one equation for each lost data shard.
    rows: Vec<usize>,
    /// How much of each equation's difference is in each lost data shard.
    solution: Matrix,
}

impl Restoring {
    /// Solves for the shards that are not among `sources`, which are ascending.
    pub(crate) fn new(shape: Shape, sources: &[usize], wanted: &[usize]) -> Self {
        let lost: Vec<usize> = (0..shape.k).filter(|data| !sources.contains(data)).collect();
        let rows: Vec<usize> =
            sources.iter().filter_map(|source| source.checked_sub(shape.k)).collect();
        assert_eq!(rows.len(), lost.len(), "k shards: one equation for each unknown");
        let solution = match lost[..] {
            [] => Vec::new(),
            _ => invert(coefficients(shape, &lost, &rows))
                .expect("any k shards of this code determine the others"),
        };
        Self { shape, sources: sources.to_vec(), wanted: wanted.to_vec(), lost, rows, solution }
    }

    /// Fills `restored` with the wanted shards. All slices have the same length in whole columns.
    pub(crate) fn restore(&self, sources: &[&[u8]], restored: &mut [&mut [u8]]) {
        let wanted = self.wanted.iter().copied().zip(restored.iter_mut().map(|out| &mut **out));
        let (mut data, parity): (Vec<_>, Vec<_>) =
            wanted.partition(|(index, _)| *index < self.shape.k);
        // Parity is made from all of the data, also of what is lost and not wanted.
        let unwanted = |lost: &&usize| !parity.is_empty() && !self.wanted.contains(lost);
        let mut scratch: Vec<(usize, Vec<u8>)> = self
            .lost
            .iter()
            .filter(unwanted)
            .map(|lost| (*lost, vec![0; sources[0].len()]))
            .collect();
        data.extend(scratch.iter_mut().map(|(index, bytes)| (*index, &mut bytes[..])));
        self.restore_data(sources, &mut data);
        let of = |index: usize| match self.sources.iter().position(|source| *source == index) {
            Some(source) => sources[source],
            None => {
                let made = data.iter().find(|(made, _)| *made == index);
                &*made.expect("what is not a source is made when parity is wanted").1
            }
        };
        if !parity.is_empty() {
            let all: Vec<&[u8]> = (0..self.shape.k).map(of).collect();
            let mut parity: Vec<_> =
                parity.into_iter().map(|(index, out)| (index - self.shape.k, out)).collect();
            encode(self.shape, &all, &mut parity);
        }
    }

    /// Fills some lost data shards.
    fn restore_data(&self, sources: &[&[u8]], restored: &mut [(usize, &mut [u8])]) {
        if restored.is_empty() {
            return;
        }
        let engine = DefaultEngine::new();
        let len = sources[0].len();
        let zeros = vec![0; runs(len, self.shape).next().map_or(0, |run| run.len())];
        let mut differences: Vec<Vec<u8>> = vec![zeros.clone(); self.rows.len()];
        let mut product = zeros.clone();
        let (data, parity) = sources.split_at(self.shape.k - self.lost.len());
        for run in runs(len, self.shape) {
            let mut left = data.iter();
            let of_run = (0..self.shape.k).map(|index| match self.lost.contains(&index) {
                true => &zeros[..run.len()],
                false => &left.next().expect("k less what is lost are left")[run.clone()],
            });
            encode_run(self.shape, of_run, |index, made| {
                let Some(equation) = self.rows.iter().position(|row| *row == index) else {
                    return;
                };
                let difference = &mut differences[equation][..run.len()];
                difference.copy_from_slice(made);
                add(difference, &parity[equation][run.clone()]);
            });
            for (index, out) in restored.iter_mut() {
                let unknown = self.lost.iter().position(|lost| lost == index).expect("it is lost");
                let out = &mut out[run.clone()];
                out.fill(0);
                for (factor, difference) in self.solution[unknown].iter().zip(&differences) {
                    let product = &mut product[..run.len()];
                    product.copy_from_slice(&difference[..run.len()]);
                    multiply(&engine, product, *factor);
                    add(out, product);
                }
            }
        }
    }
}

/// Encodes one run and shows each parity shard of it, by its number among the parity shards.
fn encode_run<'a>(
    shape: Shape,
    data: impl Iterator<Item = &'a [u8]>,
    mut show: impl FnMut(usize, &[u8]),
) {
    let Shape { k, m } = shape;
    let mut data = data.peekable();
    let len = data.peek().map_or(0, |run| run.len());
    ENCODER.with_borrow_mut(|slot| {
        let encoder = match slot {
            Some(encoder) => {
                encoder.reset(k, m, len).expect(VALID);
                encoder
            }
            None => slot.insert(ReedSolomonEncoder::new(k, m, len).expect(VALID)),
        };
        for run in data {
            encoder.add_original_shard(run).expect(VALID);
        }
        let made = encoder.encode().expect(VALID);
        made.recovery_iter().enumerate().for_each(|(index, made)| show(index, made));
    });
}

/// Splits `len` bytes into runs of whole columns, so that the crate's work space, which is up to
/// twice the next power of two of the shards, stays within [`SCRATCH_LEN_BYTES`].
fn runs(len: usize, shape: Shape) -> impl Iterator<Item = Range<usize>> {
    let most = SCRATCH_LEN_BYTES / (2 * (shape.k + shape.m).next_power_of_two());
    let run_len = (most - most % COLUMN_LEN_BYTES).max(COLUMN_LEN_BYTES);
    (0..len).step_by(run_len).map(move |start| start..(start + run_len).min(len))
}

/// How much of each lost data shard is in each of the parity shards `rows`: a matrix with a line
/// per row. Found by encoding the unit of the field in the place of the lost shard.
fn coefficients(shape: Shape, lost: &[usize], rows: &[usize]) -> Matrix {
    let [low, high] = tables::get_exp_log().exp[0].to_le_bytes();
    let zero: Column = [0; COLUMN_LEN_BYTES];
    // A column is 32 elements: their low bytes, then their high bytes.
    let mut unit = zero;
    (unit[0], unit[COLUMN_LEN_BYTES / 2]) = (low, high);
    let mut matrix = vec![vec![0; lost.len()]; rows.len()];
    for (unknown, lost) in lost.iter().enumerate() {
        let data = (0..shape.k).map(|index| if index == *lost { &unit[..] } else { &zero[..] });
        encode_run(shape, data, |index, made| {
            if let Some(equation) = rows.iter().position(|row| *row == index) {
                let element = [made[0], made[COLUMN_LEN_BYTES / 2]];
                matrix[equation][unknown] = GfElement::from_le_bytes(element);
            }
        });
    }
    matrix
}

/// The inverse of a square matrix by Gauss–Jordan elimination; `None` when there is none.
fn invert(mut matrix: Matrix) -> Option<Matrix> {
    let field = tables::get_exp_log();
    let one = field.exp[0];
    let times = |a: GfElement, b: GfElement| match b {
        0 => 0,
        b => tables::mul(a, field.log[usize::from(b)], &field.exp, &field.log),
    };
    let size = matrix.len();
    for (index, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| if column == index { one } else { 0 }));
    }
    for column in 0..size {
        let pivot = (column..size).find(|row| matrix[*row][column] != 0)?;
        matrix.swap(column, pivot);
        let log = field.log[usize::from(matrix[column][column])];
        let reciprocal = field.exp[usize::from((GF_MODULUS - log) % GF_MODULUS)];
        for element in &mut matrix[column] {
            *element = times(*element, reciprocal);
        }
        let pivot_row = matrix[column].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column];
            for (element, pivot) in row.iter_mut().zip(&pivot_row) {
                *element ^= times(*pivot, factor);
            }
        }
    }
    Some(matrix.into_iter().map(|mut row| row.split_off(size)).collect())
}

/// `x *= factor`, element by element.
fn multiply(engine: &DefaultEngine, x: &mut [u8], factor: GfElement) {
    if factor == 0 {
        x.fill(0);
    } else {
        let log = tables::get_exp_log().log[usize::from(factor)];
        engine.mul(x.as_chunks_mut().0, log);
    }
}

/// `x += y`, which is exclusive or.
fn add(x: &mut [u8], y: &[u8]) {
    utils::xor(x.as_chunks_mut().0, y.as_chunks().0);
}

#[cfg(test)]
mod tests;
