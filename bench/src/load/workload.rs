//! Which operation comes next, on which object.
//!
//! Invariants:
//! - size and content follow from the key alone, so writers may overwrite each other and every
//!   reader still knows what to expect;
//! - prepared objects (`o/`) are never written or deleted by measured operations, except by
//!   `delete`; what measured operations write goes under `w/`;
//! - in a mix, a delete removes what the same worker wrote; with nothing to remove it writes.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    operation::PAGE_LEN_MAX,
    pattern::{Content, Pattern, scramble},
};
use crate::{
    args::{LoadArgs, Operation, OperationMix},
    size::SizeMix,
};

/// Prepared objects unless the command line says otherwise: this many, and this many bytes.
/// Chosen: more than any cache of ours holds, written within seconds.
const OBJECTS_DEFAULT: u64 = 1000;
const OBJECT_BYTES_DEFAULT: u64 = 1 << 30;

/// Written objects that a worker remembers for deletes of a mix. Chosen: what is forgotten is
/// removed after the run.
const REMEMBERED_MAX: usize = 10_000;

/// What to do, shared by all workers.
#[derive(Debug)]
pub(crate) struct Workload {
    pattern: Pattern,
    prefix: String,
    operation: Operation,
    mix: OperationMix,
    sizes: SizeMix,
    range_size: u64,
    seed: u64,
    /// Prepared objects.
    objects: u64,
    /// Number of the first of them.
    first: u64,
    /// Keys that writes go around; `None` for a new key each time.
    overwritten: Option<u64>,
    next_written: AtomicU64,
    next_deleted: AtomicU64,
    /// Reads go through the objects once.
    once: bool,
    next_read: AtomicU64,
}

/// One worker's state.
#[derive(Debug)]
pub(crate) struct Choices {
    state: u64,
    written: VecDeque<u64>,
}

/// The next operation of a worker.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Put { key: String, content: Content },
    Multipart { key: String, content: Content },
    Get { key: String, content: Content },
    RangedGet { key: String, content: Content, range: Range<u64> },
    Stat { key: String, content: Content },
    List { after: Option<u64>, expected: Range<u64> },
    Delete { key: String },
}

impl Action {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Put { .. } => Operation::Put,
            Self::Multipart { .. } => Operation::Multipart,
            Self::Get { .. } => Operation::Get,
            Self::RangedGet { .. } => Operation::RangedGet,
            Self::Stat { .. } => Operation::Stat,
            Self::List { .. } => Operation::List,
            Self::Delete { .. } => Operation::Delete,
        }
    }
}

impl Choices {
    pub(crate) fn new(seed: u64, worker: u16) -> Self {
        Self { state: scramble(seed ^ (u64::from(worker) << 32)), written: VecDeque::new() }
    }

    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(1);
        scramble(self.state)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit.max(1)
    }
}

impl Workload {
    pub(crate) fn new(args: &LoadArgs) -> Self {
        let fitting = (OBJECT_BYTES_DEFAULT / args.size.mean().max(1)).clamp(1, OBJECTS_DEFAULT);
        let for_deletes = args.count.filter(|_| args.operation == Operation::Delete);
        let objects =
            args.objects.or(for_deletes).unwrap_or_else(|| fitting.max(args.concurrency.into()));
        Self {
            pattern: Pattern::new(args.seed),
            prefix: format!("bench/{}/", args.seed),
            operation: args.operation,
            mix: args.mix.clone(),
            sizes: args.size.clone(),
            range_size: args.range_size,
            seed: args.seed,
            objects,
            first: args.first,
            overwritten: args.objects,
            next_written: AtomicU64::new(0),
            next_deleted: AtomicU64::new(0),
            once: args.once,
            next_read: AtomicU64::new(0),
        }
    }

    /// How many objects must be there before the start.
    pub(crate) fn prepared(&self) -> u64 {
        let writes_only = |operation| matches!(operation, Operation::Put | Operation::Multipart);
        let reads = [Operation::Get, Operation::RangedGet, Operation::Stat, Operation::List];
        match self.operation {
            Operation::Mixed if !reads.into_iter().any(|each| self.mix.has(each)) => 0,
            operation if writes_only(operation) => 0,
            _ => self.objects,
        }
    }

    /// Mean size of an object in bytes.
    pub(crate) fn size_mean(&self) -> u64 {
        self.sizes.mean()
    }

    /// How many keys measured operations may have written so far.
    pub(crate) fn written(&self) -> u64 {
        let written = self.next_written.load(Relaxed);
        self.overwritten.map_or(written, |keys| written.min(keys))
    }

    pub(crate) fn prepared_prefix(&self) -> String {
        format!("{}o/", self.prefix)
    }

    pub(crate) fn prepared_key(&self, index: u64) -> String {
        format!("{}o/{:010}", self.prefix, self.first.saturating_add(index))
    }

    /// The key and the content of a prepared object.
    pub(crate) fn prepared_object(&self, index: u64) -> (String, Content) {
        let key = self.prepared_key(index);
        let content = self.content(&key, self.first.saturating_add(index));
        (key, content)
    }

    pub(crate) fn written_key(&self, index: u64) -> String {
        format!("{}w/{index:010}", self.prefix)
    }

    /// The content of the object with a number, whose key is `key`.
    fn content(&self, key: &str, index: u64) -> Content {
        self.pattern.content(key, self.sizes.pick(scramble(self.seed.wrapping_add(index))))
    }

    /// The next operation, or `None` when there is nothing left to do.
    pub(crate) fn next(&self, choices: &mut Choices) -> Option<Action> {
        let operation = match self.operation {
            Operation::Mixed => self.mix.pick(choices.number()),
            operation => operation,
        };
        match operation {
            Operation::Put => Some(self.write(choices, false)),
            Operation::Multipart => Some(self.write(choices, true)),
            Operation::Delete if self.operation == Operation::Mixed => {
                Some(match choices.written.pop_front() {
                    Some(index) => Action::Delete { key: self.written_key(index) },
                    None => self.write(choices, false),
                })
            }
            Operation::Delete => {
                let index = self.next_deleted.fetch_add(1, Relaxed);
                (index < self.objects).then(|| Action::Delete { key: self.prepared_key(index) })
            }
            Operation::List => Some(self.list(choices)),
            Operation::Get | Operation::RangedGet | Operation::Stat | Operation::Mixed => {
                let index = match self.once {
                    true => self.next_read.fetch_add(1, Relaxed),
                    false => choices.below(self.objects),
                };
                (index < self.objects).then(|| self.read(choices, operation, index))
            }
        }
    }

    fn write(&self, choices: &mut Choices, in_parts: bool) -> Action {
        let index = self.next_written.fetch_add(1, Relaxed);
        let index = self.overwritten.map_or(index, |keys| index % keys);
        if self.operation == Operation::Mixed && choices.written.len() < REMEMBERED_MAX {
            choices.written.push_back(index);
        }
        let key = self.written_key(index);
        let content = self.content(&key, index);
        if in_parts { Action::Multipart { key, content } } else { Action::Put { key, content } }
    }

    fn read(&self, choices: &mut Choices, operation: Operation, index: u64) -> Action {
        let (key, content) = self.prepared_object(index);
        let len = content.len_bytes();
        match operation {
            Operation::Stat => Action::Stat { key, content },
            // An empty object has no range that could be asked for.
            Operation::RangedGet if len > 0 => {
                let wanted = self.range_size.clamp(1, len);
                let first = choices.below(len - wanted + 1);
                Action::RangedGet { key, content, range: first..first + wanted }
            }
            _ => Action::Get { key, content },
        }
    }

    fn list(&self, choices: &mut Choices) -> Action {
        let pages_before_last = self.objects.saturating_sub(PAGE_LEN_MAX);
        let first = choices.below(pages_before_last + 1);
        let expected = first..self.objects.min(first + PAGE_LEN_MAX);
        Action::List { after: first.checked_sub(1), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(arguments: &[&str]) -> Workload {
        Workload::new(&LoadArgs::from_words(arguments.iter().copied()).unwrap())
    }

    fn key(action: Option<Action>) -> String {
        match action {
            Some(Action::Put { key, .. } | Action::Get { key, .. } | Action::Delete { key }) => key,
            other => panic!("no key: {other:?}"),
        }
    }

    #[test]
    fn puts_use_new_keys_unless_told_to_overwrite() {
        let mut choices = Choices::new(1, 0);
        let fresh = workload(&["put"]);
        let keys: Vec<String> = (0..3).map(|_| key(fresh.next(&mut choices))).collect();
        assert_eq!(keys, [0, 1, 2].map(|index| fresh.written_key(index)));
        assert_eq!((fresh.written(), fresh.prepared()), (3, 0));
        let overwriting = workload(&["put", "--objects", "2"]);
        let keys: Vec<String> = (0..3).map(|_| key(overwriting.next(&mut choices))).collect();
        assert_eq!(keys, [0, 1, 0].map(|index| overwriting.written_key(index)));
        assert_eq!(overwriting.written(), 2);
    }

    #[test]
    fn deletes_take_each_prepared_object_once() {
        let workload = workload(&["delete", "--count", "2"]);
        let mut choices = Choices::new(1, 0);
        assert_eq!(workload.prepared(), 2);
        assert_eq!(key(workload.next(&mut choices)), workload.prepared_key(0));
        assert_eq!(key(workload.next(&mut choices)), workload.prepared_key(1));
        assert!(workload.next(&mut choices).is_none());
    }

    #[test]
    fn deletes_in_a_mix_remove_what_the_worker_wrote() {
        let workload = workload(&["mixed", "--mix", "delete=1"]);
        let mut choices = Choices::new(1, 0);
        let (written, deleted) =
            (workload.next(&mut choices).unwrap(), workload.next(&mut choices).unwrap());
        assert_eq!(written.operation(), Operation::Put);
        assert_eq!(deleted.operation(), Operation::Delete);
        assert_eq!(key(Some(written)), key(Some(deleted)));
        assert_eq!(workload.prepared(), 0);
    }

    #[test]
    fn reads_that_happen_once_take_every_object_and_end() {
        let workload = workload(&["get", "--once", "--objects", "3"]);
        let mut choices = Choices::new(1, 0);
        for index in 0..3 {
            assert_eq!(key(workload.next(&mut choices)), workload.prepared_key(index));
        }
        assert!(workload.next(&mut choices).is_none());
    }

    #[test]
    fn ranges_lie_within_their_objects() {
        let workload =
            workload(&["ranged-get", "--size", "1:1,100:1,65537:1", "--range-size", "64"]);
        let mut choices = Choices::new(1, 0);
        for _ in 0..1000 {
            match workload.next(&mut choices) {
                Some(Action::RangedGet { content, range, .. }) => {
                    assert!(range.start < range.end && range.end <= content.len_bytes());
                    assert!(range.end - range.start <= 64);
                }
                other => panic!("no range: {other:?}"),
            }
        }
    }

    #[test]
    fn listings_know_the_page_they_ask_for() {
        let workload = workload(&["list", "--objects", "1500", "--size", "1"]);
        let mut choices = Choices::new(1, 0);
        for _ in 0..1000 {
            match workload.next(&mut choices) {
                Some(Action::List { after, expected }) => {
                    assert_eq!(after.map_or(0, |after| after + 1), expected.start);
                    assert_eq!(expected.end - expected.start, PAGE_LEN_MAX);
                    assert!(expected.end <= 1500);
                }
                other => panic!("no listing: {other:?}"),
            }
        }
    }

    #[test]
    fn objects_numbered_from_elsewhere_are_those_of_the_other_run() {
        let all = workload(&["get", "--objects", "9", "--size", "1:1,5:1,9:1"]);
        let some = workload(&["get", "--objects", "4", "--size", "1:1,5:1,9:1", "--first", "5"]);
        let of = |workload: &Workload, index| {
            let (key, content) = workload.prepared_object(index);
            (key, content.len_bytes())
        };
        for index in 0..4 {
            assert_eq!(of(&some, index), of(&all, index + 5));
        }
    }

    #[test]
    fn workers_with_the_same_seed_choose_differently_but_reproducibly() {
        let numbers = |worker| {
            let mut choices = Choices::new(1, worker);
            [choices.number(), choices.number()]
        };
        assert_eq!(numbers(0), numbers(0));
        assert_ne!(numbers(0), numbers(1));
    }

    #[test]
    fn prepared_objects_fit_into_a_gibibyte() {
        assert_eq!(workload(&["get", "--size", "64MiB"]).prepared(), 16);
        assert_eq!(workload(&["get", "--size", "4KiB"]).prepared(), 1000);
        assert_eq!(workload(&["get", "--size", "1GiB", "--concurrency", "8"]).prepared(), 8);
    }
}
