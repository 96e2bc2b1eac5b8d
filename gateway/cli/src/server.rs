//! `datamesh server` and `datamesh gateway`: everything in one process, or the door of a mesh.
//!
//! Both are the same code: a gateway has a mesh and may have no drives, a server has drives and may
//! have a mesh.
//!
//! *Crash consistency:* nothing here needs a clean stop; the parts recover on open.
//! *Shutdown:* `SIGTERM` or `SIGINT` stops accepting, lets requests under way finish within a
//! bound, stops the workers, closes drives and metadata, and exits 0. A second signal exits at
//! once.

pub(crate) mod allocator;
mod credentials;
pub(crate) mod data_dir;
mod drives;
mod failpoints;
pub(crate) mod logging;
mod mesh;
mod settings;
pub(crate) mod signals;
pub(crate) mod tasks;

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use gateway_admin::{AdminDeps, MeshView, Readiness};
use gateway_iam::{Directory, DirectoryDeps};
use gateway_kms::{BuiltInDeps, BuiltInKeyService, KeyService};
use gateway_layout::Cluster;
use gateway_meta::{MetaStore, RocksConfig, RocksMetaStore, TxIds};
use gateway_object::{ObjectConfig, ObjectDeps, ObjectService};
use gateway_s3::{S3Edge, S3EdgeConfig, TlsConfig};
use gateway_seal::RootKey;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use node_mesh::Mesh;
use node_proto::{Clock, DeviceId};
use node_store::Drive;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

pub(crate) use self::settings::{DriveChoice, Placement, Settings, TlsFiles, Website};
use self::{
    data_dir::{DataDir, Endpoints},
    drives::DriveOptions,
    mesh::{Devices, View},
    signals::StopSignals,
    tasks::Tasks,
};
use crate::clock::{SystemClock, system_random};

/// How often drives are looked after and metrics tidied. Chosen: a pulled drive is noticed on the
/// next request anyway; this bounds how long its return goes unnoticed.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the server until it is told to stop.
pub(crate) fn run(settings: Settings) -> Result<()> {
    logging::start(settings.log_format, &settings.log)?;
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
        .block_on(serve(settings, metrics))
}

/// The parts under the edges.
struct Core {
    meta: Arc<RocksMetaStore>,
    drives: Vec<(DeviceId, Arc<Drive>)>,
    mesh: Option<Mesh>,
    cluster: Cluster,
    directory: Arc<Directory>,
    kms: Arc<BuiltInKeyService>,
    objects: ObjectService,
    clock: Arc<dyn Clock>,
    token_secret: [u8; 32],
}

async fn serve(settings: Settings, metrics: PrometheusHandle) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let (data, new) = DataDir::open(&settings.data)?;
    let s3_listener = bind(settings.s3, "--s3").await?;
    let admin_listener = bind(settings.admin, "--admin").await?;
    let website_listener = bind_website(&settings).await?;
    let tls = load_tls(&settings)?;
    let root = credentials::root(&data)?;
    let core = open_core(&settings, &data, root.credentials.clone()).await?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoints = Endpoints {
        s3: format!("{scheme}://{}", s3_listener.local_addr()?),
        admin: format!("http://{}", admin_listener.local_addr()?),
        pid: std::process::id(),
        website: match &website_listener {
            Some(listener) => Some(format!("{scheme}://{}", listener.local_addr()?)),
            None => None,
        },
        peer: core.mesh.as_ref().map(|mesh| mesh.peer().to_string()),
    };
    let (readiness, ready) = watch::channel(Readiness::Starting);
    // Health and metrics are told until S3 is drained, so the two stop one after the other.
    let (mut s3, mut operator) = (Tasks::new(), Tasks::new());
    spawn_admin(&mut operator, admin_listener, &core, &settings, metrics.clone(), ready);
    spawn_probes(&mut operator, &core.drives, metrics);
    mesh::spawn(&mut operator, &core.cluster, &core.devices(), &core.objects);
    spawn_s3(&mut s3, (s3_listener, website_listener), &core, &settings, tls.clone());
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

/// The certificate that the settings name, if any.
fn load_tls(settings: &Settings) -> Result<Option<TlsConfig>> {
    let load = |files: &TlsFiles| TlsConfig::load(&files.certificate, &files.key);
    settings.tls.as_ref().map(load).transpose().context("--tls-cert and --tls-key")
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

async fn bind_website(settings: &Settings) -> Result<Option<TcpListener>> {
    match &settings.website {
        Some(website) => bind(website.listen, "--website").await.map(Some),
        None => Ok(None),
    }
}

async fn open_core(
    settings: &Settings,
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
    let identity = settings.mesh.as_ref().map(|_| mesh::identity(data)).transpose()?;
    let known = mesh::Known { meta: &shared, txids: &txids, clock: &clock };
    let cluster =
        mesh::open_cluster(data, &root_key, known, &settings.placement, identity.as_ref()).await?;
    let options = DriveOptions {
        choice: &settings.drives,
        capacity_bytes: settings.drive_capacity_bytes,
        must_suffice: settings.mesh.is_none(),
    };
    let drives = drives::open(data, &options, &cluster, &clock).await?;
    let mesh = match identity.zip(settings.mesh.as_ref()) {
        Some((identity, options)) => Some(mesh::start(identity, options, &cluster, &clock).await?),
        None => None,
    };
    let layout = (*cluster.layout()).clone();
    let devices = Devices::new(drives.clone(), mesh.clone()).of(&layout);
    let token_secret = token_secret(&root_key);
    let kms = key_service(&shared, &txids, &root_key, &clock);
    let deps = ObjectDeps {
        meta: shared,
        txids,
        layout,
        devices,
        root_key,
        key_service: Some(Arc::clone(&kms) as Arc<dyn KeyService>),
        clock: Arc::clone(&clock),
    };
    let config = ObjectConfig {
        memory_limit_bytes: settings.memory_limit_bytes,
        move_bytes_per_second: settings.placement.move_bytes_per_second,
        read_strategy: settings.placement.read,
        access_log_interval: settings.access_log_interval,
        lifecycle_day: settings.lifecycle_day,
        ..ObjectConfig::default()
    };
    let objects =
        ObjectService::open(deps, config).await.context("cannot open the object service")?;
    let directory = Arc::new(directory);
    Ok(Core { meta, drives, mesh, cluster, directory, kms, objects, clock, token_secret })
}

/// The keys of SSE-KMS.
fn key_service(
    meta: &Arc<dyn MetaStore>,
    txids: &Arc<TxIds>,
    root_key: &Arc<RootKey>,
    clock: &Arc<dyn Clock>,
) -> Arc<BuiltInKeyService> {
    Arc::new(BuiltInKeyService::new(BuiltInDeps {
        meta: Arc::clone(meta),
        txids: Arc::clone(txids),
        root_key: Arc::clone(root_key),
        clock: Arc::clone(clock),
        random: system_random,
    }))
}

/// Signs the admin API's tokens; the same for every gateway of the cluster and over restarts.
fn token_secret(root_key: &RootKey) -> [u8; 32] {
    blake3::derive_key("datamesh admin token signing v1", root_key.expose_bytes())
}

impl Core {
    fn devices(&self) -> Devices {
        Devices::new(self.drives.clone(), self.mesh.clone())
    }

    async fn close(&self) {
        self.objects.shutdown().await;
        if let Some(mesh) = &self.mesh {
            mesh.shutdown().await;
        }
        for (_, drive) in &self.drives {
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
    settings: &Settings,
    metrics: PrometheusHandle,
    readiness: watch::Receiver<Readiness>,
) {
    let view = core.mesh.clone().zip(settings.mesh.as_ref());
    let view = view.map(|(mesh, options)| Arc::new(View::new(mesh, options)) as Arc<dyn MeshView>);
    let deps = AdminDeps {
        directory: Arc::clone(&core.directory),
        objects: core.objects.clone(),
        cluster: core.cluster.clone(),
        kms: Arc::clone(&core.kms),
        mesh: view,
        clock: Arc::clone(&core.clock),
        token_secret: core.token_secret,
        metrics: Box::new(move || metrics.render()),
        readiness,
    };
    let stopped = tasks.stopped();
    tasks.spawn(async move { Ok(gateway_admin::serve(listener, deps, stopped).await?) });
}

/// Serves S3 and, on a listener of their own, websites.
fn spawn_s3(
    tasks: &mut Tasks,
    (listener, website_listener): (TcpListener, Option<TcpListener>),
    core: &Core,
    settings: &Settings,
    tls: Option<TlsConfig>,
) {
    let config = S3EdgeConfig {
        domains: settings.domains.clone(),
        region: settings.region.clone(),
        allow_signature_v2: settings.allow_signature_v2,
        customer_keys_over_http: settings.allow_sse_c_over_http,
        header_read_timeout: settings.client_timeout,
        body_progress_timeout: settings.client_timeout,
        ..S3EdgeConfig::default()
    };
    let directory = Arc::clone(&core.directory);
    let edge = S3Edge::new(core.objects.clone(), directory, Arc::clone(&core.clock), config);
    if let (Some(listener), Some(website)) = (website_listener, &settings.website) {
        let (website, tls) = (edge.website(&website.domains), tls.clone());
        let stopped = tasks.stopped();
        tasks.spawn(async move { Ok(website.serve(listener, tls, stopped).await?) });
    }
    let stopped = tasks.stopped();
    tasks.spawn(async move { Ok(edge.serve(listener, tls, stopped).await?) });
}

/// Looks after each drive by itself, so that one that hangs holds up no other, and after the
/// metrics.
fn spawn_probes(tasks: &mut Tasks, drives: &[(DeviceId, Arc<Drive>)], metrics: PrometheusHandle) {
    for (_, drive) in drives {
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
    if let Some(website) = &endpoints.website {
        lines += &format!("Websites      {website}\n");
    }
    if let Some(peer) = &endpoints.peer {
        lines += &format!("Mesh peer     {peer}\n");
    }
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
