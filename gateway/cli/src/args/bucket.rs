//! `datamesh bucket`: what operators decide for single buckets.

use clap::{Args, Subcommand, ValueEnum};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    pub(crate) verb: BucketVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BucketVerb {
    /// Show or choose when uploads into a bucket are acknowledged
    ///
    /// With `all`, the default, every shard is durable before an upload is answered. With
    /// `data-plus-one`, one shard more than is needed to read suffices, and the missing ones are
    /// queued for repair in the same commit: uploads wait for no straggler, and until repair has
    /// caught up one loss less is survived.
    #[command(after_help = "\
Examples:
  datamesh bucket acknowledge logs data-plus-one
  datamesh bucket acknowledge logs")]
    Acknowledge {
        /// The bucket
        bucket: String,
        /// When to acknowledge; without it, what applies is shown
        when: Option<AcknowledgeWhen>,
    },
}

/// When an upload is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcknowledgeWhen {
    /// Every shard is durable
    All,
    /// One shard more than is needed to read is durable, the rest is queued for repair
    DataPlusOne,
}

impl AcknowledgeWhen {
    /// As the admin API calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::DataPlusOne => "data-plus-one",
        }
    }
}
