//! Shards that moved away, until they are deleted where they were.
//!
//! They stay for a while, for readers that hold the page of a moment ago. What is deleted then is
//! what no page names: this queue holds hints, as the one of failed uploads does.
//!
//! *Crash consistency:* the queue is memory. Every device is swept after a start.
//! *Limits:* [`QUEUE_MAX`]; what does not fit is left to a sweep of its device.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use node_proto::{DeviceId, ShardKey};
use tokio::time::Instant;

use super::carry::Held;
use crate::Fault;
use crate::data::Inner;
use crate::worker::garbage;

/// Shards that wait. Chosen: some megabytes, and what moves in the grace at full rate while shards
/// are large.
const QUEUE_MAX: usize = 1 << 16;
/// Shards deleted at once. Chosen.
const BATCH_MAX: usize = 1024;

/// The queue.
#[derive(Default)]
pub(super) struct LeftBehind {
    queue: VecDeque<(Instant, Held)>,
}

impl LeftBehind {
    pub(super) fn extend(&mut self, data: &Inner, shards: Vec<Held>) {
        let due = Instant::now() + data.config.workers.move_grace;
        for held in shards {
            if self.queue.len() < QUEUE_MAX {
                self.queue.push_back((due, held));
            } else if let Some(slot) = data.devices.slot(held.0) {
                slot.want_sweep();
            }
        }
    }

    /// Deletes what is due.
    pub(super) async fn delete_due(&mut self, data: &Arc<Inner>) -> Result<(), Fault> {
        let now = Instant::now();
        loop {
            let due = self.queue.iter().take(BATCH_MAX).take_while(|(at, _)| *at <= now).count();
            let batch: Vec<Held> = self.queue.drain(..due).map(|(_, held)| held).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let garbage = match garbage::unnamed(data, batch.clone()).await {
                Ok(garbage) => garbage,
                Err(fault) => {
                    let slots = batch.iter().filter_map(|(device, _)| data.devices.slot(*device));
                    slots.for_each(|slot| slot.want_sweep());
                    return Err(fault);
                }
            };
            // What is being moved again is decided later.
            let put_off =
                batch.into_iter().filter(|(_, key)| !garbage.judged.contains(key.manifest));
            self.extend(data, put_off.collect());
            let mut by_device: BTreeMap<DeviceId, Vec<ShardKey>> = BTreeMap::new();
            for (device, key) in garbage.shards {
                by_device.entry(device).or_default().push(key);
            }
            garbage::delete_all(data, by_device).await;
        }
    }
}
