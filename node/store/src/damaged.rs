//! The bounded set of shards known to be damaged and not yet handed to repair.
//!
//! *Limits:* beyond the bound a shard is dropped silently; the next scrub pass finds it again.

use std::collections::BTreeSet;

use node_proto::ShardKey;
use parking_lot::Mutex;

pub(crate) struct DamagedSet {
    max: usize,
    keys: Mutex<BTreeSet<ShardKey>>,
}

impl DamagedSet {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, keys: Mutex::default() }
    }

    /// Adds a shard; false when it was there already or there is no room.
    pub(crate) fn insert(&self, key: ShardKey) -> bool {
        let mut keys = self.keys.lock();
        keys.len() < self.max && keys.insert(key)
    }

    /// Forgets a shard that was replaced or deleted.
    pub(crate) fn remove(&self, key: &ShardKey) {
        self.keys.lock().remove(key);
    }

    pub(crate) fn take(&self, limit: usize) -> Vec<ShardKey> {
        let mut keys = self.keys.lock();
        let taken: Vec<ShardKey> = keys.iter().take(limit).copied().collect();
        for key in &taken {
            keys.remove(key);
        }
        taken
    }

    /// Forgets everything: the drive was formatted anew.
    pub(crate) fn clear(&self) {
        self.keys.lock().clear();
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
}
