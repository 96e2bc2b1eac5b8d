//! Changes between the moment versions are judged and the moment their edit looks at them.

use async_trait::async_trait;
use futures::FutureExt;
use gateway_meta::{CommitError, MetaSnapshot, ReadError, Row};
use parking_lot::Mutex;

use super::*;

/// What happens, and how many snapshots are given before.
type Change = Option<(usize, Vec<Op>)>;

/// A store that changes by itself right before it gives a snapshot.
struct Changing {
    inner: Arc<dyn MetaStore>,
    change: Arc<Mutex<Change>>,
}

#[async_trait]
impl MetaStore for Changing {
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
        let mut change = self.change.lock();
        match change.take() {
            Some((0, ops)) => {
                let txid = TxIds::new(UnixMillis(START.0 + 1), 77).next();
                let batch = Batch { txid, guards: Vec::new(), ops };
                let outcome = self.inner.commit(batch).now_or_never().expect("it is in memory");
                assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
            }
            Some((left, ops)) => *change = Some((left - 1, ops)),
            None => {}
        }
        self.inner.snapshot()
    }
}

fn put(table: Table, key: Vec<u8>, record: &ObjectRecord) -> Op {
    Op::Put { table, key, value: record.encode() }
}

/// Makes three versions of a key, each with a tag, and lets rules act while `change`, made from the
/// versions with the newest first, comes before the snapshot behind the first. Returns how many
/// versions are left.
async fn versions_left(
    rules: Vec<LifecycleRule>,
    change: impl Fn(BucketId, &[ObjectRecord]) -> Vec<Op>,
) -> usize {
    let armed = Arc::new(Mutex::new(None));
    let store = Changing { inner: memory(), change: Arc::clone(&armed) };
    let rig = Rig::start(Arc::new(store), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    for _ in 0..3 {
        let tags = vec![("t".to_owned(), "x".to_owned())];
        let attributes = ObjectAttributes { tags, ..ObjectAttributes::default() };
        rig.put("bucket", "a", attributes).await;
    }
    rig.configure("bucket", rules).await;
    rig.wait_days(9);
    let doomed = rig.doomed("bucket").await;
    assert_eq!(doomed.len(), 1);
    let versions: Vec<_> = rig.versions(bucket).into_iter().map(|(_, record)| record).collect();
    *armed.lock() = Some((1, change(bucket, &versions)));
    rig.engine.act_on_versions(("bucket", bucket), doomed).await.unwrap();
    assert_eq!(*armed.lock(), None, "the change happened");
    rig.versions(bucket).len()
}

#[tokio::test(start_paused = true)]
async fn a_version_promoted_behind_the_judgement_is_not_removed() {
    let left = versions_left(vec![thinning("", 1, Some(0))], |bucket, versions| {
        // The newest goes; the next one takes its place.
        vec![
            put(Table::Cur, key::cur(bucket, b"a"), &versions[1]),
            Op::Delete { table: Table::Ver, key: key::ver(bucket, b"a", versions[1].seq) },
        ]
    });
    assert_eq!(left.await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_counts_among_those_kept_since_the_judgement_is_not_removed() {
    let left = versions_left(vec![thinning("", 1, Some(1))], |bucket, versions| {
        vec![Op::Delete { table: Table::Ver, key: key::ver(bucket, b"a", versions[1].seq) }]
    });
    assert_eq!(left.await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_version_whose_tags_change_behind_the_judgement_is_judged_by_them() {
    let mut rule = thinning("", 1, Some(1));
    if let RuleScope::Filter(filter) = &mut rule.scope {
        filter.tags = vec![("t".to_owned(), "x".to_owned())];
    }
    let left = versions_left(vec![rule], |bucket, versions| {
        let mut changed = versions[2].clone();
        let ObjectKind::Object(metadata) = &mut changed.kind else { panic!("it is an object") };
        metadata.tags.clear();
        vec![put(Table::Ver, key::ver(bucket, b"a", changed.seq), &changed)]
    });
    assert_eq!(left.await, 3);
}
