//! One worker's conversation with the endpoint: signed requests on one connection.
//!
//! Invariants:
//! - an answer that is not a success is read for its S3 code and becomes a [`Failure`];
//! - nothing is retried: a retry would hide what is to be measured;
//! - after a failure of the transport the next request opens a new connection.
//!
//! *Cancellation:* dropping a request's future leaves the session unusable; drop it, too.
//! *Limits:* documents read into memory are at most [`DOCUMENT_LEN_BYTES_MAX`] long.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;

use super::{
    endpoint::{Connection, Endpoint, RequestBody},
    signer::{PayloadHash, Signer},
};
use crate::clock;

/// Longest document of an answer. Chosen: several times a page of 1,000 of the longest keys.
const DOCUMENT_LEN_BYTES_MAX: usize = 16 << 20;

/// Longest S3 error code that is believed. Source: the longest documented ones have about 50.
const CODE_LEN_MAX: usize = 64;

/// SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Whom to talk to and how.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) signer: Signer,
    pub(crate) bucket: String,
    /// How long one operation may take.
    pub(crate) timeout: Duration,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A byte was not the one that was stored, or bytes are missing or too many.
    WrongByte {
        /// The object, or the prefix of a listing.
        key: String,
        /// The first wrong byte of the object, or the first wrong entry of the page.
        offset: u64,
    },
    /// The server answered, but not with a success.
    Refused {
        /// The status.
        status: StatusCode,
        /// S3's code, if there was one.
        code: Option<String>,
    },
    /// The answer is a success and yet not usable.
    Unusable {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection.
    Connect {
        /// What happened.
        reason: String,
    },
    /// The connection broke.
    Broken {
        /// What happened.
        reason: String,
    },
    /// Took longer than allowed.
    TimedOut,
}

impl Failure {
    /// A short name under which failures are counted.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::WrongByte { .. } => "wrong byte".to_owned(),
            Self::Refused { code: Some(code), .. } => code.clone(),
            Self::Refused { status, code: None } => format!("HTTP {}", status.as_u16()),
            Self::Unusable { .. } => "unusable answer".to_owned(),
            Self::Connect { .. } => "no connection".to_owned(),
            Self::Broken { .. } => "broken connection".to_owned(),
            Self::TimedOut => "timeout".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongByte { key, offset } => write!(f, "wrong byte in {key} at {offset}"),
            Self::Refused { status, code } => {
                write!(f, "{status}")?;
                code.iter().try_for_each(|code| write!(f, " ({code})"))
            }
            Self::Unusable { reason } => write!(f, "unusable answer: {reason}"),
            Self::Connect { reason } => f.write_str(reason),
            Self::Broken { reason } => write!(f, "the connection broke: {reason}"),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for Failure {}

/// A request before it is signed.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Behind the bucket, percent-encoded: `/key?query`, `?query`, or nothing.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: RequestBody,
    pub(crate) payload: PayloadHash,
}

impl Call {
    /// A call without a body.
    pub(crate) fn empty(method: Method, path: String) -> Self {
        Self::document(method, path, Bytes::new(), EMPTY_SHA256.to_owned())
    }

    /// A call with a short document and its SHA-256.
    pub(crate) fn document(method: Method, path: String, body: Bytes, sha256: String) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: Either::Right(Full::new(body)),
            payload: PayloadHash::Sha256(sha256),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A successful answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

/// One worker's session.
pub(crate) struct Session {
    target: Arc<Target>,
    connection: Option<Connection>,
}

impl Session {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self { target, connection: None }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Closes the connection, because what is left on it is not known.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Sends a call and returns the answer if it is a success.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn send(&mut self, call: Call) -> Result<Answer, Failure> {
        let request = self.signed(call)?;
        let connection = self.connect().await?;
        let sent = connection.send(request).await;
        let response = sent.map_err(|error| self.broken(&error))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(Answer { status: head.status, headers: head.headers, body });
        }
        let document = self.document(body).await?;
        Err(Failure::Refused { status: head.status, code: error_code(&document) })
    }

    /// Sends a call and reads the answer's document.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn fetch(&mut self, call: Call) -> Result<(HeaderMap, Bytes), Failure> {
        let answer = self.send(call).await?;
        Ok((answer.headers, self.document(answer.body).await?))
    }

    /// The next bytes of an answer, or `None` at its end.
    ///
    /// # Errors
    /// [`Failure::Broken`].
    pub(crate) async fn next_bytes(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>, Failure> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    async fn document(&mut self, body: Incoming) -> Result<Bytes, Failure> {
        match Limited::new(body, DOCUMENT_LEN_BYTES_MAX).collect().await {
            Ok(document) => Ok(document.to_bytes()),
            Err(error) => {
                self.disconnect();
                Err(Failure::Broken { reason: error.to_string() })
            }
        }
    }

    async fn connect(&mut self) -> Result<&mut Connection, Failure> {
        let usable = match &mut self.connection {
            Some(connection) => connection.is_usable().await,
            None => false,
        };
        if !usable {
            self.connection = None;
            let opened = self.target.endpoint.connect().await;
            let opened = opened.map_err(|error| Failure::Connect { reason: error.to_string() })?;
            return Ok(self.connection.insert(opened));
        }
        Ok(self.connection.as_mut().expect("a usable connection is there"))
    }

    fn broken(&mut self, error: &hyper::Error) -> Failure {
        self.disconnect();
        let source = std::error::Error::source(error);
        let reason =
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        Failure::Broken { reason }
    }

    fn signed(&self, call: Call) -> Result<Request<RequestBody>, Failure> {
        let Target { endpoint, signer, bucket, .. } = &*self.target;
        let path = format!("/{bucket}{}", call.path);
        let url = format!("{}{path}", endpoint.base());
        let given = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let host = std::iter::once(("host", endpoint.authority()));
        let signature = signer
            .sign(call.method.as_str(), &url, host.chain(given), call.payload, clock::now())
            .map_err(|_| Failure::Unusable { reason: "the request cannot be signed" })?;
        let mut request = Request::builder()
            .method(call.method)
            .uri(path)
            .header(header::HOST, endpoint.authority());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        for (name, value) in &signature {
            request = request.header(name, value);
        }
        request
            .body(call.body)
            .map_err(|_| Failure::Unusable { reason: "the request cannot be written" })
    }
}

/// The code of an S3 error document.
fn error_code(document: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(document).ok()?;
    let code = elements(text, "Code").next()?;
    let plausible = (1..=CODE_LEN_MAX).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then(|| code.to_owned())
}

/// The texts of all elements called `name`. Enough for the documents we ask for: our own keys hold
/// nothing that XML escapes.
pub(crate) fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(open.as_str())?;
        let (inner, after) = behind.split_once(close.as_str())?;
        rest = after;
        Some(inner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_found_and_nonsense_is_not_believed() {
        let document = b"<?xml?><Error><Code>SlowDown</Code><Message>m</Message></Error>";
        assert_eq!(error_code(document).as_deref(), Some("SlowDown"));
        for document in [&b""[..], b"<Code></Code>", b"<Code>a b</Code>", b"<Code>\xff</Code>"] {
            assert_eq!(error_code(document), None);
        }
    }

    #[test]
    fn elements_come_in_order_and_end_at_a_broken_one() {
        let text = "<Key>a</Key><x/><Key>b</Key><Key>c";
        assert_eq!(elements(text, "Key").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn failures_are_counted_by_code_or_status() {
        let refused = |code: Option<&str>| Failure::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: code.map(str::to_owned),
        };
        assert_eq!(refused(Some("SlowDown")).code(), "SlowDown");
        assert_eq!(refused(None).code(), "HTTP 503");
    }
}
