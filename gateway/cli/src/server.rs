//! `datamesh server`: everything in one process.
//!
//! *Crash consistency:* nothing here needs a clean stop; the parts recover on open.
//! *Shutdown:* `SIGTERM` or `SIGINT` stops accepting, lets requests under way finish within a
//! bound, stops the workers, closes drives and metadata, and exits 0. A second signal exits at
//! once.

mod allocator;
mod credentials;
pub(crate) mod data_dir;
mod drives;
mod failpoints;
mod logging;
mod tasks;

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use gateway_admin::{AdminDeps, Readiness};
use gateway_iam::{Directory, DirectoryDeps};
use gateway_meta::{MetaStore, RocksConfig, RocksMetaStore, TxIds};
use gateway_object::{ObjectConfig, ObjectDeps, ObjectService};
use gateway_s3::{S3Edge, S3EdgeConfig, TlsConfig};
use gateway_seal::RootKey;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use node_proto::{Clock, ShardService};
use node_store::Drive;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use self::{
    data_dir::{DataDir, Endpoints},
    drives::DriveOptions,
    tasks::Tasks,
};
use crate::{
    args::ServerArgs,
    clock::{SystemClock, system_random},
};

/// How often drives are looked after and metrics tidied. Chosen: a pulled drive is noticed on the
/// next request anyway; this bounds how long its return goes unnoticed.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the server until it is told to stop.
pub(crate) fn run(args: Box<ServerArgs>) -> Result<()> {
    logging::start(args.log_format, &args.log)?;
    allocator::give_large_buffers_back();
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
    if fail::has_failpoints() {
        failpoints::abort_on_kill();
    }
    let _failpoints = fail::FailScenario::setup();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("datamesh")
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(*args, metrics))
}

/// The parts under the edges.
struct Core {
    meta: Arc<RocksMetaStore>,
    drives: Vec<Arc<Drive>>,
    directory: Arc<Directory>,
    objects: ObjectService,
    clock: Arc<dyn Clock>,
    token_secret: [u8; 32],
}

async fn serve(args: ServerArgs, metrics: PrometheusHandle) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let (data, new) = DataDir::open(&args.data)?;
    let s3_listener = bind(args.s3, "--s3").await?;
    let admin_listener = bind(args.admin, "--admin").await?;
    let tls = load_tls(&args)?;
    let root = credentials::root(&data)?;
    let core = open_core(&args, &data, root.credentials.clone()).await?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoints = Endpoints {
        s3: format!("{scheme}://{}", s3_listener.local_addr()?),
        admin: format!("http://{}", admin_listener.local_addr()?),
        pid: std::process::id(),
    };
    let (readiness, ready) = watch::channel(Readiness::Starting);
    // Health and metrics are told until S3 is drained, so the two stop one after the other.
    let (mut s3, mut operator) = (Tasks::new(), Tasks::new());
    spawn_admin(&mut operator, admin_listener, &core, metrics.clone(), ready);
    spawn_probes(&mut operator, &core.drives, metrics);
    spawn_s3(&mut s3, s3_listener, &core, &args, tls.clone());
    readiness.send_replace(Readiness::Ready);
    data.publish(&endpoints)?;
    announce(&endpoints, &root, new);

    let ended = loop {
        tokio::select! {
            () = stop.received() => break Ok(()),
            _ = hangup.recv() => reload_tls(tls.as_ref()),
            ended = s3.ended() => break ended,
            ended = operator.ended() => break ended,
        }
    };
    tracing::info!("stopping");
    data.withdraw();
    readiness.send_replace(Readiness::Draining);
    let drained = async {
        let s3 = s3.drain().await;
        let operator = operator.drain().await;
        core.close().await;
        s3.and(operator)
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

/// The certificate that the flags name, if any.
fn load_tls(args: &ServerArgs) -> Result<Option<TlsConfig>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    Ok(Some(TlsConfig::load(certificate, key).context("--tls-cert and --tls-key")?))
}

/// Takes a renewed certificate. The old one stays when the new one is unusable.
fn reload_tls(tls: Option<&TlsConfig>) {
    match tls.map(TlsConfig::reload) {
        Some(Ok(())) => tracing::info!("certificate reloaded"),
        Some(Err(error)) => tracing::error!(%error, "the certificate was not reloaded"),
        None => tracing::info!("nothing to reload"),
    }
}

async fn bind(addr: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {flag} {addr}"))
}

async fn open_core(
    args: &ServerArgs,
    data: &DataDir,
    root: gateway_iam::RootCredentials,
) -> Result<Core> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let root_key = Arc::new(data.root_key()?);
    let meta_config = RocksConfig::new(data.meta());
    let opened = tokio::task::spawn_blocking(move || RocksMetaStore::open(meta_config))
        .await
        .context("opening the metadata store panicked")?;
    let meta = Arc::new(opened.context("cannot open the metadata store")?);
    let mut random = [0; 4];
    system_random(&mut random);
    let txids = Arc::new(TxIds::new(clock.now(), u32::from_le_bytes(random)));
    let shared: Arc<dyn MetaStore> = meta.clone();
    let directory = Directory::open(DirectoryDeps {
        meta: Arc::clone(&shared),
        txids: Arc::clone(&txids),
        root_key: Arc::clone(&root_key),
        root,
        clock: Arc::clone(&clock),
        random: system_random,
    })
    .await?;
    let options = DriveOptions { paths: args.drives.clone(), capacity_bytes: args.drive_capacity };
    let (layout, drives) = drives::open(data, &options, &shared, &txids, &clock).await?;
    let devices = drives.iter().map(|drive| Arc::clone(drive) as Arc<dyn ShardService>).collect();
    let token_secret = token_secret(&root_key);
    let deps =
        ObjectDeps { meta: shared, txids, layout, devices, root_key, clock: Arc::clone(&clock) };
    let config = ObjectConfig { memory_limit_bytes: args.memory_limit, ..ObjectConfig::default() };
    let objects =
        ObjectService::open(deps, config).await.context("cannot open the object service")?;
    let directory = Arc::new(directory);
    Ok(Core { meta, drives, directory, objects, clock, token_secret })
}

/// Signs the admin API's tokens; the same for every gateway of the cluster and over restarts.
fn token_secret(root_key: &RootKey) -> [u8; 32] {
    blake3::derive_key("datamesh admin token signing v1", root_key.expose_bytes())
}

impl Core {
    async fn close(&self) {
        self.objects.shutdown().await;
        for drive in &self.drives {
            drive.close().await;
        }
        if let Err(error) = self.meta.close().await {
            tracing::error!(%error, "closing the metadata store failed");
        }
    }
}

fn spawn_admin(
    tasks: &mut Tasks,
    listener: TcpListener,
    core: &Core,
    metrics: PrometheusHandle,
    readiness: watch::Receiver<Readiness>,
) {
    let deps = AdminDeps {
        directory: Arc::clone(&core.directory),
        objects: core.objects.clone(),
        clock: Arc::clone(&core.clock),
        token_secret: core.token_secret,
        metrics: Box::new(move || metrics.render()),
        readiness,
    };
    let stopped = tasks.stopped();
    tasks.spawn(async move { Ok(gateway_admin::serve(listener, deps, stopped).await?) });
}

fn spawn_s3(
    tasks: &mut Tasks,
    listener: TcpListener,
    core: &Core,
    args: &ServerArgs,
    tls: Option<TlsConfig>,
) {
    let config = S3EdgeConfig {
        domains: args.domains.clone(),
        region: args.region.clone(),
        header_read_timeout: args.client_timeout,
        body_progress_timeout: args.client_timeout,
        ..S3EdgeConfig::default()
    };
    let directory = Arc::clone(&core.directory);
    let edge = S3Edge::new(core.objects.clone(), directory, Arc::clone(&core.clock), config);
    let stopped = tasks.stopped();
    tasks.spawn(async move { Ok(edge.serve(listener, tls, stopped).await?) });
}

/// Looks after each drive by itself, so that one that hangs holds up no other, and after the
/// metrics.
fn spawn_probes(tasks: &mut Tasks, drives: &[Arc<Drive>], metrics: PrometheusHandle) {
    for drive in drives {
        let drive = Arc::clone(drive);
        let probe = move || {
            let drive = Arc::clone(&drive);
            async move { drop(drive.probe().await) }
        };
        tasks.spawn(repeat(tasks.stopped(), probe));
    }
    let upkeep = move || {
        metrics.run_upkeep();
        std::future::ready(())
    };
    tasks.spawn(repeat(tasks.stopped(), upkeep));
}

/// Runs `work` every [`PROBE_INTERVAL`] until `stopped` resolves, which also ends a run under way.
async fn repeat<F: Future<Output = ()>>(
    stopped: impl Future<Output = ()>,
    mut work: impl FnMut() -> F,
) -> Result<()> {
    let mut ticks = tokio::time::interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let for_ever = async {
        loop {
            ticks.tick().await;
            work().await;
        }
    };
    tokio::select! {
        () = stopped => Ok(()),
        () = for_ever => Ok(()),
    }
}

/// Tells the operator how to use the server. The secret is printed only when it was just made.
fn announce(endpoints: &Endpoints, root: &credentials::Root, new: bool) {
    tracing::info!(s3 = %endpoints.s3, admin = %endpoints.admin, pid = endpoints.pid, new, "serving");
    let mut lines = format!(
        "S3 endpoint   {}\nAdmin         {}\nAccess key    {}\n",
        endpoints.s3, endpoints.admin, root.credentials.access_key_id
    );
    if root.generated {
        let secret = root.credentials.secret.expose();
        lines += &format!(
            "Secret key    {secret}\n              \
             shown this once; kept in credentials.json in the data directory\n"
        );
    }
    // A closed standard output must not stop the server.
    if let Err(error) = std::io::stdout().write_all(lines.as_bytes()) {
        tracing::debug!(%error, "the endpoint was not printed");
    }
}

/// The signals that ask for a stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
