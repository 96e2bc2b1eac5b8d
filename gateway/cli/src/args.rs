//! The command line.

pub(crate) mod access_log;
pub(crate) mod bucket;
pub(crate) mod gateway;
pub(crate) mod job;
pub(crate) mod kms;
pub(crate) mod layout;
pub(crate) mod lifecycle;
pub(crate) mod membership;
pub(crate) mod mesh;
pub(crate) mod node;
pub(crate) mod website;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    bucket::BucketArgs,
    gateway::GatewayArgs,
    job::JobArgs,
    kms::KmsArgs,
    layout::LayoutArgs,
    lifecycle::{LifecycleArgs, LifecycleVerb, lifecycle_day_in_range},
    mesh::MeshArgs,
    node::{NodeArgs, NodeRunArgs, NodeVerb},
    website::WebsiteArgs,
};
use crate::config::units::{parse_size, parse_time};

/// S3-compatible object storage: encrypted, erasure-coded, durable before it answers.
#[derive(Debug, Parser)]
#[command(name = "datamesh", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process: S3, admin API, metadata and drives
    Server(Box<ServerArgs>),
    /// Run the S3 door of a mesh of storage nodes
    Gateway(GatewayArgs),
    /// Run a storage node, or look after those of a cluster
    Node(NodeArgs),
    /// Show and change which nodes and drives take shards
    Layout(LayoutArgs),
    /// Show what the gateway knows of its peers
    Mesh(MeshArgs),
    /// List, pause and resume long jobs
    Job(JobArgs),
    /// Set how a bucket is written
    Bucket(BucketArgs),
    /// Create, list and delete users; a user owns the buckets it creates
    User(UserArgs),
    /// Create, list and revoke access keys
    Key(KeyArgs),
    /// Create, list, rotate, disable and enable keys that objects are encrypted with
    Kms(KmsArgs),
    /// Show the drives
    Device(DeviceArgs),
    /// Show what lifecycle rules did
    Lifecycle(LifecycleArgs),
    /// Show what waits for repair
    Repair(RepairArgs),
    /// Verify every stored shard against its hash
    Scrub(ScrubArgs),
}

/// How the log is written to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Root credentials come from DATAMESH_ROOT_ACCESS_KEY and DATAMESH_ROOT_SECRET_KEY. Without them the \
first start makes some, prints them once, and keeps them in DIR/credentials.json (mode 0600).

Example:
  datamesh server --data /srv/datamesh --drive /mnt/d1 --drive /mnt/d2 --drive /mnt/d3 \\
      --drive /mnt/d4 --drive /mnt/d5 --drive /mnt/d6")]
pub(crate) struct ServerArgs {
    /// Directory for metadata, keys and, without --drive, six devices
    #[arg(long, value_name = "DIR", env = "DATAMESH_DATA")]
    pub(crate) data: PathBuf,

    /// A drive to keep shards on, usually a mount point; give it once per drive, three or more
    ///
    /// Two drives may fail at once without loss. Six or more give full efficiency (4+2); with
    /// fewer, objects take more space, never less safety. Later starts may add drives or name
    /// the same drives under other paths.
    #[arg(long = "drive", value_name = "PATH", env = "DATAMESH_DRIVES", value_delimiter = ',')]
    pub(crate) drives: Vec<PathBuf>,

    /// Address for S3; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000", env = "DATAMESH_S3")]
    pub(crate) s3: SocketAddr,

    /// Address for the admin API, health and metrics; keep it private
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:9001",
        env = "DATAMESH_ADMIN_LISTEN"
    )]
    pub(crate) admin: SocketAddr,

    /// Domain for virtual-host style requests (bucket.DOMAIN); may be given more than once
    #[arg(long = "domain", value_name = "DOMAIN", env = "DATAMESH_DOMAINS", value_delimiter = ',')]
    pub(crate) domains: Vec<String>,

    #[command(flatten)]
    pub(crate) website: WebsiteArgs,

    /// Region that requests are signed for and buckets are in
    #[arg(long, value_name = "REGION", default_value = "us-east-1", env = "DATAMESH_REGION")]
    pub(crate) region: String,

    /// Also take requests with signatures of version 2, for old tools; they protect less
    #[arg(long, env = "DATAMESH_ALLOW_SIGNATURE_V2")]
    pub(crate) allow_signature_v2: bool,

    /// Take clients' own keys (SSE-C) over plain HTTP from other machines, too
    ///
    /// Only where something in between encrypts, such as a proxy that ends TLS: whoever reads the
    /// connection has the keys. Connections from this machine are always good enough.
    #[arg(long, env = "DATAMESH_ALLOW_SSE_C_OVER_HTTP")]
    pub(crate) allow_sse_c_over_http: bool,

    /// PEM certificate chain: serve S3 over TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "DATAMESH_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// PEM private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "DATAMESH_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Memory for object data in flight; beyond it, requests are told to slow down
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = parse_memory_limit,
        env = "DATAMESH_MEMORY_LIMIT"
    )]
    pub(crate) memory_limit: u64,

    /// How long an S3 client may be silent, or move fewer than 1,024 bytes a second, before it is
    /// given up: 1s to 1h
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = parse_client_timeout,
        env = "DATAMESH_CLIENT_TIMEOUT"
    )]
    pub(crate) client_timeout: Duration,

    /// How often access logs of buckets are delivered: 1s to 24h
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        value_parser = access_log::parse_interval,
        env = "DATAMESH_ACCESS_LOG_INTERVAL"
    )]
    pub(crate) access_log_interval: Duration,

    /// How long a day of lifecycle rules is: 1s to 24h; less than a day lets tests see rules act
    ///
    /// Objects expire at the end of a day of this length, counted from 1970. Dates in rules are not
    /// affected.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        value_parser = lifecycle::parse_lifecycle_day,
        env = "DATAMESH_LIFECYCLE_DAY"
    )]
    pub(crate) lifecycle_day: Duration,

    /// Space that each drive gives to shards, for example 500GiB; by default all of it
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_drive_capacity,
        env = "DATAMESH_DRIVE_CAPACITY"
    )]
    pub(crate) drive_capacity: Option<u64>,

    /// Address for storage nodes on other machines, HOST:PORT; without it no node can join
    #[arg(long, value_name = "ADDR", env = "DATAMESH_MESH")]
    pub(crate) mesh: Option<String>,

    /// Address that nodes should dial, where it is not the one listened on; may be given more than
    /// once
    #[arg(
        long,
        value_name = "ADDR",
        requires = "mesh",
        env = "DATAMESH_MESH_ADVERTISE",
        value_delimiter = ','
    )]
    pub(crate) mesh_advertise: Vec<String>,

    /// How the log is written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "DATAMESH_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,

    /// What is logged: a level, or a filter such as "info,gateway_s3=debug"
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info,s3s=off,libp2p_kad=error,libp2p_swarm=warn",
        env = "DATAMESH_LOG"
    )]
    pub(crate) log: String,
}

/// Least `--memory-limit`: two uploads at once, each with a stripe and its shards.
const MEMORY_LIMIT_BYTES_MIN: u64 = 64 << 20;

/// Least `--drive-capacity`: a few segments and their reserve.
const DRIVE_CAPACITY_BYTES_MIN: u64 = 64 << 20;

/// Longest `--client-timeout`: a client that is silent for longer is gone.
const CLIENT_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

fn parse_memory_limit(text: &str) -> Result<u64, String> {
    memory_limit_in_range(parse_size(text)?)
}

fn parse_drive_capacity(text: &str) -> Result<u64, String> {
    drive_capacity_in_range(parse_size(text)?)
}

fn parse_client_timeout(text: &str) -> Result<Duration, String> {
    client_timeout_in_range(parse_time(text)?)
}

/// A memory limit that can work.
pub(crate) fn memory_limit_in_range(bytes: u64) -> Result<u64, String> {
    at_least(MEMORY_LIMIT_BYTES_MIN, bytes)
}

/// A capacity that a drive can work with.
pub(crate) fn drive_capacity_in_range(bytes: u64) -> Result<u64, String> {
    at_least(DRIVE_CAPACITY_BYTES_MIN, bytes)
}

/// A time that clients may be silent for.
pub(crate) fn client_timeout_in_range(time: Duration) -> Result<Duration, String> {
    match time.is_zero() || time > CLIENT_TIMEOUT_MAX {
        true => Err("it is 1s to 1h".to_owned()),
        false => Ok(time),
    }
}

fn at_least(least_bytes: u64, bytes: u64) -> Result<u64, String> {
    match bytes >= least_bytes {
        true => Ok(bytes),
        false => Err(format!("at least {} MiB are needed", least_bytes >> 20)),
    }
}

/// Where the running server is and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// Admin URL of the server
    #[arg(long, global = true, value_name = "URL", env = "DATAMESH_ADMIN")]
    pub(crate) admin_url: Option<String>,

    /// Access key to administer with; its secret is read from DATAMESH_SECRET_KEY
    #[arg(long, global = true, value_name = "ID", env = "DATAMESH_ACCESS_KEY")]
    pub(crate) admin_access_key: Option<String>,

    /// Data directory of a server on this machine: finds its address and root credentials
    #[arg(long, global = true, value_name = "DIR", env = "DATAMESH_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Profile in the configuration file
    #[arg(long, global = true, value_name = "NAME", env = "DATAMESH_PROFILE")]
    pub(crate) profile: Option<String>,

    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) verb: UserVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Create a user
    Create {
        /// Its name: letters, digits and _ + = , . @ -
        name: String,
    },
    /// List the users
    List,
    /// Delete a user that owns no buckets, with its access keys
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) verb: KeyVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Create an access key for a user, or import one
    Create {
        /// The user it acts for
        #[arg(long, value_name = "NAME")]
        user: String,
        /// Access key id to import
        #[arg(long, value_name = "ID", requires = "secret_key")]
        access_key: Option<String>,
        /// Secret to import
        #[arg(long, value_name = "SECRET", requires = "access_key")]
        secret_key: Option<String>,
    },
    /// List a user's access keys
    List {
        /// The user
        #[arg(long, value_name = "NAME")]
        user: String,
    },
    /// Revoke an access key: it is refused from the next request on
    Revoke {
        /// The access key id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(subcommand)]
    pub(crate) verb: DeviceVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceVerb {
    /// List the drives with their health and space
    List,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(subcommand)]
    pub(crate) verb: RepairVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepairVerb {
    /// Show waiting stripes, their margin, and drives being rebuilt
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct ScrubArgs {
    #[command(subcommand)]
    pub(crate) verb: ScrubVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScrubVerb {
    /// Start a pass on every drive that is not in one
    Start,
    /// Show the progress of the current or last pass
    Status,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn limits_that_cannot_work_are_usage_errors() {
        assert_eq!(parse_memory_limit("64MiB"), Ok(64 << 20));
        assert_eq!(parse_memory_limit("1"), Err("at least 64 MiB are needed".to_owned()));
        assert!(parse_drive_capacity("1KiB").is_err());
    }

    #[test]
    fn times_carry_units_and_are_bounded() {
        assert_eq!(parse_client_timeout("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_client_timeout("2 m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_client_timeout("1h"), Ok(CLIENT_TIMEOUT_MAX));
        for text in ["", "60", "0s", "61m", "s", "-1s", "1d", "99999999999999999999s"] {
            assert!(parse_client_timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_node_takes_its_data_directory_and_not_the_one_of_a_server() {
        let parsed = Cli::try_parse_from(["datamesh", "node", "run", "--data", "d"]);
        let Command::Node(NodeArgs { verb: NodeVerb::Run(run), .. }) =
            parsed.expect("parses").command
        else {
            panic!("it is a node");
        };
        assert_eq!(run.data, Some(PathBuf::from("d")));
    }

    #[test]
    fn certificate_without_key_is_a_usage_error() {
        let parsed =
            Cli::try_parse_from(["datamesh", "server", "--data", "d", "--tls-cert", "c.pem"]);
        assert!(parsed.is_err());
    }
}
