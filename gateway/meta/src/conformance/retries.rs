//! Outcomes by transaction id.

use super::{Session, absent, add, delete, put};
use crate::{Batch, CommitError, CommitOutcome, Table, TxId};

pub(super) async fn a_retry_gets_the_first_outcome(session: &Session) {
    let batch =
        session.batch(vec![absent(Table::Cur, "a")], vec![put(Table::Cur, "a", ""), add("n", 1)]);
    for _ in 0..3 {
        let outcome = session.store.commit(batch.clone()).await;
        assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
        assert_eq!(session.counter(b"n"), Some(1), "applied once");
    }
}

pub(super) async fn a_failed_guard_is_remembered(session: &Session) {
    session.apply(vec![put(Table::Cur, "a", "")]).await;
    let guards = vec![absent(Table::Cur, "b"), absent(Table::Cur, "a")];
    let batch = session.batch(guards, vec![add("n", 1)]);
    let outcome = session.store.commit(batch.clone()).await;
    assert!(matches!(outcome, Ok(CommitOutcome::GuardFailed { guard_index: 1 })), "{outcome:?}");
    session.apply(vec![delete(Table::Cur, "a")]).await;
    let outcome = session.store.commit(batch).await;
    assert!(matches!(outcome, Ok(CommitOutcome::GuardFailed { guard_index: 1 })), "{outcome:?}");
    assert_eq!(session.counter(b"n"), None);
}

pub(super) async fn a_malformed_batch_is_not_remembered(session: &Session) {
    session.apply(vec![put(Table::Ctr, "n", "text")]).await;
    let batch = session.batch(Vec::new(), vec![add("n", 1)]);
    let outcome = session.store.commit(batch.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
    session.apply(vec![delete(Table::Ctr, "n")]).await;
    let outcome = session.store.commit(batch).await;
    assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    assert_eq!(session.counter(b"n"), Some(1));
}

pub(super) async fn transaction_ids_differ_by_both_halves(session: &Session) {
    let ids = [(0, 0), (0, 1), (1, 0), (u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)];
    for (incarnation, seq) in ids {
        let txid = TxId { incarnation, seq };
        let batch = Batch { txid, guards: Vec::new(), ops: vec![add("n", 1)] };
        let outcome = session.store.commit(batch).await;
        assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    }
    assert_eq!(session.counter(b"n"), Some(6));
}
