//! How a node asks to become part of a cluster.
//!
//! A gateway makes a token; an operator carries it to the node; the node dials the gateway that the
//! token names, proves in the handshake that it has its own key, and proves with the token's secret
//! that an operator sent it. The secret itself never travels again.
//!
//! Invariants:
//! - a proof is bound to cluster, token, node and gateway: it is worthless to anybody else;
//! - a token is good for one node; the same node may repeat its request.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, ClusterPublicKey, PeerKey};

/// What tokens start with; the number is their version.
const TOKEN_PREFIX: &str = "dm1.";

/// Longest text of a token. Chosen: some dozen addresses fit.
const TOKEN_LEN_MAX: usize = 4096;

/// Longest name of a node or zone in bytes. Chosen: a DNS label.
pub const NAME_LEN_BYTES_MAX: usize = 63;

/// Most drives of a node. Chosen: the largest disk shelves have about a hundred.
pub const DRIVES_MAX: usize = 256;

/// Most addresses of a node. Chosen.
pub const ADDRESSES_MAX: usize = 16;

/// Names a token; not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 8]);

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// What an operator carries from a gateway to a node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Which token.
    pub id: TokenId,
    /// Proves that an operator sent the node.
    pub secret: [u8; 32],
    /// The cluster to join.
    pub cluster: ClusterId,
    /// Verifies the cluster's layouts.
    pub cluster_key: ClusterPublicKey,
    /// The gateway to ask; whoever answers must prove to have this key.
    pub gateway: PeerKey,
    /// Where it listens: multiaddresses.
    pub addresses: Vec<String>,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken({}, ..)", self.id)
    }
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token; one starts with {TOKEN_PREFIX:?} and is a single word")]
pub struct InvalidJoinToken;

impl std::fmt::Display for JoinToken {
    /// The text that an operator carries. Holds the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = postcard::to_extend(self, Vec::new()).map_err(|_| std::fmt::Error)?;
        write!(f, "{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(body))
    }
}

impl std::str::FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let body = text.strip_prefix(TOKEN_PREFIX).filter(|_| text.len() <= TOKEN_LEN_MAX);
        let body = BASE64_URL_SAFE_NO_PAD.decode(body.ok_or(InvalidJoinToken)?);
        match postcard::take_from_bytes(&body.map_err(|_| InvalidJoinToken)?) {
            Ok((token, [])) => Ok(token),
            _ => Err(InvalidJoinToken),
        }
    }
}

/// The key that both sides prove with, so that a gateway need not keep the secret.
#[must_use]
pub fn proof_key(secret: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("datamesh join proof key v1", secret)
}

/// Proves that `node` has the token `id` of `gateway`; `key` is from [`proof_key`].
#[must_use]
pub fn proof(
    key: &[u8; 32],
    cluster: ClusterId,
    id: TokenId,
    node: PeerKey,
    gateway: PeerKey,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [&cluster.0[..], &id.0, &node.0, &gateway.0] {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A drive that a node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedDrive {
    /// Its directory on the node; becomes the address of its device.
    pub path: String,
    /// Whether the directory is a mount point.
    pub mount_point: bool,
    /// Space it gives to shards in bytes.
    pub capacity_bytes: u64,
}

/// What a node tells a gateway whose cluster it wants to join, and again whenever it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The token and the proof of having it; `None` once the node is admitted.
    pub proof: Option<(TokenId, [u8; 32])>,
    /// What it wants to be called.
    pub name: String,
    /// The program's version, for operators.
    pub version: String,
    /// Where it can be dialled: multiaddresses.
    pub addresses: Vec<String>,
    /// What it offers.
    pub drives: Vec<OfferedDrive>,
}

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// Known; an operator must approve it. Ask again later.
    Pending,
    /// Part of the cluster: the layout, as [`crate::SignedLayout`]'s body and signature.
    Admitted {
        /// The signed layout's body.
        body: Bytes,
        /// Its signature.
        signature: Bytes,
    },
    /// Not wanted. Asking again is useless without another token.
    Refused {
        /// Why, for the node's operator.
        reason: String,
    },
    /// Too much to do. Ask again later.
    Busy,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            id: TokenId([1; 8]),
            secret: [2; 32],
            cluster: ClusterId([3; 16]),
            cluster_key: ClusterPublicKey([4; 32]),
            gateway: PeerKey([5; 32]),
            addresses: vec!["/ip4/10.0.0.1/tcp/9002".to_owned()],
        }
    }

    #[test]
    fn tokens_survive_being_carried_and_their_debug_form_is_not_secret() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        assert_eq!(format!("{:?}", token()), "JoinToken(0101010101010101, ..)");
        for wrong in ["", "dm1.", "dm2.AAAA", &text[1..], &text[..text.len() - 2]] {
            assert_eq!(wrong.parse::<JoinToken>(), Err(InvalidJoinToken), "{wrong}");
        }
        assert_eq!(format!("dm1.{}", "A".repeat(5000)).parse::<JoinToken>(), Err(InvalidJoinToken));
    }

    #[test]
    fn proofs_are_bound_to_everything_they_name() {
        let key = proof_key(&[2; 32]);
        let (cluster, id) = (ClusterId([3; 16]), TokenId([1; 8]));
        let (node, gateway) = (PeerKey([6; 32]), PeerKey([5; 32]));
        let right = proof(&key, cluster, id, node, gateway);
        assert_eq!(right, proof(&key, cluster, id, node, gateway));
        assert_ne!(right, proof(&proof_key(&[9; 32]), cluster, id, node, gateway));
        assert_ne!(right, proof(&key, ClusterId([9; 16]), id, node, gateway));
        assert_ne!(right, proof(&key, cluster, TokenId([9; 8]), node, gateway));
        assert_ne!(right, proof(&key, cluster, id, gateway, node));
    }
}
