//! `datamesh node`: running a storage node, and looking after nodes from a gateway.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::{ClientArgs, LogFormat, membership::MembershipVerb};

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    pub(crate) verb: NodeVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// Run a storage node: drives that the gateways of a cluster keep shards on
    Run(Box<NodeRunArgs>),
    #[command(flatten)]
    Membership(MembershipVerb),
}

#[derive(Debug, Default, Args)]
#[command(after_long_help = "\
What is given here overrides the configuration file; without a file, --data and --drive are enough. \
The first start needs a token, which `datamesh node token create` makes on a gateway; later ones \
do not.

Example:
  datamesh node run --config /etc/datamesh/node.toml --join dm1.…
  datamesh node run --data /srv/node --drive /mnt/d1 --drive /mnt/d2 --join dm1.…")]
pub(crate) struct NodeRunArgs {
    /// Configuration file (TOML); docs/examples/node.toml describes every field
    #[arg(long, value_name = "FILE", env = "DATAMESH_NODE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Token of the cluster to join; needed until the node was admitted, ignored afterwards
    #[arg(long, value_name = "TOKEN", env = "DATAMESH_JOIN_TOKEN", hide_env_values = true)]
    pub(crate) join: Option<String>,

    /// Directory for the node's key, its cluster and the layout
    #[arg(long, value_name = "DIR", env = "DATAMESH_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// A drive to keep shards on, usually a mount point; give it once per drive
    #[arg(long = "drive", value_name = "PATH", env = "DATAMESH_DRIVES", value_delimiter = ',')]
    pub(crate) drives: Vec<PathBuf>,

    /// Space that each drive gives to shards where the file names none, for example 500GiB; by
    /// default all of it
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = super::parse_drive_capacity,
        env = "DATAMESH_DRIVE_CAPACITY"
    )]
    pub(crate) drive_capacity: Option<u64>,

    /// Address for the mesh, HOST:PORT; port 0 picks a free one
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,

    /// Address that gateways and other nodes should dial, where it is not the one listened on
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) advertise: Vec<String>,

    /// Name of the node; the host name by default
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Address for health and metrics; keep it private
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,

    /// How the log is written to standard error
    #[arg(long, value_enum, env = "DATAMESH_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// What is logged: a level, or a filter such as "info,node_mesh=debug"
    #[arg(long, value_name = "FILTER", env = "DATAMESH_LOG")]
    pub(crate) log: Option<String>,
}
