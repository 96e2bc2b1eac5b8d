//! A gateway in memory, from the outermost layer to the metadata, and what holds for each of its
//! answers.

#[path = "../../tests/edge/memory_device.rs"]
mod memory_device;

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use gateway_iam::{Directory, DirectoryDeps, RootCredentials, Secret};
use gateway_meta::{AccountId, MemoryMetaStore, MetaStore, TxIds};
use gateway_object::{CreateBucket, ObjectConfig, ObjectDeps, ObjectService};
use gateway_seal::RootKey;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use node_proto::{Clock, ManualClock, UnixMillis};

use crate::{S3Edge, S3EdgeConfig, exchange::Peer, front::Front, port::Answers as _};

/// The operator's key.
pub(super) const ROOT: (&str, &str) = ("rootkey", "rootsecret");
/// A bucket that is there.
pub(super) const BUCKET: &str = "bucket";
/// Some day.
const START: UnixMillis = UnixMillis(1_750_003_188_000);

/// A gateway with one empty bucket.
pub(super) struct Gateway {
    front: Arc<Front>,
    service: ObjectService,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Runs what a target does with a gateway of its own.
pub(super) fn with_gateway<F: Future<Output = ()>>(run: impl FnOnce(Arc<Gateway>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime of this thread needs nothing").block_on(async {
        let gateway = Arc::new(Gateway::start().await);
        run(Arc::clone(&gateway)).await;
        gateway.service.shutdown().await;
    });
}

impl Gateway {
    async fn start() -> Self {
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let txids = Arc::new(TxIds::new(START, 1));
        let root_key = Arc::new(RootKey::generate(&mut random));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        let directory = Directory::open(DirectoryDeps {
            meta: Arc::clone(&meta),
            txids: Arc::clone(&txids),
            root_key: Arc::clone(&root_key),
            root: RootCredentials {
                access_key_id: ROOT.0.to_owned(),
                secret: Secret::new(ROOT.1.to_owned()),
            },
            clock: Arc::clone(&clock),
            random,
        });
        let directory = Arc::new(directory.await.expect("a store in memory opens"));
        let (layout, devices, _unreadable) = memory_device::six_devices();
        let clock_of_edge = Arc::clone(&clock);
        let deps = ObjectDeps { meta, txids, layout, devices, root_key, key_service: None, clock };
        // So that a few bytes make a part.
        let config = ObjectConfig { part_len_bytes_min: 4, ..ObjectConfig::default() };
        let service = ObjectService::open(deps, config).await.expect("a store in memory opens");
        let bucket = CreateBucket {
            name: BUCKET.to_owned(),
            owner: AccountId::ROOT,
            region: String::new(),
            object_lock: false,
            tags: Vec::new(),
        };
        service.create_bucket(bucket).await.expect("the store is empty");
        let config = S3EdgeConfig::default();
        let edge = S3Edge::new(service.clone(), directory, clock_of_edge, config);
        Self { front: Arc::clone(&edge.front), service }
    }

    /// Sends a request whose body arrives in `deliveries`, and checks what holds for every answer.
    pub(super) async fn send(&self, request: Request<Vec<Bytes>>) -> Answer {
        let method = request.method().clone();
        let request = request.map(|deliveries| {
            let frames =
                deliveries.into_iter().map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
            StreamBody::new(futures::stream::iter(frames))
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let response =
            self.front.answer(request, Peer { address, secure: false, encryption: None }).await;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await;
        let body = collected.expect("an answer in memory is not cut short").to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        answer.check(&method);
        answer
    }
}

impl Answer {
    /// What an error document says its code is. It is cut out rather than parsed: a document that
    /// repeats a NUL of the client's is read by no parser.
    pub(super) fn code(&self) -> Option<&str> {
        let document = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = document.split_once("<Error><Code>")?;
        Some(rest.split_once("</Code>")?.0)
    }

    fn check(&self, method: &Method) {
        let status = self.status;
        let fault = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        assert!(!fault, "{status}: {}", String::from_utf8_lossy(&self.body));
        assert!(self.headers.contains_key("x-amz-request-id"));
        if method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
            assert!(self.body.is_empty(), "an answer to {method} with a body");
        } else if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED {
            let code = self.code().unwrap_or_default();
            let known = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            assert!(known, "{status}: {}", String::from_utf8_lossy(&self.body));
        }
        if let Some(len) = self.headers.get(http::header::CONTENT_LENGTH)
            && method != Method::HEAD
        {
            assert_eq!(len.as_bytes(), self.body.len().to_string().as_bytes());
        }
    }
}

/// Keys that are the same every time, so that an input does the same every time. What it makes
/// unique is unique within one gateway.
fn random(out: &mut [u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    for run in out.chunks_mut(8) {
        let number = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        run.copy_from_slice(&number.to_be_bytes()[..run.len()]);
    }
}
