//! Who is who in the layout in force.

use std::collections::{HashMap, HashSet};

use node_proto::{DeviceId, Layout, PeerKey, wire::Request};

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// May ask for everything.
    Gateway,
    /// May ask for what copy orders allow.
    Node,
    /// May ask for nothing.
    Stranger,
}

impl Role {
    /// Whether a peer in this role may ask for it at all.
    pub(crate) fn may(self, request: &Request) -> bool {
        match self {
            Self::Gateway => true,
            Self::Node => matches!(request, Request::Fetch { .. }),
            Self::Stranger => false,
        }
    }
}

/// The peers of a layout. Empty before there is one.
#[derive(Default)]
pub(crate) struct Members {
    gateways: HashSet<PeerKey>,
    nodes: HashSet<PeerKey>,
    devices: HashMap<DeviceId, PeerKey>,
}

impl Members {
    pub(crate) fn new(layout: &Layout) -> Self {
        let peer_of = |id| layout.peer_of(id).map(|peer| (id, peer));
        Self {
            gateways: layout.gateways.iter().copied().collect(),
            nodes: layout.nodes.iter().filter_map(|node| node.peer).collect(),
            devices: layout.devices.iter().filter_map(|device| peer_of(device.id)).collect(),
        }
    }

    pub(crate) fn role(&self, peer: PeerKey) -> Role {
        if self.gateways.contains(&peer) {
            Role::Gateway
        } else if self.nodes.contains(&peer) {
            Role::Node
        } else {
            Role::Stranger
        }
    }

    /// Whether devices of the layout may be there.
    pub(crate) fn is_node(&self, peer: PeerKey) -> bool {
        self.nodes.contains(&peer)
    }

    /// The peer that serves a device; `None` when it is a gateway's own, or unknown.
    pub(crate) fn peer_of(&self, device: DeviceId) -> Option<PeerKey> {
        self.devices.get(&device).copied()
    }
}
