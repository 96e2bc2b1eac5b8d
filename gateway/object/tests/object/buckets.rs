//! Buckets.

use gateway_object::{BucketError, DeleteObject, ListBuckets, ObjectConfig, ObjectWriteError};
use std::sync::Arc;

use gateway_meta::{
    AccountId, Batch, CommitOutcome, MemoryMetaStore, MetaStore, Op, Table, TxIds,
    key::ctl,
    record::{Acknowledge, BucketRecord, Record},
};
use node_proto::UnixMillis;

use crate::harness::{BUCKET, Harness, OWNER, START, STRANGER, create_bucket, object, put_request};

#[tokio::test]
async fn a_bucket_is_found_until_it_is_deleted() {
    let harness = Harness::start().await;
    let service = &harness.service;
    let found = service.bucket(BUCKET).await.unwrap();
    assert_eq!((found.owner, found.created, found.name.as_str()), (OWNER, START, BUCKET));
    service.delete_bucket(BUCKET).await.unwrap();
    assert!(matches!(service.bucket(BUCKET).await, Err(BucketError::NoSuchBucket { .. })));
    assert!(matches!(service.delete_bucket(BUCKET).await, Err(BucketError::NoSuchBucket { .. })));
    harness.make_bucket(BUCKET).await;
    assert!(service.bucket(BUCKET).await.unwrap().id > found.id);
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn a_name_belongs_to_its_first_owner() {
    let harness = Harness::start().await;
    let again = |owner| harness.service.create_bucket(create_bucket(BUCKET, owner));
    assert!(matches!(again(OWNER).await, Err(BucketError::AlreadyOwnedByYou)));
    assert!(matches!(again(STRANGER).await, Err(BucketError::AlreadyExists)));
}

#[tokio::test]
async fn names_and_owners_are_checked() {
    let harness = Harness::start().await;
    let create = |name, owner| harness.service.create_bucket(create_bucket(name, owner));
    assert!(matches!(create("No", OWNER).await, Err(BucketError::InvalidName { .. })));
    assert!(matches!(create("other", AccountId(99)).await, Err(BucketError::NoSuchAccount)));
}

#[tokio::test]
async fn an_account_has_so_many_buckets_and_no_more() {
    let config = ObjectConfig { buckets_per_account_max: 2, ..ObjectConfig::default() };
    let harness = Harness::start_over(Arc::new(MemoryMetaStore::new()), config).await;
    harness.make_bucket("second").await;
    let create = |name, owner| harness.service.create_bucket(create_bucket(name, owner));
    assert!(matches!(create("third", OWNER).await, Err(BucketError::TooManyBuckets { limit: 2 })));
    create("third", STRANGER).await.unwrap();
    harness.service.delete_bucket(BUCKET).await.unwrap();
    create("fourth", OWNER).await.unwrap();
}

#[tokio::test]
async fn objects_and_uploads_keep_a_bucket() {
    let harness = Harness::start().await;
    let service = &harness.service;
    harness.put("key", b"bytes").await;
    assert!(matches!(service.delete_bucket(BUCKET).await, Err(BucketError::NotEmpty)));
    let delete = DeleteObject {
        target: object("key"),
        version: None,
        if_match: None,
        bypass_governance: false,
    };
    service.delete_object(delete).await.unwrap();
    let upload = harness.create_upload("key").await;
    assert!(matches!(service.delete_bucket(BUCKET).await, Err(BucketError::NotEmpty)));
    service.abort_upload(upload).await.unwrap();
    service.delete_bucket(BUCKET).await.unwrap();
    assert!(matches!(
        service.put_object(put_request("key", b"bytes")).await,
        Err(ObjectWriteError::NoSuchBucket { .. })
    ));
    harness.assert_usage_is_right().await;
}

#[tokio::test]
async fn buckets_are_listed_by_owner_and_name() {
    let harness = Harness::start().await;
    for name in ["b-2", "a-1", "b-1", "b-3"] {
        harness.make_bucket(name).await;
    }
    harness.service.create_bucket(create_bucket("b-0", STRANGER)).await.unwrap();
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let request = ListBuckets {
            owner: OWNER,
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit,
        };
        let page = harness.service.list_buckets(request).await.unwrap();
        let names: Vec<String> = page.buckets.into_iter().map(|bucket| bucket.name).collect();
        (names.join(" "), page.truncated)
    };
    let page = |names: &str, truncated| (names.to_owned(), truncated);
    assert_eq!(list("", None, 100).await, page("a-1 b-1 b-2 b-3 bucket", false));
    assert_eq!(list("b-", None, 2).await, page("b-1 b-2", true));
    assert_eq!(list("b-", Some("b-2"), 2).await, page("b-3", false));
    assert_eq!(list("b-", Some("a"), 3).await, page("b-1 b-2 b-3", false));
    assert_eq!(list("b-", Some("c"), 3).await, page("", false));
}

#[tokio::test]
async fn a_bucket_may_be_told_not_to_wait_for_every_shard() {
    let harness = Harness::start().await;
    let service = &harness.service;
    assert_eq!(service.bucket(BUCKET).await.unwrap().acknowledge, Acknowledge::All);
    let set = service.set_acknowledge(BUCKET, Acknowledge::DataPlusOne).await.unwrap();
    assert_eq!(set, service.bucket(BUCKET).await.unwrap().record);
    assert_eq!(set.acknowledge, Acknowledge::DataPlusOne);
    let bytes = vec![7; 100_000];
    harness.put("key", &bytes).await;
    assert_eq!(harness.get("key").await.unwrap(), bytes);
    let missing = service.set_acknowledge("missing", Acknowledge::All).await;
    assert!(matches!(missing, Err(BucketError::NoSuchBucket { .. })));
}

#[tokio::test]
async fn a_bucket_made_by_an_earlier_release_can_be_changed_and_deleted() {
    let meta = Arc::new(MemoryMetaStore::new());
    let harness = Harness::start_over(Arc::clone(&meta) as _, ObjectConfig::default()).await;
    let service = &harness.service;
    let row_key = ctl::bucket(BUCKET);
    let txids = TxIds::new(UnixMillis(2), 99);
    for change_first in [true, false] {
        let row = meta.get(Table::Ctl, &row_key).unwrap().unwrap();
        // The first version had all fields but the last three, of a byte each.
        let mut value = row[..row.len() - 3].to_vec();
        value[0] = 1;
        let old = BucketRecord::decode(&value).unwrap();
        let put = Op::Put { table: Table::Ctl, key: row_key.clone(), value: value.into() };
        let batch = Batch { txid: txids.next(), guards: Vec::new(), ops: vec![put] };
        assert_eq!(meta.commit(batch).await.unwrap(), CommitOutcome::Applied);
        if change_first {
            let new = service.set_acknowledge(BUCKET, Acknowledge::DataPlusOne).await.unwrap();
            assert_eq!(new, BucketRecord { acknowledge: Acknowledge::DataPlusOne, ..old });
        } else {
            service.delete_bucket(BUCKET).await.unwrap();
        }
    }
    assert!(meta.get(Table::Ctl, &row_key).unwrap().is_none());
}
