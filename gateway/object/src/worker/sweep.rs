//! Finds and deletes shards that nobody names, device by device.
//!
//! Runs for each device after start, after it came back, after a delete did not reach it, and from
//! time to time. This, not the queues, is what guarantees that space comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use node_proto::{DeviceId, ShardKey};
use tokio::time::Instant;

use super::{Pace, Worker, garbage};
use crate::Fault;
use crate::data::Inner;
use crate::data::devices::Slot;

/// Shards listed per step. Chosen.
const PAGE_LEN: usize = 1024;

/// Pause between looks for a device that wants a sweep. Chosen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The worker.
pub(crate) struct Sweep {
    data: Arc<Inner>,
    current: Option<(Arc<Slot>, Option<ShardKey>)>,
    finished: BTreeMap<DeviceId, Instant>,
}

impl Sweep {
    pub(super) fn new(data: Arc<Inner>) -> Self {
        Self { data, current: None, finished: BTreeMap::new() }
    }

    /// The next device to sweep. Taking it answers its wish; a wish made from now on starts
    /// another sweep.
    fn pick(&mut self) -> Option<Arc<Slot>> {
        let interval = self.data.config.workers.sweep_interval;
        let is_due = |slot: &&Arc<Slot>| {
            let finished = self.finished.get(&slot.id());
            slot.is_up()
                && (slot.state.sweep_wanted.load(Ordering::Acquire)
                    || finished.is_none_or(|at| at.elapsed() >= interval))
        };
        let slot = Arc::clone(self.data.devices.view().slots().iter().find(is_due)?);
        slot.state.sweep_wanted.store(false, Ordering::Release);
        Some(slot)
    }
}

#[async_trait]
impl Worker for Sweep {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn interval(&self) -> Duration {
        LOOK_INTERVAL
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let (slot, after) = match self.current.take() {
            Some(current) => current,
            None => match self.pick() {
                Some(slot) => (slot, None),
                None => return Ok(Pace::Idle),
            },
        };
        match sweep_page(&self.data, &slot, after).await {
            Ok(Some(last)) => self.current = Some((slot, Some(last))),
            Ok(None) => {
                self.finished.insert(slot.id(), Instant::now());
                metrics::counter!("datamesh_reclaim_sweeps_total").increment(1);
            }
            Err(fault) => {
                slot.want_sweep();
                return Err(fault);
            }
        }
        Ok(Pace::More)
    }
}

/// Sweeps one page behind `after` and returns its last key; `None` when the device is through or
/// went away.
async fn sweep_page(
    data: &Arc<Inner>,
    slot: &Arc<Slot>,
    after: Option<ShardKey>,
) -> Result<Option<ShardKey>, Fault> {
    let listed = match slot.service.list(after, PAGE_LEN).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::info!(device = slot.id().0, %error, "sweep waits for the device");
            slot.want_sweep();
            return Ok(None);
        }
    };
    let Some(last) = listed.last().map(|entry| entry.key) else { return Ok(None) };
    let held = listed.into_iter().map(|entry| (slot.id(), entry.key)).collect();
    let garbage = garbage::unnamed(data, held).await?;
    let unnamed: Vec<ShardKey> = garbage.shards.iter().map(|(_, key)| *key).collect();
    if !unnamed.is_empty() {
        metrics::counter!("datamesh_reclaim_swept_shards_total").increment(unnamed.len() as u64);
        garbage::delete(data, slot, &unnamed).await;
        fail::fail_point!("mid-sweep");
    }
    Ok(Some(last))
}
