use proptest::prelude::*;
use proptest::sample::subsequence;
use reed_solomon_simd::ReedSolomonDecoder;

use super::*;

fn shards(shape: Shape, len: usize, seed: usize) -> Vec<Vec<u8>> {
    let byte = |shard: usize, at: usize| (shard * 89 + at * (at % 13 + 3) + seed) as u8;
    let mut all: Vec<Vec<u8>> =
        (0..shape.k).map(|shard| (0..len).map(|at| byte(shard, at)).collect()).collect();
    let mut made = vec![vec![0; len]; shape.m];
    let data: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let mut out: Vec<_> = made.iter_mut().map(Vec::as_mut_slice).enumerate().collect();
    encode(shape, &data, &mut out);
    all.append(&mut made);
    all
}

/// What the crate's own decoder makes of the same shards.
fn decoded(shape: Shape, sources: &[(usize, &[u8])]) -> Vec<(usize, Vec<u8>)> {
    let mut decoder = ReedSolomonDecoder::new(shape.k, shape.m, sources[0].1.len()).unwrap();
    for (index, bytes) in sources {
        match index.checked_sub(shape.k) {
            None => decoder.add_original_shard(*index, bytes).unwrap(),
            Some(parity) => decoder.add_recovery_shard(parity, bytes).unwrap(),
        }
    }
    let result = decoder.decode().unwrap();
    result.restored_original_iter().map(|(index, bytes)| (index, bytes.to_vec())).collect()
}

/// What we make of them.
fn restored(shape: Shape, sources: &[(usize, &[u8])], wanted: &[usize]) -> Vec<(usize, Vec<u8>)> {
    let (indexes, bytes): (Vec<usize>, Vec<&[u8]>) = sources.iter().copied().unzip();
    // What was there before must not matter.
    let mut made = vec![vec![0xee; bytes[0].len()]; wanted.len()];
    let mut out: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
    Restoring::new(shape, &indexes, wanted).restore(&bytes, &mut out);
    wanted.iter().copied().zip(made).collect()
}

#[test]
fn runs_cover_everything_once_in_whole_columns() {
    for (len, k, m) in [(64, 4, 2), (640, 4, 2), (2_097_664, 4, 2), (1 << 20, 32, 16)] {
        let shape = Shape { k, m };
        let mut end = 0;
        for run in runs(len, shape) {
            assert_eq!(run.start, end);
            assert!(!run.is_empty() && run.len().is_multiple_of(COLUMN_LEN_BYTES));
            assert!(run.len() * 2 * (k + m).next_power_of_two() <= SCRATCH_LEN_BYTES);
            end = run.end;
        }
        assert_eq!(end, len);
    }
}

#[test]
fn shards_of_several_runs_are_restored() {
    let shape = Shape { k: 4, m: 2 };
    let all = shards(shape, 100 * 1024, 1);
    assert!(runs(all[0].len(), shape).count() > 2);
    let sources: Vec<_> = [1, 3, 4, 5].map(|index: usize| (index, &all[index][..])).to_vec();
    let restored = restored(shape, &sources, &[2, 0]);
    assert!(restored[0].1 == all[2] && restored[1].1 == all[0]);
}

#[test]
fn a_matrix_times_its_inverse_is_the_unit() {
    let field = tables::get_exp_log();
    let times = |a: GfElement, b: GfElement| match b {
        0 => 0,
        b => tables::mul(a, field.log[usize::from(b)], &field.exp, &field.log),
    };
    // The first pivot is zero, so rows must be exchanged.
    let matrix = vec![vec![0, 5, 9], vec![7, 0, 1], vec![65_535, 2, 300]];
    let inverse = invert(matrix.clone()).unwrap();
    let product = |row: usize, column: usize| {
        (0..3).fold(0, |sum, i| sum ^ times(matrix[row][i], inverse[i][column]))
    };
    for (row, column) in (0..9).map(|cell| (cell / 3, cell % 3)) {
        let expected = if row == column { field.exp[0] } else { 0 };
        assert_eq!(product(row, column), expected);
    }
    assert_eq!(invert(vec![vec![3, 5], vec![3, 5]]), None);
    assert_eq!(invert(vec![vec![0]]), None);
}

proptest! {
    #[test]
    fn restoring_agrees_with_the_crates_decoder(
        (shape, left, columns, seed) in (1..=32_usize, 1..=16_usize).prop_flat_map(|(k, m)| {
            let left = subsequence((0..k + m).collect::<Vec<_>>(), k);
            (Just(Shape { k, m }), left, 1..40_usize, any::<u8>())
        }),
    ) {
        let all = shards(shape, columns * COLUMN_LEN_BYTES, usize::from(seed));
        let sources: Vec<_> = left.iter().map(|index| (*index, &all[*index][..])).collect();
        let expected = decoded(shape, &sources);
        let wanted: Vec<usize> = expected.iter().map(|(index, _)| *index).collect();
        prop_assert_eq!(&restored(shape, &sources, &wanted), &expected);
        let wanted: Vec<usize> = (0..shape.k + shape.m).filter(|i| !left.contains(i)).collect();
        for (index, bytes) in restored(shape, &sources, &wanted) {
            prop_assert_eq!(&bytes, &all[index]);
        }
    }
}
