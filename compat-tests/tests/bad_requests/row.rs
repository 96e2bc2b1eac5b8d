//! One row of the table: a bad request and the documented answer to it.
//!
//! - A row's request is a function of the [`Stage`], so that it can be sent any number of times.
//! - What every error has in common is checked of every row: see [`Row::check`].

use std::time::Duration;

use compat_tests::wire::{Request, Wire};

use crate::exchange::{Answer, Ended, exchange};

/// What rows are built from: a server's bucket with a few objects and uploads.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// A client signed as the owner of the bucket.
    pub(crate) wire: Wire,
    /// The server's address.
    pub(crate) address: String,
    /// The owner's access key id.
    pub(crate) access_key: String,
    /// The owner's secret.
    pub(crate) secret_key: String,
    /// A client signed as an account that owns `foreign`.
    pub(crate) other: Wire,
    /// The bucket. It has `old` (`data`), `large` (100,000 bytes), `parts` (of two parts) and
    /// `secret`, which is stored under a customer's key.
    pub(crate) bucket: String,
    /// A bucket of another account, with an object `k`.
    pub(crate) foreign: String,
    /// An upload of `upload` with the parts 1 to 3, each of four bytes.
    pub(crate) upload: String,
    /// An upload of `crc` with CRC-32C checksums, with one part.
    pub(crate) crc_upload: String,
    /// A bucket with object lock. It has two versions of `k`, `other`, `gone` below a delete
    /// marker, and `held` under a legal hold.
    pub(crate) locked: String,
    /// The id of the older version of `k`.
    pub(crate) version: String,
    /// The id of the delete marker of `gone`.
    pub(crate) marker: String,
    /// The id of the only version of `held`.
    pub(crate) held: String,
}

impl Stage {
    /// The target of `rest` in the bucket: `/BUCKET` followed by `rest`.
    pub(crate) fn at(&self, rest: &str) -> String {
        format!("/{}{rest}", self.bucket)
    }

    /// A signed request for `rest` in the bucket.
    pub(crate) fn get(&self, rest: &str) -> Request {
        self.wire.get(&self.at(rest))
    }

    /// As [`Stage::get`].
    pub(crate) fn put(&self, rest: &str) -> Request {
        self.wire.put(&self.at(rest))
    }

    /// As [`Stage::get`].
    pub(crate) fn post(&self, rest: &str) -> Request {
        self.wire.post(&self.at(rest))
    }

    /// As [`Stage::get`].
    pub(crate) fn delete(&self, rest: &str) -> Request {
        self.wire.delete(&self.at(rest))
    }

    /// A copy from `source`, as `x-amz-copy-source` has it.
    pub(crate) fn copy(&self, source: &str) -> Request {
        self.put("/new").header("x-amz-copy-source", source)
    }

    /// The head and the start of a request without a signature, for rows that write HTTP out.
    pub(crate) fn raw(&self, text: &str) -> Message {
        let text = text.replace("{bucket}", &self.bucket).replace("{host}", &self.address);
        Message::from(text.into_bytes())
    }
}

/// What goes over the socket.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether the sending side ends behind them, as when a client goes away.
    pub(crate) cut_short: bool,
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        request.into_message().into()
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, cut_short: false }
    }
}

impl Message {
    /// Ends the sending side behind the message.
    pub(crate) fn cut_short(mut self) -> Self {
        self.cut_short = true;
        self
    }

    /// Puts `to` where `from` stands first.
    pub(crate) fn replace(mut self, from: &str, to: &str) -> Self {
        let found = self.bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let at = found.unwrap_or_else(|| panic!("the message has no {from:?}"));
        self.bytes.splice(at..at + from.len(), to.bytes());
        self
    }

    /// Puts `line` in front of the first header.
    pub(crate) fn with_line(mut self, line: &[u8]) -> Self {
        let found = self.bytes.windows(2).position(|window| window == b"\r\n");
        let at = found.expect("a message has a request line") + 2;
        self.bytes.splice(at..at, [line, b"\r\n"].concat());
        self
    }

    /// Leaves the line of the header `name` out.
    pub(crate) fn without_header(mut self, name: &str) -> Self {
        let (from, to) = self.line_of(name);
        self.bytes.drain(from..to);
        self
    }

    /// Gives the header `name` another value.
    pub(crate) fn set_header(mut self, name: &str, value: &str) -> Self {
        let (from, to) = self.line_of(name);
        self.bytes.splice(from..to, format!("{name}: {value}\r\n").into_bytes());
        self
    }

    /// The value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> String {
        let (from, to) = self.line_of(name);
        String::from_utf8_lossy(&self.bytes[from + name.len() + 1..to]).trim().to_owned()
    }

    fn line_of(&self, name: &str) -> (usize, usize) {
        let start = format!("\r\n{name}:").into_bytes();
        let found = self.bytes.windows(start.len()).position(|window| window == start);
        let from = found.unwrap_or_else(|| panic!("the message has no header {name}")) + 2;
        let len = self.bytes[from..].windows(2).position(|window| window == b"\r\n");
        (from, from + len.expect("a header line ends") + 2)
    }
}

/// What becomes of the connection once the answer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// It takes the next request.
    Kept,
    /// The server closes it: it cannot tell where the next request begins.
    Closed,
    /// Either: HTTP leaves it to the server.
    Either,
}

type Build = Box<dyn Fn(&Stage) -> Message + Send + Sync>;

/// A bad request and what it is answered with.
pub(crate) struct Row {
    /// What is wrong; no other row has it.
    pub(crate) name: String,
    build: Build,
    status: u16,
    code: &'static str,
    connection: Connection,
    /// Elements of the document, with their text where it is always the same.
    elements: Vec<(&'static str, Option<String>)>,
    headers: Vec<(&'static str, &'static str)>,
}

/// A row; further expectations are added to it.
pub(crate) fn row<M: Into<Message>>(
    name: &str,
    status: u16,
    code: &'static str,
    build: impl Fn(&Stage) -> M + Send + Sync + 'static,
) -> Row {
    Row {
        name: name.to_owned(),
        build: Box::new(move |stage| build(stage).into()),
        status,
        code,
        connection: Connection::Kept,
        elements: Vec::new(),
        headers: Vec::new(),
    }
}

impl Row {
    /// Expects elements in the error document, whatever they say.
    pub(crate) fn tells(mut self, elements: &[&'static str]) -> Self {
        self.elements.extend(elements.iter().map(|&element| (element, None)));
        self
    }

    /// Expects an element with this text.
    pub(crate) fn says(mut self, element: &'static str, text: &str) -> Self {
        self.elements.push((element, Some(text.to_owned())));
        self
    }

    /// Expects a header with this value.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Expects the connection to be closed behind the answer.
    pub(crate) fn closes(mut self) -> Self {
        self.connection = Connection::Closed;
        self
    }

    /// Leaves it open what becomes of the connection.
    pub(crate) fn may_close(mut self) -> Self {
        self.connection = Connection::Either;
        self
    }

    /// Sends the request and checks the answer.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(crate) fn run(&self, stage: &Stage) -> Result<Duration, String> {
        let message = (self.build)(stage);
        let head = message.bytes.starts_with(b"HEAD ");
        let answer = exchange(&stage.address, &message)?;
        self.check(&answer, head).map_err(|error| format!("{error}; answered {answer}"))?;
        Ok(answer.took)
    }

    /// Checks what every error has: the status, an XML document with `Code`, `Message`,
    /// `Resource`, `RequestId` and `HostId` (none for `HEAD`), the ids again in the headers, and
    /// a connection that is kept or closed as it should be.
    fn check(&self, answer: &Answer, head: bool) -> Result<(), String> {
        let wanted = |what: &str, is: &str, want: &str| match is == want {
            true => Ok(()),
            false => Err(format!("{what} is {is:?}, not {want:?}")),
        };
        if answer.status != self.status {
            return Err(format!("the status is not {}", self.status));
        }
        let id = answer.header("x-amz-request-id").ok_or("no x-amz-request-id")?;
        let host = answer.header("x-amz-id-2").ok_or("no x-amz-id-2")?;
        if id.is_empty() || host.is_empty() {
            return Err("empty ids".to_owned());
        }
        answer.header("date").ok_or("no Date")?;
        for (name, value) in &self.headers {
            wanted(name, answer.header(name).unwrap_or_default(), value)?;
        }
        if head {
            wanted("the body", &answer.text(), "")?;
        } else {
            wanted(
                "the type",
                answer.header("content-type").unwrap_or_default(),
                "application/xml",
            )?;
            let text = answer.text();
            if !text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>") {
                return Err("the body is no error document".to_owned());
            }
            wanted("Code", &answer.element("Code").unwrap_or_default(), self.code)?;
            wanted("RequestId", &answer.element("RequestId").unwrap_or_default(), id)?;
            wanted("HostId", &answer.element("HostId").unwrap_or_default(), host)?;
            if answer.element("Message").is_none_or(|text| text.is_empty()) {
                return Err("no Message".to_owned());
            }
            answer.element("Resource").ok_or("no Resource")?;
            for (element, text) in &self.elements {
                let is = answer.element(element).ok_or_else(|| format!("no {element}"))?;
                if let Some(text) = text {
                    wanted(element, &is, text)?;
                }
            }
        }
        match (self.connection, answer.ended) {
            (Connection::Kept, Ended::Closed) => Err("the connection was closed".to_owned()),
            (Connection::Closed, Ended::Open) => Err("the connection was kept".to_owned()),
            _ => Ok(()),
        }
    }
}
