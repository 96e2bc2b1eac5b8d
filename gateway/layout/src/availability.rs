//! How much of the time devices were seen up.
//!
//! Each observation says for how long since the last one a device was up; older times count less.
//! A device that was hardly watched counts as [`PRIOR_AVAILABILITY`].
//!
//! *Crash consistency:* at most [`PERSIST_EVERY_MS`] of observations are lost. *Limits:* one entry
//! per device of the layout.

use std::collections::BTreeMap;

use gateway_meta::{
    key::ctl,
    record::{AvailabilityRecord, DeviceAvailability},
};
use node_proto::{DeviceId, Layout, NodeId, UnixMillis};

use crate::{cluster::Cluster, error::StoreError, rows::put};

/// How often observations are persisted at most, in milliseconds. Chosen: a minute.
const PERSIST_EVERY_MS: u64 = 60_000;

/// Longest time that one observation stands for, in milliseconds. Chosen: longer gaps mean that
/// nobody was looking.
const GAP_MS_MAX: u64 = 120_000;

/// What a device is taken for before it was watched. Chosen, pessimistic: down a hundredth of the
/// time.
pub(crate) const PRIOR_AVAILABILITY: f64 = 0.99;

/// How much that assumption weighs against what is seen, in milliseconds. Chosen: a day.
pub(crate) const PRIOR_WEIGHT_MS: f64 = 86_400_000.0;

/// What was seen since the process started, on top of what was stored.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    devices: BTreeMap<DeviceId, Seen>,
    last: Option<UnixMillis>,
    persisted: Option<UnixMillis>,
}

/// Decayed times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    observed_ms: f64,
    up_ms: f64,
}

impl Seen {
    fn unavailability(self) -> f64 {
        let down_ms = (self.observed_ms - self.up_ms).max(0.0);
        (down_ms + PRIOR_WEIGHT_MS * (1.0 - PRIOR_AVAILABILITY))
            / (self.observed_ms + PRIOR_WEIGHT_MS)
    }
}

impl Watched {
    fn observe(&mut self, devices: &[(DeviceId, bool)], now: UnixMillis, half_life_ms: f64) {
        let last = self.last.replace(now);
        let Some(passed_ms) = last.and_then(|last| now.0.checked_sub(last.0)) else { return };
        if passed_ms > GAP_MS_MAX {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most GAP_MS_MAX")]
        let passed_ms = passed_ms as f64;
        let kept = (-passed_ms / half_life_ms).exp2();
        for (device, is_up) in devices {
            let seen = self.devices.entry(*device).or_default();
            seen.observed_ms = seen.observed_ms * kept + passed_ms;
            seen.up_ms = seen.up_ms * kept + if *is_up { passed_ms } else { 0.0 };
        }
    }

    /// What is to be persisted, when it is time to.
    fn due(&mut self, layout: &Layout, now: UnixMillis) -> Option<AvailabilityRecord> {
        let is_early = self.persisted.is_some_and(|persisted| {
            // A clock that went back must not stop persisting.
            now >= persisted && now.0 - persisted.0 < PERSIST_EVERY_MS
        });
        if is_early {
            return None;
        }
        self.persisted = Some(now);
        self.devices.retain(|device, _| layout.device(*device).is_some());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "decayed sums of times are positive and stay within some half-lives"
        )]
        let entry = |(device, seen): (&DeviceId, &Seen)| DeviceAvailability {
            device: *device,
            observed_ms: seen.observed_ms.round() as u64,
            up_ms: seen.up_ms.round() as u64,
        };
        Some(AvailabilityRecord { as_of: now, devices: self.devices.iter().map(entry).collect() })
    }
}

impl Cluster {
    /// Notes which devices are up now. To be called every few seconds with all devices; times
    /// between calls that are further apart than two minutes do not count.
    ///
    /// # Errors
    /// [`StoreError`] when the observations could not be persisted; they are kept in memory then.
    pub async fn observe(&self, devices: &[(DeviceId, bool)]) -> Result<(), StoreError> {
        let layout = self.layout();
        let now = self.now();
        let half_life_ms = self.deps().settings.availability_half_life.as_secs_f64() * 1_000.0;
        let due = {
            let mut watched = self.watched().lock();
            let known: Vec<(DeviceId, bool)> =
                devices.iter().filter(|(id, _)| layout.device(*id).is_some()).copied().collect();
            watched.observe(&known, now, half_life_ms.max(1.0));
            watched.due(&layout, now)
        };
        if let Some(record) = due {
            self.commit(Vec::new(), vec![put(ctl::availability(), &record)]).await?;
        }
        Ok(())
    }

    pub(crate) fn load_availability(&self) -> Result<(), StoreError> {
        let Some(stored) = self.read::<AvailabilityRecord>(&ctl::availability())? else {
            return Ok(());
        };
        let mut watched = self.watched().lock();
        for entry in stored.record.devices {
            #[expect(clippy::cast_precision_loss, reason = "what is lost is less than a second")]
            let seen = Seen {
                observed_ms: entry.observed_ms as f64,
                up_ms: entry.up_ms.min(entry.observed_ms) as f64,
            };
            watched.devices.insert(entry.device, seen);
        }
        Ok(())
    }

    /// How likely each device that was watched is down.
    pub(crate) fn unavailability(&self) -> BTreeMap<DeviceId, f64> {
        let watched = self.watched().lock();
        watched.devices.iter().map(|(device, seen)| (*device, seen.unavailability())).collect()
    }

    /// The mean availability of a node's devices.
    pub(crate) fn node_availability(&self, layout: &Layout, node: NodeId) -> Option<f64> {
        let unavailability = self.unavailability();
        let of = |device| unavailability.get(&device).copied().unwrap_or(1.0 - PRIOR_AVAILABILITY);
        let devices = layout.devices.iter().filter(|device| device.node == node);
        let all: Vec<f64> = devices.map(|device| 1.0 - of(device.id)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a node has some hundred devices at most")]
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (!all.is_empty()).then_some(mean)
    }
}
