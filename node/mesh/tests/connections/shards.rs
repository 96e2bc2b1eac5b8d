//! Devices of a node, used through the mesh.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use node_proto::{
    ByteRange, DeviceHealth, DeviceId, GetShardError, LayoutDevice, ManifestId, NodeId, ShardIndex,
    ShardKey, ShardRoot, ShardService, StripeSeq,
};

use crate::{
    hosts::{
        Member, TestHost, cluster_key, config, eventually, gateway, introduce, layout, node, start,
    },
    memory::MemoryDevice,
};

const DEVICE: DeviceId = DeviceId(5);

/// Requests in flight at a time in the saturation test: what the mesh must bear.
const IN_FLIGHT: usize = 1000;

/// How long nothing may come back while something is awaited.
const STALL_MAX: Duration = Duration::from_secs(5);

fn key(number: u64) -> ShardKey {
    ShardKey { manifest: ManifestId(number), stripe: StripeSeq(0), index: ShardIndex(0) }
}

fn payload(number: u64, len: usize) -> Bytes {
    (0..len).map(|i| (i as u64 * 31 + number * 7) as u8).collect::<Vec<_>>().into()
}

fn root(payload: &Bytes) -> ShardRoot {
    ShardRoot(*blake3::hash(payload).as_bytes())
}

async fn pair(delay: Duration) -> (Member, Member, Arc<MemoryDevice>) {
    let device = MemoryDevice::new(DEVICE, delay);
    let devices = [(DEVICE, Arc::clone(&device) as Arc<dyn ShardService>)].into();
    let gateway = gateway(1).await;
    let node = start(config(2), TestHost { devices, ..TestHost::default() }).await;
    let mut layout = layout(1, gateway.mesh.peer(), &[node.mesh.peer()]);
    layout.devices =
        vec![LayoutDevice { node: NodeId(1), ..LayoutDevice::local(DEVICE, "d".to_owned()) }];
    introduce(&layout, &[&gateway, &node]);
    (gateway, node, device)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_stored_and_read_through_the_mesh() {
    let (gateway, node, device) = pair(Duration::ZERO).await;
    let remote = gateway.mesh.device(node.mesh.peer(), DEVICE);
    let stored = payload(1, 300_000);
    remote.put(key(1), root(&stored), stored.clone()).await.unwrap();
    assert_eq!(device.count(), 1);
    let range = ByteRange { offset_bytes: 100, len_bytes: 200_000 };
    assert_eq!(remote.get(key(1), range).await.unwrap(), stored.slice(100..200_100));
    let missing = remote.get(key(2), range).await;
    assert!(matches!(missing, Err(GetShardError::NotFound { .. })), "{missing:?}");
    assert!(Arc::ptr_eq(&remote, &gateway.mesh.device(node.mesh.peer(), DEVICE)));
    eventually("the device's state is known", || {
        remote.status().health == DeviceHealth::Online && remote.status().shard_count == 1
    })
    .await;
    let report = &gateway.mesh.peers()[0];
    assert!(report.is_connected && report.lanes > 0 && report.sent_bytes > 300_000, "{report:?}");
    assert!(report.security.is_some() && report.last_error.is_none(), "{report:?}");
    gateway.mesh.shutdown().await;
    node.mesh.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_is_pushed() {
    let (gateway, node, _) = pair(Duration::ZERO).await;
    let newer = layout(7, gateway.mesh.peer(), &[node.mesh.peer()]);
    let signed = cluster_key().sign(&newer);
    let epoch = gateway.mesh.push_layout(node.mesh.peer(), &signed).await.unwrap();
    assert_eq!(epoch.0, 7);
    assert_eq!(*node.host.layout.lock(), Some(newer));
    // Nodes may not give orders to each other.
    let other = crate::hosts::node(3).await;
    let both = layout(8, gateway.mesh.peer(), &[node.mesh.peer(), other.mesh.peer()]);
    introduce(&both, &[&gateway, &node, &other]);
    let refused = other.mesh.push_layout(node.mesh.peer(), &cluster_key().sign(&both)).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_elsewhere_is_used_again_once_it_announced_itself() {
    let (gateway, first, _) = pair(Duration::ZERO).await;
    let remote = gateway.mesh.device(first.mesh.peer(), DEVICE);
    let stored = payload(1, 1000);
    remote.put(key(1), root(&stored), stored.clone()).await.unwrap();
    first.mesh.shutdown().await;
    drop(first);
    let lost = remote.get(key(1), ByteRange { offset_bytes: 0, len_bytes: 1000 }).await;
    assert!(matches!(lost, Err(GetShardError::Offline { .. })), "{lost:?}");

    let device = MemoryDevice::new(DEVICE, Duration::ZERO);
    let devices = [(DEVICE, device as Arc<dyn ShardService>)].into();
    let again = start(config(2), TestHost { devices, ..TestHost::default() }).await;
    let layout = gateway.host.layout.lock().clone().unwrap();
    introduce(&layout, &[&gateway, &again]);
    let since = Instant::now();
    while let Err(error) = remote.put(key(2), root(&stored), stored.clone()).await {
        assert!(since.elapsed() < Duration::from_secs(8), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("used again after {:?}", since.elapsed());
}

/// Both directions full at once, a thousand requests in flight: nothing is lost, nothing stalls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_in_both_directions_neither_stall_nor_get_lost() {
    const LEN: usize = 256 << 10;
    const REQUESTS: u64 = 4000;
    let (gateway, node, device) = pair(Duration::from_millis(1)).await;
    let remote = gateway.mesh.device(node.mesh.peer(), DEVICE);
    let stored = payload(0, LEN);
    let stored_root = root(&stored);
    remote.put(key(0), stored_root, stored.clone()).await.unwrap();

    let since = Instant::now();
    let (next, done) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (remote, stored) = (Arc::clone(&remote), stored.clone());
        let (next, done) = (Arc::clone(&next), Arc::clone(&done));
        workers.spawn(async move {
            let mut busy = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                if number > REQUESTS {
                    return busy;
                }
                busy += one(&*remote, number, &stored, stored_root).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let watch = async {
        let (mut last, mut at, mut longest) = (0, Instant::now(), Duration::ZERO);
        while last < REQUESTS as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = done.load(Ordering::Relaxed);
            longest = longest.max(at.elapsed());
            if now != last {
                (last, at) = (now, Instant::now());
            }
            assert!(at.elapsed() < STALL_MAX, "stalled after {now} requests");
        }
        longest
    };
    let longest = watch.await;
    let busy: u64 = workers.join_all().await.into_iter().sum();
    assert_eq!(device.count() as u64, REQUESTS / 2 + 1);
    let gigabytes = REQUESTS as f64 * LEN as f64 / 1e9;
    println!(
        "{REQUESTS} requests of {LEN} bytes: {:.2} GB/s, longest silence {longest:?}, {busy} times busy",
        gigabytes / since.elapsed().as_secs_f64()
    );
}

/// Odd numbers put a shard, even ones read one; answers how often the node was busy.
async fn one(remote: &dyn ShardService, number: u64, stored: &Bytes, root: ShardRoot) -> u64 {
    let mut busy = 0;
    loop {
        let is_busy = if number % 2 == 1 {
            match remote.put(key(number), root, stored.clone()).await {
                Ok(()) => return busy,
                Err(node_proto::PutShardError::Busy { .. }) => true,
                Err(error) => panic!("put {number}: {error}"),
            }
        } else {
            let range = ByteRange { offset_bytes: 0, len_bytes: stored.len() as u64 };
            match remote.get(key(0), range).await {
                Ok(read) => {
                    assert!(read == *stored, "get {number} returned other bytes");
                    return busy;
                }
                Err(GetShardError::Busy { .. }) => true,
                Err(error) => panic!("get {number}: {error}"),
            }
        };
        busy += u64::from(is_busy);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_a_node_outside_the_layout_is_offline() {
    let (gateway, node_a) = (gateway(1).await, node(2).await);
    introduce(&layout(1, gateway.mesh.peer(), &[]), &[&gateway, &node_a]);
    let remote = gateway.mesh.device(node_a.mesh.peer(), DEVICE);
    let refused = remote.get(key(1), ByteRange { offset_bytes: 0, len_bytes: 1 }).await;
    assert!(matches!(refused, Err(GetShardError::Offline { .. })), "{refused:?}");
}
