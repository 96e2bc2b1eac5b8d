//! An edge to test, and a client that sends exactly what a test asks for.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;
use gateway_iam::{Directory, DirectoryDeps, ImportedKey, RootCredentials, Secret};
use gateway_kms::{BuiltInDeps, BuiltInKeyService, KeyService};
use gateway_meta::{MemoryMetaStore, MetaStore, TxIds};
use gateway_object::{CreateBucket, ObjectConfig, ObjectDeps, ObjectService};
use gateway_s3::{S3Edge, S3EdgeConfig, TlsConfig};
use gateway_seal::RootKey;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use node_proto::{Clock, ManualClock, UnixMillis};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use crate::memory_device::six_devices;

/// The operator's key.
pub(crate) const ROOT: (&str, &str) = ("rootkey", "rootsecret");
/// The key of a user, `ann`.
pub(crate) const ANN: (&str, &str) = ("annkey", "annsecret");
/// The key of another user, `ben`.
pub(crate) const BEN: (&str, &str) = ("benkey", "bensecret");
/// A bucket that `ann` owns.
pub(crate) const BUCKET: &str = "bucket";
/// Least length of a part that is not the last.
pub(crate) const PART_MIN: usize = 16;
/// Some day, twelve seconds before an hour ends.
const START: UnixMillis = UnixMillis(1_750_003_188_000);
/// Longest time a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An edge on a loopback port.
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    /// Where buckets are websites, under `web.test` and by their names.
    pub(crate) website: SocketAddr,
    pub(crate) service: ObjectService,
    /// The keys of SSE-KMS.
    pub(crate) kms: Arc<BuiltInKeyService>,
    /// Makes what is stored unreadable.
    pub(crate) unreadable: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    _website: JoinSet<Result<(), gateway_s3::ServeError>>,
    tasks: JoinSet<Result<(), gateway_s3::ServeError>>,
}

fn random(out: &mut [u8]) {
    getrandom::fill(out).unwrap();
}

/// Gives a service the built-in key service.
fn add_key_service(deps: &mut ObjectDeps) -> Arc<BuiltInKeyService> {
    let kms = Arc::new(BuiltInKeyService::new(BuiltInDeps {
        meta: Arc::clone(&deps.meta),
        txids: Arc::clone(&deps.txids),
        root_key: Arc::clone(&deps.root_key),
        clock: Arc::clone(&deps.clock),
        random,
    }));
    deps.key_service = Some(Arc::clone(&kms) as Arc<dyn KeyService>);
    kms
}

impl Edge {
    /// An edge with one empty bucket of `ann`'s.
    pub(crate) async fn start() -> Self {
        Self::start_with(S3EdgeConfig::default(), None).await
    }

    /// An edge that speaks TLS, with one empty bucket of `ann`'s.
    pub(crate) async fn start_tls(tls: TlsConfig) -> Self {
        Self::start_with(S3EdgeConfig::default(), Some(tls)).await
    }

    /// An edge with settings, with one empty bucket of `ann`'s.
    pub(crate) async fn start_with(config: S3EdgeConfig, tls: Option<TlsConfig>) -> Self {
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let txids = Arc::new(TxIds::new(START, 1));
        let root_key = Arc::new(RootKey::generate(&mut random));
        let clock = Arc::new(ManualClock::new(START));
        let directory = Directory::open(DirectoryDeps {
            meta: Arc::clone(&meta),
            txids: Arc::clone(&txids),
            root_key: Arc::clone(&root_key),
            root: RootCredentials {
                access_key_id: ROOT.0.to_owned(),
                secret: Secret::new(ROOT.1.to_owned()),
            },
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random,
        })
        .await
        .unwrap();
        let owner = directory.create_account("ann").await.unwrap();
        directory.create_account("ben").await.unwrap();
        for (name, key) in [("ann", ANN), ("ben", BEN)] {
            let secret = Secret::new(key.1.to_owned());
            let imported = ImportedKey { id: key.0.to_owned(), secret };
            directory.create_access_key(name, Some(imported)).await.unwrap();
        }
        let (layout, devices, unreadable) = six_devices();
        let mut deps = ObjectDeps {
            meta,
            txids,
            layout,
            devices,
            root_key,
            key_service: None,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let kms = add_key_service(&mut deps);
        let object_config = ObjectConfig {
            part_len_bytes_min: PART_MIN as u64,
            access_log_interval: Duration::from_millis(50),
            ..ObjectConfig::default()
        };
        let service = ObjectService::open(deps, object_config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let edge_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let edge = S3Edge::new(service.clone(), Arc::new(directory), edge_clock, config);
        let website_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let website = website_listener.local_addr().unwrap();
        let site = edge.website(&["web.test".to_owned()]);
        let mut _website = JoinSet::new();
        _website.spawn(site.serve(website_listener, tls.clone(), std::future::pending()));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(edge.serve(listener, tls, shutdown));
        let create = CreateBucket {
            name: BUCKET.to_owned(),
            owner: owner.id,
            region: String::new(),
            object_lock: false,
            tags: Vec::new(),
        };
        service.create_bucket(create).await.unwrap();
        Self { address, website, _website, service, kms, unreadable, stop: Some(stop), tasks }
    }

    /// Asks the edge to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.unwrap().unwrap().unwrap().unwrap();
    }

    /// Only asks the edge to stop.
    pub(crate) fn begin_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until the edge has stopped.
    pub(crate) async fn stopped(&mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.unwrap().unwrap().unwrap().unwrap();
    }

    /// A request of `ann`'s. A target that does not start with `/` is one of her bucket's.
    pub(crate) fn request(&self, method: Method, target: &str) -> Ask {
        let target = match target.as_bytes() {
            [] | [b'?', ..] => format!("/{BUCKET}{target}"),
            [b'/', ..] => target.to_owned(),
            _ => format!("/{BUCKET}/{target}"),
        };
        Ask {
            address: self.address,
            method,
            target,
            host: self.address.to_string(),
            headers: Vec::new(),
            body: Bytes::new(),
            payload_hash: None,
            signature: Signature::Header(ANN),
            scope: ("us-east-1", "s3"),
            content_length: true,
        }
    }

    /// A browser's request to a website.
    pub(crate) fn visit(&self, host: &str, target: &str) -> Ask {
        let ask = self.request(Method::GET, target).anonymous().host(host);
        Ask { address: self.website, ..ask }
    }

    pub(crate) fn get(&self, target: &str) -> Ask {
        self.request(Method::GET, target)
    }

    pub(crate) fn head(&self, target: &str) -> Ask {
        self.request(Method::HEAD, target)
    }

    pub(crate) fn put(&self, target: &str) -> Ask {
        self.request(Method::PUT, target)
    }

    pub(crate) fn post(&self, target: &str) -> Ask {
        self.request(Method::POST, target)
    }

    pub(crate) fn delete(&self, target: &str) -> Ask {
        self.request(Method::DELETE, target)
    }

    /// Stores an object.
    pub(crate) async fn store(&self, key: &str, body: &'static str) {
        self.put(key).body(body).send().await.expect_status(200);
    }
}

#[derive(Clone, Copy)]
enum Signature {
    None,
    Header((&'static str, &'static str)),
    Query((&'static str, &'static str)),
}

/// A request being put together.
#[derive(Clone)]
#[must_use]
pub(crate) struct Ask {
    address: SocketAddr,
    method: Method,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    payload_hash: Option<String>,
    signature: Signature,
    scope: (&'static str, &'static str),
    content_length: bool,
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// What `x-amz-content-sha256` says.
    pub(crate) fn payload_hash(mut self, hash: &str) -> Self {
        self.payload_hash = Some(hash.to_owned());
        self
    }

    pub(crate) fn signed_by(mut self, key: (&'static str, &'static str)) -> Self {
        self.signature = Signature::Header(key);
        self
    }

    /// Signs for another region or service.
    pub(crate) fn signed_for(mut self, region: &'static str, service: &'static str) -> Self {
        self.scope = (region, service);
        self
    }

    pub(crate) fn presigned(mut self) -> Self {
        self.signature = Signature::Query(ANN);
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.signature = Signature::None;
        self
    }

    /// Leaves `Content-Length` out and sends the body in chunks of HTTP's.
    pub(crate) fn chunked(mut self) -> Self {
        self.content_length = false;
        self
    }

    #[expect(clippy::disallowed_methods, reason = "signatures are judged by the system clock")]
    fn sign(&mut self) {
        let (key, location) = match self.signature {
            Signature::None => return,
            Signature::Header(key) => (key, SignatureLocation::Headers),
            Signature::Query(key) => (key, SignatureLocation::QueryParams),
        };
        let in_query = matches!(self.signature, Signature::Query(_));
        let mut settings = SigningSettings::default();
        settings.signature_location = location;
        settings.expires_in = in_query.then_some(Duration::from_secs(600));
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = Credentials::from_keys(key.0, key.1, None).into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.scope.0)
            .name(self.scope.1)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let body = match (&self.payload_hash, in_query) {
            (Some(hash), _) => SignableBody::Precomputed(hash.clone()),
            (None, true) => SignableBody::UnsignedPayload,
            (None, false) => SignableBody::Bytes(&self.body),
        };
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("http://{}{}", self.host, self.target);
        let host = ("host", self.host.as_str());
        let headers = headers.chain(std::iter::once(host));
        let request = SignableRequest::new(self.method.as_str(), url, headers, body).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let (headers, query) = instructions.into_parts();
        for header in headers {
            self.headers.push((header.name().to_owned(), header.value().to_owned()));
        }
        for (name, value) in query {
            let separator = if self.target.contains('?') { '&' } else { '?' };
            let value = encode(&value);
            self.target.push_str(&format!("{separator}{name}={value}"));
        }
    }

    pub(crate) fn into_request(mut self) -> Request<Full<Bytes>> {
        self.sign();
        let mut builder = Request::builder().method(self.method).uri(&self.target);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder = builder.header("host", &self.host);
        if !self.content_length {
            builder = builder.header("transfer-encoding", "chunked");
        }
        builder.body(Full::new(self.body)).unwrap()
    }

    /// Sends the request on a connection of its own and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let line = format!("{} {}", self.method, self.target);
        let exchange = exchange(stream, self.into_request());
        let response = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
        Answer::new(line, response)
    }

    /// Sends a `Content-Length` of `declared_len_bytes` but only `body`, then ends the sending side.
    /// Returns every byte that comes back.
    pub(crate) async fn send_cut_short(self, body: &[u8], declared_len_bytes: usize) -> String {
        let mut stream = self.begin(declared_len_bytes).await;
        stream.write_all(body).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await
    }

    /// Sends only the headers, and returns the connection.
    pub(crate) async fn begin(mut self, declared_len_bytes: usize) -> TcpStream {
        self.sign();
        let mut text =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {declared_len_bytes}\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// The signed target: what a browser would be given.
    pub(crate) fn into_target(mut self) -> String {
        self.sign();
        self.target
    }
}

/// Everything that comes back until the server closes the connection.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time");
    String::from_utf8(answer).unwrap()
}

/// One request over one connection.
pub(crate) async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Response<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let answer = async {
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, body)
    };
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    line: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(line: String, response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { line, status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status.as_u16(), status, "{}: {text}", self.line);
        self
    }

    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect_status(status);
        assert_eq!(answer.element("Code"), code, "{}: {}", answer.line, answer.text());
        answer
    }

    /// A header; empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The text of the first element of a name; empty when absent.
    pub(crate) fn element(&self, name: &str) -> String {
        self.elements(name).into_iter().next().unwrap_or_default()
    }

    /// The texts of all elements of a name, as they stand.
    pub(crate) fn elements(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let inner = |rest: &str| rest.split(&end).next().unwrap_or_default().to_owned();
        text.split(&start).skip(1).map(inner).collect()
    }
}

/// Percent-encodes everything but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out += &format!("%{byte:02X}"),
        }
        out
    })
}
