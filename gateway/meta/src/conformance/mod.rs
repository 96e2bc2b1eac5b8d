//! What every engine must do, as checks that panic with the fact that does not hold.
//!
//! [`check_all`] runs every named check on a fresh store; [`random`] compares an engine with the
//! model on generated batches. Test support: assertions are the point, so nothing here returns
//! errors.

mod concurrency;
mod guards;
mod ops;
pub mod random;
mod reads;
mod retries;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::{Batch, CommitError, CommitOutcome, Guard, KeyRange, MetaStore, Op, Row, Table, TxId};

/// Runs every check, each on a store of its own made by `new_store`. Needs a tokio runtime.
///
/// # Panics
/// When a check fails.
pub async fn check_all<F>(new_store: F)
where
    F: AsyncFn() -> Arc<dyn MetaStore>,
{
    macro_rules! run {
        ($($module:ident::$check:ident),* $(,)?) => {$(
            $module::$check(&Session::new(new_store().await)).await;
        )*};
    }
    run!(
        guards::absent_and_present_tell_rows_apart,
        guards::equals_compares_whole_values,
        guards::range_empty_sees_exactly_the_range,
        guards::counter_at_most_counts_the_batch_in,
        guards::the_first_failing_guard_is_named,
        guards::a_failed_guard_changes_nothing,
        guards::guards_see_the_state_before_the_batch,
        ops::ops_apply_in_order,
        ops::empty_keys_and_values_are_rows,
        ops::adds_accumulate_and_zero_stays,
        ops::adds_see_earlier_ops_of_the_batch,
        ops::counters_reach_both_ends_of_i128,
        ops::a_malformed_batch_changes_nothing,
        ops::delete_range_takes_exactly_the_range,
        ops::delete_range_without_end_takes_the_rest,
        ops::delete_range_of_many_rows_leaves_the_neighbours,
        ops::prefixes_of_0xff_are_ranges,
        ops::tables_do_not_share_rows,
        ops::the_tx_table_is_out_of_reach,
        retries::a_retry_gets_the_first_outcome,
        retries::a_failed_guard_is_remembered,
        retries::a_malformed_batch_is_not_remembered,
        retries::transaction_ids_differ_by_both_halves,
        reads::scan_keeps_order_bounds_and_limit,
        reads::cursor_walks_and_seeks_within_its_range,
        reads::a_snapshot_stands_still,
        reads::a_snapshot_can_move_to_another_thread,
        reads::a_read_sees_every_answered_commit,
        concurrency::a_quota_is_never_exceeded,
        concurrency::one_of_many_creators_wins,
        concurrency::concurrent_adds_are_all_counted,
        concurrency::a_range_is_emptied_and_found_empty_at_once,
        concurrency::concurrent_retries_agree,
    );
}

/// A store and a source of transaction ids.
struct Session {
    store: Arc<dyn MetaStore>,
    seq: AtomicU64,
}

/// The incarnation that sessions commit under.
const INCARNATION: u64 = 7;

impl Session {
    fn new(store: Arc<dyn MetaStore>) -> Self {
        Self { store, seq: AtomicU64::new(0) }
    }

    fn batch(&self, guards: Vec<Guard>, ops: Vec<Op>) -> Batch {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        Batch { txid: TxId { incarnation: INCARNATION, seq }, guards, ops }
    }

    async fn commit(&self, guards: Vec<Guard>, ops: Vec<Op>) -> Result<CommitOutcome, CommitError> {
        self.store.commit(self.batch(guards, ops)).await
    }

    /// Commits ops that must apply.
    async fn apply(&self, ops: Vec<Op>) {
        let outcome = self.commit(Vec::new(), ops).await;
        assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    }

    /// Whether a batch with `guard` and no ops applies.
    async fn holds(&self, guard: Guard) -> bool {
        match self.commit(vec![guard.clone()], Vec::new()).await {
            Ok(CommitOutcome::Applied) => true,
            Ok(CommitOutcome::GuardFailed { guard_index: 0 }) => false,
            other => panic!("{guard:?}: {other:?}"),
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.store.get(table, key).expect("a sound store can be read")
    }

    fn counter(&self, key: &[u8]) -> Option<i128> {
        let value = self.get(Table::Ctr, key)?;
        Some(crate::key::decode_counter(&value).expect("a counter has 16 bytes"))
    }

    async fn rows(&self, table: Table, range: KeyRange) -> Vec<Row> {
        self.store.scan(table, range, usize::MAX).await.expect("a sound store can be read")
    }

    async fn keys(&self, table: Table) -> Vec<Bytes> {
        self.rows(table, KeyRange::all()).await.into_iter().map(|(key, _)| key).collect()
    }
}

fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
    let value = Bytes::copy_from_slice(value.as_ref());
    Op::Put { table, key: key.as_ref().to_vec(), value }
}

fn delete(table: Table, key: impl AsRef<[u8]>) -> Op {
    Op::Delete { table, key: key.as_ref().to_vec() }
}

fn add(key: impl AsRef<[u8]>, delta: i128) -> Op {
    Op::Add { table: Table::Ctr, key: key.as_ref().to_vec(), delta }
}

fn delete_range(table: Table, start: impl AsRef<[u8]>, end: Option<&[u8]>) -> Op {
    Op::DeleteRange { table, range: range(start, end) }
}

fn range(start: impl AsRef<[u8]>, end: Option<&[u8]>) -> KeyRange {
    KeyRange { start: start.as_ref().to_vec(), end: end.map(<[u8]>::to_vec) }
}

fn absent(table: Table, key: impl AsRef<[u8]>) -> Guard {
    Guard::Absent { table, key: key.as_ref().to_vec() }
}

fn present(table: Table, key: impl AsRef<[u8]>) -> Guard {
    Guard::Present { table, key: key.as_ref().to_vec() }
}

fn at_most(key: impl AsRef<[u8]>, limit: i128) -> Guard {
    Guard::CounterAtMost { table: Table::Ctr, key: key.as_ref().to_vec(), limit }
}
