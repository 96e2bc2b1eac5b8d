//! The layout document: which nodes and devices exist and which of them fail together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{ClusterId, DeviceId, Epoch, NodeId, PeerKey};

/// What a node is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Takes new shards.
    Active,
    /// Takes no new shards; what it holds is moved elsewhere.
    Draining,
}

/// One process with devices. A retired node is in no layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutNode {
    /// The node.
    pub id: NodeId,
    /// What operators call it; unique in a layout.
    pub name: String,
    /// Who it is in the mesh; `None` for the gateway's own drives, [`NodeId::LOCAL`].
    pub peer: Option<PeerKey>,
    /// What it fails together with, in the operator's words.
    pub zone: String,
    /// What it is there for.
    pub state: NodeState,
}

/// One device slot of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutDevice {
    /// The slot.
    pub id: DeviceId,
    /// The node it belongs to.
    pub node: NodeId,
    /// Devices with equal domains may fail together; a placement group holds at most one of them.
    /// The zone of its node, except for a gateway's own drives, which may be domains of their own.
    pub failure_domain: String,
    /// Where the device is reached on its node: a directory.
    pub address: String,
    /// The address was a mount point when the device was last seen there: an empty directory that
    /// is none is then a drive that is not mounted, not an empty drive.
    pub mount_point: bool,
    /// Space it offered when it was staged, in bytes; zero when it was not told. For previews; how
    /// full it is now is the device's own word.
    pub capacity_bytes: u64,
}

impl LayoutDevice {
    /// A drive of the gateway itself, a failure domain of its own.
    #[must_use]
    pub fn local(id: DeviceId, address: String) -> Self {
        Self {
            id,
            node: NodeId::LOCAL,
            failure_domain: format!("drive-{}", id.0),
            address,
            mount_point: false,
            capacity_bytes: 0,
        }
    }
}

/// Every node and device of a cluster. Changed only as a whole, by compare-and-set on its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The cluster this layout belongs to.
    pub cluster: ClusterId,
    /// Grows by one with each change.
    pub epoch: Epoch,
    /// Who may read, write and delete on every device.
    pub gateways: Vec<PeerKey>,
    /// The nodes, ascending by id. A device of [`NodeId::LOCAL`] needs no node here.
    pub nodes: Vec<LayoutNode>,
    /// The devices, ascending by id.
    pub devices: Vec<LayoutDevice>,
}

/// Why a layout is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Device ids repeat or are not ascending.
    #[error("device {id:?} is listed twice or out of order")]
    Unordered {
        /// The offending device.
        id: DeviceId,
    },
    /// Node ids repeat or are not ascending.
    #[error("node {id:?} is listed twice or out of order")]
    UnorderedNodes {
        /// The offending node.
        id: NodeId,
    },
    /// Two nodes have one name or one peer id.
    #[error("nodes {first:?} and {second:?} have the same {what}")]
    Twins {
        /// One of them.
        first: NodeId,
        /// The other.
        second: NodeId,
        /// `name` or `peer id`.
        what: &'static str,
    },
    /// A device belongs to no node of the layout.
    #[error("device {id:?} belongs to {node:?}, which is not in the layout")]
    Orphan {
        /// The device.
        id: DeviceId,
        /// The missing node.
        node: NodeId,
    },
    /// Too few failure domains to keep `m` losses survivable.
    #[error("{domains} failure domains cannot survive the loss of {tolerated}")]
    TooFewDomains {
        /// Distinct failure domains present.
        domains: usize,
        /// Losses that must be survivable.
        tolerated: usize,
    },
}

impl Layout {
    /// The first layout of a gateway with its own drives and nothing else.
    #[must_use]
    pub fn local(cluster: ClusterId, devices: Vec<LayoutDevice>) -> Self {
        Self { cluster, epoch: Epoch(1), gateways: Vec::new(), nodes: Vec::new(), devices }
    }

    /// Checks the document on its own.
    ///
    /// # Errors
    /// [`LayoutError`] when ids, names or peers repeat, or a device belongs to no node.
    pub fn check(&self) -> Result<(), LayoutError> {
        for pair in self.devices.windows(2) {
            if pair[0].id >= pair[1].id {
                return Err(LayoutError::Unordered { id: pair[1].id });
            }
        }
        for pair in self.nodes.windows(2) {
            if pair[0].id >= pair[1].id {
                return Err(LayoutError::UnorderedNodes { id: pair[1].id });
            }
        }
        let (mut names, mut peers) = (BTreeMap::new(), BTreeMap::new());
        for node in &self.nodes {
            let second = node.id;
            if let Some(first) = names.insert(&node.name, second) {
                return Err(LayoutError::Twins { first, second, what: "name" });
            }
            if let Some(first) = node.peer.and_then(|peer| peers.insert(peer, second)) {
                return Err(LayoutError::Twins { first, second, what: "peer id" });
            }
        }
        let is_orphan = |device: &&LayoutDevice| {
            device.node != NodeId::LOCAL && self.node(device.node).is_none()
        };
        match self.devices.iter().find(is_orphan) {
            Some(device) => Err(LayoutError::Orphan { id: device.id, node: device.node }),
            None => Ok(()),
        }
    }

    /// Checks the document and that stripes can be placed on it.
    ///
    /// # Errors
    /// [`LayoutError`] as [`Self::check`], or when fewer than `tolerated + 1` failure domains take
    /// shards: then not even one data shard plus full parity can be placed apart.
    pub fn validate(&self, tolerated: usize) -> Result<(), LayoutError> {
        self.check()?;
        let takes_shards = |device: &&LayoutDevice| !self.is_draining(device.id);
        let domains: BTreeSet<_> =
            self.devices.iter().filter(takes_shards).map(|d| &d.failure_domain).collect();
        if domains.len() <= tolerated {
            return Err(LayoutError::TooFewDomains { domains: domains.len(), tolerated });
        }
        Ok(())
    }

    /// A node by its id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&LayoutNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// A node by its peer id.
    #[must_use]
    pub fn node_of_peer(&self, peer: PeerKey) -> Option<&LayoutNode> {
        self.nodes.iter().find(|node| node.peer == Some(peer))
    }

    /// A device by its id.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&LayoutDevice> {
        let index = self.devices.binary_search_by_key(&id, |device| device.id).ok()?;
        self.devices.get(index)
    }

    /// Whether the node of a device is being emptied.
    #[must_use]
    pub fn is_draining(&self, id: DeviceId) -> bool {
        let node = self.device(id).and_then(|device| self.node(device.node));
        node.is_some_and(|node| node.state == NodeState::Draining)
    }

    /// The peer that serves a device; `None` for the gateway's own drives.
    #[must_use]
    pub fn peer_of(&self, id: DeviceId) -> Option<PeerKey> {
        self.device(id).and_then(|device| self.node(device.node)).and_then(|node| node.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(domains: &[&str]) -> Layout {
        let device = |(id, domain): (u32, &&str)| LayoutDevice {
            failure_domain: (*domain).to_owned(),
            ..LayoutDevice::local(DeviceId(id), String::new())
        };
        Layout::local(ClusterId([0; 16]), (0..).zip(domains).map(device).collect())
    }

    fn node(id: u32, name: &str, peer: u8, state: NodeState) -> LayoutNode {
        let peer = Some(PeerKey([peer; 32]));
        LayoutNode { id: NodeId(id), name: name.to_owned(), peer, zone: String::new(), state }
    }

    #[test]
    fn two_losses_need_three_domains() {
        assert_eq!(layout(&["a", "b", "c"]).validate(2), Ok(()));
        assert_eq!(
            layout(&["a", "b", "b"]).validate(2),
            Err(LayoutError::TooFewDomains { domains: 2, tolerated: 2 })
        );
    }

    #[test]
    fn draining_nodes_take_no_shards() {
        let mut draining = layout(&["a", "b", "c"]);
        draining.nodes = vec![node(4, "n", 4, NodeState::Draining)];
        draining.devices[2].node = NodeId(4);
        assert!(draining.is_draining(DeviceId(2)));
        assert_eq!(draining.peer_of(DeviceId(2)), Some(PeerKey([4; 32])));
        assert_eq!(
            draining.validate(2),
            Err(LayoutError::TooFewDomains { domains: 2, tolerated: 2 })
        );
    }

    #[test]
    fn repeated_ids_names_and_peers_are_refused() {
        let mut twice = layout(&["a", "b", "c"]);
        twice.devices[1].id = DeviceId(0);
        assert_eq!(twice.validate(2), Err(LayoutError::Unordered { id: DeviceId(0) }));
        let mut twins = layout(&["a", "b", "c"]);
        let active = NodeState::Active;
        twins.nodes = vec![node(1, "n", 1, active), node(2, "n", 2, active)];
        assert!(matches!(twins.check(), Err(LayoutError::Twins { what: "name", .. })));
        twins.nodes = vec![node(1, "n", 1, active), node(2, "o", 1, active)];
        assert!(matches!(twins.check(), Err(LayoutError::Twins { what: "peer id", .. })));
        twins.nodes = vec![node(2, "n", 1, active), node(1, "o", 2, active)];
        assert_eq!(twins.check(), Err(LayoutError::UnorderedNodes { id: NodeId(1) }));
    }

    #[test]
    fn devices_of_unknown_nodes_are_refused() {
        let mut orphan = layout(&["a", "b", "c"]);
        orphan.devices[1].node = NodeId(9);
        let refused = LayoutError::Orphan { id: DeviceId(1), node: NodeId(9) };
        assert_eq!(orphan.check(), Err(refused));
    }
}
