//! Requests that meet: exactly what conditions promise, and counters that never drift.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use gateway_meta::{
    Batch, CommitError, CommitOutcome, KeyRange, MemoryMetaStore, MetaSnapshot, MetaStore,
    ReadError, Row, Table,
};
use gateway_object::{
    BucketError, CompleteUpload, DeleteObject, ETagCondition, MultipartError, ObjectConfig,
    ObjectReadError, ObjectWriteError, WriteCondition, etag_text,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::harness::{BUCKET, Harness, complete_request, object, sample};

const ABSENT: WriteCondition =
    WriteCondition { if_match: None, if_none_match: Some(ETagCondition::Any) };

/// Every commit takes a moment, in which others come in between, and happens also when nobody waits
/// for its answer any more.
#[derive(Default)]
pub(crate) struct SlowCommits {
    rows: Arc<MemoryMetaStore>,
    commits: AtomicU64,
    under_way: Mutex<JoinSet<Result<CommitOutcome, CommitError>>>,
}

#[async_trait]
impl MetaStore for SlowCommits {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        let rows = Arc::clone(&self.rows);
        let nth = self.commits.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.under_way.lock().spawn(async move {
            tokio::time::sleep(Duration::from_micros(nth % 7 * 300)).await;
            let outcome = rows.commit(batch).await?;
            // Nobody may be waiting any more.
            let _ = answer.send(outcome);
            Ok(outcome)
        });
        Ok(answered.await.expect("the memory store does not fail"))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<bytes::Bytes>, ReadError> {
        self.rows.get(table, key)
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.rows.scan(table, range, limit).await
    }

    fn snapshot(&self) -> Box<dyn MetaSnapshot> {
        self.rows.snapshot()
    }
}

async fn slow() -> Harness {
    Harness::start_over(Arc::new(SlowCommits::default()), ObjectConfig::default()).await
}

/// A harness whose commits are slow, and the rows beneath it.
pub(crate) async fn slow_over_rows() -> (Arc<Harness>, Arc<MemoryMetaStore>) {
    let store = SlowCommits::default();
    let rows = Arc::clone(&store.rows);
    let harness = Harness::start_over(Arc::new(store), ObjectConfig::default()).await;
    (Arc::new(harness), rows)
}

async fn slow_and_shared() -> Arc<Harness> {
    Arc::new(slow().await)
}

/// Runs `task` for each of `0..count` on threads of their own.
pub(crate) async fn together<T: Send + 'static, F>(
    count: usize,
    task: impl Fn(usize) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    (0..count).for_each(|index| {
        tasks.spawn(task(index));
    });
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_many_creations_wins() {
    let harness = slow_and_shared().await;
    for round in 0..20 {
        let key = format!("key {round}");
        let outcomes = together(16, |index| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            async move {
                let bytes = sample(100, index as u8);
                (bytes.clone(), harness.try_put(&key, &bytes, ABSENT).await)
            }
        })
        .await;
        let mut winners = outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
        let (winner, _) = winners.next().unwrap();
        assert!(winners.next().is_none());
        assert_eq!(&harness.get(&key).await.unwrap(), winner);
        for (_, outcome) in &outcomes {
            assert!(matches!(
                outcome,
                Ok(_)
                    | Err(ObjectWriteError::PreconditionFailed { .. } | ObjectWriteError::Conflict)
            ));
        }
    }
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_compare_and_swap_is_lost() {
    let harness = slow_and_shared().await;
    harness.put("counter", b"0").await;
    together(8, |_| {
        let harness = Arc::clone(&harness);
        async move {
            for _ in 0..20 {
                increment(&harness).await;
            }
        }
    })
    .await;
    assert_eq!(harness.get("counter").await.unwrap(), b"160");
    harness.assert_usage_is_right().await;
}

async fn increment(harness: &Harness) {
    loop {
        let read =
            harness.service.get_object(crate::harness::get_request("counter")).await.unwrap();
        let etag = etag_text(&read.info.metadata.etag);
        let bytes = crate::harness::collect(read.body).await;
        let count: u64 = String::from_utf8(bytes).unwrap().parse().unwrap();
        let condition =
            WriteCondition { if_match: Some(ETagCondition::Tags(vec![etag])), if_none_match: None };
        match harness.try_put("counter", (count + 1).to_string().as_bytes(), condition).await {
            Ok(_) => return,
            Err(ObjectWriteError::PreconditionFailed { .. } | ObjectWriteError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_overwrites_never_fail() {
    let harness = slow_and_shared().await;
    let outcomes = together(64, |index| {
        let harness = Arc::clone(&harness);
        async move { harness.put("key", &sample(index * 200, 1)).await }
    })
    .await;
    let last = harness.get("key").await.unwrap();
    assert!(outcomes.iter().any(|receipt| receipt.len_bytes == last.len() as u64));
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_never_deleted_under_a_write() {
    let harness = slow_and_shared().await;
    for round in 0..60 {
        let put = harness.try_put("key", b"bytes", WriteCondition::default());
        let delete = async {
            tokio::time::sleep(Duration::from_micros(round * 50)).await;
            harness.service.delete_bucket(BUCKET).await
        };
        match futures::join!(put, delete) {
            (Ok(_), Err(BucketError::NotEmpty)) => {
                assert_eq!(harness.get("key").await.unwrap(), b"bytes");
                harness.service.delete_object(delete_request("key")).await.unwrap();
            }
            (Err(ObjectWriteError::NoSuchBucket { .. }), Ok(())) => {
                assert!(matches!(
                    harness.get("key").await,
                    Err(ObjectReadError::NoSuchBucket { .. })
                ));
                harness.make_bucket(BUCKET).await;
                assert!(matches!(harness.get("key").await, Err(ObjectReadError::NoSuchKey)));
            }
            (put, delete) => panic!("{put:?} {delete:?}"),
        }
    }
    harness.assert_usage_is_right().await;
}

pub(crate) fn delete_request(key: &str) -> DeleteObject {
    DeleteObject { target: object(key), version: None, if_match: None, bypass_governance: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_completed_or_aborted_never_both() {
    let harness = slow_and_shared().await;
    for round in 0..40 {
        let key = format!("key {round}");
        let upload = harness.create_upload(&key).await;
        let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
        let parts = [(1, &part)];
        let complete = harness.complete(&upload, &parts);
        let abort = async {
            tokio::time::sleep(Duration::from_micros(round * 50)).await;
            harness.service.abort_upload(upload.clone()).await
        };
        match futures::join!(complete, abort) {
            (Ok(_), Err(MultipartError::NoSuchUpload)) => {
                assert_eq!(harness.get(&key).await.unwrap(), b"bytes");
            }
            (Err(MultipartError::NoSuchUpload), Ok(())) => {
                assert!(matches!(harness.get(&key).await, Err(ObjectReadError::NoSuchKey)));
            }
            (complete, abort) => panic!("{complete:?} {abort:?}"),
        }
    }
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_of_one_upload_agree() {
    let harness = slow_and_shared().await;
    for round in 0..20 {
        let key = format!("key {round}");
        let upload = harness.create_upload(&key).await;
        let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
        let request =
            CompleteUpload { condition: ABSENT, ..complete_request(&upload, &[(1, &part)]) };
        let outcomes = together(4, |_| {
            let (harness, request) = (Arc::clone(&harness), request.clone());
            async move { harness.service.complete_upload(request).await }
        })
        .await;
        for outcome in outcomes {
            assert_eq!(outcome.unwrap().etag.part_count, Some(1));
        }
    }
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_races_the_end_of_its_upload_is_in_or_refused() {
    let harness = slow_and_shared().await;
    for round in 0..40 {
        let key = format!("key {round}");
        let upload = harness.create_upload(&key).await;
        let first = harness.upload_part(&upload, 1, &sample(20, 1)).await.unwrap();
        let second = harness.upload_part(&upload, 5, b"second").await.unwrap();
        // Between the parts that are there, and behind them.
        let number = if round % 4 < 2 { 3 } else { 7 };
        let late = async {
            tokio::time::sleep(Duration::from_micros(round * 30)).await;
            harness.upload_part(&upload, number, b"late").await
        };
        let parts = [(1, &first), (5, &second)];
        let end = async {
            if round.is_multiple_of(2) {
                harness.complete(&upload, &parts).await.map(|_| ())
            } else {
                harness.service.abort_upload(upload.clone()).await
            }
        };
        let (late, end) = futures::join!(late, end);
        assert!(matches!(late, Ok(_) | Err(ObjectWriteError::NoSuchUpload)), "{late:?}");
        end.unwrap();
    }
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_requests_happen_whole_or_not_at_all() {
    let harness = slow_and_shared().await;
    let upload = harness.create_upload("upload").await;
    let keys = ["a", "b", "c"];
    let impatient = join_all((0..300_usize).map(|index| {
        let (harness, upload, key) = (&harness, &upload, keys[index % 3]);
        let request = async move {
            match index % 5 {
                0 => drop(harness.service.delete_object(delete_request(key)).await),
                1 => {
                    drop(harness.upload_part(upload, 1 + (index % 4) as u16, key.as_bytes()).await)
                }
                2 => drop(harness.service.delete_bucket(BUCKET).await),
                _ => drop(harness.try_put(key, &sample(index, 1), WriteCondition::default()).await),
            }
        };
        let patience = Duration::from_micros((index * 37 % 40) as u64 * 50);
        async move {
            tokio::time::sleep(Duration::from_micros(index as u64 * 100)).await;
            tokio::time::timeout(patience, request).await.is_err()
        }
    }))
    .await;
    assert!(impatient.iter().any(|abandoned| *abandoned));
    // Let the last commits land.
    tokio::time::sleep(Duration::from_millis(20)).await;
    harness.assert_usage_is_right().await;
    harness.put("a", b"still works").await;
    assert_eq!(harness.get("a").await.unwrap(), b"still works");
    harness.service.abort_upload(upload).await.unwrap();
    harness.assert_usage_is_right().await;
}
