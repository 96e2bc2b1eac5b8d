use proptest::prelude::*;

use super::*;
use crate::random::counting_from;

const BODY: BodyContext = BodyContext { bucket_id: 21, manifest_id: 1001, chunk_len_bytes: 32 };

fn sealer(first: u8, body: BodyContext) -> ChunkSealer {
    ChunkSealer::new(&DataKey::generate(&mut counting_from(first)), body)
}

fn at(index: u64, is_last: bool) -> ChunkPosition {
    ChunkPosition { index: ChunkIndex(index), is_last }
}

fn sealed(sealer: &ChunkSealer, position: ChunkPosition, plaintext: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; plaintext.len() + TAG_LEN_BYTES];
    sealer.seal_into(position, plaintext, &mut out).unwrap();
    out
}

/// Opens both ways, which must agree, and checks that a refusal leaves no plaintext.
fn opened(
    sealer: &ChunkSealer,
    position: ChunkPosition,
    sealed: &[u8],
) -> Result<Vec<u8>, OpenChunkError> {
    let mut buffer = sealed.to_vec();
    let in_place = sealer.open_in_place(position, &mut buffer).map(|plaintext| plaintext.to_vec());
    let mut out = vec![0xee; sealed.len().saturating_sub(TAG_LEN_BYTES)];
    let into = sealer.open_into(position, sealed, &mut out);
    if let Err(OpenChunkError::NotAuthentic { .. }) = in_place {
        assert!(buffer.iter().chain(&out).all(|byte| *byte == 0), "refused but not zeroed");
    }
    assert_eq!(in_place, into.map(|()| out));
    in_place
}

#[test]
fn sealed_chunk_bytes_are_golden() {
    let sealer = sealer(0, BODY);
    let plaintext: Vec<u8> = (0..32).collect();
    let first = "500a2a18625b28a6d8c8441a75e4d057e7b6d106d65d80b0bf67e11e9d32aac127b1d535d5e082f7811364c664056bb9";
    let last = "3a3bec441e8b6726fb4a5b59b0844952190fd71087";
    assert_eq!(hex::encode(sealed(&sealer, at(0x0102_0304, false), &plaintext)), first);
    assert_eq!(hex::encode(sealed(&sealer, at(u64::MAX, true), &plaintext[..5])), last);
}

#[test]
fn nonce_is_index_and_last_flag() {
    let bytes = |position| *nonce(position).as_ref();
    assert_eq!(bytes(at(0, false)), [0; 12]);
    assert_eq!(bytes(at(0, true)), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bytes(at(0x0102, false)), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0]);
    assert_eq!(bytes(at(u64::MAX, true))[2..], [0, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
}

#[test]
fn sealing_in_place_and_into_a_buffer_agree() {
    let sealer = sealer(0, BODY);
    let plaintext = [9; 32];
    let mut buffer = [plaintext.as_slice(), &[0xaa; TAG_LEN_BYTES]].concat();
    sealer.seal_in_place(at(4, false), &mut buffer).unwrap();
    assert_eq!(buffer, sealed(&sealer, at(4, false), &plaintext));
    assert_eq!(opened(&sealer, at(4, false), &buffer).unwrap(), plaintext);
}

#[test]
fn every_flipped_bit_of_a_sealed_chunk_is_refused() {
    let sealer = sealer(0, BODY);
    let position = at(3, false);
    let chunk = sealed(&sealer, position, &[9; 32]);
    for bit in 0..chunk.len() * 8 {
        let mut damaged = chunk.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let refused = opened(&sealer, position, &damaged);
        assert_eq!(refused, Err(OpenChunkError::NotAuthentic { position }), "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_index_flag_and_context_is_refused() {
    let chunk = sealed(&sealer(0, BODY), at(3, false), &[9; 32]);
    let refused = |body, position| {
        matches!(
            opened(&sealer(0, body), position, &chunk),
            Err(OpenChunkError::NotAuthentic { .. } | OpenChunkError::SealedLen { .. })
        )
    };
    assert!(!refused(BODY, at(3, false)));
    assert!(refused(BODY, at(3, true)));
    for bit in 0..64 {
        assert!(refused(BODY, at(3 ^ (1 << bit), false)), "index bit {bit}");
        let body = BodyContext { bucket_id: BODY.bucket_id ^ (1 << bit), ..BODY };
        assert!(refused(body, at(3, false)), "bucket bit {bit}");
        let body = BodyContext { manifest_id: BODY.manifest_id ^ (1 << bit), ..BODY };
        assert!(refused(body, at(3, false)), "manifest bit {bit}");
    }
    for bit in 0..32 {
        let body = BodyContext { chunk_len_bytes: BODY.chunk_len_bytes ^ (1 << bit), ..BODY };
        assert!(refused(body, at(3, false)), "chunk length bit {bit}");
    }
}

#[test]
fn chunk_length_is_authenticated_where_lengths_alone_would_fit() {
    let chunk = sealed(&sealer(0, BODY), at(3, true), &[9; 10]);
    let body = BodyContext { chunk_len_bytes: 33, ..BODY };
    let position = at(3, true);
    let refused = opened(&sealer(0, body), position, &chunk);
    assert_eq!(refused, Err(OpenChunkError::NotAuthentic { position }));
}

#[test]
fn every_byte_of_the_associated_data_is_authenticated() {
    let position = at(3, true);
    let chunk = sealed(&sealer(0, BODY), position, &[9; 10]);
    for bit in 0..AAD_LEN_BYTES * 8 {
        let mut other = sealer(0, BODY);
        other.aad[bit / 8] ^= 1 << (bit % 8);
        let refused = opened(&other, position, &chunk);
        assert_eq!(refused, Err(OpenChunkError::NotAuthentic { position }), "bit {bit}");
    }
}

#[test]
fn another_data_key_is_refused() {
    let chunk = sealed(&sealer(0, BODY), at(0, true), b"plaintext");
    assert_eq!(opened(&sealer(0, BODY), at(0, true), &chunk).unwrap(), b"plaintext");
    assert!(opened(&sealer(1, BODY), at(0, true), &chunk).is_err());
}

#[test]
fn all_chunks_but_the_last_are_full_and_only_an_empty_body_has_an_empty_one() {
    let sealer = sealer(0, BODY);
    let cases = [
        (at(0, false), 31, false),
        (at(0, false), 32, true),
        (at(0, false), 33, false),
        (at(0, false), 0, false),
        (at(0, true), 0, true),
        (at(0, true), 1, true),
        (at(0, true), 32, true),
        (at(0, true), 33, false),
        (at(1, true), 0, false),
        (at(1, true), 1, true),
        (at(u64::MAX, true), 32, true),
    ];
    for (position, len_bytes, fits) in cases {
        let mut out = vec![0xee; len_bytes + TAG_LEN_BYTES];
        let result = sealer.seal_into(position, &vec![1; len_bytes], &mut out);
        let mut buffer = vec![0xee; len_bytes + TAG_LEN_BYTES];
        assert_eq!(sealer.seal_in_place(position, &mut buffer), result);
        if fits {
            assert_eq!(result, Ok(()), "{position:?} {len_bytes}");
            assert_eq!(opened(&sealer, position, &out).unwrap(), vec![1; len_bytes]);
        } else {
            assert_eq!(result, Err(SealChunkError::PlaintextLen { position, len_bytes }));
            assert!(out.iter().chain(&buffer).all(|byte| *byte == 0xee), "touched");
            let len_bytes = out.len();
            let refused = opened(&sealer, position, &out);
            assert_eq!(refused, Err(OpenChunkError::SealedLen { position, len_bytes }));
        }
    }
}

#[test]
fn buffers_of_other_lengths_are_refused() {
    let sealer = sealer(0, BODY);
    for len_bytes in [0, 32, 47, 49] {
        let refused = sealer.seal_into(at(0, false), &[1; 32], &mut vec![0; len_bytes]);
        let expected = SealChunkError::BufferLen { plaintext_len_bytes: 32, len_bytes };
        assert_eq!(refused, Err(expected));
    }
    let refused = sealer.seal_in_place(at(0, true), &mut [0; 15]);
    let expected = SealChunkError::BufferLen { plaintext_len_bytes: 0, len_bytes: 15 };
    assert_eq!(refused, Err(expected));
    let chunk = sealed(&sealer, at(0, false), &[1; 32]);
    for len_bytes in [0, 31, 33, 48] {
        let refused = sealer.open_into(at(0, false), &chunk, &mut vec![0; len_bytes]);
        let expected = OpenChunkError::BufferLen { sealed_len_bytes: 48, len_bytes };
        assert_eq!(refused, Err(expected));
    }
    for len_bytes in 0..TAG_LEN_BYTES {
        let position = at(0, true);
        let refused = opened(&sealer, position, &vec![0; len_bytes]);
        assert_eq!(refused, Err(OpenChunkError::SealedLen { position, len_bytes }));
    }
}

#[test]
fn a_chunk_length_of_zero_from_disk_never_panics() {
    let sealer = sealer(0, BodyContext { chunk_len_bytes: 0, ..BODY });
    assert!(opened(&sealer, at(0, false), &[0; 16]).is_err());
    assert!(opened(&sealer, at(0, true), &[0; 17]).is_err());
    assert!(opened(&sealer, at(0, true), &[0; 16]).is_err());
}

proptest! {
    #[test]
    fn a_body_opens_in_any_order_and_no_chunk_opens_elsewhere(
        body in prop::collection::vec(any::<u8>(), 0..300),
        first: u8,
    ) {
        let sealer = sealer(first, BODY);
        let mut plaintexts: Vec<&[u8]> = body.chunks(32).collect();
        if plaintexts.is_empty() {
            plaintexts.push(&[]);
        }
        let position = |index: usize| at(index as u64, index + 1 == plaintexts.len());
        let chunks: Vec<Vec<u8>> = plaintexts
            .iter()
            .enumerate()
            .map(|(index, plaintext)| sealed(&sealer, position(index), plaintext))
            .collect();
        for index in (0..chunks.len()).rev() {
            for (other, chunk) in chunks.iter().enumerate() {
                let result = opened(&sealer, position(index), chunk);
                if other == index {
                    prop_assert_eq!(&result.unwrap(), plaintexts[index]);
                } else {
                    prop_assert!(result.is_err(), "{} opened as {}", other, index);
                }
            }
            // Cut off after this chunk: it does not open as the last one.
            if index + 1 < chunks.len() {
                prop_assert!(opened(&sealer, at(index as u64, true), &chunks[index]).is_err());
            }
        }
        // Extended: the last chunk does not open as an inner one.
        let last = chunks.len() - 1;
        prop_assert!(opened(&sealer, at(last as u64, false), &chunks[last]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, index: u64, is_last: bool, len: u32) {
        let sealer = sealer(0, BodyContext { chunk_len_bytes: len % 64, ..BODY });
        prop_assert!(opened(&sealer, at(index, is_last), &bytes).is_err());
    }
}
