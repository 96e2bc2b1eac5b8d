//! What a pass costs: every row is read once, also when the process ends in the middle.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use gateway_meta::{
    CommitError, Cursor, MetaSnapshot, ReadError, Row,
    record::{Body, ETag, Encryption, ObjectMetadata, SystemHeaders},
};

use super::*;

/// A store that counts rows that cursors return from the tables of objects.
struct Counting {
    inner: Arc<dyn MetaStore>,
    rows: Arc<AtomicU64>,
}

struct CountingSnapshot {
    inner: Box<dyn MetaSnapshot>,
    rows: Arc<AtomicU64>,
}

struct CountingCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    rows: Option<&'a AtomicU64>,
}

#[async_trait]
impl MetaStore for Counting {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        self.inner.commit(batch).await
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.inner.get(table, key)
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.inner.scan(table, range, limit).await
    }

    fn snapshot(&self) -> Box<dyn MetaSnapshot> {
        let rows = Arc::clone(&self.rows);
        Box::new(CountingSnapshot { inner: self.inner.snapshot(), rows })
    }
}

impl MetaSnapshot for CountingSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.inner.get(table, key)
    }

    fn cursor(&self, table: Table, range: KeyRange) -> Box<dyn Cursor + '_> {
        let counts = matches!(table, Table::Cur | Table::Ver | Table::Mpu);
        let inner = self.inner.cursor(table, range);
        Box::new(CountingCursor { inner, rows: counts.then_some(&*self.rows) })
    }
}

impl Cursor for CountingCursor<'_> {
    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        let row = self.inner.next()?;
        if let (Some(rows), Some(_)) = (self.rows, &row) {
            rows.fetch_add(1, Relaxed);
        }
        Ok(row)
    }

    fn seek(&mut self, key: &[u8]) {
        self.inner.seek(key);
    }
}

const KEYS: u64 = 20_000;

/// A rig with many keys of two versions each, and the count of rows read.
async fn with_many_keys() -> (Rig, BucketId, Arc<AtomicU64>) {
    let rows = Arc::new(AtomicU64::new(0));
    let store = Counting { inner: memory(), rows: Arc::clone(&rows) };
    let rig = Rig::start(Arc::new(store), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    let metadata = ObjectMetadata {
        len_bytes: 0,
        etag: ETag { md5: [0; 16], part_count: None },
        checksum: None,
        headers: SystemHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: String::new(),
        owner: OWNER,
        upload: None,
        body: Body::Empty,
        lock: ObjectLock::default(),
        encryption: Encryption::Managed,
    };
    for first in (0..KEYS).step_by(1000) {
        let mut ops = Vec::new();
        for number in first..first + 1000 {
            let key = format!("k/{number:08}");
            let record = |seq: u128| ObjectRecord {
                version: VersionId::Id(seq.to_be_bytes()),
                seq,
                modified: START,
                kind: ObjectKind::Object(Box::new(metadata.clone())),
            };
            let put = |table, key, seq| Op::Put { table, key, value: record(seq).encode() };
            ops.push(put(Table::Cur, key::cur(bucket, key.as_bytes()), 2));
            ops.push(put(Table::Ver, key::ver(bucket, key.as_bytes(), 1), 1));
        }
        rig.engine.commits.commit(Vec::new(), ops).await.unwrap();
    }
    rows.store(0, Relaxed);
    (rig, bucket, rows)
}

/// Rows that pages read ahead of what they judge: one of each table.
fn ahead(rows: u64) -> u64 {
    2 * (rows / Cut::default().page_rows + 1)
}

#[tokio::test(start_paused = true)]
async fn a_pass_reads_each_row_once() {
    let (mut rig, _, rows) = with_many_keys().await;
    rig.configure("bucket", vec![expiring("", 9), thinning("k/", 9, Some(1))]).await;
    rig.run(None).await;
    let all = 2 * KEYS;
    assert_eq!(rig.engine.lifecycle.status(Duration::ZERO).examined, all);
    let read = rows.load(Relaxed);
    assert!((all..=all + ahead(all)).contains(&read), "{read} rows read");
}

#[tokio::test(start_paused = true)]
async fn a_pass_reads_only_prefixes_that_rules_name() {
    let (mut rig, _, rows) = with_many_keys().await;
    let transition_only = LifecycleRule { expiration: None, ..rule("") };
    rig.configure("bucket", vec![transition_only, expiring("k/000001", 9), expiring("x/", 9)])
        .await;
    rig.run(None).await;
    let read = rows.load(Relaxed);
    assert!((200..=210).contains(&read), "{read} rows read");
}

#[tokio::test(start_paused = true)]
async fn crashes_repeat_no_more_than_what_was_not_recorded() {
    let (mut rig, _, rows) = with_many_keys().await;
    rig.configure("bucket", vec![expiring("", 9)]).await;
    // Each crash comes seven pages behind the sixteenth, where the place was recorded.
    for _ in 0..2 {
        for _ in 0..24 {
            assert_eq!(rig.worker.step().await.unwrap(), Pace::More);
        }
        rig.restart().await;
    }
    rig.run(None).await;
    let all = 2 * KEYS;
    let repeated = 2 * u64::from(Cut::default().pages_per_record) * Cut::default().page_rows;
    let read = rows.load(Relaxed);
    assert!((all..=all + repeated + ahead(all + repeated)).contains(&read), "{read} rows read");
    assert!(read < 2 * all - 5_000, "{read} rows read: it started anew");
}

#[tokio::test(start_paused = true)]
async fn everything_expires_in_few_commits_and_is_read_once_more() {
    let (mut rig, bucket, rows) = with_many_keys().await;
    rig.configure("bucket", vec![expiring("k/000001", 1), thinning("k/000001", 1, None)]).await;
    rig.wait_days(3);
    rig.run(None).await;
    let all = 2 * KEYS;
    // A hundred keys: two versions each, judged twice, and what the edits look at.
    let read = rows.load(Relaxed);
    assert!(read <= 200 + 200 + 400 + 20, "{read} rows read");
    let left = rig.versions(bucket);
    assert_eq!(left.len() as u64, all);
    let markers = left.iter().filter(|(_, record)| record.kind == ObjectKind::DeleteMarker).count();
    assert_eq!(markers, 100);
}
