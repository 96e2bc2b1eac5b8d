//! A bounded cache that forgets what was used least recently.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use parking_lot::Mutex;

/// Values by key, each with a weight; the sum of weights stays within a limit.
pub(crate) struct Cache<K, V> {
    entries: Mutex<Entries<K, V>>,
    weight_max: usize,
}

struct Entries<K, V> {
    by_key: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    next_use: u64,
    weight: usize,
}

struct Entry<V> {
    value: V,
    used: u64,
    weight: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let entries =
            Entries { by_key: HashMap::new(), by_use: BTreeMap::new(), next_use: 0, weight: 0 };
        Self { entries: Mutex::new(entries), weight_max }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut entries = self.entries.lock();
        let entries = &mut *entries;
        let entry = entries.by_key.get_mut(key)?;
        let key = entries.by_use.remove(&entry.used).expect("every entry has its use");
        entry.used = entries.next_use;
        entries.by_use.insert(entries.next_use, key);
        entries.next_use += 1;
        Some(entry.value.clone())
    }

    /// Forgets a value.
    pub(crate) fn remove<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.by_key.remove(key) {
            entries.by_use.remove(&entry.used);
            entries.weight -= entry.weight;
        }
    }

    /// Keeps a value. One heavier than the whole cache is not kept.
    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        if weight > self.weight_max {
            return;
        }
        let mut entries = self.entries.lock();
        let entries = &mut *entries;
        let used = entries.next_use;
        entries.next_use += 1;
        if let Some(old) = entries.by_key.insert(key.clone(), Entry { value, used, weight }) {
            entries.by_use.remove(&old.used);
            entries.weight -= old.weight;
        }
        entries.by_use.insert(used, key);
        entries.weight += weight;
        while entries.weight > self.weight_max {
            let (_, oldest) = entries.by_use.pop_first().expect("weight comes from entries");
            let entry = entries.by_key.remove(&oldest).expect("every use has its entry");
            entries.weight -= entry.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let cache = Cache::new(3);
        for key in 0..3 {
            cache.insert(key, key * 10, 1);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.insert(3, 30, 1);
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.get(&0), Some(0));
        cache.insert(4, 40, 2);
        assert_eq!((cache.get(&2), cache.get(&3)), (None, None));
        assert_eq!((cache.get(&0), cache.get(&4)), (Some(0), Some(40)));
        assert_eq!(cache.entries.lock().weight, 3);
    }

    #[test]
    fn replacing_counts_once_and_oversize_is_not_kept() {
        let cache = Cache::new(2);
        cache.insert("a", 1, 2);
        cache.insert("a", 2, 1);
        assert_eq!(cache.entries.lock().weight, 1);
        cache.insert("b", 3, 3);
        assert_eq!((cache.get("a"), cache.get("b")), (Some(2), None));
        cache.remove("a");
        cache.remove("b");
        assert_eq!((cache.get("a"), cache.entries.lock().weight), (None, 0));
    }
}
