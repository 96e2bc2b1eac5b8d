//! Durable commits to the metadata store.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use gateway_meta::{Batch, CommitError, MetaStore, Op, RocksConfig, RocksMetaStore, Table, TxId};
use tokio::task::JoinSet;

use super::{Budget, Rate, Wanted};
use crate::row::Row;

const WRITERS: [u64; 4] = [1, 4, 16, 64];
/// Bytes of a row. Chosen: about those of an object's record.
const VALUE_LEN_BYTES: usize = 500;

/// Measures everything that is asked for, each in a fresh store below `directory`.
pub(super) async fn measure(
    budget: &Budget,
    directory: &Path,
    is_wanted: &Wanted<'_>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for writers in WRITERS {
        let name = format!("metadata commit, {writers} at once");
        if !is_wanted(&name) {
            continue;
        }
        let (count, seconds) = commits(budget, directory, writers, VALUE_LEN_BYTES).await?;
        rows.push(Row::new(name, count as f64 / seconds, "commits/s"));
    }
    Ok(rows)
}

/// Commits rows of `value_len` bytes in a fresh store below `directory` as long as the budget
/// allows. Returns how many in how many seconds.
///
/// # Errors
/// When the store cannot be made or refuses a commit.
pub(crate) async fn commits(
    budget: &Budget,
    directory: &Path,
    writers: u64,
    value_len: usize,
) -> Result<(u64, f64)> {
    let place = directory.join("meta");
    let store = RocksMetaStore::open(RocksConfig::new(&place));
    let store = Arc::new(store.context("cannot make a metadata store")?);
    let committed = commit(budget, &store, writers, value_len).await;
    store.close().await?;
    drop(store);
    std::fs::remove_dir_all(&place).context("cannot remove the metadata store")?;
    let Rate { count, elapsed } = committed.context("the metadata store refused a commit")?;
    Ok((count, elapsed.as_secs_f64().max(f64::EPSILON)))
}

async fn commit(
    budget: &Budget,
    store: &Arc<RocksMetaStore>,
    writers: u64,
    value_len: usize,
) -> Result<Rate> {
    let next = Arc::new(AtomicU64::new(0));
    let deadline = budget.deadline();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (store, next, budget) = (Arc::clone(store), Arc::clone(&next), budget.clone());
        tasks.spawn(async move {
            let mut count = 0;
            // Every writer does one, however short the time.
            while count == 0 || budget.allows(deadline) {
                store.commit(batch(next.fetch_add(1, Relaxed), value_len)).await?;
                count += 1;
            }
            Ok::<u64, CommitError>(count)
        });
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(Rate { count, elapsed: started.elapsed() })
}

/// A row and a counter, as the smallest PUT has them.
fn batch(seq: u64, value_len: usize) -> Batch {
    // Spread like object keys, so that rows do not simply append.
    let key = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
    let value = vec![seq.to_le_bytes()[0]; value_len].into();
    let ops = vec![
        Op::Put { table: Table::Cur, key, value },
        Op::Add { table: Table::Ctr, key: b"bytes".to_vec(), delta: value_len as i128 },
    ];
    Batch { txid: TxId { incarnation: 1, seq }, guards: Vec::new(), ops }
}
