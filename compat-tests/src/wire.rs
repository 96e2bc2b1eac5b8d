//! An S3 client that sends exactly what a test asks for, one connection per request.
//!
//! - The request target and the headers go out as given; nothing is normalised, retried or
//!   followed.
//! - What is signed is what is sent, unless the test asks for a flaw: another clock, another
//!   payload hash, a body changed after signing.
//!
//! Deliberately absent: knowledge of S3 operations. Tests spell requests out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;

use crate::clients::REGION;
use crate::encoding::{ChunkSigner, sha256_hex, unsigned_chunks};
use crate::server::Credentials;

/// How long one request may take. Chosen: several times what the largest body of the tests needs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// `x-amz-content-sha256` of a body that the signature does not cover.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The S3 endpoint of a server and the credentials to sign with.
#[derive(Debug, Clone)]
pub struct Wire {
    address: String,
    credentials: Credentials,
}

#[derive(Debug, Clone, Copy)]
enum Authentication {
    Anonymous,
    Header,
    Query { expires: Duration },
}

#[derive(Debug, Clone)]
enum Body {
    Whole(Bytes),
    SignedChunks { data: Bytes, chunk_len: usize, trailer: Option<(String, String)> },
    UnsignedChunks { data: Bytes, chunk_len: usize, trailer: (String, String) },
}

/// A request being put together.
#[derive(Debug, Clone)]
#[must_use]
pub struct Request {
    address: String,
    credentials: Credentials,
    method: String,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
    unsigned_headers: Vec<(String, String)>,
    body: Body,
    payload_hash: Option<String>,
    authentication: Authentication,
    clock_offset_seconds: i64,
    change_after_signing: Option<fn(&mut Vec<u8>)>,
    content_length: ContentLength,
}

/// What [`Request::into_message`] says about the length of the body.
#[derive(Debug, Clone)]
enum ContentLength {
    /// What it has, where the method has bodies.
    Real,
    /// This text.
    Claimed(String),
    /// Nothing.
    Absent,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    request: String,
}

/// A request with its final headers, target and body.
struct Ready {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The status of an unsigned GET of `url`, or `None` when nobody answers.
#[must_use]
pub fn get(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let wire = Wire::new(address, Credentials::new("", ""));
    wire.get(&format!("/{path}")).anonymous().try_send().ok().map(|response| response.status)
}

impl Wire {
    /// A client for `address` (`HOST:PORT`).
    #[must_use]
    pub fn new(address: &str, credentials: Credentials) -> Self {
        Self { address: address.to_owned(), credentials }
    }

    /// The same endpoint with other credentials.
    #[must_use]
    pub fn signed_by(&self, credentials: &Credentials) -> Self {
        Self { address: self.address.clone(), credentials: credentials.clone() }
    }

    /// A signed request for `target`, the exact text between method and `HTTP/1.1`.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request {
            address: self.address.clone(),
            credentials: self.credentials.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            host: self.address.clone(),
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            body: Body::Whole(Bytes::new()),
            payload_hash: None,
            authentication: Authentication::Header,
            clock_offset_seconds: 0,
            change_after_signing: None,
            content_length: ContentLength::Real,
        }
    }

    /// A signed GET.
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A signed HEAD.
    pub fn head(&self, target: &str) -> Request {
        self.request("HEAD", target)
    }

    /// A signed PUT.
    pub fn put(&self, target: &str) -> Request {
        self.request("PUT", target)
    }

    /// A signed POST.
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target)
    }

    /// A signed DELETE.
    pub fn delete(&self, target: &str) -> Request {
        self.request("DELETE", target)
    }
}

impl Request {
    /// Adds a header; it is signed.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header that the signature does not cover.
    pub fn unsigned_header(mut self, name: &str, value: &str) -> Self {
        self.unsigned_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends another `Host` than the server's address.
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Sends `data` in one run.
    pub fn body(mut self, data: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(data.into());
        self
    }

    /// Sends `data` as `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    pub fn signed_chunks(mut self, data: impl Into<Bytes>, chunk_len: usize) -> Self {
        self.body = Body::SignedChunks { data: data.into(), chunk_len, trailer: None };
        self
    }

    /// Sends `data` as `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    pub fn signed_chunks_and_trailer(
        mut self,
        data: impl Into<Bytes>,
        chunk_len: usize,
        trailer: (&str, &str),
    ) -> Self {
        let trailer = Some((trailer.0.to_owned(), trailer.1.to_owned()));
        self.body = Body::SignedChunks { data: data.into(), chunk_len, trailer };
        self
    }

    /// Sends `data` as `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    pub fn unsigned_chunks(
        mut self,
        data: impl Into<Bytes>,
        chunk_len: usize,
        trailer: (&str, &str),
    ) -> Self {
        let trailer = (trailer.0.to_owned(), trailer.1.to_owned());
        self.body = Body::UnsignedChunks { data: data.into(), chunk_len, trailer };
        self
    }

    /// Claims `hash` in `x-amz-content-sha256` instead of what the body calls for.
    pub fn payload_hash(mut self, hash: &str) -> Self {
        self.payload_hash = Some(hash.to_owned());
        self
    }

    /// Sends the request without a signature.
    pub fn anonymous(mut self) -> Self {
        self.authentication = Authentication::Anonymous;
        self
    }

    /// Signs in the query, valid for `expires`.
    pub fn presigned(mut self, expires: Duration) -> Self {
        self.authentication = Authentication::Query { expires };
        self
    }

    /// Signs with a clock that is `seconds` ahead (or behind, when negative).
    pub fn clock_offset(mut self, seconds: i64) -> Self {
        self.clock_offset_seconds = seconds;
        self
    }

    /// Changes the encoded body after everything has been signed.
    pub fn change_after_signing(mut self, change: fn(&mut Vec<u8>)) -> Self {
        self.change_after_signing = Some(change);
        self
    }

    /// Lets [`Request::into_message`] claim another `Content-Length` than the body has.
    pub fn content_length(mut self, text: &str) -> Self {
        self.content_length = ContentLength::Claimed(text.to_owned());
        self
    }

    /// Lets [`Request::into_message`] leave `Content-Length` out.
    pub fn without_content_length(mut self) -> Self {
        self.content_length = ContentLength::Absent;
        self
    }

    /// The request as HTTP/1.1 sends it: what a test writes to a socket itself.
    #[must_use]
    pub fn into_message(self) -> Vec<u8> {
        let content_length = self.content_length.clone();
        let ready = self.prepare();
        let has_body = ["PUT", "POST"].contains(&ready.method.as_str()) || !ready.body.is_empty();
        let content_length = match content_length {
            ContentLength::Real => has_body.then(|| ready.body.len().to_string()),
            ContentLength::Claimed(text) => Some(text),
            ContentLength::Absent => None,
        };
        let mut message = ready.head(content_length.as_deref()).into_bytes();
        message.extend_from_slice(&ready.body);
        message
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Panics
    /// When there is no complete HTTP answer within a minute.
    #[must_use]
    pub fn send(self) -> Response {
        let line = format!("{} {}", self.method, self.target);
        self.try_send().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// [`Request::send`] for a server that may be going away.
    ///
    /// # Errors
    /// When there is no complete HTTP answer within a minute.
    pub fn try_send(self) -> Result<Response, String> {
        let address = self.address.clone();
        let line = format!("{} {}", self.method, self.target);
        let ready = self.prepare();
        crate::blocking::run(async {
            tokio::time::timeout(REQUEST_TIMEOUT, exchange(&address, ready, line))
                .await
                .map_err(|_| format!("no answer within {REQUEST_TIMEOUT:?}"))?
        })
    }

    /// Sends the request on a connection of its own with `Connection: close` and returns every
    /// byte the server sends, status line and headers included.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn send_raw(self) -> Vec<u8> {
        let address = self.address.clone();
        let ready = self.header("connection", "close").prepare();
        let len = ready.body.len();
        let mut stream = ready.start_raw(&address, len);
        stream.write_all(&ready.body).expect("the server reads the body");
        read_to_end(&mut stream)
    }

    /// Sends a `Content-Length` of `declared_len_bytes`, but of the body only what it has, and
    /// then ends the sending side, as a client that goes away. Returns what the server answers.
    ///
    /// # Panics
    /// When the server does not accept the connection.
    #[must_use]
    pub fn send_cut_short(self, declared_len_bytes: usize) -> Vec<u8> {
        let address = self.address.clone();
        let ready = self.prepare();
        let mut stream = ready.start_raw(&address, declared_len_bytes);
        stream.write_all(&ready.body).expect("the server reads the body");
        stream.shutdown(std::net::Shutdown::Write).expect("a socket can be half closed");
        read_to_end(&mut stream)
    }

    /// Sends only the headers, with `Expect: 100-continue`, and returns the first line of what the
    /// server answers before it has seen any of the body.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn send_expecting_continue(self) -> String {
        let address = self.address.clone();
        let ready = self.unsigned_header("expect", "100-continue").prepare();
        let len = ready.body.len();
        let stream = ready.start_raw(&address, len);
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("the server answers in ASCII");
        line.trim_end().to_owned()
    }

    /// The target of this request, presigned: what a browser would be given.
    #[must_use]
    pub fn into_target(self) -> String {
        self.prepare().target
    }

    fn prepare(mut self) -> Ready {
        self.headers.push(("host".to_owned(), self.host.clone()));
        self.add_body_headers();
        let time = self.signing_time();
        let mut signature = String::new();
        match self.authentication {
            Authentication::Anonymous => {}
            Authentication::Header => {
                signature = self.sign(SigningSettings::default(), time);
            }
            Authentication::Query { expires } => {
                let mut settings = SigningSettings::default();
                settings.signature_location = SignatureLocation::QueryParams;
                settings.expires_in = Some(expires);
                signature = self.sign(settings, time);
            }
        }
        self.headers.append(&mut self.unsigned_headers);
        let mut body = self.encode_body(time, &signature);
        if let Some(change) = self.change_after_signing {
            change(&mut body);
        }
        Ready { method: self.method, target: self.target, headers: self.headers, body }
    }

    fn add_body_headers(&mut self) {
        let (data, trailer) = match &self.body {
            Body::Whole(_) => return,
            Body::SignedChunks { data, trailer, .. } => (data, trailer.as_ref()),
            Body::UnsignedChunks { data, trailer, .. } => (data, Some(trailer)),
        };
        let mut headers = vec![
            ("content-encoding".to_owned(), "aws-chunked".to_owned()),
            ("x-amz-decoded-content-length".to_owned(), data.len().to_string()),
        ];
        if let Some((name, _)) = trailer {
            headers.push(("x-amz-trailer".to_owned(), name.clone()));
        }
        self.headers.extend(headers);
    }

    fn content_sha256(&self) -> String {
        if let Some(hash) = &self.payload_hash {
            return hash.clone();
        }
        let presigned = matches!(self.authentication, Authentication::Query { .. });
        match &self.body {
            Body::Whole(_) if presigned => UNSIGNED_PAYLOAD.to_owned(),
            Body::Whole(data) => sha256_hex(data),
            Body::SignedChunks { trailer: None, .. } => {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()
            }
            Body::SignedChunks { .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
            Body::UnsignedChunks { .. } => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a request to a real server is signed in real time"
    )]
    fn signing_time(&self) -> SystemTime {
        let offset = Duration::from_secs(self.clock_offset_seconds.unsigned_abs());
        let now = SystemTime::now();
        if self.clock_offset_seconds < 0 { now - offset } else { now + offset }
    }

    /// Adds the signature to the headers or the target and returns it.
    fn sign(&mut self, mut settings: SigningSettings, time: SystemTime) -> String {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let credentials = SigningCredentials::from_keys(
            &self.credentials.access_key,
            &self.credentials.secret_key,
            None,
        );
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .expect("every signing parameter is given")
            .into();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(
            &self.method,
            format!("http://{}{}", self.host, self.target),
            headers,
            SignableBody::Precomputed(self.content_sha256()),
        );
        let signed = request.and_then(|request| sign(request, &params));
        let (instructions, signature) = match signed {
            Ok(output) => output.into_parts(),
            Err(error) => panic!("cannot sign {} {}: {error}", self.method, self.target),
        };
        let (headers, query) = instructions.into_parts();
        for header in headers {
            self.headers.push((header.name().to_owned(), header.value().to_owned()));
        }
        for (name, value) in query {
            let separator = if self.target.contains('?') { '&' } else { '?' };
            self.target.push_str(&format!("{separator}{name}={}", percent_encode(&value)));
        }
        signature
    }

    fn encode_body(&self, time: SystemTime, seed_signature: &str) -> Vec<u8> {
        match &self.body {
            Body::Whole(data) => data.to_vec(),
            Body::UnsignedChunks { data, chunk_len, trailer } => {
                unsigned_chunks(data, *chunk_len, (&trailer.0, &trailer.1))
            }
            Body::SignedChunks { data, chunk_len, trailer } => {
                let date = self.headers.iter().find(|(name, _)| name == "x-amz-date");
                let date = date.map_or("", |(_, value)| value);
                let secret = &self.credentials.secret_key;
                let trailer = trailer.as_ref().map(|(n, v)| (n.as_str(), v.as_str()));
                ChunkSigner::new(secret, time, date, seed_signature)
                    .encode(data, *chunk_len, trailer)
            }
        }
    }
}

impl Ready {
    /// Everything before the body.
    fn head(&self, content_length: Option<&str>) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(text) = content_length {
            head.push_str(&format!("content-length: {text}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    /// Connects and sends everything but the body.
    fn start_raw(&self, address: &str, content_len_bytes: usize) -> TcpStream {
        let head = self.head(Some(&content_len_bytes.to_string()));
        let mut stream = TcpStream::connect(address).expect("the server accepts connections");
        stream.set_read_timeout(Some(REQUEST_TIMEOUT)).expect("a timeout can be set");
        stream.write_all(head.as_bytes()).expect("the server reads the request");
        stream
    }
}

/// Everything the server sends until it closes the connection or resets it.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A server may close a connection without reading the rest of a request; what it said before
    // has arrived all the same.
    let _ = stream.read_to_end(&mut answer);
    answer
}

async fn exchange(address: &str, ready: Ready, line: String) -> Result<Response, String> {
    let describe = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let stream = tokio::net::TcpStream::connect(address).await.map_err(|e| describe(&e))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| describe(&e))?;
    let mut builder = http::Request::builder().method(ready.method.as_str()).uri(&ready.target);
    for (name, value) in &ready.headers {
        builder = builder.header(name, value);
    }
    // hyper leaves the header out when a body is empty, and S3 wants one on every upload.
    if ["PUT", "POST"].contains(&ready.method.as_str()) {
        builder = builder.header("content-length", ready.body.len());
    }
    let request = builder.body(Full::new(Bytes::from(ready.body))).map_err(|e| describe(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| describe(&e))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| describe(&e))?.to_bytes();
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body, request: line })
    };
    // The connection makes progress only while it is polled; its error, if any, is the answer's.
    tokio::pin!(answer);
    tokio::pin!(connection);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

impl Response {
    /// This answer, if its status is `status`.
    ///
    /// # Panics
    /// With the answer's body otherwise.
    #[must_use]
    pub fn status_is(self, status: u16) -> Self {
        self.expect_status(status);
        self
    }

    /// Checks the status.
    ///
    /// # Panics
    /// With the answer's body when the status is another.
    pub fn expect_status(&self, status: u16) {
        assert!(self.status == status, "{} answered {}", self.request, self.describe());
    }

    /// Checks that this is an S3 error with `status` and `code`.
    ///
    /// # Panics
    /// With the answer's body when it is not.
    pub fn expect_error(&self, status: u16, code: &str) {
        let matches = self.status == status && self.element("Code").as_deref() == Some(code);
        assert!(
            matches,
            "{} should fail with {status} {code}, but answered {}",
            self.request,
            self.describe()
        );
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The text of the first XML element called `name` in the body.
    #[must_use]
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// The texts of all XML elements called `name` in the body, unescaped.
    #[must_use]
    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let closed = |rest: &str| rest.split_once(&end).map(|(inner, _)| unescape(inner));
        text.split(&start).skip(1).filter_map(closed).collect()
    }

    fn describe(&self) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason());
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]).into_owned();
        format!("{} {}\n{:#?}\n{body}", self.status, reason.unwrap_or_default(), self.headers)
    }
}

/// [`percent_encode`] for a path: slashes stay, as SigV4 wants it for S3.
#[must_use]
pub fn percent_encode_path(text: &str) -> String {
    text.split('/').map(percent_encode).collect::<Vec<_>>().join("/")
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
