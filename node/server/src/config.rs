//! What a node is told when it starts.

use std::{path::PathBuf, sync::Arc};

use node_mesh::Security;
use node_proto::{Clock, JoinToken, join::NAME_LEN_BYTES_MAX};

/// A drive that a node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSpec {
    /// Its directory, usually a mount point.
    pub path: PathBuf,
    /// Space it gives to shards in bytes; `None` for all of it.
    pub capacity_bytes: Option<u64>,
}

/// How a process takes part in the mesh.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// Where to listen: multiaddresses or `HOST:PORT`.
    pub listen: Vec<String>,
    /// What others should dial; empty for the addresses listened on.
    pub advertise: Vec<String>,
    /// Members to find others through: multiaddresses that end in `/p2p/PEERID`.
    pub bootstrap: Vec<String>,
    /// Whether to look up addresses of members through other members.
    pub discovery: bool,
    /// What protects connections.
    pub security: Security,
    /// Shard bytes in memory, all peers together; more is answered `Busy`.
    pub budget_bytes: u64,
}

/// What operators call a node: letters, digits, `-`, `_` and `.`, at most
/// [`NAME_LEN_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

/// The text is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name of a node: it is 1 to {NAME_LEN_BYTES_MAX} letters, digits, '-', '_' and \
     '.', and begins with a letter or digit"
)]
pub struct InvalidNodeName {
    /// The refused text.
    pub text: String,
}

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_valid = text.len() <= NAME_LEN_BYTES_MAX
            && text.bytes().all(is_inner)
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidNodeName { text: text.chars().take(80).collect() }),
        }
    }
}

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Directory for its key, its cluster and the layout.
    pub data: PathBuf,
    /// What it wants to be called.
    pub name: NodeName,
    /// The program's version, for operators.
    pub version: String,
    /// What it offers.
    pub drives: Vec<DriveSpec>,
    /// Its part in the mesh.
    pub mesh: MeshOptions,
    /// The cluster to join, for a node that belongs to none.
    pub token: Option<JoinToken>,
}

/// What a node gets from its process.
#[derive(Clone)]
pub struct NodeDeps {
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Fills a buffer from the operating system's generator.
    pub random: fn(&mut [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words() {
        let name = |text: &str| text.parse::<NodeName>().map(|name| name.as_str().to_owned());
        assert_eq!(name("rack-a.node_1"), Ok("rack-a.node_1".to_owned()));
        for wrong in ["", "-a", "a b", "a/b", "ä", &"a".repeat(NAME_LEN_BYTES_MAX + 1)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
