use proptest::prelude::*;

use super::*;
use crate::random::counting_from;

fn root(first: u8) -> RootKey {
    RootKey::generate(&mut counting_from(first))
}

#[test]
fn sealed_secret_bytes_are_golden() {
    let sealed =
        seal_secret(&root(0), "s3-secret/AKID", b"open sesame", &mut counting_from(100)).unwrap();
    let golden = "016465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182831e98d6227809c5976222b5ad8c385a5fb3eb637ff4fbbf73582272";
    assert_eq!(hex::encode(sealed.encode()), golden);
    let stored = SealedSecret::decode(&hex::decode(golden).unwrap()).unwrap();
    let opened = open_secret(&root(0), "s3-secret/AKID", &stored).unwrap();
    assert_eq!(opened.expose_bytes(), b"open sesame");
}

#[test]
fn another_context_or_root_key_is_refused() {
    let sealed = seal_secret(&root(0), "s3-secret/A", b"secret", &mut counting_from(1)).unwrap();
    for context in ["s3-secret/B", "s3-secret/", "s3-secret/AA", ""] {
        let refused = open_secret(&root(0), context, &sealed).unwrap_err();
        assert_eq!(refused, OpenSecretError { context: context.to_owned() });
    }
    assert!(open_secret(&root(1), "s3-secret/A", &sealed).is_err());
    assert!(open_secret(&root(0), "s3-secret/A", &sealed).is_ok());
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = seal_secret(&root(0), "c", b"secret", &mut counting_from(1)).unwrap();
    for bit in 0..sealed.encode().len() * 8 {
        let mut damaged = sealed.encode().to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let opened = SealedSecret::decode(&damaged).map(|it| open_secret(&root(0), "c", &it));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn lengths_are_bounded_in_both_directions() {
    let most = vec![1; SECRET_LEN_BYTES_MAX];
    let sealed = seal_secret(&root(0), "c", &most, &mut counting_from(1)).unwrap();
    let stored = SealedSecret::decode(sealed.encode()).unwrap();
    assert_eq!(open_secret(&root(0), "c", &stored).unwrap().expose_bytes(), most);

    let len_bytes = SECRET_LEN_BYTES_MAX + 1;
    let refused = seal_secret(&root(0), "c", &vec![1; len_bytes], &mut counting_from(1));
    assert_eq!(refused, Err(SealSecretError::TooLong { len_bytes }));
    for len_bytes in [0, 1, OVERHEAD_BYTES - 1, OVERHEAD_BYTES + SECRET_LEN_BYTES_MAX + 1] {
        let refused = SealedSecret::decode(&vec![VERSION; len_bytes]);
        assert_eq!(refused, Err(DecodeSealedError::Len { len_bytes }));
    }
    assert_eq!(SealedSecret::decode(&[2; 60]), Err(DecodeSealedError::Version { version: 2 }));
}

proptest! {
    #[test]
    fn secrets_come_back(secret: Vec<u8>, context: String, first: u8) {
        let sealed = seal_secret(&root(0), &context, &secret, &mut counting_from(first)).unwrap();
        let stored = SealedSecret::decode(sealed.encode()).unwrap();
        let opened = open_secret(&root(0), &context, &stored).unwrap();
        prop_assert_eq!(opened.expose_bytes(), secret);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let versioned = [&[VERSION], bytes.as_slice()].concat();
        for bytes in [bytes, versioned] {
            if let Ok(sealed) = SealedSecret::decode(&bytes) {
                prop_assert!(open_secret(&root(0), "c", &sealed).is_err());
            }
        }
    }
}
