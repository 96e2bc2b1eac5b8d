//! HTTP itself: what is no request, what two readers could read differently, and floods.
//!
//! RFC 9112. What cannot be told apart is refused with `BadRequest` — S3's "An error occurred when
//! parsing the HTTP request" — and the connection is closed, so that nothing behind it is taken for
//! a request. Header floods are S3's `RequestHeaderSectionTooLarge`, long targets 414.
//!
//! What the HTTP library refuses behind the first request of a connection comes without a
//! document: see `pipelined`.

use crate::row::{Message, Row, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = malformed();
    rows.extend(smuggling());
    rows.extend(floods());
    rows
}

fn raw(name: &str, status: u16, code: &'static str, text: impl Into<String>) -> Row {
    let text = text.into();
    row(name, status, code, move |s| s.raw(&text))
}

fn malformed() -> Vec<Row> {
    let line = |line: &str| format!("{line}\r\nhost: {{host}}\r\n\r\n");
    let header =
        |line: &str| format!("GET /{{bucket}}/old HTTP/1.1\r\nhost: {{host}}\r\n{line}\r\n\r\n");
    let mut rows: Vec<Row> = [
        ("request line of one word", line("GET")),
        ("request line without a version", line("GET /")),
        ("version that is none", line("GET / HTTP/9.9")),
        ("version of another protocol", line("GET / ICY/1.1")),
        ("method of other characters", line("G<T / HTTP/1.1")),
        ("target with a space", line("GET /a b HTTP/1.1")),
        ("target with a control character", line("GET /a\u{1} HTTP/1.1")),
        ("target that is no path", line("GET bucket/key HTTP/1.1")),
        ("header without a colon", header("nocolon")),
        ("header name with a space", header("a b: c")),
        ("space before the colon", header("a : b")),
        ("header without a name", header(": b")),
        ("NUL in a header name", header("a\0b: c")),
        ("NUL in a header value", header("a: b\0c")),
        ("carriage return in a header value", header("a: b\rc")),
        ("folded header", header("a: b\r\n c")),
        ("folded first header", "GET / HTTP/1.1\r\n host: {host}\r\n\r\n".to_owned()),
        ("TLS greeting", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned()),
        ("SSH greeting", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
        ("RTSP request", "OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned()),
        ("mail", "EHLO example.com\r\n\r\n".to_owned()),
    ]
    .into_iter()
    .map(|(name, text)| raw(name, 400, "BadRequest", text).closes())
    .collect();
    rows.extend([
        raw("no host", 400, "BadRequest", "GET /{bucket}/old HTTP/1.1\r\n\r\n").may_close(),
        raw("two hosts", 400, "BadRequest", "GET / HTTP/1.1\r\nhost: {host}\r\nhost: x\r\n\r\n").may_close(),
        raw("host that is none", 400, "BadRequest", "GET / HTTP/1.1\r\nhost: a b/c\r\n\r\n").may_close(),
        raw("asterisk for a target", 400, "InvalidURI", line("GET * HTTP/1.1")),
        raw("unsigned, in absolute form", 403, "AccessDenied", line("GET http://{host}/{bucket}/old HTTP/1.1")),
        raw("proxy request", 400, "InvalidURI", line("CONNECT {host} HTTP/1.1")).may_close(),
        raw("unsigned, of HTTP/1.0", 403, "AccessDenied", "GET /{bucket}/old HTTP/1.0\r\n\r\n").closes(),
        raw("unsigned, lines that end in LF only", 403, "AccessDenied", "GET / HTTP/1.1\nhost: {host}\n\n"),
        raw("unsigned preflight", 403, "AccessForbidden",
            "OPTIONS /{bucket}/old HTTP/1.1\r\nhost: {host}\r\norigin: http://x\r\naccess-control-request-method: PUT\r\n\r\n"),
        raw("preflight without an origin", 400, "BadRequest", "OPTIONS /{bucket}/old HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        row("method of 10,000 characters", 405, "MethodNotAllowed", |s| {
            s.wire.request(&"M".repeat(10_000), &s.at("/old"))
        }),
    ]);
    rows
}

/// Requests that end elsewhere for one reader than for another.
fn smuggling() -> Vec<Row> {
    let put = |rest: &str| format!("PUT /{{bucket}}/new HTTP/1.1\r\nhost: {{host}}\r\n{rest}");
    let hidden = "GET /{bucket}/old HTTP/1.1\r\nhost: {host}\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    vec![
        // RFC 9112, section 6.1: what has both may be read by the coding, and the connection ends.
        raw("length and coding", 403, "AccessDenied", put(&format!("content-length: 4\r\n{chunked}0\r\n\r\n{hidden}"))).closes(),
        raw("coding and length", 403, "AccessDenied", put(&format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"))).closes(),
        raw("coding that is not the last", 400, "BadRequest", put("transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n")).closes(),
        raw("unknown coding", 400, "BadRequest", put("transfer-encoding: cow\r\n\r\n0\r\n\r\n")).closes(),
        raw("coding hidden by a control character", 400, "BadRequest", put("transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n")).closes(),
        raw("coding twice", 403, "AccessDenied", put(&format!("transfer-encoding: chunked\r\n{chunked}0\r\n\r\n"))).may_close(),
        raw("coding of HTTP/1.0", 400, "BadRequest",
            "PUT /{bucket}/new HTTP/1.0\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").closes(),
        raw("length that is folded", 400, "BadRequest", put("content-length:\r\n 4\r\n\r\ndata")).closes(),
        raw("length with a space before the colon", 400, "BadRequest", put("content-length : 4\r\n\r\ndata")).closes(),
        raw("length twice in one line", 400, "BadRequest", put("content-length: 4, 4\r\n\r\ndata")).closes(),
        raw("unsigned, chunk size of no digits", 403, "AccessDenied", put(&format!("{chunked}zz\r\ndata\r\n0\r\n\r\n"))).closes(),
        raw("unsigned, chunk size that is negative", 403, "AccessDenied", put(&format!("{chunked}-4\r\ndata\r\n0\r\n\r\n"))).closes(),
        raw("unsigned, chunk size of 17 digits", 403, "AccessDenied", put(&format!("{chunked}10000000000000004\r\ndata\r\n0\r\n\r\n"))).closes(),
        raw("unsigned, chunk that ends in LF only", 403, "AccessDenied", put(&format!("{chunked}4\ndata\n0\n\n"))).closes(),
        raw("unsigned, chunk without its end", 403, "AccessDenied", put(&format!("{chunked}4\r\ndataXX0\r\n\r\n"))).closes(),
        raw("unsigned, chunk extension without end", 403, "AccessDenied",
            put(&format!("{chunked}4;{}\r\ndata\r\n0\r\n\r\n", "x".repeat(100_000)))).closes(),
        raw("unsigned, trailers without end", 403, "AccessDenied",
            put(&format!("{chunked}0\r\n{}\r\n", "a: b\r\n".repeat(20_000)))).closes(),
    ]
}

fn floods() -> Vec<Row> {
    let get =
        |lines: &str| format!("GET /{{bucket}}/old HTTP/1.1\r\nhost: {{host}}\r\n{lines}\r\n");
    let large = "RequestHeaderSectionTooLarge";
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let target =
        |len: usize| format!("GET /{} HTTP/1.1\r\nhost: {{host}}\r\n\r\n", "a".repeat(len));
    vec![
        raw("header of 40 KiB", 400, large, get(&format!("x: {}\r\n", "y".repeat(40 << 10)))),
        raw("header of 1 MiB", 400, large, get(&format!("x: {}\r\n", "y".repeat(1 << 20))))
            .closes(),
        raw("300 headers", 400, large, get(&many(300))),
        raw("1,000 headers", 400, large, get(&many(1000))),
        raw("10,000 headers", 400, large, get(&many(10_000))).closes(),
        raw("one header 10,000 times", 400, large, get(&"x:y\r\n".repeat(10_000))).closes(),
        raw(
            "a header line without end",
            400,
            large,
            format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(200 << 10)),
        )
        .closes(),
        raw(
            "a header name of 70,000 bytes",
            400,
            large,
            get(&format!("{}: y\r\n", "x".repeat(70_000))),
        )
        .may_close(),
        raw("target of 40 KiB", 414, "RequestURITooLong", target(40 << 10)),
        // The library reads 64 KiB and then does not know what was too long.
        raw("target of 70,000 bytes", 400, large, target(70_000)).closes(),
        raw("target of 1 MiB", 400, large, target(1 << 20)).closes(),
        row("signed, 300 headers", 400, large, |s| {
            let get = s.get("/old");
            (0..300).fold(get, |get, n| get.header(&format!("x-{n}"), "y"))
        }),
    ]
}

/// Requests behind a good one on the same connection. The HTTP library answers them itself, with
/// neither ids nor a document: behind an answer there is no telling its bytes from an object's.
pub(crate) fn pipelined() -> Vec<(&'static str, &'static str)> {
    vec![
        ("garbage behind a request", "garbage\r\n\r\n"),
        ("request line of one word behind a request", "GET\r\n\r\n"),
        (
            "two lengths behind a request",
            "PUT / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        ),
        ("folded header behind a request", "GET / HTTP/1.1\r\nhost: x\r\n y\r\n\r\n"),
        ("NUL behind a request", "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n"),
    ]
}

/// A message of `first` and then `second`.
pub(crate) fn behind(first: Message, second: &str) -> Message {
    Message::from([first.bytes, second.as_bytes().to_vec()].concat())
}
