//! What changes make of a layout.
//!
//! Invariants:
//! - pure: the same changes of the same layout make the same layout;
//! - ids that were used are not used again;
//! - all of the changes fit, or nothing comes out.

use std::collections::{BTreeMap, BTreeSet};

use gateway_meta::record::{LayoutChange, Membership, NodeRecord};
use node_proto::{
    DeviceId, Layout, LayoutDevice, LayoutNode, NodeId, NodeState, PeerKey, join::OfferedDrive,
};

use crate::{
    cluster::UnusedIds,
    error::Kind,
    local::{LOCAL_NAME, local_domain},
    names::{InvalidName, free_name, validate_node_name, validate_zone},
};

/// What is known of nodes, by peer.
pub(crate) type Records = BTreeMap<PeerKey, NodeRecord>;

/// The layout cannot be changed that way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The node is not in the layout.
    #[error("there is no node {} in the layout", .node.0)]
    NoSuchNode {
        /// The node.
        node: NodeId,
    },
    /// The peer never asked to join.
    #[error("peer {peer} does not wait for approval")]
    NotPending {
        /// The peer.
        peer: PeerKey,
    },
    /// The node offers nothing that is not in the layout.
    #[error("node {node} offers no drives that are not in the layout")]
    NoNewDrives {
        /// Its name.
        node: String,
    },
    /// Another node has the name.
    #[error("another node is called {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name breaks a rule.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The gateway's own drives cannot leave.
    #[error("the gateway's own drives cannot be retired; they can be drained")]
    Local,
    /// There are no ids any more.
    #[error("all ids are used up")]
    IdsUsedUp,
}

impl PlanError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchNode { .. } => Kind::NotFound,
            Self::NotPending { .. } | Self::NameTaken { .. } | Self::NoNewDrives { .. } => {
                Kind::Conflict
            }
            Self::InvalidName(_) | Self::Local | Self::IdsUsedUp => Kind::Invalid,
        }
    }
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// The layout, still with its old epoch.
    pub(crate) layout: Layout,
    /// Who became a member.
    pub(crate) admitted: Vec<(PeerKey, NodeId)>,
    /// Who left.
    pub(crate) removed: Vec<LayoutNode>,
    /// The changes in words, in their order.
    pub(crate) words: Vec<String>,
}

struct Planner<'a> {
    planned: Planned,
    ids: UnusedIds,
    records: &'a Records,
}

/// Applies `changes` in their order.
pub(crate) fn plan(
    layout: &Layout,
    ids: UnusedIds,
    changes: &[LayoutChange],
    records: &Records,
) -> Result<Planned, PlanError> {
    let planned = Planned {
        layout: layout.clone(),
        admitted: Vec::new(),
        removed: Vec::new(),
        words: Vec::new(),
    };
    let mut planner = Planner { planned, ids, records };
    for change in changes {
        planner.change(change)?;
    }
    Ok(planner.planned)
}

/// Drives of a record that are no devices of the node yet.
pub(crate) fn new_drives(layout: &Layout, node: NodeId, record: &NodeRecord) -> Vec<OfferedDrive> {
    let known: BTreeSet<&str> = layout
        .devices
        .iter()
        .filter(|device| device.node == node)
        .map(|device| device.address.as_str())
        .collect();
    record.drives.iter().filter(|drive| !known.contains(drive.path.as_str())).cloned().collect()
}

impl Planner<'_> {
    fn change(&mut self, change: &LayoutChange) -> Result<(), PlanError> {
        let words = match change {
            LayoutChange::AddNode { peer } => self.add_node(*peer)?,
            LayoutChange::AddDrives { node } => self.add_drives(*node)?,
            LayoutChange::RemoveNode { node } => self.remove_node(*node)?,
            LayoutChange::SetZone { node, zone } => self.set_zone(*node, zone.as_deref())?,
            LayoutChange::SetState { node, state } => self.set_state(*node, *state)?,
            LayoutChange::Rename { node, name } => self.rename(*node, name)?,
        };
        self.planned.words.push(words);
        Ok(())
    }

    fn add_node(&mut self, peer: PeerKey) -> Result<String, PlanError> {
        if let Some(node) = self.planned.layout.node_of_peer(peer) {
            return Ok(format!("node {} is part of the layout already", node.name));
        }
        let record = self.records.get(&peer).ok_or(PlanError::NotPending { peer })?;
        let Membership::Pending { .. } = record.membership else {
            return Err(PlanError::NotPending { peer });
        };
        let name = record.name.clone();
        if self.is_taken(&name) {
            return Err(PlanError::NameTaken { name });
        }
        let id = NodeId(self.ids.0.next_node);
        self.ids.0.next_node = id.0.checked_add(1).ok_or(PlanError::IdsUsedUp)?;
        let zone = record.zone.clone().unwrap_or_else(|| name.clone());
        let state = NodeState::Active;
        let node = LayoutNode { id, name, peer: Some(peer), zone, state };
        self.add_devices(&node, &record.drives)?;
        let words = format!(
            "node {} of zone {} was added with {} drives",
            node.name,
            node.zone,
            record.drives.len()
        );
        self.planned.layout.nodes.push(node);
        self.planned.admitted.push((peer, id));
        Ok(words)
    }

    fn add_devices(&mut self, node: &LayoutNode, drives: &[OfferedDrive]) -> Result<(), PlanError> {
        for drive in drives {
            let id = DeviceId(self.ids.0.next_device);
            self.ids.0.next_device = id.0.checked_add(1).ok_or(PlanError::IdsUsedUp)?;
            self.planned.layout.devices.push(LayoutDevice {
                id,
                node: node.id,
                failure_domain: node.zone.clone(),
                address: drive.path.clone(),
                mount_point: drive.mount_point,
                capacity_bytes: drive.capacity_bytes,
            });
        }
        Ok(())
    }

    fn add_drives(&mut self, id: NodeId) -> Result<String, PlanError> {
        let node = self.node(id)?.clone();
        let record = node.peer.and_then(|peer| self.records.get(&peer));
        let new = record.map(|record| new_drives(&self.planned.layout, id, record));
        let new = new.filter(|new| !new.is_empty());
        let new = new.ok_or_else(|| PlanError::NoNewDrives { node: node.name.clone() })?;
        self.add_devices(&node, &new)?;
        Ok(format!("{} drives of node {} were added", new.len(), node.name))
    }

    fn remove_node(&mut self, id: NodeId) -> Result<String, PlanError> {
        if id == NodeId::LOCAL {
            return Err(PlanError::Local);
        }
        let index = self.index(id).ok_or(PlanError::NoSuchNode { node: id })?;
        let layout = &mut self.planned.layout;
        let node = layout.nodes.remove(index);
        layout.devices.retain(|device| device.node != id);
        let words = format!("node {} was retired", node.name);
        self.planned.removed.push(node);
        Ok(words)
    }

    fn set_zone(&mut self, id: NodeId, zone: Option<&str>) -> Result<String, PlanError> {
        if let Some(zone) = zone {
            validate_zone(zone)?;
        }
        let node = self.node(id)?;
        let own = if id == NodeId::LOCAL { "" } else { &node.name };
        let zone = zone.unwrap_or(own).to_owned();
        node.zone.clone_from(&zone);
        let words = match (zone.as_str(), &node.name) {
            ("", name) => format!("each drive of {name} fails on its own"),
            (zone, name) => format!("node {name} is in zone {zone}"),
        };
        let layout = &mut self.planned.layout;
        for index in 0..layout.devices.len() {
            let device = &layout.devices[index];
            if device.node == id {
                let device_id = device.id;
                layout.devices[index].failure_domain = if id == NodeId::LOCAL {
                    local_domain(layout, device_id)
                } else {
                    zone.clone()
                };
            }
        }
        Ok(words)
    }

    fn set_state(&mut self, id: NodeId, state: NodeState) -> Result<String, PlanError> {
        let node = self.node(id)?;
        node.state = state;
        Ok(match state {
            NodeState::Active => format!("node {} takes shards", node.name),
            NodeState::Draining => format!("node {} is drained", node.name),
        })
    }

    fn rename(&mut self, id: NodeId, name: &str) -> Result<String, PlanError> {
        validate_node_name(name)?;
        let old = self.node(id)?.name.clone();
        if old != name && self.is_taken(name) {
            return Err(PlanError::NameTaken { name: name.to_owned() });
        }
        name.clone_into(&mut self.node(id)?.name);
        Ok(format!("node {old} is called {name}"))
    }

    /// Whether a node has the name, or the gateway's own drives have it without being told.
    fn is_taken(&self, name: &str) -> bool {
        let is_local = name == LOCAL_NAME && self.index(NodeId::LOCAL).is_none();
        is_local || self.has_node(name)
    }

    fn has_node(&self, name: &str) -> bool {
        self.planned.layout.nodes.iter().any(|node| node.name == name)
    }

    fn index(&self, id: NodeId) -> Option<usize> {
        self.planned.layout.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    /// The node. The gateway's own drives get theirs when something is first said of them.
    fn node(&mut self, id: NodeId) -> Result<&mut LayoutNode, PlanError> {
        let index = match self.index(id) {
            Some(index) => index,
            None if id == NodeId::LOCAL => {
                let name = free_name(LOCAL_NAME, |name| self.has_node(name));
                let (zone, state) = (String::new(), NodeState::Active);
                self.planned
                    .layout
                    .nodes
                    .insert(0, LayoutNode { id, name, peer: None, zone, state });
                0
            }
            None => return Err(PlanError::NoSuchNode { node: id }),
        };
        Ok(&mut self.planned.layout.nodes[index])
    }
}

#[cfg(test)]
mod tests;
