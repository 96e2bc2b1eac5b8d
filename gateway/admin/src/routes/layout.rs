//! `/layout`.

mod forecast;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{self, rejection::JsonRejection},
};
use gateway_layout::{Apply, Change, NodeReport, Staged};
use node_proto::{Epoch, LayoutDevice, LayoutNode, NodeId, NodeState, PeerKey};

use super::{device::usage, node, rfc3339, wire};
use crate::{error::ApiError, server::State};

/// Epochs that are listed. Chosen: what is kept at most.
const HISTORY_LEN_MAX: usize = 1_000;

type Body<T> = Result<Json<T>, JsonRejection>;

pub(crate) async fn show(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::Layout>, ApiError> {
    let nodes = state.cluster.nodes().await?;
    let staged = state.cluster.staged()?.map(|staged| staged_document(&nodes, staged));
    let layout = state.cluster.layout();
    let shown = |node: &LayoutNode| wire::LayoutNode {
        acknowledged_epoch: nodes
            .iter()
            .find(|known| known.id == Some(node.id))
            .and_then(|known| known.epoch)
            .map(|epoch| epoch.0),
        ..member(node)
    };
    Ok(Json(wire::Layout {
        cluster: layout.cluster.to_string(),
        epoch: layout.epoch.0,
        gateways: layout.gateways.iter().map(PeerKey::to_string).collect(),
        nodes: layout.nodes.iter().map(shown).collect(),
        devices: layout.devices.iter().map(device).collect(),
        staged,
    }))
}

fn member(node: &LayoutNode) -> wire::LayoutNode {
    let state = match node.state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
    };
    wire::LayoutNode {
        node: node.id.0,
        name: node.name.clone(),
        peer: node.peer.map(|peer| peer.to_string()),
        zone: node.zone.clone(),
        state: state.to_owned(),
        acknowledged_epoch: None,
    }
}

fn device(device: &LayoutDevice) -> wire::LayoutDevice {
    wire::LayoutDevice {
        device: device.id.0,
        node: device.node.0,
        failure_domain: device.failure_domain.clone(),
        address: device.address.clone(),
        capacity_bytes: device.capacity_bytes,
    }
}

fn staged_document(nodes: &[NodeReport], staged: Staged) -> wire::Staged {
    wire::Staged {
        base_epoch: staged.base.0,
        staged: rfc3339(staged.staged_at),
        changes: staged.changes.into_iter().map(|change| document(nodes, change)).collect(),
    }
}

/// A change with names instead of ids, where they are known.
fn document(nodes: &[NodeReport], change: Change) -> wire::LayoutChange {
    let of_peer = |peer: PeerKey| {
        let known = nodes.iter().find(|known| known.peer == Some(peer));
        known.map_or_else(|| peer.to_string(), |known| known.name.clone())
    };
    let of_id = |node: NodeId| {
        let known = nodes.iter().find(|known| known.id == Some(node));
        known.map_or_else(|| node.0.to_string(), |known| known.name.clone())
    };
    match change {
        Change::AddNode { peer } => wire::LayoutChange::AddNode { node: of_peer(peer) },
        Change::AddDrives { node } => wire::LayoutChange::AddDrives { node: of_id(node) },
        Change::RemoveNode { node } => wire::LayoutChange::RemoveNode { node: of_id(node) },
        Change::SetZone { node, zone } => wire::LayoutChange::SetZone { node: of_id(node), zone },
        Change::SetState { node, state: NodeState::Draining } => {
            wire::LayoutChange::Drain { node: of_id(node) }
        }
        Change::SetState { node, state: NodeState::Active } => {
            wire::LayoutChange::Activate { node: of_id(node) }
        }
        Change::Rename { node, name } => wire::LayoutChange::Rename { node: of_id(node), name },
    }
}

/// The reverse of [`document`].
fn change(nodes: &[NodeReport], asked: wire::LayoutChange) -> Result<Change, ApiError> {
    let member = |text: &str| {
        let node = node::find(nodes, text)?;
        let name = &node.name;
        node.id.ok_or_else(|| ApiError::conflict(format!("node {name} is not in the layout yet")))
    };
    Ok(match asked {
        wire::LayoutChange::AddNode { node } => {
            let found = node::find(nodes, &node)?;
            let peer = found.peer.filter(|_| found.id.is_none()).ok_or_else(|| {
                ApiError::conflict(format!("node {} does not wait for approval", found.name))
            })?;
            Change::AddNode { peer }
        }
        wire::LayoutChange::AddDrives { node } => Change::AddDrives { node: member(&node)? },
        wire::LayoutChange::RemoveNode { node } => Change::RemoveNode { node: member(&node)? },
        wire::LayoutChange::SetZone { node, zone } => {
            Change::SetZone { node: member(&node)?, zone }
        }
        wire::LayoutChange::Drain { node } => {
            Change::SetState { node: member(&node)?, state: NodeState::Draining }
        }
        wire::LayoutChange::Activate { node } => {
            Change::SetState { node: member(&node)?, state: NodeState::Active }
        }
        wire::LayoutChange::Rename { node, name } => Change::Rename { node: member(&node)?, name },
    })
}

pub(crate) async fn stage(
    extract::State(state): extract::State<Arc<State>>,
    body: Body<wire::StageChanges>,
) -> Result<Json<wire::Staged>, ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let nodes = state.cluster.nodes().await?;
    let changes = request.changes.into_iter().map(|asked| change(&nodes, asked));
    // All are understood before the first is staged.
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    let mut staged = None;
    for change in changes {
        staged = Some(state.cluster.stage(change).await?);
    }
    let staged = staged.ok_or_else(|| ApiError::invalid("no changes are named"))?;
    Ok(Json(staged_document(&nodes, staged)))
}

pub(crate) async fn preview(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::Preview>, ApiError> {
    let preview = state.cluster.preview(&usage(&state)).await?;
    Ok(Json(forecast::document(&state.cluster.layout(), preview)))
}

pub(crate) async fn apply(
    extract::State(state): extract::State<Arc<State>>,
    body: Body<wire::ApplyLayout>,
) -> Result<Json<wire::Applied>, ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let leaving = state.cluster.staged()?.map(|staged| staged.leaving).unwrap_or_default();
    let mut held_shards = HashMap::new();
    for node in leaving {
        held_shards.insert(node, state.objects.held_shards(node).await?);
    }
    let apply = Apply {
        expected: Epoch(request.epoch),
        usage: usage(&state),
        held_shards,
        is_forced: request.force,
    };
    let layout = state.cluster.apply(&apply).await?;
    tracing::info!(epoch = layout.epoch.0, force = request.force, "staged changes applied");
    Ok(Json(wire::Applied { epoch: layout.epoch.0 }))
}

pub(crate) async fn revert(
    extract::State(state): extract::State<Arc<State>>,
    body: Body<wire::RevertLayout>,
) -> Result<Json<wire::Reverted>, ApiError> {
    let Json(request) = body.map_err(|error| ApiError::invalid(error.body_text()))?;
    let Some(epoch) = request.epoch else {
        state.cluster.discard().await?;
        return Ok(Json(wire::Reverted { staged: None, notes: Vec::new() }));
    };
    let reverted = state.cluster.revert(Epoch(epoch)).await?;
    let nodes = state.cluster.nodes().await?;
    let staged = Some(staged_document(&nodes, reverted.staged));
    Ok(Json(wire::Reverted { staged, notes: reverted.notes }))
}

pub(crate) async fn history(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::LayoutHistory>, ApiError> {
    let revision = |made: gateway_layout::Revision| wire::LayoutRevision {
        epoch: made.epoch.0,
        changed: rfc3339(made.changed_at),
        what: made.what,
    };
    let revisions = state.cluster.history(HISTORY_LEN_MAX).await?;
    Ok(Json(wire::LayoutHistory { revisions: revisions.into_iter().map(revision).collect() }))
}
