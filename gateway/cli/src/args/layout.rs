//! `datamesh layout`: which nodes and drives belong to the cluster, and since when.

use clap::{ArgGroup, Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Args)]
pub(crate) struct LayoutArgs {
    #[command(subcommand)]
    pub(crate) verb: LayoutVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LayoutVerb {
    /// Show the layout in force, which nodes have it, and what is staged
    Show,
    /// Stage changes, so that several of them move data once
    Stage(StageArgs),
    /// Show what the staged changes would do: what moves, how long, and how safe it is then
    ///
    /// Exits with 1 when `layout apply` would refuse them.
    Preview,
    /// Make the staged changes the layout in force
    #[command(after_help = "\
Examples:
  datamesh layout apply               # asks for nothing, refuses what is below the floor
  datamesh layout apply --epoch 7     # only if epoch 7 is still in force, as previewed")]
    Apply {
        /// The epoch that was previewed; another one in force is refused. By default the epoch now
        #[arg(long, value_name = "EPOCH")]
        epoch: Option<u64>,
        /// Apply changes that are below the floor of availability; never ones that cannot be placed
        #[arg(long)]
        force: bool,
    },
    /// Discard what is staged, or stage the way back to an earlier epoch
    #[command(after_help = "\
Examples:
  datamesh layout revert              # discard what is staged
  datamesh layout revert --epoch 5 && datamesh layout preview && datamesh layout apply")]
    Revert {
        /// The epoch to go back to, as far as that is possible: what was retired stays away
        #[arg(long, value_name = "EPOCH")]
        epoch: Option<u64>,
    },
    /// List the epochs, the newest first
    History,
}

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("changes").required(true).multiple(true),
    after_help = "\
NODE is a name, a number, or the start of a peer id; 0 stands for the gateway's own drives.

Examples:
  datamesh layout stage --add delta --add echo
  datamesh layout stage --zone bravo=rack-b --drain charlie
  datamesh layout preview && datamesh layout apply"
)]
pub(crate) struct StageArgs {
    /// Let a node that waits for approval in, with the drives it offers
    #[arg(long, value_name = "NODE", group = "changes")]
    pub(crate) add: Vec<String>,

    /// Let in the drives that a member offers and that are not in the layout yet
    #[arg(long, value_name = "NODE", group = "changes")]
    pub(crate) add_drives: Vec<String>,

    /// Put a node into a zone; an empty ZONE makes it one of its own
    #[arg(long, value_name = "NODE=ZONE", group = "changes", value_parser = parse_pair)]
    pub(crate) zone: Vec<(String, String)>,

    /// Give a node another name
    #[arg(long, value_name = "NODE=NAME", group = "changes", value_parser = parse_pair)]
    pub(crate) rename: Vec<(String, String)>,

    /// Empty a node
    #[arg(long, value_name = "NODE", group = "changes")]
    pub(crate) drain: Vec<String>,

    /// Call off draining a node
    #[arg(long, value_name = "NODE", group = "changes")]
    pub(crate) activate: Vec<String>,

    /// Remove a drained node for ever
    #[arg(long, value_name = "NODE", group = "changes")]
    pub(crate) remove: Vec<String>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(node, _)| !node.is_empty());
    let (node, value) = pair.ok_or("expected NODE=VALUE")?;
    Ok((node.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_name_a_node_and_a_value() {
        assert_eq!(parse_pair("a=b"), Ok(("a".to_owned(), "b".to_owned())));
        assert_eq!(parse_pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_pair("a").is_err());
        assert!(parse_pair("=b").is_err());
    }
}
