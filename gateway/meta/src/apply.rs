//! What a batch does to a state: guard evaluation and op expansion, shared by every engine.
//!
//! Invariants:
//! - pure: the verdict depends on the [`View`] and the batch alone, so replicas that apply the same
//!   batches in the same order agree;
//! - guards see the state before the batch; an [`Op::Add`] sees the batch's earlier ops;
//! - a batch is judged as a whole before anything of it is handed out: a rejected batch yields no
//!   changes.
//!
//! Deliberately absent: durability, remembered outcomes (see `ledger`), free space.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Batch, CommitOutcome, Guard, KeyRange, Op, ReadError, Table, key};

/// A state that batches are judged against.
pub(crate) trait View {
    /// The row under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// The smallest key of a row in `range`.
    fn first_key(&self, table: Table, range: &KeyRange) -> Result<Option<Vec<u8>>, ReadError>;
}

/// An op with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Inserts or replaces a row.
    Put { table: Table, key: Vec<u8>, value: Bytes },
    /// Removes a row, if it is there.
    Delete { table: Table, key: Vec<u8> },
    /// Removes every row in the range.
    DeleteRange { table: Table, range: KeyRange },
}

/// What a judged batch does. Without changes unless the outcome is `Applied`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) outcome: CommitOutcome,
    pub(crate) changes: Vec<Change>,
}

/// Why a batch has no outcome. Nothing is remembered of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    /// The batch makes no sense in this state.
    #[error("{reason}")]
    Malformed { reason: String },
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Judges `batch` against `view`.
pub(crate) fn apply(view: &impl View, batch: Batch) -> Result<Applied, Rejection> {
    if batch.ops.iter().any(|op| table_of(op) == Table::Tx) {
        return Err(Rejection::Malformed { reason: "the tx table belongs to engines".to_owned() });
    }
    for (guard_index, guard) in batch.guards.iter().enumerate() {
        if !holds(view, guard, &batch.ops)? {
            let outcome = CommitOutcome::GuardFailed { guard_index };
            return Ok(Applied { outcome, changes: Vec::new() });
        }
    }
    let sums = sums(view, &batch.ops)?;
    Ok(Applied { outcome: CommitOutcome::Applied, changes: expand(batch.ops, sums) })
}

fn table_of(op: &Op) -> Table {
    match op {
        Op::Put { table, .. }
        | Op::Delete { table, .. }
        | Op::Add { table, .. }
        | Op::DeleteRange { table, .. } => *table,
    }
}

fn holds(view: &impl View, guard: &Guard, ops: &[Op]) -> Result<bool, Rejection> {
    Ok(match guard {
        Guard::Absent { table, key } => view.get(*table, key)?.is_none(),
        Guard::Present { table, key } => view.get(*table, key)?.is_some(),
        Guard::Equals { table, key, value } => view.get(*table, key)?.as_ref() == Some(value),
        Guard::RangeEmpty { table, range } => view.first_key(*table, range)?.is_none(),
        Guard::CounterAtMost { table, key, limit } => {
            let mut value = counter(view.get(*table, key)?.as_ref())?;
            for op in ops {
                if let Op::Add { table: of, key: name, delta } = op
                    && of == table
                    && name == key
                {
                    value = add(value, *delta)?;
                }
            }
            value <= *limit
        }
    })
}

fn counter(row: Option<&Bytes>) -> Result<i128, Rejection> {
    let Some(value) = row else { return Ok(0) };
    key::decode_counter(value).ok_or_else(|| Rejection::Malformed {
        reason: format!("a row of {} bytes is no counter", value.len()),
    })
}

fn add(value: i128, delta: i128) -> Result<i128, Rejection> {
    value
        .checked_add(delta)
        .ok_or_else(|| Rejection::Malformed { reason: "a counter would overflow".to_owned() })
}

/// What the batch's earlier ops made of a row.
enum Own<'a> {
    Value(&'a Bytes),
    Sum(i128),
    Gone,
}

/// The value that each [`Op::Add`] leaves behind, in op order.
fn sums(view: &impl View, ops: &[Op]) -> Result<Vec<i128>, Rejection> {
    if !ops.iter().any(|op| matches!(op, Op::Add { .. })) {
        return Ok(Vec::new());
    }
    let mut sums = Vec::new();
    let mut rows: HashMap<(Table, &[u8]), Own<'_>> = HashMap::new();
    let mut cleared: Vec<(Table, &KeyRange)> = Vec::new();
    for op in ops {
        match op {
            Op::Put { table, key, value } => {
                rows.insert((*table, key), Own::Value(value));
            }
            Op::Delete { table, key } => {
                rows.insert((*table, key), Own::Gone);
            }
            Op::DeleteRange { table, range } => {
                rows.retain(|(of, key), _| of != table || !range.contains(key));
                cleared.push((*table, range));
            }
            Op::Add { table, key, delta } => {
                let before = match rows.get(&(*table, key.as_slice())) {
                    Some(Own::Value(value)) => counter(Some(value))?,
                    Some(Own::Sum(sum)) => *sum,
                    Some(Own::Gone) => 0,
                    None if cleared
                        .iter()
                        .any(|(of, range)| of == table && range.contains(key)) =>
                    {
                        0
                    }
                    None => counter(view.get(*table, key)?.as_ref())?,
                };
                let sum = add(before, *delta)?;
                rows.insert((*table, key), Own::Sum(sum));
                sums.push(sum);
            }
        }
    }
    Ok(sums)
}

fn expand(ops: Vec<Op>, sums: Vec<i128>) -> Vec<Change> {
    let mut sums = sums.into_iter();
    ops.into_iter()
        .map(|op| match op {
            Op::Put { table, key, value } => Change::Put { table, key, value },
            Op::Delete { table, key } => Change::Delete { table, key },
            Op::Add { table, key, .. } => {
                let sum = sums.next().expect("every add was summed");
                let value = Bytes::copy_from_slice(&sum.to_be_bytes());
                Change::Put { table, key, value }
            }
            Op::DeleteRange { table, range } => Change::DeleteRange { table, range },
        })
        .collect()
}
