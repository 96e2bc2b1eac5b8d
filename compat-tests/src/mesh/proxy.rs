//! A TCP proxy in front of a node: it delays, listens in, goes silent and refuses.
//!
//! - Bytes are passed on unchanged and in order.
//! - A delay is a delay only: what is under way is queued, so throughput stays (up to the queue).
//!
//! Deliberately absent: loss. TCP hides it from processes; only time shows.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Bytes read at once. Chosen: a frame of the mesh needs a few reads.
const READ_LEN: usize = 64 << 10;

/// Reads under way in one direction of a connection. Chosen: 16 MiB of delayed bytes.
const QUEUE_LEN: usize = 256;

/// How often a silent proxy looks whether it may go on. Chosen.
const SILENCE_POLL: Duration = Duration::from_millis(20);

/// Most bytes kept of what passes. Chosen: several times what a test sends.
const CAPTURE_LEN_MAX: usize = 512 << 20;

/// What a proxy does with what passes.
#[derive(Debug, Default)]
struct Behaviour {
    target: Mutex<Option<SocketAddr>>,
    delay_to_target_us: AtomicU64,
    delay_from_target_us: AtomicU64,
    is_silent: AtomicBool,
    is_refusing: AtomicBool,
    is_capturing: AtomicBool,
    captured: Mutex<Vec<u8>>,
    passed_bytes: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A running proxy; it ends with the process of the test, its connections with this.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    behaviour: Arc<Behaviour>,
}

struct Passing {
    due: Instant,
    bytes: Vec<u8>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1; connections are refused until there is a target.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let behaviour = Arc::new(Behaviour::default());
        let shared = Arc::clone(&behaviour);
        thread::spawn(move || accept(&listener, &shared));
        Self { address, behaviour }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to `target`.
    pub fn set_target(&self, target: SocketAddr) {
        *self.behaviour.target.lock() = Some(target);
    }

    /// Delays what passes to the target, and what comes from it.
    pub fn delay(&self, to_target: Duration, from_target: Duration) {
        let micros = |delay: Duration| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.behaviour.delay_to_target_us.store(micros(to_target), Ordering::SeqCst);
        self.behaviour.delay_from_target_us.store(micros(from_target), Ordering::SeqCst);
    }

    /// Passes nothing on, with all connections open, or goes on.
    pub fn silence(&self, is_silent: bool) {
        self.behaviour.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Closes all connections and closes new ones at once, or accepts them again.
    pub fn refuse(&self, is_refusing: bool) {
        self.behaviour.is_refusing.store(is_refusing, Ordering::SeqCst);
        if is_refusing {
            self.behaviour.close_all();
        }
    }

    /// Keeps what passes from now on.
    pub fn capture(&self) {
        self.behaviour.is_capturing.store(true, Ordering::SeqCst);
    }

    /// What has passed while capturing, both directions of all connections mixed.
    #[must_use]
    pub fn captured(&self) -> Vec<u8> {
        self.behaviour.captured.lock().clone()
    }

    /// Bytes passed in both directions.
    #[must_use]
    pub fn passed_bytes(&self) -> u64 {
        self.behaviour.passed_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse(true);
    }
}

impl Behaviour {
    fn close_all(&self) {
        for stream in self.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn note(&self, bytes: &[u8]) {
        self.passed_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        if !self.is_capturing.load(Ordering::SeqCst) {
            return;
        }
        let mut captured = self.captured.lock();
        let room = CAPTURE_LEN_MAX.saturating_sub(captured.len());
        captured.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn accept(listener: &TcpListener, behaviour: &Arc<Behaviour>) {
    while let Ok((client, _)) = listener.accept() {
        if behaviour.is_refusing.load(Ordering::SeqCst) {
            continue;
        }
        let Some(target) = *behaviour.target.lock() else {
            continue;
        };
        let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(2)) else {
            continue;
        };
        // Without it, a small frame would wait for the acknowledgement of the one before.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copies = (client.try_clone(), server.try_clone());
        let (Ok(client_copy), Ok(server_copy)) = copies else {
            continue;
        };
        let mut open = behaviour.open.lock();
        open.extend([&client, &server].into_iter().filter_map(|stream| stream.try_clone().ok()));
        drop(open);
        pass(client, server_copy, behaviour, true);
        pass(server, client_copy, behaviour, false);
    }
}

/// Passes one direction on, in two threads: one reads and notes when, one writes when it is due.
fn pass(from: TcpStream, to: TcpStream, behaviour: &Arc<Behaviour>, is_to_target: bool) {
    let (sender, receiver) = sync_channel(QUEUE_LEN);
    let shared = Arc::clone(behaviour);
    thread::spawn(move || read(from, &sender, &shared, is_to_target));
    let shared = Arc::clone(behaviour);
    thread::spawn(move || write(to, &receiver, &shared));
}

fn read(
    mut from: TcpStream,
    sender: &SyncSender<Passing>,
    behaviour: &Behaviour,
    is_to_target: bool,
) {
    let delay =
        if is_to_target { &behaviour.delay_to_target_us } else { &behaviour.delay_from_target_us };
    let mut buffer = vec![0; READ_LEN];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let bytes = buffer[..len].to_vec();
        behaviour.note(&bytes);
        let due = Instant::now() + Duration::from_micros(delay.load(Ordering::SeqCst));
        if sender.send(Passing { due, bytes }).is_err() {
            break;
        }
    }
}

fn write(mut to: TcpStream, receiver: &Receiver<Passing>, behaviour: &Behaviour) {
    for Passing { due, bytes } in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        while behaviour.is_silent.load(Ordering::SeqCst) {
            thread::sleep(SILENCE_POLL);
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                thread::spawn(move || {
                    let mut copy = stream.try_clone().expect("a copy");
                    let _ = std::io::copy(&mut stream, &mut copy);
                });
            }
        });
        address
    }

    fn round_trip(stream: &mut TcpStream) -> Duration {
        let started = Instant::now();
        stream.write_all(b"hello").expect("writes");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("reads");
        assert_eq!(&answer, b"hello");
        started.elapsed()
    }

    #[test]
    fn bytes_pass_are_kept_and_come_late_when_delayed() {
        let proxy = Proxy::start();
        proxy.set_target(echo());
        proxy.capture();
        let mut stream = TcpStream::connect(proxy.address()).expect("connects");
        round_trip(&mut stream);
        assert_eq!(proxy.captured(), b"hellohello");
        proxy.delay(Duration::from_millis(60), Duration::from_millis(40));
        assert!(round_trip(&mut stream) >= Duration::from_millis(100));
        assert_eq!(proxy.passed_bytes(), 20);
    }

    #[test]
    fn a_refusing_proxy_ends_connections_old_and_new() {
        let proxy = Proxy::start();
        proxy.set_target(echo());
        let mut stream = TcpStream::connect(proxy.address()).expect("connects");
        round_trip(&mut stream);
        proxy.refuse(true);
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap_or(0), 0);
        let mut new = TcpStream::connect(proxy.address()).expect("connects");
        assert_eq!(new.read_to_end(&mut rest).unwrap_or(0), 0);
        proxy.refuse(false);
        let mut stream = TcpStream::connect(proxy.address()).expect("connects");
        round_trip(&mut stream);
    }
}
