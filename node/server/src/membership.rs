//! The record of which cluster a node belongs to: `member.json`.
//!
//! | field | what |
//! | --- | --- |
//! | `version` | 1 |
//! | `cluster` | cluster id, 32 hex digits |
//! | `cluster_key` | what verifies the cluster's signatures, 64 hex digits |
//! | `gateways` | peer id and last known addresses of each gateway |

use node_proto::{ClusterId, ClusterPublicKey, JoinToken, PeerKey, join::ADDRESSES_MAX};
use serde::{Deserialize, Serialize};

/// Version of the record that this program writes and reads.
const VERSION: u32 = 1;

/// A gateway and where it was last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    /// Who it is.
    pub peer: PeerKey,
    /// Multiaddresses; may be empty.
    pub addresses: Vec<String>,
}

/// Which cluster a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster.
    pub cluster: ClusterId,
    /// Verifies what its gateways sign.
    pub cluster_key: ClusterPublicKey,
    /// Its gateways, as far as known.
    pub gateways: Vec<GatewayAddress>,
}

/// The bytes are no record of a membership.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMembership {
    /// They are no JSON of the right form.
    #[error("it is damaged")]
    Malformed(#[from] serde_json::Error),
    /// A newer program wrote them.
    #[error("it has version {version}, this release knows {VERSION}: use a newer release")]
    Newer {
        /// The version found.
        version: u32,
    },
    /// A field has the wrong form.
    #[error("its field {field} is damaged")]
    Field {
        /// Which one.
        field: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    cluster: String,
    cluster_key: String,
    gateways: Vec<StoredGateway>,
}

#[derive(Serialize, Deserialize)]
struct StoredGateway {
    peer: String,
    addresses: Vec<String>,
}

impl Membership {
    /// What a token says.
    #[must_use]
    pub fn of_token(token: &JoinToken) -> Self {
        let gateway = GatewayAddress { peer: token.gateway, addresses: token.addresses.clone() };
        Self { cluster: token.cluster, cluster_key: token.cluster_key, gateways: vec![gateway] }
    }

    /// The membership with the gateways that a layout names. One whose address is not known yet
    /// comes without; those that the layout leaves out are forgotten, unless it names none.
    #[must_use]
    pub fn with_gateways(&self, peers: &[PeerKey]) -> Self {
        let known = |peer: &PeerKey| {
            let found = self.gateways.iter().find(|gateway| gateway.peer == *peer).cloned();
            found.unwrap_or(GatewayAddress { peer: *peer, addresses: Vec::new() })
        };
        match peers.is_empty() {
            true => self.clone(),
            false => Self { gateways: peers.iter().map(known).collect(), ..self.clone() },
        }
    }

    /// The membership with the gateway that a token of the same cluster names, behind those known.
    /// Whether it is one is for the layout to say that it answers with.
    #[must_use]
    pub fn with_gateway_of(mut self, token: &JoinToken) -> Self {
        let is_ours = token.cluster == self.cluster && token.cluster_key == self.cluster_key;
        let is_known = self.gateways.iter().any(|gateway| gateway.peer == token.gateway);
        if is_ours && !is_known {
            let addresses = token.addresses.clone();
            self.gateways.push(GatewayAddress { peer: token.gateway, addresses });
        }
        self
    }

    /// The membership with addresses that a gateway was seen at, the newest first; older ones stay
    /// as long as there is room. `None` when all of them are known.
    #[must_use]
    pub fn with_addresses(&self, peer: PeerKey, seen: &[String]) -> Option<Self> {
        let mut changed = self.clone();
        let gateway = changed.gateways.iter_mut().find(|gateway| gateway.peer == peer)?;
        let known = |address: &&String| gateway.addresses.contains(*address);
        let mut addresses: Vec<String> =
            seen.iter().filter(|address| !known(address)).cloned().collect();
        if addresses.is_empty() {
            return None;
        }
        addresses.append(&mut gateway.addresses);
        addresses.truncate(ADDRESSES_MAX);
        gateway.addresses = addresses;
        Some(changed)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let gateway = |gateway: &GatewayAddress| StoredGateway {
            peer: gateway.peer.to_string(),
            addresses: gateway.addresses.clone(),
        };
        let stored = Stored {
            version: VERSION,
            cluster: self.cluster.to_string(),
            cluster_key: hex::encode(self.cluster_key.0),
            gateways: self.gateways.iter().map(gateway).collect(),
        };
        serde_json::to_vec_pretty(&stored).expect("strings and numbers are JSON")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, InvalidMembership> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.version != VERSION {
            return Err(InvalidMembership::Newer { version: stored.version });
        }
        let field = |field| InvalidMembership::Field { field };
        let (mut cluster, mut cluster_key) = ([0; 16], [0; 32]);
        hex::decode_to_slice(&stored.cluster, &mut cluster).map_err(|_| field("cluster"))?;
        hex::decode_to_slice(&stored.cluster_key, &mut cluster_key)
            .map_err(|_| field("cluster_key"))?;
        let gateways = stored.gateways.into_iter().map(|gateway| {
            let peer = gateway.peer.parse().map_err(|_| field("gateways"))?;
            Ok(GatewayAddress { peer, addresses: gateway.addresses })
        });
        Ok(Self {
            cluster: ClusterId(cluster),
            cluster_key: ClusterPublicKey(cluster_key),
            gateways: gateways.collect::<Result<_, InvalidMembership>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let addresses = vec!["/ip4/10.0.0.1/tcp/9002".to_owned()];
        Membership {
            cluster: ClusterId([1; 16]),
            cluster_key: ClusterPublicKey([2; 32]),
            gateways: vec![GatewayAddress { peer: PeerKey([3; 32]), addresses }],
        }
    }

    #[test]
    fn the_record_survives_and_damage_is_named() {
        let bytes = membership().encode();
        assert_eq!(Membership::decode(&bytes).expect("decodes"), membership());
        let text = String::from_utf8(bytes).expect("JSON is text");
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(
            Membership::decode(newer.as_bytes()),
            Err(InvalidMembership::Newer { version: 2 })
        ));
        let short = text.replace("0202", "");
        assert!(matches!(
            Membership::decode(short.as_bytes()),
            Err(InvalidMembership::Field { field: "cluster_key" })
        ));
        assert!(matches!(
            Membership::decode(&text.as_bytes()[..40]),
            Err(InvalidMembership::Malformed(_))
        ));
    }

    #[test]
    fn a_token_of_the_same_cluster_names_another_gateway() {
        let token = |cluster: u8, key: u8, gateway: u8| JoinToken {
            id: node_proto::TokenId([1; 8]),
            secret: [2; 32],
            cluster: ClusterId([cluster; 16]),
            cluster_key: ClusterPublicKey([key; 32]),
            gateway: PeerKey([gateway; 32]),
            addresses: vec!["/ip4/10.0.0.1/tcp/9002".to_owned()],
        };
        let known = Membership::of_token(&token(1, 2, 3));
        for ignored in [token(1, 2, 3), token(9, 2, 4), token(1, 9, 4)] {
            assert_eq!(known.clone().with_gateway_of(&ignored), known);
        }
        let both = known.clone().with_gateway_of(&token(1, 2, 4));
        assert_eq!(both.gateways.len(), 2);
        let renewed = both.with_gateways(&[PeerKey([4; 32])]);
        assert_eq!(renewed.gateways[0].addresses, ["/ip4/10.0.0.1/tcp/9002"]);
    }

    #[test]
    fn gateways_follow_the_layout() {
        let before = membership();
        let (old, new) = (PeerKey([3; 32]), PeerKey([4; 32]));
        assert_eq!(before.with_gateways(&[]), before);
        let both = before.with_gateways(&[old, new]);
        assert_eq!(both.gateways[0], before.gateways[0]);
        assert_eq!(both.gateways[1].addresses, Vec::<String>::new());
        assert_eq!(both.with_gateways(&[new]).gateways.len(), 1);
    }

    #[test]
    fn addresses_are_noted_once() {
        let before = membership();
        let peer = PeerKey([3; 32]);
        assert_eq!(before.with_addresses(peer, &before.gateways[0].addresses), None);
        assert_eq!(before.with_addresses(peer, &[]), None);
        let moved = vec!["/ip4/10.0.0.2/tcp/9002".to_owned()];
        let after = before.with_addresses(peer, &moved).expect("changed");
        assert_eq!(after.gateways[0].addresses.len(), 2);
        assert_eq!(after.gateways[0].addresses[0], moved[0]);
        let many: Vec<String> = (0..40).map(|i| format!("/ip4/10.0.1.{i}/tcp/1")).collect();
        let full = after.with_addresses(peer, &many).expect("changed");
        assert_eq!(full.gateways[0].addresses, many[..ADDRESSES_MAX]);
        assert_eq!(before.with_addresses(PeerKey([9; 32]), &moved), None);
    }
}
