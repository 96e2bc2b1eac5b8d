//! Slow devices, dead connections, deadlines and callers that lose interest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, DeleteShardsError, DeviceId, DeviceStatus, GetShardError, ListShardsError,
    PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot, ShardService,
    conformance::{key, payload, root_of, whole},
    wire::{Priority, Request},
};
use tokio::{sync::Semaphore, time::Instant};

use super::rig::{GATEWAY, Net, eventually, memory, node_key, online};
use crate::{
    lane::{Call, CallError},
    stream::LaneClass,
};

/// A device whose writes wait for leave.
struct Gated {
    inner: Arc<dyn ShardService>,
    gate: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl ShardService for Gated {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.waiting.fetch_add(1, SeqCst);
        let _waiting = Waiting(Arc::clone(&self.waiting));
        self.gate.acquire().await.unwrap().forget();
        self.inner.put(key, root, payload).await
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        self.inner.get(key, range).await
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        self.inner.verify(key).await
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.inner.replace(key, root, payload).await
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        self.inner.delete(keys).await
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        self.inner.list(after, limit).await
    }

    fn status(&self) -> DeviceStatus {
        self.inner.status()
    }

    fn start_scrub(&self) {}

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress::default()
    }

    fn take_damaged(&self, _limit: usize) -> Vec<ShardKey> {
        Vec::new()
    }
}

fn gated() -> (Arc<Gated>, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, waiting) = (Arc::new(Semaphore::new(0)), Arc::default());
    let device = Gated { inner: memory(3), gate: Arc::clone(&gate), waiting: Arc::clone(&waiting) };
    (Arc::new(device), gate, waiting)
}

#[tokio::test]
async fn a_dead_connection_is_given_up_and_its_requests_are_repeated() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    let bytes = payload(1, 100_000);
    device.put(key(30, 0), root_of(&bytes), bytes.clone()).await.unwrap();
    net.freeze(GATEWAY, node_key(0), LaneClass::Upload);
    let started = Instant::now();
    device.put(key(30, 1), root_of(&bytes), bytes.clone()).await.unwrap();
    let took = started.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(net.abandoned.load(SeqCst), 1);
    // The other classes were left alone.
    assert_eq!(device.get(key(30, 1), whole(100_000)).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_request_that_must_not_be_repeated_fails_with_its_lane() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    online(&gateway, 0, 3).await;
    let peer = gateway.lanes.peers.peer(node_key(0));
    let call = Call {
        request: Request::Get { device: DeviceId(3), key: key(30, 1), range: whole(1) },
        payload: Bytes::new(),
        priority: Priority::Normal,
        deadline: Instant::now() + Duration::from_secs(30),
        answer_len_max: 1,
    };
    peer.call_once(LaneClass::Download, &call).await.unwrap();
    net.freeze(GATEWAY, node_key(0), LaneClass::Download);
    let lost = peer.call_once(LaneClass::Download, &call).await.unwrap_err();
    assert!(matches!(&lost, CallError::Lost { reason, .. } if reason.contains("5 s")), "{lost}");
}

#[tokio::test]
async fn a_slow_device_does_not_look_like_a_dead_connection() {
    let net = Net::new();
    let (device, gate, _) = gated();
    let (gateway, _nodes) = net.cluster(vec![vec![device]]);
    let device = online(&gateway, 0, 3).await;
    let bytes = payload(1, 1000);
    let putting = device.put(key(30, 1), root_of(&bytes), bytes.clone());
    let opening = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        gate.add_permits(1);
    };
    let (put, ()) = tokio::join!(putting, opening);
    put.unwrap();
    assert_eq!(net.abandoned.load(SeqCst), 0);
}

#[tokio::test]
async fn requests_end_at_their_deadline_on_both_sides() {
    let net = Net::new();
    let (device, _gate, waiting) = gated();
    let (gateway, nodes) = net.cluster(vec![vec![device]]);
    online(&gateway, 0, 3).await;
    let peer = gateway.lanes.peers.peer(node_key(0));
    let call = Call {
        request: Request::Put { device: DeviceId(3), key: key(30, 1), root: root_of(b"x") },
        payload: Bytes::from_static(b"x"),
        priority: Priority::Normal,
        deadline: Instant::now() + Duration::from_millis(300),
        answer_len_max: 0,
    };
    let started = Instant::now();
    let late = peer.call(LaneClass::Upload, &call).await.unwrap_err();
    assert_eq!(late, CallError::TimedOut { peer: node_key(0) });
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    eventually("the device is left alone", || waiting.load(SeqCst) == 0).await;
    eventually("memory is given back", || {
        nodes[0].lanes.serving.budget.try_reserve(64 << 20).is_some()
    })
    .await;
    // One that is over before it begins is not sent.
    let late = peer.call(LaneClass::Upload, &call).await.unwrap_err();
    assert_eq!(late, CallError::TimedOut { peer: node_key(0) });
}

#[tokio::test]
async fn a_dropped_request_is_cancelled_on_the_other_side() {
    let net = Net::new();
    let (device, _gate, waiting) = gated();
    let (gateway, nodes) = net.cluster(vec![vec![device]]);
    let device = online(&gateway, 0, 3).await;
    let bytes = payload(1, 1 << 20);
    for number in 0..5 {
        let putting = device.put(key(30, number), root_of(&bytes), bytes.clone());
        let _ = tokio::time::timeout(Duration::from_millis(100), putting).await;
    }
    eventually("the device is left alone", || waiting.load(SeqCst) == 0).await;
    let figures = gateway.lanes.figures(node_key(0));
    assert!(figures.requests_in_flight <= 1, "{figures:?}");
    eventually("memory is given back", || {
        nodes[0].lanes.serving.budget.try_reserve(64 << 20).is_some()
    })
    .await;
}

#[tokio::test]
async fn an_answer_nobody_waits_for_is_skipped() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    let bytes = payload(1, 8 << 20);
    device.put(key(30, 1), root_of(&bytes), bytes.clone()).await.unwrap();
    for micros in (0..4000).step_by(100) {
        let getting = device.get(key(30, 1), whole(8 << 20));
        let _ = tokio::time::timeout(Duration::from_micros(micros), getting).await;
    }
    assert_eq!(device.get(key(30, 1), whole(8 << 20)).await.unwrap(), bytes);
    assert_eq!(net.abandoned.load(SeqCst), 0);
}

#[tokio::test]
async fn small_requests_overtake_long_payloads() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    let long = payload(1, 8 << 20);
    let small = payload(2, 1000);
    let root = root_of(&long);
    let done = AtomicUsize::new(0);
    let longs = futures::future::join_all((0..6).map(async |number| {
        device.put(key(31, number), root, long.clone()).await.unwrap();
        done.fetch_add(1, SeqCst)
    }));
    let overtaking = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let before = done.load(SeqCst);
        device.put(key(32, 1), root_of(&small), small.clone()).await.unwrap();
        (before, done.load(SeqCst))
    };
    let (_, (before, after)) = tokio::join!(longs, overtaking);
    assert!(after <= before + 2 && after < 6, "{after} of 6 were done, {before} before");
}

#[tokio::test]
async fn lost_connections_are_made_anew_and_unreachable_peers_fail_at_once() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    let bytes = payload(1, 1000);
    for number in 0..10 {
        net.cut(node_key(0));
        device.put(key(33, number), root_of(&bytes), bytes.clone()).await.unwrap();
    }
    net.unreachable.lock().push(node_key(0));
    net.cut(node_key(0));
    let refused = device.put(key(33, 99), root_of(&bytes), bytes.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("switched off"), "{refused}");
    let started = Instant::now();
    for _ in 0..1000 {
        device.put(key(33, 99), root_of(&bytes), bytes.clone()).await.unwrap_err();
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let dialled = net.opened.load(SeqCst);
    net.unreachable.lock().clear();
    gateway.lanes.retry_now(node_key(0));
    device.put(key(33, 99), root_of(&bytes), bytes).await.unwrap();
    assert!(net.opened.load(SeqCst) > dialled);
}

#[tokio::test]
async fn a_shut_down_process_answers_nothing_and_asks_nothing() {
    let net = Net::new();
    let (gateway, nodes) = net.cluster(vec![vec![memory(3)]]);
    let device = online(&gateway, 0, 3).await;
    nodes[0].lanes.shutdown().await;
    let peer = gateway.lanes.peers.peer(node_key(0));
    let gone = peer.ask(Request::Echo, Priority::Normal, Duration::from_secs(5)).await;
    assert!(gone.is_err(), "{gone:?}");
    gateway.lanes.shutdown().await;
    let closed = device.get(key(1, 1), whole(1)).await.unwrap_err();
    assert!(matches!(closed, GetShardError::Offline { .. }), "{closed}");
}
