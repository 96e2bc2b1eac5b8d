//! Many commits at once. Engines that group commits judge these against changes not yet written.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Session, absent, add, at_most, delete_range, put, range};
use crate::{Batch, CommitError, CommitOutcome, Guard, Table};

/// Commits under way at once.
const WRITERS: usize = 64;

/// Commits all batches at once; outcomes in the order of the batches.
async fn all_at_once(session: &Session, batches: Vec<Batch>) -> Vec<CommitOutcome> {
    let mut tasks = JoinSet::new();
    for (index, batch) in batches.into_iter().enumerate() {
        let store = Arc::clone(&session.store);
        tasks.spawn(async move { (index, patiently(&*store, batch).await) });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

async fn patiently(store: &dyn crate::MetaStore, batch: Batch) -> CommitOutcome {
    loop {
        match store.commit(batch.clone()).await {
            Ok(outcome) => return outcome,
            Err(CommitError::Busy) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn applied(outcomes: &[CommitOutcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == CommitOutcome::Applied).count()
}

pub(super) async fn a_quota_is_never_exceeded(session: &Session) {
    let batches = (0..WRITERS).map(|n| {
        let ops = vec![add("quota", 3), put(Table::Cur, format!("{n:03}"), "")];
        session.batch(vec![at_most("quota", 100)], ops)
    });
    let outcomes = all_at_once(session, batches.collect()).await;
    assert_eq!(applied(&outcomes), 33, "as many as fit, no more and no fewer");
    assert_eq!(session.counter(b"quota"), Some(99));
    assert_eq!(session.keys(Table::Cur).await.len(), 33);
}

pub(super) async fn one_of_many_creators_wins(session: &Session) {
    let batches = (0..WRITERS).map(|n| {
        session.batch(vec![absent(Table::Cur, "key")], vec![put(Table::Cur, "key", n.to_string())])
    });
    let outcomes = all_at_once(session, batches.collect()).await;
    assert_eq!(applied(&outcomes), 1);
    let winner = outcomes.iter().position(|outcome| *outcome == CommitOutcome::Applied);
    let value = session.get(Table::Cur, b"key").expect("one creator won");
    assert_eq!(value, winner.expect("one creator won").to_string());
}

pub(super) async fn concurrent_adds_are_all_counted(session: &Session) {
    let batches = (0..10 * WRITERS).map(|n| {
        session.batch(Vec::new(), vec![add("sum", n as i128), add("count", 1), add("sum", 1)])
    });
    let outcomes = all_at_once(session, batches.collect()).await;
    let count = 10 * WRITERS as i128;
    assert_eq!(applied(&outcomes), 10 * WRITERS);
    assert_eq!(session.counter(b"count"), Some(count));
    assert_eq!(session.counter(b"sum"), Some(count * (count - 1) / 2 + count));
}

/// Half of the batches fill a range and guard that it is empty, the other half empty it. Whoever
/// finds it empty must have come behind a deletion, so fills never pile up.
pub(super) async fn a_range_is_emptied_and_found_empty_at_once(session: &Session) {
    for round in 0..5 {
        let cleared = vec![delete_range(Table::Mpu, "", None), delete_range(Table::Ctr, "", None)];
        session.apply(cleared).await;
        let batches = (0..WRITERS).map(|n| {
            if n % 2 == 0 {
                let empty = Guard::RangeEmpty { table: Table::Mpu, range: range("m", Some(b"n")) };
                let ops = vec![
                    put(Table::Mpu, format!("m{round}.{n}"), ""),
                    put(Table::Mpu, format!("m{round}.{n}.2"), ""),
                    add("level", 1),
                ];
                session.batch(vec![empty, at_most("level", 1)], ops)
            } else {
                let level = vec![
                    delete_range(Table::Mpu, "m", Some(b"n")),
                    delete_range(Table::Ctr, "level", Some(b"levem")),
                ];
                session.batch(Vec::new(), level)
            }
        });
        let outcomes = all_at_once(session, batches.collect()).await;
        assert!(
            !outcomes.contains(&CommitOutcome::GuardFailed { guard_index: 1 }),
            "an empty range goes with a cleared counter"
        );
        assert!(applied(&outcomes) > WRITERS / 2, "someone found the range empty");
        let left = session.rows(Table::Mpu, range("", None)).await.len();
        assert!(left == 0 || left == 2, "{left} rows of several fills are left");
    }
}

pub(super) async fn concurrent_retries_agree(session: &Session) {
    let batch = session
        .batch(vec![absent(Table::Cur, "once")], vec![put(Table::Cur, "once", ""), add("once", 1)]);
    let outcomes = all_at_once(session, vec![batch; WRITERS]).await;
    assert_eq!(applied(&outcomes), WRITERS, "every retry gets the first outcome");
    assert_eq!(session.counter(b"once"), Some(1));
}
