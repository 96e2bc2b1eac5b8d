//! Guards.

use bytes::Bytes;

use super::{Session, absent, add, at_most, present, put, range};
use crate::{CommitError, CommitOutcome, Guard, Table};

pub(super) async fn absent_and_present_tell_rows_apart(session: &Session) {
    session.apply(vec![put(Table::Cur, "there", ""), put(Table::Ver, "other table", "")]).await;
    for (key, is_there) in
        [("there", true), ("ther", false), ("there ", false), ("other table", false)]
    {
        assert_eq!(session.holds(present(Table::Cur, key)).await, is_there, "{key}");
        assert_eq!(session.holds(absent(Table::Cur, key)).await, !is_there, "{key}");
    }
}

pub(super) async fn equals_compares_whole_values(session: &Session) {
    session.apply(vec![put(Table::Ctl, "row", "value")]).await;
    for (key, value, equal) in [
        ("row", "value", true),
        ("row", "valu", false),
        ("row", "value ", false),
        ("row", "", false),
        ("no row", "", false),
    ] {
        let value = Bytes::from_static(value.as_bytes());
        let guard = Guard::Equals { table: Table::Ctl, key: key.into(), value };
        assert_eq!(session.holds(guard).await, equal, "{key}");
    }
}

pub(super) async fn range_empty_sees_exactly_the_range(session: &Session) {
    session.apply(vec![put(Table::Cur, "b", "1"), put(Table::Cur, "d", "2")]).await;
    let cases: [(&str, Option<&str>, bool); 10] = [
        ("", None, false),
        ("a", Some("b"), true),
        ("a", Some("b\0"), false),
        ("b", Some("c"), false),
        ("b\0", Some("d"), true),
        ("c", None, false),
        ("d", None, false),
        ("d\0", None, true),
        ("b", Some("b"), true),
        ("d", Some("b"), true),
    ];
    for (start, end, empty) in cases {
        let range = range(start, end.map(str::as_bytes));
        let guard = Guard::RangeEmpty { table: Table::Cur, range };
        assert_eq!(session.holds(guard).await, empty, "{start:?}..{end:?}");
        let elsewhere = Guard::RangeEmpty {
            table: Table::Ver,
            range: super::range(start, end.map(str::as_bytes)),
        };
        assert!(session.holds(elsewhere).await, "{start:?}..{end:?} of an empty table");
    }
}

pub(super) async fn counter_at_most_counts_the_batch_in(session: &Session) {
    assert!(session.holds(at_most("none", 0)).await);
    assert!(!session.holds(at_most("none", -1)).await);
    let outcome = session.commit(vec![at_most("quota", 10)], vec![add("quota", 6)]).await;
    assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    let outcome =
        session.commit(vec![at_most("quota", 10)], vec![add("quota", 3), add("quota", 2)]).await;
    assert!(matches!(outcome, Ok(CommitOutcome::GuardFailed { guard_index: 0 })), "{outcome:?}");
    assert_eq!(session.counter(b"quota"), Some(6));
    let outcome = session
        .commit(vec![at_most("quota", 10)], vec![add("quota", 2), add("quota", 2), add("other", 9)])
        .await;
    assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    assert_eq!(session.counter(b"quota"), Some(10));

    session.apply(vec![put(Table::Ctr, "no counter", "seven b")]).await;
    let outcome = session.commit(vec![at_most("no counter", 0)], Vec::new()).await;
    assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
}

pub(super) async fn the_first_failing_guard_is_named(session: &Session) {
    session.apply(vec![put(Table::Cur, "a", "")]).await;
    let guards = vec![
        present(Table::Cur, "a"),
        absent(Table::Cur, "b"),
        present(Table::Cur, "c"),
        absent(Table::Cur, "a"),
    ];
    let outcome = session.commit(guards, vec![put(Table::Cur, "d", "")]).await;
    assert!(matches!(outcome, Ok(CommitOutcome::GuardFailed { guard_index: 2 })), "{outcome:?}");
}

pub(super) async fn a_failed_guard_changes_nothing(session: &Session) {
    session.apply(vec![put(Table::Cur, "kept", "old"), add("kept", 1)]).await;
    let ops = vec![
        put(Table::Cur, "kept", "new"),
        put(Table::Cur, "more", ""),
        add("kept", 1),
        super::delete_range(Table::Ctr, "", None),
    ];
    let outcome = session.commit(vec![absent(Table::Cur, "kept")], ops).await;
    assert!(matches!(outcome, Ok(CommitOutcome::GuardFailed { guard_index: 0 })), "{outcome:?}");
    assert_eq!(session.get(Table::Cur, b"kept").as_deref(), Some(&b"old"[..]));
    assert_eq!(session.get(Table::Cur, b"more"), None);
    assert_eq!(session.counter(b"kept"), Some(1));
}

pub(super) async fn guards_see_the_state_before_the_batch(session: &Session) {
    let guards = vec![absent(Table::Cur, "a")];
    let outcome = session.commit(guards, vec![put(Table::Cur, "a", "")]).await;
    assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    let guards = vec![present(Table::Cur, "a")];
    let outcome = session.commit(guards, vec![super::delete(Table::Cur, "a")]).await;
    assert!(matches!(outcome, Ok(CommitOutcome::Applied)), "{outcome:?}");
    assert!(session.holds(absent(Table::Cur, "a")).await);
}
