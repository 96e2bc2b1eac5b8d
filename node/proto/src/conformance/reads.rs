//! Reading, verifying and listing.

use super::{LENGTHS, expect, key, payload, put, root_of, whole};
use crate::{ByteRange, GetShardError, ShardEntry, ShardKey, ShardService};

/// Any range within a shard is read; none beyond its end.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn ranges_are_read_and_checked(device: &dyn ShardService) {
    for (number, len) in (0..).zip(LENGTHS) {
        let (key, bytes) = (key(11, number), payload(u64::from(number), len));
        put(device, key, &bytes).await;
        let places = [(0, 1), (0, len), (len / 2, 1), (len - 1, 1), (len / 3, len - len / 3)];
        for (offset, count) in places {
            let range = ByteRange { offset_bytes: offset as u64, len_bytes: count as u64 };
            let read = device.get(key, range).await;
            let right = bytes.slice(offset..offset + count);
            assert!(read.as_ref() == Ok(&right), "{key} {range:?}: {:?}", read.err());
        }
        for (offset, count) in [(0, len + 1), (len, 1), (len - 1, 2)] {
            let range = ByteRange { offset_bytes: offset as u64, len_bytes: count as u64 };
            let read = device.get(key, range).await;
            assert!(matches!(read, Err(GetShardError::Damaged { .. })), "{key} {range:?}");
        }
        let range = ByteRange { offset_bytes: u64::MAX - 1, len_bytes: 10 };
        assert!(device.get(key, range).await.is_err(), "a range beyond all numbers was read");
    }
}

/// What was never stored is said to be missing, by the device that was asked.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn missing_shards_are_not_found(device: &dyn ShardService) {
    let (key, id) = (key(12, 0), device.status().device);
    let missing = Err(GetShardError::NotFound { key, device: id });
    assert_eq!(device.get(key, whole(1)).await, missing);
    assert_eq!(device.verify(key).await.map(|_| bytes::Bytes::new()), missing);
}

/// Verification reads the whole shard and tells its length and root.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn verification_tells_the_root(device: &dyn ShardService) {
    for (number, len) in (0..).zip(LENGTHS) {
        let (key, bytes) = (key(13, number), payload(u64::from(number), len));
        put(device, key, &bytes).await;
        let entry = ShardEntry { key, len_bytes: len as u64, root: root_of(&bytes) };
        assert_eq!(device.verify(key).await, Ok(entry));
    }
}

/// Pages of any size give the same list; it is ascending and holds everything once.
///
/// # Panics
/// Panics when the device does something wrong.
pub async fn lists_are_ascending_and_continue_page_by_page(device: &dyn ShardService) {
    let keys: Vec<ShardKey> = (0..50).map(|number| key(14, number)).collect();
    let bytes = payload(3, 500);
    // Not in their order.
    for key in keys.iter().rev().step_by(2).chain(keys.iter().rev().skip(1).step_by(2)) {
        put(device, *key, &bytes).await;
    }
    let entry = |key: &ShardKey| ShardEntry { key: *key, len_bytes: 500, root: root_of(&bytes) };
    let right: Vec<ShardEntry> = keys.iter().map(entry).collect();
    let before = key(13, u32::MAX);
    for page in [1, 7, 50, 1000, 5000] {
        let (mut after, mut found) = (Some(before), Vec::new());
        loop {
            let entries = device.list(after, page).await.expect("the device is online");
            assert!(entries.len() <= page, "a page of {page} has {} entries", entries.len());
            after = entries.last().map(|last| last.key);
            let ours = |entry: &ShardEntry| entry.key.manifest == keys[0].manifest;
            let is_over = entries.len() < page || !entries.iter().all(ours);
            found.extend(entries.into_iter().filter(ours));
            if is_over {
                break;
            }
        }
        assert_eq!(found, right, "in pages of {page}");
    }
    assert_eq!(device.list(Some(before), 0).await, Ok(Vec::new()));
    let all = device.list(None, usize::MAX).await.expect("the device is online");
    assert!(all.is_sorted_by(|a, b| a.key < b.key), "the whole list is not ascending");
    assert!(right.iter().all(|entry| all.contains(entry)), "the whole list lacks some");
    expect(device, keys[0], &bytes).await;
}
