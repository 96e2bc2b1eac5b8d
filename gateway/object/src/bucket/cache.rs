//! Buckets by name, so that a request does not read their row.
//!
//! Invariants:
//! - this process is the only one that makes and removes buckets, and announces each change here
//!   before it commits: what is found here is what the store holds;
//! - a change whose outcome is unknown (its future was dropped, or the store failed while
//!   committing) keeps its stripe of names out of the cache for good, because its effect may appear
//!   at any later time;
//! - missing buckets are not remembered, so strangers cannot fill the cache with names.
//!
//! *Limits:* [`STRIPES`] stripes of a fixed number of entries.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Bucket;
use crate::Fault;

/// Independently locked parts of the cache. Chosen: a change of unknown outcome costs one of 256
/// names its place in the cache.
const STRIPES: usize = 256;

/// A bounded cache of buckets.
pub(crate) struct BucketCache {
    stripes: Box<[Mutex<Stripe>]>,
    stripe_entries_max: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Stripe {
    entries: HashMap<String, Arc<Bucket>>,
    /// Changes announced and not finished.
    changes: u64,
    /// Grows with every change, so that a row read before a change is not kept after it.
    generation: u64,
}

/// A change of a bucket that was announced. Dropping it unfinished means an unknown outcome.
pub(crate) struct BucketChange<'a> {
    stripe: &'a Mutex<Stripe>,
}

impl BucketCache {
    /// A cache of about `entries_max` buckets, at least one per stripe.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            stripe_entries_max: entries_max.div_ceil(STRIPES).max(1),
            hasher: RandomState::new(),
        }
    }

    /// The bucket called `name`, from here or from `load`.
    pub(crate) fn find(
        &self,
        name: &str,
        load: impl FnOnce() -> Result<Option<Bucket>, Fault>,
    ) -> Result<Option<Arc<Bucket>>, Fault> {
        let stripe = self.stripe(name);
        let generation = {
            let stripe = stripe.lock();
            if let Some(bucket) = stripe.entries.get(name) {
                return Ok(Some(Arc::clone(bucket)));
            }
            stripe.generation
        };
        let Some(bucket) = load()?.map(Arc::new) else { return Ok(None) };
        let mut stripe = stripe.lock();
        if stripe.changes == 0 && stripe.generation == generation {
            if stripe.entries.len() >= self.stripe_entries_max
                && let Some(any) = stripe.entries.keys().next().cloned()
            {
                stripe.entries.remove(&any);
            }
            stripe.entries.insert(name.to_owned(), Arc::clone(&bucket));
        }
        Ok(Some(bucket))
    }

    /// Announces that `name` is about to change.
    pub(crate) fn begin_change(&self, name: &str) -> BucketChange<'_> {
        let stripe = self.stripe(name);
        let mut locked = stripe.lock();
        locked.entries.remove(name);
        locked.changes += 1;
        locked.generation += 1;
        BucketChange { stripe }
    }

    fn stripe(&self, name: &str) -> &Mutex<Stripe> {
        let hash = self.hasher.hash_one(name);
        let index = usize::try_from(hash % STRIPES as u64).expect("less than the stripes");
        &self.stripes[index]
    }
}

impl BucketChange<'_> {
    /// The outcome is known: the change happened, or it never will.
    pub(crate) fn finish(self) {
        let mut stripe = self.stripe.lock();
        stripe.changes -= 1;
        stripe.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use gateway_meta::{
        AccountId, BucketId,
        record::{Acknowledge, BucketRecord, Versioning},
    };
    use node_proto::UnixMillis;

    use super::*;
    use crate::bucket::BucketConfigs;

    fn record(id: u64) -> Bucket {
        let record = BucketRecord {
            id: BucketId(id),
            name: "name".to_owned(),
            owner: AccountId::ROOT,
            created: UnixMillis(0),
            region: String::new(),
            key_epoch: 1,
            acknowledge: Acknowledge::All,
            versioning: Versioning::Never,
            object_lock: false,
        };
        Bucket { record, configs: BucketConfigs::default() }
    }

    /// What a find answers when the store holds bucket `stored`.
    fn find(cache: &BucketCache, stored: Option<u64>) -> Option<u64> {
        cache.find("name", || Ok(stored.map(record))).unwrap().map(|bucket| bucket.id.0)
    }

    #[test]
    fn a_known_bucket_is_not_read_again() {
        let cache = BucketCache::new(1);
        assert_eq!(find(&cache, Some(1)), Some(1));
        assert_eq!(find(&cache, Some(2)), Some(1));
    }

    #[test]
    fn a_missing_bucket_is_read_again() {
        let cache = BucketCache::new(1);
        assert_eq!(find(&cache, None), None);
        assert_eq!(find(&cache, Some(1)), Some(1));
    }

    #[test]
    fn a_change_forgets_the_bucket_and_keeps_it_out_until_finished() {
        let cache = BucketCache::new(1);
        find(&cache, Some(1));
        let change = cache.begin_change("name");
        assert_eq!(find(&cache, Some(1)), Some(1));
        assert_eq!(find(&cache, Some(2)), Some(2));
        change.finish();
        assert_eq!(find(&cache, Some(2)), Some(2));
        assert_eq!(find(&cache, Some(3)), Some(2));
    }

    #[test]
    fn a_row_read_before_a_change_is_not_kept_after_it() {
        let cache = BucketCache::new(1);
        let found = cache.find("name", || {
            cache.begin_change("name").finish();
            Ok(Some(record(1)))
        });
        assert_eq!(found.unwrap().map(|bucket| bucket.id.0), Some(1));
        assert_eq!(find(&cache, None), None);
    }

    #[test]
    fn a_change_of_unknown_outcome_keeps_the_name_out() {
        let cache = BucketCache::new(1);
        let _unfinished = cache.begin_change("name");
        assert_eq!(find(&cache, Some(1)), Some(1));
        assert_eq!(find(&cache, None), None);
    }

    #[test]
    fn the_cache_stays_bounded() {
        let cache = BucketCache::new(STRIPES);
        for index in 0..4 * STRIPES {
            cache.find(&index.to_string(), || Ok(Some(record(1)))).unwrap();
        }
        let kept: usize = cache.stripes.iter().map(|stripe| stripe.lock().entries.len()).sum();
        assert!(kept <= STRIPES, "{kept}");
    }
}
