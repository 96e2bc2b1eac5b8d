//! Versions under a client's or a key service's key: what opens them, what is told of them, and
//! what is stored beside them.

use std::sync::Arc;

use gateway_kms::{KeyName, NewKey};
use gateway_meta::{
    KeyRange, MemoryMetaStore, MetaStore, Table,
    record::{
        BucketEncryptionRecord, ChecksumAlgorithm, ChecksumType, CustomerKeys, DefaultEncryption,
        Encryption,
    },
};
use gateway_object::{
    ChecksumRequest, CompletePart, CopyObject, CreateUpload, CustomerKey, EncryptionError,
    EncryptionRequest, GetObject, MultipartError, ObjectAttributes, ObjectConfig, ObjectReadError,
    ObjectWriteError, PartReceipt, PutObject, RangeRequest, UploadPart, UploadRef, WriteReceipt,
};
use md5::{Digest as _, Md5};
use proptest::{prelude::*, sample::select};

use crate::harness::{
    BUCKET, Harness, body, collect, complete_request, copy_request, create_upload, get_request,
    hex, object, put_request, sample, upload_ref,
};

fn customer(byte: u8) -> EncryptionRequest {
    EncryptionRequest::Customer(key(byte))
}

fn key(byte: u8) -> CustomerKey {
    CustomerKey::new([byte; 32])
}

fn kms(key: &str) -> EncryptionRequest {
    let key_id = Some(key.to_owned());
    EncryptionRequest::Kms { key_id, context: None, bucket_key: None }
}

fn attributes(encryption: EncryptionRequest) -> ObjectAttributes {
    ObjectAttributes { encryption, ..ObjectAttributes::default() }
}

impl Harness {
    async fn make_key(&self, id: &str) {
        let new = NewKey { id: Some(id.to_owned()), ..NewKey::default() };
        self.kms.create(new).await.unwrap();
    }

    async fn put_sealed(
        &self,
        key: &str,
        bytes: &[u8],
        encryption: EncryptionRequest,
    ) -> Result<WriteReceipt, ObjectWriteError> {
        let request = PutObject { attributes: attributes(encryption), ..put_request(key, bytes) };
        self.service.put_object(request).await
    }

    async fn get_with(
        &self,
        key: &str,
        customer_key: Option<CustomerKey>,
    ) -> Result<Vec<u8>, ObjectReadError> {
        let request = GetObject { customer_key, ..get_request(key) };
        Ok(collect(self.service.get_object(request).await?.body).await)
    }

    async fn sealed_upload(&self, key: &str, encryption: EncryptionRequest) -> UploadRef {
        let checksum = Some((ChecksumAlgorithm::Sha256, None));
        let request =
            CreateUpload { attributes: attributes(encryption), checksum, ..create_upload(key) };
        upload_ref(key, self.service.create_upload(request).await.unwrap().upload)
    }

    async fn part_with(
        &self,
        upload: &UploadRef,
        number: u16,
        bytes: &[u8],
        customer_key: Option<CustomerKey>,
    ) -> Result<PartReceipt, ObjectWriteError> {
        let (upload, body) = (upload.clone(), body(bytes));
        self.service.upload_part(UploadPart { upload, number, body, customer_key }).await
    }
}

fn read_refusal<T>(outcome: Result<T, ObjectReadError>) -> String {
    match outcome {
        Err(ObjectReadError::Encryption(error)) => error.to_string(),
        Err(error) => format!("another error: {error}"),
        Ok(_) => "read".to_owned(),
    }
}

fn write_refusal<T>(outcome: Result<T, ObjectWriteError>) -> String {
    match outcome {
        Err(
            ObjectWriteError::Encryption(error)
            | ObjectWriteError::Source(ObjectReadError::Encryption(error)),
        ) => error.to_string(),
        Err(error) => format!("another error: {error}"),
        Ok(_) => "written".to_owned(),
    }
}

#[tokio::test]
async fn clients_key_opens_and_nothing_else_does() {
    let harness = Harness::start().await;
    for len in [0, 1, 100, 4096, 4097, 70_000] {
        let bytes = sample(len, 1);
        harness.put_sealed("key", &bytes, customer(1)).await.unwrap();
        assert_eq!(harness.get_with("key", Some(key(1))).await.unwrap(), bytes, "{len} bytes");
        let missing = EncryptionError::CustomerKeyMissing.to_string();
        assert_eq!(read_refusal(harness.get_with("key", None).await), missing);
        let wrong = EncryptionError::CustomerKeyWrong.to_string();
        assert_eq!(read_refusal(harness.get_with("key", Some(key(2))).await), wrong);
        let head = GetObject { customer_key: Some(key(2)), ..get_request("key") };
        assert_eq!(read_refusal(harness.service.head_object(head.clone()).await), wrong);
        assert_eq!(read_refusal(harness.service.object_parts(head, 0, 10).await), wrong);
    }
    harness.put("plain", b"bytes").await;
    let unwanted = EncryptionError::CustomerKeyUnwanted.to_string();
    assert_eq!(read_refusal(harness.get_with("plain", Some(key(1))).await), unwanted);
}

#[tokio::test]
async fn key_services_key_opens_while_it_is_enabled() {
    let harness = Harness::start().await;
    harness.make_key("one").await;
    let bytes = sample(9000, 1);
    let written = harness.put_sealed("key", &bytes, kms("one")).await.unwrap();
    assert!(matches!(&written.encryption, Encryption::Kms(kms) if kms.key_id == "one"));
    assert_eq!(harness.get("key").await.unwrap(), bytes);
    // What an older version of the key sealed still opens.
    harness.kms.rotate(&KeyName::Id("one".into())).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), bytes);

    harness.kms.set_enabled(&KeyName::Id("one".into()), false).await.unwrap();
    let disabled = EncryptionError::KeyDisabled { key: "one".into() }.to_string();
    assert_eq!(read_refusal(harness.get("key").await), disabled);
    assert_eq!(write_refusal(harness.put_sealed("key", b"", kms("one")).await), disabled);
    // What is known without its bytes is told, but for the checksum.
    let head = harness.service.head_object(get_request("key")).await.unwrap();
    assert_eq!((head.info.metadata.etag, head.checksum), (written.etag, None));
    harness.kms.set_enabled(&KeyName::Id("one".into()), true).await.unwrap();
    assert_eq!(harness.get("key").await.unwrap(), bytes);
    let head = harness.service.head_object(get_request("key")).await.unwrap();
    assert_eq!(head.checksum, written.checksum);

    let missing = EncryptionError::NoSuchKey { key: "two".into() }.to_string();
    assert_eq!(write_refusal(harness.put_sealed("key", b"", kms("two")).await), missing);
    let malformed = EncryptionRequest::Kms {
        key_id: None,
        context: Some("no base64".into()),
        bucket_key: None,
    };
    let refused = EncryptionError::MalformedContext.to_string();
    assert_eq!(write_refusal(harness.put_sealed("key", b"", malformed).await), refused);
}

#[tokio::test]
async fn encryption_context_is_kept_and_needed() {
    let harness = Harness::start().await;
    // {"a":"b"}
    let context = Some("eyJhIjoiYiJ9".to_owned());
    let request = EncryptionRequest::Kms { key_id: None, context, bucket_key: Some(true) };
    let written = harness.put_sealed("key", b"bytes", request).await.unwrap();
    let Encryption::Kms(kms) = written.encryption else { panic!("a key service's") };
    assert_eq!((kms.context.as_deref(), kms.bucket_key), (Some("eyJhIjoiYiJ9"), true));
    assert_eq!(harness.get("key").await.unwrap(), b"bytes");
    // The default key was made on first use.
    let default = harness.kms.list().await.unwrap();
    assert_eq!((default.len(), &default[0].id), (1, &kms.key_id));
}

#[tokio::test]
async fn parts_take_the_key_of_their_upload() {
    let harness = Harness::start().await;
    harness.make_key("one").await;
    let bytes = [sample(9000, 1), sample(100, 2), sample(20, 3)];
    for (encryption, given) in [(customer(1), Some(key(1))), (kms("one"), None)] {
        let upload = harness.sealed_upload("key", encryption).await;
        let mut parts = Vec::new();
        for (number, bytes) in (1..).zip(&bytes) {
            let part = harness.part_with(&upload, number, bytes, given.clone()).await.unwrap();
            assert_ne!(part.md5[..], Md5::digest(bytes)[..], "an ETag tells nothing");
            parts.push(part);
        }
        let listed: Vec<_> = (1..).zip(&parts).collect();
        let mut request = complete_request(&upload, &listed);
        request.customer_key = given.clone();
        let written = harness.service.complete_upload(request).await.unwrap();
        let checksum = written.checksum.clone().unwrap();
        assert_eq!((checksum.kind, checksum.part_count), (ChecksumType::Composite, Some(3)));
        assert_eq!(harness.get_with("key", given.clone()).await.unwrap(), bytes.concat());

        let request = GetObject { customer_key: given.clone(), ..get_request("key") };
        let head = harness.service.head_object(request.clone()).await.unwrap();
        assert_eq!(head.checksum, Some(checksum));
        let second = GetObject { part_number: Some(2), ..request.clone() };
        let second = harness.service.get_object(second).await.unwrap();
        let own = parts[1].checksum.as_ref().unwrap();
        assert_eq!(second.checksum.unwrap().value, own.value);
        assert_eq!(collect(second.body).await, bytes[1]);
        let (_, page) = harness.service.object_parts(request, 0, 10).await.unwrap();
        assert_eq!(page.parts[1].checksum.as_ref().unwrap().1, own.value);
        harness.assert_usage_is_right().await;
    }
}

#[tokio::test]
async fn parts_under_another_key_or_none_are_refused() {
    let harness = Harness::start().await;
    let upload = harness.sealed_upload("key", customer(1)).await;
    let missing = EncryptionError::UploadKeyMissing.to_string();
    assert_eq!(write_refusal(harness.part_with(&upload, 1, b"part", None).await), missing);
    let wrong = EncryptionError::UploadKeyWrong.to_string();
    assert_eq!(write_refusal(harness.part_with(&upload, 1, b"part", Some(key(2))).await), wrong);
    let part = harness.part_with(&upload, 1, b"part", Some(key(1))).await.unwrap();

    // A completion may leave the key out, but then nothing can be compared.
    let mut declaring = complete_request(&upload, &[(1, &part)]);
    let checksum = part.checksum.clone().unwrap();
    let listed = CompletePart {
        checksum: Some((checksum.algorithm, checksum.value)),
        ..declaring.parts[0].clone()
    };
    declaring.parts = vec![listed];
    let refused = harness.service.complete_upload(declaring).await;
    let Err(MultipartError::Write(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(write_refusal::<()>(Err(error)), missing);
    let written = harness.complete(&upload, &[(1, &part)]).await.unwrap();
    assert_eq!(written.checksum, None);
    // Repeated, as clients do.
    assert_eq!(harness.complete(&upload, &[(1, &part)]).await.unwrap().etag, written.etag);
    assert_eq!(harness.get_with("key", Some(key(1))).await.unwrap(), b"part");

    let plain = harness.create_upload("plain").await;
    let unwanted = EncryptionError::UploadKeyUnwanted.to_string();
    let refused = harness.part_with(&plain, 1, b"part", Some(key(1))).await;
    assert_eq!(write_refusal(refused), unwanted);
}

fn copy(source: &str, from: Option<CustomerKey>, to: EncryptionRequest) -> CopyObject {
    let mut copy = CopyObject { encryption: to, ..copy_request(source, "copy") };
    copy.source.customer_key = from;
    copy
}

#[tokio::test]
async fn copies_are_sealed_as_the_request_says() {
    let harness = Harness::start().await;
    harness.make_key("one").await;
    let bytes = sample(9000, 1);
    harness.put_sealed("source", &bytes, customer(1)).await.unwrap();
    let missing = EncryptionError::CustomerKeyMissing.to_string();
    let refused = harness.service.copy_object(copy("source", None, customer(1))).await;
    assert_eq!(write_refusal(refused), missing);
    let targets =
        [(EncryptionRequest::BucketDefault, None), (customer(2), Some(key(2))), (kms("one"), None)];
    for (encryption, given) in targets {
        harness.service.copy_object(copy("source", Some(key(1)), encryption)).await.unwrap();
        assert_eq!(harness.get_with("copy", given).await.unwrap(), bytes);
    }
    // Onto itself: another key is a change.
    let mut rekeyed = copy("source", Some(key(1)), customer(3));
    rekeyed.target = object("source");
    harness.service.copy_object(rekeyed).await.unwrap();
    assert_eq!(harness.get_with("source", Some(key(3))).await.unwrap(), bytes);
}

#[tokio::test]
async fn bucket_says_how_objects_are_sealed_unless_requests_do() {
    let harness = Harness::start().await;
    harness.make_key("one").await;
    let default = DefaultEncryption::Kms { key: Some("one".into()) };
    let customer_keys = Some(CustomerKeys::Blocked);
    let config = BucketEncryptionRecord { default, bucket_key: true, customer_keys };
    harness.service.put_config(BUCKET, config).await.unwrap();
    let by_default = harness.put("default", b"bytes").await.encryption;
    assert!(matches!(by_default, Encryption::Kms(kms) if kms.key_id == "one" && kms.bucket_key));
    let named = EncryptionRequest::Kms { key_id: None, context: None, bucket_key: Some(false) };
    let named = harness.put_sealed("named", b"bytes", named).await.unwrap().encryption;
    assert!(matches!(named, Encryption::Kms(kms) if kms.key_id != "one" && !kms.bucket_key));
    let managed = harness.put_sealed("managed", b"bytes", EncryptionRequest::Managed).await;
    assert_eq!(managed.unwrap().encryption, Encryption::Managed);
    let blocked = EncryptionError::CustomerKeysBlocked.to_string();
    assert_eq!(write_refusal(harness.put_sealed("own", b"bytes", customer(1)).await), blocked);
    let upload = harness.create_upload("upload").await;
    let part = harness.upload_part(&upload, 1, b"part").await.unwrap();
    assert!(matches!(part.encryption, Encryption::Kms(_)));
    harness.complete(&upload, &[(1, &part)]).await.unwrap();
    for key in ["default", "named", "managed"] {
        assert_eq!(harness.get(key).await.unwrap(), b"bytes");
    }
    assert_eq!(harness.get("upload").await.unwrap(), b"part");
    harness.service.delete_config::<BucketEncryptionRecord>(BUCKET).await.unwrap();
    assert_eq!(harness.put("default", b"bytes").await.encryption, Encryption::Managed);
}

const TABLES: [Table; 6] = [Table::Cur, Table::Inl, Table::Mf, Table::Mpu, Table::Part, Table::Ctl];

async fn metadata(meta: &Arc<dyn MetaStore>) -> Vec<u8> {
    let mut all = Vec::new();
    for table in TABLES {
        for (row_key, row) in meta.scan(table, KeyRange::all(), 1000).await.unwrap() {
            all.extend([&row_key[..], &row[..]].concat());
        }
    }
    all
}

fn holds(all: &[u8], needle: &[u8]) -> bool {
    all.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn metadata_holds_neither_keys_nor_what_bytes_hash_to() {
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let harness = Harness::start_over(Arc::clone(&meta), ObjectConfig::default()).await;
    let customer_key = [0x5a; 32];
    let given = CustomerKey::new(customer_key);
    let sealed = || EncryptionRequest::Customer(given.clone());
    let bytes = sample(3000, 9);
    let mut request = put_request("key", &bytes);
    let algorithm = ChecksumAlgorithm::Sha256;
    request.body.expected.checksum = Some(ChecksumRequest { algorithm, expected: None });
    request.attributes = attributes(sealed());
    let written = harness.service.put_object(request).await.unwrap();
    let upload = harness.sealed_upload("parts", sealed()).await;
    let part = harness.part_with(&upload, 1, &bytes, Some(given.clone())).await.unwrap();
    let under_way = metadata(&meta).await;
    harness.complete(&upload, &[(1, &part)]).await.unwrap();
    let ended = metadata(&meta).await;

    let md5: [u8; 16] = Md5::digest(&bytes).into();
    let sha256 = written.checksum.unwrap().value;
    assert_eq!(sha256.len(), 32);
    let hex_of_key = hex(&customer_key);
    for all in [under_way, ended] {
        for secret in [&customer_key[..], hex_of_key.as_bytes(), &md5, &sha256, &bytes[..64]] {
            assert!(!holds(&all, secret));
        }
    }
    // The same look finds them where they may be.
    let mut request = put_request("plain", &bytes);
    request.body.expected.checksum = Some(ChecksumRequest { algorithm, expected: None });
    harness.service.put_object(request).await.unwrap();
    let plain = metadata(&meta).await;
    assert!(holds(&plain, &md5) && holds(&plain, &sha256));
}

#[tokio::test]
async fn same_bytes_under_the_same_key_are_stored_differently() {
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let harness = Harness::start_over(Arc::clone(&meta), ObjectConfig::default()).await;
    let one = harness.put_sealed("one", b"the same bytes", customer(1)).await.unwrap();
    let two = harness.put_sealed("two", b"the same bytes", customer(1)).await.unwrap();
    assert_ne!(one.etag, two.etag);
    assert_ne!(one.encryption, two.encryption);
    let rows = meta.scan(Table::Inl, KeyRange::all(), 10).await.unwrap();
    let tail = |row: &[u8]| row[row.len() - 30..].to_vec();
    assert_eq!(rows.len(), 2);
    assert_ne!(tail(&rows[0].1), tail(&rows[1].1));
}

/// How an object is sealed, and whether it is uploaded in parts.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Managed,
    Kms,
    Customer,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_range_of_any_object_comes_back_to_who_has_the_key(
        len in prop_oneof![0..200_usize, 4000..4200_usize, 60_000..200_000_usize],
        (first, last) in (0..250_000_u64, 0..250_000_u64),
        kind in select(vec![Kind::Managed, Kind::Kms, Kind::Customer]),
        parts in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let harness = Harness::start().await;
            let bytes = sample(len, seed);
            let (encryption, given) = match kind {
                Kind::Managed => (EncryptionRequest::Managed, None),
                Kind::Kms => {
                    let (key_id, context) = (None, None);
                    (EncryptionRequest::Kms { key_id, context, bucket_key: None }, None)
                }
                Kind::Customer => (customer(seed), Some(key(seed))),
            };
            if parts {
                let upload = harness.sealed_upload("key", encryption).await;
                let cut = (len / 2).max(16).min(len);
                let (one, two) = bytes.split_at(cut);
                let one = harness.part_with(&upload, 1, one, given.clone()).await.unwrap();
                let two = harness.part_with(&upload, 2, two, given.clone()).await.unwrap();
                let listed = if len < 16 { vec![(1, &one)] } else { vec![(1, &one), (2, &two)] };
                harness.complete(&upload, &listed).await.unwrap();
            } else {
                harness.put_sealed("key", &bytes, encryption).await.unwrap();
            }
            assert_eq!(harness.get_with("key", given.clone()).await.unwrap(), bytes);
            let range = Some(RangeRequest::From { first, last: Some(first.max(last)) });
            let ranged = GetObject { range, customer_key: given, ..get_request("key") };
            let (start, end) = (first as usize, (first.max(last) as usize + 1).min(len));
            match harness.service.get_object(ranged.clone()).await {
                Ok(read) => assert_eq!(collect(read.body).await, bytes[start..end]),
                Err(error) => assert!(start >= len, "{error}"),
            }
            if let Kind::Customer = kind {
                let wrong = Some(key(seed.wrapping_add(1)));
                let refused = GetObject { customer_key: wrong, ..ranged };
                let wrong = EncryptionError::CustomerKeyWrong.to_string();
                assert_eq!(read_refusal(harness.service.get_object(refused).await), wrong);
            }
        });
    }
}
