use super::*;
use crate::random::counting_from;

fn root(first: u8) -> RootKey {
    RootKey::generate(&mut counting_from(first))
}

fn pair() -> AccountKeyPair {
    AccountKeyPair::generate(7, &mut counting_from(32))
}

#[test]
fn sealed_account_key_bytes_are_golden() {
    let golden = "01404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f042eea44428a54346a7f1d00dbeb9cdeb907bc24bf6d31a5c4df7908f487ee057658a73f0867a56595d9cbabf476e383";
    let sealed = pair().seal(&root(0), &mut counting_from(64));
    assert_eq!(hex::encode(sealed.encode()), golden);
    let stored = SealedAccountKey::decode(&hex::decode(golden).unwrap()).unwrap();
    let opened = stored.open(&root(0), 7).unwrap();
    assert_eq!(opened.account_id(), 7);
    assert_eq!(*opened.private.to_bytes(), *pair().private.to_bytes());
    assert!(opened.public_key() == pair().public_key());
}

#[test]
fn public_key_bytes_are_golden() {
    let golden = "693658254630f73ad8da78fb331bf976cd42f90e0e9c9e83f40c51072a6f7417";
    let public = pair().public_key();
    assert_eq!(hex::encode(public.encode()), golden);
    let stored = hex::decode(golden).unwrap().try_into().unwrap();
    assert!(AccountPublicKey::decode(7, stored) == public);
    assert!(AccountPublicKey::decode(8, stored) != public);
}

#[test]
fn another_account_or_root_key_is_refused() {
    let sealed = pair().seal(&root(0), &mut counting_from(64));
    let refused = sealed.open(&root(0), 8).unwrap_err();
    assert_eq!(refused, OpenAccountKeyError { account_id: 8 });
    assert!(sealed.open(&root(1), 7).is_err());
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = pair().seal(&root(0), &mut counting_from(64)).encode();
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let opened = SealedAccountKey::decode(&damaged).map(|it| it.open(&root(0), 7));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn a_sealed_account_key_is_no_sealed_secret() {
    let sealed = pair().seal(&root(0), &mut counting_from(64));
    let as_secret = crate::SealedSecret::decode(&sealed.encode()).unwrap();
    let context = String::from_utf8(7_u64.to_be_bytes().to_vec()).unwrap();
    assert!(crate::open_secret(&root(0), &context, &as_secret).is_err());
}
