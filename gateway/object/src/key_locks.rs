//! Turns of writers of the same key, so that their commits do not fight.
//!
//! A matter of fairness, not of correctness: guards decide what happens. Keys share a fixed number
//! of locks, so memory does not follow the keys in use.

use std::hash::{BuildHasher, RandomState};

use gateway_meta::BucketId;
use tokio::sync::{Mutex, MutexGuard};

/// Locks shared by all keys. Chosen: with a hundred writers at once, two meet by accident in one of
/// ten requests, and then one waits for the other's commit.
const LOCKS: usize = 1024;

/// Locks by key.
pub(crate) struct KeyLocks {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl KeyLocks {
    pub(crate) fn new() -> Self {
        Self { locks: (0..LOCKS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    /// Waits for `key`'s turn.
    pub(crate) async fn lock(&self, bucket: BucketId, key: &[u8]) -> MutexGuard<'_, ()> {
        self.locks[self.index(bucket, key)].lock().await
    }

    /// Waits for the turns of all `keys`, in an order that all callers share.
    pub(crate) async fn lock_all(
        &self,
        bucket: BucketId,
        keys: impl Iterator<Item = &[u8]>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let mut indexes: Vec<usize> = keys.map(|key| self.index(bucket, key)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let mut held = Vec::with_capacity(indexes.len());
        for index in indexes {
            held.push(self.locks[index].lock().await);
        }
        held
    }

    fn index(&self, bucket: BucketId, key: &[u8]) -> usize {
        let hash = self.hasher.hash_one((bucket, key));
        usize::try_from(hash % LOCKS as u64).expect("less than the number of locks")
    }
}
