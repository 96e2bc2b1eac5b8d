//! The admin server: its parts, its router, its life.

use std::{
    future::{Future, IntoFuture},
    io,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, routing};
use gateway_iam::Directory;
use gateway_kms::BuiltInKeyService;
use gateway_layout::Cluster;
use gateway_object::ObjectService;
use node_proto::Clock;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
};

use crate::{
    error::ApiError,
    mesh::MeshView,
    probe,
    routes::{
        bucket, device, job, key, kms, layout, lifecycle, mesh, node, repair, scrub, token, usage,
        user,
    },
    session::{self, TokenKey},
};

/// Longest request body in bytes. Chosen: every request is a small JSON document.
const BODY_LEN_BYTES_MAX: usize = 64 << 10;

/// Sign-ins under way at once. Chosen: a guesser gets eight tries per [`session::REFUSAL_DELAY`].
const SIGN_INS_MAX: usize = 8;

/// How long requests under way may take to finish once shutdown was asked for. Chosen: every route
/// answers from metadata, so what takes longer is a client that is stuck.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Whether the server serves S3 requests, as `/readyz` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Still opening its parts.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what is under way; takes no more.
    Draining,
}

/// What the admin server is built from.
pub struct AdminDeps {
    /// Accounts and access keys.
    pub directory: Arc<Directory>,
    /// Objects, repair and devices.
    pub objects: ObjectService,
    /// Nodes, join tokens and the layout.
    pub cluster: Cluster,
    /// The keys of SSE-KMS.
    pub kms: Arc<BuiltInKeyService>,
    /// The mesh; `None` where there is none.
    pub mesh: Option<Arc<dyn MeshView>>,
    /// Wall-clock time, for token expiry.
    pub clock: Arc<dyn Clock>,
    /// 32 bytes that only this cluster's gateways know; signs tokens.
    pub token_secret: [u8; 32],
    /// Renders the metrics in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Whether S3 is served.
    pub readiness: tokio::sync::watch::Receiver<Readiness>,
}

pub(crate) struct State {
    pub(crate) directory: Arc<Directory>,
    pub(crate) objects: ObjectService,
    pub(crate) cluster: Cluster,
    pub(crate) kms: Arc<BuiltInKeyService>,
    pub(crate) mesh: Option<Arc<dyn MeshView>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) token_key: TokenKey,
    pub(crate) sign_ins: Semaphore,
    pub(crate) metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub(crate) readiness: tokio::sync::watch::Receiver<Readiness>,
}

/// The admin server stopped by an error.
#[derive(Debug, thiserror::Error)]
#[error("the admin server failed")]
pub struct ServeAdminError {
    #[source]
    source: io::Error,
}

/// Every route of the admin address.
pub fn router(deps: AdminDeps) -> Router {
    let state = Arc::new(State {
        directory: deps.directory,
        objects: deps.objects,
        cluster: deps.cluster,
        kms: deps.kms,
        mesh: deps.mesh,
        clock: deps.clock,
        token_key: TokenKey::new(&deps.token_secret),
        sign_ins: Semaphore::new(SIGN_INS_MAX),
        metrics: deps.metrics,
        readiness: deps.readiness,
    });
    let administrators_only =
        axum::middleware::from_fn_with_state(Arc::clone(&state), session::require_administrator);
    let protected = Router::new()
        .route("/users", routing::get(user::list).post(user::create))
        .route("/users/{name}", routing::delete(user::delete))
        .route("/users/{name}/keys", routing::get(key::list).post(key::create))
        .route("/keys/{id}", routing::delete(key::revoke))
        .route("/devices", routing::get(device::list))
        .route("/repair", routing::get(repair::status))
        .route("/lifecycle", routing::get(lifecycle::status))
        .route("/scrub", routing::get(scrub::status).post(scrub::start))
        .route("/usage/audit", routing::get(usage::audit))
        .merge(of_the_key_service())
        .merge(of_the_mesh())
        .route_layer(administrators_only);
    let api = Router::new().route("/session", routing::post(session::sign_in)).merge(protected);
    Router::new()
        .route("/healthz", routing::get(probe::healthz))
        .route("/readyz", routing::get(probe::readyz))
        .route("/metrics", routing::get(probe::metrics))
        .nest("/api/v1", api)
        .fallback(|| async { ApiError::no_such_route() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(DefaultBodyLimit::max(BODY_LEN_BYTES_MAX))
        .with_state(state)
}

/// Routes about keys of SSE-KMS.
fn of_the_key_service() -> Router<Arc<State>> {
    Router::new()
        .route("/kms/keys", routing::get(kms::list).post(kms::create))
        .route("/kms/keys/{key}", routing::get(kms::show))
        .route("/kms/keys/{key}/rotate", routing::post(kms::rotate))
        .route("/kms/keys/{key}/disable", routing::post(kms::disable))
        .route("/kms/keys/{key}/enable", routing::post(kms::enable))
}

/// Routes about nodes and the layout.
fn of_the_mesh() -> Router<Arc<State>> {
    Router::new()
        .route("/tokens", routing::get(token::list).post(token::create))
        .route("/tokens/{id}", routing::delete(token::revoke))
        .route("/nodes", routing::get(node::list))
        .route("/nodes/{node}", routing::get(node::show))
        .route("/nodes/{node}/approve", routing::post(node::approve))
        .route("/nodes/{node}/reject", routing::post(node::reject))
        .route("/nodes/{node}/drain", routing::post(node::drain))
        .route("/nodes/{node}/activate", routing::post(node::activate))
        .route("/nodes/{node}/retire", routing::post(node::retire))
        .route("/layout", routing::get(layout::show))
        .route("/layout/stage", routing::post(layout::stage))
        .route("/layout/preview", routing::get(layout::preview))
        .route("/layout/apply", routing::post(layout::apply))
        .route("/layout/revert", routing::post(layout::revert))
        .route("/layout/history", routing::get(layout::history))
        .route("/jobs", routing::get(job::list))
        .route("/jobs/{id}/pause", routing::post(job::pause))
        .route("/jobs/{id}/resume", routing::post(job::resume))
        .route("/mesh", routing::get(mesh::show))
        .route("/mesh/lookups", routing::post(mesh::lookup))
        .route(
            "/buckets/{name}/acknowledge",
            routing::get(bucket::acknowledge).put(bucket::set_acknowledge),
        )
}

/// Serves until `shutdown` resolves, then finishes the requests under way, within ten seconds.
///
/// # Errors
/// [`ServeAdminError`] when the listener fails.
pub async fn serve(
    listener: TcpListener,
    deps: AdminDeps,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeAdminError> {
    let (stop, stopping) = oneshot::channel();
    let asked = async move {
        shutdown.await;
        let _ = stop.send(());
    };
    let serving = axum::serve(listener, router(deps)).with_graceful_shutdown(asked).into_future();
    let overdue = async {
        // A dropped sender means that serving ended by itself.
        let _ = stopping.await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = serving => served.map_err(|source| ServeAdminError { source }),
        () = overdue => {
            tracing::warn!("admin connections were cut off after {DRAIN_MAX:?}");
            Ok(())
        }
    }
}
