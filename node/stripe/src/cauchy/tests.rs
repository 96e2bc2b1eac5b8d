use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

/// Bytes that look random and are the same everywhere.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// `count` slices of `len` bytes, each at another alignment.
fn slices(count: usize, len: usize, seed: u64) -> Vec<Vec<u8>> {
    (0..count).map(|index| noise(index + len, seed * 1000 + index as u64)).collect()
}

fn aligned_apart(slices: &[Vec<u8>]) -> Vec<&[u8]> {
    slices.iter().enumerate().map(|(index, bytes)| &bytes[index..]).collect()
}

fn run(kernel: Kernel, matrix: &Matrix, sources: &[&[u8]]) -> Vec<Vec<u8>> {
    let len = sources[0].len();
    // What was there before must not matter.
    let mut made = vec![vec![0xee; len]; matrix.rows.len()];
    let mut out: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
    kernel::combine(kernel, &matrix.rows, sources, &mut out);
    made
}

/// The sums of products, one byte at a time.
fn by_hand(matrix: &Matrix, sources: &[&[u8]]) -> Vec<Vec<u8>> {
    let byte = |row: &Vec<u8>, at: usize| {
        sum(row.iter().zip(sources).map(|(factor, source)| field::multiply(*factor, source[at])))
    };
    let line = |row| (0..sources[0].len()).map(|at| byte(row, at)).collect();
    matrix.rows.iter().map(line).collect()
}

#[test]
fn coefficients_are_golden() {
    let matrix = Matrix::of_parity(6, 0..4);
    let expected: [[u8; 6]; 4] = [
        [1, 1, 1, 1, 1, 1],
        [1, 231, 253, 2, 183, 171],
        [1, 253, 190, 44, 150, 39],
        [1, 2, 44, 88, 206, 201],
    ];
    assert_eq!(matrix.rows, expected.map(|row| row.to_vec()));
}

#[test]
fn first_row_and_column_are_ones_and_fewer_shards_are_a_prefix_of_more() {
    let all = Matrix::of_parity(128, 0..128);
    assert!(all.rows[0].iter().all(|factor| *factor == 1));
    assert!(all.rows.iter().all(|row| row[0] == 1));
    assert!(all.rows.iter().flatten().all(|factor| *factor != 0));
    let few = Matrix::of_parity(5, 0..3);
    for (few, all) in few.rows.iter().zip(&all.rows) {
        assert_eq!(few[..], all[..5]);
    }
}

#[test]
fn a_matrix_times_its_inverse_is_the_unit() {
    // The first pivot is zero, so rows must be exchanged.
    let matrix = vec![vec![0, 5, 9], vec![7, 0, 1], vec![255, 2, 30]];
    let inverse = invert(matrix.clone()).unwrap();
    for (row, column) in (0..9).map(|cell| (cell / 3, cell % 3)) {
        let product = sum((0..3).map(|i| field::multiply(matrix[row][i], inverse[i][column])));
        assert_eq!(product, u8::from(row == column));
    }
    assert_eq!(invert(vec![vec![3, 5], vec![3, 5]]), None);
    assert_eq!(invert(vec![vec![0]]), None);
}

#[test]
fn this_machine_runs_a_kernel_and_the_scalar_one() {
    let available: Vec<Kernel> = Kernel::available().collect();
    assert_eq!(available.last(), Some(&Kernel::Scalar));
    assert_eq!(Kernel::best(), available[0]);
    println!("{available:?}");
}

#[test]
fn every_kernel_makes_the_same_bytes_at_every_length_and_alignment() {
    // Every factor is used, and every number of lines in one pass and in several.
    for (k, m) in [(1, 1), (2, 2), (4, 2), (3, 3), (5, 4), (6, 5), (17, 16), (32, 16), (200, 56)] {
        let matrix = Matrix::of_parity(k, 0..m);
        for len in (0..70).chain([127, 128, 129, 255, 256, 257, 320, 511, 1000, 4133]) {
            if k > 32 && len % 64 > 2 {
                continue;
            }
            let owned = slices(k, len, len as u64);
            let sources = aligned_apart(&owned);
            let expected = by_hand(&matrix, &sources);
            for kernel in Kernel::available() {
                assert!(run(kernel, &matrix, &sources) == expected, "{kernel:?} {k}+{m} {len}");
            }
        }
    }
}

#[test]
fn lines_of_several_passes_are_made_in_runs() {
    let (k, m) = (32, 7);
    let matrix = Matrix::of_parity(k, 0..m);
    let owned = slices(k, 20_000, 4);
    let sources = aligned_apart(&owned);
    let expected = by_hand(&matrix, &sources);
    for kernel in Kernel::available() {
        assert!(run(kernel, &matrix, &sources) == expected, "{kernel:?}");
    }
}

/// Restores every loss that leaves `k` shards, with every kernel.
fn check_all_losses(k: usize, m: usize, len: usize) {
    let owned = slices(k, len, (k * 100 + m) as u64);
    let mut shards: Vec<Vec<u8>> = aligned_apart(&owned).into_iter().map(<[u8]>::to_vec).collect();
    let data: Vec<&[u8]> = shards.iter().map(Vec::as_slice).collect();
    let mut parity = by_hand(&Matrix::of_parity(k, 0..m), &data);
    shards.append(&mut parity);
    for left in (0_u32..1 << (k + m)).filter(|left| left.count_ones() as usize == k) {
        let is_left = |index: &usize| left & (1 << index) != 0;
        let sources: Vec<usize> = (0..k + m).filter(is_left).collect();
        let wanted: Vec<usize> = (0..k + m).filter(|index| !is_left(index)).collect();
        let matrix = Matrix::of_restoring(k, &sources, &wanted);
        let bytes: Vec<&[u8]> = sources.iter().map(|index| &shards[*index][..]).collect();
        for kernel in Kernel::available() {
            let made = run(kernel, &matrix, &bytes);
            for (index, made) in wanted.iter().zip(made) {
                assert!(made == shards[*index], "{kernel:?} {k}+{m}: {index} of {sources:?}");
            }
        }
    }
}

#[test]
fn every_loss_is_made_good_by_every_kernel() {
    for (k, m) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2), (4, 2), (4, 4), (5, 3), (6, 3), (9, 3)] {
        check_all_losses(k, m, 333);
    }
}

proptest! {
    #[test]
    fn any_shards_of_any_width_are_restored_by_every_kernel(
        (k, m, left, len, seed) in (1..=200_usize, 1..=56_usize).prop_flat_map(|(k, m)| {
            let left = subsequence((0..k + m).collect::<Vec<_>>(), k);
            (Just(k), Just(m), left, 1..400_usize, 0..1000_u64)
        }),
    ) {
        let owned = slices(k, len, seed);
        let mut all: Vec<Vec<u8>> =
            aligned_apart(&owned).into_iter().map(<[u8]>::to_vec).collect();
        let data: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let mut parity = run(Kernel::best(), &Matrix::of_parity(k, 0..m), &data);
        all.append(&mut parity);
        let kept: BTreeSet<usize> = left.iter().copied().collect();
        let wanted: Vec<usize> = (0..k + m).filter(|index| !kept.contains(index)).collect();
        let matrix = Matrix::of_restoring(k, &left, &wanted);
        let sources: Vec<&[u8]> = left.iter().map(|index| &all[*index][..]).collect();
        for kernel in Kernel::available() {
            for (index, made) in wanted.iter().zip(run(kernel, &matrix, &sources)) {
                prop_assert_eq!(&made, &all[*index], "{:?}", kernel);
            }
        }
    }

    #[test]
    fn every_kernel_agrees_at_any_offset(
        offset in 0..130_usize, len in 0..1500_usize, lines in 1..9_usize, seed in 0..1000_u64,
    ) {
        let bytes = noise(3 * 2000, seed);
        let sources: Vec<&[u8]> =
            bytes.chunks(2000).map(|chunk| &chunk[offset..offset + len]).collect();
        let matrix = Matrix::of_parity(3, 0..lines);
        let expected = by_hand(&matrix, &sources);
        for kernel in Kernel::available() {
            let mut made = vec![vec![0xee; 2000]; lines];
            let mut out: Vec<&mut [u8]> =
                made.iter_mut().map(|line| &mut line[offset..offset + len]).collect();
            kernel::combine(kernel, &matrix.rows, &sources, &mut out);
            for (made, expected) in made.iter().zip(&expected) {
                prop_assert_eq!(&made[offset..offset + len], &expected[..], "{:?}", kernel);
                let around = made[..offset].iter().chain(&made[offset + len..]);
                prop_assert!(around.into_iter().all(|byte| *byte == 0xee), "{:?}", kernel);
            }
        }
    }
}

/// How long `work` takes on this machine, the best of several.
fn best_of(count: usize, mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..count {
        let started = Instant::now();
        work();
        best = best.min(started.elapsed());
    }
    best
}

#[test]
#[ignore = "measures; run by hand with --nocapture on a quiet machine"]
fn solving_is_cheap() {
    for (k, m) in [(4, 2), (10, 4), (32, 16)] {
        let sources: Vec<usize> = (m..k + m).collect();
        let wanted: Vec<usize> = (0..m).collect();
        let took = best_of(1000, || {
            black_box(Matrix::of_restoring(k, black_box(&sources), &wanted));
        });
        println!("{k}+{m}: {took:?} to solve for {m} shards");
    }
}

#[test]
#[ignore = "measures; run by hand with --nocapture on a quiet machine"]
fn every_kernel_is_fast() {
    for (k, m) in [(4, 2), (10, 4), (32, 16)] {
        let shard_len = (8 << 20) / k / 64 * 64 + 512;
        let shards = slices(k, shard_len, 1);
        let sources: Vec<&[u8]> = shards.iter().map(|shard| &shard[..shard_len]).collect();
        let mut made = vec![vec![0; shard_len]; m];
        let mut out: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
        let left: Vec<usize> = (m.min(k)..k + m.min(k)).collect();
        let lost: Vec<usize> = (0..m.min(k)).collect();
        let restoring = Matrix::of_restoring(k, &left, &lost);
        for kernel in Kernel::available() {
            let mut rate = |rows: &[Vec<u8>]| {
                let took =
                    best_of(20, || kernel::combine(kernel, rows, black_box(&sources), &mut out));
                (k * shard_len) as f64 / took.as_secs_f64() / 1e9
            };
            let encode = rate(&Matrix::of_parity(k, 0..m).rows);
            let decode = rate(&restoring.rows);
            println!("{k}+{m} {kernel:?}: encode {encode:.1} GB/s, decode {m} {decode:.1} GB/s");
        }
    }
}
