//! `datamesh node run`: a storage node.
//!
//! *Crash consistency:* nothing here needs a clean stop.
//! *Shutdown:* `SIGTERM` or `SIGINT` leaves the mesh, closes the drives, and exits 0. A second
//! signal exits at once.

mod admin;

use std::{io::Write, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use node_server::{
    Node, NodeDeps, Standing,
    durable_file::{self, Access},
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    args::NodeRunArgs,
    clock::{SystemClock, system_random},
    config::node::NodeSettings,
    server::{allocator, logging, signals::StopSignals, tasks::Tasks},
};

/// Runs the node until it is told to stop.
pub(crate) fn run(args: NodeRunArgs) -> Result<()> {
    let settings = NodeSettings::load(args)?;
    logging::start(settings.log_format, &settings.log)?;
    allocator::give_large_buffers_back();
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
    let _failpoints = fail::FailScenario::setup();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("datamesh-node")
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(settings, metrics))
}

async fn serve(settings: NodeSettings, metrics: PrometheusHandle) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let listener = TcpListener::bind(settings.admin)
        .await
        .with_context(|| format!("cannot listen on --admin {}", settings.admin))?;
    let admin = listener.local_addr()?;
    let deps = NodeDeps { clock: Arc::new(SystemClock), random: system_random };
    let (name, data) = (settings.node.name.clone(), settings.node.data.clone());
    let node = Arc::new(Node::start(settings.node, deps).await?);
    tracing::info!(name = name.as_str(), peer = %node.peer(), addresses = ?node.addresses(), %admin, "serving");
    publish(&data, admin, &node).context("cannot publish the node's address")?;
    announce(&format!(
        "Node      {}\nPeer id   {}\nAdmin     http://{admin}\n",
        name.as_str(),
        node.peer()
    ));

    let mut tasks = Tasks::new();
    let (served, stopped) = (Arc::clone(&node), tasks.stopped());
    tasks.spawn(async move { Ok(admin::serve(listener, served, metrics, stopped).await?) });
    let (told, stopped) = (Arc::clone(&node), tasks.stopped());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped => {}
            () = tell_standing(&told) => {}
        }
        Ok(())
    });
    let (running, stopped) = (Arc::clone(&node), tasks.stopped());
    tasks.spawn(async move { Ok(running.run(stopped).await?) });

    let ended = tokio::select! {
        () = stop.received() => Ok(()),
        ended = tasks.ended() => ended,
    };
    tracing::info!("stopping");
    let drained = async {
        let drained = tasks.drain().await;
        node.close().await;
        drained
    };
    let drained = tokio::select! {
        drained = drained => drained,
        () = stop.received() => {
            tracing::warn!("stopped at once by a second signal");
            return ended;
        }
    };
    tracing::info!("stopped");
    ended.and(drained)
}

/// Where a running node tells its health, for scripts on this machine: `endpoints.json`.
#[derive(Serialize)]
struct Endpoints {
    admin: String,
    peer: String,
    pid: u32,
}

fn publish(data: &Path, admin: SocketAddr, node: &Node) -> Result<()> {
    let endpoints = Endpoints {
        admin: format!("http://{admin}"),
        peer: node.peer().to_string(),
        pid: std::process::id(),
    };
    let text = serde_json::to_vec_pretty(&endpoints)?;
    Ok(durable_file::write(&data.join("endpoints.json"), &text, Access::Public)?)
}

/// Tells the operator what is to be done, each time that changes.
async fn tell_standing(node: &Node) {
    let mut standings = node.standing();
    let mut before = Standing::Unheard;
    loop {
        let standing = standings.borrow_and_update().clone();
        if standing != before {
            tell(node, &standing);
            before = standing;
        }
        if standings.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn tell(node: &Node, standing: &Standing) {
    let peer = node.peer();
    match standing {
        Standing::Unheard => {}
        Standing::Pending { gateway } => {
            tracing::warn!(%peer, %gateway, "waits for approval");
            announce(&format!(
                "Waiting   an operator must approve this node: datamesh node approve {peer}\n"
            ));
        }
        Standing::Member => {
            tracing::info!(%peer, "is a member of the cluster");
            announce("Member    the cluster knows this node\n");
        }
        Standing::Refused { reason } => tracing::error!(%peer, reason, "is no member any more"),
    }
}

/// A closed standard output must not stop the node.
fn announce(lines: &str) {
    if let Err(error) = std::io::stdout().write_all(lines.as_bytes()) {
        tracing::debug!(%error, "nothing was printed");
    }
}
