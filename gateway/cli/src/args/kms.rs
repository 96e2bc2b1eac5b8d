//! `datamesh kms`: keys of the built-in key service.

use clap::{Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct KmsArgs {
    #[command(subcommand)]
    pub(crate) noun: KmsNoun,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KmsNoun {
    /// Create, list, rotate, disable and enable keys
    #[command(subcommand)]
    Key(KmsKeyVerb),
}

/// A key goes by its id, by `alias/NAME`, or by the ARN of either.
#[derive(Debug, Subcommand)]
pub(crate) enum KmsKeyVerb {
    /// Create a key that objects can be encrypted with (SSE-KMS)
    #[command(after_help = "\
Examples:
  datamesh kms key create --alias team/logs
  aws s3 cp report.pdf s3://docs/ --sse aws:kms --sse-kms-key-id alias/team/logs")]
    Create {
        /// Its id: letters, digits, - and _; random by default
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// A name it goes by, without alias/
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
        /// What to say of it
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// List the keys
    List,
    /// Show a key
    Show {
        /// The key
        key: String,
    },
    /// Give a key a new version for new objects; what earlier versions encrypted stays readable
    Rotate {
        /// The key
        key: String,
    },
    /// Make objects of a key unreadable until it is enabled again
    Disable {
        /// The key
        key: String,
    },
    /// Take a disabled key into use again
    Enable {
        /// The key
        key: String,
    },
}
