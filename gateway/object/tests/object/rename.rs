//! Renaming objects.

use std::{collections::BTreeMap, sync::Arc};

use gateway_meta::{
    MemoryMetaStore, MetaStore, Table, key,
    record::{ObjectRecord, Record, Versioning},
};
use gateway_object::{
    DeleteObject, ETagCondition, ListEntry, ListObjects, ObjectConfig, ReadCondition, RenameError,
    RenameObject,
};

use crate::harness::{BUCKET, Harness, object};

fn rename(source: &str, target: &str) -> RenameObject {
    RenameObject {
        target: object(target),
        source: source.to_owned(),
        condition: ReadCondition::default(),
        source_condition: ReadCondition::default(),
        token: None,
    }
}

/// A rename to a key that must be free.
fn rename_to_free(source: &str, target: &str) -> RenameObject {
    let condition =
        ReadCondition { if_none_match: Some(ETagCondition::Any), ..ReadCondition::default() };
    RenameObject { condition, ..rename(source, target) }
}

async fn keys(harness: &Harness) -> Vec<String> {
    let request = ListObjects {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 1000,
    };
    let page = harness.service.list_objects(request).await.unwrap();
    let key = |entry| match entry {
        ListEntry::Object { key, .. } => key,
        ListEntry::CommonPrefix(prefix) => prefix,
    };
    page.entries.into_iter().map(key).collect()
}

#[tokio::test]
async fn a_rename_moves_the_record_and_no_data() {
    let meta = Arc::new(MemoryMetaStore::new());
    let shared = Arc::clone(&meta) as Arc<dyn MetaStore>;
    let harness = Harness::start_over(shared, ObjectConfig::default()).await;
    let bucket = harness.service.bucket(BUCKET).await.unwrap().id;
    let record = |name: &str| {
        let row = meta.get(Table::Cur, &key::cur(bucket, name.as_bytes())).unwrap();
        row.map(|row| ObjectRecord::decode(&row).unwrap())
    };
    // Long enough for shards.
    let bytes = vec![7; 100_000];
    harness.put("a", &bytes).await;
    let before = record("a").unwrap();
    harness.clock.advance_ms(5000);
    harness.service.rename_object(rename("a", "b")).await.unwrap();
    let after = record("b").unwrap();
    assert_eq!(record("a"), None);
    assert_eq!((&after.kind, after.modified), (&before.kind, before.modified));
    assert!(after.seq > before.seq, "equal rows would pass for unchanged ones");
    assert_eq!(harness.get("b").await.unwrap(), bytes);
    let unlinked = meta.scan(Table::Gcq, gateway_meta::KeyRange::all(), 10).await.unwrap();
    assert_eq!(unlinked, [], "the body is still named");
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn what_a_rename_replaces_is_reclaimed_and_no_longer_counted() {
    let harness = Harness::start().await;
    harness.put("a", &[1; 10_000]).await;
    harness.put("b", &[2; 20_000]).await;
    harness.service.rename_object(rename("a", "b")).await.unwrap();
    assert_eq!(keys(&harness).await, ["b"]);
    assert_eq!(harness.get("b").await.unwrap(), [1; 10_000]);
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn buckets_that_were_ever_versioned_do_not_rename() {
    let harness = Harness::start().await;
    harness.put("a", b"x").await;
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        harness.service.set_versioning(BUCKET, versioning).await.unwrap();
        let refused = harness.service.rename_object(rename("a", "b")).await;
        assert!(matches!(refused, Err(RenameError::Versioned)), "{refused:?}");
    }
    assert_eq!(keys(&harness).await, ["a"]);
}

#[tokio::test]
async fn a_token_stands_for_its_rename_for_a_day() {
    let harness = Harness::start().await;
    let under_token =
        |source, target| RenameObject { token: Some("t".to_owned()), ..rename(source, target) };
    harness.put("a", b"1").await;
    harness.service.rename_object(under_token("a", "b")).await.unwrap();
    harness.put("a", b"2").await;
    harness.service.rename_object(under_token("a", "b")).await.unwrap();
    assert_eq!(keys(&harness).await, ["a", "b"]);
    let reused = harness.service.rename_object(under_token("b", "c")).await;
    assert!(matches!(reused, Err(RenameError::TokenReused)), "{reused:?}");
    harness.clock.advance_ms(24 * 3600 * 1000);
    harness.service.rename_object(under_token("a", "b")).await.unwrap();
    assert_eq!(keys(&harness).await, ["b"]);
    assert_eq!(harness.get("b").await.unwrap(), b"2");
    // A failed one is not remembered.
    let other = RenameObject { token: Some("u".to_owned()), ..rename("nosuch", "x") };
    let failed = harness.service.rename_object(other.clone()).await;
    assert!(matches!(failed, Err(RenameError::NoSuchKey { .. })), "{failed:?}");
    harness.put("nosuch", b"3").await;
    harness.service.rename_object(other).await.unwrap();
}

/// Renames to free keys, racing each other and deletions, lose and double nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_renames_lose_and_double_nothing() {
    const OBJECTS: usize = 8;
    const KEYS: usize = 12;
    let harness = Arc::new(Harness::start().await);
    for n in 0..OBJECTS {
        harness.put(&format!("k{n}"), format!("content {n}").as_bytes()).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..8_usize {
        let harness = Arc::clone(&harness);
        tasks.spawn(async move {
            let mut state = seed * 7919 + 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % KEYS
            };
            let mut done = 0;
            for _ in 0..100 {
                let (source, target) = (format!("k{}", next()), format!("k{}", next()));
                match harness.service.rename_object(rename_to_free(&source, &target)).await {
                    Ok(()) => done += 1,
                    Err(
                        RenameError::NoSuchKey { .. }
                        | RenameError::SameKey
                        | RenameError::PreconditionFailed { .. },
                    ) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            done
        });
    }
    let done: usize = tasks.join_all().await.into_iter().sum();
    assert!(done > 50, "{done}");
    let mut contents = BTreeMap::new();
    for key in keys(&harness).await {
        *contents.entry(harness.get(&key).await.unwrap()).or_insert(0) += 1;
    }
    let expected: BTreeMap<Vec<u8>, i32> =
        (0..OBJECTS).map(|n| (format!("content {n}").into_bytes(), 1)).collect();
    assert_eq!(contents, expected);
    harness.assert_usage_is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deletion_takes_the_object_under_one_name_or_the_other() {
    let harness = Arc::new(Harness::start().await);
    for n in 0..50 {
        let (old, new) = (format!("old{n}"), format!("new{n}"));
        harness.put(&old, b"x").await;
        let (one, other) = (Arc::clone(&harness), Arc::clone(&harness));
        let deletion = DeleteObject {
            target: object(&old),
            version: None,
            if_match: None,
            bypass_governance: false,
        };
        let request = rename(&old, &new);
        let (renamed, deleted) =
            tokio::join!(async move { one.service.rename_object(request).await }, async move {
                other.service.delete_object(deletion).await
            },);
        deleted.unwrap();
        let left = keys(&harness).await;
        match renamed {
            Ok(()) => assert!(left.contains(&new)),
            Err(RenameError::NoSuchKey { .. }) => assert!(!left.contains(&new)),
            Err(error) => panic!("{error}"),
        }
        assert!(!left.contains(&old));
    }
    harness.assert_usage_is_right().await;
}
