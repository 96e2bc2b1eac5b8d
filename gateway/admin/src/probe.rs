//! Probes for orchestrators and Prometheus. They need no token: the admin address is the
//! operator's own.

use std::sync::Arc;

use axum::{
    extract,
    http::{StatusCode, header},
    response::IntoResponse,
};

use crate::server::{Readiness, State};

/// The process is alive.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// S3 requests are served.
pub(crate) async fn readyz(extract::State(state): extract::State<Arc<State>>) -> impl IntoResponse {
    match *state.readiness.borrow() {
        Readiness::Ready => (StatusCode::OK, "ready\n"),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// Prometheus' text format.
pub(crate) async fn metrics(
    extract::State(state): extract::State<Arc<State>>,
) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (state.metrics)())
}
