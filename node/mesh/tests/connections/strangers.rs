//! Whoever is not in the layout can do nothing, and cannot make us hold anything.

use std::{
    io,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{DialOpts, PortUse, upgrade::Version},
    },
    identity, noise, tcp, yamux,
};
use tokio::{io::AsyncWriteExt as _, sync::mpsc, task::JoinSet};

use crate::hosts::{Member, cluster_key, gateway, introduce, layout, node, question};

/// Every protocol of a mesh but the one for strangers.
const PROTOCOLS: [&str; 6] = [
    "/datamesh/shard/1",
    "/datamesh/kad/1.0.0",
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/libp2p/circuit/relay/0.2.0/hop",
];

/// What a stranger that follows libp2p's handshakes has after dialling.
struct Stranger {
    streams: mpsc::Receiver<SubstreamBox>,
    _driver: JoinSet<()>,
}

impl Stranger {
    async fn dial(target: &Member) -> io::Result<Self> {
        let keypair = identity::Keypair::generate_ed25519();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::new())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&keypair).map_err(io::Error::other)?)
            .multiplex(yamux::Config::default())
            .boxed();
        let address: Multiaddr = target.mesh.addresses()[0].parse().map_err(io::Error::other)?;
        let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dial = transport.dial(address, opts).map_err(io::Error::other)?;
        let (_, muxer): (PeerId, StreamMuxerBox) = dial.await?;
        Ok(Self::drive(muxer))
    }

    /// Opens streams for whoever takes them and keeps the connection going.
    fn drive(mut muxer: StreamMuxerBox) -> Self {
        let (sender, streams) = mpsc::channel::<SubstreamBox>(1);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            loop {
                let polled = poll_fn(|cx| {
                    if let std::task::Poll::Ready(Err(_)) = muxer.poll_unpin(cx) {
                        return std::task::Poll::Ready(None);
                    }
                    if sender.capacity() > 0 {
                        return muxer.poll_outbound_unpin(cx).map(Result::ok);
                    }
                    std::task::Poll::Pending
                });
                match tokio::time::timeout(Duration::from_millis(1), polled).await {
                    Ok(Some(stream)) => {
                        if sender.send(stream).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    // The receiver may have made room.
                    Err(_) => {}
                }
            }
        });
        Self { streams, _driver: driver }
    }

    async fn stream(&mut self) -> io::Result<SubstreamBox> {
        self.streams.recv().await.ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }

    /// Proposes a protocol on a new stream; answers the stream when it is accepted.
    async fn propose(&mut self, protocol: &str) -> io::Result<SubstreamBox> {
        let mut stream = self.stream().await?;
        let negotiation = async {
            for line in ["/multistream/1.0.0", protocol] {
                stream.write_all(&[line.len() as u8 + 1]).await?;
                stream.write_all(line.as_bytes()).await?;
                stream.write_all(b"\n").await?;
            }
            stream.flush().await?;
            let mut answers = Vec::new();
            for _ in 0..2 {
                let mut len = [0];
                stream.read_exact(&mut len).await?;
                let mut line = vec![0; usize::from(len[0])];
                stream.read_exact(&mut line).await?;
                answers.push(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if answers[1] == protocol {
                return Ok(());
            }
            Err(io::Error::other(format!("refused: {}", answers[1])))
        };
        match tokio::time::timeout(Duration::from_secs(5), negotiation).await {
            Ok(negotiated) => negotiated.map(|()| stream),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Bytes that this process has in memory. proc(5), statm, second field, in pages.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second field is a number") * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_opens_nothing_on_a_node() {
    let node = node(1).await;
    introduce(&layout(1, crate::hosts::config(9).identity.peer(), &[node.mesh.peer()]), &[&node]);
    for protocol in PROTOCOLS.into_iter().chain(["/datamesh/join/1"]) {
        // It may be hung up on before it has seen the end of the handshake.
        let Ok(mut stranger) = Stranger::dial(&node).await else { continue };
        let refused = stranger.propose(protocol).await.err().unwrap();
        assert_ne!(refused.kind(), io::ErrorKind::TimedOut, "{protocol}");
    }
    assert!(node.host.asked.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_opens_nothing_but_joins_on_a_gateway() {
    let gateway = gateway(1).await;
    for protocol in PROTOCOLS {
        let mut stranger = Stranger::dial(&gateway).await.unwrap();
        let refused = stranger.propose(protocol).await.err().unwrap();
        assert!(refused.to_string().contains("refused: na"), "{protocol}: {refused}");
    }
    let mut stranger = Stranger::dial(&gateway).await.unwrap();
    let mut first = stranger.propose("/datamesh/join/1").await.unwrap();
    // A second one is reset, whatever is negotiated.
    let second = stranger.propose("/datamesh/join/1").await;
    if let Ok(mut second) = second {
        assert!(!matches!(second.read(&mut [0]).await, Ok(1..)));
    }
    // A question that is too long ends the stream and nothing else.
    first.write_all(&(1_u32 << 20).to_be_bytes()).await.unwrap();
    first.flush().await.unwrap();
    assert!(!matches!(first.read(&mut [0]).await, Ok(1..)));
    assert!(gateway.host.asked.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_shown_out_after_its_time() {
    let gateway = gateway(1).await;
    let mut stranger = Stranger::dial(&gateway).await.unwrap();
    let mut stream = stranger.propose("/datamesh/join/1").await.unwrap();
    let since = Instant::now();
    let read = tokio::time::timeout(Duration::from_secs(15), stream.read(&mut [0])).await;
    assert!(!matches!(read.expect("the stream ends"), Ok(1..)));
    assert!(since.elapsed() > Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_end_the_connection_and_hold_nothing() {
    let gateway = gateway(1).await;
    let before = resident_bytes();
    for _ in 0..8 {
        let mut stranger = Stranger::dial(&gateway).await.unwrap();
        let mut held = Vec::new();
        while held.len() < 1000 {
            let Ok(Ok(mut stream)) =
                tokio::time::timeout(Duration::from_secs(2), stranger.stream()).await
            else {
                break;
            };
            let flood = async {
                stream.write_all(&[b'x'; 64 << 10]).await?;
                stream.flush().await
            };
            let flooded = tokio::time::timeout(Duration::from_millis(50), flood).await;
            held.push(stream);
            if matches!(flooded, Ok(Err(_))) {
                break;
            }
        }
        assert!(held.len() < 1000, "the connection survived {} streams", held.len());
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("after 8 strangers with streams: {} KiB more", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_hold_nothing_and_members_still_get_in() {
    let (gateway, node) = (gateway(1).await, node(2).await);
    let layout = layout(1, gateway.mesh.peer(), &[node.mesh.peer()]);
    introduce(&layout, &[&gateway, &node]);
    let address: Multiaddr = node.mesh.addresses()[0].parse().unwrap();
    let port = address.to_string().rsplit('/').next().unwrap().parse::<u16>().unwrap();
    let before = resident_bytes();
    let mut sockets = Vec::new();
    for index in 0..500_usize {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let garbage: Vec<u8> = (0..4096_usize).map(|i| (i * 131 + index * 17) as u8).collect();
        if index % 2 == 0 {
            // The other side may have hung up already.
            let _ = socket.write_all(&garbage).await;
        }
        sockets.push(socket);
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("500 sockets of garbage and silence: {} KiB more", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let since = Instant::now();
    let signed = cluster_key().sign(&layout);
    while let Err(error) = gateway.mesh.push_layout(node.mesh.peer(), &signed).await {
        assert!(since.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("a member got in after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_beyond_the_bound_are_refused_and_joining_works_again_later() {
    let gateway = gateway(1).await;
    let mut strangers = Vec::new();
    let mut refused = 0;
    for _ in 0..80 {
        let mut stranger = Stranger::dial(&gateway).await.unwrap();
        match stranger.propose("/datamesh/join/1").await {
            Ok(stream) => strangers.push((stranger, stream)),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((strangers.len(), refused), (64, 16));
    drop(strangers);
    let node = node(2).await;
    let (to, at) = (gateway.mesh.peer(), gateway.mesh.addresses());
    let since = Instant::now();
    while let Err(error) = node.mesh.join(to, &at, &question("n")).await {
        assert!(since.elapsed() < Duration::from_secs(15), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
