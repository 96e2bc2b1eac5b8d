//! Copies between nodes, and every way in which an order may be wrong.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use bytes::Bytes;
use node_proto::{
    ClusterId, ClusterKey, CopyOrder, CopyShardError, DeviceId, Epoch, GetShardError,
    PutShardError, SignedCopyOrder, UnixMillis,
    conformance::{key, payload, root_of, whole},
    wire::{Priority, Refusal, Request, Response},
};
use tokio::time::{Duration, Instant};

use super::rig::{CLUSTER, NOW, Net, Process, cluster_key, memory, node_key, online};
use crate::{
    lane::{Answer, Call},
    stream::LaneClass,
};

const LEN: usize = 300_000;

struct Bench {
    net: Arc<Net>,
    gateway: Process,
    nodes: Vec<Process>,
    bytes: Bytes,
}

/// Three nodes with one device each; the first holds a shard.
async fn bench() -> Bench {
    let net = Net::new();
    let (gateway, nodes) = net.cluster(vec![vec![memory(3)], vec![memory(4)], vec![memory(5)]]);
    let bytes = payload(1, LEN);
    let source = online(&gateway, 0, 3).await;
    source.put(key(1, 1), root_of(&bytes), bytes.clone()).await.unwrap();
    Bench { net, gateway, nodes, bytes }
}

impl Bench {
    fn order(&self) -> CopyOrder {
        CopyOrder {
            cluster: CLUSTER,
            nonce: [9; 16],
            epoch: Epoch(1),
            source: node_key(0),
            source_device: DeviceId(3),
            reader: node_key(1),
            key: key(1, 1),
            root: root_of(&self.bytes),
            len_bytes: LEN as u64,
            expires: UnixMillis(NOW.0 + 60_000),
        }
    }

    /// What the first node answers when `reader` brings the order.
    async fn fetch(&self, reader: usize, order: SignedCopyOrder) -> Answer {
        let call = Call {
            request: Request::Fetch { order },
            payload: Bytes::new(),
            priority: Priority::Background,
            deadline: Instant::now() + Duration::from_secs(10),
            answer_len_max: u32::try_from(LEN).unwrap(),
        };
        let peers = &self.nodes[reader].lanes.peers;
        peers.peer(node_key(0)).call_once(LaneClass::Download, &call).await.unwrap()
    }

    async fn refusal(&self, order: &CopyOrder) -> Response {
        self.fetch(1, cluster_key().sign(order)).await.response
    }
}

#[tokio::test]
async fn a_shard_is_copied_from_node_to_node() {
    let bench = bench().await;
    let target = online(&bench.gateway, 1, 4).await;
    let root = root_of(&bench.bytes);
    let sent_before = bench.gateway.lanes.figures(node_key(0)).received_bytes;
    target.copy_from(DeviceId(3), key(1, 1), root, LEN as u64).await.unwrap();
    assert_eq!(target.get(key(1, 1), whole(LEN)).await.unwrap(), bench.bytes);
    // Again: every call is idempotent.
    target.copy_from(DeviceId(3), key(1, 1), root, LEN as u64).await.unwrap();
    // The bytes did not pass the gateway.
    let received = bench.gateway.lanes.figures(node_key(0)).received_bytes - sent_before;
    assert!(received < LEN as u64 / 2, "{received}");
}

#[tokio::test]
async fn a_copy_that_fails_says_where() {
    let bench = bench().await;
    let target = online(&bench.gateway, 1, 4).await;
    let (root, len) = (root_of(&bench.bytes), LEN as u64);
    let missing = target.copy_from(DeviceId(3), key(1, 2), root, len).await;
    let Err(CopyShardError::Source { source_device: DeviceId(3), reason, .. }) = missing else {
        panic!("{missing:?}");
    };
    assert!(reason.contains("is not on device"), "{reason}");
    let wrong = root_of(b"something else");
    let mismatch = target.copy_from(DeviceId(3), key(1, 1), wrong, len).await;
    let refused = PutShardError::RootMismatch { key: key(1, 1) };
    assert_eq!(mismatch, Err(CopyShardError::Put(refused)));
    let short = target.copy_from(DeviceId(3), key(1, 1), root, len + 1).await;
    assert!(matches!(short, Err(CopyShardError::Source { .. })), "{short:?}");
    // A gateway's own drive, or none: no peer to fetch from.
    let local = target.copy_from(DeviceId(77), key(1, 1), root, len).await;
    assert_eq!(local, Err(CopyShardError::Unsupported { device: DeviceId(4) }));
    bench.net.unreachable.lock().push(node_key(0));
    bench.net.cut(node_key(0));
    let gone = target.copy_from(DeviceId(3), key(1, 1), root, len).await;
    assert!(matches!(gone, Err(CopyShardError::Source { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_copy_within_a_node_needs_no_lane() {
    let net = Net::new();
    let (gateway, _nodes) = net.cluster(vec![vec![memory(3), memory(4)]]);
    let bytes = payload(1, LEN);
    let (source, target) = (online(&gateway, 0, 3).await, online(&gateway, 0, 4).await);
    source.put(key(1, 1), root_of(&bytes), bytes.clone()).await.unwrap();
    target.copy_from(DeviceId(3), key(1, 1), root_of(&bytes), LEN as u64).await.unwrap();
    assert_eq!(target.get(key(1, 1), whole(LEN)).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_good_order_gives_the_shard_once() {
    let bench = bench().await;
    let signed = cluster_key().sign(&bench.order());
    let answer = bench.fetch(1, signed.clone()).await;
    assert_eq!(answer.payload, bench.bytes);
    let replayed = bench.fetch(1, signed).await;
    assert_eq!(replayed.response, Response::Refused(Refusal::OrderReplayed));
    assert!(replayed.payload.is_empty());
}

#[tokio::test]
async fn an_altered_order_is_refused() {
    let bench = bench().await;
    let signed = cluster_key().sign(&bench.order());
    let mut body = signed.body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    let altered = SignedCopyOrder::from_parts(body.into(), signed.signature.clone());
    let altered = bench.fetch(1, altered).await.response;
    assert_eq!(altered, Response::Refused(Refusal::OrderAltered));
    let foreign = ClusterKey::from_seed(&[8; 32]).sign(&bench.order());
    let foreign = bench.fetch(1, foreign).await.response;
    assert_eq!(foreign, Response::Refused(Refusal::OrderAltered));
    // Neither has used the order up.
    assert_eq!(bench.fetch(1, signed).await.payload, bench.bytes);
}

#[tokio::test]
async fn an_expired_order_is_refused() {
    let bench = bench().await;
    let expired = Response::Refused(Refusal::OrderExpired);
    let order = CopyOrder { expires: NOW, ..bench.order() };
    assert_eq!(bench.refusal(&order).await, expired);
    // So is one that lasts longer than any: it would have to be remembered for ever.
    let order = CopyOrder { expires: UnixMillis(NOW.0 + 3_600_000), ..bench.order() };
    assert_eq!(bench.refusal(&order).await, expired);
}

#[tokio::test]
async fn an_order_that_ended_stays_ended_when_the_clock_steps_back() {
    let bench = bench().await;
    let order = bench.order();
    assert_eq!(bench.fetch(1, cluster_key().sign(&order)).await.payload, bench.bytes);
    let clock = &bench.nodes[0].host.clock;
    clock.advance_ms(61_000);
    // Makes the node forget what has ended.
    let later = CopyOrder { nonce: [8; 16], expires: UnixMillis(NOW.0 + 120_000), ..order.clone() };
    assert_eq!(bench.fetch(1, cluster_key().sign(&later)).await.payload, bench.bytes);
    clock.set(NOW);
    assert_eq!(bench.refusal(&order).await, Response::Refused(Refusal::OrderExpired));
}

#[tokio::test]
async fn an_order_for_another_reader_is_refused() {
    let bench = bench().await;
    let answer = bench.fetch(2, cluster_key().sign(&bench.order())).await;
    assert_eq!(answer.response, Response::Refused(Refusal::OrderForOtherReader));
}

#[tokio::test]
async fn an_order_for_another_source_is_refused() {
    let bench = bench().await;
    let order = CopyOrder { source: node_key(2), ..bench.order() };
    assert_eq!(bench.refusal(&order).await, Response::Refused(Refusal::OrderForOtherSource));
}

#[tokio::test]
async fn an_order_for_a_device_elsewhere_is_refused() {
    let bench = bench().await;
    let device = DeviceId(4);
    let order = CopyOrder { source_device: device, ..bench.order() };
    assert_eq!(bench.refusal(&order).await, Response::Refused(Refusal::NoDevice { device }));
}

#[tokio::test]
async fn an_order_of_another_cluster_is_refused() {
    let bench = bench().await;
    let order = CopyOrder { cluster: ClusterId([2; 16]), ..bench.order() };
    assert_eq!(bench.refusal(&order).await, Response::Refused(Refusal::OrderOfOtherCluster));
}

#[tokio::test]
async fn an_order_of_an_old_layout_is_refused() {
    let bench = bench().await;
    bench.nodes[0].host.epoch.store(3, SeqCst);
    let stale = Response::Refused(Refusal::OrderStale { epoch: Epoch(3) });
    assert_eq!(bench.refusal(&bench.order()).await, stale);
    // The one before is good: a new layout does not arrive everywhere at once.
    let order = CopyOrder { epoch: Epoch(2), ..bench.order() };
    assert_eq!(bench.fetch(1, cluster_key().sign(&order)).await.payload, bench.bytes);
}

#[tokio::test]
async fn an_order_for_more_than_a_payload_is_refused() {
    let bench = bench().await;
    let order = CopyOrder { len_bytes: u64::MAX, ..bench.order() };
    let refused = bench.refusal(&order).await;
    assert!(matches!(refused, Response::Refused(Refusal::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_order_to_copy_is_good_only_where_it_is_to_be_read() {
    let bench = bench().await;
    let order = CopyOrder { reader: node_key(2), ..bench.order() };
    let request = Request::Copy { device: DeviceId(4), order: cluster_key().sign(&order) };
    let peer = bench.gateway.lanes.peers.peer(node_key(1));
    let refused = peer.ask_normally(request).await.unwrap_err();
    assert!(refused.to_string().contains("another reader"), "{refused}");
}

#[tokio::test]
async fn a_missing_shard_does_not_come_with_an_order() {
    let bench = bench().await;
    let (key, device) = (key(1, 2), DeviceId(3));
    let order = CopyOrder { key, ..bench.order() };
    let missing = Response::GetFailed(GetShardError::NotFound { key, device });
    assert_eq!(bench.refusal(&order).await, missing);
}

/// The only thing that a node may ask of another.
#[tokio::test]
async fn nodes_may_ask_each_other_for_nothing_else() {
    let bench = bench().await;
    let device = DeviceId(3);
    let peer = bench.nodes[1].lanes.peers.peer(node_key(0));
    let order = cluster_key().sign(&bench.order());
    let requests = [
        Request::Put { device, key: key(1, 5), root: root_of(b"x") },
        Request::Replace { device, key: key(1, 1), root: root_of(b"x") },
        Request::Get { device, key: key(1, 1), range: whole(1) },
        Request::Verify { device, key: key(1, 1) },
        Request::Delete { device, keys: vec![key(1, 1)] },
        Request::List { device, after: None, limit: 1 },
        Request::Status { damaged_seen: None, damaged_max: 0 },
        Request::StartScrub { device },
        Request::SetLayout { signature: Bytes::new() },
        Request::Copy { device, order },
        Request::Echo,
    ];
    for request in requests {
        let payload = Bytes::from_static(if request.has_payload() { b"x" } else { b"" });
        let call = Call {
            request,
            payload,
            priority: Priority::Normal,
            deadline: Instant::now() + Duration::from_secs(10),
            answer_len_max: 1,
        };
        let answer = peer.call_once(LaneClass::Control, &call).await.unwrap();
        assert_eq!(
            answer.response,
            Response::Refused(Refusal::NotAllowed),
            "{}",
            call.request.name()
        );
    }
    let there = bench.nodes[0].host.devices.lock()[&device].clone();
    assert_eq!(there.get(key(1, 1), whole(LEN)).await.unwrap(), bench.bytes);
    assert_eq!(there.status().shard_count, 1);
}

#[tokio::test]
async fn a_process_without_the_cluster_key_makes_no_orders() {
    let bench = bench().await;
    let nodes: &Process = &bench.nodes[2];
    let target = nodes.lanes.device(node_key(1), DeviceId(4));
    let unsupported = CopyShardError::Unsupported { device: DeviceId(4) };
    let copied = target.copy_from(DeviceId(3), key(1, 1), root_of(&bench.bytes), 1).await;
    assert_eq!(copied, Err(unsupported));
}
