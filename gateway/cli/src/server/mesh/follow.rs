//! The tasks that keep the mesh, the object service and the nodes at the cluster's layout.
//!
//! *Cancellation:* each may be dropped at any point; the next start goes on from metadata.

use std::collections::HashMap;

use gateway_layout::Cluster;
use gateway_object::ObjectService;
use node_mesh::{CallError, Mesh};
use node_proto::{DeviceHealth, Epoch, Layout, PeerKey, SignedLayout};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{Devices, FOLLOW_INTERVAL, OBSERVE_INTERVAL, PUSH_TIMEOUT, PUSHES_MAX};

/// Puts every layout in place: the mesh lets its members in, the object service uses its devices.
pub(super) async fn layouts(cluster: &Cluster, devices: &Devices, objects: &ObjectService) {
    let mut layouts = cluster.watch();
    let (mut told, mut applied) = (None, None);
    loop {
        let layout = layouts.borrow_and_update().clone();
        let addresses = cluster.addresses();
        if let Some(mesh) = &devices.mesh {
            let news = (layout.epoch, addresses);
            if told.as_ref() != Some(&news) {
                mesh.set_layout(&layout, &news.1);
                told = Some(news);
            }
        }
        if applied != Some(layout.epoch) {
            match objects.apply_layout((*layout).clone(), devices.of(&layout)).await {
                Ok(()) => {
                    tracing::info!(epoch = layout.epoch.0, "the layout is in place");
                    applied = Some(layout.epoch);
                }
                // Tried again below.
                Err(fault) => {
                    tracing::error!(epoch = layout.epoch.0, %fault, "the layout is not in place");
                }
            }
        }
        wait(&mut layouts).await;
    }
}

/// Until the layout changes, or for a while.
async fn wait<T>(changes: &mut watch::Receiver<T>) {
    match timeout(FOLLOW_INTERVAL, changes.changed()).await {
        Ok(Ok(())) | Err(_) => {}
        // Nobody tells any more: the process stops.
        Ok(Err(_)) => tokio::time::sleep(FOLLOW_INTERVAL).await,
    }
}

/// Sends every node the layout until it has acknowledged it.
pub(super) async fn push(cluster: &Cluster, mesh: &Mesh) {
    let mut layouts = cluster.watch();
    let mut connections = mesh.connected();
    let mut acknowledged = HashMap::<PeerKey, Epoch>::new();
    // Whom not to ask: because a push is under way, or until a pause is over.
    let mut pauses = HashMap::<PeerKey, Option<Instant>>::new();
    let mut pushes = JoinSet::new();
    loop {
        let layout = layouts.borrow_and_update().clone();
        let now = Instant::now();
        pauses.retain(|_, until| until.is_none_or(|until| until > now));
        for peer in waiting(&layout, &acknowledged) {
            if pushes.len() < PUSHES_MAX && !pauses.contains_key(&peer) {
                pauses.insert(peer, None);
                pushes.spawn(push_once(mesh.clone(), peer, cluster.signed()));
            }
        }
        tokio::select! {
            Some(pushed) = pushes.join_next() => match pushed {
                Ok((peer, Ok(epoch))) => {
                    pauses.remove(&peer);
                    acknowledged.insert(peer, epoch);
                    cluster.acknowledged(peer, epoch);
                }
                Ok((peer, Err(error))) => {
                    tracing::debug!(%peer, %error, "the layout was not pushed");
                    pauses.insert(peer, Some(Instant::now() + FOLLOW_INTERVAL));
                }
                Err(_) => tracing::error!("pushing a layout panicked"),
            },
            // Somebody came back, perhaps one of those.
            Ok(()) = connections.changed() => pauses.retain(|_, until| until.is_none()),
            () = wait(&mut layouts) => {}
        }
        if pushes.is_empty() {
            // A push that panicked did not tell whose it was.
            pauses.retain(|_, until| until.is_some());
        }
    }
}

async fn push_once(
    mesh: Mesh,
    peer: PeerKey,
    layout: SignedLayout,
) -> (PeerKey, Result<Epoch, CallError>) {
    let pushed = timeout(PUSH_TIMEOUT, mesh.push_layout(peer, &layout)).await;
    (peer, pushed.unwrap_or(Err(CallError::TimedOut { peer })))
}

/// The peers of a layout that have not acknowledged it.
fn waiting(layout: &Layout, acknowledged: &HashMap<PeerKey, Epoch>) -> Vec<PeerKey> {
    let is_behind =
        |peer: &PeerKey| acknowledged.get(peer).is_none_or(|epoch| *epoch < layout.epoch);
    layout.nodes.iter().filter_map(|node| node.peer).filter(is_behind).collect()
}

/// Notes every few seconds which devices can serve.
pub(super) async fn observe(cluster: &Cluster, objects: &ObjectService) {
    let mut ticks = tokio::time::interval(OBSERVE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let devices = objects.devices().into_iter().map(|report| report.status);
        let seen: Vec<_> =
            devices.map(|status| (status.device, status.health != DeviceHealth::Offline)).collect();
        if let Err(error) = cluster.observe(&seen).await {
            tracing::warn!(%error, "the availability of devices was not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{ClusterId, LayoutNode, NodeId, NodeState};

    use super::*;

    #[test]
    fn nodes_behind_the_layout_are_sent_it() {
        let node = |id: u32, peer: Option<u8>| LayoutNode {
            id: NodeId(id),
            name: id.to_string(),
            peer: peer.map(|byte| PeerKey([byte; 32])),
            zone: String::new(),
            state: NodeState::Active,
        };
        let layout = Layout {
            epoch: Epoch(3),
            nodes: vec![node(0, None), node(1, Some(1)), node(2, Some(2)), node(3, Some(3))],
            ..Layout::local(ClusterId([0; 16]), Vec::new())
        };
        let acknowledged = [(PeerKey([1; 32]), Epoch(3)), (PeerKey([2; 32]), Epoch(2))].into();
        assert_eq!(waiting(&layout, &acknowledged), [PeerKey([2; 32]), PeerKey([3; 32])]);
    }
}
