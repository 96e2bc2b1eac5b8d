//! The answering end against whatever a peer may send.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{AsyncReadExt, io::ReadHalf, io::WriteHalf};
use node_proto::{
    DeviceId, PeerKey,
    conformance::{key, payload, root_of, whole},
    wire::{
        FrameHeader, FrameKind, Goodbye, GoodbyeCode, Hello, LaneKind, PAYLOAD_LEN_BYTES_MAX,
        Priority, Refusal, Request, RequestFrame, RequestHead, RequestId, Response, Welcome,
    },
};

use super::rig::{GATEWAY, Net, Process, memory, node_key};
use crate::{
    lane::{FrameReader, FrameWriter, Progress, ReadFrameError},
    stream::{LaneClass, LaneStream},
};

/// The asking end, by hand.
struct Raw {
    reader: FrameReader<ReadHalf<LaneStream>>,
    writer: FrameWriter<WriteHalf<LaneStream>>,
}

impl Raw {
    async fn connect(net: &Arc<Net>, from: PeerKey) -> Self {
        let stream = net.connect(from, node_key(0), LaneClass::Upload).await.unwrap();
        let (read, write) = stream.split();
        let progress = Arc::new(Progress::new());
        let reader = FrameReader::new(read, Arc::clone(&progress));
        Self { reader, writer: FrameWriter::new(write, progress) }
    }

    async fn greeted(net: &Arc<Net>) -> Self {
        let mut raw = Self::connect(net, GATEWAY).await;
        raw.send(FrameKind::Hello, 0, &Hello { version: 1, class: LaneKind::Upload }.encode())
            .await;
        let (header, body) = raw.receive().await.unwrap();
        assert_eq!(header.kind, FrameKind::Welcome);
        let welcome = Welcome::decode(&body).unwrap();
        assert_eq!((welcome.version, welcome.requests_max), (1, 512));
        assert_eq!(welcome.payload_len_bytes_max as usize, PAYLOAD_LEN_BYTES_MAX);
        raw
    }

    async fn send(&mut self, kind: FrameKind, id: u64, body: &[u8]) {
        let len_bytes = u32::try_from(body.len()).unwrap();
        let header = FrameHeader { kind, request: RequestId(id), len_bytes };
        self.writer.write(&header.encode(), body).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    async fn ask(&mut self, id: u64, request: Request, payload_len_bytes: usize) {
        let payload_len_bytes = u32::try_from(payload_len_bytes).unwrap();
        let head =
            RequestHead { deadline_ms: 10_000, priority: Priority::Normal, payload_len_bytes };
        let body = RequestFrame { head, request }.encode();
        self.send(FrameKind::Request, id, &body).await;
    }

    async fn receive(&mut self) -> Result<(FrameHeader, Bytes), ReadFrameError> {
        let received = async {
            let header = self.reader.header().await?;
            Ok((header, self.reader.body(header.len_bytes).await?))
        };
        tokio::time::timeout(Duration::from_secs(20), received).await.expect("an answer in time")
    }

    async fn response(&mut self) -> (u64, Response) {
        let (header, body) = self.receive().await.unwrap();
        assert_eq!(header.kind, FrameKind::Response);
        (header.request.0, Response::decode(&body).unwrap())
    }

    async fn goodbye(&mut self) -> GoodbyeCode {
        let (header, body) = self.receive().await.unwrap();
        assert_eq!(header.kind, FrameKind::Goodbye);
        let goodbye = Goodbye::decode(&body).unwrap();
        assert!(!goodbye.reason.is_empty());
        assert!(self.receive().await.is_err(), "something comes after a goodbye");
        goodbye.code
    }
}

fn put(number: u32, bytes: &[u8]) -> Request {
    Request::Put { device: DeviceId(3), key: key(20, number), root: root_of(bytes) }
}

async fn node() -> (Arc<Net>, Process) {
    let net = Net::new();
    let (_, mut nodes) = net.cluster(vec![vec![memory(3)]]);
    (net, nodes.remove(0))
}

#[tokio::test]
async fn strangers_are_sent_away_whatever_they_say() {
    let (net, node) = node().await;
    let stranger = PeerKey([66; 32]);
    let mut raw = Raw::connect(&net, stranger).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Refused);
    let mut raw = Raw::connect(&net, stranger).await;
    raw.send(FrameKind::Hello, 0, &Hello { version: 1, class: LaneKind::Upload }.encode()).await;
    raw.ask(1, Request::Status { damaged_seen: None, damaged_max: 0 }, 0).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Refused);
    // Before there is a layout, everybody is a stranger.
    let other = net.start(node_key(7), vec![memory(9)], 0);
    let stream = net.connect(GATEWAY, node_key(7), LaneClass::Control).await.unwrap();
    let (read, _write) = stream.split();
    let mut reader = FrameReader::new(read, Arc::new(Progress::new()));
    assert_eq!(reader.header().await.unwrap().kind, FrameKind::Goodbye);
    drop((node, other));
}

#[tokio::test]
async fn a_peer_that_leaves_the_layout_is_refused_on_its_old_lanes() {
    let (net, node) = node().await;
    let mut raw = Raw::greeted(&net).await;
    raw.ask(1, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (1, Response::Done));
    let mut layout = super::rig::layout(2, &[&[3]]);
    layout.gateways.clear();
    node.lanes.set_layout(&layout);
    raw.ask(2, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (2, Response::Refused(Refusal::NotAllowed)));
}

#[tokio::test]
async fn other_versions_are_told_so() {
    let (net, _node) = node().await;
    let mut raw = Raw::connect(&net, GATEWAY).await;
    raw.send(FrameKind::Hello, 0, &Hello { version: 0, class: LaneKind::Control }.encode()).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Version);
    // A newer one is answered with what is spoken here.
    let mut raw = Raw::connect(&net, GATEWAY).await;
    raw.send(FrameKind::Hello, 0, &Hello { version: 9, class: LaneKind::Control }.encode()).await;
    let (header, body) = raw.receive().await.unwrap();
    assert_eq!(header.kind, FrameKind::Welcome);
    assert_eq!(Welcome::decode(&body).unwrap().version, 1);
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_ends_the_lane() {
    let (net, _node) = node().await;
    let mut raw = Raw::connect(&net, GATEWAY).await;
    raw.send(FrameKind::Request, 1, b"x").await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    let mut raw = Raw::connect(&net, GATEWAY).await;
    raw.send(FrameKind::Hello, 0, b"HTTP/1.1").await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    for kind in [FrameKind::Welcome, FrameKind::Response, FrameKind::Pong, FrameKind::Hello] {
        let mut raw = Raw::greeted(&net).await;
        raw.send(kind, 1, b"").await;
        assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol, "{kind:?}");
    }
    // A frame of an unknown kind.
    let mut raw = Raw::greeted(&net).await;
    raw.writer.write(&[0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]).await.unwrap();
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    // A payload that nobody announced, and one that is longer than announced.
    let mut raw = Raw::greeted(&net).await;
    raw.send(FrameKind::Data, 1, b"x").await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    let mut raw = Raw::greeted(&net).await;
    raw.ask(1, put(1, b"x"), 10).await;
    raw.send(FrameKind::Data, 1, &[0; 11]).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    // Two requests with one id.
    let mut raw = Raw::greeted(&net).await;
    raw.ask(1, put(1, b"x"), 10).await;
    raw.ask(1, put(1, b"x"), 10).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
    // A request of which not even the length of the payload can be read.
    let mut raw = Raw::greeted(&net).await;
    raw.send(FrameKind::Request, 1, &[0xff; 3]).await;
    assert_eq!(raw.goodbye().await, GoodbyeCode::Protocol);
}

#[tokio::test]
async fn requests_that_are_not_understood_are_refused_and_the_lane_goes_on() {
    let (net, _node) = node().await;
    let mut raw = Raw::greeted(&net).await;
    // A head that announces a payload of two bytes, and a request of the future.
    raw.send(FrameKind::Request, 1, &[10, 1, 2, 99]).await;
    let (id, refused) = raw.response().await;
    assert!(matches!(refused, Response::Refused(Refusal::Invalid { .. })), "{refused:?}");
    assert_eq!(id, 1);
    raw.send(FrameKind::Data, 1, b"xy").await;
    // Over a bound.
    let range = node_proto::ByteRange { offset_bytes: 0, len_bytes: 1 << 40 };
    raw.ask(2, Request::Get { device: DeviceId(3), key: key(1, 1), range }, 0).await;
    let (_, refused) = raw.response().await;
    assert!(matches!(refused, Response::Refused(Refusal::Invalid { .. })), "{refused:?}");
    // A device that is elsewhere.
    let device = DeviceId(44);
    raw.ask(3, Request::Verify { device, key: key(1, 1) }, 0).await;
    assert_eq!(raw.response().await, (3, Response::Refused(Refusal::NoDevice { device })));
    raw.ask(4, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (4, Response::Done));
    raw.send(FrameKind::Ping, 5, b"").await;
    assert_eq!(raw.receive().await.unwrap().0.kind, FrameKind::Pong);
}

#[tokio::test]
async fn payloads_over_the_budget_are_answered_busy_and_not_kept() {
    let (net, node) = node().await;
    let all = node.lanes.serving.budget.try_reserve(64 << 20).unwrap();
    let mut raw = Raw::greeted(&net).await;
    let bytes = payload(1, 300_000);
    raw.ask(1, put(1, &bytes), bytes.len()).await;
    // Before the payload came.
    assert_eq!(raw.response().await, (1, Response::Busy));
    raw.send(FrameKind::Data, 1, &bytes[..200_000]).await;
    raw.send(FrameKind::Data, 1, &bytes[200_000..]).await;
    let range = whole(300_000);
    raw.ask(2, Request::Get { device: DeviceId(3), key: key(20, 1), range }, 0).await;
    assert_eq!(raw.response().await, (2, Response::Busy));
    // A payload that is cut instead of sent.
    raw.ask(3, put(2, &bytes), bytes.len()).await;
    assert_eq!(raw.response().await, (3, Response::Busy));
    raw.send(FrameKind::Cancel, 3, b"").await;
    drop(all);
    raw.ask(4, put(1, &bytes), bytes.len()).await;
    raw.send(FrameKind::Data, 4, &bytes[..250_000]).await;
    raw.send(FrameKind::Data, 4, &bytes[250_000..]).await;
    assert_eq!(raw.response().await, (4, Response::Done));
    // Everything was given back.
    assert!(node.lanes.serving.budget.try_reserve(64 << 20).is_some());
}

#[tokio::test]
async fn a_cancelled_payload_gives_its_memory_back() {
    let (net, node) = node().await;
    let mut raw = Raw::greeted(&net).await;
    for id in 1..50 {
        raw.ask(id, put(1, b"x"), 2 << 20).await;
        raw.send(FrameKind::Data, id, &[0; 100]).await;
        raw.send(FrameKind::Cancel, id, b"").await;
    }
    raw.ask(99, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (99, Response::Done));
    assert!(node.lanes.serving.budget.try_reserve(64 << 20).is_some());
}

#[tokio::test]
async fn more_requests_than_allowed_are_answered_busy() {
    let (net, _node) = node().await;
    let mut raw = Raw::greeted(&net).await;
    // Unfinished payloads count.
    for id in 1..=512 {
        raw.ask(id, put(1, b"x"), 10).await;
    }
    raw.ask(1000, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (1000, Response::Busy));
    raw.send(FrameKind::Cancel, 7, b"").await;
    raw.ask(1001, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (1001, Response::Done));
}

#[tokio::test]
async fn a_peer_has_a_bounded_number_of_lanes() {
    let (net, _node) = node().await;
    let mut raws = Vec::new();
    for _ in 0..16 {
        raws.push(Raw::greeted(&net).await);
    }
    let hello = Hello { version: 1, class: LaneKind::Upload }.encode();
    let mut one_more = Raw::connect(&net, GATEWAY).await;
    one_more.send(FrameKind::Hello, 0, &hello).await;
    assert_eq!(one_more.goodbye().await, GoodbyeCode::Refused);
    raws.pop();
    for _ in 0..100 {
        let mut again = Raw::connect(&net, GATEWAY).await;
        again.send(FrameKind::Hello, 0, &hello).await;
        if again.receive().await.unwrap().0.kind == FrameKind::Welcome {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place of a lane that ended was not given to another");
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let (net, node) = node().await;
    for seed in 0..200 {
        let mut raw = match seed % 2 {
            0 => Raw::greeted(&net).await,
            _ => Raw::connect(&net, GATEWAY).await,
        };
        // The lane may end before all of it is written.
        let _ = raw.writer.write(&payload(seed, 5000), &[]).await;
        let _ = raw.writer.flush().await;
    }
    let mut raw = Raw::greeted(&net).await;
    raw.ask(1, Request::Echo, 0).await;
    assert_eq!(raw.response().await, (1, Response::Done));
    drop(node);
}
