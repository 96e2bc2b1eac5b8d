//! Which devices a new stripe goes to.
//!
//! Invariants:
//! - a placement group is persisted before a stripe names it, and never changes;
//! - the members of a group are in distinct failure domains, so any prefix of one is a group for a
//!   narrower stripe;
//! - only devices that can take a shard now are chosen; parity is never given up for it.
//!
//! Groups for new stripes are rotations of the usable failure domains: few, so that the index from
//! groups to manifests stays short, and even, so that every device gets data and parity alike. A
//! group is made when fewer suit than there are usable devices. Other groups, made for another
//! layout, for moved shards or for a spare device, are kept for the stripes that name them.
//!
//! *Crash consistency:* a group that was made and not used is harmless.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_meta::{KeyRange, Table, key, record::PlacementGroupRecord};
use node_proto::{DeviceHealth, DeviceId, PlacementGroupId};
use parking_lot::RwLock;

use super::config::{DataConfig, Random};
use super::devices::{Devices, Slot, View};
use super::rows::{Rows, corrupt, decode, put, unchanged};
use crate::Fault;

/// Groups read at once. Placement groups number at most some thousands.
const GROUPS_READ_MAX: usize = 1 << 20;

/// Attempts to number a new group. Only another gateway can win against us.
const CREATE_ATTEMPTS_MAX: u32 = 16;

/// Groups of devices of the layout, per device and besides, beyond which none is made for a spare
/// device. Chosen: some times the rotations, so that the index from groups to manifests stays short.
const GROUPS_PER_DEVICE_MAX: usize = 16;
const GROUPS_BESIDES_MAX: usize = 64;

/// Room counts as equal when it differs by less than this part of it. Chosen: far less than what
/// one writer uses up meanwhile, far more than what decides when a device is full.
const EQUAL_ROOM_PART: u64 = 16;

/// A group as stripes use it.
pub(crate) struct Group {
    pub(crate) id: PlacementGroupId,
    pub(crate) devices: Vec<DeviceId>,
}

/// The groups and how to choose among them.
pub(crate) struct Placement {
    rows: Rows,
    devices: Arc<Devices>,
    /// Fewest domains that any stripe needs.
    domains_min: usize,
    /// Domains that the widest stripe needs.
    domains_full: usize,
    random: Random,
    groups: RwLock<BTreeMap<PlacementGroupId, Arc<Group>>>,
    creating: tokio::sync::Mutex<()>,
}

/// A writable device and the room it has.
struct Candidate {
    device: DeviceId,
    free_bytes: u64,
}

impl Placement {
    /// Reads all groups.
    pub(crate) async fn open(
        rows: Rows,
        devices: Arc<Devices>,
        config: &DataConfig,
    ) -> Result<Self, Fault> {
        let placement = Self {
            rows,
            devices,
            domains_min: usize::from(config.profile.m) + 1,
            domains_full: usize::from(config.profile.k) + usize::from(config.profile.m),
            random: config.random.clone(),
            groups: RwLock::default(),
            creating: tokio::sync::Mutex::new(()),
        };
        placement.reload().await?;
        Ok(placement)
    }

    async fn reload(&self) -> Result<(), Fault> {
        let prefix = key::ctl::placement_group_prefix();
        let rows = self.rows.scan(Table::Ctl, KeyRange::prefix(&prefix), GROUPS_READ_MAX).await?;
        let mut groups = BTreeMap::new();
        for (row_key, value) in rows {
            let id = row_key[prefix.len()..]
                .try_into()
                .map(|id| PlacementGroupId(u32::from_be_bytes(id)))
                .map_err(|_| corrupt("a placement group row has a damaged key"))?;
            let record: PlacementGroupRecord = decode(&value)?;
            groups.insert(id, Arc::new(Group { id, devices: record.devices }));
        }
        *self.groups.write() = groups;
        Ok(())
    }

    /// A group by its id. One that another gateway made is read when it is first met.
    pub(crate) fn group(&self, id: PlacementGroupId) -> Result<Arc<Group>, Fault> {
        if let Some(group) = self.groups.read().get(&id) {
            return Ok(Arc::clone(group));
        }
        let record: PlacementGroupRecord = self
            .rows
            .record(Table::Ctl, &key::ctl::placement_group(id))?
            .ok_or_else(|| corrupt(format!("{id:?} does not exist")))?;
        let group = Arc::new(Group { id, devices: record.devices });
        self.groups.write().insert(id, Arc::clone(&group));
        Ok(group)
    }

    /// The groups with `device` among their members, and its position in each.
    pub(crate) fn groups_with(&self, device: DeviceId) -> Vec<(PlacementGroupId, u8)> {
        let position = |group: &Arc<Group>| {
            let position = group.devices.iter().position(|member| *member == device)?;
            Some((group.id, u8::try_from(position).ok()?))
        };
        self.groups.read().values().filter_map(position).collect()
    }

    /// Failure domains that could take a shard now.
    pub(crate) fn domains_up(&self) -> usize {
        self.usable(&self.devices.view()).len()
    }

    /// Why no stripe with `needed` shards can be placed: devices are full, or devices are down.
    pub(crate) fn shortage(&self, needed: usize) -> Fault {
        let view = self.devices.view();
        let domains = |accepts: fn(DeviceHealth) -> bool| {
            let accepted =
                |slot: &&Arc<Slot>| !slot.draining && accepts(slot.service.status().health);
            let slots = view.slots().iter().filter(accepted);
            slots.map(|slot| slot.layout.failure_domain.as_str()).collect::<BTreeSet<_>>().len()
        };
        if domains(|health| health == DeviceHealth::Online) < needed
            && domains(|health| health != DeviceHealth::Offline) >= needed
        {
            return Fault::StorageFull;
        }
        Fault::TooFewDevices { up: self.domains_up(), needed }
    }

    /// Writable devices by failure domain. Where breakers leave too few, those that failed lately
    /// are better than a refusal.
    fn usable<'a>(&self, view: &'a View) -> BTreeMap<&'a str, Vec<Candidate>> {
        let steady = domains_of(view, Slot::is_writable);
        if steady.len() >= self.domains_full {
            return steady;
        }
        // A device that is merely slow holds up some writes; stripes narrowed because of it would
        // take more space for ever.
        let slowly = domains_of(view, Slot::is_writable_if_slowly);
        if slowly.len() >= self.domains_min {
            return slowly;
        }
        domains_of(view, Slot::takes_shards)
    }

    /// A group whose first `shard_count` members can take a shard each; `width` is what a new one
    /// should have if there is room.
    ///
    /// # Errors
    /// [`Fault::TooFewDevices`] or [`Fault::StorageFull`] when there is none.
    pub(crate) async fn choose(&self, shard_count: u8, width: u8) -> Result<Arc<Group>, Fault> {
        let needed = usize::from(shard_count);
        let view = self.devices.view();
        let usable = self.usable(&view);
        let free: BTreeMap<DeviceId, u64> = usable
            .values()
            .flatten()
            .map(|candidate| (candidate.device, candidate.free_bytes))
            .collect();
        let order: BTreeMap<&str, usize> = usable.keys().copied().zip(0..).collect();
        let suitable = self.suitable(&view, needed, &order, &free);
        if suitable.len() < free.len()
            && let Some(devices) = self.new_rotation(&view, needed, usize::from(width))
        {
            return self.group_of(devices).await;
        }
        if suitable.is_empty() {
            return Err(self.shortage(needed));
        }
        // Two random choices: nearly as even as looking at all, without every writer choosing the
        // emptiest device at once.
        let pick = || &suitable[self.random.below(suitable.len())];
        let (first, second) = (pick(), pick());
        let room = |group: &Group| group.devices[..needed].iter().map(|d| free[d]).min();
        let (roomy, other) = (room(first).unwrap_or(0), room(second).unwrap_or(0));
        let rank = |group: &Group| {
            let members = group.devices[..needed].iter().filter_map(|device| view.member(*device));
            members.map(|slot| self.devices.rank(slot)).max()
        };
        let is_equal = roomy.abs_diff(other) <= roomy.max(other) / EQUAL_ROOM_PART;
        let by_rank = if is_equal { rank(first).cmp(&rank(second)) } else { Ordering::Equal };
        let takes_first = by_rank.then(other.cmp(&roomy)).is_le();
        Ok(Arc::clone(if takes_first { first } else { second }))
    }

    fn suitable(
        &self,
        view: &View,
        needed: usize,
        order: &BTreeMap<&str, usize>,
        free: &BTreeMap<DeviceId, u64>,
    ) -> Vec<Arc<Group>> {
        let suits = |group: &&Arc<Group>| {
            let Some(members) = group.devices.get(..needed) else { return false };
            members.iter().all(|device| free.contains_key(device))
                && is_rotation(view, members, order)
        };
        self.groups.read().values().filter(suits).cloned().collect()
    }

    /// A rotation of the usable domains that is no group yet; `None` when all of them are, or when
    /// there are too few domains.
    fn new_rotation(&self, view: &View, needed: usize, width: usize) -> Option<Vec<DeviceId>> {
        let domains: Vec<Vec<Candidate>> = self.usable(view).into_values().collect();
        if domains.len() < needed || domains.is_empty() {
            return None;
        }
        let width = width.max(needed).min(domains.len());
        let start = self.random.below(domains.len());
        let groups = self.groups.read();
        let is_new =
            |devices: &Vec<DeviceId>| !groups.values().any(|group| group.devices == *devices);
        (0..domains.len())
            .map(|offset| {
                let domain = |i| &domains[(start + offset + i) % domains.len()];
                (0..width).map(|i| self.roomier(domain(i))).collect::<Vec<_>>()
            })
            .find(is_new)
    }

    /// Of two random devices of a domain, the one with more room.
    fn roomier(&self, domain: &[Candidate]) -> DeviceId {
        let pick = || &domain[self.random.below(domain.len())];
        let (first, second) = (pick(), pick());
        if first.free_bytes >= second.free_bytes { first.device } else { second.device }
    }

    /// All groups.
    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.read().values().cloned().collect()
    }

    /// A device that may take a shard in place of a late one: in none of the domains of `members`
    /// or of `others`, well, and with a group that has it in the place of `members[position]` if
    /// there is one.
    pub(crate) fn spare(
        &self,
        members: &[DeviceId],
        position: usize,
        others: &[DeviceId],
    ) -> Option<Arc<Slot>> {
        let view = self.devices.view();
        let domain =
            |device: &DeviceId| view.slot(*device).map(|slot| slot.layout.failure_domain.as_str());
        let taken: BTreeSet<&str> = members.iter().chain(others).filter_map(domain).collect();
        let is_free = |slot: &&Arc<Slot>| {
            !taken.contains(slot.layout.failure_domain.as_str())
                && !slot.is_avoided()
                && slot.is_writable()
        };
        let substituted = |slot: &Slot| {
            let mut devices = members.to_vec();
            devices[position] = slot.id();
            devices
        };
        let is_new = |slot: &Slot| self.existing(&substituted(slot)).is_none();
        let mut spares: Vec<&Arc<Slot>> = view.slots().iter().filter(is_free).collect();
        let turn = self.devices.turn(spares.len());
        spares.rotate_left(turn);
        let chosen =
            spares.into_iter().min_by_key(|slot| (is_new(slot), self.devices.rank(slot)))?;
        let may_make = || {
            let is_current = |group: &&Arc<Group>| {
                group.devices.iter().all(|device| view.member(*device).is_some())
            };
            let count = self.groups.read().values().filter(is_current).count();
            count < view.slots().len() * GROUPS_PER_DEVICE_MAX + GROUPS_BESIDES_MAX
        };
        (!is_new(chosen) || may_make()).then(|| Arc::clone(chosen))
    }

    /// A group that begins with `devices`, and has nobody besides who is in one domain with another
    /// member, or who is to be emptied: its stripes would have to leave it again.
    fn existing(&self, devices: &[DeviceId]) -> Option<Arc<Group>> {
        let view = self.devices.view();
        let domain = |device: &DeviceId| {
            let member = view.member(*device).filter(|slot| !slot.draining);
            member.map(|slot| slot.layout.failure_domain.as_str())
        };
        let is_fit = |index: usize, members: &[DeviceId]| {
            let own = domain(&members[index]);
            own.is_some() && members[..index].iter().all(|other| domain(other) != own)
        };
        let begins = |group: &&Arc<Group>| {
            let members = &group.devices;
            members.starts_with(devices)
                && (devices.len()..members.len()).all(|index| is_fit(index, members))
        };
        self.groups.read().values().find(begins).cloned()
    }

    /// The group of exactly these devices, or one that begins with them; made if there is none. The
    /// caller sees to it that they are in distinct domains.
    ///
    /// # Errors
    /// [`Fault`] when a new group cannot be recorded.
    pub(crate) async fn group_of(&self, devices: Vec<DeviceId>) -> Result<Arc<Group>, Fault> {
        let epoch = self.devices.view().epoch();
        let _creating = self.creating.lock().await;
        for _ in 0..CREATE_ATTEMPTS_MAX {
            if let Some(group) = self.existing(&devices) {
                return Ok(group);
            }
            let last = self.groups.read().keys().next_back().map_or(0, |id| id.0);
            let id = PlacementGroupId(
                last.checked_add(1).ok_or_else(|| corrupt("placement group ids are used up"))?,
            );
            let record = PlacementGroupRecord { epoch, devices: devices.clone() };
            let row_key = key::ctl::placement_group(id);
            let guards = vec![unchanged(Table::Ctl, row_key.clone(), None)];
            let ops = vec![put(Table::Ctl, row_key, &record)];
            if self.rows.commit(guards, ops).await?.is_none() {
                tracing::info!(group = id.0, devices = ?devices, "made a placement group");
                let group = Arc::new(Group { id, devices });
                self.groups.write().insert(id, Arc::clone(&group));
                return Ok(group);
            }
            self.reload().await?;
        }
        Err(Fault::Busy)
    }
}

fn domains_of(view: &View, accepts: impl Fn(&Slot) -> bool) -> BTreeMap<&str, Vec<Candidate>> {
    let mut domains: BTreeMap<&str, Vec<Candidate>> = BTreeMap::new();
    for slot in view.slots().iter().filter(|slot| accepts(slot)) {
        let free_bytes = slot.service.status().free_bytes;
        let candidate = Candidate { device: slot.id(), free_bytes };
        domains.entry(slot.layout.failure_domain.as_str()).or_default().push(candidate);
    }
    domains
}

/// Whether devices are in domains of the layout that follow each other in `order`, which goes round:
/// then the domains are distinct.
fn is_rotation(view: &View, members: &[DeviceId], order: &BTreeMap<&str, usize>) -> bool {
    let domain = |device: &DeviceId| {
        let slot = view.member(*device)?;
        order.get(slot.layout.failure_domain.as_str()).copied()
    };
    let Some(first) = members.first().and_then(domain) else { return false };
    let follows = |(offset, device)| domain(device) == Some((first + offset) % order.len());
    members.len() <= order.len() && members.iter().enumerate().all(follows)
}
