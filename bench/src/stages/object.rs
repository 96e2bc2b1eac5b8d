//! The object service in this process: everything of the server but HTTP, S3 and signatures.
//!
//! What lies between the composed pipeline and this is the cost of bodies as streams, of memory
//! bounds, placement and metadata; what lies between this and `bench load` is the edge, the
//! transport and the client.
//!
//! Invariants:
//! - metadata and drives are real and durable, in a fresh directory for each figure;
//! - objects that are read were read before, so that they are in the page cache;
//! - what is read is compared, as `bench load` does.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use gateway_meta::{
    AccountId, Batch, CommitOutcome, MetaStore, Op, RocksConfig, RocksMetaStore, Table, TxIds,
    key::ctl,
    record::{AccountKeyRecord, Record as _},
};
use gateway_object::{
    CreateBucket, ExpectedDigests, GetObject, IncomingBody, ObjectAttributes, ObjectConfig,
    ObjectDeps, ObjectRef, ObjectService, PutObject, ReadCondition, WriteCondition,
};
use gateway_seal::{AccountKeyPair, RootKey};
use http_body_util::BodyExt as _;
use node_proto::{Clock as _, DeviceId, Layout, LayoutDevice, ShardService};
use node_store::Drive;
use tokio::task::JoinSet;

use super::{
    Budget, Wanted,
    composed::{CLUSTER, DRIVES, open_drives},
    http::Exchange,
};
use crate::{
    args::Operation,
    clock::SystemClock,
    load::{Content, Pattern, Total},
    measure::Process,
    row::Row,
    size::format_size,
};

const LARGE_BYTES: u64 = 64 << 20;
const SMALL_BYTES: u64 = 4 << 10;
/// What `stages` shows.
const FIGURES: [Exchange; 4] = [
    Exchange::new(Operation::Put, LARGE_BYTES, 8),
    Exchange::new(Operation::Get, LARGE_BYTES, 8),
    Exchange::new(Operation::Put, SMALL_BYTES, 32),
    Exchange::new(Operation::Get, SMALL_BYTES, 32),
];
/// Bytes and number of objects that reads go around. Chosen: larger than the processor's caches.
const READ_SET_BYTES: u64 = 256 << 20;
const READ_SET_MAX: u64 = 1000;
/// Most bytes that one figure writes.
const WRITTEN_BYTES_MAX: u64 = 8 << 30;
const OWNER: AccountId = AccountId(7);
const BUCKET: &str = "bench";

/// Name of a figure.
pub(crate) fn name(figure: Exchange) -> String {
    let method = if figure.operation == Operation::Put { "PUT" } else { "GET" };
    let size = format_size(figure.len_bytes);
    format!("object service {method} {size}, {} at once", figure.concurrency)
}

/// Measures everything that is asked for, in a directory below `directory`.
pub(super) async fn measure(
    budget: &Budget,
    directory: &Path,
    is_wanted: &Wanted<'_>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for figure in FIGURES {
        let name = name(figure);
        if !is_wanted(&name) {
            continue;
        }
        let total = run(budget, directory, figure).await?;
        let cost = total.cpu_seconds_client;
        if figure.len_bytes >= LARGE_BYTES {
            let gigabytes = total.bytes as f64 / 1e9;
            rows.push(Row::new(&name, gigabytes / total.seconds, "GB/s"));
            rows.push(Row::new(format!("{name}, cost"), cost / gigabytes, "CPU-s/GB"));
        } else {
            rows.push(Row::new(&name, total.count as f64 / total.seconds, "op/s"));
            let millis = cost * 1e3 / total.count as f64;
            rows.push(Row::new(format!("{name}, cost"), millis, "CPU-ms/op"));
        }
    }
    Ok(rows)
}

/// Puts or gets as long as the budget allows, in a fresh service below `directory`.
///
/// # Errors
/// When the service cannot be opened, refuses an operation, or reads a wrong byte.
pub(crate) async fn run(budget: &Budget, directory: &Path, figure: Exchange) -> Result<Total> {
    let service = Service::open(directory.join("object")).await?;
    let measured = service.measure(budget, figure).await;
    service.close().await?;
    measured
}

/// A service on drives of its own.
struct Service {
    objects: ObjectService,
    drives: Vec<Arc<Drive>>,
    meta: Arc<RocksMetaStore>,
    directory: PathBuf,
    pattern: Pattern,
}

impl Service {
    async fn open(directory: PathBuf) -> Result<Self> {
        let drives = open_drives(&directory).await?;
        let meta = RocksMetaStore::open(RocksConfig::new(directory.join("meta")));
        let meta = Arc::new(meta.context("cannot make a metadata store")?);
        let clock = Arc::new(SystemClock);
        let mut random = |out: &mut [u8]| out.fill(7);
        let txids = Arc::new(TxIds::new(clock.now(), 1));
        let root_key = Arc::new(RootKey::generate(&mut random));
        let pair = AccountKeyPair::generate(OWNER.0, &mut random);
        let sealed = pair.seal(&root_key, &mut random).encode().to_vec();
        let value = AccountKeyRecord { sealed }.encode();
        let ops = vec![Op::Put { table: Table::Ctl, key: ctl::account_key(OWNER), value }];
        let batch = Batch { txid: txids.next(), guards: Vec::new(), ops };
        ensure!(meta.commit(batch).await? == CommitOutcome::Applied, "no account was made");
        let devices =
            drives.iter().map(|drive| Arc::clone(drive) as Arc<dyn ShardService>).collect();
        let shared = Arc::clone(&meta) as Arc<dyn MetaStore>;
        let deps = ObjectDeps {
            meta: shared,
            txids,
            layout: layout(),
            devices,
            root_key,
            key_service: None,
            clock,
        };
        let objects = ObjectService::open(deps, ObjectConfig::default()).await?;
        let bucket = CreateBucket {
            name: BUCKET.to_owned(),
            owner: OWNER,
            region: String::new(),
            object_lock: false,
            tags: Vec::new(),
        };
        objects.create_bucket(bucket).await?;
        Ok(Self { objects, drives, meta, directory, pattern: Pattern::new(1) })
    }

    async fn close(self) -> Result<()> {
        self.objects.shutdown().await;
        for drive in &self.drives {
            drive.close().await;
        }
        self.meta.close().await?;
        let Self { directory, .. } = self;
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))
    }

    async fn measure(&self, budget: &Budget, figure: Exchange) -> Result<Total> {
        let Exchange { operation, len_bytes, .. } = figure;
        if operation == Operation::Put {
            let limit = (WRITTEN_BYTES_MAX / len_bytes.max(1)).max(1);
            return self.work(budget, budget.time, figure, limit, u64::MAX).await;
        }
        let set = (READ_SET_BYTES / len_bytes.max(1)).clamp(1, READ_SET_MAX);
        let filling = Exchange { operation: Operation::Put, ..figure };
        self.work(budget, Duration::MAX, filling, set, u64::MAX).await?;
        // Drives bypass the page cache at the first read and fill it at the second.
        self.work(budget, Duration::MAX, figure, 2 * set, set).await?;
        self.work(budget, budget.time, figure, u64::MAX, set).await
    }

    /// Works on the objects `0..limit`, taken modulo `set`.
    async fn work(
        &self,
        budget: &Budget,
        time: Duration,
        figure: Exchange,
        limit: u64,
        set: u64,
    ) -> Result<Total> {
        let next = Arc::new(AtomicU64::new(0));
        let before = Process::Own.usage()?;
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for _ in 0..figure.concurrency {
            let (objects, pattern) = (self.objects.clone(), self.pattern.clone());
            let (next, stop) = (Arc::clone(&next), budget.stop.clone());
            workers.spawn(async move {
                let mut count = 0;
                // Every worker does one, however short the time.
                while count == 0 || (started.elapsed() < time && !stop.is_set()) {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= limit {
                        break;
                    }
                    let key = format!("{:010}", number % set);
                    let content = pattern.content(&key, figure.len_bytes);
                    match figure.operation {
                        Operation::Put => put(&objects, key, content).await?,
                        _ => get(&objects, key, content).await?,
                    }
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        let mut count = 0_u64;
        while let Some(done) = workers.join_next().await {
            count += done.context("a worker died")??;
        }
        Ok(Total {
            seconds: started.elapsed().as_secs_f64().max(f64::EPSILON),
            count,
            bytes: count * figure.len_bytes,
            cpu_seconds_client: Process::Own.usage()?.cpu_seconds - before.cpu_seconds,
            ..Total::default()
        })
    }
}

fn layout() -> Layout {
    let device = |index: usize| {
        let id = DeviceId(u32::try_from(index).expect("six drives"));
        LayoutDevice::local(id, index.to_string())
    };
    Layout::local(CLUSTER, (0..DRIVES).map(device).collect())
}

fn target(key: String) -> ObjectRef {
    ObjectRef { bucket: BUCKET.to_owned(), key }
}

async fn put(objects: &ObjectService, key: String, content: Content) -> Result<()> {
    let len_bytes = content.len_bytes();
    let stream = content.body(0, len_bytes).into_data_stream().map_err(|never| match never {});
    let body = IncomingBody {
        stream: stream.boxed(),
        len_bytes: Some(len_bytes),
        expected: ExpectedDigests::default(),
    };
    let request = PutObject {
        target: target(key),
        writer: OWNER,
        body,
        attributes: ObjectAttributes::default(),
        condition: WriteCondition::default(),
    };
    objects.put_object(request).await?;
    Ok(())
}

async fn get(objects: &ObjectService, key: String, content: Content) -> Result<()> {
    let request = GetObject {
        target: target(key),
        version: None,
        range: None,
        part_number: None,
        condition: ReadCondition::default(),
        customer_key: None,
    };
    let mut read = objects.get_object(request).await?;
    let mut offset = 0;
    while let Some(bytes) = read.body.next().await {
        let bytes = bytes?;
        if let Some(at) = content.first_difference(offset, &bytes) {
            bail!("wrong byte at {at}");
        }
        offset += bytes.len() as u64;
    }
    ensure!(offset == content.len_bytes(), "the object ends at {offset}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    #[tokio::test(flavor = "multi_thread")]
    async fn objects_go_in_and_come_out_whole() {
        let directory = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::listen();
        let budget = Budget::new(Duration::from_millis(1), interrupt.stop());
        let service = Service::open(directory.path().join("object")).await.unwrap();
        for len_bytes in [3000, 300_000] {
            let put = Exchange::new(Operation::Put, len_bytes, 2);
            let written = service.work(&budget, Duration::MAX, put, 4, 4).await.unwrap();
            assert_eq!((written.count, written.bytes), (4, 4 * len_bytes));
            let get = Exchange::new(Operation::Get, len_bytes, 2);
            let read = service.work(&budget, Duration::MAX, get, 8, 4).await.unwrap();
            assert_eq!(read.bytes, 8 * len_bytes);
        }
        let shorter = Exchange::new(Operation::Get, 299_999, 1);
        let wrong = service.work(&budget, Duration::MAX, shorter, 1, 1).await;
        assert!(wrong.unwrap_err().to_string().contains("wrong byte at 299999"));
        service.close().await.unwrap();
    }
}
