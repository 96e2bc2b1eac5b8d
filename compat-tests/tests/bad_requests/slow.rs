//! Clients that are slow, silent, or gone without saying so.
//!
//! The server under test gives clients three seconds where the default is a minute
//! (`--client-timeout`), and wants 1,024 bytes a second.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use compat_tests::payload;
use compat_tests::server::{Running, Server};

use crate::gauges::Held;
use crate::neighbour::Neighbour;
use crate::row::{Message, Stage};

/// What the server is told.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Until when a slow client is given up: two windows, and time for a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(12);
/// Clients of each kind.
const EACH: usize = 40;
/// How long a neighbour may wait beside them. They cost no processor time.
const NEIGHBOUR_P99_MAX: Duration = Duration::from_secs(2);

/// A way to be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Connects and never says a word.
    Silent,
    /// Sends the headers a byte at a time.
    SlowHeaders,
    /// Sends the body a byte at a time.
    SlowBody,
    /// Sends a request and half of its body, and no more.
    HalfBody,
    /// Asks for a large object and does not read it.
    NeverReads,
}

const KINDS: [Kind; 5] =
    [Kind::Silent, Kind::SlowHeaders, Kind::SlowBody, Kind::HalfBody, Kind::NeverReads];

/// How long a byte takes. Often enough that nothing is ever silent for the whole timeout.
const BYTE_INTERVAL: Duration = Duration::from_secs(1);

#[test]
fn two_hundred_slow_clients_delay_nobody_and_are_given_up() {
    let server = Server::start(&["--client-timeout", "3s"]);
    let stage = Stage::new(&server);
    stage.put("/huge").body(payload::bytes(9, 24 << 20)).send().expect_status(200);
    let before = settled(&server);
    let neighbour = Neighbour::begin(&server);
    let started = Instant::now();
    let mut clients: Vec<Slow> =
        (0..EACH).flat_map(|_| KINDS).map(|kind| Slow::begin(kind, &stage)).collect();
    // Most are there at one time, before the first are given up.
    while Held::by(&server).connections < 150.0 {
        assert!(started.elapsed() < CLIENT_TIMEOUT, "the server holds {:?}", Held::by(&server));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut next_byte = Instant::now();
    while clients.iter().any(|client| client.ended.is_none()) {
        let late: Vec<Kind> = clients
            .iter()
            .filter(|client| client.ended.is_none())
            .map(|client| client.kind)
            .collect();
        assert!(
            started.elapsed() < GIVEN_UP_WITHIN,
            "{} clients are still there: {late:?}",
            late.len()
        );
        let speak = Instant::now() >= next_byte;
        if speak {
            next_byte += BYTE_INTERVAL;
        }
        clients.iter_mut().for_each(|client| client.go_on(speak));
        std::thread::sleep(Duration::from_millis(20));
    }
    let served = neighbour.end();
    println!(
        "{} slow clients, given up after {:?}; neighbour {served}",
        clients.len(),
        started.elapsed()
    );
    for client in &clients {
        client.check();
    }
    assert!(served.p99 < NEIGHBOUR_P99_MAX, "{served}");
    drop(clients);
    before.wait_for(&server);
}

/// A connection of a slow client.
struct Slow {
    kind: Kind,
    stream: TcpStream,
    /// What it has yet to say.
    rest: Vec<u8>,
    heard: Vec<u8>,
    began: Instant,
    /// How long the server put up with it.
    ended: Option<Duration>,
}

impl Slow {
    fn begin(kind: Kind, stage: &Stage) -> Self {
        let stream = TcpStream::connect(&stage.address).expect("the server accepts connections");
        let put = stage.put("/slow").payload_hash("UNSIGNED-PAYLOAD").content_length("100000");
        let put = Message::from(put).bytes;
        let get = Message::from(stage.get("/huge")).bytes;
        let (said, rest) = match kind {
            Kind::Silent => (Vec::new(), Vec::new()),
            Kind::SlowHeaders => (get[..30].to_vec(), get[30..].to_vec()),
            Kind::SlowBody => (put, vec![b'.'; 1000]),
            Kind::HalfBody => ([put, vec![b'.'; 50_000]].concat(), Vec::new()),
            Kind::NeverReads => (get, Vec::new()),
        };
        let mut client =
            Self { kind, stream, rest, heard: Vec::new(), began: Instant::now(), ended: None };
        client.stream.write_all(&said).expect("the server takes the start");
        client.stream.set_nonblocking(true).expect("a socket can be made non-blocking");
        client
    }

    /// Says a byte, if it is time to, and looks whether the server is still there.
    fn go_on(&mut self, speak: bool) {
        if self.ended.is_some() {
            return;
        }
        if speak && !self.rest.is_empty() {
            let byte = self.rest.remove(0);
            let _ = self.stream.write(&[byte]);
        }
        // Who never reads cannot hear the end; whether it is there is found by an error on the
        // socket, which a reset leaves.
        if self.kind == Kind::NeverReads {
            let gone = self.stream.take_error().is_ok_and(|error| error.is_some());
            let reset = gone || (speak && self.stream.write(b"\r\n").is_err());
            self.ended = reset.then(|| self.began.elapsed());
            return;
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = Some(self.began.elapsed()),
            Ok(len) => self.heard.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.ended = Some(self.began.elapsed()),
        }
    }

    /// Whoever can be told is told why: S3's `RequestTimeout`. The others were there for about as
    /// long as documented.
    fn check(&self) {
        let heard = String::from_utf8_lossy(&self.heard);
        match self.kind {
            Kind::SlowBody | Kind::HalfBody => {
                assert!(heard.starts_with("HTTP/1.1 400 "), "{:?}: {heard}", self.kind);
                assert!(heard.contains("<Code>RequestTimeout</Code>"), "{:?}: {heard}", self.kind);
                assert!(heard.contains("x-amz-request-id: "), "{heard}");
            }
            Kind::Silent | Kind::SlowHeaders => {
                assert!(!heard.contains(" 200 "), "{:?}: {heard}", self.kind);
            }
            Kind::NeverReads => {}
        }
        let ended = self.ended.expect("all have ended");
        assert!(ended + Duration::from_millis(200) >= CLIENT_TIMEOUT, "{:?}: {ended:?}", self.kind);
    }
}

/// What an idle server holds once its own work has settled.
fn settled(server: &Running) -> Held {
    std::thread::sleep(Duration::from_secs(1));
    Held::by(server)
}

#[test]
fn by_default_a_silent_client_is_not_given_up_early() {
    let server = Server::shared();
    let stage = Stage::new(&server);
    let mut silent = Slow::begin(Kind::Silent, &stage);
    let until = Instant::now() + 2 * CLIENT_TIMEOUT;
    while Instant::now() < until {
        silent.go_on(true);
        assert_eq!(silent.ended, None, "the default is a minute");
        std::thread::sleep(Duration::from_millis(100));
    }
}
