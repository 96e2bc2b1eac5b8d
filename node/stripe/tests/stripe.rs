//! The crate as its users see it: a recorded spec is enough to write a stripe, lose shards, and
//! read every chunk again.

use node_proto::ShardIndex;
use node_stripe::{Codec, Profile, StripeGeometry, StripeSpec, encode, reconstruct, shard_root};

fn spec_for(profile: &Profile, plaintext_len_bytes: u64) -> StripeSpec {
    StripeSpec {
        k: profile.k,
        m: profile.m,
        codec: profile.codec,
        chunk_len_bytes: profile.chunk_len_for(plaintext_len_bytes),
        plaintext_len_bytes,
    }
}

/// Stands in for a sealed chunk: tells its index and is never zero.
fn fill_chunk(sealed: &mut [u8], index: u32) {
    for (offset, byte) in sealed.iter_mut().enumerate() {
        *byte = 1 + ((index as usize * 31 + offset) % 255) as u8;
    }
}

#[test]
fn stripes_survive_the_loss_of_any_m_devices_whatever_their_length_and_width() {
    let lengths = [0, 1, 65_536, 65_537, 100_000, 262_144, 300_000, 1_000_000, 3_000_001];
    for domains in 3..=6 {
        let profile = Profile::default().adapted(domains).expect("enough domains");
        for len in lengths {
            let geometry = StripeGeometry::new(spec_for(&profile, len)).expect("valid");
            // A pooled buffer comes with someone else's bytes.
            let mut data = vec![0xaa; geometry.data_len_bytes()];
            let mut parity = vec![0xaa; geometry.parity_len_bytes()];
            geometry.zero_padding(&mut data);
            for chunk in geometry.chunks() {
                let range = geometry.data_range(chunk).expect("listed");
                fill_chunk(&mut data[range], chunk.0);
            }
            encode(&geometry, &data, &mut parity).expect("matching buffers");
            let all = [data, parity].concat();
            let shards: Vec<&[u8]> = all.chunks_exact(geometry.shard_len_bytes()).collect();
            let roots: Vec<_> = shards.iter().map(|shard| shard_root(shard)).collect();
            for first in 0..shards.len() {
                for second in first + 1..shards.len() {
                    check_loss(&geometry, &shards, &roots, [first, second]);
                }
            }
        }
    }
}

fn check_loss(
    geometry: &StripeGeometry,
    shards: &[&[u8]],
    roots: &[node_proto::ShardRoot],
    lost: [usize; 2],
) {
    let index = |index: usize| ShardIndex(u8::try_from(index).expect("few shards"));
    let present: Vec<_> = (0..shards.len())
        .filter(|shard| !lost.contains(shard))
        .map(|shard| (index(shard), shards[shard]))
        .collect();
    let made = reconstruct(geometry, &present, &lost.map(index)).expect("m are lost");
    for (shard, bytes) in &made {
        assert_eq!(shard_root(bytes), roots[usize::from(shard.0)]);
        for chunk in geometry.chunks_in_shard(*shard) {
            let place = geometry.locate(chunk).expect("listed");
            let mut expected = vec![0; place.sealed_len_bytes];
            fill_chunk(&mut expected, chunk.0);
            assert_eq!(bytes[place.range()], expected);
        }
    }
}

#[test]
fn a_degraded_read_of_one_chunk_decodes_only_its_columns() {
    let geometry = StripeGeometry::new(StripeSpec {
        k: 4,
        m: 2,
        codec: Codec::CauchyGf8,
        chunk_len_bytes: 1000,
        plaintext_len_bytes: 40_000,
    })
    .expect("valid");
    let mut data = vec![0; geometry.data_len_bytes()];
    for chunk in geometry.chunks() {
        let range = geometry.data_range(chunk).expect("listed");
        fill_chunk(&mut data[range], chunk.0);
    }
    let mut parity = vec![0; geometry.parity_len_bytes()];
    encode(&geometry, &data, &mut parity).expect("matching buffers");
    let all = [data, parity].concat();
    let shards: Vec<&[u8]> = all.chunks_exact(geometry.shard_len_bytes()).collect();
    for chunk in geometry.chunks() {
        let place = geometry.locate(chunk).expect("listed");
        let columns = geometry.column_range(place.range()).expect("inside");
        assert!(columns.len() < 1016 + 128);
        let present: Vec<_> = (0..6)
            .map(ShardIndex)
            .filter(|shard| *shard != place.shard)
            .map(|shard| (shard, &shards[usize::from(shard.0)][columns.clone()]))
            .collect();
        let made = reconstruct(&geometry, &present, &[place.shard]).expect("one is lost");
        let skip = place.offset_bytes - columns.start;
        let mut expected = vec![0; place.sealed_len_bytes];
        fill_chunk(&mut expected, chunk.0);
        assert_eq!(made[0].1[skip..skip + place.sealed_len_bytes], expected);
    }
}
