//! The bounded set of shards known to be damaged, and which of them repair has not heard of yet.
//!
//! Invariant: a damaged shard is new once, until it is replaced, deleted or the drive is formatted;
//! repair hears of it again whenever it is met again.
//!
//! *Limits:* beyond the bound a shard is dropped silently; the next scrub pass finds it again.

use std::collections::BTreeSet;

use node_proto::ShardKey;
use parking_lot::Mutex;

pub(crate) struct DamagedSet {
    max: usize,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    /// Repair has not heard of these.
    waiting: BTreeSet<ShardKey>,
    /// Met before; holds what waits as far as there is room.
    known: BTreeSet<ShardKey>,
}

impl DamagedSet {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, keys: Mutex::default() }
    }

    /// Adds a shard; says whether it is new. Without room for it, it is not.
    pub(crate) fn insert(&self, key: ShardKey) -> bool {
        let mut keys = self.keys.lock();
        if keys.waiting.len() < self.max {
            keys.waiting.insert(key);
        }
        keys.known.len() < self.max && keys.known.insert(key)
    }

    /// Forgets a shard that was replaced or deleted.
    pub(crate) fn remove(&self, key: &ShardKey) {
        let mut keys = self.keys.lock();
        keys.waiting.remove(key);
        keys.known.remove(key);
    }

    pub(crate) fn take(&self, limit: usize) -> Vec<ShardKey> {
        let waiting = &mut self.keys.lock().waiting;
        let taken: Vec<ShardKey> = waiting.iter().take(limit).copied().collect();
        for key in &taken {
            waiting.remove(key);
        }
        taken
    }

    /// Forgets everything: the drive was formatted anew.
    pub(crate) fn clear(&self) {
        *self.keys.lock() = Keys::default();
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{ManifestId, ShardIndex, StripeSeq};

    use super::*;

    fn key(manifest: u64) -> ShardKey {
        ShardKey { manifest: ManifestId(manifest), stripe: StripeSeq(0), index: ShardIndex(0) }
    }

    #[test]
    fn the_set_is_bounded_and_holds_each_shard_once() {
        let set = DamagedSet::new(2);
        assert!(set.insert(key(1)));
        assert!(!set.insert(key(1)));
        assert!(set.insert(key(2)));
        assert!(!set.insert(key(3)));
        assert_eq!(set.take(1), [key(1)]);
        assert_eq!(set.take(9), [key(2)]);
        assert!(set.take(9).is_empty());
    }

    #[test]
    fn a_shard_met_again_is_told_again_and_new_only_after_it_was_replaced() {
        let set = DamagedSet::new(2);
        assert!(set.insert(key(1)));
        assert_eq!(set.take(9), [key(1)]);
        assert!(!set.insert(key(1)));
        assert_eq!(set.take(9), [key(1)]);
        set.remove(&key(1));
        assert!(set.insert(key(1)));
        set.clear();
        assert!(set.take(9).is_empty());
        assert!(set.insert(key(1)));
    }
}
