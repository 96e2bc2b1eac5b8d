//! Listing behind mass deletion.

use std::time::{Duration, Instant};

use gateway_meta::{Batch, KeyRange, MetaStore, Op, RocksMetaStore, Table, TxId};

use crate::stores::{config, put};

const ROWS: u32 = 100_000;
const ROWS_PER_BATCH: u32 = 1000;

/// Deletes all rows but the last, row by row as reclamation and clients do.
async fn fill_and_delete(store: &dyn MetaStore) {
    let key = |n: u32| n.to_be_bytes().to_vec();
    for first in (0..ROWS).step_by(ROWS_PER_BATCH as usize) {
        let rows = first..first + ROWS_PER_BATCH;
        let mut batch = put(u64::from(first), Table::Cur, b"last".to_vec(), b"");
        batch.ops = rows
            .map(|n| Op::Put { table: Table::Cur, key: key(n), value: vec![0; 200].into() })
            .collect();
        store.commit(batch).await.unwrap();
    }
    store.commit(put(1_000_000, Table::Cur, b"last".to_vec(), b"")).await.unwrap();
    for first in (0..ROWS).step_by(ROWS_PER_BATCH as usize) {
        let ops = (first..first + ROWS_PER_BATCH)
            .map(|n| Op::Delete { table: Table::Cur, key: key(n) })
            .collect();
        let txid = TxId { incarnation: 2, seq: u64::from(first) };
        store.commit(Batch { txid, guards: Vec::new(), ops }).await.unwrap();
    }
}

/// The first listing may meet every deletion in memory; it makes the store clear them away. Time is
/// a poor witness, so the bound is wide: skipping 100,000 deletions takes some 13 ms in memory and
/// 4 ms in a table file.
#[tokio::test]
async fn listings_do_not_keep_crawling_over_deleted_rows() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    // Holds all of it, so that no flush comes by chance.
    config.write_buffer_bytes = 256 << 20;
    let store = RocksMetaStore::open(config).unwrap();
    fill_and_delete(&store).await;
    let patience = Instant::now() + Duration::from_secs(30);
    let mut seq = 2_000_000;
    loop {
        let started = Instant::now();
        let snapshot = store.snapshot();
        let mut rows = snapshot.cursor(Table::Cur, KeyRange::all());
        assert!(rows.next().unwrap().is_some());
        let took = started.elapsed();
        assert_eq!(rows.next().unwrap(), None);
        println!("the listing took {took:?}");
        if took < Duration::from_millis(1) {
            return;
        }
        assert!(Instant::now() < patience, "listings still take {took:?}");
        // A marked memory is flushed by the next write, and compacted behind it.
        seq += 1;
        store.commit(put(seq, Table::Cur, b"last".to_vec(), b"")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
