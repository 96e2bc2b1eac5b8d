use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::subsequence;

use node_proto::ShardIndex;

use super::*;
use crate::geometry::{COLUMN_LEN_BYTES, StripeSpec};
use crate::restore::{ReconstructError, reconstruct};
use crate::root::shard_root;

const CODES: [Codec; 2] = [Codec::LeopardGf16, Codec::CauchyGf8];

/// A geometry with exactly `k` data shards, each of one chunk.
fn geometry(codec: Codec, k: u8, m: u8, chunk_len_bytes: u32) -> StripeGeometry {
    let geometry = StripeGeometry::new(StripeSpec {
        k,
        m,
        codec,
        chunk_len_bytes,
        plaintext_len_bytes: u64::from(chunk_len_bytes) * u64::from(k),
    })
    .unwrap();
    assert_eq!(geometry.k(), k);
    geometry
}

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

/// All shards of a stripe of noise, data first.
fn stripe(geometry: &StripeGeometry, seed: u64) -> Vec<Vec<u8>> {
    let data = noise(geometry.data_len_bytes(), seed);
    let mut parity = vec![0xee; geometry.parity_len_bytes()];
    encode(geometry, &data, &mut parity).unwrap();
    let all = [data, parity].concat();
    all.chunks_exact(geometry.shard_len_bytes()).map(<[u8]>::to_vec).collect()
}

fn choose<'a>(shards: &'a [Vec<u8>], indexes: &[u8]) -> Vec<(ShardIndex, &'a [u8])> {
    indexes.iter().map(|&i| (ShardIndex(i), shards[usize::from(i)].as_slice())).collect()
}

fn indexes(range: Range<u8>) -> Vec<ShardIndex> {
    range.map(ShardIndex).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parity of two shards that hold the numbers from 0 to 127.
fn parity_of_numbers(codec: Codec, m: u8) -> Vec<String> {
    let one_column = geometry(codec, 2, m, 48);
    let data: Vec<u8> = (0..128).collect();
    let mut parity = vec![0; one_column.parity_len_bytes()];
    encode(&one_column, &data, &mut parity).unwrap();
    parity.chunks(64).map(hex).collect()
}

#[test]
fn parity_bytes_are_golden() {
    assert_eq!(
        parity_of_numbers(Codec::LeopardGf16, 2),
        [
            "47464544434241404f4e4d4c4b4a494857565554535251505f5e5d5c5b5a595893929190979695949b9a99989f9e9d9c83828180878685848b8a89888f8e8d8c",
            "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918d3d2d1d0d7d6d5d4dbdad9d8dfdedddcc3c2c1c0c7c6c5c4cbcac9c8cfcecdcc",
        ]
    );
    // Computed from the format as it is described, by other means.
    assert_eq!(
        parity_of_numbers(Codec::CauchyGf8, 3),
        [
            "40404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040",
            "7f99ae48c02611f71cfacd2ba3457294b95f688e06e0d731da3c0bed6583b452ee083fd951b780668d6b5cba32d4e30528cef91f977146a04bad9a7cf41225c3",
            "b14d54a8669a837f02fee71bd52930ccca362fd31de1f80479859c60ae524bb747bba25e906c7589f40811ed23dfc63a3cc0d925eb170ef28f736a9658a4bd41",
        ]
    );
}

#[test]
fn parity_of_every_rate_is_golden() {
    // Both algorithms of Leopard and the border between them: k below, at and above m, also where
    // only their next powers of two are equal. Roots of all parity shards back to back.
    let golden = [
        ((1, 2), "fefccf540a7e5c78cbf94959477375f9c22837dfb507ccbe6e97d9388acab0f3"),
        ((2, 1), "5439352fa323f4dd01e2cadef419157ca9ee8350eab022f8999fa922ab227451"),
        ((2, 2), "d06b14bbb244f59c61feaf3bef84788e2e6b5791f2784239782a7632d8f4566d"),
        ((3, 2), "e65288f6fb916ae81ea77916879a83fc304cdd854ee29e07d1af2656a16b3002"),
        ((4, 2), "736639dda58140681afc1f600b781d9dbaefe4b111c0a4033d02451e1ef8688d"),
        ((4, 3), "e97c2293ff43fe19ccb9344df6efb2cf156f068916adc3d30fa402c4578151a7"),
        ((3, 4), "b404efacb4e1c81ba89e937cd0b1f6073053b2acc1d0530cf7ab819a1a6832bf"),
        ((3, 5), "ff428354e64b9e4daddac852356db7d374c79805ed9e19124c542e255122586f"),
        ((6, 3), "a429ff0d6f6f43d6efe61509700875b31837d3feead24f30be4e66a2f7dba9ea"),
        ((10, 4), "6ac8a96307c5e723631ed5af5c90a7b61e300040cdbe13db28e84a4db9acf18d"),
        ((32, 16), "484a4bf4bfaa20a10293221970b59c285484b7f6e75e89d7e1057a807e0584b2"),
    ];
    assert_parity_is(Codec::LeopardGf16, &golden);
    let golden = [
        ((1, 2), "fefccf540a7e5c78cbf94959477375f9c22837dfb507ccbe6e97d9388acab0f3"),
        ((2, 1), "5439352fa323f4dd01e2cadef419157ca9ee8350eab022f8999fa922ab227451"),
        ((3, 2), "eedde0a41f8b878c6d43611dac5cb7f9c2842911ca37f3df1fa2753121650a2f"),
        ((4, 2), "4502ba6c435c77508b3df736d6f00cdbfb71a7dc2743d82bc72abdb85bbfb525"),
        ((3, 4), "741498c5257b213d076fc131bd2be97f264e248c191c92956d1d9d03f72d13ab"),
        ((10, 4), "5c2690d46174fabb5660baa809e551089c212eaeeca025c5bb0f65a26fb65e7d"),
        ((32, 16), "6c88dedc1b73e578226e4f4817eb662c127f26752d63b6f5f3355e3a52a582a7"),
    ];
    assert_parity_is(Codec::CauchyGf8, &golden);
}

fn assert_parity_is(codec: Codec, golden: &[((u8, u8), &str)]) {
    let mut made = Vec::new();
    for &((k, m), _) in golden {
        let shards = stripe(&geometry(codec, k, m, 5000), 7);
        let root = shard_root(&shards[usize::from(k)..].concat());
        made.push(((k, m), root.to_string()));
    }
    let golden: Vec<_> = golden.iter().map(|(km, root)| (*km, (*root).to_owned())).collect();
    assert_eq!(made, golden);
}

#[test]
fn one_data_shard_is_copied() {
    for codec in CODES {
        let shards = stripe(&geometry(codec, 1, 3, 100), 3);
        assert_eq!(shards.len(), 4);
        assert!(shards.iter().all(|shard| *shard == shards[0]));
        for survivor in 0..4 {
            let geometry = geometry(codec, 1, 3, 100);
            let made =
                reconstruct(&geometry, &choose(&shards, &[survivor]), &indexes(0..4)).unwrap();
            assert!(made.iter().all(|(_, bytes)| *bytes == shards[0]));
        }
    }
}

#[test]
fn no_parity_needs_no_code() {
    for codec in CODES {
        let geometry = geometry(codec, 3, 0, 100);
        assert_eq!(stripe(&geometry, 3).len(), 3);
    }
}

#[test]
fn every_loss_of_up_to_m_shards_is_made_good() {
    for codec in CODES {
        for (k, m) in [(1, 2), (2, 1), (2, 2), (3, 2), (4, 2), (5, 3), (3, 4), (6, 3)] {
            let geometry = geometry(codec, k, m, 200);
            let shards = stripe(&geometry, u64::from(k) * 100 + u64::from(m));
            let all = geometry.shard_count();
            for mask in 0_u32..1 << all {
                if mask.count_ones() > u32::from(m) {
                    continue;
                }
                let is_lost = |index: &u8| mask & (1 << index) != 0;
                let left: Vec<u8> = (0..all).filter(|index| !is_lost(index)).collect();
                let lost: Vec<ShardIndex> = (0..all).filter(is_lost).map(ShardIndex).collect();
                let made = reconstruct(&geometry, &choose(&shards, &left), &lost).unwrap();
                assert_eq!(made.len(), lost.len());
                for ((index, bytes), wanted) in made.iter().zip(&lost) {
                    assert_eq!(index, wanted);
                    assert_eq!(*bytes, shards[usize::from(index.0)], "{k}+{m}, lost {lost:?}");
                }
            }
        }
    }
}

#[test]
fn one_loss_too_many_is_refused() {
    for codec in CODES {
        let geometry = geometry(codec, 4, 2, 100);
        let shards = stripe(&geometry, 5);
        let three = choose(&shards, &[0, 4, 5]);
        for wanted in [1, 2, 3] {
            assert_eq!(
                reconstruct(&geometry, &three, &[ShardIndex(wanted)]),
                Err(ReconstructError::NotEnough { present: 3, k: 4 })
            );
        }
        let nothing = reconstruct(&geometry, &[], &[ShardIndex(0)]);
        assert_eq!(nothing, Err(ReconstructError::NotEnough { present: 0, k: 4 }));
    }
}

#[test]
fn what_is_present_needs_no_others() {
    for codec in CODES {
        let geometry = geometry(codec, 4, 2, 100);
        let shards = stripe(&geometry, 5);
        let made = reconstruct(&geometry, &choose(&shards, &[5]), &indexes(5..6)).unwrap();
        assert_eq!(made, [(ShardIndex(5), shards[5].clone())]);
        assert_eq!(reconstruct(&geometry, &choose(&shards, &[5]), &[]), Ok(vec![]));
    }
}

#[test]
fn lost_parity_is_made_while_lost_data_is_not_wanted() {
    for codec in CODES {
        let geometry = geometry(codec, 4, 2, 100);
        let shards = stripe(&geometry, 5);
        let made = reconstruct(&geometry, &choose(&shards, &[1, 2, 3, 4]), &[ShardIndex(5)]);
        assert_eq!(made, Ok(vec![(ShardIndex(5), shards[5].clone())]));
    }
}

#[test]
fn every_aligned_range_decodes_to_the_range_of_the_whole() {
    for codec in CODES {
        let geometry = geometry(codec, 4, 2, 500);
        let shards = stripe(&geometry, 6);
        let columns = geometry.shard_len_bytes() / COLUMN_LEN_BYTES;
        for first in 0..columns {
            for last in first..columns {
                let range = first * COLUMN_LEN_BYTES..(last + 1) * COLUMN_LEN_BYTES;
                let present: Vec<_> = choose(&shards, &[1, 3, 4, 5])
                    .into_iter()
                    .map(|(index, bytes)| (index, &bytes[range.clone()]))
                    .collect();
                let made = reconstruct(&geometry, &present, &indexes(0..6)).unwrap();
                for (index, bytes) in made {
                    assert_eq!(bytes, shards[usize::from(index.0)][range.clone()], "{range:?}");
                }
            }
        }
    }
}

#[test]
fn long_shards_are_coded_like_their_columns() {
    for codec in CODES {
        // Long enough for several runs of columns in both directions, the last one short.
        let geometry = geometry(codec, 4, 2, 1_000_000);
        let shards = stripe(&geometry, 8);
        let column = 977_920 / COLUMN_LEN_BYTES * COLUMN_LEN_BYTES;
        let range = column..column + COLUMN_LEN_BYTES;
        let small = geometry_of_one_column(codec);
        let data: Vec<u8> =
            shards[..4].iter().flat_map(|shard| &shard[range.clone()]).copied().collect();
        let mut parity = vec![0; 2 * COLUMN_LEN_BYTES];
        encode(&small, &data, &mut parity).unwrap();
        assert_eq!(parity[..COLUMN_LEN_BYTES], shards[4][range.clone()]);
        assert_eq!(parity[COLUMN_LEN_BYTES..], shards[5][range]);
        let made = reconstruct(&geometry, &choose(&shards, &[2, 3, 4, 5]), &indexes(0..2)).unwrap();
        assert!(made[0].1 == shards[0] && made[1].1 == shards[1]);
    }
}

fn geometry_of_one_column(codec: Codec) -> StripeGeometry {
    let one_column = geometry(codec, 4, 2, 48);
    assert_eq!(one_column.shard_len_bytes(), COLUMN_LEN_BYTES);
    one_column
}

#[test]
fn buffers_of_other_lengths_are_refused_untouched() {
    let geometry = geometry(Codec::CauchyGf8, 4, 2, 100);
    let (data, parity) = (geometry.data_len_bytes(), geometry.parity_len_bytes());
    for len_bytes in [0, data - 1, data + 64] {
        let mut out = vec![9; parity];
        let refused = encode(&geometry, &vec![0; len_bytes], &mut out);
        assert_eq!(refused, Err(EncodeError::DataLen { len_bytes, expected_bytes: data }));
        assert!(out.iter().all(|byte| *byte == 9));
    }
    for len_bytes in [0, parity - 64, parity + 64] {
        let refused = encode(&geometry, &vec![0; data], &mut vec![0; len_bytes]);
        assert_eq!(refused, Err(EncodeError::ParityLen { len_bytes, expected_bytes: parity }));
    }
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let geometry = geometry(Codec::CauchyGf8, 4, 2, 100);
    let shards = stripe(&geometry, 5);
    let call = |present: &[(ShardIndex, &[u8])], wanted: &[u8]| {
        let wanted: Vec<_> = wanted.iter().copied().map(ShardIndex).collect();
        reconstruct(&geometry, present, &wanted).unwrap_err()
    };
    let four = choose(&shards, &[0, 1, 2, 3]);
    let no_such = ReconstructError::NoSuchShard { shard: ShardIndex(6), shard_count: 6 };
    assert_eq!(call(&four, &[6]), no_such);
    assert_eq!(call(&[(ShardIndex(6), &shards[0])], &[0]), no_such);
    let twice = ReconstructError::NamedTwice { shard: ShardIndex(2) };
    assert_eq!(call(&four, &[2, 2]), twice);
    assert_eq!(call(&choose(&shards, &[0, 1, 2, 2]), &[3]), twice);
    for len_bytes in [0, 1, 63, 65] {
        let range = (ShardIndex(0), &shards[0][..len_bytes]);
        let refused = ReconstructError::RangeLen { shard: ShardIndex(0), len_bytes };
        assert_eq!(call(&[range], &[0]), refused);
    }
    let unequal = [(ShardIndex(0), &shards[0][..64]), (ShardIndex(1), &shards[1][..128])];
    let refused = ReconstructError::RangeLen { shard: ShardIndex(1), len_bytes: 128 };
    assert_eq!(call(&unequal, &[0]), refused);
    let long = vec![0; geometry.shard_len_bytes() + 64];
    let refused = ReconstructError::RangeLen { shard: ShardIndex(0), len_bytes: long.len() };
    assert_eq!(call(&[(ShardIndex(0), &long)], &[0]), refused);
}

proptest! {
    #[test]
    fn any_k_shards_make_the_others(
        codec in proptest::sample::select(&CODES[..]),
        (k, m, left, len, seed) in (2..=32_u8, 1..=16_u8).prop_flat_map(|(k, m)| {
            let all: Vec<u8> = (0..k + m).collect();
            let left = subsequence(all, usize::from(k)).prop_shuffle();
            (Just(k), Just(m), left, 1..3000_u32, any::<u64>())
        }),
    ) {
        let geometry = geometry(codec, k, m, len);
        let shards = stripe(&geometry, seed);
        let wanted = indexes(0..k + m);
        let made = reconstruct(&geometry, &choose(&shards, &left), &wanted).unwrap();
        for (index, bytes) in made {
            prop_assert_eq!(&bytes, &shards[usize::from(index.0)]);
        }
    }
}
