//! What a node is to its peers: the devices of the layout that it serves, and the layout itself.
//!
//! *Consistency:* layouts are taken one at a time. A layout is in force once it is durable; only
//! then are its drives opened and those it left out closed.
//! *Cancellation:* taking a layout may be dropped at any point; the next one, or a probe, finishes
//! the opening of drives.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use node_mesh::{Host, LayoutRefused};
use node_proto::{
    Clock, ClusterId, ClusterPublicKey, CopyOrder, DeviceId, Epoch, JoinAnswer, JoinRequest,
    Layout, LayoutDevice, PeerKey, ShardService, SignedCopyOrder, SignedLayout, join::OfferedDrive,
};
use node_store::Drive;
use parking_lot::RwLock;
use tokio::sync::{Mutex, watch};

use crate::{
    config::DriveSpec,
    directory::{NodeDirectory, OpenDirectoryError},
    drives::{self, FoundDrive, Known, Opener, UnusableDrive},
    membership::Membership,
};

/// The node's state, shared by the mesh, the announcements and the probes.
pub(crate) struct NodeHost {
    peer: PeerKey,
    directory: Arc<NodeDirectory>,
    specs: Vec<DriveSpec>,
    opener: Opener,
    clock: Arc<dyn Clock>,
    membership: RwLock<Option<Membership>>,
    layout: watch::Sender<Option<Arc<Layout>>>,
    drives: RwLock<BTreeMap<DeviceId, Arc<Drive>>>,
    /// Why configured drives were not usable at the last look, so that it is logged once.
    unusable: RwLock<Vec<String>>,
    /// One change of layout or drives at a time.
    changing: Mutex<()>,
}

/// The cluster's gateway admitted this node with something that it must not follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    #[error("the layout is refused: {0}")]
    Layout(#[from] LayoutRefused),
    #[error("the membership was not stored: {0}")]
    Storage(String),
}

impl NodeHost {
    /// The node as its data directory left it. Blocks for I/O.
    pub(crate) fn open(
        peer: PeerKey,
        directory: NodeDirectory,
        specs: Vec<DriveSpec>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenDirectoryError> {
        let membership = directory.membership()?;
        let layout = match &membership {
            Some(membership) => stored_layout(&directory, membership)?,
            None => None,
        };
        metrics::gauge!("datamesh_node_layout_epoch")
            .set(layout.as_ref().map_or(0.0, |layout| epoch_value(layout.epoch)));
        Ok(Self {
            peer,
            directory: Arc::new(directory),
            specs,
            opener: Opener::new(Arc::clone(&clock)),
            clock,
            membership: RwLock::new(membership),
            layout: watch::Sender::new(layout.map(Arc::new)),
            drives: RwLock::new(BTreeMap::new()),
            unusable: RwLock::new(Vec::new()),
            changing: Mutex::new(()),
        })
    }

    pub(crate) fn peer(&self) -> PeerKey {
        self.peer
    }

    /// The cluster it belongs to, if any.
    pub(crate) fn membership(&self) -> Option<Membership> {
        self.membership.read().clone()
    }

    /// The layout in force and every later one.
    pub(crate) fn layouts(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.layout.subscribe()
    }

    /// Every drive that is open as a device.
    pub(crate) fn drives(&self) -> Vec<Arc<Drive>> {
        self.drives.read().values().cloned().collect()
    }

    /// Becomes a member: verifies the layout that a gateway answered with, remembers it and the
    /// cluster, opens the drives.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        membership: Membership,
        layout: SignedLayout,
    ) -> Result<(), AdmitError> {
        let changing = self.changing.lock().await;
        self.take_layout(&membership, layout).await?;
        let membership = match self.layout.borrow().as_ref() {
            Some(layout) => membership.with_gateways(&layout.gateways),
            None => membership,
        };
        self.remember(membership).await.map_err(AdmitError::Storage)?;
        self.open_drives().await;
        drop(changing);
        Ok(())
    }

    /// Notes where a gateway was seen.
    pub(crate) async fn note_gateway(self: &Arc<Self>, peer: PeerKey, addresses: &[String]) {
        let changed = self.membership().and_then(|known| known.with_addresses(peer, addresses));
        if let Some(changed) = changed
            && let Err(error) = self.remember(changed).await
        {
            tracing::warn!(error, "the gateway's addresses were not stored");
        }
    }

    /// Opens what the layout gives this node and is not open, closes what it does not give it any
    /// more.
    pub(crate) async fn follow_drives(self: &Arc<Self>) {
        let _changing = self.changing.lock().await;
        self.open_drives().await;
    }

    /// Whether a device of this node is not open although its drive is configured.
    pub(crate) fn lacks_drives(&self) -> bool {
        let layout = self.layout.borrow().clone();
        let drives = self.drives.read();
        layout.is_some_and(|layout| {
            self.devices_of(&layout).iter().any(|device| !drives.contains_key(&device.id))
        })
    }

    /// What the node offers now. Drives that cannot be used are logged.
    pub(crate) async fn offer(self: &Arc<Self>, cluster: ClusterId) -> Vec<OfferedDrive> {
        let devices = self.layout.borrow().as_ref().map(|layout| self.devices_of(layout));
        let specs = self.specs.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let devices = devices.unwrap_or_default();
            let known = Known { cluster: Some(cluster), devices: &devices };
            let (found, unusable) = drives::survey(&specs, &known);
            (found.iter().map(drives::offer).collect(), unusable)
        });
        let Ok((offered, unusable)) = looked.await else {
            tracing::error!("looking at the drives panicked");
            return Vec::new();
        };
        self.tell_unusable(&unusable);
        offered
    }

    /// Closes every drive.
    pub(crate) async fn close(&self) {
        let _changing = self.changing.lock().await;
        let drives = std::mem::take(&mut *self.drives.write());
        for drive in drives.into_values() {
            drive.close().await;
        }
    }

    fn devices_of(&self, layout: &Layout) -> Vec<LayoutDevice> {
        let Some(node) = layout.node_of_peer(self.peer) else { return Vec::new() };
        layout.devices.iter().filter(|device| device.node == node.id).cloned().collect()
    }

    /// Verifies and keeps a layout. The caller holds `changing`.
    async fn take_layout(
        &self,
        membership: &Membership,
        signed: SignedLayout,
    ) -> Result<Epoch, LayoutRefused> {
        let invalid = |reason: String| LayoutRefused::Invalid { reason };
        let layout = signed.verify(&membership.cluster_key).map_err(|e| invalid(e.to_string()))?;
        if layout.cluster != membership.cluster {
            return Err(invalid(format!("it is of cluster {}", layout.cluster)));
        }
        layout.check().map_err(|error| invalid(error.to_string()))?;
        let current = self.layout.borrow().clone();
        if let Some(current) = current {
            if layout.epoch < current.epoch {
                return Err(LayoutRefused::Stale { epoch: current.epoch });
            }
            if layout.epoch == current.epoch {
                return match layout == *current {
                    true => Ok(current.epoch),
                    false => Err(invalid("the epoch has another layout already".to_owned())),
                };
            }
        }
        let (directory, epoch) = (Arc::clone(&self.directory), layout.epoch);
        tokio::task::spawn_blocking(move || directory.store_layout(&signed))
            .await
            .map_err(|_| LayoutRefused::Storage { reason: "writing it panicked".to_owned() })?
            .map_err(|error| LayoutRefused::Storage { reason: error.to_string() })?;
        self.layout.send_replace(Some(Arc::new(layout)));
        metrics::gauge!("datamesh_node_layout_epoch").set(epoch_value(epoch));
        tracing::info!(epoch = epoch.0, "follows a layout");
        Ok(epoch)
    }

    async fn remember(&self, membership: Membership) -> Result<(), String> {
        if self.membership.read().as_ref() == Some(&membership) {
            return Ok(());
        }
        let (directory, stored) = (Arc::clone(&self.directory), membership.clone());
        tokio::task::spawn_blocking(move || directory.store_membership(&stored))
            .await
            .map_err(|_| "writing it panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        *self.membership.write() = Some(membership);
        Ok(())
    }

    /// Opens and closes drives as the layout says. The caller holds `changing`.
    async fn open_drives(self: &Arc<Self>) {
        let layout = self.layout.borrow().clone();
        let Some(layout) = layout else { return };
        let devices = self.devices_of(&layout);
        let leaving: Vec<Arc<Drive>> = {
            let mut drives = self.drives.write();
            let is_listed = |id: &DeviceId| devices.iter().any(|device| device.id == *id);
            let leaving: Vec<DeviceId> =
                drives.keys().filter(|id| !is_listed(id)).copied().collect();
            leaving.iter().filter_map(|id| drives.remove(id)).collect()
        };
        for drive in leaving {
            tracing::info!(device = drive.status().device.0, "the layout has it no more; closed");
            drive.close().await;
        }
        let is_open = |device: &LayoutDevice| self.drives.read().contains_key(&device.id);
        if devices.iter().all(is_open) {
            return;
        }
        let host = Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || host.open_missing(&layout, &devices));
        if opened.await.is_err() {
            tracing::error!("opening drives panicked");
        }
    }

    /// Opens each configured drive that is a device and not open, all at once. Blocks for I/O.
    fn open_missing(&self, layout: &Layout, devices: &[LayoutDevice]) {
        let known = Known { cluster: Some(layout.cluster), devices };
        let (found, unusable) = drives::survey(&self.specs, &known);
        self.tell_unusable(&unusable);
        let missing: Vec<(&LayoutDevice, FoundDrive)> = found
            .into_iter()
            .filter_map(|drive| {
                let device = devices.iter().find(|device| Some(device.id) == drive.device)?;
                (!self.drives.read().contains_key(&device.id)).then_some((device, drive))
            })
            .collect();
        std::thread::scope(|scope| {
            for (device, drive) in &missing {
                scope.spawn(|| self.open_drive(layout.cluster, device, drive));
            }
        });
    }

    fn open_drive(&self, cluster: ClusterId, device: &LayoutDevice, found: &FoundDrive) {
        match self.opener.open(cluster, device, found) {
            Ok(drive) => {
                let status = drive.status();
                let directory = found.directory.display();
                tracing::info!(device = device.id.0, %directory, ?status.health, "drive opened");
                self.drives.write().insert(device.id, Arc::new(drive));
            }
            Err(error) => tracing::error!(device = device.id.0, %error, "drive is unusable"),
        }
    }

    /// Logs what is newly wrong.
    fn tell_unusable(&self, unusable: &[UnusableDrive]) {
        let reasons: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        let mut before = self.unusable.write();
        for reason in reasons.iter().filter(|reason| !before.contains(*reason)) {
            tracing::error!(reason, "drive is not used");
        }
        *before = reasons;
    }
}

/// The last layout, if it can still be trusted. A damaged one is fetched again from a gateway.
fn stored_layout(
    directory: &NodeDirectory,
    membership: &Membership,
) -> Result<Option<Layout>, OpenDirectoryError> {
    let Some(signed) = directory.layout()? else { return Ok(None) };
    match signed.verify(&membership.cluster_key) {
        Ok(layout) if layout.cluster == membership.cluster => Ok(Some(layout)),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::error!(%error, "the stored layout is damaged; a gateway will send it again");
            Ok(None)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric; epochs stay far below 2^53")]
fn epoch_value(epoch: Epoch) -> f64 {
    epoch.0 as f64
}

/// The host as the mesh sees it.
pub(crate) struct Served(pub(crate) Arc<NodeHost>);

#[async_trait]
impl Host for Served {
    fn device(&self, id: DeviceId) -> Option<Arc<dyn ShardService>> {
        let drive = self.0.drives.read().get(&id).cloned();
        drive.map(|drive| drive as Arc<dyn ShardService>)
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.drives.read().keys().copied().collect()
    }

    fn cluster(&self) -> Option<(ClusterId, ClusterPublicKey)> {
        let membership = self.0.membership.read();
        membership.as_ref().map(|membership| (membership.cluster, membership.cluster_key))
    }

    fn epoch(&self) -> Epoch {
        self.0.layout.borrow().as_ref().map_or(Epoch(0), |layout| layout.epoch)
    }

    fn now(&self) -> node_proto::UnixMillis {
        self.0.clock.now()
    }

    async fn accept_layout(&self, layout: SignedLayout) -> Result<Epoch, LayoutRefused> {
        let host = &self.0;
        let _changing = host.changing.lock().await;
        let Some(membership) = host.membership() else {
            return Err(LayoutRefused::Invalid { reason: "this node is in no cluster".to_owned() });
        };
        let epoch = host.take_layout(&membership, layout).await?;
        let gateways = host.layout.borrow().as_ref().map(|layout| layout.gateways.clone());
        let followed = membership.with_gateways(&gateways.unwrap_or_default());
        host.remember(followed).await.map_err(|reason| LayoutRefused::Storage { reason })?;
        host.open_drives().await;
        Ok(epoch)
    }

    async fn join(&self, _peer: PeerKey, _request: JoinRequest) -> JoinAnswer {
        JoinAnswer::Refused { reason: "this is a storage node; ask a gateway".to_owned() }
    }

    fn sign_copy(&self, _order: &CopyOrder) -> Option<SignedCopyOrder> {
        None
    }
}

#[cfg(test)]
mod tests;
