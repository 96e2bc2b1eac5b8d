//! Nodes as operators see them.

use gateway_meta::record::{LayoutChange, NodeRecord};
use node_proto::{
    DeviceId, Epoch, Layout, LayoutNode, NodeId, NodeState, PeerKey, UnixMillis, join::OfferedDrive,
};

use crate::{
    cluster::Cluster,
    error::{NodeError, StoreError},
    local::LOCAL_NAME,
    membership::is_pending,
    plan::new_drives,
};

/// What a node is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// It waits for approval.
    Pending,
    /// It waits until the staged layout is applied.
    Staged,
    /// It takes shards.
    Active,
    /// It is emptied.
    Draining,
}

/// A node as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReport {
    /// Its id; `None` before it is in the layout.
    pub id: Option<NodeId>,
    /// Who it is in the mesh; `None` for the gateway's own drives when the mesh is off.
    pub peer: Option<PeerKey>,
    /// What it is called.
    pub name: String,
    /// Its zone. Before it is in the layout: the one it will have. Empty for the gateway's own
    /// drives, when each fails on its own.
    pub zone: String,
    /// What it is to the cluster.
    pub status: NodeStatus,
    /// The version of its program, as told last; empty for the gateway's own drives.
    pub version: String,
    /// Where it can be dialled, as told last.
    pub addresses: Vec<String>,
    /// Its devices in the layout.
    pub devices: Vec<DeviceId>,
    /// Drives it offers that are no devices yet.
    pub new_drives: Vec<OfferedDrive>,
    /// When it first asked to join; `None` for the gateway's own drives.
    pub first_seen: Option<UnixMillis>,
    /// When it was last heard of, since this process started.
    pub last_seen: Option<UnixMillis>,
    /// The layout it confirmed to have, since this process started.
    pub epoch: Option<Epoch>,
    /// Part of the time that its devices were seen up, from 0 to 1, the pessimistic assumption for
    /// a time before anything was seen included; `None` without devices.
    pub availability: Option<f64>,
}

impl Cluster {
    /// Nodes that wait, then those of the layout by id. Retired ones are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        let layout = self.refresh()?.layout;
        let staged: Vec<LayoutChange> = self.staged_changes()?;
        let mut records = self.known().await?.records;
        let local = layout.node(NodeId::LOCAL).is_none()
            && layout.devices.iter().any(|device| device.node == NodeId::LOCAL);
        let mut members = Vec::new();
        if local {
            members.push(self.local_report(&layout, None));
        }
        for node in &layout.nodes {
            let record = node.peer.and_then(|peer| records.remove(&peer));
            members.push(match record {
                Some(record) => self.member_report(&layout, node, record),
                None => self.local_report(&layout, Some(node)),
            });
        }
        let pending = records.into_iter().filter(|(_, record)| is_pending(record));
        let mut all: Vec<NodeReport> =
            pending.map(|(peer, record)| self.pending_report(peer, record, &staged)).collect();
        all.sort_by_key(|report| report.first_seen);
        all.extend(members);
        Ok(all)
    }

    /// One of [`Self::nodes`].
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn node(&self, node: &str) -> Result<NodeReport, NodeError> {
        let peer = node.parse::<PeerKey>().ok();
        let is_it = |report: &NodeReport| match peer {
            Some(peer) => report.peer == Some(peer),
            None => report.name == node,
        };
        let found = self.nodes().await?.into_iter().find(is_it);
        found.ok_or_else(|| NodeError::NoSuchNode { node: node.to_owned() })
    }

    fn local_report(&self, layout: &Layout, node: Option<&LayoutNode>) -> NodeReport {
        let id = node.map_or(NodeId::LOCAL, |node| node.id);
        NodeReport {
            id: Some(id),
            peer: node.and_then(|node| node.peer).or(self.deps().gateway),
            name: node.map_or(LOCAL_NAME, |node| &node.name).to_owned(),
            zone: node.map_or_else(String::new, |node| node.zone.clone()),
            status: node.map_or(NodeStatus::Active, status),
            version: String::new(),
            addresses: self.own_addresses(),
            devices: devices_of(layout, id),
            new_drives: Vec::new(),
            first_seen: None,
            last_seen: Some(self.now()),
            epoch: Some(layout.epoch),
            availability: self.node_availability(layout, id),
        }
    }

    fn member_report(&self, layout: &Layout, node: &LayoutNode, record: NodeRecord) -> NodeReport {
        let contact = node.peer.map(|peer| self.contact(peer)).unwrap_or_default();
        NodeReport {
            id: Some(node.id),
            peer: node.peer,
            name: node.name.clone(),
            zone: node.zone.clone(),
            status: status(node),
            devices: devices_of(layout, node.id),
            new_drives: new_drives(layout, node.id, &record),
            version: record.version,
            addresses: record.addresses,
            first_seen: Some(record.first_seen),
            last_seen: contact.seen,
            epoch: contact.epoch,
            availability: self.node_availability(layout, node.id),
        }
    }

    fn pending_report(
        &self,
        peer: PeerKey,
        record: NodeRecord,
        staged: &[LayoutChange],
    ) -> NodeReport {
        let contact = self.contact(peer);
        let is_staged = staged.contains(&LayoutChange::AddNode { peer });
        NodeReport {
            id: None,
            peer: Some(peer),
            zone: record.zone.unwrap_or_else(|| record.name.clone()),
            name: record.name,
            status: if is_staged { NodeStatus::Staged } else { NodeStatus::Pending },
            version: record.version,
            addresses: record.addresses,
            devices: Vec::new(),
            new_drives: record.drives,
            first_seen: Some(record.first_seen),
            last_seen: contact.seen,
            epoch: None,
            availability: None,
        }
    }
}

fn status(node: &LayoutNode) -> NodeStatus {
    match node.state {
        NodeState::Active => NodeStatus::Active,
        NodeState::Draining => NodeStatus::Draining,
    }
}

fn devices_of(layout: &Layout, node: NodeId) -> Vec<DeviceId> {
    layout.devices.iter().filter(|device| device.node == node).map(|device| device.id).collect()
}
