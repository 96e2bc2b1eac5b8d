//! Durable appends to one drive.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use node_proto::{
    ClusterId, DeviceId, ManifestId, PutShardError, ShardIndex, ShardKey, ShardRoot, ShardService,
    StripeSeq,
};
use node_store::{Drive, DriveConfig, RealVfs};
use node_stripe::shard_root;
use tokio::task::JoinSet;

use super::{Budget, Rate, Wanted};
use crate::{clock::SystemClock, measure::Process, row::Row, size::format_size};

const SHARD_LENS_BYTES: [usize; 2] = [2 << 20, 64 << 10];
const WRITERS: [u64; 2] = [1, 8];
/// Most bytes one figure writes. Chosen: fits beside other work on a small disk.
const WRITTEN_BYTES_MAX: u64 = 8 << 30;

/// Measures everything that is asked for, each on a fresh drive below `directory`.
pub(super) async fn measure(
    budget: &Budget,
    directory: &Path,
    is_wanted: &Wanted<'_>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (mode, is_buffered) in [("O_DIRECT", false), ("buffered", true)] {
        for shard_len in SHARD_LENS_BYTES {
            for writers in WRITERS {
                let size = format_size(shard_len as u64);
                let name = format!("shard append {size}, {mode}, {writers} at once");
                if is_wanted(&name) {
                    rows.extend(
                        figure(budget, directory, &name, is_buffered, shard_len, writers).await?,
                    );
                }
            }
        }
    }
    Ok(rows)
}

async fn figure(
    budget: &Budget,
    directory: &Path,
    name: &str,
    is_buffered: bool,
    shard_len: usize,
    writers: u64,
) -> Result<[Row; 2]> {
    let place = directory.join("drive");
    let cluster = ClusterId([1; 16]);
    let mut config = DriveConfig::new(DeviceId(0), cluster, place.clone(), Arc::new(SystemClock));
    config.vfs = Arc::new(if is_buffered { RealVfs::buffered() } else { RealVfs::new() });
    let drive = Arc::new(Drive::open(config).context("cannot make a drive")?);
    let before = Process::Own.usage()?;
    let appended = append(budget, &drive, shard_len, writers).await;
    let cpu_seconds = Process::Own.usage()?.cpu_seconds - before.cpu_seconds;
    drive.close().await;
    drop(drive);
    std::fs::remove_dir_all(&place).context("cannot remove the drive")?;
    let rate = appended.context("the drive refused a shard")?;
    let gigabytes = (rate.count * shard_len as u64) as f64 / 1e9;
    Ok([
        Row::new(name, rate.gigabytes_per_second(shard_len), "GB/s"),
        Row::new(format!("{name}, cost"), cpu_seconds / gigabytes, "CPU-s/GB"),
    ])
}

async fn append(
    budget: &Budget,
    drive: &Arc<Drive>,
    shard_len: usize,
    writers: u64,
) -> Result<Rate> {
    let payload = Bytes::from(vec![0xa5; shard_len]);
    let root = shard_root(&payload);
    let next = Arc::new(AtomicU64::new(0));
    let limit = WRITTEN_BYTES_MAX / shard_len as u64;
    let deadline = budget.deadline();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (drive, payload) = (Arc::clone(drive), payload.clone());
        let (next, budget) = (Arc::clone(&next), budget.clone());
        tasks.spawn(async move {
            let mut count = 0;
            // Every writer does one, however short the time.
            while count == 0 || budget.allows(deadline) {
                let number = next.fetch_add(1, Relaxed);
                if number >= limit {
                    break;
                }
                put(&drive, number, root, payload.clone()).await?;
                count += 1;
            }
            Ok::<u64, PutShardError>(count)
        });
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(Rate { count, elapsed: started.elapsed() })
}

async fn put(
    drive: &Drive,
    number: u64,
    root: ShardRoot,
    payload: Bytes,
) -> Result<(), PutShardError> {
    let key = ShardKey { manifest: ManifestId(number), stripe: StripeSeq(0), index: ShardIndex(0) };
    drive.put(key, root, payload).await
}
