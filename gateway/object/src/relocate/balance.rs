//! How much each device should hold, and how much it should give or take.
//!
//! Invariants:
//! - shards go only from devices that hold more than their share to devices that hold less, and
//!   never more than either differs by: what is moved in total is the least that evens them out;
//! - a share never asks for more than distinct failure domains allow.
//!
//! The share of a domain follows its capacity, but no stripe has two shards in one domain: with
//! stripes of `w` shards a domain holds at most a `w`th of everything, and the others hold the more.

use std::collections::{BTreeMap, BTreeSet};

use node_proto::DeviceId;
use parking_lot::Mutex;

/// Part of its capacity, as a divisor, by which a device may exceed its share before anything
/// moves. Chosen: 2 %.
const TOLERANCE_DIVISOR: u64 = 50;
/// Part of its share, as a divisor, that a device may lack before anything moves. Chosen: a device
/// that joins lacks all of it, and what chance makes uneven is far below.
const DEFICIT_DIVISOR: u64 = 4;
/// Bytes that a device may lack in any case. Chosen: a few shards; less in tests.
const DEFICIT_BYTES_MIN: u64 = if cfg!(test) { 64 << 10 } else { 8 << 20 };
/// Bytes by which a device may differ in any case. Chosen: below it, moving is noise; less
/// in tests, whose devices hold little.
const TOLERANCE_BYTES_MIN: u64 = if cfg!(test) { 64 << 10 } else { 64 << 20 };
/// Part of the tolerance, as a divisor, at which a rebalance ends. Chosen: far enough from where it
/// begins that it does not begin again soon.
const REST_DIVISOR: u64 = 8;
/// Part of its share, as a divisor, that a device may be left with. Chosen: likewise.
const REST_OF_SHARE_DIVISOR: u64 = 64;
/// Bytes that a device may be left with in any case. Chosen: two of the longest shards.
const REST_BYTES_MIN: u64 = 4 << 20;

/// A device that is to hold its share.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) device: DeviceId,
    pub(super) domain: String,
    pub(super) capacity_bytes: u64,
    /// Bytes that metadata names on it.
    pub(super) held_bytes: u64,
}

/// What devices should still give and take.
#[derive(Debug, Default)]
pub(super) struct Budget {
    left: Mutex<Left>,
    /// What each may be left with.
    rest: BTreeMap<DeviceId, u64>,
}

#[derive(Debug, Default)]
struct Left {
    give: BTreeMap<DeviceId, u64>,
    take: BTreeMap<DeviceId, u64>,
}

/// Bytes that a device may differ by.
fn tolerance(capacity_bytes: u64) -> u64 {
    (capacity_bytes / TOLERANCE_DIVISOR).max(TOLERANCE_BYTES_MIN)
}

/// What each device should hold of what all of them hold.
pub(super) fn shares(holders: &[Holder], width: usize) -> BTreeMap<DeviceId, u64> {
    let total: u64 = holders.iter().map(|holder| holder.held_bytes).sum();
    let mut capacities: BTreeMap<&str, u64> = BTreeMap::new();
    for holder in holders {
        *capacities.entry(&holder.domain).or_default() += holder.capacity_bytes;
    }
    let parts = width.min(capacities.len()).max(1);
    let most = total as f64 / parts as f64;
    let mut capped: BTreeSet<&str> = BTreeSet::new();
    loop {
        let free = total as f64 - most * capped.len() as f64;
        let open = || capacities.iter().filter(|(domain, _)| !capped.contains(*domain));
        let capacity: f64 = open().map(|(_, capacity)| *capacity as f64).sum();
        let share = |capacity_bytes: u64| free.max(0.0) * capacity_bytes as f64 / capacity.max(1.0);
        // A hair above counts as equal: all may be capped.
        let over: Vec<&str> = open()
            .filter(|(_, capacity)| share(**capacity) > most * 1.000_001)
            .map(|(domain, _)| *domain)
            .collect();
        if over.is_empty() {
            let of_domain = |domain: &str| {
                if capped.contains(domain) { most } else { share(capacities[domain]) }
            };
            let of_device = |holder: &Holder| {
                let part = holder.capacity_bytes as f64 / capacities[&*holder.domain].max(1) as f64;
                (holder.device, (of_domain(&holder.domain) * part) as u64)
            };
            return holders.iter().map(of_device).collect();
        }
        capped.extend(over);
    }
}

/// Whether any device differs from its share by so much that it is worth a look at all pages.
pub(super) fn is_uneven(holders: &[Holder], width: usize) -> bool {
    let shares = shares(holders, width);
    let differs = |holder: &Holder| {
        let share = shares[&holder.device];
        let surplus = holder.held_bytes.saturating_sub(share);
        let deficit = share.saturating_sub(holder.held_bytes);
        surplus > tolerance(holder.capacity_bytes)
            || deficit > (share / DEFICIT_DIVISOR).max(DEFICIT_BYTES_MIN)
    };
    holders.iter().any(differs)
}

/// Bytes that a device may differ by when a rebalance ends.
fn rest(capacity_bytes: u64, share: u64) -> u64 {
    let of_share = (share / REST_OF_SHARE_DIVISOR).max(REST_BYTES_MIN);
    (tolerance(capacity_bytes) / REST_DIVISOR).min(of_share)
}

impl Budget {
    /// What evens out `holders`.
    pub(super) fn new(holders: &[Holder], width: usize) -> Self {
        let shares = shares(holders, width);
        let mut left = Left::default();
        let mut rest = BTreeMap::new();
        for holder in holders {
            let (held, share) = (holder.held_bytes, shares[&holder.device]);
            rest.insert(holder.device, self::rest(holder.capacity_bytes, share));
            if held > share {
                left.give.insert(holder.device, held - share);
            } else if held < share {
                left.take.insert(holder.device, share - held);
            }
        }
        Self { left: Mutex::new(left), rest }
    }

    /// Bytes still to move.
    pub(super) fn left_bytes(&self) -> u64 {
        let left = self.left.lock();
        left.give.values().sum::<u64>().min(left.take.values().sum())
    }

    /// Whether a device has something to give.
    pub(super) fn gives(&self, device: DeviceId) -> bool {
        self.left.lock().give.get(&device).is_some_and(|give| *give > 0)
    }

    /// Whether everybody who should give is near enough, or nobody can take any more.
    pub(super) fn is_met(&self) -> bool {
        let left = self.left.lock();
        let is_near = |(device, bytes): (&DeviceId, &u64)| *bytes <= self.rest[device];
        left.give.iter().all(is_near) || left.take.values().all(|bytes| *bytes == 0)
    }

    /// Takes `len` bytes from the budget of `from` and of the device that gets them: the first that
    /// `suits`, so that few placement groups are made.
    pub(super) fn take(
        &self,
        from: DeviceId,
        len: u64,
        suits: impl Fn(DeviceId) -> bool,
    ) -> Option<DeviceId> {
        let mut left = self.left.lock();
        let left = &mut *left;
        let give = left.give.get_mut(&from).filter(|give| **give >= len)?;
        let (to, take) = left.take.iter_mut().find(|(to, take)| **take >= len && suits(**to))?;
        *give -= len;
        *take -= len;
        Some(*to)
    }

    /// Gives back what was taken for a move that did not happen.
    pub(super) fn give_back(&self, from: DeviceId, to: DeviceId, len: u64) {
        let mut left = self.left.lock();
        *left.give.entry(from).or_default() += len;
        *left.take.entry(to).or_default() += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn holder(device: u32, domain: &str, capacity_gib: u64, held_gib: u64) -> Holder {
        Holder {
            device: DeviceId(device),
            domain: domain.to_owned(),
            capacity_bytes: capacity_gib * GIB,
            held_bytes: held_gib * GIB,
        }
    }

    fn in_gib(holders: &[Holder], width: usize) -> Vec<u64> {
        shares(holders, width).values().map(|bytes| (bytes + GIB / 2) / GIB).collect()
    }

    #[test]
    fn shares_follow_capacity() {
        let mut holders: Vec<Holder> =
            (0..7).map(|id| holder(id, &format!("d{id}"), 1000, 70)).collect();
        holders[6].held_bytes = 0;
        assert_eq!(in_gib(&holders, 6), [60; 7]);
        holders.push(holder(7, "d6", 1000, 0));
        assert_eq!(in_gib(&holders, 2)[5..], [53, 53, 53]);
    }

    #[test]
    fn a_domain_holds_at_most_one_shard_of_a_stripe() {
        let holders: Vec<Holder> = [(0, 100), (1, 1000), (2, 1000), (3, 10_000)]
            .into_iter()
            .map(|(id, capacity)| holder(id, &format!("d{id}"), capacity, 30))
            .collect();
        assert_eq!(in_gib(&holders, 4), [30; 4]);
        assert_eq!(in_gib(&holders, 3), [4, 38, 38, 40]);
        assert!(!is_uneven(&holders, 4));
        assert!(is_uneven(&holders, 3));
    }

    #[test]
    fn less_than_the_tolerance_is_even() {
        let mut holders = vec![holder(0, "a", 1000, 100), holder(1, "b", 1000, 70)];
        assert!(!is_uneven(&holders, 1));
        holders[0].held_bytes += 20 * GIB;
        assert!(is_uneven(&holders, 1));
    }

    #[test]
    fn a_device_that_joins_gets_its_share_however_little_that_is() {
        let mut holders: Vec<Holder> =
            (0..7).map(|id| holder(id, &format!("d{id}"), 1000, 0)).collect();
        holders[..6].iter_mut().for_each(|holder| holder.held_bytes = 240 << 20);
        assert!(is_uneven(&holders, 6));
        let budget = Budget::new(&holders, 6);
        assert!(!budget.is_met());
        for from in 0..6 {
            while budget.take(DeviceId(from), 2 << 20, |_| true).is_some() {}
        }
        assert!(budget.is_met());
        assert!(budget.left_bytes() < 24 << 20, "{}", budget.left_bytes());
    }

    #[test]
    fn a_budget_moves_what_differs_and_no_more() {
        let holders =
            [holder(0, "a", 1000, 100), holder(1, "b", 1000, 100), holder(2, "c", 1000, 10)];
        let budget = Budget::new(&holders, 2);
        assert_eq!(budget.left_bytes(), 60 * GIB);
        let (a, b, c) = (DeviceId(0), DeviceId(1), DeviceId(2));
        assert!(budget.gives(a) && budget.gives(b) && !budget.gives(c));
        assert_eq!(budget.take(a, 30 * GIB, |_| false), None);
        assert_eq!(budget.take(a, 30 * GIB, |_| true), Some(c));
        assert_eq!(budget.take(a, GIB, |_| true), None);
        assert!(!budget.is_met());
        assert_eq!(budget.take(b, 30 * GIB, |_| true), Some(c));
        assert!(budget.is_met());
        budget.give_back(b, c, 30 * GIB);
        assert_eq!((budget.left_bytes(), budget.is_met()), (30 * GIB, false));
    }
}
