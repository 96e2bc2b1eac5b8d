use super::*;
use crate::random::counting_from;

const KEY: [u8; KEY_LEN_BYTES] = [0x42; KEY_LEN_BYTES];
const PURPOSE: &str = "test purpose v1";

fn opened(
    key: &[u8; KEY_LEN_BYTES],
    purpose: &'static str,
    context: &[u8],
    envelope: &[u8],
) -> Result<Vec<u8>, Refused> {
    let mut content = vec![0xee; envelope.len() - OVERHEAD_BYTES];
    let result = open(key, purpose, context, envelope, &mut content);
    assert!(result.is_ok() || content.iter().all(|byte| *byte == 0), "refused but not zeroed");
    result.map(|()| content)
}

#[test]
fn envelope_bytes_are_golden() {
    let sealed = seal(&KEY, PURPOSE, b"context", b"content", &mut counting_from(0));
    assert_eq!(
        hex::encode(&sealed),
        "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fce86923a1c6fb4c7296de51a9f2a0f004ea31c0e68a88b"
    );
}

#[test]
fn content_comes_back_whatever_its_length() {
    for len in [0, 1, 15, 16, 17, 1000] {
        let content = vec![7; len];
        let sealed = seal(&KEY, PURPOSE, b"context", &content, &mut counting_from(3));
        assert_eq!(sealed.len(), len + OVERHEAD_BYTES);
        assert_eq!(opened(&KEY, PURPOSE, b"context", &sealed), Ok(content));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = seal(&KEY, PURPOSE, b"context", b"content", &mut counting_from(0));
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&KEY, PURPOSE, b"context", &damaged), Err(Refused), "bit {bit}");
    }
}

#[test]
fn another_key_purpose_or_context_is_refused() {
    let sealed = seal(&KEY, PURPOSE, b"context", b"content", &mut counting_from(0));
    for bit in 0..KEY_LEN_BYTES * 8 {
        let mut key = KEY;
        key[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&key, PURPOSE, b"context", &sealed), Err(Refused));
    }
    assert_eq!(opened(&KEY, "test purpose v2", b"context", &sealed), Err(Refused));
    for context in [b"".as_slice(), b"contex", b"context ", b"contexu"] {
        assert_eq!(opened(&KEY, PURPOSE, context, &sealed), Err(Refused));
    }
}

#[test]
fn cut_and_extended_envelopes_are_refused() {
    let sealed = seal(&KEY, PURPOSE, b"", b"content", &mut counting_from(0));
    for len in 0..sealed.len() {
        let mut content = [0xee; 7];
        assert_eq!(open(&KEY, PURPOSE, b"", &sealed[..len], &mut content), Err(Refused));
        assert_eq!(content, [0; 7]);
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(opened(&KEY, PURPOSE, b"", &longer), Err(Refused));
    let mut short = [0; 6];
    assert_eq!(open(&KEY, PURPOSE, b"", &sealed, &mut short), Err(Refused));
}

#[test]
fn the_salt_is_random_and_decides_the_key() {
    let first = seal(&KEY, PURPOSE, b"", b"content", &mut counting_from(0));
    let second = seal(&KEY, PURPOSE, b"", b"content", &mut counting_from(1));
    assert_ne!(first[1..33], second[1..33]);
    assert_ne!(first[33..], second[33..]);
    let mixed = [&first[..33], &second[33..]].concat();
    assert_eq!(opened(&KEY, PURPOSE, b"", &mixed), Err(Refused));
}

#[test]
fn decoding_checks_version_before_length() {
    assert_eq!(decode_fixed::<3>(&[1, 2, 3]), Ok([1, 2, 3]));
    assert_eq!(decode_fixed::<3>(&[]), Err(DecodeSealedError::Len { len_bytes: 0 }));
    assert_eq!(decode_fixed::<3>(&[1, 2]), Err(DecodeSealedError::Len { len_bytes: 2 }));
    assert_eq!(decode_fixed::<3>(&[1, 2, 3, 4]), Err(DecodeSealedError::Len { len_bytes: 4 }));
    for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
        let refused = decode_fixed::<3>(&[version, 2, 3, 4, 5]);
        assert_eq!(refused, Err(DecodeSealedError::Version { version }));
    }
}

#[test]
fn contexts_are_fixed_width_numbers() {
    assert_eq!(context_of([1, 0x0203]), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3]);
}
