//! What happens to two drives at a time, and which two next.
//!
//! - A pair shares no drive with the one before it: what the pair before got back in repair is what
//!   reads need now, so every case also checks the repair of its predecessor.

use std::fmt;

use compat_tests::payload::Random;

use crate::machine::DRIVES;

/// Two drives, by number, ascending.
pub(crate) type Pair = [usize; 2];

/// What happens to the drives of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They lose everything: new disks on the same mount points.
    Wiped,
    /// They change places.
    Swapped,
    /// What they were some time ago takes their place.
    ReturnedOld,
    /// Their file systems take no writes any more.
    ReadOnly,
    /// Reading what is stored fails.
    ReadError,
    /// Writing fails.
    WriteError,
    /// Writing works, making it durable fails.
    SyncError,
    /// There is no space left.
    Full,
    /// They are pulled out, and plugged in again.
    Pulled,
}

/// What the clients do when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing; the server is stopped where the fault allows that.
    AtRest,
    /// They write.
    DuringWrites,
}

/// One case of the matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    pub(crate) moment: Moment,
    pub(crate) pair: Pair,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, moment, pair: [first, second] } = self;
        let (fault, moment) = (format!("{fault:?}"), format!("{moment:?}"));
        write!(f, "{fault:<11} {moment:<12} {first}+{second}")
    }
}

const MOMENTS: [Moment; 2] = [Moment::AtRest, Moment::DuringWrites];

/// Every one of `faults` at every moment on every pair.
pub(crate) fn all(faults: &[Fault], random: &mut Random) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for &fault in faults {
        for moment in MOMENTS {
            let last = cases.last().map(|case| case.pair);
            let tour = tour(last, random);
            cases.extend(tour.into_iter().map(|pair| Case { fault, moment, pair }));
        }
    }
    cases
}

/// Every one of `faults` once, at a moment and on a pair that `random` chooses.
pub(crate) fn sample(faults: &[Fault], random: &mut Random) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for &fault in faults {
        let moment = MOMENTS[index_below(MOMENTS.len(), random)];
        let pair = next(cases.last().map(|case| case.pair), random);
        cases.push(Case { fault, moment, pair });
    }
    cases
}

/// A pair that shares no drive with `last`.
pub(crate) fn next(last: Option<Pair>, random: &mut Random) -> Pair {
    let fitting: Vec<Pair> =
        pairs().into_iter().filter(|pair| last.is_none_or(|last| disjoint(*pair, last))).collect();
    fitting[index_below(fitting.len(), random)]
}

/// All pairs, each disjoint from the one before, the first from `last`.
fn tour(last: Option<Pair>, random: &mut Random) -> Vec<Pair> {
    let mut left = pairs();
    for end in (1..left.len()).rev() {
        left.swap(end, index_below(end + 1, random));
    }
    let mut tour = Vec::new();
    assert!(
        extend(&mut tour, left, last),
        "the pairs of six drives have such a tour from any pair"
    );
    tour
}

/// Goes on with the pairs `left`, trying them in their order; whether all found their place.
fn extend(tour: &mut Vec<Pair>, left: Vec<Pair>, last: Option<Pair>) -> bool {
    if left.is_empty() {
        return true;
    }
    for (index, pair) in left.iter().enumerate() {
        if last.is_none_or(|last| disjoint(*pair, last)) {
            let mut rest = left.clone();
            tour.push(rest.remove(index));
            if extend(tour, rest, Some(*pair)) {
                return true;
            }
            tour.pop();
        }
    }
    false
}

fn pairs() -> Vec<Pair> {
    (0..DRIVES).flat_map(|first| (first + 1..DRIVES).map(move |second| [first, second])).collect()
}

fn disjoint(one: Pair, other: Pair) -> bool {
    one.iter().all(|drive| !other.contains(drive))
}

fn index_below(bound: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(bound as u64)).expect("below a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cases_are_there_and_neighbours_share_no_drive() {
        for seed in 0..50 {
            let faults = [Fault::Wiped, Fault::Full];
            let cases = all(&faults, &mut Random::new(seed));
            assert_eq!(cases.len(), faults.len() * 2 * 15);
            for fault in faults {
                for moment in MOMENTS {
                    let of = |case: &&Case| case.fault == fault && case.moment == moment;
                    let mut pairs: Vec<Pair> =
                        cases.iter().filter(of).map(|case| case.pair).collect();
                    pairs.sort_unstable();
                    assert_eq!(pairs, super::pairs());
                }
            }
            assert!(cases.windows(2).all(|two| disjoint(two[0].pair, two[1].pair)));
        }
    }
}
