use super::*;
use crate::account::AccountKeyPair;
use crate::random::counting_from;

const CONTEXT: BucketKeyContext = BucketKeyContext { account_id: 7, bucket_id: 21, key_epoch: 3 };
const MANIFEST: u64 = 0x0102_0304_0506_0708;

fn owner() -> AccountKeyPair {
    AccountKeyPair::generate(7, &mut counting_from(32))
}

fn bucket_key() -> BucketKey {
    BucketKey::generate(CONTEXT, &mut counting_from(128))
}

fn wrapped_data_key() -> WrappedDataKey {
    let data_key = DataKey::generate(&mut counting_from(200));
    bucket_key().wrap_data_key(&data_key, MANIFEST, &mut counting_from(50))
}

#[test]
fn wrapped_bucket_key_bytes_are_golden() {
    let golden = "01b6f6fd58b19a2172d47c8babeb40355515abf3a4b3053a1a9deacddd9770d53f8fb15bb45f9220e35a36fe5eb19e91f977f554f0a96e1f2ac5f849f773de0151edcb36e58a906157688f2cde9cb49a13";
    let wrapped = bucket_key().wrap(&owner().public_key(), &mut counting_from(90)).unwrap();
    assert_eq!(hex::encode(wrapped.encode()), golden);
    let stored = WrappedBucketKey::decode(&hex::decode(golden).unwrap()).unwrap();
    let opened = owner().unwrap_bucket_key(&stored, 21, 3).unwrap();
    assert_eq!(opened.context(), CONTEXT);
    assert_eq!(opened.bytes, bucket_key().bytes);
}

#[test]
fn wrapped_data_key_bytes_are_golden() {
    let golden = "0132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505111414034215b3b966e901205eefe76f300df8091e139d5cba8caea103637d4e92333f1fe706d043384e7ff2e063dc06b";
    assert_eq!(hex::encode(wrapped_data_key().encode()), golden);
    let stored = WrappedDataKey::decode(&hex::decode(golden).unwrap()).unwrap();
    let opened = bucket_key().unwrap_data_key(&stored, MANIFEST).unwrap();
    assert_eq!(opened.bytes(), DataKey::generate(&mut counting_from(200)).bytes());
}

#[test]
fn bucket_key_of_another_account_bucket_or_epoch_is_refused() {
    let wrapped = bucket_key().wrap(&owner().public_key(), &mut counting_from(90)).unwrap();
    let context = BucketKeyContext { bucket_id: 22, ..CONTEXT };
    let refused = owner().unwrap_bucket_key(&wrapped, 22, 3).unwrap_err();
    assert_eq!(refused, UnwrapBucketKeyError { context });
    assert!(owner().unwrap_bucket_key(&wrapped, 21, 2).is_err());
    assert!(owner().unwrap_bucket_key(&wrapped, 3, 21).is_err());
    let stranger = AccountKeyPair::generate(7, &mut counting_from(33));
    assert!(stranger.unwrap_bucket_key(&wrapped, 21, 3).is_err());
    let same_key_other_account = AccountKeyPair::generate(8, &mut counting_from(32));
    assert!(same_key_other_account.unwrap_bucket_key(&wrapped, 21, 3).is_err());
}

#[test]
fn wrapping_to_another_account_or_an_unusable_key_is_refused() {
    let stranger = AccountKeyPair::generate(8, &mut counting_from(40)).public_key();
    let refused = bucket_key().wrap(&stranger, &mut counting_from(90)).unwrap_err();
    assert_eq!(refused, WrapBucketKeyError::OtherAccount { account_id: 8, owner_id: 7 });
    let wiped = AccountPublicKey::decode(7, [0; 32]);
    let refused = bucket_key().wrap(&wiped, &mut counting_from(90)).unwrap_err();
    assert_eq!(refused, WrapBucketKeyError::PublicKey { account_id: 7 });
}

#[test]
fn data_key_of_another_manifest_bucket_epoch_or_account_is_refused() {
    let wrapped = wrapped_data_key();
    let refused = bucket_key().unwrap_data_key(&wrapped, MANIFEST + 1).unwrap_err();
    assert_eq!(refused, UnwrapDataKeyError { bucket: CONTEXT, manifest_id: MANIFEST + 1 });
    let others = [
        BucketKeyContext { account_id: 8, ..CONTEXT },
        BucketKeyContext { bucket_id: 22, ..CONTEXT },
        BucketKeyContext { key_epoch: 4, ..CONTEXT },
    ];
    for context in others {
        // The same key bytes under another name.
        let key = BucketKey::generate(context, &mut counting_from(128));
        assert!(key.unwrap_data_key(&wrapped, MANIFEST).is_err(), "{context:?}");
    }
    let other_key = BucketKey::generate(CONTEXT, &mut counting_from(129));
    assert!(other_key.unwrap_data_key(&wrapped, MANIFEST).is_err());
    assert!(bucket_key().unwrap_data_key(&wrapped, MANIFEST).is_ok());
}

#[test]
fn every_flipped_bit_of_a_wrapped_key_is_refused() {
    let bucket = bucket_key().wrap(&owner().public_key(), &mut counting_from(90)).unwrap();
    let data = wrapped_data_key();
    for bit in 0..WrappedBucketKey::ENCODED_LEN * 8 {
        let flip = |mut bytes: [u8; 81]| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let opened = WrappedBucketKey::decode(&flip(bucket.encode()))
            .map(|wrapped| owner().unwrap_bucket_key(&wrapped, 21, 3));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
        let opened = WrappedDataKey::decode(&flip(data.encode()))
            .map(|wrapped| bucket_key().unwrap_data_key(&wrapped, MANIFEST));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn stored_forms_of_other_lengths_and_versions_are_refused() {
    for len_bytes in [0, 1, 80, 82] {
        let bytes = vec![VERSION; len_bytes];
        let refused = DecodeSealedError::Len { len_bytes };
        assert_eq!(WrappedBucketKey::decode(&bytes).unwrap_err(), refused);
        assert_eq!(WrappedDataKey::decode(&bytes).unwrap_err(), refused);
    }
    let refused = DecodeSealedError::Version { version: 9 };
    assert_eq!(WrappedBucketKey::decode(&[9; 81]).unwrap_err(), refused);
    assert_eq!(WrappedDataKey::decode(&[9; 81]).unwrap_err(), refused);
}

#[test]
fn a_key_wrapped_twice_gives_two_unrelated_forms_of_the_same_key() {
    let data_key = DataKey::generate(&mut counting_from(200));
    let mut random = counting_from(50);
    let first = bucket_key().wrap_data_key(&data_key, 1, &mut random);
    let second = bucket_key().wrap_data_key(&data_key, 1, &mut random);
    assert_ne!(first.encode()[33..], second.encode()[33..]);
    for wrapped in [first, second] {
        let opened = bucket_key().unwrap_data_key(&wrapped, 1).unwrap();
        assert_eq!(opened.bytes(), data_key.bytes());
    }
}

#[test]
fn data_key_of_a_version_takes_both_keys_to_open() {
    let version = VersionKey::generate(&mut counting_from(11));
    let data_key = DataKey::generate(&mut counting_from(200));
    let random = &mut counting_from(50);
    let wrapped = bucket_key().wrap_data_key_with(&version, &data_key, MANIFEST, random);
    let opened = bucket_key().unwrap_data_key_with(&version, &wrapped, MANIFEST).unwrap();
    assert_eq!(opened.bytes(), data_key.bytes());
    // Neither the bucket key alone, nor the version key with another bucket key.
    assert!(bucket_key().unwrap_data_key(&wrapped, MANIFEST).is_err());
    let other = BucketKey::generate(CONTEXT, &mut counting_from(129));
    assert!(other.unwrap_data_key_with(&version, &wrapped, MANIFEST).is_err());
    let wrong = VersionKey::generate(&mut counting_from(12));
    assert!(bucket_key().unwrap_data_key_with(&wrong, &wrapped, MANIFEST).is_err());
    assert!(bucket_key().unwrap_data_key_with(&version, &wrapped, MANIFEST + 1).is_err());
    // A body of the bucket key alone does not open as one of a version.
    let plain = wrapped_data_key();
    assert!(bucket_key().unwrap_data_key_with(&version, &plain, MANIFEST).is_err());
}
