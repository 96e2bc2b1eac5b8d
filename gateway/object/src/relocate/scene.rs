//! The devices as moves see them: who fails together, who is to be emptied, who has room.

use std::collections::{BTreeMap, BTreeSet};

use node_proto::{DeviceHealth, DeviceId, NodeId};

use crate::data::devices::View;

/// The devices of one layout at one moment.
pub(super) struct Scene {
    devices: BTreeMap<DeviceId, Seen>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) node: NodeId,
    pub(super) domain: String,
    pub(super) is_draining: bool,
    pub(super) health: DeviceHealth,
    /// New shards may be sent now.
    pub(super) is_writable: bool,
    pub(super) capacity_bytes: u64,
    pub(super) free_bytes: u64,
}

impl Scene {
    pub(super) fn look(view: &View) -> Self {
        let seen = view.slots().iter().map(|slot| {
            let status = slot.service.status();
            let seen = Seen {
                node: slot.layout.node,
                domain: slot.layout.failure_domain.clone(),
                is_draining: slot.draining,
                health: status.health,
                is_writable: slot.is_writable(),
                capacity_bytes: status.capacity_bytes,
                free_bytes: status.free_bytes,
            };
            (slot.id(), seen)
        });
        Self { devices: seen.collect() }
    }

    #[cfg(test)]
    pub(super) fn of(devices: impl IntoIterator<Item = (DeviceId, Seen)>) -> Self {
        Self { devices: devices.into_iter().collect() }
    }

    pub(super) fn get(&self, device: DeviceId) -> Option<&Seen> {
        self.devices.get(&device)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (DeviceId, &Seen)> {
        self.devices.iter().map(|(id, seen)| (*id, seen))
    }

    pub(super) fn domain(&self, device: DeviceId) -> Option<&str> {
        self.get(device).map(|seen| seen.domain.as_str())
    }

    /// Failure domains that are meant to hold shards, whether or not they can take one now.
    pub(super) fn domains_meant(&self) -> usize {
        let staying = self.devices.values().filter(|seen| !seen.is_draining);
        staying.map(|seen| seen.domain.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The writable device with the most room for its size, in none of `taken` domains.
    pub(super) fn roomiest(&self, taken: &BTreeSet<&str>) -> Option<DeviceId> {
        let room = |seen: &Seen| seen.free_bytes as f64 / seen.capacity_bytes.max(1) as f64;
        let suits = |(_, seen): &(DeviceId, &Seen)| {
            seen.is_writable && !taken.contains(seen.domain.as_str())
        };
        let found = self
            .iter()
            .filter(suits)
            .max_by(|(_, one), (_, other)| room(one).total_cmp(&room(other)));
        found.map(|(id, _)| id)
    }

    /// Why no device outside of the `taken` domains takes a shard.
    pub(super) fn why_no_room(&self, taken: &BTreeSet<&str>) -> String {
        let free = || {
            let staying = self.devices.values().filter(|seen| !seen.is_draining);
            staying.filter(|seen| !taken.contains(seen.domain.as_str()))
        };
        if free().any(|seen| seen.health == DeviceHealth::Full) {
            return "no failure domain has room: devices are full".to_owned();
        }
        let domains: BTreeSet<&str> = free().map(|seen| seen.domain.as_str()).collect();
        let names = domains.into_iter().collect::<Vec<_>>().join(", ");
        format!("waiting for devices that take shards in: {names}")
    }
}
