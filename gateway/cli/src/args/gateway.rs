//! `datamesh gateway`: the S3 door of a mesh.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Root credentials come from DATAMESH_ROOT_ACCESS_KEY and DATAMESH_ROOT_SECRET_KEY, as for \
`datamesh server`. Nodes join with a token: `datamesh node token create` makes one.

Example:
  datamesh gateway --config /etc/datamesh/gateway.toml")]
pub(crate) struct GatewayArgs {
    /// Configuration file (TOML); docs/examples/gateway.toml describes every field
    #[arg(long, value_name = "FILE", env = "DATAMESH_GATEWAY_CONFIG")]
    pub(crate) config: PathBuf,
}
