//! Space accounting: what a write may still use.
//!
//! Invariants:
//! - space is reserved before bytes are accepted and given back exactly once;
//! - writes stop while the reserve is untouched; deletes and compaction may use the reserve.
//!
//! The figures of the file system are refreshed from time to time and counted down in between, so
//! several drives on one file system may together overshoot by what they write between refreshes.
//! The reserve absorbs that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use crate::vfs::FileSystemSpace;

/// Bounds of the default reserve in bytes. Chosen: room for a few segments under compaction.
const RESERVE_BYTES: (u64, u64) = (64 << 20, 2 << 30);
/// Default reserve as a divisor of the capacity. Chosen.
const RESERVE_DIVISOR: u64 = 100;

pub(crate) struct Space {
    capacity: Option<u64>,
    configured_reserve: Option<u64>,
    fs_total: AtomicU64,
    fs_available: AtomicU64,
    used: AtomicU64,
    reserved: AtomicU64,
}

/// Space promised to a write that is not in a segment yet.
pub(crate) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.reserved.fetch_sub(self.bytes, SeqCst);
    }
}

impl Space {
    pub(crate) fn new(capacity: Option<u64>, reserve: Option<u64>) -> Self {
        Self {
            capacity,
            configured_reserve: reserve,
            fs_total: AtomicU64::new(0),
            fs_available: AtomicU64::new(0),
            used: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
        }
    }

    pub(crate) fn refresh(&self, found: FileSystemSpace) {
        self.fs_total.store(found.total_bytes, SeqCst);
        self.fs_available.store(found.available_bytes, SeqCst);
    }

    pub(crate) fn set_used(&self, bytes: u64) {
        self.used.store(bytes, SeqCst);
    }

    /// Counts bytes that segments grew by.
    pub(crate) fn grow(&self, bytes: u64) {
        self.used.fetch_add(bytes, SeqCst);
        subtract(&self.fs_available, bytes);
    }

    /// Counts bytes that an unlinked segment gave back.
    pub(crate) fn shrink(&self, bytes: u64) {
        subtract(&self.used, bytes);
        self.fs_available.fetch_add(bytes, SeqCst);
    }

    /// The medium said it has no space: believe it until the next refresh.
    pub(crate) fn exhausted(&self) {
        self.fs_available.store(0, SeqCst);
    }

    /// Promises `bytes` to a write, or `None` when there is too little.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let usable = self.room_bytes().saturating_sub(self.reserve_bytes());
        self.reserved
            .try_update(SeqCst, SeqCst, |reserved| {
                reserved.checked_add(bytes).filter(|sum| *sum <= usable)
            })
            .ok()
            .map(|_| Reservation { space: Arc::clone(self), bytes })
    }

    /// Bytes a write may still use.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.room_bytes()
            .saturating_sub(self.reserve_bytes())
            .saturating_sub(self.reserved.load(SeqCst))
    }

    /// Bytes deletes and compaction may still use.
    pub(crate) fn room_bytes(&self) -> u64 {
        let available = self.fs_available.load(SeqCst);
        match self.capacity {
            Some(capacity) => available.min(capacity.saturating_sub(self.used.load(SeqCst))),
            None => available,
        }
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        let holds = self.used.load(SeqCst).saturating_add(self.fs_available.load(SeqCst));
        self.capacity.map_or(holds, |capacity| capacity.min(holds))
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.configured_reserve.unwrap_or_else(|| {
            let total = self.fs_total.load(SeqCst);
            let capacity = self.capacity.map_or(total, |capacity| capacity.min(total));
            (capacity / RESERVE_DIVISOR).clamp(RESERVE_BYTES.0, RESERVE_BYTES.1)
        })
    }
}

fn subtract(from: &AtomicU64, bytes: u64) {
    from.update(SeqCst, SeqCst, |value| value.saturating_sub(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(capacity: Option<u64>) -> Arc<Space> {
        let space = Space::new(capacity, Some(100));
        space.refresh(FileSystemSpace { total_bytes: 10_000, available_bytes: 1_000 });
        Arc::new(space)
    }

    #[test]
    fn reservations_stop_at_the_reserve_and_come_back() {
        let space = space(None);
        let first = space.reserve(900).unwrap();
        assert!(space.reserve(1).is_none());
        assert_eq!(space.free_bytes(), 0);
        drop(first);
        assert_eq!(space.free_bytes(), 900);
        assert_eq!(space.room_bytes(), 1_000);
    }

    #[test]
    fn capacity_bounds_what_the_file_system_offers() {
        let space = space(Some(500));
        space.set_used(200);
        assert_eq!(space.free_bytes(), 200);
        space.grow(200);
        assert_eq!(space.free_bytes(), 0);
        space.shrink(400);
        assert_eq!(space.free_bytes(), 400);
    }

    #[test]
    fn an_exhausted_medium_is_believed_until_the_next_refresh() {
        let space = space(None);
        space.exhausted();
        assert!(space.reserve(1).is_none());
        space.refresh(FileSystemSpace { total_bytes: 10_000, available_bytes: 1_000 });
        assert!(space.reserve(1).is_some());
    }
}
