//! One exchange over a socket, byte by byte.
//!
//! - A request is written by a thread of its own while the answer is read, so that a server that
//!   answers early is heard, and one that does not read blocks nobody.
//! - Whether the connection lives on is found out by asking again on it.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::row::Message;

/// How long an answer may take. Chosen: many times what an unoptimised server needs on a busy
/// machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the rest of a request may take behind its answer. Chosen: it is on its way.
const WRITE_GRACE: Duration = Duration::from_secs(1);
/// Longest answer to a bad request. Chosen: far above an error document with the canonical request
/// of a header section of 32 KiB, spelled out twice.
const ANSWER_LEN_BYTES_MAX: usize = 256 << 10;

/// Whether the server ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It answered another request on it.
    Open,
    /// It did.
    Closed,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// What became of the connection.
    pub(crate) ended: Ended,
    /// From the first byte sent to the last byte of the answer.
    pub(crate) took: Duration,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element called `name`, escaped as it came.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(inner.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(700).collect();
        write!(f, "{} {:?} {:?} {text}", self.status, self.headers, self.ended)
    }
}

/// Sends a message on a connection of its own and reads the answer.
///
/// # Errors
/// What happened instead of an answer.
pub(crate) fn exchange(address: &str, message: &Message) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("no connection: {error}"))?;
    let timeout = stream.set_read_timeout(Some(ANSWER_TIMEOUT));
    timeout.and_then(|()| stream.set_nodelay(true)).map_err(|error| error.to_string())?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let mut writer = stream.try_clone().map_err(|error| error.to_string())?;
        let writing = scope.spawn(move || {
            // The server may close its end before it has read everything.
            let written = writer.write_all(&message.bytes);
            if message.cut_short {
                let _ = writer.shutdown(Shutdown::Write);
            }
            written.is_ok()
        });
        let mut reader = Reader { stream: &stream, received: Vec::new() };
        let answer = reader.answer(message.bytes.starts_with(b"HEAD "));
        let took = started.elapsed();
        let mut answer = answer.inspect_err(|_| drop(stream.shutdown(Shutdown::Both)))?;
        answer.took = took;
        let said_close = answer.header("connection") == Some("close");
        answer.ended = match message.cut_short || said_close {
            true => reader.ended(),
            false => {
                // A request that is still being written is never read: no other can follow it.
                let deadline = Instant::now() + WRITE_GRACE;
                while !writing.is_finished() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                match writing.is_finished() && reader.asks_again() {
                    true => Ended::Open,
                    false => Ended::Closed,
                }
            }
        };
        let _ = stream.shutdown(Shutdown::Both);
        let _ = writing.join();
        Ok(answer)
    })
}

struct Reader<'a> {
    stream: &'a TcpStream,
    received: Vec<u8>,
}

impl Reader<'_> {
    /// Reads more. Says how many bytes there were; none once the connection has ended.
    fn more(&mut self) -> Result<usize, String> {
        let mut buffer = [0; 16 << 10];
        let len = loop {
            match self.stream.read(&mut buffer) {
                Ok(len) => break len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break 0,
                Err(error) => return Err(format!("no whole answer: {error}")),
            }
        };
        self.received.extend_from_slice(&buffer[..len]);
        match self.received.len() > ANSWER_LEN_BYTES_MAX {
            true => Err("the answer does not end".to_owned()),
            false => Ok(len),
        }
    }

    fn answer(&mut self, head: bool) -> Result<Answer, String> {
        let (status, headers) = loop {
            let parsed = self.head()?;
            // 100 Continue is not the answer.
            if parsed.0 >= 200 {
                break parsed;
            }
        };
        let len = headers.iter().find(|(name, _)| name == "content-length");
        let len = len.map(|(_, value)| value.parse::<usize>().map_err(|_| "no length"));
        let len = match (head || status == 304 || status == 204, len.transpose()?) {
            (true, _) => 0,
            (false, Some(len)) => len,
            (false, None) => return Err("an answer without a length".to_owned()),
        };
        while self.received.len() < len {
            if self.more()? == 0 {
                return Err("the answer was cut short".to_owned());
            }
        }
        let body = self.received.drain(..len).collect();
        Ok(Answer { status, body, ended: Ended::Open, took: Duration::ZERO, headers })
    }

    fn head(&mut self) -> Result<(u16, Vec<(String, String)>), String> {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if self.more()? == 0 {
                let shown = String::from_utf8_lossy(&self.received).into_owned();
                return Err(format!("closed without an answer {shown:?}"));
            }
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("no HTTP: {head:?}"))?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Ok((status, lines.filter_map(header).collect()))
    }

    /// Whether the server ends the connection by itself.
    fn ended(&mut self) -> Ended {
        loop {
            match self.more() {
                Ok(0) => return Ended::Closed,
                Ok(_) => {}
                Err(_) => return Ended::Open,
            }
        }
    }

    /// Whether the server answers another request on the connection.
    fn asks_again(&mut self) -> bool {
        let again = b"GET / HTTP/1.1\r\nhost: again\r\nconnection: close\r\n\r\n";
        if self.stream.write_all(again).is_err() {
            return false;
        }
        self.answer(false)
            .is_ok_and(|answer| answer.element("Code").as_deref() == Some("AccessDenied"))
    }
}
