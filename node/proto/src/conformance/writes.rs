//! Storing, replacing and deleting.

use futures::future::join_all;

use super::{LENGTHS, expect, key, payload, put, root_of, whole};
use crate::{GetShardError, PutShardError, ShardService};

/// The same payload under the same key is stored again without complaint.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn the_same_bytes_may_be_put_again(device: &dyn ShardService) {
    for (number, len) in (0..).zip(LENGTHS) {
        let (key, bytes) = (key(1, number), payload(u64::from(number), len));
        for _ in 0..2 {
            put(device, key, &bytes).await;
            expect(device, key, &bytes).await;
        }
    }
}

/// Another payload under a key is refused, and the first one stays.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn other_bytes_under_a_key_conflict(device: &dyn ShardService) {
    for (number, len) in (0..).zip([10, 100_000]) {
        let (key, first) = (key(2, number), payload(1, len));
        put(device, key, &first).await;
        for other in [payload(2, len), payload(1, len + 1)] {
            let refused = device.put(key, root_of(&other), other).await;
            assert_eq!(refused, Err(PutShardError::Conflict { key }));
        }
        expect(device, key, &first).await;
    }
}

/// A payload that was damaged on its way is not stored.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn payloads_that_do_not_match_their_root_are_refused(device: &dyn ShardService) {
    for (number, len) in (0..).zip([10, 300_000]) {
        let (key, bytes) = (key(3, number), payload(1, len));
        let wrong = root_of(&payload(2, len));
        let refused = device.put(key, wrong, bytes.clone()).await;
        assert_eq!(refused, Err(PutShardError::RootMismatch { key }));
        let refused = device.replace(key, wrong, bytes.clone()).await;
        assert_eq!(refused, Err(PutShardError::RootMismatch { key }));
        let missing = device.get(key, whole(len)).await;
        assert!(matches!(missing, Err(GetShardError::NotFound { .. })), "{missing:?}");
        put(device, key, &bytes).await;
    }
}

/// Replacing stores the new payload, whether there was one or not.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn replaced_shards_are_the_new_ones(device: &dyn ShardService) {
    let key = key(4, 0);
    for (seed, len) in [(1, 5000), (2, 5000), (3, 200_000), (4, 1)] {
        let bytes = payload(seed, len);
        let replaced = device.replace(key, root_of(&bytes), bytes.clone()).await;
        assert_eq!(replaced, Ok(()));
        expect(device, key, &bytes).await;
        let entry = device.verify(key).await.map(|entry| (entry.root, entry.len_bytes));
        assert_eq!(entry, Ok((root_of(&bytes), len as u64)));
        put(device, key, &bytes).await;
    }
}

/// Deleted shards are neither read nor listed; deleting twice, and what never was, is fine; the key
/// may be used anew.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn deleted_shards_are_gone(device: &dyn ShardService) {
    let keys: Vec<_> = (0..20).map(|number| key(5, number)).collect();
    for key in &keys {
        put(device, *key, &payload(7, 1000)).await;
    }
    let (gone, kept) = keys.split_at(10);
    let mut asked = gone.to_vec();
    asked.push(super::key(5, 999));
    for _ in 0..2 {
        assert_eq!(device.delete(asked.clone()).await, Ok(()));
        for key in gone {
            let missing = device.get(*key, whole(1000)).await;
            assert!(matches!(missing, Err(GetShardError::NotFound { .. })), "{missing:?}");
            let missing = device.verify(*key).await;
            assert!(matches!(missing, Err(GetShardError::NotFound { .. })), "{missing:?}");
        }
    }
    let listed = device.list(Some(super::key(4, u32::MAX)), usize::MAX).await;
    let listed = listed.expect("the device is online");
    assert!(listed.iter().all(|entry| !gone.contains(&entry.key)), "a deleted shard is listed");
    for key in kept {
        expect(device, *key, &payload(7, 1000)).await;
    }
    put(device, gone[0], &payload(8, 10)).await;
    expect(device, gone[0], &payload(8, 10)).await;
    assert_eq!(device.delete(Vec::new()).await, Ok(()));
}

/// Many writers, readers and deleters at a time see what they did themselves.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn concurrent_calls_do_not_disturb_each_other(device: &dyn ShardService) {
    let one = async |number: u32| {
        let len = LENGTHS[number as usize % LENGTHS.len()].min(300_000);
        let (key, bytes) = (key(6, number), payload(u64::from(number) + 100, len));
        put(device, key, &bytes).await;
        let (first, second) = futures::join!(
            expect(device, key, &bytes),
            device.put(key, root_of(&bytes), bytes.clone())
        );
        assert_eq!(((), second), (first, Ok(())));
        if number.is_multiple_of(3) {
            assert_eq!(device.delete(vec![key]).await, Ok(()));
            let missing = device.get(key, whole(len)).await;
            assert!(matches!(missing, Err(GetShardError::NotFound { .. })), "{missing:?}");
        }
    };
    join_all((0..60).map(one)).await;
    for number in 0..60 {
        let found = device.verify(key(6, number)).await;
        assert_eq!(found.is_ok(), !number.is_multiple_of(3), "{found:?}");
    }
}
