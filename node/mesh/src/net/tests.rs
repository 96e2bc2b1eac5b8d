use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{Identity, Security, identity::peer_key};

async fn net_with(
    seed: u8,
    change: impl FnOnce(&mut MeshConfig),
) -> (Arc<Net>, mpsc::Receiver<Inbound>) {
    let mut config = MeshConfig::new(Identity::from_seed([seed; 32]));
    config.listen = vec!["127.0.0.1:0".to_owned()];
    change(&mut config);
    let (net, inbound, _) = Net::start(&config).await.unwrap();
    (net, inbound)
}

async fn net(seed: u8) -> (Arc<Net>, mpsc::Receiver<Inbound>) {
    net_with(seed, |_| {}).await
}

fn introduce(nets: &[&Net]) {
    let all: HashMap<_, _> = nets.iter().map(|n| (peer_id(n.peer), n.addresses())).collect();
    for net in nets {
        net.set_members(all.clone());
    }
}

async fn next(inbound: &mut mpsc::Receiver<Inbound>) -> Inbound {
    tokio::time::timeout(Duration::from_secs(5), inbound.recv()).await.unwrap().unwrap()
}

/// Says one byte and expects it back, so that both ends hold the stream.
async fn echo(opened: &mut LaneStream, inbound: &mut Inbound, byte: u8) {
    let mut heard = [0];
    opened.write_all(&[byte]).await.unwrap();
    opened.flush().await.unwrap();
    inbound.stream.read_exact(&mut heard).await.unwrap();
    inbound.stream.write_all(&heard).await.unwrap();
    inbound.stream.flush().await.unwrap();
    opened.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, [byte]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_class_has_a_connection_of_its_own_and_keeps_it() {
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    let mut connections: HashMap<LaneClass, std::collections::HashSet<_>> = HashMap::new();
    let mut held = Vec::new();
    for round in 0..5 {
        for class in LaneClass::ALL {
            let mut opened = a.open(b.peer, class).await.unwrap();
            let mut accepted = next(&mut inbound).await;
            echo(&mut opened, &mut accepted, round).await;
            assert_eq!(accepted.peer, a.peer);
            connections.entry(class).or_default().insert(accepted.connection);
            held.push((opened, accepted));
        }
    }
    // Connections that others made to the same peer are not used for lanes.
    let mut back = b.open(a.peer, LaneClass::Control).await.unwrap();
    back.close().await.unwrap();
    let all: std::collections::HashSet<_> = connections.values().flatten().collect();
    assert!(connections.values().all(|ids| ids.len() == 1), "{connections:?}");
    assert_eq!(all.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_handshakes_prove_peers_and_carry_streams() {
    for (security, expected) in [(Security::Tls, "tls1.3"), (Security::Noise, "noise")] {
        let (a, _inbound_a) = net_with(1, |config| config.security = security).await;
        let (b, mut inbound) = net_with(2, |_| {}).await;
        introduce(&[&a, &b]);
        let mut opened = a.open(b.peer, LaneClass::Control).await.unwrap();
        let mut accepted = next(&mut inbound).await;
        echo(&mut opened, &mut accepted, 1).await;
        let known = a.roster.all();
        let (_, known) = known.iter().find(|(id, _)| peer_key(id) == Some(b.peer)).unwrap();
        assert_eq!(known.security, Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_without_a_common_handshake_do_not_meet() {
    let (a, _inbound_a) = net_with(1, |config| config.security = Security::Tls).await;
    let (b, _inbound_b) = net_with(2, |config| config.security = Security::Noise).await;
    introduce(&[&a, &b]);
    let refused = a.open(b.peer, LaneClass::Control).await.err().unwrap();
    assert!(matches!(refused, OpenLaneError::Unreachable { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inbound_streams_over_the_bound_are_refused_and_the_rest_arrives() {
    const OPENED: usize = 200;
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    // Nobody takes streams meanwhile: the channel fills, then what the connection holds back.
    let mut opened = Vec::new();
    for class in LaneClass::ALL {
        for _ in 0..OPENED {
            opened.push(a.open(b.peer, class).await.unwrap());
        }
    }
    let mut arrived = Vec::new();
    while let Ok(Some(stream)) =
        tokio::time::timeout(Duration::from_millis(500), inbound.recv()).await
    {
        arrived.push(stream);
    }
    assert!(arrived.len() >= INBOUND_MAX, "{} arrived", arrived.len());
    for stream in &mut arrived {
        stream.stream.write_all(&[1]).await.unwrap();
        stream.stream.flush().await.unwrap();
    }
    // Every opener learns what became of its stream: a byte, or an end.
    let (mut served, mut refused) = (0, 0);
    for stream in &mut opened {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut byte)).await;
        match read.expect("no stream is left in the dark") {
            Ok(1) => served += 1,
            _ => refused += 1,
        }
    }
    assert_eq!(served, arrived.len());
    assert_eq!(served + refused, 3 * OPENED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connection_is_dialled_again() {
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    let mut opened = a.open(b.peer, LaneClass::Upload).await.unwrap();
    let mut accepted = next(&mut inbound).await;
    echo(&mut opened, &mut accepted, 1).await;
    let mut other = a.open(b.peer, LaneClass::Download).await.unwrap();
    let mut accepted_other = next(&mut inbound).await;
    echo(&mut other, &mut accepted_other, 2).await;

    a.abandon(b.peer, LaneClass::Upload);
    let ended = tokio::time::timeout(Duration::from_secs(5), opened.read(&mut [0])).await.unwrap();
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");

    let mut again = a.open(b.peer, LaneClass::Upload).await.unwrap();
    let mut accepted_again = next(&mut inbound).await;
    echo(&mut again, &mut accepted_again, 3).await;
    assert_ne!(accepted_again.connection, accepted.connection);
    // The other class did not notice.
    echo(&mut other, &mut accepted_other, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_restarts_is_reached_again() {
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    let mut opened = a.open(b.peer, LaneClass::Control).await.unwrap();
    let mut accepted = next(&mut inbound).await;
    echo(&mut opened, &mut accepted, 1).await;
    let address = b.addresses()[0].to_string();
    b.shutdown().await;
    assert!(a.open(b.peer, LaneClass::Control).await.is_err());

    let (b, mut inbound) = net_with(2, |config| config.listen = vec![address]).await;
    introduce(&[&a, &b]);
    let since = Instant::now();
    let mut opened = loop {
        match a.open(b.peer, LaneClass::Control).await {
            Ok(opened) => break opened,
            Err(error) => assert!(since.elapsed() < Duration::from_secs(5), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut accepted = next(&mut inbound).await;
    echo(&mut opened, &mut accepted, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_the_layout_is_disconnected_and_not_dialled() {
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    let mut opened = a.open(b.peer, LaneClass::Control).await.unwrap();
    let mut accepted = next(&mut inbound).await;
    echo(&mut opened, &mut accepted, 1).await;
    b.set_members(HashMap::from([(peer_id(b.peer), vec![])]));
    let ended = tokio::time::timeout(Duration::from_secs(5), opened.read(&mut [0])).await.unwrap();
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    // a still knows b and may dial it, and is refused before a stream opens.
    assert!(a.open(b.peer, LaneClass::Control).await.is_err());
    assert!(inbound.try_recv().is_err());
    let refused = b.open(a.peer, LaneClass::Control).await.err().unwrap();
    assert_eq!(refused, OpenLaneError::NotAdmitted { peer: a.peer });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cannot_be_reached_is_left_alone_for_a_while() {
    let (a, _inbound_a) = net_with(1, |config| config.discovery = false).await;
    let absent = Identity::from_seed([9; 32]).peer();
    let nowhere = address::parse("127.0.0.1:1").unwrap();
    a.set_members(HashMap::from([(peer_id(absent), vec![nowhere])]));
    let first = a.open(absent, LaneClass::Control).await.err().unwrap();
    assert!(matches!(&first, OpenLaneError::Unreachable { .. }), "{first:?}");
    let since = Instant::now();
    assert_eq!(a.open(absent, LaneClass::Upload).await.err().unwrap(), first);
    assert!(since.elapsed() < Duration::from_millis(40));
    let unknown = Identity::from_seed([10; 32]).peer();
    a.set_members(HashMap::from([(peer_id(unknown), vec![])]));
    let refused = a.open(unknown, LaneClass::Control).await.err().unwrap();
    assert_eq!(refused, OpenLaneError::NoAddress { peer: unknown });
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_open_at_a_time() {
    let ((a, _inbound_a), (b, mut inbound)) = (net(1).await, net(2).await);
    introduce(&[&a, &b]);
    let opening = (0..200).map(|_| a.open(b.peer, LaneClass::Control));
    let opening = futures::future::join_all(opening);
    let taking = async {
        let mut taken = Vec::new();
        for _ in 0..200 {
            taken.push(next(&mut inbound).await);
        }
        taken
    };
    let (opened, taken) = tokio::join!(opening, taking);
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(taken.len(), 200);
}

async fn line(stream: &mut (impl futures::AsyncRead + Unpin)) -> Vec<u8> {
    let mut len = [0];
    stream.read_exact(&mut len).await.unwrap();
    let mut line = vec![0; usize::from(len[0])];
    stream.read_exact(&mut line).await.unwrap();
    line
}

async fn say(stream: &mut (impl futures::AsyncWrite + Unpin), line: &[u8]) {
    stream.write_all(&[&[line.len() as u8], line].concat()).await.unwrap();
    stream.flush().await.unwrap();
}

/// A peer that follows libp2p's handshakes, leaves the first lane without an answer and takes every
/// other.
async fn slow_peer(keypair: libp2p::identity::Keypair) -> (Multiaddr, tokio::task::JoinSet<()>) {
    use futures::{StreamExt as _, future::poll_fn};
    use libp2p::{
        Transport as _,
        core::{
            muxing::StreamMuxerExt as _,
            transport::{ListenerId, TransportEvent, upgrade::Version},
        },
    };
    let mut transport = libp2p::tcp::tokio::Transport::new(libp2p::tcp::Config::new())
        .upgrade(Version::V1)
        .authenticate(libp2p::noise::Config::new(&keypair).unwrap())
        .multiplex(libp2p::yamux::Config::default())
        .boxed();
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let Some(TransportEvent::NewAddress { listen_addr, .. }) = transport.next().await else {
        panic!("not listening");
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let Some(TransportEvent::Incoming { upgrade, .. }) = transport.next().await else {
            return;
        };
        let (_, mut muxer) = upgrade.await.unwrap();
        let mut streams = tokio::task::JoinSet::new();
        let lanes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        while let Ok(mut stream) = poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await {
            let lanes = Arc::clone(&lanes);
            streams.spawn(async move {
                let version = line(&mut stream).await;
                say(&mut stream, &version).await;
                let protocol = line(&mut stream).await;
                if protocol != b"/datamesh/shard/1\n" {
                    say(&mut stream, b"na\n").await;
                } else if lanes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
                    say(&mut stream, &protocol).await;
                }
                // Held until the test ends.
                std::future::pending::<()>().await;
            });
        }
    });
    (listen_addr, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_negotiation_does_not_hold_up_the_others() {
    let identity = Identity::from_seed([8; 32]);
    let (address, _tasks) = slow_peer(identity.keypair()).await;
    let slow = identity.peer();
    let (a, _inbound) = net_with(1, |config| config.discovery = false).await;
    a.set_members(HashMap::from([(peer_id(slow), vec![address])]));
    let opening = (0..4).map(|_| a.open(slow, LaneClass::Control));
    let since = Instant::now();
    let mut opening: futures::stream::FuturesUnordered<_> = opening.collect();
    let mut opened = 0;
    while let Ok(Some(result)) =
        tokio::time::timeout(Duration::from_secs(1), futures::StreamExt::next(&mut opening)).await
    {
        opened += usize::from(result.is_ok());
    }
    assert_eq!(opened, 3, "after {:?}", since.elapsed());
}
