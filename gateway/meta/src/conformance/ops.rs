//! Ops.

use bytes::Bytes;

use super::{Session, add, delete, delete_range, put, range};
use crate::{CommitError, KeyRange, Op, Table};

pub(super) async fn ops_apply_in_order(session: &Session) {
    session
        .apply(vec![
            put(Table::Cur, "a", "1"),
            put(Table::Cur, "a", "2"),
            put(Table::Cur, "b", "1"),
            delete(Table::Cur, "b"),
            delete(Table::Cur, "c"),
            put(Table::Cur, "c", "1"),
            put(Table::Cur, "d1", "1"),
            delete_range(Table::Cur, "d", Some(b"e")),
            put(Table::Cur, "d2", "1"),
        ])
        .await;
    assert_eq!(session.keys(Table::Cur).await, ["a", "c", "d2"]);
    assert_eq!(session.get(Table::Cur, b"a").as_deref(), Some(&b"2"[..]));
    session.apply(vec![delete(Table::Cur, "missing"), delete(Table::Cur, "a")]).await;
    assert_eq!(session.keys(Table::Cur).await, ["c", "d2"]);
}

pub(super) async fn empty_keys_and_values_are_rows(session: &Session) {
    assert_eq!(session.get(Table::Inl, b""), None);
    session.apply(vec![put(Table::Inl, "", "")]).await;
    assert_eq!(session.get(Table::Inl, b""), Some(Bytes::new()));
    assert_eq!(session.keys(Table::Inl).await, [""]);
    session.apply(vec![put(Table::Inl, "", "value")]).await;
    assert_eq!(session.get(Table::Inl, b"").as_deref(), Some(&b"value"[..]));
    session.apply(vec![delete(Table::Inl, "")]).await;
    assert_eq!(session.get(Table::Inl, b""), None);
}

pub(super) async fn adds_accumulate_and_zero_stays(session: &Session) {
    session.apply(vec![add("n", 5), add("n", -2)]).await;
    session.apply(vec![add("n", -4)]).await;
    assert_eq!(session.counter(b"n"), Some(-1));
    assert_eq!(
        session.get(Table::Ctr, b"n").as_deref(),
        Some(&[0xff; 16][..]),
        "counters are 16 bytes, two's complement"
    );
    session.apply(vec![add("n", 1), add("zero", 0)]).await;
    assert_eq!(session.counter(b"n"), Some(0), "a counter that becomes zero stays");
    assert_eq!(session.counter(b"zero"), Some(0));
}

pub(super) async fn adds_see_earlier_ops_of_the_batch(session: &Session) {
    let hundred = 100_i128.to_be_bytes();
    session.apply(["put", "delete", "range", "again"].map(|key| add(key, 7)).to_vec()).await;
    session
        .apply(vec![
            put(Table::Ctr, "put", hundred),
            add("put", 1),
            delete(Table::Ctr, "delete"),
            add("delete", 1),
            delete_range(Table::Ctr, "r", Some(b"s")),
            add("range", 1),
            add("again", 1),
            put(Table::Ctr, "again", hundred),
            add("again", 1),
            delete_range(Table::Ctr, "a", Some(b"b")),
            add("again", 1),
            add("again", 1),
        ])
        .await;
    let counters = [("put", 101), ("delete", 1), ("range", 1), ("again", 2)];
    for (key, value) in counters {
        assert_eq!(session.counter(key.as_bytes()), Some(value), "{key}");
    }
}

pub(super) async fn counters_reach_both_ends_of_i128(session: &Session) {
    session.apply(vec![add("high", i128::MAX), add("low", i128::MIN)]).await;
    assert_eq!(session.counter(b"high"), Some(i128::MAX));
    assert_eq!(session.counter(b"low"), Some(i128::MIN));
    for op in [add("high", 1), add("low", -1)] {
        let outcome = session.commit(Vec::new(), vec![op]).await;
        assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
    }
    session.apply(vec![add("high", i128::MIN), add("low", i128::MAX)]).await;
    assert_eq!(session.counter(b"high"), Some(-1));
    assert_eq!(session.counter(b"low"), Some(-1));
}

pub(super) async fn a_malformed_batch_changes_nothing(session: &Session) {
    session.apply(vec![put(Table::Ctr, "short", [0; 15]), put(Table::Ctr, "long", [0; 17])]).await;
    for key in ["short", "long"] {
        let ops = vec![put(Table::Cur, "a", ""), add("n", 1), add(key, 1)];
        let outcome = session.commit(Vec::new(), ops).await;
        assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
        assert_eq!(session.get(Table::Cur, b"a"), None);
        assert_eq!(session.counter(b"n"), None);
    }
    let ops = vec![
        put(Table::Cur, "x", "text"),
        Op::Add { table: Table::Cur, key: b"x".into(), delta: 1 },
    ];
    let outcome = session.commit(Vec::new(), ops).await;
    assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
    assert_eq!(session.get(Table::Cur, b"x"), None);
}

pub(super) async fn delete_range_takes_exactly_the_range(session: &Session) {
    let keys = ["a", "b", "b\0", "c", "d"];
    session.apply(keys.map(|key| put(Table::Mf, key, key)).to_vec()).await;
    session.apply(vec![put(Table::Inl, "b", "")]).await;
    session.apply(vec![delete_range(Table::Mf, "d", Some(b"a"))]).await;
    session.apply(vec![delete_range(Table::Mf, "b", Some(b"b"))]).await;
    assert_eq!(session.keys(Table::Mf).await, keys, "void ranges hold nothing");
    session.apply(vec![delete_range(Table::Mf, "b", Some(b"c"))]).await;
    assert_eq!(session.keys(Table::Mf).await, ["a", "c", "d"]);
    assert_eq!(session.keys(Table::Inl).await, ["b"]);
}

pub(super) async fn delete_range_without_end_takes_the_rest(session: &Session) {
    let last = [0xff; 40];
    session
        .apply(vec![
            put(Table::Part, "a", ""),
            put(Table::Part, "b", ""),
            put(Table::Part, [0xff], ""),
            put(Table::Part, last, ""),
        ])
        .await;
    session
        .apply(vec![put(Table::Part, [0xff; 41], ""), delete_range(Table::Part, "b", None)])
        .await;
    assert_eq!(session.keys(Table::Part).await, ["a"]);
    session.apply(vec![delete_range(Table::Part, "b", None)]).await;
    session.apply(vec![delete_range(Table::Part, "", None)]).await;
    assert!(session.keys(Table::Part).await.is_empty());
}

/// Enough rows that an engine with a faster way for large ranges takes it.
pub(super) async fn delete_range_of_many_rows_leaves_the_neighbours(session: &Session) {
    for (end, behind) in [(Some(&b"n"[..]), "mzzz"), (None, "z")] {
        let rows = (0..3000).map(|n| put(Table::Gcq, format!("m{n:05}"), "value"));
        session
            .apply(rows.chain([put(Table::Gcq, "l", ""), put(Table::Gcq, "n", "")]).collect())
            .await;
        session
            .apply(vec![
                put(Table::Gcq, "m", ""),
                put(Table::Gcq, "mzz", ""),
                put(Table::Gcq, behind, ""),
                delete_range(Table::Gcq, "m", end),
                put(Table::Gcq, "m1", ""),
            ])
            .await;
        let left: &[&str] = if end.is_some() { &["l", "m1", "n"] } else { &["l", "m1"] };
        assert_eq!(session.keys(Table::Gcq).await, left);
    }
}

pub(super) async fn prefixes_of_0xff_are_ranges(session: &Session) {
    let keys: [&[u8]; 6] =
        [b"\xfe", b"\xfe\xff", b"\xff", b"\xff\x00", b"\xff\xff", b"\xff\xff\x01"];
    session.apply(keys.map(|key| put(Table::Cur, key, "")).to_vec()).await;
    for prefix in [&b""[..], b"\xfe", b"\xfe\xff", b"\xff", b"\xff\xff", b"\xff\xff\xff"] {
        let found: Vec<_> = session.rows(Table::Cur, KeyRange::prefix(prefix)).await;
        let found: Vec<_> = found.iter().map(|(key, _)| key.as_ref()).collect();
        let expected: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(found, expected, "{prefix:x?}");
    }
    session
        .apply(vec![Op::DeleteRange { table: Table::Cur, range: KeyRange::prefix(b"\xff\xff") }])
        .await;
    assert_eq!(session.keys(Table::Cur).await, keys[..4]);
}

pub(super) async fn tables_do_not_share_rows(session: &Session) {
    let tables = Table::ALL.into_iter().filter(|table| *table != Table::Tx);
    session.apply(tables.clone().map(|table| put(table, "key", table.name())).collect()).await;
    for table in tables {
        let row = (Bytes::from("key"), Bytes::from(table.name()));
        assert_eq!(session.rows(table, range("", None)).await, [row]);
    }
}

pub(super) async fn the_tx_table_is_out_of_reach(session: &Session) {
    let ops = [put(Table::Tx, "n", ""), delete(Table::Tx, "n"), delete_range(Table::Tx, "", None)];
    for op in ops {
        let outcome = session.commit(Vec::new(), vec![put(Table::Cur, "a", ""), op]).await;
        assert!(matches!(outcome, Err(CommitError::Malformed { .. })), "{outcome:?}");
    }
    assert_eq!(session.get(Table::Cur, b"a"), None);
}
