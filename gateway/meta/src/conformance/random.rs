//! Generated batches, and engines compared with the model on them.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::task::JoinSet;

use crate::{
    Batch, CommitError, CommitOutcome, Guard, KeyRange, MemoryMetaStore, MetaStore, Op, Row, Table,
    TxId,
};

/// Batches that meet: few keys, few tables, transaction ids that repeat.
pub fn batches(count: usize) -> impl Strategy<Value = Vec<Batch>> {
    vec(batch(), 0..=count)
}

fn batch() -> impl Strategy<Value = Batch> {
    let txid = (0..2_u64, 0..200_u64).prop_map(|(incarnation, seq)| TxId { incarnation, seq });
    let guards = prop_oneof![3 => vec(guard(), 0..2), 1 => vec(guard(), 0..4)];
    (txid, guards, vec(op(), 0..8)).prop_map(|(txid, guards, ops)| Batch { txid, guards, ops })
}

fn table() -> impl Strategy<Value = Table> {
    select(vec![Table::Cur, Table::Ctr, Table::Mf])
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let keys: [&[u8]; 12] = [
        b"",
        b"\0",
        b"a",
        b"a\0",
        b"a\0\xff",
        b"aa",
        b"ab",
        b"b",
        b"c",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
    ];
    select(keys.map(<[u8]>::to_vec).to_vec())
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        key().prop_map(|prefix| KeyRange::prefix(&prefix)),
        (key(), proptest::option::of(key())).prop_map(|(start, end)| KeyRange { start, end }),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..3).prop_map(Bytes::from),
        number().prop_map(|number| Bytes::copy_from_slice(&number.to_be_bytes())),
    ]
}

fn number() -> impl Strategy<Value = i128> {
    prop_oneof![
        8 => -3..=3_i128,
        1 => select(vec![i128::MIN, i128::MIN + 1, i128::MAX - 1, i128::MAX]),
    ]
}

fn guard() -> impl Strategy<Value = Guard> {
    prop_oneof![
        (table(), key()).prop_map(|(table, key)| Guard::Absent { table, key }),
        (table(), key()).prop_map(|(table, key)| Guard::Present { table, key }),
        (table(), key(), value()).prop_map(|(table, key, value)| Guard::Equals {
            table,
            key,
            value
        }),
        (table(), range()).prop_map(|(table, range)| Guard::RangeEmpty { table, range }),
        (key(), number()).prop_map(|(key, limit)| Guard::CounterAtMost {
            table: Table::Ctr,
            key,
            limit
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (table(), key(), value())
            .prop_map(|(table, key, value)| Op::Put { table, key, value }),
        2 => (table(), key()).prop_map(|(table, key)| Op::Delete { table, key }),
        4 => (key(), number())
            .prop_map(|(key, delta)| Op::Add { table: Table::Ctr, key, delta }),
        1 => (table(), range()).prop_map(|(table, range)| Op::DeleteRange { table, range }),
    ]
}

/// What a commit did, comparable between engines.
pub type Answer = Result<CommitOutcome, &'static str>;

fn answer(result: Result<CommitOutcome, CommitError>) -> Answer {
    result.map_err(|error| match error {
        CommitError::Malformed { .. } => "malformed",
        CommitError::Indeterminate { .. } => "indeterminate",
        CommitError::Busy => "busy",
        CommitError::Full => "full",
        CommitError::Unavailable { .. } => "unavailable",
    })
}

/// Commits one batch behind the other.
pub async fn commit_in_turn(store: &dyn MetaStore, batches: &[Batch]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        answers.push(answer(store.commit(batch.clone()).await));
    }
    answers
}

/// Commits all batches at once. On a current-thread runtime they are submitted in order, so an
/// engine that takes commits in the order of submission must give the answers of
/// [`commit_in_turn`], however it groups them.
///
/// # Panics
/// When the engine panics.
pub async fn commit_at_once(store: &Arc<dyn MetaStore>, batches: &[Batch]) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for (index, batch) in batches.iter().cloned().enumerate() {
        let store = Arc::clone(store);
        tasks.spawn(async move { (index, answer(store.commit(batch).await)) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_unstable_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Every row of every table, remembered outcomes included.
///
/// # Panics
/// When the store cannot be read.
pub async fn contents(store: &dyn MetaStore) -> Vec<(Table, Vec<Row>)> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        let rows = store.scan(table, KeyRange::all(), usize::MAX).await;
        tables.push((table, rows.expect("a sound store can be read")));
    }
    tables
}

/// What the model says of `batches`: the answers and the contents behind them.
pub async fn model(batches: &[Batch]) -> (Vec<Answer>, Vec<(Table, Vec<Row>)>) {
    let model = MemoryMetaStore::new();
    let answers = commit_in_turn(&model, batches).await;
    let contents = contents(&model).await;
    (answers, contents)
}
