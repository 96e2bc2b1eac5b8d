//! `/nodes`.
//!
//! In routes a node is its name, its number, or a unique start of its peer id.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        self, Path,
        rejection::{JsonRejection, PathRejection},
    },
};
use gateway_layout::{Approval, NodeReport, NodeStatus};
use gateway_object::DeviceReport;
use node_proto::NodeId;

use super::{
    device::{health, usage},
    rfc3339, wire,
};
use crate::{error::ApiError, mesh::MeshReport, server::State};

type NodePath = Result<Path<String>, PathRejection>;
type Body<T> = Result<Json<T>, JsonRejection>;

/// The node that an operator means by `text`.
pub(crate) async fn resolve(state: &State, text: &str) -> Result<NodeReport, ApiError> {
    find(&state.cluster.nodes().await?, text).cloned()
}

/// Names come first, so that a node which is called by a number or like the start of another one's
/// peer id is found by its name; whole peer ids cannot be names.
pub(crate) fn find<'a>(nodes: &'a [NodeReport], text: &str) -> Result<&'a NodeReport, ApiError> {
    let number = text.parse().ok().map(NodeId);
    let peer = |node: &NodeReport| node.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let exact = |node: &&NodeReport| peer(node) == text;
    let named = |node: &&NodeReport| node.name == text;
    let numbered = |node: &&NodeReport| number.is_some() && node.id == number;
    let single = nodes.iter().find(exact);
    let single = single.or_else(|| nodes.iter().find(named));
    if let Some(node) = single.or_else(|| nodes.iter().find(numbered)) {
        return Ok(node);
    }
    let mut begun = nodes.iter().filter(|node| !text.is_empty() && peer(node).starts_with(text));
    match (begun.next(), begun.next()) {
        (Some(node), None) => Ok(node),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid(format!("several peer ids start with {text}: give more of it")))
        }
        (None, _) => Err(ApiError::no_such_node(text)),
    }
}

/// What the layout's owner knows the node by.
pub(crate) fn key(node: &NodeReport) -> String {
    node.peer.map_or_else(|| node.name.clone(), |peer| peer.to_string())
}

/// An outcome whose failure calls the node by its name.
fn named<T, E: Into<ApiError>>(node: &NodeReport, outcome: Result<T, E>) -> Result<T, ApiError> {
    outcome.map_err(|error| error.into().naming(&key(node), &node.name))
}

fn state_text(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Pending => "pending",
        NodeStatus::Staged => "staged",
        NodeStatus::Active => "active",
        NodeStatus::Draining => "draining",
    }
}

/// What a document about nodes is made of.
struct Views {
    devices: Vec<DeviceReport>,
    mesh: Option<MeshReport>,
}

impl Views {
    fn of(state: &State) -> Self {
        let mesh = state.mesh.as_ref().map(|mesh| mesh.report());
        Self { devices: state.objects.devices(), mesh }
    }

    fn document(&self, node: NodeReport) -> wire::Node {
        let is_connected = |mesh: &MeshReport| {
            mesh.peers.iter().any(|peer| Some(peer.peer) == node.peer && peer.is_connected)
        };
        let is_outside = node.id != Some(NodeId::LOCAL);
        let drives =
            self.devices.iter().filter(|known| node.devices.contains(&known.status.device));
        let offered = |drive: node_proto::join::OfferedDrive| wire::OfferedDrive {
            path: drive.path,
            capacity_bytes: drive.capacity_bytes,
        };
        wire::Node {
            node: node.id.map(|id| id.0),
            peer: node.peer.map(|peer| peer.to_string()),
            state: state_text(node.status).to_owned(),
            version: node.version,
            connected: self.mesh.as_ref().filter(|_| is_outside).map(is_connected),
            drives: drives.map(drive).collect(),
            name: node.name,
            zone: node.zone,
            addresses: node.addresses,
            epoch: node.epoch.map(|epoch| epoch.0),
            availability: node.availability,
            first_seen: node.first_seen.map(rfc3339),
            last_seen: node.last_seen.map(rfc3339),
            offered: node.new_drives.into_iter().map(offered).collect(),
        }
    }
}

fn drive(report: &DeviceReport) -> wire::NodeDrive {
    wire::NodeDrive {
        device: report.status.device.0,
        path: report.address.clone(),
        health: health(report.status.health).to_owned(),
        reason: report.status.reason.clone(),
        capacity_bytes: report.status.capacity_bytes,
        free_bytes: report.status.free_bytes,
    }
}

/// The document of a node as it is now.
async fn now(state: &State, node: &NodeReport) -> Result<Json<wire::Node>, ApiError> {
    let node = state.cluster.node(&key(node)).await?;
    Ok(Json(Views::of(state).document(node)))
}

/// The document of a node that is gone.
fn gone(state: &State, node: NodeReport, what: &str) -> Json<wire::Node> {
    let document = Views::of(state).document(node);
    Json(wire::Node { state: what.to_owned(), ..document })
}

pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::NodeList>, ApiError> {
    let views = Views::of(&state);
    let nodes = state.cluster.nodes().await?;
    let nodes = nodes.into_iter().map(|node| views.document(node)).collect();
    Ok(Json(wire::NodeList { nodes }))
}

pub(crate) async fn show(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
) -> Result<Json<wire::NodeDetail>, ApiError> {
    let Path(node) = node?;
    let node = resolve(&state, &node).await?;
    let held_shards = match node.id {
        Some(id) => state.objects.held_shards(id).await?,
        None => 0,
    };
    Ok(Json(wire::NodeDetail { node: Views::of(&state).document(node), held_shards }))
}

pub(crate) async fn approve(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
    body: Body<wire::ApproveNode>,
) -> Result<Json<wire::Node>, ApiError> {
    let Path(node) = node?;
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let node = resolve(&state, &node).await?;
    let wire::ApproveNode { zone, name, stage } = request;
    named(
        &node,
        state.cluster.approve(&key(&node), Approval { is_staged: stage, name, zone }).await,
    )?;
    tracing::info!(node = %node.name, stage, "node approved");
    now(&state, &node).await
}

pub(crate) async fn reject(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
) -> Result<Json<wire::Node>, ApiError> {
    let Path(node) = node?;
    let node = resolve(&state, &node).await?;
    named(&node, state.cluster.reject(&key(&node)).await)?;
    Ok(gone(&state, node, "rejected"))
}

pub(crate) async fn drain(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
    body: Body<wire::DrainNode>,
) -> Result<Json<wire::Node>, ApiError> {
    let Path(node) = node?;
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let node = resolve(&state, &node).await?;
    named(&node, state.cluster.drain(&key(&node), &usage(&state), request.force).await)?;
    tracing::info!(node = %node.name, force = request.force, "node is being drained");
    now(&state, &node).await
}

pub(crate) async fn activate(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
) -> Result<Json<wire::Node>, ApiError> {
    let Path(node) = node?;
    let node = resolve(&state, &node).await?;
    named(&node, state.cluster.activate(&key(&node)).await)?;
    tracing::info!(node = %node.name, "node activated");
    now(&state, &node).await
}

pub(crate) async fn retire(
    extract::State(state): extract::State<Arc<State>>,
    node: NodePath,
    body: Body<wire::RetireNode>,
) -> Result<Json<wire::Node>, ApiError> {
    let Path(node) = node?;
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let node = resolve(&state, &node).await?;
    let held_shards = match node.id {
        Some(id) => state.objects.held_shards(id).await?,
        None => 0,
    };
    named(&node, state.cluster.retire(&key(&node), held_shards, request.force).await)?;
    tracing::info!(node = %node.name, held_shards, force = request.force, "node retired");
    Ok(gone(&state, node, "retired"))
}

#[cfg(test)]
mod tests {
    use node_proto::PeerKey;

    use super::*;

    fn node(id: Option<u32>, name: &str, peer: u8) -> NodeReport {
        NodeReport {
            id: id.map(NodeId),
            peer: Some(PeerKey([peer; 32])),
            name: name.to_owned(),
            zone: String::new(),
            status: NodeStatus::Active,
            version: String::new(),
            addresses: Vec::new(),
            devices: Vec::new(),
            new_drives: Vec::new(),
            first_seen: None,
            last_seen: None,
            epoch: None,
            availability: None,
        }
    }

    #[test]
    fn nodes_are_found_by_name_number_and_start_of_the_peer_id() {
        let nodes = [node(Some(7), "a", 1), node(Some(8), "7", 2), node(None, "c", 3)];
        let found = |text: &str| find(&nodes, text).map(|node| node.name.clone()).ok();
        assert_eq!(found("a").as_deref(), Some("a"));
        assert_eq!(found("7").as_deref(), Some("7"), "a name comes before a number");
        assert_eq!(found("8").as_deref(), Some("7"));
        let peer = PeerKey([3; 32]).to_string();
        assert_eq!(found(&peer).as_deref(), Some("c"));
        assert_eq!(found(&peer[..20]).as_deref(), Some("c"));
        for unknown in ["", "9", "b", "12D3KooX"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
        let several = format!("{:?}", find(&nodes, "12D3KooW"));
        assert!(several.contains("give more of it"), "{several}");
    }
}
