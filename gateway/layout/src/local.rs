//! The gateway's own drives in the layout.

use std::{collections::BTreeMap, sync::Arc};

use node_proto::{DeviceId, Layout, LayoutDevice, NodeId};

use crate::{
    cluster::{Cluster, NextLayout},
    error::SetLocalDevicesError,
};

/// What operators call the gateway's own drives as a node, until they call them something else.
pub(crate) const LOCAL_NAME: &str = "gateway";

/// The failure domain of one of the gateway's own drives.
pub(crate) fn local_domain(layout: &Layout, device: DeviceId) -> String {
    match layout.node(NodeId::LOCAL) {
        Some(node) if !node.zone.is_empty() => node.zone.clone(),
        _ => LayoutDevice::local(device, String::new()).failure_domain,
    }
}

impl Cluster {
    /// Takes over what was found out about the gateway's own drives at start: addresses, mount
    /// points and capacities of known ones, and new ones, whose ids come from
    /// [`Self::next_device_id`]. Own drives that are not named stay as they are, and devices of
    /// other nodes are never touched. Failure domains are decided here. Commits nothing when
    /// nothing changed.
    ///
    /// # Errors
    /// [`SetLocalDevicesError`]; nothing was changed then, unless the store does not know.
    pub async fn set_local_devices(
        &self,
        devices: Vec<LayoutDevice>,
    ) -> Result<Arc<Layout>, SetLocalDevicesError> {
        let _exclusive = self.exclusive().await;
        let before = self.refresh()?;
        let next = DeviceId(self.unused_ids(&before.layout)?.0.next_device);
        let mut all: BTreeMap<DeviceId, LayoutDevice> =
            before.layout.devices.iter().map(|device| (device.id, device.clone())).collect();
        let mut added = 0;
        for device in devices {
            let id = device.id;
            let known = all.get(&id);
            if device.node != NodeId::LOCAL || known.is_some_and(|k| k.node != NodeId::LOCAL) {
                return Err(SetLocalDevicesError::NotLocal { device: id });
            }
            if known.is_none() && id < next {
                return Err(SetLocalDevicesError::IdUsed { device: id, next });
            }
            let failure_domain = match known {
                Some(known) => known.failure_domain.clone(),
                None => local_domain(&before.layout, id),
            };
            added += usize::from(known.is_none());
            all.insert(id, LayoutDevice { failure_domain, ..device });
        }
        let devices: Vec<LayoutDevice> = all.into_values().collect();
        if before.row.is_some() && devices == before.layout.devices {
            return Ok(before.layout);
        }
        let what = match added {
            0 => "the gateway's own drives moved".to_owned(),
            added => format!("{added} of the gateway's own drives were added"),
        };
        let layout = Layout { devices, ..(*before.layout).clone() };
        let next = NextLayout { layout, what, guards: Vec::new(), ops: Vec::new() };
        Ok(self.commit_layout(&before, next).await?)
    }
}
