//! Versions: what a listing costs and where it goes on, what a bucket keeps, what a repeated request
//! finds.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use gateway_meta::{
    Batch, CommitError, CommitOutcome, Cursor, KeyRange, MemoryMetaStore, MetaSnapshot, MetaStore,
    ReadError, Row, Table, VersionId, record::Versioning,
};
use gateway_object::{
    BucketError, DeleteError, DeleteObject, ETagCondition, GetObject, ListVersions, MultipartError,
    ObjectConfig, ObjectReadError, ObjectWriteError, VersionEntry, VersionMarker, VersionPage,
    WriteCondition, etag_text,
};

use crate::{
    harness::{BUCKET, Harness, collect, copy_request, get_request},
    races::delete_request,
};

/// Sets the mode of the tests' bucket.
pub(crate) async fn set(harness: &Harness, versioning: Versioning) {
    harness.service.set_versioning(BUCKET, versioning).await.unwrap();
}

/// The ids of a key's versions, from the newest on.
pub(crate) async fn ids(harness: &Harness, key: &str) -> Vec<VersionId> {
    let page = harness.service.list_versions(list(key, "", None, 1000)).await.unwrap();
    let id = |entry| match entry {
        VersionEntry::Version { key: found, info, .. } if found == key => Some(info.version),
        VersionEntry::DeleteMarker { key: found, version, .. } if found == key => Some(version),
        _ => None,
    };
    page.entries.into_iter().filter_map(id).collect()
}

fn list(prefix: &str, delimiter: &str, after: Option<VersionMarker>, limit: usize) -> ListVersions {
    ListVersions {
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.to_owned(),
        after,
        limit,
    }
}

fn behind(key: &str, version: Option<VersionId>) -> Option<VersionMarker> {
    Some(VersionMarker { key: key.to_owned(), version })
}

async fn mark(harness: &Harness, key: &str) -> VersionId {
    let receipt = harness.service.delete_object(delete_request(key)).await.unwrap();
    assert!(receipt.delete_marker);
    receipt.version.unwrap()
}

async fn remove(harness: &Harness, key: &str, version: VersionId) {
    let request = DeleteObject { version: Some(version), ..delete_request(key) };
    harness.service.delete_object(request).await.unwrap();
}

/// Counts the rows that walks read.
#[derive(Default)]
struct Counting {
    rows: MemoryMetaStore,
    walked: Arc<AtomicU64>,
}

struct CountingSnapshot {
    rows: Box<dyn MetaSnapshot>,
    walked: Arc<AtomicU64>,
}

struct CountingCursor<'a> {
    rows: Box<dyn Cursor + 'a>,
    walked: Arc<AtomicU64>,
}

#[async_trait]
impl MetaStore for Counting {
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError> {
        self.rows.commit(batch).await
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
        let walked = Arc::clone(&self.walked);
        Box::new(CountingSnapshot { rows: self.rows.snapshot(), walked })
    }
}

impl MetaSnapshot for CountingSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<bytes::Bytes>, ReadError> {
        self.rows.get(table, key)
    }

    fn cursor(&self, table: Table, range: KeyRange) -> Box<dyn Cursor + '_> {
        let walked = Arc::clone(&self.walked);
        Box::new(CountingCursor { rows: self.rows.cursor(table, range), walked })
    }
}

impl Cursor for CountingCursor<'_> {
    fn next(&mut self) -> Result<Option<Row>, ReadError> {
        self.walked.fetch_add(1, Ordering::Relaxed);
        self.rows.next()
    }

    fn seek(&mut self, key: &[u8]) {
        self.rows.seek(key);
    }
}

#[tokio::test]
async fn a_page_of_versions_costs_the_rows_that_it_returns() {
    let store = Counting::default();
    let walked = Arc::clone(&store.walked);
    let harness = Harness::start_over(Arc::new(store), ObjectConfig::default()).await;
    set(&harness, Versioning::Enabled).await;
    let mut newest = VersionId::Null;
    for number in 0..300 {
        newest = harness.put("a/one key", b"").await.version;
        harness.put(&format!("b/{number}"), b"").await;
    }
    harness.put("c", b"").await;
    mark(&harness, "c").await;
    let page = async |request: ListVersions| {
        let before = walked.load(Ordering::Relaxed);
        let page = harness.service.list_versions(request).await.unwrap();
        (page, walked.load(Ordering::Relaxed) - before)
    };
    // Two tables are looked into, and one row more says whether entries follow.
    let limit_and = |limit: u64| limit + 4;
    for (request, entries) in [
        (list("", "", None, 10), 10),
        (list("a/", "", behind("a/one key", Some(newest)), 10), 10),
        (list("b/", "", behind("b/200", None), 10), 10),
        (list("b/", "/", None, 10), 10),
    ] {
        let (page, cost) = page(request.clone()).await;
        assert_eq!(page.entries.len(), entries);
        assert!(cost <= limit_and(entries as u64), "{cost} rows for {request:?}");
    }
    // A common prefix costs a seek in each table, however many versions it stands for.
    let (found, cost) = page(list("", "/", None, 10)).await;
    assert_eq!(shown(&found), ["[a/]", "[b/]", "c marker latest", "c object"]);
    assert!(cost <= 12, "{cost}");
}

/// A page in short.
fn shown(page: &VersionPage) -> Vec<String> {
    let shown = |entry: &VersionEntry| match entry {
        VersionEntry::Version { key, is_latest, .. } => {
            format!("{key} object{}", if *is_latest { " latest" } else { "" })
        }
        VersionEntry::DeleteMarker { key, is_latest, .. } => {
            format!("{key} marker{}", if *is_latest { " latest" } else { "" })
        }
        VersionEntry::CommonPrefix(prefix) => format!("[{prefix}]"),
    };
    page.entries.iter().map(shown).collect()
}

#[tokio::test]
async fn a_listing_goes_on_behind_versions_that_are_gone() {
    let harness = Harness::start().await;
    harness.put("key", b"null").await;
    set(&harness, Versioning::Enabled).await;
    let old = harness.put("key", b"old").await.version;
    let new = harness.put("key", b"new").await.version;
    let marker = mark(&harness, "key").await;
    harness.put("other", b"").await;
    let after = async |version| {
        let request = list("", "", behind("key", Some(version)), 10);
        shown(&harness.service.list_versions(request).await.unwrap())
    };
    assert_eq!(
        after(marker).await,
        ["key object", "key object", "key object", "other object latest"]
    );
    remove(&harness, "key", marker).await;
    // The newest version is one behind the marker by now.
    assert_eq!(
        after(marker).await,
        ["key object latest", "key object", "key object", "other object latest"]
    );
    remove(&harness, "key", old).await;
    assert_eq!(after(old).await, ["key object", "other object latest"]);
    assert_eq!(after(new).await, ["key object", "other object latest"]);
    assert_eq!(after(VersionId::Null).await, ["other object latest"]);
    remove(&harness, "key", VersionId::Null).await;
    // Nothing says where it was, so nothing is left out.
    assert_eq!(after(VersionId::Null).await, ["key object latest", "other object latest"]);
}

#[tokio::test]
async fn a_listing_that_deletes_what_it_has_seen_sees_everything() {
    let harness = Harness::start().await;
    for mode in [Versioning::Never, Versioning::Enabled, Versioning::Suspended] {
        set(&harness, mode).await;
        for key in ["a", "b", "c"] {
            harness.put(key, b"1").await;
            harness.put(key, b"2").await;
            harness.service.delete_object(delete_request("b")).await.unwrap();
        }
    }
    let mut next = None;
    loop {
        let page = harness.service.list_versions(list("", "", next, 2)).await.unwrap();
        let requests = page.entries.into_iter().map(|entry| match entry {
            VersionEntry::Version { key, info, .. } => (key, info.version),
            VersionEntry::DeleteMarker { key, version, .. } => (key, version),
            VersionEntry::CommonPrefix(prefix) => panic!("{prefix}"),
        });
        let requests = requests
            .map(|(key, version)| DeleteObject { version: Some(version), ..delete_request(&key) });
        let outcomes = harness.service.delete_objects(BUCKET, requests.collect()).await.unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    harness.assert_usage_is_right().await;
    harness.service.delete_bucket(BUCKET).await.unwrap();
}

#[tokio::test]
async fn a_thousand_versions_of_one_key_go_in_one_request() {
    let harness = Harness::start().await;
    set(&harness, Versioning::Enabled).await;
    let mut requests = Vec::new();
    for number in 0..1000 {
        let version = match number % 5 {
            0 => mark(&harness, "key").await,
            _ => harness.put("key", b"bytes").await.version,
        };
        requests.push(DeleteObject { version: Some(version), ..delete_request("key") });
    }
    let survivor = requests.remove(500).version.unwrap();
    let outcomes = harness.service.delete_objects(BUCKET, requests).await.unwrap();
    let markers = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().delete_marker);
    assert_eq!((outcomes.len(), markers.count()), (999, 199));
    assert_eq!(ids(&harness, "key").await, [survivor]);
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn conditions_take_a_delete_marker_for_nothing() {
    let harness = Harness::start().await;
    set(&harness, Versioning::Enabled).await;
    let old = harness.put("key", b"old").await;
    mark(&harness, "key").await;
    let any = || Some(ETagCondition::Any);
    let present = WriteCondition { if_match: any(), if_none_match: None };
    let absent = WriteCondition { if_match: None, if_none_match: any() };
    let refused = harness.try_put("key", b"x", present).await;
    assert!(matches!(refused, Err(ObjectWriteError::NoSuchKey)));
    let delete = DeleteObject { if_match: any(), ..delete_request("key") };
    let refused = harness.service.delete_object(delete.clone()).await;
    assert!(matches!(refused, Err(DeleteError::NoSuchKey)));
    let new = harness.try_put("key", b"new", absent.clone()).await.unwrap();
    let refused = harness.try_put("key", b"x", absent).await;
    assert!(matches!(refused, Err(ObjectWriteError::PreconditionFailed { .. })));
    // A condition on a named version is about that one.
    let tags = Some(ETagCondition::Tags(vec![etag_text(&old.etag)]));
    let delete = DeleteObject { version: Some(new.version), if_match: tags, ..delete };
    let refused = harness.service.delete_object(delete.clone()).await;
    assert!(matches!(refused, Err(DeleteError::PreconditionFailed)));
    let delete = DeleteObject { version: Some(old.version), ..delete };
    harness.service.delete_object(delete).await.unwrap();
    assert_eq!(ids(&harness, "key").await.len(), 2);
}

#[tokio::test]
async fn a_completion_is_repeated_when_its_version_is_no_longer_the_newest() {
    let harness = Harness::start().await;
    set(&harness, Versioning::Enabled).await;
    let upload = harness.create_upload("key").await;
    let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
    let first = harness.complete(&upload, &[(1, &part)]).await.unwrap();
    harness.put("key", b"newer").await;
    mark(&harness, "key").await;
    let again = harness.complete(&upload, &[(1, &part)]).await.unwrap();
    assert_eq!((again.version, again.etag), (first.version, first.etag));
    assert_eq!(ids(&harness, "key").await.len(), 3);
    remove(&harness, "key", first.version).await;
    let gone = harness.complete(&upload, &[(1, &part)]).await;
    assert!(matches!(gone, Err(MultipartError::NoSuchUpload)));
}

#[tokio::test]
async fn an_older_version_is_restored_by_a_copy_onto_its_key() {
    let harness = Harness::start().await;
    harness.put("key", b"null").await;
    set(&harness, Versioning::Enabled).await;
    harness.put("key", b"newer").await;
    let copy = |version| {
        let mut copy = copy_request("key", "key");
        copy.source.version = version;
        copy
    };
    let refused = harness.service.copy_object(copy(None)).await;
    assert!(matches!(refused, Err(ObjectWriteError::SelfCopy)));
    let receipt = harness.service.copy_object(copy(Some(VersionId::Null))).await.unwrap();
    assert_eq!(receipt.source_version, Some(VersionId::Null));
    assert_eq!(harness.get("key").await.unwrap(), b"null");
    let versions = ids(&harness, "key").await;
    assert_eq!((versions.len(), versions[0]), (3, receipt.written.version));
}

#[tokio::test]
async fn a_bucket_with_nothing_but_versions_is_not_empty() {
    let harness = Harness::start().await;
    set(&harness, Versioning::Enabled).await;
    let marker = mark(&harness, "key").await;
    let refused = harness.service.delete_bucket(BUCKET).await;
    assert!(matches!(refused, Err(BucketError::NotEmpty)));
    remove(&harness, "key", marker).await;
    let version = harness.put("key", b"bytes").await.version;
    mark(&harness, "key").await;
    let refused = harness.service.delete_bucket(BUCKET).await;
    assert!(matches!(refused, Err(BucketError::NotEmpty)));
    for version in ids(&harness, "key").await {
        remove(&harness, "key", version).await;
    }
    let gone = GetObject { version: Some(version), ..get_request("key") };
    let refused = harness.service.get_object(gone).await.map(drop);
    assert!(matches!(refused, Err(ObjectReadError::NoSuchVersion)));
    harness.service.delete_bucket(BUCKET).await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_read_stays_readable_when_it_is_removed() {
    let harness = Harness::start().await;
    set(&harness, Versioning::Enabled).await;
    let bytes = crate::harness::sample(100_000, 3);
    let version = harness.put("key", &bytes).await.version;
    harness.put("key", b"newer").await;
    let request = GetObject { version: Some(version), ..get_request("key") };
    let read = harness.service.get_object(request).await.unwrap();
    remove(&harness, "key", version).await;
    assert_eq!(collect(read.body).await, bytes);
}
