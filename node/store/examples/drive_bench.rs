//! Measures one drive: durable writes, reads, verification and memory-free grouping.
//!
//! `cargo run --release -p node-store --example drive_bench -- DIRECTORY [buffered]`

use std::{path::PathBuf, sync::Arc, time::Instant};

use bytes::Bytes;
use node_proto::{
    ByteRange, ClusterId, DeviceId, ManifestId, ManualClock, ShardIndex, ShardKey, ShardRoot,
    ShardService, StripeSeq,
};
use node_store::{Drive, DriveConfig, RealVfs};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("the first argument is a directory"));
    let buffered = arguments.next().as_deref() == Some("buffered");
    let clock = Arc::new(ManualClock::default());
    let mut config = DriveConfig::new(DeviceId(0), ClusterId([1; 16]), directory, clock);
    config.vfs = Arc::new(if buffered { RealVfs::buffered() } else { RealVfs::new() });
    let drive = Arc::new(Drive::open(config.clone()).expect("the directory is free"));
    let mut next = 0;
    for (shards, len, writers) in [
        (512, 2 << 20, 1),
        (512, 2 << 20, 4),
        (512, 2 << 20, 16),
        (4_000, 16 << 10, 1),
        (40_000, 16 << 10, 64),
    ] {
        let first = next;
        next += shards;
        write(&drive, first, shards, len, writers).await;
        read(&drive, first, shards, len, writers).await;
    }
    drive.close().await;
    let started = Instant::now();
    let drive = Drive::open(config.clone()).expect("the directory is free");
    println!("open {:?} with {} shards", started.elapsed(), drive.status().shard_count);
    drive.close().await;
    std::fs::remove_dir_all(config.directory.join("index")).expect("the index is there");
    let started = Instant::now();
    let drive = Drive::open(config).expect("the directory is free");
    println!("rebuild {:?} with {} shards", started.elapsed(), drive.status().shard_count);
    drive.close().await;
}

fn key(number: u64) -> ShardKey {
    ShardKey { manifest: ManifestId(number), stripe: StripeSeq(0), index: ShardIndex(0) }
}

async fn write(drive: &Arc<Drive>, first: u64, shards: u64, len: usize, writers: u64) {
    let payload = Bytes::from(vec![0xa5; len]);
    let root = ShardRoot(*blake3::hash(&payload).as_bytes());
    each(drive, first, shards, writers, len, "put", move |drive, number| {
        let payload = payload.clone();
        async move { drive.put(key(number), root, payload).await.expect("the drive takes it") }
    })
    .await;
}

async fn read(drive: &Arc<Drive>, first: u64, shards: u64, len: usize, readers: u64) {
    each(drive, first, shards, readers, len, "get", move |drive, number| async move {
        let range = ByteRange { offset_bytes: 0, len_bytes: len as u64 };
        drive.get(key(number), range).await.expect("the drive has it");
    })
    .await;
    each(drive, first, shards, readers, len, "verify", move |drive, number| async move {
        drive.verify(key(number)).await.expect("the drive has it");
    })
    .await;
}

async fn each<F: Future<Output = ()> + Send + 'static>(
    drive: &Arc<Drive>,
    first: u64,
    count: u64,
    workers: u64,
    len: usize,
    what: &str,
    work: impl Fn(Arc<Drive>, u64) -> F + Clone + Send + 'static,
) {
    let before = cpu_seconds();
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        let (drive, work) = (Arc::clone(drive), work.clone());
        tasks.spawn(async move {
            for number in (first + worker..first + count).step_by(workers as usize) {
                work(Arc::clone(&drive), number).await;
            }
        });
    }
    tasks.join_all().await;
    let seconds = started.elapsed().as_secs_f64();
    let gigabytes = count as f64 * len as f64 / 1e9;
    println!(
        "{what:6} {len:>8} B × {count:>6}, {workers:>2} at once: {:.2} GB/s, {:.0}/s, {:.2} CPU-s/GB",
        gigabytes / seconds,
        count as f64 / seconds,
        (cpu_seconds() - before) / gigabytes
    );
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}
