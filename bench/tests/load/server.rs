//! A small S3 server in memory: one thread, path-style, just what `bench load` asks for.
//!
//! It computes every signature itself, from the specification and without the library that the
//! program signs with, and refuses what does not match.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// The last byte of every body read is changed.
    FlippedByte,
    /// The last byte of every body read is missing.
    ShortBody,
    /// The first key of every listing is missing.
    MissingKey,
    /// Every GetObject is refused.
    SlowDownOnGet,
}

struct State {
    access_key: String,
    secret_key: String,
    flaw: Flaw,
    buckets: Mutex<Vec<String>>,
    objects: Mutex<BTreeMap<String, Bytes>>,
    parts: Mutex<BTreeMap<(String, u32), Bytes>>,
    parts_received: AtomicU64,
    refused_signatures: AtomicU64,
}

/// The running server; stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(access_key: &str, secret_key: &str, flaw: Flaw) -> Self {
        let state = Arc::new(State {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            flaw,
            buckets: Mutex::default(),
            objects: Mutex::default(),
            parts: Mutex::default(),
            parts_received: AtomicU64::new(0),
            refused_signatures: AtomicU64::new(0),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    () = serve(TcpListener::from_std(listener).unwrap(), shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn objects(&self) -> usize {
        self.state.objects.lock().len()
    }

    pub(crate) fn parts_received(&self) -> u64 {
        self.state.parts_received.load(Relaxed)
    }

    pub(crate) fn refused_signatures(&self) -> u64 {
        self.state.refused_signatures.load(Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if !state.is_signed(&head, &body) {
        state.refused_signatures.fetch_add(1, Relaxed);
        return Ok(error(StatusCode::FORBIDDEN, "SignatureDoesNotMatch"));
    }
    Ok(state.respond(&head, body))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn error(status: StatusCode, code: &str) -> Answer {
    text(status, format!("<Error><Code>{code}</Code></Error>"))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

impl State {
    fn respond(&self, head: &http::request::Parts, body: Bytes) -> Answer {
        let path = head.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = query(head);
        let has = |name: &str| query.contains_key(name);
        if key.is_empty() {
            return self.respond_for_bucket(head, bucket, &query, &body);
        }
        let key = key.to_owned();
        match head.method {
            Method::POST if has("uploads") => text(
                StatusCode::OK,
                "<InitiateMultipartUploadResult><UploadId>id/1+=</UploadId>\
                 </InitiateMultipartUploadResult>",
            ),
            Method::PUT if has("partNumber") => {
                assert_eq!(query["uploadId"], "id/1+=");
                let number = query["partNumber"].parse().unwrap();
                self.parts_received.fetch_add(1, Relaxed);
                self.parts.lock().insert((key, number), body);
                let answer = Response::builder().header("etag", format!("\"{number}\""));
                answer.body(Full::default()).unwrap()
            }
            Method::POST if has("uploadId") => self.complete(key, &body),
            Method::PUT => {
                self.objects.lock().insert(key, body);
                text(StatusCode::OK, "")
            }
            Method::DELETE => {
                self.objects.lock().remove(&key);
                text(StatusCode::NO_CONTENT, "")
            }
            Method::GET | Method::HEAD => self.read(head, &key),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn respond_for_bucket(
        &self,
        head: &http::request::Parts,
        bucket: &str,
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Answer {
        let mut buckets = self.buckets.lock();
        let is_there = buckets.iter().any(|each| each == bucket);
        match head.method {
            Method::HEAD if is_there => text(StatusCode::OK, ""),
            Method::HEAD => text(StatusCode::NOT_FOUND, ""),
            Method::PUT => {
                buckets.push(bucket.to_owned());
                text(StatusCode::OK, "")
            }
            Method::POST if query.contains_key("delete") => {
                assert!(head.headers.contains_key("content-md5"));
                let document = std::str::from_utf8(body).unwrap();
                for key in document.split("<Key>").skip(1) {
                    self.objects.lock().remove(key.split_once('<').unwrap().0);
                }
                text(StatusCode::OK, "<DeleteResult/>")
            }
            Method::GET => self.list(query),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn complete(&self, key: String, body: &[u8]) -> Answer {
        let mut parts = self.parts.lock();
        let mut whole = Vec::new();
        for number in 1.. {
            let Some(part) = parts.remove(&(key.clone(), number)) else { break };
            let listed = format!("<PartNumber>{number}</PartNumber><ETag>\"{number}\"</ETag>");
            assert!(std::str::from_utf8(body).unwrap().contains(&listed));
            whole.extend_from_slice(&part);
        }
        self.objects.lock().insert(key, whole.into());
        text(StatusCode::OK, "<CompleteMultipartUploadResult/>")
    }

    fn read(&self, head: &http::request::Parts, key: &str) -> Answer {
        if self.flaw == Flaw::SlowDownOnGet {
            return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
        }
        let Some(mut bytes) = self.objects.lock().get(key).cloned() else {
            return error(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let mut status = StatusCode::OK;
        if let Some(range) = head.headers.get("range") {
            let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            bytes = bytes.slice(first..=last);
            status = StatusCode::PARTIAL_CONTENT;
        }
        match self.flaw {
            Flaw::FlippedByte => {
                let mut changed = bytes.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                bytes = changed.into();
            }
            Flaw::ShortBody => bytes.truncate(bytes.len() - 1),
            _ => {}
        }
        text(status, bytes)
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let after = query.get("start-after").cloned().unwrap_or_default();
        let limit: usize = query["max-keys"].parse().unwrap();
        let objects = self.objects.lock();
        let matching = objects
            .keys()
            .filter(|key| **key > after && key.starts_with(&query["prefix"]))
            .skip(usize::from(self.flaw == Flaw::MissingKey))
            .take(limit);
        let contents: String =
            matching.map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        text(StatusCode::OK, format!("<ListBucketResult>{contents}</ListBucketResult>"))
    }

    fn is_signed(&self, head: &http::request::Parts, body: &[u8]) -> bool {
        self.verify(head, body).unwrap_or(false)
    }

    fn verify(&self, head: &http::request::Parts, body: &[u8]) -> Option<bool> {
        let header = |name: &str| head.headers.get(name)?.to_str().ok();
        let authorization = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            authorization.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let (access_key, scope) = field("Credential")?.split_once('/')?;
        let signed_headers = field("SignedHeaders")?;
        let is_covered = |name: &str| signed_headers.split(';').any(|each| each == name);
        let hash = header("x-amz-content-sha256")?;
        if access_key != self.access_key
            || !["host", "x-amz-content-sha256", "x-amz-date"].into_iter().all(is_covered)
            || (hash != "UNSIGNED-PAYLOAD" && hash != sha256(body))
        {
            return Some(false);
        }
        let mut canonical = format!("{}\n{}\n", head.method, head.uri.path());
        let mut pairs: Vec<&str> =
            head.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_unstable();
        canonical.push_str(&format!("{}\n", pairs.join("&")));
        for name in signed_headers.split(';') {
            canonical.push_str(&format!("{name}:{}\n", header(name)?.trim()));
        }
        canonical.push_str(&format!("\n{signed_headers}\n{hash}"));
        let date = header("x-amz-date")?;
        let hashed = sha256(canonical.as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in scope.split('/') {
            key = sign(&key, part);
        }
        Some(hex::encode(sign(&key, &to_sign)) == field("Signature")?)
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn query(head: &http::request::Parts) -> BTreeMap<String, String> {
    let pairs = head.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&behind[..2], 16).unwrap());
        rest = &behind[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}
