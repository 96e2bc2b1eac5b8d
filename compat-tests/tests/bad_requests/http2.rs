//! HTTP/2 gone wrong (RFC 9113): frames written by hand.
//!
//! HTTP/2 has no answer to most of this but its own: `GOAWAY`, and the connection ends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use compat_tests::server::Server;

use crate::gauges::Held;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a connection may last that has been told nothing sensible.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// Frame types and flags of section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET / http` with the authority `x`, in the static table of HPACK.
const REQUEST: [u8; 6] = [0x82, 0x84, 0x86, 0x41, 0x01, b'x'];

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &REQUEST)
}

/// What is sent behind the preface and the client's settings.
fn rows() -> Vec<(&'static str, Vec<u8>)> {
    let streams = |count: u32| (0..count).map(|n| 2 * n + 1);
    // A literal header of 4,000 bytes, not indexed.
    let filler = [&[0x00, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let mut continuations = frame(HEADERS, END_STREAM, 1, &REQUEST);
    for _ in 0..200 {
        continuations.extend(frame(CONTINUATION, 0, 1, &filler));
    }
    let mut empty_continuations = frame(HEADERS, END_STREAM, 1, &REQUEST);
    empty_continuations.extend(frame(CONTINUATION, 0, 1, b"").repeat(20_000));
    let reset = |n| [open(n), frame(RST_STREAM, 0, n, &[0, 0, 0, 8])].concat();
    vec![
        ("frame of 16 MiB", [&[0xff, 0xff, 0xff, DATA, 0][..], &1_u32.to_be_bytes()].concat()),
        ("data before headers", frame(DATA, 0, 1, b"data")),
        ("headers on stream 0", frame(HEADERS, END_HEADERS, 0, &REQUEST)),
        ("headers on an even stream", open(2)),
        ("continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &REQUEST)),
        ("settings of seven bytes", frame(SETTINGS, 0, 0, &[0; 7])),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "window beyond its limit",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        ),
        ("window update of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        ("header block that is none", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40])),
        ("padding longer than its frame", frame(HEADERS, END_HEADERS | 8, 1, &[200, 0x82])),
        ("streams that go backwards", [open(5), open(3)].concat()),
        ("flood of continuations", continuations),
        ("flood of empty continuations", empty_continuations),
        ("flood of resets", streams(20_000).flat_map(reset).collect()),
        ("HTTP/1 behind the preface", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("garbage behind the preface", vec![0xa5; 1000]),
    ]
}

#[test]
fn wrong_http_2_ends_the_connection_and_nothing_else() {
    let server = Server::start(&[]);
    let address = server.s3_address();
    let before = Held::by(&server);
    for (name, frames) in rows() {
        let heard = hear(&address, &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames].concat());
        let heard = heard.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(heard.len() < 4 << 20, "{name}: {} bytes in answer", heard.len());
    }
    for (name, text) in [
        ("preface cut short", &PREFACE[..20]),
        ("preface with another end", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        ("preface of another version", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let heard = hear_cut(&address, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!heard.starts_with(b"HTTP/1.1 200"), "{name}");
    }
    before.wait_for(&server);
    assert!(!server.log_tail().contains("panicked"), "{}", server.log_tail());
    server.wire().get("/").send().expect_status(200);
}

/// Floods of pings and settings each want an answer; a client that does not read them may not make
/// the server hold them all.
#[test]
fn http_2_floods_that_want_answers_cost_no_memory() {
    let server = Server::start(&["--client-timeout", "3s"]);
    let before = Held::by(&server);
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut stream = TcpStream::connect(server.s3_address()).expect("the server accepts");
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
        let mut sent = 0;
        let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        if stream.write_all(&start).is_err() {
            continue;
        }
        let many = flood.repeat(10_000);
        while sent < 40 << 20 && stream.write_all(&many).is_ok() {
            sent += many.len();
        }
        let now = Held::by(&server);
        let grown = now.resident_bytes.saturating_sub(before.resident_bytes);
        println!("{} MiB sent, {} MiB grown", sent >> 20, grown >> 20);
        assert!(grown < 64 << 20, "{grown} bytes are held for {sent} sent");
    }
    before.wait_for(&server);
}

/// What the server says until it ends the connection.
fn hear(address: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    talk(stream, message, false)
}

/// As [`hear`], of a client that goes away.
fn hear_cut(address: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    talk(stream, message, true)
}

fn talk(mut stream: TcpStream, message: &[u8], cut: bool) -> Result<Vec<u8>, String> {
    stream.set_read_timeout(Some(ENDED_WITHIN)).map_err(|error| error.to_string())?;
    let mut writer = stream.try_clone().map_err(|error| error.to_string())?;
    let message = message.to_vec();
    let writing = std::thread::spawn(move || {
        // The server may end the connection while it is being spoken to.
        let _ = writer.write_all(&message);
        if cut {
            let _ = writer.shutdown(Shutdown::Write);
        }
    });
    let mut heard = Vec::new();
    let ended = match stream.read_to_end(&mut heard) {
        Ok(_) => Ok(heard),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(heard),
        Err(error) => Err(format!("the connection did not end: {error}")),
    };
    let _ = stream.shutdown(Shutdown::Both);
    let _ = writing.join();
    ended
}
