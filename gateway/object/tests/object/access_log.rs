//! Access logs: what was taken is delivered, once, also over restarts.

use std::{sync::Arc, time::Duration};

use gateway_meta::{
    Batch, CommitOutcome, KeyRange, MemoryMetaStore, MetaStore, Op, Table, TxIds,
    key::ctl,
    record::{AccountKeyRecord, BucketLoggingRecord, LogKeyFormat, PartitionDate, Record},
};
use gateway_object::{
    GetObject, ListEntry, ListObjects, ObjectConfig, ObjectDeps, ObjectRef, ObjectService,
};
use gateway_seal::{AccountKeyPair, RootKey};
use node_proto::{Clock, Layout, ManualClock, ShardService, UnixMillis};

use crate::harness::{OWNER, START, STRANGER, collect, create_bucket, random, six_devices};

/// The bucket that is logged.
const SOURCE: &str = "source";
/// The bucket that gets the log.
const LOGS: &str = "logs";
/// As good as never.
const NEVER: Duration = Duration::from_secs(3600);
/// Soon.
const SOON: Duration = Duration::from_millis(20);
/// Longest time a test waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the service promises of lines that were taken.
const DURABLE_AFTER: Duration = Duration::from_secs(2);
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What outlives a service.
struct World {
    meta: Arc<MemoryMetaStore>,
    root_key: Arc<RootKey>,
    layout: Layout,
    devices: Vec<Arc<dyn ShardService>>,
    clock: Arc<ManualClock>,
}

impl World {
    /// Two accounts, without buckets.
    async fn new() -> Self {
        let root_key = Arc::new(RootKey::generate(&mut random));
        let meta = Arc::new(MemoryMetaStore::new());
        let txids = TxIds::new(START, 1);
        for account in [OWNER, STRANGER] {
            let pair = AccountKeyPair::generate(account.0, &mut random);
            let sealed = pair.seal(&root_key, &mut random).encode().to_vec();
            let put = Op::Put {
                table: Table::Ctl,
                key: ctl::account_key(account),
                value: AccountKeyRecord { sealed }.encode(),
            };
            let batch = Batch { txid: txids.next(), guards: Vec::new(), ops: vec![put] };
            assert_eq!(meta.commit(batch).await.unwrap(), CommitOutcome::Applied);
        }
        let (layout, devices) = six_devices();
        let clock = Arc::new(ManualClock::new(START));
        Self { meta, root_key, layout, devices, clock }
    }

    /// A process on it, the `start`th.
    async fn open(&self, start: u32, interval: Duration) -> ObjectService {
        let deps = ObjectDeps {
            meta: Arc::clone(&self.meta) as Arc<dyn MetaStore>,
            txids: Arc::new(TxIds::new(UnixMillis(START.0 + u64::from(start)), start)),
            layout: self.layout.clone(),
            devices: self.devices.clone(),
            root_key: Arc::clone(&self.root_key),
            key_service: None,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        let config = ObjectConfig { access_log_interval: interval, ..ObjectConfig::default() };
        ObjectService::open(deps, config).await.unwrap()
    }

    /// A process on it, with a bucket that logs into another.
    async fn open_logging(&self, interval: Duration) -> ObjectService {
        let service = self.open(2, interval).await;
        for name in [SOURCE, LOGS] {
            service.create_bucket(create_bucket(name, OWNER)).await.unwrap();
        }
        service.put_config(SOURCE, logging("log/", LogKeyFormat::Unsaid)).await.unwrap();
        service
    }

    /// Rows of lines that wait.
    async fn waiting_rows(&self) -> usize {
        let rows = KeyRange::prefix(&ctl::access_log_prefix());
        self.meta.scan(Table::Ctl, rows, 1000).await.unwrap().len()
    }
}

fn logging(prefix: &str, key_format: LogKeyFormat) -> BucketLoggingRecord {
    let target_prefix = prefix.to_owned();
    BucketLoggingRecord { target_bucket: LOGS.to_owned(), target_prefix, key_format }
}

async fn log(service: &ObjectService, at: UnixMillis, lines: impl IntoIterator<Item = String>) {
    let bucket = service.bucket(SOURCE).await.unwrap();
    for line in lines {
        service.log_access(&bucket, at, &line);
    }
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("line {n}"))
}

/// Keys and lines of what was delivered.
async fn delivered(service: &ObjectService) -> Vec<(String, Vec<String>)> {
    let request = ListObjects {
        bucket: LOGS.to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 1000,
    };
    let page = service.list_objects(request).await.unwrap();
    let mut found = Vec::new();
    for entry in page.entries {
        let ListEntry::Object { key, .. } = entry else { panic!("no delimiter") };
        let target = ObjectRef { bucket: LOGS.to_owned(), key: key.clone() };
        let get = GetObject {
            target,
            version: None,
            range: None,
            part_number: None,
            condition: Default::default(),
            customer_key: None,
        };
        let read = service.get_object(get).await.unwrap();
        let text = String::from_utf8(collect(read.body).await).unwrap();
        assert!(text.ends_with('\n'));
        found.push((key, text.lines().map(str::to_owned).collect()));
    }
    found
}

/// Waits until `count` lines were delivered, and answers them in order.
async fn all_delivered(service: &ObjectService, count: usize) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = delivered(service).await;
        let lines: Vec<String> = found.into_iter().flat_map(|(_, lines)| lines).collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(tokio::time::Instant::now() < deadline, "{} of {count} lines", lines.len());
        tokio::time::sleep(SOON).await;
    }
}

#[track_caller]
fn assert_each_once(mut lines: Vec<String>, count: usize) {
    let mut expected: Vec<String> = numbered(count).collect();
    expected.sort();
    lines.sort();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn lines_survive_the_process_once_their_time_is_over() {
    let world = World::new().await;
    let service = world.open_logging(NEVER).await;
    log(&service, START, numbered(100)).await;
    tokio::time::sleep(DURABLE_AFTER).await;
    // As a crash does it: nothing is flushed any more.
    drop(service);
    let service = world.open(3, SOON).await;
    assert_each_once(all_delivered(&service, 100).await, 100);
    tokio::time::sleep(10 * SOON).await;
    assert_each_once(all_delivered(&service, 100).await, 100);
    assert_eq!(world.waiting_rows().await, 0);
    assert_eq!(service.audit_usage().await.unwrap(), []);
}

#[tokio::test]
async fn a_clean_stop_loses_no_line() {
    let world = World::new().await;
    let service = world.open_logging(NEVER).await;
    log(&service, START, numbered(10)).await;
    service.shutdown().await;
    let service = world.open(3, SOON).await;
    assert_each_once(all_delivered(&service, 10).await, 10);
}

#[tokio::test]
async fn every_line_is_delivered_once_however_often_deliveries_run() {
    let world = World::new().await;
    let service = world.open_logging(SOON).await;
    for n in 0..200 {
        log(&service, START, [format!("line {n}")]).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    assert_each_once(all_delivered(&service, 200).await, 200);
    assert!(delivered(&service).await.len() > 3, "all at once");
    assert_eq!(service.audit_usage().await.unwrap(), []);
}

#[tokio::test]
async fn log_objects_are_named_as_the_configuration_says() {
    let world = World::new().await;
    let service = world.open_logging(NEVER).await;
    let formats = [
        ("event/", LogKeyFormat::Partitioned(PartitionDate::Event)),
        ("delivery/", LogKeyFormat::Partitioned(PartitionDate::Delivery)),
        ("simple/", LogKeyFormat::Simple),
    ];
    for (prefix, format) in formats {
        service.put_config(SOURCE, logging(prefix, format)).await.unwrap();
        for day in [1, 0] {
            let at = UnixMillis(START.0 - day * DAY_MILLIS);
            log(&service, at, [format!("{prefix} {day}")]).await;
        }
    }
    service.shutdown().await;
    let service = world.open(3, SOON).await;
    all_delivered(&service, 6).await;
    // What makes a name unique is the last sixteen characters.
    let found = delivered(&service).await;
    let named =
        |(key, lines): &(String, Vec<String>)| (key[..key.len() - 16].to_owned(), lines.len());
    let folders = "000000000007/us-east-1/source";
    assert_eq!(
        found.iter().map(named).collect::<Vec<_>>(),
        [
            (format!("delivery/{folders}/2025/06/15/2025-06-15-15-59-48-"), 2),
            (format!("event/{folders}/2025/06/14/2025-06-14-00-00-00-"), 1),
            (format!("event/{folders}/2025/06/15/2025-06-15-00-00-00-"), 1),
            ("simple/2025-06-15-15-59-48-".to_owned(), 2),
        ]
    );
}

#[tokio::test]
async fn lines_without_a_place_to_go_are_dropped() {
    let world = World::new().await;
    let service = world.open_logging(NEVER).await;
    log(&service, START, numbered(1)).await;
    service.delete_bucket(LOGS).await.unwrap();
    service.shutdown().await;
    assert_eq!(world.waiting_rows().await, 1);
    let service = world.open(3, NEVER).await;
    // Somebody else takes the name: what was logged is not for them.
    service.create_bucket(create_bucket(LOGS, STRANGER)).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while world.waiting_rows().await > 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(SOON).await;
    }
    assert_eq!(delivered(&service).await, []);
}

#[tokio::test]
async fn the_log_of_a_bucket_outlives_it() {
    let world = World::new().await;
    let service = world.open_logging(NEVER).await;
    log(&service, START, numbered(1)).await;
    service.delete_bucket(SOURCE).await.unwrap();
    service.shutdown().await;
    let service = world.open(3, SOON).await;
    assert_each_once(all_delivered(&service, 1).await, 1);
}

#[tokio::test]
async fn a_bucket_without_a_log_takes_no_line() {
    let world = World::new().await;
    let service = world.open_logging(SOON).await;
    service.delete_config::<BucketLoggingRecord>(SOURCE).await.unwrap();
    log(&service, START, numbered(1)).await;
    service.shutdown().await;
    assert_eq!(world.waiting_rows().await, 0);
}
