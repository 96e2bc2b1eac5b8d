//! Both directions full, a thousand requests each way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use node_proto::{
    ShardService,
    conformance::{key, payload, root_of, whole},
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::rig::{Net, memory, online};

/// Requests in flight each way. Source: the aim of the mesh.
const IN_FLIGHT: u32 = 1000;
/// Requests made each way.
const REQUESTS: u32 = 4000;
const LEN: usize = 128 << 10;

async fn put(device: Arc<dyn ShardService>, number: u32) {
    let bytes = payload(u64::from(number), LEN);
    // Busy is an answer: the node bounds what it holds. Asking again is the caller's part.
    for _ in 0..10_000 {
        match device.put(key(9, number), root_of(&bytes), bytes.clone()).await {
            Ok(()) => return,
            Err(node_proto::PutShardError::Busy { .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("request {number}: {error}"),
        }
    }
    panic!("request {number}: always busy");
}

async fn get(device: Arc<dyn ShardService>, number: u32, bytes: bytes::Bytes) {
    for _ in 0..10_000 {
        match device.get(key(8, number % 16), whole(LEN)).await {
            Ok(read) => {
                assert!(read == bytes, "request {number} read something else");
                return;
            }
            Err(node_proto::GetShardError::Busy { .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("request {number}: {error}"),
        }
    }
    panic!("request {number}: always busy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_each_way_do_not_stall() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    let held: Vec<_> = (0..16).map(|number| payload(1_000_000 + number, LEN)).collect();
    for (number, bytes) in (0..).zip(&held) {
        device.put(key(8, number), root_of(bytes), bytes.clone()).await.unwrap();
    }
    let slots = [Arc::new(Semaphore::new(IN_FLIGHT as usize)), Arc::new(Semaphore::new(1000))];
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..2 * REQUESTS {
        let (device, done) = (Arc::clone(&device), Arc::clone(&done));
        let slots = Arc::clone(&slots[number as usize % 2]);
        let bytes = held[(number / 2) as usize % 16].clone();
        tasks.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            if number.is_multiple_of(2) {
                put(device, number / 2).await;
            } else {
                get(device, number / 2, bytes).await;
            }
            done.fetch_add(1, SeqCst);
        });
    }
    let (mut last, mut since, mut worst) = (0, Instant::now(), Duration::ZERO);
    while done.load(SeqCst) < u64::from(2 * REQUESTS) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = done.load(SeqCst);
        worst = worst.max(since.elapsed());
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_secs(5), "stalled after {now} requests");
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(worst < Duration::from_secs(5), "{worst:?}");
    assert_eq!(net.abandoned.load(SeqCst), 0);
    assert_eq!(device.list(None, usize::MAX).await.unwrap().len(), REQUESTS as usize + 16);
    gateway.lanes.shutdown().await;
}
