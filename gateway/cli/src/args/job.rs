//! `datamesh job`: long work in the background.

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    pub(crate) verb: JobVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// List long jobs with their progress, rate and the time they still need
    List,
    /// Pause a job; it stays paused over restarts
    #[command(after_help = "\
Examples:
  datamesh job pause rebalance
  datamesh job pause drain:3")]
    Pause {
        /// Its name, as `datamesh job list` shows it
        job: String,
    },
    /// Let a paused job go on where it was
    Resume {
        /// Its name, as `datamesh job list` shows it
        job: String,
    },
}
