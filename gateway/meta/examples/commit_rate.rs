//! Prints how many commits a second the RocksDB engine makes durable, by writers at once.
//!
//! `cargo run --release -p gateway-meta --example commit_rate -- DIRECTORY [SECONDS]`. Each commit
//! puts one row of 500 bytes and adds to a counter; the directory must not exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_meta::{Batch, MetaStore, Op, RocksConfig, RocksMetaStore, Table, TxId};

/// Bytes of each row's value.
const VALUE_LEN_BYTES: usize = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: commit_rate DIRECTORY [SECONDS]")?;
    let seconds = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let store = Arc::new(RocksMetaStore::open(RocksConfig::new(directory))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let seq = Arc::new(AtomicU64::new(0));
    for writers in [1, 16, 64, 256] {
        let started = Instant::now();
        let ends = started + Duration::from_secs_f64(seconds);
        let commits = runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..writers {
                tasks.spawn(write(Arc::clone(&store), Arc::clone(&seq), ends));
            }
            tasks.join_all().await.into_iter().sum::<u64>()
        });
        let rate = commits as f64 / started.elapsed().as_secs_f64();
        println!("{writers:4} writers: {rate:8.0} commits/s");
    }
    runtime.block_on(store.close())?;
    Ok(())
}

async fn write(store: Arc<RocksMetaStore>, seq: Arc<AtomicU64>, ends: Instant) -> u64 {
    let mut commits = 0;
    while Instant::now() < ends {
        let seq = seq.fetch_add(1, Ordering::Relaxed);
        // Spread like object keys, so that rows do not simply append.
        let key = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
        let value = vec![seq as u8; VALUE_LEN_BYTES].into();
        let ops = vec![
            Op::Put { table: Table::Cur, key, value },
            Op::Add { table: Table::Ctr, key: b"bytes".to_vec(), delta: 500 },
        ];
        let batch = Batch { txid: TxId { incarnation: 1, seq }, guards: Vec::new(), ops };
        store.commit(batch).await.expect("the store is sound");
        commits += 1;
    }
    commits
}
