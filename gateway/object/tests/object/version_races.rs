//! Requests that meet over versions: none is lost, none is removed twice, and modes are kept.

use std::{sync::Arc, time::Duration};

use gateway_meta::{MemoryMetaStore, VersionId, record::Versioning};
use gateway_object::{DeleteObject, GetObject, MultipartError, ObjectReadError, WriteCondition};

use crate::{
    harness::{BUCKET, Harness, collect, get_request},
    races::{delete_request, slow_over_rows, together},
    version_model::{assert_no_body_leaks, assert_rows_are_sound},
    versions::{ids, set},
};

async fn assert_sound(harness: &Harness, rows: &MemoryMetaStore) {
    harness.assert_usage_is_right().await;
    assert_rows_are_sound(rows);
    assert_no_body_leaks(rows);
}

fn delete_version(key: &str, version: VersionId) -> DeleteObject {
    DeleteObject { version: Some(version), ..delete_request(key) }
}

async fn pause(micros: u64) {
    tokio::time::sleep(Duration::from_micros(micros)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_and_writes_of_one_key_all_leave_their_version() {
    let (harness, rows) = slow_over_rows().await;
    set(&harness, Versioning::Enabled).await;
    for round in 0..20_u64 {
        let key = format!("key {round}");
        let made = together(8, |index| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            async move {
                pause(round * 20).await;
                match index % 2 {
                    0 => harness.put(&key, &[index as u8; 50]).await.version,
                    _ => {
                        let receipt = harness.service.delete_object(delete_request(&key)).await;
                        let receipt = receipt.unwrap();
                        assert!(receipt.delete_marker);
                        receipt.version.unwrap()
                    }
                }
            }
        })
        .await;
        let mut made: Vec<VersionId> = made;
        let mut listed = ids(&harness, &key).await;
        made.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, made);
    }
    assert_sound(&harness, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_a_change_of_the_mode_follows_one_of_both() {
    for round in 0..40_u64 {
        let (harness, rows) = slow_over_rows().await;
        // Every commit takes another time, so some of each pair overtake the other.
        for _ in 0..round % 7 {
            harness.put("other", b"").await;
        }
        let first = harness.put("key", b"first").await;
        assert_eq!(first.version, VersionId::Null);
        let write = harness.try_put("key", b"second", WriteCondition::default());
        let null = async || {
            let request = GetObject { version: Some(VersionId::Null), ..get_request("key") };
            collect(harness.service.get_object(request).await.unwrap().body).await
        };
        let enable = async {
            pause(round * 40).await;
            set(&harness, Versioning::Enabled).await;
            null().await
        };
        let (second, kept) = futures::join!(write, enable);
        let second = second.unwrap().version;
        // What was there once versions were kept stays.
        assert_eq!(null().await, kept);
        let expected = match second {
            VersionId::Null => vec![VersionId::Null],
            VersionId::Id(_) => vec![second, VersionId::Null],
        };
        assert_eq!(ids(&harness, "key").await, expected);
        // What is answered after the change follows it.
        let third = harness.put("key", b"third").await.version;
        assert!(matches!(third, VersionId::Id(_)));
        let write = harness.try_put("key", b"fourth", WriteCondition::default());
        let suspend = async {
            pause(round * 40).await;
            set(&harness, Versioning::Suspended).await;
        };
        let (fourth, ()) = futures::join!(write, suspend);
        let fourth = fourth.unwrap().version;
        let listed = ids(&harness, "key").await;
        assert_eq!(listed[..2], [fourth, third]);
        // The null version of before was replaced, or stays below.
        assert!(listed.contains(&VersionId::Null));
        assert_sound(&harness, &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_version_goes_once_and_the_next_takes_its_place() {
    let (harness, rows) = slow_over_rows().await;
    set(&harness, Versioning::Enabled).await;
    for round in 0..20 {
        let key = format!("key {round}");
        let mut versions = Vec::new();
        for number in 0..3 {
            versions.push(harness.put(&key, &[number; 20]).await.version);
        }
        if round % 2 == 0 {
            let receipt = harness.service.delete_object(delete_request(&key)).await.unwrap();
            versions.push(receipt.version.unwrap());
        }
        let newest = versions.pop().unwrap();
        together(4, |_| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            async move {
                let request = delete_version(&key, newest);
                let receipt = harness.service.delete_object(request).await.unwrap();
                assert_eq!(receipt.version, Some(newest));
            }
        })
        .await;
        versions.reverse();
        assert_eq!(ids(&harness, &key).await, versions);
        let read = harness.service.get_object(get_request(&key)).await.unwrap();
        assert_eq!(read.info.version, versions[0]);
    }
    assert_sound(&harness, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_removed_under_writes_takes_no_other_along() {
    let (harness, rows) = slow_over_rows().await;
    set(&harness, Versioning::Enabled).await;
    for round in 0..20_u64 {
        let key = format!("key {round}");
        let old = harness.put(&key, b"old").await.version;
        let newest = harness.put(&key, b"newest").await.version;
        let made = together(6, |index| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            async move {
                pause(round * 30).await;
                match index % 3 {
                    0 => Some(harness.put(&key, b"more").await.version),
                    1 => {
                        let request = delete_version(&key, newest);
                        harness.service.delete_object(request).await.unwrap();
                        None
                    }
                    _ => {
                        let request = GetObject { version: Some(old), ..get_request(&key) };
                        let read = harness.service.get_object(request).await.unwrap();
                        assert_eq!(collect(read.body).await, b"old");
                        None
                    }
                }
            }
        })
        .await;
        let mut expected: Vec<VersionId> = made.into_iter().flatten().chain([old]).collect();
        let mut listed = ids(&harness, &key).await;
        assert_eq!(listed.last(), Some(&old));
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected);
    }
    assert_sound(&harness, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_versioned_upload_is_completed_or_aborted_never_both() {
    let (harness, rows) = slow_over_rows().await;
    set(&harness, Versioning::Enabled).await;
    for round in 0..30_u64 {
        let key = format!("key {round}");
        let below = harness.put(&key, b"below").await.version;
        let upload = harness.create_upload(&key).await;
        let part = harness.upload_part(&upload, 1, b"bytes").await.unwrap();
        let parts = [(1, &part)];
        let complete = harness.complete(&upload, &parts);
        let abort = async {
            pause(round * 50).await;
            harness.service.abort_upload(upload.clone()).await
        };
        match futures::join!(complete, abort) {
            (Ok(receipt), Err(MultipartError::NoSuchUpload)) => {
                assert_eq!(ids(&harness, &key).await, [receipt.version, below]);
            }
            (Err(MultipartError::NoSuchUpload), Ok(())) => {
                assert_eq!(ids(&harness, &key).await, [below]);
            }
            (complete, abort) => panic!("{complete:?} {abort:?}"),
        }
    }
    assert_sound(&harness, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_never_deleted_under_a_delete_marker() {
    use gateway_object::{BucketError, DeleteError};
    let (harness, rows) = slow_over_rows().await;
    set(&harness, Versioning::Enabled).await;
    for round in 0..40_u64 {
        let mark = harness.service.delete_object(delete_request("key"));
        let remove = async {
            pause(round * 50).await;
            harness.service.delete_bucket(BUCKET).await
        };
        match futures::join!(mark, remove) {
            (Ok(marker), Err(BucketError::NotEmpty)) => {
                let read = harness.service.get_object(get_request("key")).await;
                assert!(matches!(read, Err(ObjectReadError::DeleteMarker { named: false, .. })));
                let request = delete_version("key", marker.version.unwrap());
                harness.service.delete_object(request).await.unwrap();
            }
            (Err(DeleteError::NoSuchBucket { .. }), Ok(())) => {
                harness.make_bucket(BUCKET).await;
                set(&harness, Versioning::Enabled).await;
            }
            (mark, remove) => panic!("{mark:?} {remove:?}"),
        }
    }
    assert_sound(&harness, &rows).await;
}
