use super::*;
use crate::random::counting_from;

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// From the test vectors that accompany RFC 9180: mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002,
/// first encryption.
struct Vector {
    recipient: PrivateKey,
    encapsulated: [u8; 32],
    ciphertext: [u8; 29],
    tag: [u8; 16],
}

const INFO: &[u8] = b"Ode on a Grecian Urn";
const AAD: &[u8] = b"Count-0";
const PLAINTEXT: &[u8; 29] = b"Beauty is truth, truth beauty";
const BINDING: Binding<'_> = Binding { info: INFO, aad: AAD };

fn vector() -> Vector {
    Vector {
        recipient: PrivateKey::from_bytes(&array(
            "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
        )),
        encapsulated: array("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"),
        ciphertext: array("e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512b"),
        tag: array("e9931980a41de125a925cdad859d5b7a"),
    }
}

#[test]
fn published_test_vector_opens() {
    let Vector { recipient, encapsulated, mut ciphertext, tag } = vector();
    let public = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
    assert_eq!(hex::encode(recipient.public_key().to_bytes()), public);
    open_in_place(&recipient, BINDING, &encapsulated, &mut ciphertext, &tag).unwrap();
    assert_eq!(&ciphertext, PLAINTEXT);
}

#[test]
fn every_flipped_bit_of_the_test_vector_is_refused_and_zeroed() {
    let Vector { recipient, encapsulated, ciphertext, tag } = vector();
    let whole = [encapsulated.as_slice(), &ciphertext, &tag].concat();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let encapsulated: [u8; 32] = damaged[..32].try_into().unwrap();
        let mut message: [u8; 29] = damaged[32..61].try_into().unwrap();
        let tag: [u8; 16] = damaged[61..].try_into().unwrap();
        let opened = open_in_place(&recipient, BINDING, &encapsulated, &mut message, &tag);
        assert_eq!(opened, Err(Refused), "bit {bit}");
        assert_eq!(message, [0; 29], "bit {bit}");
    }
}

#[test]
fn another_binding_or_recipient_is_refused() {
    let Vector { recipient, encapsulated, ciphertext, tag } = vector();
    let refused = |recipient: &PrivateKey, binding| {
        let mut message = ciphertext;
        open_in_place(recipient, binding, &encapsulated, &mut message, &tag).is_err()
    };
    assert!(!refused(&recipient, BINDING));
    assert!(refused(&recipient, Binding { info: b"Ode on a Grecian", ..BINDING }));
    assert!(refused(&recipient, Binding { aad: b"Count-1", ..BINDING }));
    assert!(refused(&PrivateKey::generate(&mut counting_from(0)), BINDING));
}

#[test]
fn what_is_sealed_opens_and_uses_fresh_randomness() {
    let recipient = PrivateKey::generate(&mut counting_from(0));
    let mut made = Vec::new();
    for first in [1, 2] {
        let mut message = *PLAINTEXT;
        let public = recipient.public_key();
        let (encapsulated, tag) =
            seal_in_place(&public, BINDING, &mut message, &mut counting_from(first)).unwrap();
        made.push((encapsulated, message));
        open_in_place(&recipient, BINDING, &encapsulated, &mut message, &tag).unwrap();
        assert_eq!(&message, PLAINTEXT);
    }
    assert_ne!(made[0].0, made[1].0);
    assert_ne!(made[0].1, made[1].1);
}

#[test]
fn keys_of_low_order_are_refused() {
    // Two points of low order (RFC 7748, section 6.1).
    let one = array("0100000000000000000000000000000000000000000000000000000000000000");
    for bytes in [[0; 32], one] {
        let public = PublicKey::from_bytes(bytes);
        let mut message = *PLAINTEXT;
        let sealed = seal_in_place(&public, BINDING, &mut message, &mut counting_from(1));
        assert_eq!(sealed, Err(Refused));
    }
}

#[test]
fn private_keys_come_back_from_their_bytes() {
    let key = PrivateKey::generate(&mut counting_from(5));
    let again = PrivateKey::from_bytes(&key.to_bytes());
    assert_eq!(*again.to_bytes(), *key.to_bytes());
    assert!(again.public_key() == key.public_key());
}
