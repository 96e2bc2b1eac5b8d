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

/// Copies the files of a closed store.
fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Names of the files of `directory` that begin or end as said.
fn files_like(directory: &std::path::Path, start: &str, end: &str) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_like = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(start) && name.ends_with(end)
    };
    paths.filter(is_like).collect()
}

#[tokio::test]
async fn a_flipped_bit_never_drops_an_answered_commit() {
    let parent = tempfile::tempdir().unwrap();
    let good = parent.path().join("good");
    // Some rows in a table file, some in the log only.
    for round in 0..2 {
        let store = open(&good);
        for number in 0..20 {
            let seq = round * 20 + number;
            store.commit(put(seq, Table::Cur, format!("row {seq}"), &[7; 40])).await.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
    }
    let kinds = [files_like(&good, "", ".log"), files_like(&good, "MANIFEST", "")];
    for (number, file) in kinds.iter().flatten().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        let mut refused = 0;
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 60) {
            let copy = parent.path().join(format!("copy-{number}-{at}"));
            copy_files(&good, &copy);
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(copy.join(file.file_name().unwrap()), bad).unwrap();
            match RocksMetaStore::open(config(&copy)) {
                Ok(store) => {
                    for seq in 0..40 {
                        let row = store.get(Table::Cur, format!("row {seq}").as_bytes()).unwrap();
                        assert!(row.is_some(), "byte {at} of {file:?} lost row {seq}");
                    }
                }
                Err(OpenError::Damaged { .. }) => refused += 1,
                Err(error) => panic!("byte {at} of {file:?}: {error}"),
            }
            std::fs::remove_dir_all(&copy).unwrap();
        }
        assert!(refused > 0, "{file:?} was never refused");
    }
}

#[tokio::test]
async fn a_database_without_its_manifest_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    drop(store);
    let current = std::fs::read(directory.path().join("CURRENT")).unwrap();
    std::fs::remove_file(directory.path().join("CURRENT")).unwrap();
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    std::fs::write(directory.path().join("CURRENT"), current).unwrap();
    let store = open(directory.path());
    assert_eq!(store.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
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
    assert_eq!(db.get("datamesh-meta-format").unwrap().as_deref(), Some(&[0, 0, 0, 2][..]));
    drop(db);

    set_format(directory.path(), &[0, 0, 0, 3]);
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(
        matches!(refused, Err(OpenError::NewerFormat { found: 3, supported: 2 })),
        "{refused:?}"
    );
    set_format(directory.path(), b"what");
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::NewerFormat { .. })), "{refused:?}");
    set_format(directory.path(), b"odd");
    let refused = RocksMetaStore::open(config(directory.path()));
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    set_format(directory.path(), &[0, 0, 0, 2]);
    drop(open(directory.path()));
}

#[tokio::test]
async fn a_database_of_the_first_format_is_upgraded_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let tables = DB::list_cf(&Options::default(), directory.path()).unwrap();
    let mut db = DB::open_cf(&Options::default(), directory.path(), tables).unwrap();
    db.drop_cf("nul").unwrap();
    drop(db);
    set_format(directory.path(), &[0, 0, 0, 1]);

    for round in 2..4 {
        let store = open(directory.path());
        assert_eq!(store.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        store.commit(put(round, Table::Nul, format!("n{round}"), b"2")).await.unwrap();
        assert_eq!(store.get(Table::Nul, b"n2").unwrap().as_deref(), Some(&b"2"[..]));
        store.close().await.unwrap();
        drop(store);
        let db = DB::open_for_read_only(&Options::default(), directory.path(), false).unwrap();
        assert_eq!(db.get("datamesh-meta-format").unwrap().as_deref(), Some(&[0, 0, 0, 2][..]));
    }
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
