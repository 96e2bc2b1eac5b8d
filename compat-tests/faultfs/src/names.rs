//! Names of files and directories: as they are, as a power cut would leave them, and what lies
//! between.
//!
//! Invariants:
//! - the live names are the durable ones with all pending operations applied in order;
//! - a number is reported as unreferenced once when neither lists nor operations name it any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use crate::random::Random;

/// The number of a file or directory. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ino(pub(crate) u64);

impl Ino {
    /// FUSE's number for the root directory.
    pub(crate) const ROOT: Self = Self(1);
}

/// One name in one directory, and what it leads to from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) directory: Ino,
    pub(crate) name: OsString,
    pub(crate) target: Option<Ino>,
}

impl Change {
    pub(crate) fn new(directory: Ino, name: &OsStr, target: Option<Ino>) -> Self {
        Self { directory, name: name.to_owned(), target }
    }
}

/// Changes that happen together or not at all.
type Operation = Vec<Change>;

pub(crate) type Lists = HashMap<Ino, BTreeMap<OsString, Ino>>;

#[derive(Debug, Default)]
struct References {
    links: u32,
    all: u32,
}

/// All names.
#[derive(Debug)]
pub(crate) struct Names {
    live: Lists,
    durable: Lists,
    pending: Vec<Operation>,
    references: HashMap<Ino, References>,
    unreferenced: Vec<Ino>,
}

impl Names {
    pub(crate) fn new() -> Self {
        let root = || HashMap::from([(Ino::ROOT, BTreeMap::new())]);
        Self {
            live: root(),
            durable: root(),
            pending: Vec::new(),
            references: HashMap::new(),
            unreferenced: Vec::new(),
        }
    }

    /// Makes the lists of a new directory; a name for it is a change of its parent.
    pub(crate) fn add_directory(&mut self, directory: Ino) {
        self.live.insert(directory, BTreeMap::new());
        self.durable.insert(directory, BTreeMap::new());
    }

    pub(crate) fn get(&self, directory: Ino, name: &OsStr) -> Option<Ino> {
        self.live.get(&directory)?.get(name).copied()
    }

    /// The names in a directory; `None` when it is none.
    pub(crate) fn list(&self, directory: Ino) -> Option<&BTreeMap<OsString, Ino>> {
        self.live.get(&directory)
    }

    /// All live lists.
    pub(crate) fn lists(&self) -> &Lists {
        &self.live
    }

    /// How many names lead to it.
    pub(crate) fn links(&self, ino: Ino) -> u32 {
        self.references.get(&ino).map_or(0, |references| references.links)
    }

    /// Applies changes as one operation.
    pub(crate) fn apply(&mut self, operation: Operation) {
        for change in &operation {
            self.count(change.target, |references| {
                references.links += 1;
                // Once for the list and once for the operation.
                references.all += 2;
            });
            let old = set(&mut self.live, change);
            self.release(old, true);
        }
        self.pending.push(operation);
    }

    /// Makes the names of a directory durable, and whatever hangs together with them.
    pub(crate) fn sync(&mut self, directory: Ino) {
        let mut touched = HashSet::from([directory]);
        let mut chosen = vec![false; self.pending.len()];
        // Backwards: an operation in two directories drags the earlier ones of both along.
        for (operation, chosen) in self.pending.iter().zip(&mut chosen).rev() {
            if operation.iter().any(|change| touched.contains(&change.directory)) {
                *chosen = true;
                touched.extend(operation.iter().map(|change| change.directory));
            }
        }
        let mut chosen = chosen.into_iter();
        let (done, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|_| chosen.next().unwrap_or(false));
        self.pending = pending;
        self.make_durable(done);
    }

    fn make_durable(&mut self, operations: Vec<Operation>) {
        for change in operations.into_iter().flatten() {
            // The reference of the operation becomes the one of the list.
            let old = set(&mut self.durable, &change);
            self.release(old, false);
        }
    }

    /// Forgets what a power cut takes and returns how many operations were kept and lost.
    pub(crate) fn cut(&mut self, random: &mut Random) -> (u64, u64) {
        let mut counts: BTreeMap<Ino, u64> = BTreeMap::new();
        for operation in &self.pending {
            for directory in directories(operation) {
                *counts.entry(directory).or_default() += 1;
            }
        }
        // How many operations of each directory the medium has seen.
        let mut left: BTreeMap<Ino, u64> = BTreeMap::new();
        for (directory, count) in counts {
            let kept = match random.below(4) {
                0 => 0,
                1 => count,
                _ => random.below(count + 1),
            };
            left.insert(directory, kept);
        }
        let (mut kept, mut lost) = (Vec::new(), 0);
        for operation in std::mem::take(&mut self.pending) {
            let touched = directories(&operation);
            if touched.iter().all(|directory| left.get(directory).is_some_and(|left| *left > 0)) {
                for directory in touched {
                    left.entry(directory).and_modify(|left| *left -= 1);
                }
                kept.push(operation);
            } else {
                lost += 1;
                for directory in touched {
                    left.insert(directory, 0);
                }
            }
        }
        let kept_count = kept.len() as u64;
        self.make_durable(kept);
        self.start_over_from_durable();
        (kept_count, lost)
    }

    /// Makes the durable names that the root leads to the live ones.
    fn start_over_from_durable(&mut self) {
        let known: HashSet<Ino> = self.references.keys().copied().collect();
        let mut reached = Lists::new();
        let mut waiting = vec![Ino::ROOT];
        self.references.clear();
        while let Some(directory) = waiting.pop() {
            let list = self.durable.remove(&directory).unwrap_or_default();
            for target in list.values() {
                let references = self.references.entry(*target).or_default();
                references.links += 1;
                references.all += 2;
                if self.durable.contains_key(target) {
                    waiting.push(*target);
                }
            }
            reached.insert(directory, list);
        }
        self.live = reached.clone();
        self.durable = reached;
        self.unreferenced.extend(known.into_iter().filter(|i| !self.references.contains_key(i)));
    }

    /// What nothing names any more since the last call.
    pub(crate) fn take_unreferenced(&mut self) -> Vec<Ino> {
        let mut found = std::mem::take(&mut self.unreferenced);
        // Something may have got a name again.
        found.retain(|ino| !self.references.contains_key(ino));
        for ino in &found {
            self.live.remove(ino);
            self.durable.remove(ino);
        }
        found
    }

    fn count(&mut self, ino: Option<Ino>, change: impl FnOnce(&mut References)) {
        let Some(ino) = ino else { return };
        let references = self.references.entry(ino).or_default();
        change(references);
        if references.all == 0 {
            self.references.remove(&ino);
            self.unreferenced.push(ino);
        }
    }

    fn release(&mut self, old: Option<Ino>, is_link: bool) {
        self.count(old, |references| {
            references.links -= u32::from(is_link);
            references.all -= 1;
        });
    }
}

fn set(lists: &mut Lists, change: &Change) -> Option<Ino> {
    let list = lists.entry(change.directory).or_default();
    match change.target {
        Some(target) => list.insert(change.name.clone(), target),
        None => list.remove(&change.name),
    }
}

fn directories(operation: &Operation) -> Vec<Ino> {
    let mut found: Vec<Ino> = operation.iter().map(|change| change.directory).collect();
    found.sort_unstable();
    found.dedup();
    found
}
