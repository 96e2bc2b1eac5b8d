//! `datamesh node`, all but `run`: who belongs to the cluster.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::units::parse_time;

/// Longest life of a token. Chosen: a token that is open for longer was forgotten.
const EXPIRES_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Debug, Subcommand)]
pub(crate) enum MembershipVerb {
    /// Create, list and revoke tokens that nodes join with
    Token(TokenArgs),
    /// List the nodes, those that wait for approval included
    List,
    /// Show a node with its drives and what it still holds
    Show {
        /// Its name, its number, or the start of its peer id
        node: String,
    },
    /// Let a node that asked to join become part of the cluster
    ///
    /// Its drives take shards at once, unless it is staged. Compare its peer id, which `node show`
    /// prints, with what the node printed when it started.
    #[command(after_help = "\
Examples:
  datamesh node approve bravo
  datamesh node approve 12D3KooWQ --zone rack-b --name charlie
  datamesh node approve delta --stage && datamesh layout preview")]
    Approve {
        /// Its name, or the start of its peer id
        node: String,
        /// Its zone, instead of what its token says
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// Its name, instead of what its token or itself says
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Stage it for the next `layout apply`, so that several changes move data once
        #[arg(long)]
        stage: bool,
    },
    /// Turn away a node that asked to join
    Reject {
        /// Its name, or the start of its peer id
        node: String,
    },
    /// Empty a node: it takes nothing new, and what it holds moves elsewhere
    #[command(after_help = "\
Example:
  datamesh node drain bravo --wait && datamesh node retire bravo")]
    Drain {
        /// Its name, its number, or the start of its peer id
        node: String,
        /// Wait until it is empty, and show how far it is
        #[arg(long)]
        wait: bool,
        /// Drain it although what is left is below the floor of availability
        #[arg(long)]
        force: bool,
    },
    /// Call off draining: the node takes shards again
    Activate {
        /// Its name, its number, or the start of its peer id
        node: String,
    },
    /// Remove a drained node from the cluster; refused while it still holds shards
    Retire {
        /// Its name, its number, or the start of its peer id
        node: String,
        /// Remove it although it holds shards: they are rebuilt from others where enough are left,
        /// and lost where not
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Create a token, good for one node
    ///
    /// The token alone goes to standard output and what to do with it to standard error. It is
    /// secret and shown this once.
    #[command(after_help = "\
Examples:
  datamesh node token create --zone rack-a
  TOKEN=$(datamesh node token create --zone rack-a --name bravo --approved --quiet)")]
    Create {
        /// Zone of the node: what fails together with it; by default it is a zone of its own
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// Name of the node; by default what it calls itself
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// How long it is good for: a whole number and s, m or h, at most 720h
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_expires)]
        expires: Duration,
        /// Admit the node as soon as it asks, without `node approve`
        #[arg(long)]
        approved: bool,
        /// Print nothing but the token
        #[arg(long, short)]
        quiet: bool,
    },
    /// List the tokens and who used them
    List,
    /// End a token; a node that was admitted with it stays
    Revoke {
        /// Its id, as `node token list` shows it
        id: String,
    },
}

fn parse_expires(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    match time.is_zero() || time > EXPIRES_MAX {
        true => Err("it is 1s to 720h".to_owned()),
        false => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_live_for_a_bounded_time() {
        assert_eq!(parse_expires("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_expires("720h"), Ok(EXPIRES_MAX));
        for text in ["0s", "721h", "", "1d", "h"] {
            assert!(parse_expires(text).is_err(), "{text}");
        }
    }
}
