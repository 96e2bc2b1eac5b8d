//! `datamesh gateway`: a server that a configuration file describes, with a mesh and, unless the
//! file names some, without drives of its own.

use anyhow::Result;

use crate::{args::GatewayArgs, config, server};

/// Runs the gateway until it is told to stop.
pub(crate) fn run(args: &GatewayArgs) -> Result<()> {
    server::run(config::gateway::load(&args.config)?)
}
