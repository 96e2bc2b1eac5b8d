//! `/mesh`.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract};
use gateway_layout::NodeStatus;
use gateway_object::BreakerState;
use node_proto::{DeviceHealth, Layout};

use super::{device::micros, wire};
use crate::{
    diagnosis::{Observation, ObservedDevice, diagnose, plain_version},
    error::ApiError,
    mesh::{MeshPeer, MeshReport},
    server::State,
};

/// Nodes looked up by one request. Chosen: each takes milliseconds, or seconds when nobody knows.
const LOOKUPS_MAX: usize = 64;

pub(crate) async fn show(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::Mesh>, ApiError> {
    let layout = state.cluster.layout();
    let report = state.mesh.as_ref().map(|mesh| mesh.report());
    let nodes = state.cluster.nodes().await?;
    let pending: Vec<String> = nodes
        .into_iter()
        .filter(|node| matches!(node.status, NodeStatus::Pending))
        .map(|node| node.name)
        .collect();
    let findings = diagnose(&Observation {
        layout: &layout,
        mesh: report.as_ref(),
        devices: &observed(&state),
        pending: &pending,
        version: env!("CARGO_PKG_VERSION"),
    });
    Ok(Json(document(&layout, report, findings)))
}

/// Looks up every node's address through the others, one after the other, and tells how long each
/// took.
pub(crate) async fn lookup(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::LookupList>, ApiError> {
    let Some(mesh) = &state.mesh else {
        return Err(ApiError::invalid("this gateway has no mesh: it was started without --mesh"));
    };
    let layout = state.cluster.layout();
    let mut lookups = Vec::new();
    for node in layout.nodes.iter().take(LOOKUPS_MAX) {
        let Some(peer) = node.peer else { continue };
        let started = Instant::now();
        let found = mesh.find(peer).await;
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (addresses, error) = match found {
            Ok(addresses) => (addresses, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let (peer, name) = (peer.to_string(), node.name.clone());
        lookups.push(wire::Lookup { peer, name, took_us, addresses, error });
    }
    Ok(Json(wire::LookupList { lookups }))
}

fn observed(state: &State) -> Vec<ObservedDevice> {
    let device = |report: gateway_object::DeviceReport| ObservedDevice {
        id: report.status.device,
        failure_domain: report.failure_domain,
        offline: match report.status.health {
            DeviceHealth::Online | DeviceHealth::Full => None,
            DeviceHealth::Offline => Some(report.status.reason.unwrap_or_default()),
        },
        is_breaker_open: report.breaker == BreakerState::Open,
        is_draining: report.draining,
    };
    state.objects.devices().into_iter().map(device).collect()
}

fn document(
    layout: &Layout,
    report: Option<MeshReport>,
    findings: Vec<wire::Finding>,
) -> wire::Mesh {
    let enabled = report.is_some();
    let (peer, addresses, discovery, bootstrap, peers) = match report {
        Some(report) => (
            Some(report.peer.to_string()),
            report.addresses,
            report.discovery,
            report.bootstrap,
            report.peers,
        ),
        None => (None, Vec::new(), false, Vec::new(), Vec::new()),
    };
    let bootstrap = bootstrap
        .into_iter()
        .map(|known| wire::Bootstrap { address: known.address, connected: known.is_connected })
        .collect();
    wire::Mesh {
        enabled,
        peer,
        addresses,
        discovery,
        bootstrap,
        epoch: layout.epoch.0,
        peers: peers.into_iter().map(|peer| shown(layout, peer)).collect(),
        findings,
    }
}

fn shown(layout: &Layout, peer: MeshPeer) -> wire::Peer {
    wire::Peer {
        name: layout.node_of_peer(peer.peer).map(|node| node.name.clone()),
        peer: peer.peer.to_string(),
        connected: peer.is_connected,
        addresses: peer.addresses,
        security: peer.security,
        round_trip_us: peer.round_trip.map(micros),
        lanes: peer.lanes as u64,
        requests_in_flight: peer.requests_in_flight as u64,
        sent_bytes: peer.sent_bytes,
        received_bytes: peer.received_bytes,
        epoch: peer.epoch.map(|epoch| epoch.0),
        version: peer.version.as_deref().map(|version| plain_version(version).to_owned()),
        clock_ahead_ms: peer.clock_ahead_ms,
        last_error: peer.last_error,
    }
}
