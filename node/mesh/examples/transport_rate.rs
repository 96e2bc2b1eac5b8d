//! How fast one stream is over loopback: raw TCP, this mesh's transport over TLS and over Noise, and
//! libp2p's stock upgrades. Run with `cargo run --release -p node-mesh --example transport_rate`.
//!
//! Each line is gigabytes per second and CPU seconds per gigabyte of both ends together, best of
//! three. ADR 0006 records what was measured.

#[path = "../src/config.rs"]
#[expect(dead_code, unreachable_pub, reason = "only the security choice is measured")]
mod config;
#[path = "../src/identity.rs"]
#[expect(dead_code, unreachable_pub, reason = "only key pairs are measured with")]
mod identity;
#[path = "../src/telemetry.rs"]
#[expect(dead_code, reason = "only the transport counts here")]
mod telemetry;
#[path = "../src/transport/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "everybody is treated as a member")]
mod transport;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent, upgrade::Version},
    },
    noise, tcp, tls, yamux,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) use config::Security;
pub(crate) use identity::Identity;

/// Bytes sent in each measurement. Chosen: about a second.
const LEN_BYTES: u64 = 2 << 30;

/// Bytes written and read at a time. Chosen: the lanes' largest frame.
const WRITE_LEN_BYTES: usize = 256 << 10;

type Built = Boxed<(PeerId, StreamMuxerBox)>;

/// Makes the transport of the process with a seed.
type Maker = fn(u8) -> Built;

struct Everybody;

impl transport::Judge for Everybody {
    fn bounds(&self, _: &PeerId, _: bool) -> transport::Bounds {
        transport::Bounds::MEMBER
    }

    fn secured(&self, _: &PeerId, _: &'static str) {}
}

#[tokio::main]
async fn main() -> io::Result<()> {
    println!("{:24} {:>8} {:>10}", "one stream", "GB/s", "CPU-s/GB");
    let mut raw = Vec::new();
    for _ in 0..3 {
        raw.push(measure(raw_tcp()).await?);
    }
    report("raw TCP", &raw);
    let makers: [(&str, Maker); 5] = [
        ("TLS 1.3 (ours)", |seed| ours(seed, Security::Tls)),
        ("Noise (ours)", |seed| ours(seed, Security::Noise)),
        ("TLS 1.3 (stock)", stock_tls),
        ("Noise (stock)", stock_noise),
        ("auto", |seed| ours(seed, Security::Auto)),
    ];
    for (name, make) in makers {
        let mut figures = Vec::new();
        for _ in 0..3 {
            figures.push(measure(one_stream(make(1), make(2))).await?);
        }
        report(name, &figures);
    }
    Ok(())
}

fn report(name: &str, figures: &[(f64, f64)]) {
    let best = figures.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0));
    let (rate, cpu) = best.unwrap_or_default();
    println!("{name:24} {rate:8.2} {cpu:10.2}");
}

async fn measure(transfer: impl Future<Output = io::Result<Duration>>) -> io::Result<(f64, f64)> {
    let cpu = cpu_seconds()?;
    let elapsed = transfer.await?;
    let gigabytes = LEN_BYTES as f64 / 1e9;
    Ok((gigabytes / elapsed.as_secs_f64(), (cpu_seconds()? - cpu) / gigabytes))
}

/// User and system time of this process, from the fields 14 and 15 of its `stat`, which count
/// hundredths of seconds. proc(5).
fn cpu_seconds() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0)
}

/// What was read, unless it was the end.
fn some(len: usize) -> io::Result<u64> {
    if len == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(len as u64) }
}

async fn raw_tcp() -> io::Result<Duration> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let reading = tokio::task::JoinSet::from_iter([async move {
        let (mut socket, _) = listener.accept().await?;
        let (mut piece, mut left) = (vec![0; WRITE_LEN_BYTES], LEN_BYTES);
        while left > 0 {
            left -= some(socket.read(&mut piece).await?)?;
        }
        socket.write_u8(1).await
    }]);
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (piece, since) = (vec![7; WRITE_LEN_BYTES], Instant::now());
    for _ in 0..LEN_BYTES / WRITE_LEN_BYTES as u64 {
        socket.write_all(&piece).await?;
    }
    socket.read_u8().await?;
    reading.join_all().await.into_iter().collect::<io::Result<()>>()?;
    Ok(since.elapsed())
}

async fn one_stream(mut listening: Built, mut dialling: Built) -> io::Result<Duration> {
    let any: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().map_err(io::Error::other)?;
    listening.listen_on(ListenerId::next(), any).map_err(io::Error::other)?;
    let Some(TransportEvent::NewAddress { listen_addr, .. }) = listening.next().await else {
        return Err(io::Error::other("not listening"));
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let Some(TransportEvent::Incoming { upgrade, .. }) = listening.next().await else {
            return Err(io::Error::other("nobody came"));
        };
        let (_, mut muxer) = upgrade.await?;
        let mut stream = poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await?;
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(poll_fn(move |cx| muxer.poll_unpin(cx)));
        let (mut piece, mut left) = (vec![0; WRITE_LEN_BYTES], LEN_BYTES);
        while left > 0 {
            left -= some(stream.read(&mut piece).await?)?;
        }
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        // The other end closes once it has the byte.
        let _ = stream.read(&mut piece).await;
        Ok(())
    });
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = dialling.dial(listen_addr, opts).map_err(io::Error::other)?;
    let (_, mut muxer) = dial.await?;
    let mut stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await?;
    tasks.spawn(async move { poll_fn(|cx| muxer.poll_unpin(cx)).await.map(|_| ()) });
    let (piece, since) = (vec![7; WRITE_LEN_BYTES], Instant::now());
    for _ in 0..LEN_BYTES / WRITE_LEN_BYTES as u64 {
        stream.write_all(&piece).await?;
    }
    stream.flush().await?;
    stream.read_exact(&mut [0]).await?;
    Ok(since.elapsed())
}

fn keypair(seed: u8) -> libp2p::identity::Keypair {
    Identity::from_seed([seed; 32]).keypair()
}

fn ours(seed: u8, security: Security) -> Built {
    transport::build(&keypair(seed), security, Arc::new(Everybody)).expect("a transport")
}

fn stock_tls(seed: u8) -> Built {
    tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1Lazy)
        .authenticate(tls::Config::new(&keypair(seed)).expect("a certificate"))
        .multiplex(yamux::Config::default())
        .boxed()
}

fn stock_noise(seed: u8) -> Built {
    tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair(seed)).expect("a key"))
        .multiplex(yamux::Config::default())
        .boxed()
}
