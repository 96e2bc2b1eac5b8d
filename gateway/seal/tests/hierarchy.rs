//! The crate as its users see it: from the root key down to a chunk and back, through the stored
//! forms of everything in between.

use gateway_seal::{
    AccountKeyPair, AccountPublicKey, BodyContext, BucketKey, BucketKeyContext, ChunkIndex,
    ChunkPosition, ChunkSealer, DataKey, RandomSource, RootKey, SealedAccountKey, SealedSecret,
    TAG_LEN_BYTES, WrappedBucketKey, WrappedDataKey, open_secret, seal_secret,
};

/// Bytes that do not repeat within a test.
fn random(seed: u64) -> impl RandomSource {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |out: &mut [u8]| {
        for byte in out {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8;
        }
    }
}

const CONTEXT: BucketKeyContext = BucketKeyContext { account_id: 1, bucket_id: 2, key_epoch: 3 };
const BODY: BodyContext = BodyContext { bucket_id: 2, manifest_id: 4, chunk_len_bytes: 65_536 };

fn position(index: u64, count: u64) -> ChunkPosition {
    ChunkPosition { index: ChunkIndex(index), is_last: index + 1 == count }
}

/// What metadata and shards hold after an upload.
struct Stored {
    account_key: [u8; 81],
    bucket_key: [u8; 81],
    data_key: [u8; 81],
    chunks: Vec<Vec<u8>>,
}

fn upload(root: &RootKey, body: &[u8]) -> Stored {
    let random: &mut dyn RandomSource = &mut random(1);
    let account = AccountKeyPair::generate(CONTEXT.account_id, random);
    let public = AccountPublicKey::decode(CONTEXT.account_id, account.public_key().encode());
    let bucket = BucketKey::generate(CONTEXT, random);
    let data = DataKey::generate(random);
    let sealer = ChunkSealer::new(&data, BODY);
    let count = body.chunks(65_536).len() as u64;
    let seal = |(index, plaintext): (u64, &[u8])| {
        let mut sealed = vec![0; plaintext.len() + TAG_LEN_BYTES];
        sealer.seal_into(position(index, count), plaintext, &mut sealed).expect("right lengths");
        sealed
    };
    Stored {
        account_key: account.seal(root, random).encode(),
        bucket_key: bucket.wrap(&public, random).expect("the owner's key").encode(),
        data_key: bucket.wrap_data_key(&data, BODY.manifest_id, random).encode(),
        chunks: (0..).zip(body.chunks(65_536)).map(seal).collect(),
    }
}

fn reader(root: &RootKey, stored: &Stored) -> Result<ChunkSealer, Box<dyn std::error::Error>> {
    let account = SealedAccountKey::decode(&stored.account_key)?.open(root, CONTEXT.account_id)?;
    let wrapped = WrappedBucketKey::decode(&stored.bucket_key)?;
    let bucket = account.unwrap_bucket_key(&wrapped, CONTEXT.bucket_id, CONTEXT.key_epoch)?;
    let wrapped = WrappedDataKey::decode(&stored.data_key)?;
    Ok(ChunkSealer::new(&bucket.unwrap_data_key(&wrapped, BODY.manifest_id)?, BODY))
}

#[test]
fn a_body_is_read_back_with_the_root_key_and_what_was_stored() {
    let root = RootKey::generate(&mut random(9));
    let body: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let stored = upload(&root, &body);
    let root = RootKey::from_bytes(root.expose_bytes()).expect("a key");
    let reader = reader(&root, &stored).expect("all keys open");
    let count = stored.chunks.len() as u64;
    let mut read = Vec::new();
    for (index, chunk) in (0..).zip(stored.chunks) {
        let mut buffer = chunk;
        let plaintext = reader.open_in_place(position(index, count), &mut buffer);
        read.extend_from_slice(plaintext.expect("authentic"));
    }
    assert_eq!(read, body);
}

#[test]
fn another_root_key_reads_nothing() {
    let stored = upload(&RootKey::generate(&mut random(9)), b"body");
    assert!(reader(&RootKey::generate(&mut random(9)), &stored).is_ok());
    assert!(reader(&RootKey::generate(&mut random(10)), &stored).is_err());
}

#[test]
fn debug_output_holds_no_key_bytes() {
    let root = RootKey::generate(&mut |out: &mut [u8]| out.fill(0xa5));
    let random = &mut |out: &mut [u8]| out.fill(0xa5);
    let account = AccountKeyPair::generate(1, random);
    let bucket = BucketKey::generate(CONTEXT, random);
    let data = DataKey::generate(random);
    let secret = seal_secret(&root, "c", &[0xa5; 20], random).expect("short");
    let opened = open_secret(&root, "c", &secret).expect("same context");
    let printed = [
        format!("{root:?} {root:#?}"),
        format!("{account:?} {account:#?}"),
        format!("{bucket:?} {bucket:#?}"),
        format!("{data:?} {data:#?}"),
        format!("{opened:?} {opened:#?}"),
        format!("{:?}", ChunkSealer::new(&data, BODY)),
    ];
    let expected = [
        "RootKey(..)",
        "AccountKeyPair(account 1, ..)",
        "BucketKey(BucketKeyContext { account_id: 1, bucket_id: 2, key_epoch: 3 }, ..)",
        "DataKey(..)",
        "OpenedSecret(..)",
        "ChunkSealer(..)",
    ];
    for (printed, expected) in printed.iter().zip(expected) {
        assert!(printed.starts_with(expected), "{printed}");
        for key_byte in ["165", "a5", "A5"] {
            assert!(!printed.contains(key_byte), "{printed}");
        }
    }
    // Sealed forms print their kind only, and the public key is meant to be seen.
    assert_eq!(format!("{secret:?}"), "SealedSecret(69 sealed bytes)");
    let sealed = account.seal(&root, random);
    assert_eq!(format!("{sealed:?}"), "SealedAccountKey(81 sealed bytes)");
    let wrapped = bucket.wrap_data_key(&data, 4, random);
    assert_eq!(format!("{wrapped:?}"), "WrappedDataKey(81 sealed bytes)");
    let wrapped = bucket.wrap(&account.public_key(), random).expect("the owner's key");
    assert_eq!(format!("{wrapped:?}"), "WrappedBucketKey(81 sealed bytes)");
    let public = account.public_key();
    let hex: String = public.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(format!("{public:?}"), format!("AccountPublicKey(account 1, {hex})"));
}

#[test]
fn stored_secrets_come_back() {
    let root = RootKey::generate(&mut random(9));
    let sealed = seal_secret(&root, "jwt", b"signing key", &mut random(2)).expect("short");
    let stored = SealedSecret::decode(sealed.encode()).expect("its own form");
    let opened = open_secret(&root, "jwt", &stored).expect("same key and context");
    assert_eq!(opened.expose_bytes(), b"signing key");
}

#[test]
fn keys_and_sealers_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<(RootKey, AccountKeyPair, BucketKey, DataKey, ChunkSealer)>();
}

#[test]
fn keys_and_opened_secrets_are_zeroed_when_dropped() {
    fn zeroed<T: zeroize::ZeroizeOnDrop>() {}
    zeroed::<RootKey>();
    zeroed::<BucketKey>();
    zeroed::<DataKey>();
    zeroed::<gateway_seal::OpenedSecret>();
}
