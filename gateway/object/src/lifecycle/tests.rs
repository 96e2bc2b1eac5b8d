//! Lifecycle over a store in memory, stepped by hand under a clock of its own.

mod act;
mod cost;
mod damage;
mod model;
mod race;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use gateway_meta::{
    AccountId, Batch, BucketId, CommitOutcome, KeyRange, MetaStore, Op, Table, TxIds, VersionId,
    key::{self, ctl},
    record::{
        AccountKeyRecord, Expiration, LifecycleRecord, LifecycleRule, NoncurrentExpiration,
        ObjectKind, ObjectLock, ObjectRecord, Record, RuleFilter, RuleScope, Versioning,
    },
};
use gateway_seal::{AccountKeyPair, RootKey};
use node_proto::{
    ClusterId, DeviceId, Layout, LayoutDevice, ManualClock, ShardService, UnixMillis,
    conformance::MemoryDevice,
};

use super::{Lifecycle, pass::Cut};
use crate::{
    CreateBucket, CreateUpload, DeleteObject, ExpectedDigests, IncomingBody, ObjectAttributes,
    ObjectConfig, ObjectDeps, ObjectRef, PutObject, WriteCondition, WriteReceipt,
    data::DataPath,
    engine::Engine,
    worker::{Pace, Worker},
};

const OWNER: AccountId = AccountId(7);
const DAY_MS: u64 = 1000;
/// A midnight of days of a second.
const START: UnixMillis = UnixMillis(1_750_000_000_000);
/// Steps after which a worker that always finds more to do is broken.
const STEPS_MAX: usize = 100_000;

/// An engine, and a worker that nobody steps but the test.
struct Rig {
    meta: Arc<dyn MetaStore>,
    clock: Arc<ManualClock>,
    root_key: Arc<RootKey>,
    starts: u32,
    cut: Cut,
    engine: Arc<Engine>,
    worker: Lifecycle,
}

fn random(out: &mut [u8]) {
    getrandom::fill(out).unwrap();
}

impl Rig {
    async fn start(meta: Arc<dyn MetaStore>, cut: Cut) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let root_key = Arc::new(RootKey::generate(&mut random));
        let sealed = AccountKeyPair::generate(OWNER.0, &mut random)
            .seal(&root_key, &mut random)
            .encode()
            .to_vec();
        let value = AccountKeyRecord { sealed }.encode();
        let put = Op::Put { table: Table::Ctl, key: ctl::account_key(OWNER), value };
        let txid = TxIds::new(START, 0).next();
        let outcome = meta.commit(Batch { txid, guards: Vec::new(), ops: vec![put] }).await;
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
        let engine = engine(&meta, &clock, &root_key, 1).await;
        let worker = Lifecycle::new(Arc::clone(&engine)).cut_into(cut);
        Self { meta, clock, root_key, starts: 1, cut, engine, worker }
    }

    /// As after a crash: nothing but the store is left.
    async fn restart(&mut self) {
        self.starts += 1;
        self.engine = engine(&self.meta, &self.clock, &self.root_key, self.starts).await;
        self.worker = Lifecycle::new(Arc::clone(&self.engine)).cut_into(self.cut);
    }

    async fn make_bucket(&self, name: &str, versioning: Versioning, object_lock: bool) -> BucketId {
        let request = CreateBucket {
            name: name.to_owned(),
            owner: OWNER,
            region: String::new(),
            object_lock,
            tags: Vec::new(),
        };
        let bucket = self.engine.create_bucket(request).await.unwrap();
        if versioning != bucket.versioning {
            self.engine.set_versioning(name, versioning).await.unwrap();
        }
        bucket.id
    }

    async fn configure(&self, bucket: &str, rules: Vec<LifecycleRule>) {
        let record = LifecycleRecord { rules, transition_minimum: None };
        self.engine.put_config(bucket, &record).await.unwrap();
    }

    async fn put(&self, bucket: &str, key: &str, attributes: ObjectAttributes) -> WriteReceipt {
        self.put_len(bucket, key, 1, attributes).await
    }

    async fn put_len(
        &self,
        bucket: &str,
        key: &str,
        len: usize,
        attributes: ObjectAttributes,
    ) -> WriteReceipt {
        let bytes = Bytes::from(vec![7; len]);
        let body = IncomingBody {
            len_bytes: Some(len as u64),
            stream: futures::stream::iter([Ok(bytes)]).boxed(),
            expected: ExpectedDigests::default(),
        };
        let request = PutObject {
            target: target(bucket, key),
            writer: OWNER,
            body,
            attributes,
            condition: WriteCondition::default(),
        };
        self.engine.put_object(request).await.unwrap()
    }

    async fn delete(&self, bucket: &str, key: &str, version: Option<VersionId>) {
        let request = DeleteObject {
            target: target(bucket, key),
            version,
            if_match: None,
            bypass_governance: false,
        };
        self.engine.delete_object(request).await.unwrap();
    }

    fn wait_days(&self, days: u64) {
        self.clock.advance_ms(days * DAY_MS);
    }

    /// Steps the worker until it rests, with a crash behind every `crash_every`th step.
    async fn run(&mut self, crash_every: Option<usize>) {
        for step in 1..STEPS_MAX {
            if self.worker.step().await.unwrap() == Pace::Idle {
                return;
            }
            if crash_every.is_some_and(|every| step.is_multiple_of(every)) {
                self.restart().await;
            }
        }
        panic!("lifecycle never comes to rest");
    }

    /// Every version of a bucket: key by key, newest first.
    fn versions(&self, bucket: BucketId) -> Vec<(String, ObjectRecord)> {
        let snapshot = self.meta.snapshot();
        let range = KeyRange::prefix(&key::bucket_prefix(bucket));
        let mut all = Vec::new();
        for table in [Table::Cur, Table::Ver] {
            let mut cursor = snapshot.cursor(table, range.clone());
            while let Some((row_key, value)) = cursor.next().unwrap() {
                let (_, key, _) = key::parse_object_row(&row_key).unwrap();
                all.push((String::from_utf8(key).unwrap(), ObjectRecord::decode(&value).unwrap()));
            }
        }
        all.sort_by(|(a, one), (b, other)| a.cmp(b).then(other.seq.cmp(&one.seq)));
        all
    }

    /// The keys of a bucket's versions, `-` in front of delete markers.
    fn shown(&self, bucket: BucketId) -> Vec<String> {
        let show = |(key, record): (String, ObjectRecord)| match record.kind {
            ObjectKind::Object(_) => key,
            ObjectKind::DeleteMarker => format!("-{key}"),
        };
        self.versions(bucket).into_iter().map(show).collect()
    }

    fn assert_usage_is_right(&self) {
        assert_eq!(crate::accounting::audit(&*self.meta.snapshot()).unwrap(), []);
    }
}

async fn engine(
    meta: &Arc<dyn MetaStore>,
    clock: &Arc<ManualClock>,
    root_key: &Arc<RootKey>,
    start: u32,
) -> Arc<Engine> {
    let ids = || (0..6).map(DeviceId);
    let device = |id| LayoutDevice::local(id, "memory".to_owned());
    let service = |id| Arc::new(MemoryDevice::new(id)) as Arc<dyn ShardService>;
    let deps = ObjectDeps {
        meta: Arc::clone(meta),
        txids: Arc::new(TxIds::new(clock.as_ref().now(), start)),
        layout: Layout::local(ClusterId([1; 16]), ids().map(device).collect()),
        devices: ids().map(service).collect(),
        root_key: Arc::clone(root_key),
        key_service: None,
        clock: Arc::clone(clock) as Arc<dyn node_proto::Clock>,
    };
    let config = ObjectConfig {
        lifecycle_day: Duration::from_millis(DAY_MS),
        part_len_bytes_min: 1,
        ..ObjectConfig::default()
    };
    let mut data = config.data();
    data.workers.enabled = false;
    let data = DataPath::open(&deps, data).await.unwrap();
    Arc::new(Engine::new(deps, data, config))
}

use node_proto::Clock as _;

fn target(bucket: &str, key: &str) -> ObjectRef {
    ObjectRef { bucket: bucket.to_owned(), key: key.to_owned() }
}

fn rule(prefix: &str) -> LifecycleRule {
    let filter = RuleFilter { prefix: Some(prefix.to_owned()), ..RuleFilter::default() };
    LifecycleRule {
        id: "r".to_owned(),
        enabled: true,
        scope: RuleScope::Filter(filter),
        expiration: None,
        transitions: Vec::new(),
        noncurrent_expiration: None,
        noncurrent_transitions: Vec::new(),
        abort_uploads_days: None,
    }
}

fn expiring(prefix: &str, days: u32) -> LifecycleRule {
    LifecycleRule { expiration: Some(Expiration::Days(days)), ..rule(prefix) }
}

fn thinning(prefix: &str, days: u32, kept: Option<u32>) -> LifecycleRule {
    let expiration = NoncurrentExpiration { days, newer_versions: kept };
    LifecycleRule { noncurrent_expiration: Some(expiration), ..rule(prefix) }
}

fn locked(lock: ObjectLock) -> ObjectAttributes {
    ObjectAttributes { lock, ..ObjectAttributes::default() }
}

fn memory() -> Arc<dyn MetaStore> {
    Arc::new(gateway_meta::MemoryMetaStore::new())
}

/// Pages so small that every boundary is met, and places that are recorded behind each.
fn tiny(page_rows: u64) -> Cut {
    Cut { page_rows, key_rows: page_rows, pages_per_record: 1 }
}
