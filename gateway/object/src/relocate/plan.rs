//! What to do with one stripe.
//!
//! Invariants:
//! - a plan leaves the moved shards in failure domains that no other shard of the stripe is in;
//! - shards that a job is not about stay where they are;
//! - fewer data shards are used only where the layout, not the state of devices, has too few
//!   domains: a device that is away comes back.

use std::collections::BTreeSet;

use node_proto::{DeviceId, NodeId};

use super::balance::Budget;
use super::scene::Scene;

/// What shards are moved for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// Away from a node that is being drained.
    Drain(NodeId),
    /// Away from devices that left the layout.
    Departed,
    /// Out of a failure domain that another shard of the stripe is in.
    Respread,
    /// From fuller devices to emptier ones.
    Rebalance(&'a Budget),
}

/// One shard on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) position: usize,
    pub(super) from: DeviceId,
    pub(super) to: DeviceId,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Stay,
    /// Its shards are fine, but its group has members that are not: name a narrower one.
    Trim,
    /// Move these.
    Move(Vec<Step>),
    /// There are too few failure domains for its width: encode it with this many data shards.
    Recode { k: u8 },
    /// Nothing for now.
    Blocked(String),
}

/// The stripe to plan for.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    /// All members of its group.
    pub(super) members: &'a [DeviceId],
    /// How many of them, from the first, hold a shard.
    pub(super) width: usize,
    pub(super) m: u8,
    pub(super) shard_len_bytes: u64,
}

/// Positions of members that `purpose` wants away; none for a rebalance, which looks at amounts.
pub(super) fn unfit(scene: &Scene, purpose: Purpose<'_>, members: &[DeviceId]) -> Vec<usize> {
    let is_unfit = |(position, device): (usize, &DeviceId)| match purpose {
        Purpose::Drain(node) => {
            scene.get(*device).is_some_and(|seen| seen.is_draining && seen.node == node)
        }
        Purpose::Departed => scene.get(*device).is_none(),
        Purpose::Respread => scene.domain(*device).is_some_and(|domain| {
            members[..position].iter().any(|other| scene.domain(*other) == Some(domain))
        }),
        Purpose::Rebalance(_) => false,
    };
    let unfit = members.iter().enumerate().filter(|member| is_unfit(*member));
    unfit.map(|(position, _)| position).collect()
}

/// Whether stripes of a group with these members may have something to move.
pub(super) fn concerns(scene: &Scene, purpose: Purpose<'_>, members: &[DeviceId]) -> bool {
    match purpose {
        Purpose::Rebalance(budget) => members.iter().any(|device| budget.gives(*device)),
        _ => !unfit(scene, purpose, members).is_empty(),
    }
}

/// What to do with a stripe. A rebalance takes what the plan moves from its budget.
pub(super) fn plan(scene: &Scene, purpose: Purpose<'_>, placed: Placed<'_>) -> Plan {
    let Placed { members, width, m, .. } = placed;
    let Some(holders) = members.get(..width) else {
        return Plan::Blocked("a placement group is too narrow for its stripe".to_owned());
    };
    if let Purpose::Rebalance(budget) = purpose {
        let steps = rebalance(scene, budget, holders, placed.shard_len_bytes);
        return if steps.is_empty() { Plan::Stay } else { Plan::Move(steps) };
    }
    let moving = unfit(scene, purpose, holders);
    if moving.is_empty() {
        let is_trimmed = unfit(scene, purpose, members).is_empty();
        return if is_trimmed { Plan::Stay } else { Plan::Trim };
    }
    let mut taken = taken_by_others(scene, holders, &moving);
    let mut steps = Vec::new();
    for position in moving {
        let Some(to) = scene.roomiest(&taken) else {
            return without_room(scene, width, m, &taken);
        };
        taken.extend(scene.domain(to));
        steps.push(Step { position, from: holders[position], to });
    }
    Plan::Move(steps)
}

/// The domains of the holders that stay.
fn taken_by_others<'a>(
    scene: &'a Scene,
    holders: &[DeviceId],
    moving: &[usize],
) -> BTreeSet<&'a str> {
    let staying = holders.iter().enumerate().filter(|(position, _)| !moving.contains(position));
    staying.filter_map(|(_, device)| scene.domain(*device)).collect()
}

fn without_room(scene: &Scene, width: usize, m: u8, taken: &BTreeSet<&str>) -> Plan {
    let domains = scene.domains_meant();
    if domains >= width {
        return Plan::Blocked(scene.why_no_room(taken));
    }
    match domains.checked_sub(usize::from(m)).and_then(|k| u8::try_from(k).ok()) {
        Some(k) if k > 0 => Plan::Recode { k },
        _ => Plan::Blocked(format!(
            "{domains} failure domains are left, and {} are needed",
            usize::from(m) + 1
        )),
    }
}

fn rebalance(scene: &Scene, budget: &Budget, holders: &[DeviceId], len: u64) -> Vec<Step> {
    let mut holders = holders.to_vec();
    let mut steps: Vec<Step> = Vec::new();
    for position in 0..holders.len() {
        let from = holders[position];
        let taken = taken_by_others(scene, &holders, &[position]);
        let suits = |to: DeviceId| {
            scene
                .get(to)
                .is_some_and(|seen| seen.is_writable && !taken.contains(seen.domain.as_str()))
        };
        if let Some(to) = budget.take(from, len, suits) {
            holders[position] = to;
            steps.push(Step { position, from, to });
        }
    }
    steps
}

#[cfg(test)]
mod tests;
