//! What a server or gateway is told, from the command line or from a file.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use gateway_object::{ObjectConfig, ReadStrategy};
use node_server::{DriveSpec, MeshOptions};

use crate::args::{LogFormat, ServerArgs};

/// Which drives the process has itself.
#[derive(Clone, Debug)]
pub(crate) enum DriveChoice {
    /// Those that it had before; at first six under the data directory.
    Embedded,
    /// These and those that it had before; at first perhaps none.
    Named(Vec<DriveSpec>),
}

/// PEM files that S3 is served with.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where buckets are served as websites.
#[derive(Clone, Debug)]
pub(crate) struct Website {
    pub(crate) listen: SocketAddr,
    /// Domains under which a bucket is a host.
    pub(crate) domains: Vec<String>,
}

/// How shards are placed, read and moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Which devices of a stripe are asked first.
    pub(crate) read: ReadStrategy,
    /// How likely an object must at least be readable for a layout to be applied.
    pub(crate) availability_floor: f64,
    /// How fast drains and rebalances move shards.
    pub(crate) move_bytes_per_second: u64,
}

impl Default for Placement {
    fn default() -> Self {
        let objects = ObjectConfig::default();
        Self {
            read: objects.read_strategy,
            availability_floor: gateway_layout::Settings::default().availability_floor,
            move_bytes_per_second: objects.move_bytes_per_second,
        }
    }
}

/// What the process is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) drives: DriveChoice,
    /// Space for drives that name none.
    pub(crate) drive_capacity_bytes: Option<u64>,
    pub(crate) s3: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) domains: Vec<String>,
    /// `None`: buckets are no websites.
    pub(crate) website: Option<Website>,
    pub(crate) region: String,
    /// Whether signatures of version 2 are taken, too.
    pub(crate) allow_signature_v2: bool,
    /// Whether clients' own keys are taken over plain HTTP from other machines.
    pub(crate) allow_sse_c_over_http: bool,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) client_timeout: Duration,
    /// How often access logs of buckets are delivered.
    pub(crate) access_log_interval: Duration,
    /// How long a day of lifecycle rules is.
    pub(crate) lifecycle_day: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log: String,
    /// `None`: no node can join.
    pub(crate) mesh: Option<MeshOptions>,
    pub(crate) placement: Placement,
}

impl Settings {
    /// Defaults for everything that has one.
    pub(crate) fn new(data: PathBuf, drives: DriveChoice) -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            data,
            drives,
            drive_capacity_bytes: None,
            s3: local(9000),
            admin: local(9001),
            domains: Vec::new(),
            website: None,
            region: "us-east-1".to_owned(),
            allow_signature_v2: false,
            allow_sse_c_over_http: false,
            tls: None,
            memory_limit_bytes: 1 << 30,
            client_timeout: Duration::from_secs(60),
            access_log_interval: crate::args::access_log::INTERVAL_DEFAULT,
            lifecycle_day: crate::args::lifecycle::LIFECYCLE_DAY_MAX,
            log_format: LogFormat::Text,
            log: "info,s3s=off,libp2p_kad=error,libp2p_swarm=warn".to_owned(),
            mesh: None,
            placement: Placement::default(),
        }
    }

    /// What the command line of `datamesh server` says.
    pub(crate) fn of_server(args: ServerArgs) -> anyhow::Result<Self> {
        let spec = |path| DriveSpec { path, capacity_bytes: None };
        let drives = match args.drives.is_empty() {
            true => DriveChoice::Embedded,
            false => DriveChoice::Named(args.drives.into_iter().map(spec).collect()),
        };
        let tls = args.tls_cert.zip(args.tls_key);
        let mesh = args.mesh.map(|listen| {
            let mut section = crate::config::MeshSection::default();
            section.advertise_at(args.mesh_advertise);
            section.options(&listen)
        });
        Ok(Self {
            drive_capacity_bytes: args.drive_capacity,
            s3: args.s3,
            admin: args.admin,
            domains: args.domains,
            website: args
                .website
                .listen
                .map(|listen| Website { listen, domains: args.website.domains }),
            region: args.region,
            allow_signature_v2: args.allow_signature_v2,
            allow_sse_c_over_http: args.allow_sse_c_over_http,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            memory_limit_bytes: args.memory_limit,
            client_timeout: args.client_timeout,
            access_log_interval: args.access_log_interval,
            lifecycle_day: args.lifecycle_day,
            log_format: args.log_format,
            log: args.log,
            mesh: mesh.transpose()?,
            ..Self::new(args.data, drives)
        })
    }
}
