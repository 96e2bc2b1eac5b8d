//! A small signing S3 client: one connection per request, the whole answer in memory.
//!
//! Deliberately absent: retries. A test sees every answer.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// How long one request may take. Chosen: several times the server's own time limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);

/// The region of a server with default options.
const REGION: &str = "us-east-1";

/// An access key and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// A client of one endpoint.
#[derive(Clone)]
pub(crate) struct S3 {
    scheme: &'static str,
    authority: String,
    credentials: Credentials,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// `len` bytes that differ for each seed and do not repeat.
pub(crate) fn payload(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

impl Credentials {
    pub(crate) fn new(access_key: &str, secret_key: &str) -> Self {
        Self { access_key: access_key.to_owned(), secret_key: secret_key.to_owned() }
    }
}

impl S3 {
    /// A client for `url` without TLS.
    pub(crate) fn new(url: &str, credentials: Credentials) -> Self {
        let authority = url.strip_prefix("http://").unwrap_or_else(|| panic!("not plain: {url}"));
        Self { scheme: "http", authority: authority.to_owned(), credentials, tls: None }
    }

    /// A client for `url` over TLS.
    pub(crate) fn with_tls(
        url: &str,
        credentials: Credentials,
        tls: Arc<rustls::ClientConfig>,
    ) -> Self {
        let authority = url.strip_prefix("https://").unwrap_or_else(|| panic!("not TLS: {url}"));
        Self { scheme: "https", authority: authority.to_owned(), credentials, tls: Some(tls) }
    }

    /// Sends a signed request and reads the answer.
    pub(crate) fn send(&self, method: &str, target: &str, body: Bytes) -> Answer {
        self.try_send(method, target, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// [`Self::send`] where the connection may fail.
    pub(crate) fn try_send(
        &self,
        method: &str,
        target: &str,
        body: Bytes,
    ) -> Result<Answer, String> {
        self.try_send_with(method, target, &[], body)
    }

    /// [`Self::send`] with further headers.
    pub(crate) fn send_with(
        &self,
        method: &str,
        target: &str,
        extra: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        self.try_send_with(method, target, extra, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    fn try_send_with(
        &self,
        method: &str,
        target: &str,
        extra: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in self.signed_headers(method, target, extra) {
            request = request.header(name, value);
        }
        // The HTTP library leaves it out when the body is empty.
        request = request.header(http::header::CONTENT_LENGTH, body.len());
        let request = request.body(Full::new(body)).expect("the request is well-formed");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            tokio::time::timeout(REQUEST_TIMEOUT, self.connect_and_send(request))
                .await
                .map_err(|_elapsed| format!("no answer within {REQUEST_TIMEOUT:?}"))?
        })
    }

    async fn connect_and_send(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let stream =
            tokio::net::TcpStream::connect(&self.authority).await.map_err(|e| chain(&e))?;
        let Some(tls) = &self.tls else {
            return exchange(stream, request).await;
        };
        let host = self.authority.rsplit_once(':').map_or(&*self.authority, |(host, _)| host);
        let name = rustls::pki_types::ServerName::try_from(host.to_owned()).expect("a host");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        exchange(stream.map_err(|e| chain(&e))?, request).await
    }

    /// The headers of a request whose body is not signed.
    fn signed_headers(
        &self,
        method: &str,
        target: &str,
        extra: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut headers = vec![("host".to_owned(), self.authority.clone())];
        headers.extend(extra.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let Credentials { access_key, secret_key } = &self.credentials;
        let identity =
            aws_credential_types::Credentials::from_keys(access_key, secret_key, None).into();
        #[expect(clippy::disallowed_methods, reason = "a real server checks against real time")]
        let now = SystemTime::now();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .expect("every signing parameter is given")
            .into();
        let request = SignableRequest::new(
            method,
            format!("{}://{}{target}", self.scheme, self.authority),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::UnsignedPayload,
        )
        .expect("the request can be signed");
        let signed = sign(request, &params).expect("the request can be signed");
        let (instructions, _signature) = signed.into_parts();
        let (signed, _query) = instructions.into_parts();
        headers.extend(
            signed.iter().map(|header| (header.name().to_owned(), header.value().to_owned())),
        );
        headers
    }

    /// Stores an object; it must succeed.
    pub(crate) fn put(&self, target: &str, body: &Bytes) {
        self.send("PUT", target, body.clone()).expect_status(200);
    }

    /// Makes a bucket; it must succeed.
    pub(crate) fn make_bucket(&self, name: &str) {
        self.send("PUT", &format!("/{name}"), Bytes::new()).expect_status(200);
    }

    /// Asks for something.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, Bytes::new())
    }

    /// Deletes something; it must succeed.
    pub(crate) fn delete(&self, target: &str) {
        self.send("DELETE", target, Bytes::new()).expect_status(204);
    }

    /// Copies an object on the server.
    pub(crate) fn copy(&self, source: &str, target: &str) -> Answer {
        let source = [("x-amz-copy-source", source)];
        self.try_send_with("PUT", target, &source, Bytes::new())
            .unwrap_or_else(|error| panic!("copy to {target}: {error}"))
    }

    /// Checks that an object holds exactly `expected`.
    pub(crate) fn expect_object(&self, target: &str, expected: &Bytes) {
        let answer = self.get(target);
        answer.expect_status(200);
        // Not `assert_eq`, which would print megabytes.
        assert!(answer.body == expected, "{target} differs, {} bytes", answer.body.len());
    }

    /// Stores an object that the server may refuse half-way. Unlike [`Self::send`], reads the answer
    /// also when the server stopped reading before everything was sent, as good clients do.
    pub(crate) fn upload(&self, target: &str, body: &Bytes) -> Answer {
        let mut put = self.begin_put(target, body.len());
        let sent = put.stream.write_all(body);
        let answer = put.answer();
        answer.unwrap_or_else(|| panic!("no answer to PUT {target}; the body: {sent:?}"))
    }

    /// Starts a PUT of `len` bytes on a connection of its own, and sends nothing of the body.
    pub(crate) fn begin_put(&self, target: &str, len: usize) -> SlowPut {
        let mut head = format!("PUT {target} HTTP/1.1\r\n");
        for (name, value) in self.signed_headers("PUT", target, &[]) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {len}\r\nconnection: close\r\n\r\n"));
        let mut stream = TcpStream::connect(&self.authority).expect("the server accepts");
        stream.set_read_timeout(Some(REQUEST_TIMEOUT)).expect("a timeout can be set");
        stream.write_all(head.as_bytes()).expect("the server reads");
        SlowPut { stream }
    }
}

/// A PUT whose body is sent bit by bit.
pub(crate) struct SlowPut {
    stream: TcpStream,
}

impl SlowPut {
    /// Sends some of the body.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads the answer; `None` when the connection was cut without one.
    pub(crate) fn answer(mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        // A reset connection is an end as good as any; what came before it counts.
        let _ = self.stream.read_to_end(&mut bytes);
        let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = Bytes::from(bytes).slice(head_len + 4..);
        Some(Answer { status, headers: HeaderMap::new(), body })
    }
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) {
        assert!(self.status == status, "expected {status}: {}", self.describe());
    }

    /// Checks that this is an S3 error.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, code: &str) {
        assert!(
            self.status == status && self.code().as_deref() == Some(code),
            "expected {status} {code}: {}",
            self.describe()
        );
    }

    /// The code of an S3 error document.
    pub(crate) fn code(&self) -> Option<String> {
        self.element("Code")
    }

    /// The text of the first element of a name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.to_owned())
    }

    /// For failures.
    pub(crate) fn describe(&self) -> String {
        let shown = &self.body[..self.body.len().min(500)];
        format!("{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(shown))
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: http::Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| chain(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| chain(&e))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| chain(&e))?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    // The connection moves only while it is polled; its error, if any, is the answer's.
    tokio::pin!(answer, connection);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

/// An error and what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
