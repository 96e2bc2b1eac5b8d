//! `datamesh mesh`: how a gateway reaches its nodes.

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct MeshArgs {
    #[command(subcommand)]
    pub(crate) verb: MeshVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MeshVerb {
    /// Show every peer as the gateway sees it, what is wrong, and what to do about it
    ///
    /// Exits with 1 while something is critical, so that it can be used as a check.
    #[command(after_help = "\
Example:
  datamesh mesh diagnose --data /srv/gateway")]
    Diagnose,
    /// Ask the nodes for each other's addresses, and show how long that takes
    ///
    /// Nothing depends on it while addresses stay as they are: this shows whether nodes that move
    /// would be found.
    Lookup,
}
