//! Which directories open.

use gateway_meta::rocks::OpenError;
use gateway_meta::{MetaStore, RocksMetaStore, Table};
use rocksdb::{DB, Options};

use crate::stores::{config, open, put};

#[tokio::test]
async fn a_live_directory_opens_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let second = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn a_snapshot_outlives_its_store_and_holds_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    let snapshot = store.snapshot();
    drop(store);
    assert_eq!(snapshot.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    let second = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    drop(snapshot);
    drop(open(directory.path()));
}

#[test]
fn a_foreign_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = open_as_another(directory.path());
    foreign.put("row", "value").unwrap();
    drop(foreign);
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    assert_eq!(DB::list_cf(&Options::default(), directory.path()).unwrap(), ["default"]);
}

#[test]
fn a_database_with_foreign_tables_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut foreign = open_as_another(directory.path());
    foreign.create_cf("stranger", &Options::default()).unwrap();
    drop(foreign);
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

/// Rewrites the format row of a store.
fn set_format(directory: &std::path::Path, format: &[u8]) {
    let tables = DB::list_cf(&Options::default(), directory).unwrap();
    let db = DB::open_cf(&Options::default(), directory, tables).unwrap();
    db.put("datamesh-meta-format", format).unwrap();
}

#[test]
fn the_format_row_has_golden_bytes_and_newer_formats_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let db = DB::open_for_read_only(&Options::default(), directory.path(), false).unwrap();
    assert_eq!(db.get("datamesh-meta-format").unwrap().as_deref(), Some(&[0, 0, 0, 1][..]));
    drop(db);

    set_format(directory.path(), &[0, 0, 0, 2]);
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(
        matches!(refused, Err(OpenError::NewerFormat { found: 2, supported: 1 })),
        "{refused:?}"
    );
    set_format(directory.path(), b"what");
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::NewerFormat { .. })), "{refused:?}");
    set_format(directory.path(), b"odd");
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    set_format(directory.path(), &[0, 0, 0, 1]);
    drop(open(directory.path()));
}

#[test]
fn a_newer_format_with_more_tables_is_named_as_newer() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    set_format(directory.path(), &[0, 0, 0, 9]);
    let tables = DB::list_cf(&Options::default(), directory.path()).unwrap();
    let mut db = DB::open_cf(&Options::default(), directory.path(), tables).unwrap();
    db.create_cf("later", &Options::default()).unwrap();
    drop(db);
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 9, .. })), "{refused:?}");
}

#[test]
fn an_interrupted_making_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    let mut partial = open_as_another(directory.path());
    partial.create_cf("cur", &Options::default()).unwrap();
    drop(partial);
    drop(open(directory.path()));
    drop(open(directory.path()));
}

#[tokio::test]
async fn a_closed_store_refuses_commits_and_serves_reads() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    let refused = store.commit(put(2, Table::Cur, "b", b"")).await;
    assert!(matches!(refused, Err(gateway_meta::CommitError::Unavailable { .. })), "{refused:?}");
    assert_eq!(store.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn directories_on_the_way_are_made() {
    let parent = tempfile::tempdir().unwrap();
    drop(open(&parent.path().join("a/b/meta")));
    drop(open(&parent.path().join("a/b/meta")));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let refused = RocksMetaStore::open(config(&file.join("meta")));
    assert!(matches!(refused, Err(OpenError::Directory { .. })), "{refused:?}");
}

#[test]
fn a_damaged_database_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    std::fs::write(directory.path().join("CURRENT"), b"MANIFEST-999999\n").unwrap();
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Io { .. })), "{refused:?}");
}

/// Opens a database as some other program would.
fn open_as_another(directory: &std::path::Path) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    DB::open(&options, directory).unwrap()
}
