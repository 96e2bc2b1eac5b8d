//! The metadata contract.

use async_trait::async_trait;
use bytes::Bytes;

use crate::Table;

/// Names one commit attempt: `gateway incarnation · sequence`, unique for ever. Retrying a batch
/// under the same id returns the first attempt's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId {
    /// The gateway incarnation, unique per process start.
    pub incarnation: u64,
    /// Grows within the incarnation.
    pub seq: u64,
}

/// A half-open range of keys, `start <= key < end`; no `end` means to the table's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First key in the range.
    pub start: Vec<u8>,
    /// First key behind the range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys that start with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: prefix_end(prefix) }
    }

    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether no key at all can be in the range, because it ends where or before it starts.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The smallest key greater than every key that starts with `prefix`, if there is one.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A condition on the state before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// No row under the key.
    Absent {
        /// Table of the row.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// Some row under the key.
    Present {
        /// Table of the row.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// Exactly this row under the key. Rows carry ids that are never reused, so equal bytes mean
    /// an unchanged row.
    Equals {
        /// Table of the row.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
        /// The expected value.
        value: Bytes,
    },
    /// No row in the range.
    RangeEmpty {
        /// Table of the range.
        table: Table,
        /// The range.
        range: KeyRange,
    },
    /// The counter, with this batch's own [`Op::Add`]s applied, does not exceed `limit`.
    CounterAtMost {
        /// Table of the counter.
        table: Table,
        /// Key of the counter.
        key: Vec<u8>,
        /// Largest value allowed.
        limit: i128,
    },
}

/// A change. Ops of a batch apply in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Inserts or replaces a row.
    Put {
        /// Table of the row.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
        /// The new value.
        value: Bytes,
    },
    /// Removes a row; a missing row is fine.
    Delete {
        /// Table of the row.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// Adds to a counter. A missing counter is zero; a counter that becomes zero stays as a row.
    Add {
        /// Table of the counter.
        table: Table,
        /// Key of the counter.
        key: Vec<u8>,
        /// What to add.
        delta: i128,
    },
    /// Removes every row in the range.
    DeleteRange {
        /// Table of the range.
        table: Table,
        /// The range.
        range: KeyRange,
    },
}

/// Guards and ops that happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Names the attempt.
    pub txid: TxId,
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Applied in order when they do.
    pub ops: Vec<Op>,
}

/// What a commit did. Remembered by [`TxId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Applied and durable.
    Applied,
    /// Nothing changed: this guard did not hold.
    GuardFailed {
        /// Index into [`Batch::guards`] of the first guard that failed.
        guard_index: usize,
    },
}

/// Why a commit has no known outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed while committing; the batch may or may not have been applied. Retry with
    /// the same [`TxId`] once the store is back.
    #[error("outcome of the commit is unknown: {reason}")]
    Indeterminate {
        /// What failed, for the log.
        reason: String,
    },
    /// Nothing was applied: too many commits wait. Retry later.
    #[error("the metadata store is busy")]
    Busy,
    /// Nothing was applied: the medium is full. Deletes of data may still make room.
    #[error("the metadata store is out of space")]
    Full,
    /// Nothing was applied: the batch is malformed (an `Add` on a row that is no counter).
    #[error("malformed batch: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing was applied: the store is closed or failed earlier and needs a restart.
    #[error("the metadata store is unavailable: {reason}")]
    Unavailable {
        /// What happened, for the log.
        reason: String,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The medium failed or returned damaged bytes.
    #[error("metadata cannot be read: {reason}")]
    Io {
        /// What happened, for the log.
        reason: String,
    },
}

/// A key and its value.
pub type Row = (Bytes, Bytes);

/// A consistent view of all tables. Blocking: use it on a worker thread.
pub trait MetaSnapshot: Send + Sync {
    /// Reads one row.
    ///
    /// # Errors
    /// [`ReadError`] when the medium fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// Walks a range in ascending order.
    fn cursor(&self, table: Table, range: KeyRange) -> Box<dyn Cursor + '_>;
}

/// An ascending walk over a key range.
pub trait Cursor {
    /// The next row, or `None` at the end of the range.
    ///
    /// # Errors
    /// [`ReadError`] when the medium fails.
    fn next(&mut self) -> Result<Option<Row>, ReadError>;

    /// Jumps so that [`Self::next`] returns the first row at or after `key`. Costs the same
    /// however many rows lie between. Never leaves the range; may jump backwards.
    fn seek(&mut self, key: &[u8]);
}

/// The metadata store of one cluster.
///
/// *Consistency:* commits are linearizable; a read sees every commit acknowledged before it.
/// *Cancellation:* dropping a `commit` future abandons the answer, not the effect.
/// *Crash consistency:* `Applied` means durable; a batch is never half-applied.
#[async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// Applies `batch` if all its guards hold.
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, CommitError>;

    /// Reads one row. Point reads may touch the disk but do not leave the calling thread.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// Up to `limit` rows of `range`, ascending, read on a worker thread.
    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError>;

    /// A consistent view of now. Holding it for long keeps deleted rows on disk.
    fn snapshot(&self) -> Box<dyn MetaSnapshot>;
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0x00), Just(0xfe), Just(0xff), any::<u8>()], 0..5)
    }

    proptest! {
        #[test]
        fn a_prefix_range_holds_exactly_what_starts_with_it(prefix in bytes(), key in bytes()) {
            let range = KeyRange::prefix(&prefix);
            prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
            prop_assert!(range.contains(&[&prefix[..], &key].concat()));
            prop_assert!(!range.is_void());
        }

        #[test]
        fn a_void_range_holds_nothing(start in bytes(), end in bytes(), key in bytes()) {
            let range = KeyRange { start, end: Some(end) };
            prop_assert!(!(range.is_void() && range.contains(&key)));
            prop_assert_eq!(range.is_void(), !range.contains(&range.start));
        }
    }

    #[test]
    fn prefixes_end_behind_their_last_byte_that_can_grow() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
