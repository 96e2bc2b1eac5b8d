//! The asking end against whatever a peer may answer.

use node_proto::{
    DeviceId,
    conformance::{key, payload, whole},
    wire::{
        FrameHeader, Goodbye, GoodbyeCode, HEADER_LEN_BYTES, Priority, Request as Wanted, VERSION,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::*;

const PEER: PeerKey = PeerKey([2; 32]);

/// Kind, request and body.
type Frame<'a> = (FrameKind, u64, &'a [u8]);

/// The answering end, by hand.
struct Peer(DuplexStream);

impl Peer {
    async fn send(&mut self, kind: FrameKind, id: u64, body: &[u8]) {
        let len_bytes = u32::try_from(body.len()).unwrap();
        let header = FrameHeader { kind, request: RequestId(id), len_bytes };
        self.0.write_all(&[&header.encode()[..], body].concat()).await.unwrap();
    }

    async fn answer(&mut self, id: u64, response: &Response) {
        self.send(FrameKind::Response, id, &response.encode()).await;
    }

    async fn receive(&mut self) -> (FrameKind, u64) {
        let mut header = [0; HEADER_LEN_BYTES];
        self.0.read_exact(&mut header).await.unwrap();
        let header = FrameHeader::decode(&header).unwrap();
        let mut body = vec![0; header.len_bytes as usize];
        self.0.read_exact(&mut body).await.unwrap();
        (header.kind, header.request.0)
    }
}

fn welcome() -> Welcome {
    Welcome { version: VERSION, requests_max: 10, payload_len_bytes_max: 1 << 20 }
}

/// A lane whose other end is in the test's hands.
async fn lane() -> (Arc<Lane>, tokio::task::JoinHandle<LaneEnd>, Peer) {
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let mut peer = Peer(theirs);
    let greeting = Driver::greet(Box::new(ours.compat()), PEER, LaneClass::Download);
    let greeted = async {
        assert_eq!(peer.receive().await.0, FrameKind::Hello);
        peer.send(FrameKind::Welcome, 0, &welcome().encode()).await;
    };
    let (driver, ()) = tokio::join!(greeting, greeted);
    let driver = driver.unwrap();
    let lane = driver.lane();
    #[expect(clippy::disallowed_methods, reason = "the test's runtime ends with the test")]
    let driving = tokio::spawn(drive(driver));
    (lane, driving, peer)
}

fn get(len: u32) -> Call {
    Call {
        request: Wanted::Get { device: DeviceId(3), key: key(1, 1), range: whole(len as usize) },
        payload: Bytes::new(),
        priority: Priority::Normal,
        deadline: Instant::now() + Duration::from_secs(20),
        answer_len_max: len,
    }
}

/// What a call of ten bytes ends with when the peer answers with these frames.
async fn ends_with(frames: &[Frame<'_>]) -> String {
    let (lane, driving, mut peer) = lane().await;
    let call = get(10);
    let answering = async {
        assert_eq!(peer.receive().await, (FrameKind::Request, 1));
        for (kind, id, body) in frames {
            peer.send(*kind, *id, body).await;
        }
    };
    let (result, ()) = tokio::join!(lane.call(&call), answering);
    let Err(CallError::Lost { reason, .. }) = result else { panic!("{result:?}") };
    assert_eq!(driving.await.unwrap(), LaneEnd::Broken);
    assert!(lane.has_ended() && lane.call(&call).await.is_err());
    reason
}

#[tokio::test]
async fn answers_that_the_protocol_does_not_allow_end_the_lane() {
    let announced = Response::Payload { len_bytes: 10 }.encode();
    let longer = Response::Payload { len_bytes: 11 }.encode();
    let response = FrameKind::Response;
    let cases: [(&[Frame<'_>], &str); 9] = [
        (&[(response, 1, b"\xff\xff")], "cannot be understood"),
        (&[(response, 2, &announced)], "an answer to nothing"),
        (&[(response, 0, &announced)], "an answer to nothing"),
        (&[(response, 1, &longer)], "a longer payload"),
        (&[(response, 1, &announced), (response, 1, &announced)], "two payloads"),
        (&[(FrameKind::Data, 1, b"x")], "not announced"),
        (&[(response, 1, &announced), (FrameKind::Data, 1, &[0; 11])], "more payload"),
        (&[(FrameKind::Data, 9, b"x")], "an answer to nothing"),
        (&[(FrameKind::Ping, 0, b"")], "a frame of who asks"),
    ];
    for (frames, expected) in cases {
        let reason = ends_with(frames).await;
        assert!(reason.contains(expected), "{reason} instead of {expected}");
    }
}

#[tokio::test]
async fn a_goodbye_ends_the_lane_and_says_why() {
    let goodbye = Goodbye { code: GoodbyeCode::Shutdown, reason: "going home".to_owned() };
    let reason = ends_with(&[(FrameKind::Goodbye, 0, &goodbye.encode())]).await;
    assert!(reason.contains("going home"), "{reason}");
    let reason = ends_with(&[(FrameKind::Goodbye, 0, &[99])]).await;
    assert!(reason.contains("cannot be understood"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_does_not_greet_well_gets_no_lane() {
    let goodbye = Goodbye { code: GoodbyeCode::Refused, reason: "who are you".to_owned() };
    let other = Welcome { version: 2, ..welcome() };
    let cases: [(FrameKind, &[u8], &str); 4] = [
        (FrameKind::Goodbye, &goodbye.encode(), "who are you"),
        (FrameKind::Welcome, &other.encode(), "cannot be understood"),
        (FrameKind::Welcome, b"x", "cannot be understood"),
        (FrameKind::Pong, b"", "cannot be understood"),
    ];
    for (kind, body, expected) in cases {
        let (ours, theirs) = tokio::io::duplex(16 << 10);
        let mut peer = Peer(theirs);
        let greeting = Driver::greet(Box::new(ours.compat()), PEER, LaneClass::Control);
        let (greeted, ()) = tokio::join!(greeting, peer.send(kind, 0, body));
        let error = greeted.err().expect("no lane").to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_greets_is_not_waited_for() {
    let (ours, _theirs) = tokio::io::duplex(16 << 10);
    let started = Instant::now();
    let greeted = Driver::greet(Box::new(ours.compat()), PEER, LaneClass::Control).await;
    assert!(greeted.is_err() && started.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn an_early_answer_stops_the_payload() {
    let (lane, _driving, mut peer) = lane().await;
    let call = Call { payload: payload(1, 1 << 20), ..get(0) };
    let answering = async {
        assert_eq!(peer.receive().await, (FrameKind::Request, 1));
        assert_eq!(peer.receive().await, (FrameKind::Data, 1));
        peer.answer(1, &Response::Busy).await;
        let mut slices = 1;
        while peer.receive().await.0 == FrameKind::Data {
            slices += 1;
        }
        slices
    };
    let (answer, slices) = tokio::join!(lane.call(&call), answering);
    assert_eq!(answer.unwrap().response, Response::Busy);
    assert!(slices < 4, "all of it was sent before the CANCEL");
}

#[tokio::test]
async fn more_requests_than_allowed_wait_for_their_turn() {
    let (lane, _driving, mut peer) = lane().await;
    let call = get(10);
    let calls = futures::future::join_all((0..25).map(|_| lane.call(&call)));
    let answering = async {
        let mut open = Vec::new();
        for _ in 0..10 {
            open.push(peer.receive().await.1);
        }
        let eleventh = tokio::time::timeout(Duration::from_millis(100), peer.receive()).await;
        assert!(eleventh.is_err(), "an eleventh request came");
        for done in 0..25 {
            peer.answer(open.remove(0), &Response::Done).await;
            if done < 15 {
                open.push(peer.receive().await.1);
            }
        }
    };
    let (answers, ()) = tokio::join!(calls, answering);
    assert!(answers.into_iter().all(|answer| answer.unwrap().response == Response::Done));
    assert_eq!(lane.load(), 0);
}

#[tokio::test]
async fn a_payload_over_the_peers_bound_is_not_sent() {
    let (lane, _driving, _peer) = lane().await;
    let call = Call { payload: payload(1, (1 << 20) + 1), ..get(0) };
    let refused = lane.call(&call).await.unwrap_err();
    assert!(matches!(refused, CallError::Senseless { .. }), "{refused}");
    assert!(!lane.has_ended());
}

#[tokio::test(start_paused = true)]
async fn waiting_lanes_ping_and_pongs_keep_them() {
    let (lane, driving, mut peer) = lane().await;
    let call = Call { deadline: Instant::now() + Duration::from_secs(60), ..get(10) };
    let answering = async {
        assert_eq!(peer.receive().await, (FrameKind::Request, 1));
        for _ in 0..8 {
            assert_eq!(peer.receive().await.0, FrameKind::Ping);
            peer.send(FrameKind::Pong, 0, b"").await;
        }
        // And without them it ends.
        let since = Instant::now();
        assert_eq!(peer.receive().await.0, FrameKind::Ping);
        assert_eq!(driving.await.unwrap(), LaneEnd::Stalled);
        since.elapsed()
    };
    let (lost, took) = tokio::join!(lane.call(&call), answering);
    assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
    assert!(took >= STALL_AFTER && took < STALL_AFTER + Duration::from_secs(2), "{took:?}");
}
