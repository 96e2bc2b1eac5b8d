//! A service to test, and short ways to call it.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use gateway_kms::{BuiltInDeps, BuiltInKeyService, KeyService};
use gateway_meta::{
    AccountId, Batch, CommitOutcome, MemoryMetaStore, MetaStore, Op, Table, TxIds, UploadId,
    key::ctl,
    record::{AccountKeyRecord, Record},
};
use gateway_object::{
    CompletePart, CompleteUpload, CopyObject, CopySource, CreateBucket, CreateUpload,
    ExpectedDigests, GetObject, IncomingBody, MetadataDirective, MultipartError, ObjectAttributes,
    ObjectConfig, ObjectDeps, ObjectReadError, ObjectRef, ObjectService, ObjectWriteError,
    PartReceipt, PutObject, ReadCondition, TaggingDirective, UploadPart, UploadRef, WriteCondition,
    WriteReceipt,
};
use gateway_seal::{AccountKeyPair, RootKey};
use node_proto::{
    ClusterId, DeviceId, Layout, LayoutDevice, ManualClock, ShardService, UnixMillis,
    conformance::MemoryDevice,
};

/// The account that owns the tests' buckets.
pub(crate) const OWNER: AccountId = AccountId(7);

/// Another account with keys.
pub(crate) const STRANGER: AccountId = AccountId(8);

/// The bucket that [`Harness::start`] makes.
pub(crate) const BUCKET: &str = "bucket";

/// Least length of a part that is not the last.
pub(crate) const PART_MIN: u64 = 16;

/// When the tests' clock starts: some day, twelve seconds before an hour ends.
pub(crate) const START: UnixMillis = UnixMillis(1_750_003_188_000);

/// A service and what it stands on.
pub(crate) struct Harness {
    pub(crate) service: ObjectService,
    pub(crate) kms: Arc<BuiltInKeyService>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Harness {
    /// A service with one empty bucket.
    pub(crate) async fn start() -> Self {
        Self::start_over(Arc::new(MemoryMetaStore::new()), ObjectConfig::default()).await
    }

    /// A service over `meta`, with one empty bucket.
    pub(crate) async fn start_over(meta: Arc<dyn MetaStore>, config: ObjectConfig) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let txids = Arc::new(TxIds::new(START, 1));
        let root_key = Arc::new(RootKey::generate(&mut random));
        for account in [OWNER, STRANGER] {
            let sealed = AccountKeyPair::generate(account.0, &mut random)
                .seal(&root_key, &mut random)
                .encode()
                .to_vec();
            let put = Op::Put {
                table: Table::Ctl,
                key: ctl::account_key(account),
                value: AccountKeyRecord { sealed }.encode(),
            };
            let batch = Batch { txid: txids.next(), guards: Vec::new(), ops: vec![put] };
            assert_eq!(meta.commit(batch).await.unwrap(), CommitOutcome::Applied);
        }
        let (layout, devices) = six_devices();
        let kms = Arc::new(BuiltInKeyService::new(BuiltInDeps {
            meta: Arc::clone(&meta),
            txids: Arc::clone(&txids),
            root_key: Arc::clone(&root_key),
            clock: Arc::clone(&clock) as Arc<dyn node_proto::Clock>,
            random,
        }));
        let deps = ObjectDeps {
            meta,
            txids,
            layout,
            devices,
            root_key,
            key_service: Some(Arc::clone(&kms) as Arc<dyn KeyService>),
            clock: Arc::clone(&clock) as Arc<dyn node_proto::Clock>,
        };
        let config = ObjectConfig { part_len_bytes_min: PART_MIN, ..config };
        let service = ObjectService::open(deps, config).await.unwrap();
        let harness = Self { service, kms, clock };
        harness.make_bucket(BUCKET).await;
        harness
    }

    pub(crate) async fn make_bucket(&self, name: &str) {
        self.service.create_bucket(create_bucket(name, OWNER)).await.unwrap();
    }

    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) -> WriteReceipt {
        self.try_put(key, bytes, WriteCondition::default()).await.unwrap()
    }

    pub(crate) async fn try_put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: WriteCondition,
    ) -> Result<WriteReceipt, ObjectWriteError> {
        let request = PutObject { condition, ..put_request(key, bytes) };
        self.service.put_object(request).await
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Vec<u8>, ObjectReadError> {
        let read = self.service.get_object(get_request(key)).await?;
        Ok(collect(read.body).await)
    }

    pub(crate) async fn create_upload(&self, key: &str) -> UploadRef {
        let made = self.service.create_upload(create_upload(key)).await.unwrap();
        upload_ref(key, made.upload)
    }

    pub(crate) async fn upload_part(
        &self,
        upload: &UploadRef,
        number: u16,
        bytes: &[u8],
    ) -> Result<PartReceipt, ObjectWriteError> {
        let request =
            UploadPart { upload: upload.clone(), number, body: body(bytes), customer_key: None };
        self.service.upload_part(request).await
    }

    pub(crate) async fn complete(
        &self,
        upload: &UploadRef,
        parts: &[(u16, &PartReceipt)],
    ) -> Result<WriteReceipt, MultipartError> {
        self.service.complete_upload(complete_request(upload, parts)).await
    }

    /// Fails unless every counter is what the rows amount to.
    pub(crate) async fn assert_usage_is_right(&self) {
        assert_eq!(self.service.audit_usage().await.unwrap(), []);
    }
}

pub(crate) fn object(key: &str) -> ObjectRef {
    ObjectRef { bucket: BUCKET.to_owned(), key: key.to_owned() }
}

pub(crate) fn upload_ref(key: &str, upload: UploadId) -> UploadRef {
    UploadRef { target: object(key), upload }
}

pub(crate) fn create_bucket(name: &str, owner: AccountId) -> CreateBucket {
    CreateBucket {
        name: name.to_owned(),
        owner,
        region: String::new(),
        object_lock: false,
        tags: Vec::new(),
    }
}

pub(crate) fn put_request(key: &str, bytes: &[u8]) -> PutObject {
    PutObject {
        target: object(key),
        writer: OWNER,
        body: body(bytes),
        attributes: ObjectAttributes::default(),
        condition: WriteCondition::default(),
    }
}

pub(crate) fn get_request(key: &str) -> GetObject {
    GetObject {
        target: object(key),
        version: None,
        range: None,
        part_number: None,
        condition: ReadCondition::default(),
        customer_key: None,
    }
}

pub(crate) fn copy_request(source: &str, target: &str) -> CopyObject {
    CopyObject {
        source: CopySource {
            object: object(source),
            version: None,
            condition: ReadCondition::default(),
            customer_key: None,
        },
        target: object(target),
        writer: OWNER,
        metadata: MetadataDirective::Copy,
        tagging: TaggingDirective::Copy,
        storage_class: String::new(),
        checksum: None,
        lock: Default::default(),
        encryption: Default::default(),
        condition: WriteCondition::default(),
    }
}

pub(crate) fn create_upload(key: &str) -> CreateUpload {
    CreateUpload {
        target: object(key),
        initiator: OWNER,
        attributes: ObjectAttributes::default(),
        checksum: None,
    }
}

pub(crate) fn complete_request(
    upload: &UploadRef,
    parts: &[(u16, &PartReceipt)],
) -> CompleteUpload {
    let part = |&(number, receipt): &(u16, &PartReceipt)| CompletePart {
        number,
        etag: hex(&receipt.md5),
        checksum: None,
    };
    CompleteUpload {
        upload: upload.clone(),
        parts: parts.iter().map(part).collect(),
        condition: WriteCondition::default(),
        checksum: None,
        checksum_type: None,
        object_len_bytes: None,
        customer_key: None,
    }
}

/// A body that arrives in three chunks.
pub(crate) fn body(bytes: &[u8]) -> IncomingBody {
    let bytes = Bytes::copy_from_slice(bytes);
    let (a, b) = (bytes.len() / 3, bytes.len() / 2);
    let chunks = [bytes.slice(..a), bytes.slice(a..b), bytes.slice(b..)];
    IncomingBody {
        stream: stream::iter(chunks.map(Ok)).boxed(),
        len_bytes: Some(bytes.len() as u64),
        expected: ExpectedDigests::default(),
    }
}

pub(crate) async fn collect(body: gateway_object::ByteStream) -> Vec<u8> {
    let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
    chunks.concat()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that do not repeat soon.
pub(crate) fn sample(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| seed.wrapping_add((at * 31 + at / 251) as u8)).collect()
}

pub(crate) fn random(out: &mut [u8]) {
    getrandom::fill(out).unwrap();
}

pub(crate) fn six_devices() -> (Layout, Vec<Arc<dyn ShardService>>) {
    let ids = || (0..6).map(DeviceId);
    let device = |id| LayoutDevice::local(id, "memory".to_owned());
    let layout = Layout::local(ClusterId([1; 16]), ids().map(device).collect());
    let service = |id| Arc::new(MemoryDevice::new(id)) as Arc<dyn ShardService>;
    (layout, ids().map(service).collect())
}
