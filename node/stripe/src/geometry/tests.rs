use proptest::prelude::*;

use super::*;

const CHUNK: u64 = 64 << 10;

fn spec(k: u8, m: u8, plaintext_len_bytes: u64) -> StripeSpec {
    StripeSpec { k, m, codec: Codec::CauchyGf8, chunk_len_bytes: 64 << 10, plaintext_len_bytes }
}

fn four_plus_two(plaintext_len_bytes: u64) -> StripeGeometry {
    StripeGeometry::new(spec(4, 2, plaintext_len_bytes)).unwrap()
}

#[test]
fn full_stripe_is_four_data_shards_of_32_chunks() {
    let full = four_plus_two(8 << 20);
    assert_eq!((full.k(), full.m(), full.codec()), (4, 2, Codec::CauchyGf8));
    assert_eq!(full.shard_count(), 6);
    assert_eq!((full.chunk_count(), full.chunks_per_shard()), (128, 32));
    // 32 · 65,552 is a multiple of 64 already.
    assert_eq!(full.shard_len_bytes(), 2_097_664);
    assert_eq!(full.data_len_bytes(), 8_390_656);
    assert_eq!(full.parity_len_bytes(), 4_195_328);
    let place = full.locate(StripeChunk(33)).unwrap();
    let expected =
        ChunkPlace { shard: ShardIndex(1), offset_bytes: 65_552, sealed_len_bytes: 65_552 };
    assert_eq!(place, expected);
    assert_eq!(full.data_range(StripeChunk(33)), Some(2_163_216..2_228_768));
    assert_eq!(full.locate(StripeChunk(128)), None);
    assert_eq!(full.locate(StripeChunk(u32::MAX)), None);
}

#[test]
fn empty_stripe_is_one_empty_chunk_and_copies() {
    let empty = four_plus_two(0);
    assert_eq!((empty.k(), empty.m(), empty.codec()), (1, 2, Codec::Replicate));
    assert_eq!((empty.chunk_count(), empty.shard_len_bytes()), (1, 64));
    assert_eq!(empty.sealed_len_bytes(StripeChunk(0)), Some(16));
    assert_eq!(empty.plaintext_range(StripeChunk(0)), Some(0..0));
    assert!(empty.chunks_of(0..0).is_none());
}

#[test]
fn one_chunk_is_stored_as_copies() {
    for (len, shard_len) in [(1, 64), (48, 64), (49, 128), (CHUNK - 1, 65_600), (CHUNK, 65_600)] {
        let one = four_plus_two(len);
        assert_eq!((one.k(), one.codec()), (1, Codec::Replicate), "{len}");
        assert_eq!(one.shard_len_bytes(), shard_len, "{len}");
    }
}

#[test]
fn lengths_around_whole_chunks_and_rows() {
    // (plaintext length, k, chunks, chunks per shard, length of the last chunk)
    let cases = [
        (CHUNK + 1, 2, 2, 1, 1),
        (2 * CHUNK - 1, 2, 2, 1, CHUNK - 1),
        (2 * CHUNK, 2, 2, 1, CHUNK),
        (4 * CHUNK, 4, 4, 1, CHUNK),
        // Five chunks fill two shards of two and one of one; a fourth would be all padding.
        (4 * CHUNK + 1, 3, 5, 2, 1),
        (6 * CHUNK, 3, 6, 2, CHUNK),
        (7 * CHUNK, 4, 7, 2, CHUNK),
        (8 * CHUNK, 4, 8, 2, CHUNK),
        ((8 << 20) - 1, 4, 128, 32, CHUNK - 1),
    ];
    for (len, k, chunks, per_shard, last) in cases {
        let geometry = four_plus_two(len);
        assert_eq!(geometry.k(), k, "{len}");
        assert_eq!(geometry.m(), 2, "{len}");
        assert_eq!(geometry.chunk_count(), chunks, "{len}");
        assert_eq!(geometry.chunks_per_shard(), per_shard, "{len}");
        let last_chunk = StripeChunk(u32::try_from(chunks).unwrap() - 1);
        assert_eq!(geometry.sealed_len_bytes(last_chunk), Some(last as usize + 16), "{len}");
    }
}

#[test]
fn plaintext_ranges_map_to_the_chunks_that_hold_them() {
    let geometry = four_plus_two(3 * CHUNK + 10);
    let chunk = CHUNK as usize;
    let chunks = |range: Range<usize>| {
        geometry.chunks_of(range).map(|chunks| chunks.map(|c| c.0).collect::<Vec<_>>())
    };
    assert_eq!(chunks(0..1), Some(vec![0]));
    assert_eq!(chunks(chunk - 1..chunk), Some(vec![0]));
    assert_eq!(chunks(chunk - 1..chunk + 1), Some(vec![0, 1]));
    assert_eq!(chunks(chunk..2 * chunk), Some(vec![1]));
    assert_eq!(chunks(0..3 * chunk + 10), Some(vec![0, 1, 2, 3]));
    assert_eq!(chunks(3 * chunk + 9..3 * chunk + 10), Some(vec![3]));
    assert_eq!(chunks(5..5), None);
    assert_eq!(chunks(3 * chunk..3 * chunk + 11), None);
    assert_eq!(chunks(usize::MAX - 1..usize::MAX), None);
    #[expect(clippy::reversed_empty_ranges, reason = "what is to be refused")]
    let reversed = chunks(7..3);
    assert_eq!(reversed, None);
}

#[test]
fn column_ranges_round_outwards_and_stay_in_the_shard() {
    let geometry = four_plus_two(1);
    assert_eq!(geometry.column_range(0..1), Some(0..64));
    assert_eq!(geometry.column_range(0..65), None);
    let geometry = four_plus_two(8 << 20);
    assert_eq!(geometry.column_range(63..65), Some(0..128));
    assert_eq!(geometry.column_range(64..128), Some(64..128));
    let end = geometry.shard_len_bytes();
    assert_eq!(geometry.column_range(end - 1..end), Some(end - 64..end));
    assert_eq!(geometry.column_range(end - 1..end + 1), None);
    assert_eq!(geometry.column_range(5..5), None);
}

#[test]
fn nonsense_from_disk_is_refused() {
    let data = |k, codec| Err(GeometryError::DataShards { k, codec });
    assert_eq!(StripeGeometry::new(spec(0, 2, 1)), data(0, Codec::CauchyGf8));
    assert_eq!(StripeGeometry::new(spec(33, 2, 1)), data(33, Codec::CauchyGf8));
    assert_eq!(StripeGeometry::new(spec(255, 255, u64::MAX)), data(255, Codec::CauchyGf8));
    let copies = StripeSpec { codec: Codec::Replicate, ..spec(2, 2, 1) };
    assert_eq!(StripeGeometry::new(copies), data(2, Codec::Replicate));
    assert_eq!(StripeGeometry::new(spec(4, 17, 1)), Err(GeometryError::ParityShards { m: 17 }));
    for chunk_len_bytes in [0, (1 << 20) + 1, u32::MAX] {
        assert_eq!(
            StripeGeometry::new(StripeSpec { chunk_len_bytes, ..spec(4, 2, 1) }),
            Err(GeometryError::ChunkLen { chunk_len_bytes })
        );
    }
    for plaintext_len_bytes in [64 << 20, 1 << 31, (1 << 31) + 1, u64::MAX] {
        assert_eq!(
            StripeGeometry::new(spec(1, 2, plaintext_len_bytes)),
            Err(GeometryError::TooLong { plaintext_len_bytes })
        );
    }
    // One-byte chunks: seventeen stored bytes each.
    let tiny = StripeSpec { chunk_len_bytes: 1, ..spec(1, 0, (64 << 20) / 17) };
    assert!(StripeGeometry::new(tiny).is_ok());
    let tiny = StripeSpec { plaintext_len_bytes: (64 << 20) / 17 + 1, ..tiny };
    assert!(StripeGeometry::new(tiny).is_err());
}

#[test]
fn zeroed_padding_is_exactly_what_no_chunk_covers() {
    for len in [0, 1, 47, 48, 49, 7000, 9001] {
        let spec = StripeSpec { chunk_len_bytes: 1000, ..spec(4, 2, len) };
        let geometry = StripeGeometry::new(spec).unwrap();
        let mut data = vec![1; geometry.data_len_bytes()];
        geometry.zero_padding(&mut data);
        let mut expected = vec![0; geometry.data_len_bytes()];
        for chunk in geometry.chunks() {
            expected[geometry.data_range(chunk).unwrap()].fill(1);
        }
        assert_eq!(data, expected, "{len}");
    }
}

fn any_spec() -> impl Strategy<Value = StripeSpec> {
    let chunk_len = prop_oneof![1..=70_u32, Just(1024), Just(65_536)];
    (1..=K_MAX, 0..=M_MAX, chunk_len, 0..300_u64, 0..3_i64).prop_map(
        |(k, m, chunk_len_bytes, chunks, off)| {
            let around = i64::try_from(chunks * u64::from(chunk_len_bytes)).unwrap() + off - 1;
            let plaintext_len_bytes = u64::try_from(around).unwrap_or(0);
            StripeSpec { k, m, codec: Codec::CauchyGf8, chunk_len_bytes, plaintext_len_bytes }
        },
    )
}

proptest! {
    #[test]
    fn chunks_lie_in_order_and_tile_plaintext_and_shards(spec in any_spec()) {
        let geometry = StripeGeometry::new(spec).unwrap();
        prop_assert!((1..=spec.k).contains(&geometry.k()));
        prop_assert_eq!(geometry.m(), spec.m);
        prop_assert_eq!(geometry.k() == 1, geometry.codec() == Codec::Replicate);
        prop_assert_eq!(geometry.shard_len_bytes() % COLUMN_LEN_BYTES, 0);
        let mut plaintext_end = 0;
        let mut seen = 0;
        for index in 0..geometry.k() {
            let mut shard_end = 0;
            let mut chunks_here = 0;
            for chunk in geometry.chunks_in_shard(ShardIndex(index)) {
                let place = geometry.locate(chunk).unwrap();
                prop_assert_eq!(chunk.0, seen);
                prop_assert_eq!(place.shard, ShardIndex(index));
                prop_assert_eq!(place.offset_bytes, shard_end);
                let plaintext = geometry.plaintext_range(chunk).unwrap();
                prop_assert_eq!(plaintext.start, plaintext_end);
                prop_assert_eq!(place.range().len(), plaintext.len() + 16);
                (shard_end, plaintext_end) = (place.range().end, plaintext.end);
                (seen, chunks_here) = (seen + 1, chunks_here + 1);
            }
            prop_assert!(chunks_here > 0, "shard {} is all padding", index);
            prop_assert!(shard_end <= geometry.shard_len_bytes());
            // The first shard is the fullest, and none of its columns is all padding.
            prop_assert!(index > 0 || shard_end + COLUMN_LEN_BYTES > geometry.shard_len_bytes());
        }
        prop_assert_eq!(seen as usize, geometry.chunk_count());
        prop_assert_eq!(plaintext_end as u64, spec.plaintext_len_bytes);
        for beyond in geometry.k()..=u8::MAX {
            prop_assert_eq!(geometry.chunks_in_shard(ShardIndex(beyond)).count(), 0);
        }
    }

    #[test]
    fn arbitrary_numbers_never_panic(
        k: u8, m: u8, chunk_len_bytes: u32, plaintext_len_bytes: u64, copies: bool, chunk: u32,
        range: (usize, usize),
    ) {
        let codec = if copies { Codec::Replicate } else { Codec::CauchyGf8 };
        let wild = StripeSpec { k, m, codec, chunk_len_bytes, plaintext_len_bytes };
        let tame = StripeSpec {
            k: k % 33,
            m: m % 17,
            chunk_len_bytes: chunk_len_bytes % ((1 << 20) + 2),
            plaintext_len_bytes: plaintext_len_bytes % (3 << 30),
            ..wild
        };
        for spec in [wild, tame] {
            if let Ok(geometry) = StripeGeometry::new(spec) {
                prop_assert!(geometry.shard_len_bytes() <= SHARD_LEN_BYTES_MAX);
                let _ = geometry.data_range(StripeChunk(chunk));
                let _ = geometry.chunks_of(range.0..range.1).map(|chunks| chunks.len());
                let _ = geometry.column_range(range.0..range.1);
                let last = StripeChunk(u32::try_from(geometry.chunk_count() - 1).unwrap());
                let end = geometry.data_range(last).unwrap().end;
                prop_assert!(end <= geometry.data_len_bytes());
            }
        }
    }
}
