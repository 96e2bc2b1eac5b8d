//! `SIGTERM`: what is under way finishes, what is stuck does not hold the server for ever.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::process::{DRAIN_MAX, Machine, await_true};
use crate::s3::payload;

/// How long a second signal may take. Chosen: far below the drain's bound.
const AT_ONCE_MAX: Duration = Duration::from_secs(5);

#[test]
fn upload_under_way_finishes_while_the_server_drains() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let body = payload(1, 12 << 20);
    let (first, rest) = body.split_at(5 << 20);
    let mut slow = s3.begin_put("/bkt/slow", body.len());
    slow.send(first);
    server.ask_to_stop();
    let address = server.s3_url().trim_start_matches("http://").to_owned();
    await_true("new connections are refused", Duration::from_secs(10), || {
        TcpStream::connect(&address).is_err()
    });
    for part in rest.chunks(1 << 20) {
        std::thread::sleep(Duration::from_millis(50));
        slow.send(part);
    }
    slow.answer().expect("the upload is answered").expect_status(200);
    assert_eq!(server.ended(DRAIN_MAX).code(), Some(0));

    let server = machine.start();
    server.s3().expect_object("/bkt/slow", &body);
    server.stop();
}

#[test]
fn stuck_upload_is_cut_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let mut stuck = s3.begin_put("/bkt/stuck", 12 << 20);
    stuck.send(&payload(1, 5 << 20));
    server.ask_to_stop();
    assert_eq!(server.ended(DRAIN_MAX).code(), Some(0));
    let answer = stuck.answer();
    assert!(answer.as_ref().is_none_or(|answer| answer.status != 200), "{answer:?}");

    let server = machine.start();
    server.s3().get("/bkt/stuck").expect_error(404, "NoSuchKey");
    server.stop();
}

#[test]
fn second_signal_ends_the_server_at_once() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let mut stuck = s3.begin_put("/bkt/stuck", 12 << 20);
    stuck.send(&payload(1, 1 << 20));
    server.ask_to_stop();
    await_true("the drain begins", Duration::from_secs(10), || {
        !machine.data().join("endpoints.json").exists()
    });
    let asked = Instant::now();
    server.ask_to_stop();
    server.ended(AT_ONCE_MAX);
    assert!(asked.elapsed() < AT_ONCE_MAX);
    drop(stuck);
    machine.start().stop();
}

#[test]
fn idle_connections_do_not_hold_the_server() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3_url().trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for address in [&*s3, server.admin_authority()] {
        let silent = TcpStream::connect(address).expect("the server accepts");
        let mut kept = TcpStream::connect(address).expect("the server accepts");
        kept.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").expect("the server reads");
        let mut answer = [0; 12];
        kept.read_exact(&mut answer).expect("the server answers");
        assert!(answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
        idle.extend([silent, kept]);
    }
    let asked = Instant::now();
    server.ask_to_stop();
    assert_eq!(server.ended(DRAIN_MAX).code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(15), "took {:?}", asked.elapsed());
}

#[test]
fn half_sent_admin_request_does_not_hold_the_server() {
    let machine = Machine::new();
    let server = machine.start();
    let mut half = TcpStream::connect(server.admin_authority()).expect("the server accepts");
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").expect("the server reads");
    // Wait until the server has read it.
    assert_eq!(server.admin_get("/healthz").0, 200);
    server.ask_to_stop();
    assert_eq!(server.ended(DRAIN_MAX).code(), Some(0));
}
