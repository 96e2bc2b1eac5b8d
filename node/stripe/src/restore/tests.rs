use super::*;
use crate::coding::encode;
use crate::geometry::StripeSpec;

/// A stripe of 4+3 and its shards.
fn stripe(codec: Codec) -> (StripeGeometry, Vec<Vec<u8>>) {
    let geometry = StripeGeometry::new(StripeSpec {
        k: 4,
        m: 3,
        codec,
        chunk_len_bytes: 2000,
        plaintext_len_bytes: 8000,
    })
    .unwrap();
    let data: Vec<u8> =
        (0..geometry.data_len_bytes()).map(|at| (at * (at % 13 + 3) / 7) as u8).collect();
    let mut parity = vec![0; geometry.parity_len_bytes()];
    encode(&geometry, &data, &mut parity).unwrap();
    let shards = [data, parity].concat();
    (geometry, shards.chunks(geometry.shard_len_bytes()).map(<[u8]>::to_vec).collect())
}

fn named(indexes: &[u8]) -> Vec<ShardIndex> {
    indexes.iter().copied().map(ShardIndex).collect()
}

#[test]
fn one_solution_serves_every_range() {
    for codec in [Codec::LeopardGf16, Codec::CauchyGf8] {
        let (geometry, shards) = stripe(codec);
        let wanted = named(&[6, 2, 0]);
        let restorer = Restorer::new(&geometry, &named(&[5, 1, 4, 3]), &wanted).unwrap();
        assert_eq!(restorer.sources(), named(&[1, 3, 4, 5]));
        for start in (0..geometry.shard_len_bytes()).step_by(COLUMN_LEN_BYTES * 3) {
            let end = (start + COLUMN_LEN_BYTES * 3).min(geometry.shard_len_bytes());
            let sources: Vec<&[u8]> = restorer
                .sources()
                .iter()
                .map(|shard| &shards[usize::from(shard.0)][start..end])
                .collect();
            // What was there before must not matter.
            let mut made = vec![vec![0xee; end - start]; 3];
            let mut ranges: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
            restorer.restore(&sources, &mut ranges).unwrap();
            for (shard, made) in wanted.iter().zip(&made) {
                assert_eq!(made[..], shards[usize::from(shard.0)][start..end], "{codec:?}");
            }
        }
    }
}

#[test]
fn data_shards_are_preferred_and_the_rest_is_not_used() {
    let (geometry, _) = stripe(Codec::CauchyGf8);
    let present = named(&[6, 5, 4, 3, 1, 0]);
    let restorer = Restorer::new(&geometry, &present, &named(&[2])).unwrap();
    assert_eq!(restorer.sources(), named(&[0, 1, 3, 4]));
}

#[test]
fn losses_that_make_no_sense_are_refused() {
    let (geometry, _) = stripe(Codec::CauchyGf8);
    let refused = |present: &[u8], wanted: &[u8]| {
        Restorer::new(&geometry, &named(present), &named(wanted)).unwrap_err()
    };
    let twice = ReconstructError::NamedTwice { shard: ShardIndex(3) };
    assert_eq!(refused(&[0, 1, 2, 3], &[3]), twice);
    assert_eq!(refused(&[0, 3, 2, 3], &[4]), twice);
    assert_eq!(refused(&[0, 1, 2, 4], &[3, 3]), twice);
    let no_such = ReconstructError::NoSuchShard { shard: ShardIndex(7), shard_count: 7 };
    assert_eq!(refused(&[0, 1, 2, 7], &[3]), no_such);
    assert_eq!(refused(&[0, 1, 2, 3], &[7]), no_such);
    let too_few = ReconstructError::NotEnough { present: 3, k: 4 };
    assert_eq!(refused(&[0, 1, 2], &[3]), too_few);
}

#[test]
fn ranges_of_other_lengths_are_refused_untouched() {
    for codec in [Codec::LeopardGf16, Codec::CauchyGf8] {
        let (geometry, shards) = stripe(codec);
        let restorer = Restorer::new(&geometry, &named(&[0, 1, 2, 4]), &named(&[3])).unwrap();
        let whole = geometry.shard_len_bytes();
        for (source, last, out) in
            [(63, 63, 63), (0, 0, 0), (64, 128, 64), (64, 64, 128), (whole + 64, 64, 64)]
        {
            let long = vec![7; whole + 64];
            let sources = [&long[..source], &shards[1][..64], &shards[2][..64], &long[..last]];
            let mut made = vec![9; out];
            let refused = restorer.restore(&sources, &mut [&mut made[..]]);
            assert!(matches!(refused, Err(ReconstructError::RangeLen { .. })), "{source} {last}");
            assert!(made.iter().all(|byte| *byte == 9));
        }
    }
}
