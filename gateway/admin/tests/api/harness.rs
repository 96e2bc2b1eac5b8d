//! The API over metadata in memory, devices that are away, and a clock that tests move.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use gateway_admin::{AdminDeps, MeshReport, MeshView, Readiness, router};
use gateway_iam::{Directory, DirectoryDeps, RootCredentials, Secret};
use gateway_kms::{BuiltInDeps, BuiltInKeyService};
use gateway_layout::{Cluster, ClusterDeps, Settings};
use gateway_meta::{MemoryMetaStore, MetaStore, TxIds};
use gateway_object::{ObjectConfig, ObjectDeps, ObjectService};
use gateway_seal::RootKey;
use http_body_util::BodyExt as _;
use node_proto::{
    ByteRange, Clock, ClusterId, ClusterKey, DeleteShardsError, DeviceHealth, DeviceId,
    DeviceStatus, GetShardError, LayoutDevice, ListShardsError, ManualClock, PeerKey,
    PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot, ShardService, UnixMillis,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const ROOT: (&str, &str) = ("ROOTKEY", "root-secret");

/// The gateway's own peer id.
pub(crate) const GATEWAY: PeerKey = PeerKey([200; 32]);

/// Where nodes can dial it.
pub(crate) const GATEWAY_ADDRESS: &str = "/ip4/10.0.0.200/tcp/9002";

/// A device that is away.
struct Away(DeviceId);

pub(crate) const REASON: &str = "pulled";

#[async_trait]
impl ShardService for Away {
    async fn put(&self, _: ShardKey, _: ShardRoot, _: Bytes) -> Result<(), PutShardError> {
        Err(PutShardError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    async fn get(&self, _: ShardKey, _: ByteRange) -> Result<Bytes, GetShardError> {
        Err(GetShardError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    async fn verify(&self, _: ShardKey) -> Result<ShardEntry, GetShardError> {
        Err(GetShardError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    async fn replace(&self, _: ShardKey, _: ShardRoot, _: Bytes) -> Result<(), PutShardError> {
        Err(PutShardError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    async fn delete(&self, _: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        Err(DeleteShardsError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    async fn list(
        &self,
        _: Option<ShardKey>,
        _: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        Err(ListShardsError::Offline { device: self.0, reason: REASON.to_owned() })
    }

    fn status(&self) -> DeviceStatus {
        DeviceStatus {
            device: self.0,
            uuid: None,
            open_count: 0,
            continuity: node_proto::Continuity::default(),
            health: DeviceHealth::Offline,
            reason: Some(REASON.to_owned()),
            capacity_bytes: 0,
            free_bytes: 0,
            shard_count: 0,
        }
    }

    fn start_scrub(&self) {}

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress::default()
    }

    fn take_damaged(&self, _: usize) -> Vec<ShardKey> {
        Vec::new()
    }
}

/// The API and what a test changes about it.
pub(crate) struct Api {
    router: Router,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) cluster: Cluster,
    pub(crate) objects: ObjectService,
    pub(crate) mesh: Arc<FixedMesh>,
}

/// A mesh that is what a test says it is.
pub(crate) struct FixedMesh(pub(crate) Mutex<MeshReport>);

#[async_trait::async_trait]
impl MeshView for FixedMesh {
    fn report(&self) -> MeshReport {
        self.0.lock().expect("no test panics in it").clone()
    }

    async fn find(&self, peer: PeerKey) -> Result<Vec<String>, String> {
        let report = self.report();
        let known = report.peers.into_iter().find(|known| known.peer == peer);
        known.map(|known| known.addresses).ok_or_else(|| "nobody knows it".to_owned())
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Differs with every call, so that keys and ids do.
fn counting_random(out: &mut [u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(1);
    for byte in out {
        let mixed = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        *byte = mixed.to_be_bytes()[0];
    }
}

/// The built-in key service beside a service.
fn key_service(deps: &ObjectDeps) -> Arc<BuiltInKeyService> {
    Arc::new(BuiltInKeyService::new(BuiltInDeps {
        meta: Arc::clone(&deps.meta),
        txids: Arc::clone(&deps.txids),
        root_key: Arc::clone(&deps.root_key),
        clock: Arc::clone(&deps.clock),
        random: counting_random,
    }))
}

impl Api {
    pub(crate) async fn open() -> Self {
        Self::with_token_secret([7; 32]).await
    }

    pub(crate) async fn with_token_secret(token_secret: [u8; 32]) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let shared_clock: Arc<dyn Clock> = clock.clone();
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let txids = Arc::new(TxIds::new(NOW, 1));
        let root_key = Arc::new(RootKey::from_bytes(&[3; 32]).expect("32 bytes"));
        let directory = Directory::open(DirectoryDeps {
            meta: Arc::clone(&meta),
            txids: Arc::clone(&txids),
            root_key: Arc::clone(&root_key),
            root: RootCredentials {
                access_key_id: ROOT.0.to_owned(),
                secret: Secret::new(ROOT.1.to_owned()),
            },
            clock: Arc::clone(&shared_clock),
            random: counting_random,
        });
        let directory = Arc::new(directory.await.expect("opens"));
        let ids = || (0..3).map(DeviceId);
        let slot = |id: DeviceId| LayoutDevice::local(id, format!("devices/{}", id.0));
        let cluster = Cluster::open(ClusterDeps {
            meta: Arc::clone(&meta),
            txids: Arc::clone(&txids),
            clock: Arc::clone(&shared_clock),
            random: counting_random,
            cluster: ClusterId([1; 16]),
            signing: ClusterKey::from_seed(&[4; 32]),
            gateway: Some(GATEWAY),
            settings: Settings::default(),
        });
        let cluster = cluster.await.expect("opens");
        cluster.set_addresses(vec![GATEWAY_ADDRESS.to_owned()]);
        let layout = cluster.set_local_devices(ids().map(slot).collect()).await.expect("committed");
        let mesh = Arc::new(FixedMesh(Mutex::new(MeshReport {
            peer: GATEWAY,
            addresses: vec![GATEWAY_ADDRESS.to_owned()],
            discovery: true,
            bootstrap: Vec::new(),
            peers: Vec::new(),
        })));
        let deps = ObjectDeps {
            meta,
            txids,
            layout: (*layout).clone(),
            devices: ids().map(|id| Arc::new(Away(id)) as Arc<dyn ShardService>).collect(),
            root_key,
            key_service: None,
            clock: Arc::clone(&shared_clock),
        };
        let kms = key_service(&deps);
        let objects = ObjectService::open(deps, ObjectConfig::default()).await.expect("opens");
        let (readiness, ready) = watch::channel(Readiness::Ready);
        let deps = AdminDeps {
            directory: Arc::clone(&directory),
            objects: objects.clone(),
            cluster: cluster.clone(),
            kms,
            mesh: Some(Arc::clone(&mesh) as Arc<dyn MeshView>),
            clock: shared_clock,
            token_secret,
            metrics: Box::new(|| "datamesh_example 1\n".to_owned()),
            readiness: ready,
        };
        Self { router: router(deps), directory, clock, readiness, cluster, objects, mesh }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.expect("a router always answers");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("the body is in memory").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Sends a document, or nothing, to `/api/v1` + `path`.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        self.send(request.expect("well-formed")).await
    }

    pub(crate) async fn probe(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("well-formed")).await
    }

    pub(crate) async fn sign_in(&self, id: &str, secret: &str) -> Answer {
        let body = json!({ "access_key_id": id, "secret_access_key": secret });
        self.call("POST", "/session", None, Some(body)).await
    }

    pub(crate) async fn token(&self, id: &str, secret: &str) -> String {
        let session = self.sign_in(id, secret).await.expect(StatusCode::OK);
        session["token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn root_token(&self) -> String {
        self.token(ROOT.0, ROOT.1).await
    }
}

impl Answer {
    /// The document, if the status is `status`.
    #[track_caller]
    pub(crate) fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() {
            return Value::Null;
        }
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Checks that this is a failure document, and answers its message.
    #[track_caller]
    pub(crate) fn expect_failure(&self, status: StatusCode, code: &str) -> String {
        let body = self.expect(status);
        assert_eq!(body["error"]["code"], code, "{body}");
        body["error"]["message"].as_str().filter(|text| !text.is_empty()).expect("text").to_owned()
    }
}
