//! A node's health and metrics over HTTP.
//!
//! | path | answer |
//! | --- | --- |
//! | `/healthz` | 200 while the process runs |
//! | `/readyz` | 200 while the node has a layout and a drive that serves, otherwise 503 and why |
//! | `/metrics` | Prometheus' text format |
//!
//! Deliberately absent: anything that changes something. Nodes are administered through a gateway.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use node_proto::DeviceHealth;
use node_server::Node;
use tokio::net::TcpListener;

/// How often distributions of metrics are tidied. Chosen: as the exporter advises.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long answers under way may take to finish. Chosen: all come from memory.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Answers until `stopped` resolves.
pub(super) async fn serve(
    listener: TcpListener,
    node: Arc<Node>,
    metrics: PrometheusHandle,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let rendered = metrics.clone();
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&node)))
        .route("/metrics", get(async move || rendered.render()));
    let (draining, drained) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move {
        stopped.await;
        drop(draining);
    };
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            metrics.run_upkeep();
        }
    };
    let deadline = async {
        // The sender is dropped, not used, when the drain begins.
        let _ = drained.await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stopped).into_future() => served,
        () = upkeep => Ok(()),
        () = deadline => Ok(()),
    }
}

fn ready(node: &Node) -> (StatusCode, String) {
    if !node.is_member() {
        let why = "not a member of a cluster yet\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let drives = node.drives();
    if drives.iter().any(|(_, health, _)| *health != DeviceHealth::Offline) {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let mut why = "no drive serves\n".to_owned();
    for (device, _, reason) in drives {
        why += &format!("device {}: {}\n", device.0, reason.unwrap_or_default());
    }
    (StatusCode::SERVICE_UNAVAILABLE, why)
}
