use proptest::prelude::*;

use super::*;

const KIB: u64 = 1 << 10;

fn profile(k: u8, m: u8) -> Profile {
    Profile { k, m, ..Profile::default() }
}

#[test]
fn default_is_four_plus_two_over_eight_mebibytes() {
    let expected = Profile {
        k: 4,
        m: 2,
        codec: Codec::CauchyGf8,
        stripe_len_bytes: 8_388_608,
        chunk_len_bytes: 65_536,
    };
    assert_eq!(Profile::default(), expected);
    assert_eq!(Profile::default().validate(), Ok(()));
}

#[test]
fn data_shards_follow_the_domains_and_parity_stays() {
    let default = Profile::default();
    assert_eq!(default.adapted(7), Some(default));
    assert_eq!(default.adapted(6), Some(default));
    assert_eq!(default.adapted(5), Some(profile(3, 2)));
    assert_eq!(default.adapted(4), Some(profile(2, 2)));
    assert_eq!(default.adapted(3), Some(profile(1, 2)));
    for too_few in 0..=2 {
        assert_eq!(default.adapted(too_few), None);
    }
    assert_eq!(default.adapted(usize::MAX), Some(default));
    assert_eq!(profile(4, 0).adapted(0), None);
    assert_eq!(profile(4, 0).adapted(1), Some(profile(1, 0)));
}

#[test]
fn bodies_of_one_chunk_keep_the_chunk_length() {
    for len in [0, 1, 64 * KIB - 1, 64 * KIB] {
        assert_eq!(Profile::default().chunk_len_for(len), 64 << 10, "{len}");
    }
}

#[test]
fn small_bodies_are_spread_evenly() {
    let chunk_len_for = |len| u64::from(Profile::default().chunk_len_for(len));
    assert_eq!(chunk_len_for(64 * KIB + 1), 17 * KIB);
    assert_eq!(chunk_len_for(65 * KIB), 17 * KIB);
    assert_eq!(chunk_len_for(100 * KIB), 25 * KIB);
    assert_eq!(chunk_len_for(256 * KIB - 1), 64 * KIB);
    assert_eq!(chunk_len_for(256 * KIB), 64 * KIB);
    assert_eq!(chunk_len_for(256 * KIB + 1), 33 * KIB);
    assert_eq!(chunk_len_for(320 * KIB), 40 * KIB);
    assert_eq!(chunk_len_for(8192 * KIB), 64 * KIB);
}

#[test]
fn bodies_of_several_stripes_keep_the_chunk_length() {
    assert_eq!(Profile::default().chunk_len_for(8192 * KIB + 1), 64 << 10);
    assert_eq!(Profile::default().chunk_len_for(u64::MAX), 64 << 10);
}

#[test]
fn unusable_profiles_are_refused() {
    let default = Profile::default();
    let data = |k, codec| Err(ProfileError::DataShards { k, codec });
    assert_eq!(profile(0, 2).validate(), data(0, Codec::CauchyGf8));
    assert_eq!(profile(33, 2).validate(), data(33, Codec::CauchyGf8));
    let copies = Profile { codec: Codec::Replicate, ..default };
    assert_eq!(copies.validate(), data(4, Codec::Replicate));
    assert_eq!(Profile { k: 1, ..copies }.validate(), Ok(()));
    assert_eq!(profile(4, 17).validate(), Err(ProfileError::ParityShards { m: 17 }));
    for chunk_len_bytes in [0, (1 << 20) + 1] {
        let refused = Profile { chunk_len_bytes, ..default }.validate();
        assert_eq!(refused, Err(ProfileError::ChunkLen { chunk_len_bytes }));
    }
    for stripe_len_bytes in [0, (8 << 20) + 1, 64 << 20, 3 << 30] {
        let refused = Profile { stripe_len_bytes, ..default }.validate();
        assert_eq!(refused, Err(ProfileError::StripeLen { stripe_len_bytes }));
    }
}

#[test]
fn a_profile_that_was_not_validated_gives_a_chunk_length_without_panic() {
    let nonsense = Profile { k: 0, chunk_len_bytes: 0, ..Profile::default() };
    assert_eq!(nonsense.chunk_len_for(100_000), 0);
    let nonsense = Profile { k: 0, ..Profile::default() };
    assert_eq!(nonsense.chunk_len_for(100_000), 64 << 10);
    let nonsense = Profile { chunk_len_bytes: u32::MAX, k: 255, ..Profile::default() };
    assert_eq!(nonsense.chunk_len_for(u64::MAX), u32::MAX);
}

proptest! {
    #[test]
    fn every_body_of_one_stripe_has_a_geometry_with_little_padding(
        k in 1..=K_MAX,
        m in 0..=M_MAX,
        body_len in 1..=8_388_608_u64,
    ) {
        let profile = profile(k, m);
        let chunk_len_bytes = profile.chunk_len_for(body_len);
        prop_assert!((1..=profile.chunk_len_bytes).contains(&chunk_len_bytes));
        let geometry = StripeGeometry::new(StripeSpec {
            k,
            m,
            codec: profile.codec,
            chunk_len_bytes,
            plaintext_len_bytes: body_len,
        }).unwrap();
        let padding = geometry.data_len_bytes() - geometry.plaintext_len_bytes();
        let chunks = geometry.chunks_per_shard() * usize::from(geometry.k());
        // A tag and a step per chunk, a column per shard, and one missing chunk per row.
        let row = if body_len <= 65_536 { 0 } else { chunk_len_bytes as usize };
        let allowed = chunks * (1024 + 16) + usize::from(k) * 64 + row;
        prop_assert!(padding <= allowed, "{padding} of {body_len} with chunks of {chunk_len_bytes}");
    }
}
