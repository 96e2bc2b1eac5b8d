//! Listing objects and uploads: page ends, roll-ups, writes in between.

use gateway_object::{DeleteObject, ListEntry, ListError, ListObjects, ListUploads};

use crate::harness::{BUCKET, Harness, object};

fn list(prefix: &str, delimiter: &str, after: Option<&str>, limit: usize) -> ListObjects {
    ListObjects {
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.to_owned(),
        after: after.map(str::to_owned),
        limit,
    }
}

/// A page in short: keys, common prefixes in brackets, and where it continues.
async fn page(harness: &Harness, request: ListObjects) -> (Vec<String>, Option<String>) {
    let page = harness.service.list_objects(request).await.unwrap();
    let entry = |entry: &ListEntry| match entry {
        ListEntry::Object { key, .. } => key.clone(),
        ListEntry::CommonPrefix(prefix) => format!("[{prefix}]"),
    };
    (page.entries.iter().map(entry).collect(), page.next)
}

async fn with_keys(keys: &[&str]) -> Harness {
    let harness = Harness::start().await;
    for key in keys {
        harness.put(key, key.as_bytes()).await;
    }
    harness
}

#[tokio::test]
async fn keys_come_in_byte_order_and_pages_know_whether_more_follow() {
    let harness = with_keys(&["b", "a", "a\0", "a/", "é", "a\u{1}", "B"]).await;
    let all = ["B", "a", "a\0", "a\u{1}", "a/", "b", "é"];
    assert_eq!(page(&harness, list("", "", None, 7)).await, (all.map(String::from).into(), None));
    let (first, next) = page(&harness, list("", "", None, 6)).await;
    assert_eq!((first.len(), next.as_deref()), (6, Some("b")));
    assert_eq!(page(&harness, list("", "", next.as_deref(), 6)).await, (vec!["é".into()], None));
    assert_eq!(page(&harness, list("", "", None, 0)).await, (vec![], None));
    assert_eq!(page(&harness, list("a\0", "", None, 9)).await, (vec!["a\0".into()], None));
}

#[tokio::test]
async fn common_prefixes_count_and_are_skipped_by_the_marker() {
    let harness = with_keys(&["a", "b/1", "b/2", "b/c/3", "c//4", "d"]).await;
    let request = |after, limit| list("", "/", after, limit);
    let (entries, next) = page(&harness, request(None, 2)).await;
    assert_eq!((entries, next.as_deref()), (vec!["a".into(), "[b/]".into()], Some("b/")));
    let (entries, next) = page(&harness, request(Some("b/"), 2)).await;
    assert_eq!((entries, next), (vec!["[c/]".into(), "d".into()], None));
    // A marker within a common prefix does not hide what is left of it.
    let (entries, _) = page(&harness, request(Some("b/1"), 1)).await;
    assert_eq!(entries, ["[b/]"]);
    let (entries, _) = page(&harness, request(Some("b/c/3"), 1)).await;
    assert_eq!(entries, ["[c/]"]);
    assert_eq!(page(&harness, list("b/", "/", None, 9)).await.0, ["b/1", "b/2", "[b/c/]"]);
    assert_eq!(page(&harness, list("c/", "/", None, 9)).await.0, ["[c//]"]);
    assert_eq!(page(&harness, list("", "/c/", None, 2)).await.0, ["a", "b/1"]);
    assert_eq!(page(&harness, list("b", "/c/", None, 9)).await.0, ["b/1", "b/2", "[b/c/]"]);
    assert_eq!(page(&harness, list("c", "/", Some("b/"), 9)).await.0, ["[c/]"]);
    assert_eq!(page(&harness, list("a", "", Some("d"), 9)).await.0, [""; 0]);
}

#[tokio::test]
async fn a_page_is_clamped_to_a_thousand_entries() {
    let harness = Harness::start().await;
    for index in 0..1001 {
        harness.put(&format!("{index:04}"), b"").await;
    }
    let (entries, next) = page(&harness, list("", "", None, usize::MAX)).await;
    assert_eq!((entries.len(), next.as_deref()), (1000, Some("0999")));
}

#[tokio::test]
async fn pages_continue_whatever_was_written_in_between() {
    let harness = with_keys(&["a", "b/1", "c", "d"]).await;
    let (_, next) = page(&harness, list("", "/", None, 2)).await;
    for key in ["b/1", "c"] {
        let delete = DeleteObject {
            target: object(key),
            version: None,
            if_match: None,
            bypass_governance: false,
        };
        harness.service.delete_object(delete).await.unwrap();
    }
    harness.put("b/0", b"").await;
    harness.put("b0", b"").await;
    let (entries, next) = page(&harness, list("", "/", next.as_deref(), 2)).await;
    assert_eq!((entries, next), (vec!["b0".into(), "d".into()], None));
}

#[tokio::test]
async fn a_missing_bucket_is_not_an_empty_one() {
    let harness = Harness::start().await;
    let request = ListObjects { bucket: "none".to_owned(), ..list("", "", None, 1) };
    assert!(matches!(
        harness.service.list_objects(request).await,
        Err(ListError::NoSuchBucket { .. })
    ));
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_start_and_rolled_up() {
    let harness = Harness::start().await;
    let mut started = Vec::new();
    for key in ["b/1", "a", "a", "b/2", "c", "a"] {
        harness.clock.advance_ms(1);
        started.push(harness.create_upload(key).await);
    }
    let list = async |delimiter: &str, after, limit| {
        let request = ListUploads {
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            delimiter: delimiter.to_owned(),
            after,
            limit,
        };
        harness.service.list_uploads(request).await.unwrap()
    };
    let all = list("", None, 9).await;
    let found: Vec<_> =
        all.uploads.iter().map(|found| (found.key.as_str(), found.upload)).collect();
    let expected =
        [1, 2, 5, 0, 3, 4].map(|at: usize| (started[at].target.key.as_str(), started[at].upload));
    assert_eq!(found, expected);
    assert_eq!(all.next, None);
    let first = list("/", None, 4).await;
    assert_eq!((first.uploads.len(), first.common_prefixes), (3, vec!["b/".to_owned()]));
    assert_eq!(first.next, Some(("b/".to_owned(), None)));
    let second = list("/", first.next, 4).await;
    assert_eq!((second.uploads.len(), second.uploads[0].key.as_str()), (1, "c"));
    let behind_upload = list("", Some(("a".to_owned(), Some(started[2].upload))), 1).await;
    assert_eq!(behind_upload.uploads[0].upload, started[5].upload);
    let behind_key = list("", Some(("a".to_owned(), None)), 1).await;
    assert_eq!(behind_key.uploads[0].key, "b/1");
    assert_eq!(behind_key.next, Some(("b/1".to_owned(), Some(started[0].upload))));
}
