//! Scans, cursors, snapshots.

use bytes::Bytes;

use super::{Session, delete_range, put, range};
use crate::{Cursor, KeyRange, MetaSnapshot, Row, Table};

fn row(key: &'static str) -> Row {
    (Bytes::from(key), Bytes::from(key))
}

async fn fill(session: &Session, keys: &[&str]) {
    session.apply(keys.iter().map(|key| put(Table::Cur, key, key)).collect()).await;
}

fn next(cursor: &mut dyn Cursor) -> Option<Row> {
    cursor.next().expect("a sound store can be read")
}

pub(super) async fn scan_keeps_order_bounds_and_limit(session: &Session) {
    fill(session, &["d", "b", "a", "c", "b\0"]).await;
    let all = ["a", "b", "b\0", "c", "d"].map(row);
    let scan = async |range: KeyRange, limit: usize| {
        session.store.scan(Table::Cur, range, limit).await.expect("a sound store can be read")
    };
    assert_eq!(scan(KeyRange::all(), 99).await, all);
    assert_eq!(scan(KeyRange::all(), 2).await, all[..2]);
    assert_eq!(scan(KeyRange::all(), 0).await, []);
    assert_eq!(scan(range("b", Some(b"d")), 99).await, all[1..4]);
    assert_eq!(scan(range("b\0", None), 99).await, all[2..]);
    assert_eq!(scan(range("d", Some(b"a")), 99).await, []);
    assert_eq!(scan(range("e", None), 99).await, []);
}

pub(super) async fn cursor_walks_and_seeks_within_its_range(session: &Session) {
    fill(session, &["a", "b", "c", "d", "e", "f"]).await;
    let snapshot = session.store.snapshot();
    let mut cursor = snapshot.cursor(Table::Cur, range("b", Some(b"e")));
    assert_eq!(next(&mut *cursor), Some(row("b")));
    cursor.seek(b"c\0");
    assert_eq!(next(&mut *cursor), Some(row("d")));
    assert_eq!(next(&mut *cursor), None, "the end is exclusive");
    assert_eq!(next(&mut *cursor), None, "the end is final");
    cursor.seek(b"c");
    assert_eq!(next(&mut *cursor), Some(row("c")), "a cursor can go back from the end");
    cursor.seek(b"a");
    assert_eq!(next(&mut *cursor), Some(row("b")), "a seek stops at the start of the range");
    cursor.seek(b"b");
    cursor.seek(b"d");
    assert_eq!(next(&mut *cursor), Some(row("d")), "the last of several seeks counts");
    cursor.seek(b"f");
    assert_eq!(next(&mut *cursor), None, "a seek never leaves the range");
    cursor.seek(b"");
    assert_eq!(next(&mut *cursor), Some(row("b")));

    let mut void = snapshot.cursor(Table::Cur, range("d", Some(b"b")));
    assert_eq!(next(&mut *void), None);
    void.seek(b"c");
    assert_eq!(next(&mut *void), None);
    let mut other = snapshot.cursor(Table::Ver, KeyRange::all());
    assert_eq!(next(&mut *other), None);
}

pub(super) async fn a_snapshot_stands_still(session: &Session) {
    fill(session, &["a", "b"]).await;
    let before = session.store.snapshot();
    let mut cursor = before.cursor(Table::Cur, KeyRange::all());
    assert_eq!(next(&mut *cursor), Some(row("a")));
    session
        .apply(vec![
            put(Table::Cur, "a", "new"),
            put(Table::Cur, "c", ""),
            put(Table::Ver, "c", ""),
        ])
        .await;
    session.apply(vec![delete_range(Table::Cur, "b", Some(b"c"))]).await;
    let after = session.store.snapshot();
    session.apply(vec![delete_range(Table::Cur, "", None)]).await;

    assert_eq!(next(&mut *cursor), Some(row("b")));
    assert_eq!(next(&mut *cursor), None);
    let get = |snapshot: &dyn MetaSnapshot, table, key: &[u8]| {
        snapshot.get(table, key).expect("a sound store can be read")
    };
    assert_eq!(get(&*before, Table::Cur, b"a").as_deref(), Some(&b"a"[..]));
    assert_eq!(get(&*before, Table::Cur, b"c"), None);
    assert_eq!(get(&*before, Table::Ver, b"c"), None);
    assert_eq!(get(&*after, Table::Cur, b"a").as_deref(), Some(&b"new"[..]));
    assert_eq!(get(&*after, Table::Cur, b"b"), None);
    assert_eq!(get(&*after, Table::Ver, b"c"), Some(Bytes::new()));
    assert!(session.keys(Table::Cur).await.is_empty());
}

pub(super) async fn a_snapshot_can_move_to_another_thread(session: &Session) {
    fill(session, &["a", "b"]).await;
    let snapshot = session.store.snapshot();
    session.apply(vec![delete_range(Table::Cur, "", None)]).await;
    let walk = std::thread::spawn(move || {
        let mut cursor = snapshot.cursor(Table::Cur, KeyRange::all());
        std::iter::from_fn(|| next(&mut *cursor)).collect::<Vec<_>>()
    });
    assert_eq!(walk.join().expect("the walk does not panic"), ["a", "b"].map(row));
}

pub(super) async fn a_read_sees_every_answered_commit(session: &Session) {
    for n in 0..100_u32 {
        session.apply(vec![put(Table::Cur, "row", n.to_string())]).await;
        assert_eq!(session.get(Table::Cur, b"row"), Some(Bytes::from(n.to_string())));
        let snapshot = session.store.snapshot();
        let seen = snapshot.get(Table::Cur, b"row").expect("a sound store can be read");
        assert_eq!(seen, Some(Bytes::from(n.to_string())));
    }
}
