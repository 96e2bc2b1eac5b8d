//! Space accounting: what a write may still use.
//!
//! Invariants:
//! - space is reserved before bytes are accepted and given back exactly once;
//! - writes stop while the reserve is untouched; deletes and compaction may use the reserve;
//! - the reserve holds a full segment, so that compaction can always copy one; what it has copied
//!   counts against the reserve until its source is unlinked, not against writes.
//!
//! The figures of the file system are refreshed from time to time and counted down in between, so
//! several drives on one file system may together overshoot by what they write between refreshes.
//! The reserve absorbs that.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use crate::{config::DriveLimits, vfs::FileSystemSpace};

/// Upper bound of the default reserve in bytes. Chosen: a few segments of full length.
const RESERVE_BYTES_MAX: u64 = 2 << 30;
/// Default reserve as a divisor of the capacity. Chosen.
const RESERVE_DIVISOR: u64 = 100;
/// Part of a segment, as a divisor, that the default reserve holds on top of a full one. Chosen:
/// for tombstones and the index.
const RESERVE_SLACK_DIVISOR: u64 = 4;
/// Segments that a drive's capacity holds at least, unless they would become shorter than
/// [`SEGMENT_BYTES_MIN`]. Chosen: a segment under compaction is then a small part of a drive.
const SEGMENTS_PER_DRIVE: u64 = 16;
/// Segments are not shortened below this. Chosen: two full-size shards.
const SEGMENT_BYTES_MIN: u64 = 8 << 20;
/// Space is short when less than this part of the capacity, as a divisor, is free. Chosen.
const SHORT_DIVISOR: u64 = 10;

pub(crate) struct Space {
    capacity: Option<u64>,
    configured_reserve: Option<u64>,
    segment_bytes_max: u64,
    full_below_bytes: u64,
    /// Bytes of the reserve that compaction has filled with copies.
    lent: AtomicU64,
    /// A write was refused and no space has come back since.
    refused: AtomicBool,
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
    pub(crate) fn new(capacity: Option<u64>, limits: &DriveLimits) -> Self {
        Self {
            capacity,
            configured_reserve: limits.reserve_bytes,
            segment_bytes_max: limits.segment_bytes,
            full_below_bytes: limits.full_below_bytes,
            lent: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            fs_total: AtomicU64::new(0),
            fs_available: AtomicU64::new(0),
            used: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
        }
    }

    pub(crate) fn refresh(&self, found: FileSystemSpace) {
        self.fs_total.store(found.total_bytes, SeqCst);
        self.fs_available.store(found.available_bytes, SeqCst);
        if self.free_bytes() >= self.plenty_bytes() {
            self.refused.store(false, SeqCst);
        }
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
        self.refused.store(false, SeqCst);
    }

    /// The medium said it has no space: believe it until the next refresh.
    pub(crate) fn exhausted(&self) {
        self.fs_available.store(0, SeqCst);
    }

    /// Promises `bytes` to a write, or `None` when there is too little.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let usable = self.room_bytes().saturating_sub(self.reserve_left_bytes());
        self.reserved
            .try_update(SeqCst, SeqCst, |reserved| {
                reserved.checked_add(bytes).filter(|sum| *sum <= usable)
            })
            .inspect_err(|_| self.refused.store(true, SeqCst))
            .ok()
            .map(|_| Reservation { space: Arc::clone(self), bytes })
    }

    /// Bytes a write may still use.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.room_bytes()
            .saturating_sub(self.reserve_left_bytes())
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

    /// Bytes the medium has free, whatever the configured capacity says.
    pub(crate) fn medium_bytes(&self) -> u64 {
        self.fs_available.load(SeqCst)
    }

    /// Length at which a segment is closed.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let fitting = (self.nominal_bytes() / SEGMENTS_PER_DRIVE).max(SEGMENT_BYTES_MIN);
        self.segment_bytes_max.min(fitting)
    }

    /// How easy space is, in percent: 100 while there is plenty, falling to 0 as the last of it
    /// goes or when a write was refused.
    pub(crate) fn ease_percent(&self) -> u64 {
        let free = self.free_bytes();
        if free < self.full_below_bytes || self.refused.load(SeqCst) {
            return 0;
        }
        let percent = u128::from(free) * 100 / u128::from(self.plenty_bytes());
        u64::try_from(percent).unwrap_or(100).min(100)
    }

    fn plenty_bytes(&self) -> u64 {
        (self.capacity_bytes() / SHORT_DIVISOR).max(self.full_below_bytes).max(1)
    }

    /// Compaction has copied `bytes` whose source it will unlink.
    pub(crate) fn lend(&self, bytes: u64) {
        self.lent.fetch_add(bytes, SeqCst);
    }

    /// The source was unlinked, or compaction gave up for now.
    pub(crate) fn take_loan_back(&self) {
        self.lent.store(0, SeqCst);
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.configured_reserve.unwrap_or_else(|| {
            let segment = self.segment_bytes();
            (self.nominal_bytes() / RESERVE_DIVISOR)
                .min(RESERVE_BYTES_MAX)
                .max(segment + segment / RESERVE_SLACK_DIVISOR)
        })
    }

    fn reserve_left_bytes(&self) -> u64 {
        self.reserve_bytes().saturating_sub(self.lent.load(SeqCst))
    }

    /// What the drive may hold when nothing else is on its file system.
    fn nominal_bytes(&self) -> u64 {
        let total = self.fs_total.load(SeqCst);
        self.capacity.map_or(total, |capacity| capacity.min(total))
    }
}

fn subtract(from: &AtomicU64, bytes: u64) {
    from.update(SeqCst, SeqCst, |value| value.saturating_sub(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(capacity: Option<u64>) -> Arc<Space> {
        let limits = DriveLimits {
            reserve_bytes: Some(100),
            full_below_bytes: 10,
            ..DriveLimits::default()
        };
        let space = Space::new(capacity, &limits);
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

    #[test]
    fn segments_and_reserve_follow_the_capacity() {
        let of = |capacity: u64| {
            let space = Space::new(Some(capacity), &DriveLimits::default());
            space.refresh(FileSystemSpace { total_bytes: 64 << 40, available_bytes: 64 << 40 });
            (space.segment_bytes(), space.reserve_bytes())
        };
        assert_eq!(of(64 << 20), (8 << 20, 10 << 20));
        assert_eq!(of(1 << 30), (64 << 20, 80 << 20));
        assert_eq!(of(8 << 30), (512 << 20, 640 << 20));
        assert_eq!(of(100 << 30), (512 << 20, 1 << 30));
        assert_eq!(of(8 << 40), (512 << 20, 2 << 30));
    }

    #[test]
    fn ease_falls_with_the_last_tenth() {
        let space = space(Some(1_000));
        assert_eq!(space.ease_percent(), 100);
        space.grow(800);
        assert_eq!((space.free_bytes(), space.ease_percent()), (100, 100));
        space.grow(75);
        assert_eq!((space.free_bytes(), space.ease_percent()), (25, 25));
        assert!(space.reserve(26).is_none());
        assert_eq!(space.ease_percent(), 0, "a write was refused");
        space.shrink(0);
        assert_eq!(space.ease_percent(), 25, "space came back");
        space.grow(75);
        assert_eq!(space.ease_percent(), 0);
    }

    #[test]
    fn copies_count_against_the_reserve_and_not_against_writes() {
        let space = space(Some(500));
        space.set_used(300);
        assert_eq!(space.free_bytes(), 100);
        space.lend(60);
        space.grow(60);
        assert_eq!(space.free_bytes(), 100);
        space.lend(60);
        space.grow(60);
        assert_eq!((space.free_bytes(), space.room_bytes()), (80, 80));
        space.take_loan_back();
        space.shrink(200);
        assert_eq!(space.free_bytes(), 180);
    }
}
