//! Entry points for fuzzing: sealed values and chunks as they come back from disk.
//!
//! Each function takes any bytes and panics when a property does not hold. The targets of
//! `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! Deliberately absent: from every build but tests and the fuzz package's own.

use crate::{
    AccountKeyPair, BodyContext, BucketKey, BucketKeyContext, ChunkIndex, ChunkPosition,
    ChunkSealer, DataKey, OpenChunkError, RootKey, SealedAccountKey, SealedSecret, TAG_LEN_BYTES,
    WrappedBucketKey, WrappedDataKey, open_secret, seal_secret,
};

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

const ACCOUNT: u64 = 7;
const BUCKET: BucketKeyContext =
    BucketKeyContext { account_id: ACCOUNT, bucket_id: 8, key_epoch: 1 };
const MANIFEST: u64 = 9;

/// Stored forms of sealed values. The first byte chooses the kind, and whether the rest is the
/// stored form itself or is laid over a genuine one, bit by bit.
///
/// Only the genuine value opens, and it opens to what was sealed.
pub fn sealed(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let root = RootKey::from_bytes(&[0x11; RootKey::LEN_BYTES]).expect("the length is right");
    let account = AccountKeyPair::generate(ACCOUNT, &mut counting());
    let bucket = BucketKey::generate(BUCKET, &mut counting());
    let given = |genuine: &[u8]| match choice & 0x80 {
        0 => laid_over(genuine, rest),
        _ => rest.to_vec(),
    };
    match choice & 3 {
        0 => {
            let sealed = seal_secret(&root, "context", b"secret", &mut counting());
            let genuine = sealed.expect("the secret is short");
            let bytes = given(genuine.encode());
            let Ok(found) = SealedSecret::decode(&bytes) else {
                return assert_ne!(bytes, genuine.encode());
            };
            assert_eq!(found.encode(), bytes);
            let opened = open_secret(&root, "context", &found);
            assert_eq!(opened.is_ok(), bytes == genuine.encode());
            assert!(opened.is_err() || opened.is_ok_and(|it| it.expose_bytes() == b"secret"));
            assert!(open_secret(&root, "another", &found).is_err());
        }
        1 => {
            let genuine = account.seal(&root, &mut counting()).encode();
            let bytes = given(&genuine);
            let Ok(found) = SealedAccountKey::decode(&bytes) else {
                return assert_ne!(bytes, genuine);
            };
            assert_eq!(found.encode()[..], bytes);
            assert_eq!(found.open(&root, ACCOUNT).is_ok(), bytes == genuine);
            assert!(found.open(&root, ACCOUNT + 1).is_err());
        }
        2 => {
            let wrapped = bucket.wrap(&account.public_key(), &mut counting());
            let genuine = wrapped.expect("the account owns the bucket").encode();
            let bytes = given(&genuine);
            let Ok(found) = WrappedBucketKey::decode(&bytes) else {
                return assert_ne!(bytes, genuine);
            };
            assert_eq!(found.encode()[..], bytes);
            let BucketKeyContext { bucket_id, key_epoch, .. } = BUCKET;
            let opened = account.unwrap_bucket_key(&found, bucket_id, key_epoch);
            assert_eq!(opened.is_ok(), bytes == genuine);
            assert!(account.unwrap_bucket_key(&found, bucket_id, key_epoch + 1).is_err());
        }
        _ => {
            let key = DataKey::generate(&mut counting());
            let genuine = bucket.wrap_data_key(&key, MANIFEST, &mut counting()).encode();
            let bytes = given(&genuine);
            let Ok(found) = WrappedDataKey::decode(&bytes) else {
                return assert_ne!(bytes, genuine);
            };
            assert_eq!(found.encode()[..], bytes);
            let opened = bucket.unwrap_data_key(&found, MANIFEST);
            assert_eq!(opened.is_ok(), bytes == genuine);
            assert!(opened.is_err() || opened.is_ok_and(|it| it.bytes() == key.bytes()));
            assert!(bucket.unwrap_data_key(&found, MANIFEST + 1).is_err());
        }
    }
}

/// One chunk of a body. The input: which position it is sealed at and which it is opened at, the
/// chunk length, how long the plaintext is, and bytes laid over the sealed chunk.
///
/// A chunk opens exactly at its own position and only as sealing makes it; a refused buffer holds no
/// plaintext, and both ways of opening agree.
pub fn chunk(data: &[u8]) {
    let [sealed_at, opened_at, chunk_len, len, over @ ..] = data else {
        return;
    };
    let body =
        BodyContext { bucket_id: 1, manifest_id: MANIFEST, chunk_len_bytes: u32::from(*chunk_len) };
    let sealer = ChunkSealer::new(&DataKey::generate(&mut counting()), body);
    let (sealed_at, opened_at) = (position(*sealed_at), position(*opened_at));
    let plaintext: Vec<u8> = (0..*len).map(|byte| byte ^ 0xa5).collect();
    let mut genuine = vec![0; plaintext.len() + TAG_LEN_BYTES];
    let is_sealed = sealer.seal_into(sealed_at, &plaintext, &mut genuine).is_ok();
    let mut again = plaintext.clone();
    again.resize(genuine.len(), 0xff);
    assert_eq!(sealer.seal_in_place(sealed_at, &mut again).is_ok(), is_sealed);
    assert!(!is_sealed || again == genuine);

    let given = laid_over(&genuine, over);
    let mut opened = vec![0xff; given.len().saturating_sub(TAG_LEN_BYTES)];
    let into = sealer.open_into(opened_at, &given, &mut opened);
    let mut buffer = given.clone();
    let in_place = sealer.open_in_place(opened_at, &mut buffer).map(|found| found.to_vec());
    assert_eq!(into.is_ok(), in_place.is_ok());
    let is_untouched = is_sealed && given == genuine;
    let is_genuine = is_untouched && opened_at == sealed_at;
    match in_place {
        Ok(found) if is_genuine => assert!(found == plaintext && opened == plaintext),
        // A fuzzer sees what a tag is compared with, and can make it: the very one of this position.
        Ok(found) => {
            assert!(!is_untouched && found == opened);
            let mut forged = vec![0; given.len()];
            assert!(sealer.seal_into(opened_at, &opened, &mut forged).is_ok());
            assert_eq!(forged, given);
        }
        Err(_) if is_genuine => panic!("what was sealed opens"),
        Err(OpenChunkError::NotAuthentic { .. }) => {
            assert!(opened.iter().chain(&buffer).all(|byte| *byte == 0));
        }
        Err(OpenChunkError::SealedLen { .. } | OpenChunkError::BufferLen { .. }) => {
            assert_eq!(buffer, given);
        }
    }
}

fn position(bits: u8) -> ChunkPosition {
    ChunkPosition { index: ChunkIndex(u64::from(bits >> 1)), is_last: bits & 1 == 1 }
}

/// `genuine` with the bits of `over` turned around, and cut to or continued by what is left of it:
/// nothing when `over` is empty.
fn laid_over(genuine: &[u8], over: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    for (byte, bits) in bytes.iter_mut().zip(over) {
        *byte ^= bits;
    }
    if let Some(longer) = over.get(genuine.len()..) {
        match longer.split_first() {
            Some((cut, [])) => bytes.truncate(genuine.len().saturating_sub(usize::from(*cut))),
            Some((_, tail)) => bytes.extend_from_slice(tail),
            None => {}
        }
    }
    bytes
}

/// Random bytes that are the same every time.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |out: &mut [u8]| {
        for byte in out {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_hold() {
        kept::replay("seal_sealed", sealed);
        kept::replay("seal_chunk", chunk);
    }
}
