//! What a layout change would do: which bytes move, for how long, and how likely an object is to
//! be unreadable.
//!
//! Invariants:
//! - pure: the same layouts, usage and observations make the same forecast;
//! - it says what it assumes.

mod odds;
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use node_proto::{DeviceId, Epoch, Layout, NodeId};

use crate::{availability::PRIOR_AVAILABILITY, cluster::Settings};

pub use odds::{Code, Odds};

/// How full a device is, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceUsage {
    /// The device.
    pub device: DeviceId,
    /// Space it gives to shards in bytes; zero when it cannot be told.
    pub capacity_bytes: u64,
    /// What shards take of it, in bytes.
    pub used_bytes: u64,
    /// Whether it answers now.
    pub is_up: bool,
}

/// What happens to one device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceForecast {
    /// The device.
    pub device: DeviceId,
    /// Its node.
    pub node: NodeId,
    /// What it fails together with, afterwards; before, for one that leaves.
    pub failure_domain: String,
    /// Space it gives to shards in bytes; zero when it was not told.
    pub capacity_bytes: u64,
    /// What it holds now, in bytes.
    pub used_bytes: u64,
    /// What it holds when all has moved, in bytes.
    pub target_bytes: u64,
    /// How likely it is up, from 0 to 1, as far as it was watched.
    pub availability: f64,
    /// Whether it answers now.
    pub is_up: bool,
}

impl DeviceForecast {
    /// Bytes that move to it.
    #[must_use]
    pub fn incoming_bytes(&self) -> u64 {
        self.target_bytes.saturating_sub(self.used_bytes)
    }

    /// Bytes that move away from it.
    #[must_use]
    pub fn outgoing_bytes(&self) -> u64 {
        self.used_bytes.saturating_sub(self.target_bytes)
    }
}

/// Whether a change is allowed without force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What comes out is above the floor.
    AboveFloor,
    /// It is below the floor, and no worse than what is now.
    NoWorseThanNow,
    /// It is below the floor, and worse than what is now.
    BelowFloor,
    /// The remaining devices cannot hold what is stored.
    DoesNotFit,
}

impl Verdict {
    /// Whether force is needed.
    #[must_use]
    pub fn is_refused(self) -> bool {
        match self {
            Self::AboveFloor | Self::NoWorseThanNow => false,
            Self::BelowFloor | Self::DoesNotFit => true,
        }
    }
}

/// What a layout change would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The epoch that was looked at: what applying it must name.
    pub base: Epoch,
    /// The changes in words. Empty when none are staged.
    pub changes: Vec<String>,
    /// The layout that would come out, still with the old epoch.
    pub layout: Layout,
    /// Every device before or after, ascending.
    pub devices: Vec<DeviceForecast>,
    /// Bytes that move between devices.
    pub moved_bytes: u64,
    /// Bytes that any way from the one layout to the other would move, were devices evenly full.
    pub optimum_bytes: u64,
    /// How long the moves take at the configured rate.
    pub duration: Duration,
    /// How likely an object is unreadable now.
    pub now: Odds,
    /// How likely an object is unreadable when all has moved.
    pub after: Odds,
    /// How likely an object must be readable, as the operator chose.
    pub availability_floor: f64,
    /// Whether it is allowed without force.
    pub verdict: Verdict,
    /// What the figures assume, in words.
    pub assumptions: Vec<String>,
    /// What the operator should know, in words.
    pub warnings: Vec<String>,
}

impl Preview {
    /// Why it is refused, in words.
    #[must_use]
    pub fn refusal(&self) -> String {
        let after = 1.0 - self.after.worst;
        match self.verdict {
            Verdict::AboveFloor | Verdict::NoWorseThanNow => "it is not refused".to_owned(),
            Verdict::BelowFloor if self.after.code.is_none() => format!(
                "{} failure domains would be left, too few for any stripe",
                self.after.domains
            ),
            Verdict::BelowFloor => format!(
                "an object would be readable with a probability of {after:.6}, below the floor of \
                 {}",
                self.availability_floor
            ),
            Verdict::DoesNotFit => "the remaining devices cannot hold what is stored".to_owned(),
        }
    }
}

/// What is known of devices.
struct Known<'a> {
    told: BTreeMap<DeviceId, &'a DeviceUsage>,
    unavailability: &'a BTreeMap<DeviceId, f64>,
}

impl Known<'_> {
    fn used_bytes(&self, id: DeviceId) -> u64 {
        self.told.get(&id).map_or(0, |usage| usage.used_bytes)
    }

    /// What the device says now, or what it said when it came into the layout.
    fn capacity_bytes(&self, layout: &Layout, id: DeviceId) -> u64 {
        match self.told.get(&id) {
            Some(usage) if usage.capacity_bytes > 0 => usage.capacity_bytes,
            _ => layout.device(id).map_or(0, |device| device.capacity_bytes),
        }
    }

    fn unavailability(&self, id: DeviceId) -> f64 {
        self.unavailability.get(&id).copied().unwrap_or(1.0 - PRIOR_AVAILABILITY)
    }

    fn device(&self, layout: &Layout, id: DeviceId, then: &Side<'_>, total: u64) -> DeviceForecast {
        let device = layout.device(id).expect("it is in one of the layouts");
        let used_bytes = self.used_bytes(id);
        // Nothing moves where nothing can be placed.
        let target_bytes = match then.odds.code {
            None => used_bytes,
            Some(_) => then.target_bytes(id, total),
        };
        DeviceForecast {
            device: id,
            node: device.node,
            failure_domain: device.failure_domain.clone(),
            capacity_bytes: self.capacity_bytes(layout, id),
            used_bytes,
            target_bytes,
            availability: 1.0 - self.unavailability(id),
            is_up: self.told.get(&id).is_some_and(|usage| usage.is_up),
        }
    }
}

/// What the devices of one layout are like.
struct Side<'a> {
    layout: &'a Layout,
    /// The part of all bytes that each device holds when all is even.
    shares: BTreeMap<DeviceId, f64>,
    odds: Odds,
}

/// Compares `before` with `after`.
pub(crate) fn forecast(
    before: &Layout,
    after: &Layout,
    changes: Vec<String>,
    usage: &[DeviceUsage],
    unavailability: &BTreeMap<DeviceId, f64>,
    settings: &Settings,
) -> Preview {
    let told = usage.iter().map(|usage| (usage.device, usage)).collect();
    let known = Known { told, unavailability };
    let (now, then) = (Side::new(before, &known, settings), Side::new(after, &known, settings));
    let ids: BTreeSet<DeviceId> =
        before.devices.iter().chain(&after.devices).map(|device| device.id).collect();
    let total = ids.iter().map(|id| known.used_bytes(*id)).fold(0, u64::saturating_add);
    let devices: Vec<DeviceForecast> = ids
        .into_iter()
        .map(|id| {
            let layout = if after.device(id).is_some() { after } else { before };
            known.device(layout, id, &then, total)
        })
        .collect();
    let moved_bytes =
        devices.iter().map(DeviceForecast::outgoing_bytes).fold(0, u64::saturating_add);
    let verdict = verdict(&now, &then, total, &known, settings);
    Preview {
        base: before.epoch,
        changes,
        layout: after.clone(),
        warnings: warnings(&devices, &now, &then, after),
        devices,
        moved_bytes,
        optimum_bytes: optimum_bytes(&now, &then, total),
        duration: Duration::from_secs(moved_bytes / settings.move_bytes_per_second.max(1)),
        now: now.odds,
        after: then.odds,
        availability_floor: settings.availability_floor,
        verdict,
        assumptions: assumptions(settings),
    }
}

impl<'a> Side<'a> {
    fn new(layout: &'a Layout, known: &Known<'_>, settings: &Settings) -> Self {
        let mut domains: BTreeMap<&str, Vec<(DeviceId, u64)>> = BTreeMap::new();
        for device in layout.devices.iter().filter(|device| !layout.is_draining(device.id)) {
            let domain = domains.entry(&device.failure_domain).or_default();
            domain.push((device.id, known.capacity_bytes(layout, device.id)));
        }
        let domains: Vec<Vec<(DeviceId, u64)>> = domains.into_values().collect();
        let code = Code::for_domains(domains.len(), settings);
        let shares = code.map(|code| shares::even_shares(&domains, code.width()));
        let shares = shares.unwrap_or_default();
        let odds = Odds::new(&domains, code, &shares, |id| known.unavailability(id));
        Self { layout, shares, odds }
    }

    fn target_bytes(&self, device: DeviceId, total: u64) -> u64 {
        scaled(self.shares.get(&device).copied().unwrap_or(0.0), total)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1, and a forecast need not be right to the byte"
)]
fn scaled(share: f64, total: u64) -> u64 {
    (share * total as f64).round() as u64
}

/// How far the even distributions of both layouts are apart. No way between them moves less.
fn optimum_bytes(now: &Side<'_>, then: &Side<'_>, total: u64) -> u64 {
    if now.shares.is_empty() || then.shares.is_empty() {
        return 0;
    }
    let lost = |(device, share): (&DeviceId, &f64)| {
        (share - then.shares.get(device).copied().unwrap_or(0.0)).max(0.0)
    };
    scaled(now.shares.iter().map(lost).sum(), total)
}

fn verdict(
    now: &Side<'_>,
    then: &Side<'_>,
    total: u64,
    known: &Known<'_>,
    settings: &Settings,
) -> Verdict {
    let fits = |side: &Side<'_>| {
        side.shares.keys().all(|id| {
            let room = known.capacity_bytes(side.layout, *id);
            room == 0 || side.target_bytes(*id, total) <= room
        })
    };
    if fits(now) && !fits(then) {
        return Verdict::DoesNotFit;
    }
    if 1.0 - then.odds.worst >= settings.availability_floor {
        return Verdict::AboveFloor;
    }
    if then.odds.worst <= now.odds.worst { Verdict::NoWorseThanNow } else { Verdict::BelowFloor }
}

fn warnings(
    devices: &[DeviceForecast],
    now: &Side<'_>,
    then: &Side<'_>,
    after: &Layout,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if then.odds.code.is_none() {
        warnings.push(format!(
            "{} failure domains are too few for any stripe: nothing can be written or moved",
            then.odds.domains
        ));
    }
    if let (Some(now), Some(then)) = (now.odds.code, then.odds.code)
        && now != then
    {
        warnings.push(format!(
            "new stripes are {then} instead of {now}; stripes written before keep their code \
             unless they must move"
        ));
    }
    let is_over = |device: &&DeviceForecast| {
        device.capacity_bytes > 0 && device.target_bytes > device.capacity_bytes
    };
    for device in devices.iter().filter(is_over) {
        warnings.push(format!(
            "device {} would have to hold {} bytes and has room for {}",
            device.device.0, device.target_bytes, device.capacity_bytes
        ));
    }
    let is_away = |device: &&DeviceForecast| {
        !device.is_up && device.used_bytes == 0 && after.device(device.device).is_some()
    };
    let away = devices.iter().filter(is_away).count();
    if away > 0 {
        warnings.push(format!("{away} devices do not answer: what they hold is not counted here"));
    }
    let is_lost = |device: &&DeviceForecast| !device.is_up && device.outgoing_bytes() > 0;
    let lost = devices.iter().filter(is_lost).count();
    if lost > 0 {
        warnings.push(format!(
            "{lost} devices that must give up bytes do not answer: others recreate them"
        ));
    }
    warnings
}

fn assumptions(settings: &Settings) -> Vec<String> {
    let days = settings.availability_half_life.as_secs_f64() / 86_400.0;
    vec![
        "Failure domains fail independently of each other; devices of one domain fail together."
            .to_owned(),
        format!(
            "A device is up as often as it was seen up; what lies {days:.0} days back counts \
             half, and a day at {:.0} % is assumed for the time before it was watched.",
            PRIOR_AVAILABILITY * 100.0
        ),
        "An object is one stripe; one of several stripes in several groups is unreadable up to as \
         many times as often."
            .to_owned(),
        "The worst figure takes the least available devices that one stripe can use; the average \
         is over the groups that neighbouring domains make, weighted by their devices' shares."
            .to_owned(),
        "Nothing is repaired during an outage, and every shard has reached its place.".to_owned(),
        "Being unreadable is not being lost: devices come back with what they hold.".to_owned(),
        "Gateways and the metadata store are not part of the figures.".to_owned(),
        format!(
            "Bytes move at {} MB/s; evenly full means by capacity, with at most one shard of a \
             stripe in each domain. A device whose capacity is not known counts as an average one.",
            settings.move_bytes_per_second / 1_000_000
        ),
    ]
}

#[cfg(test)]
mod tests;
