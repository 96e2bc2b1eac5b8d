//! Deletes at once what failed and aborted uploads left.
//!
//! The queue holds hints: what of an upload is garbage is looked up like in a sweep, so an upload
//! that was committed after all loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use node_proto::{DeviceId, ShardIndex, ShardKey};
use tokio::sync::mpsc;

use super::{Pace, Worker, garbage};
use crate::Fault;
use crate::data::Inner;
use crate::data::lease::Discard;

/// Uploads per step. Chosen.
const BATCH_MAX: usize = 64;

/// The worker.
pub(super) struct DiscardGarbage {
    data: Arc<Inner>,
    queue: mpsc::Receiver<Discard>,
    pending: Vec<Discard>,
}

impl DiscardGarbage {
    pub(super) fn new(data: Arc<Inner>, queue: mpsc::Receiver<Discard>) -> Self {
        Self { data, queue, pending: Vec::new() }
    }
}

#[async_trait]
impl Worker for DiscardGarbage {
    fn name(&self) -> &'static str {
        "discard"
    }

    fn interval(&self) -> Duration {
        // The queue wakes it; the interval is only for what woke while it was busy.
        Duration::from_secs(60)
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        while self.pending.len() < BATCH_MAX
            && let Ok(discard) = self.queue.try_recv()
        {
            self.pending.push(discard);
        }
        let batch = std::mem::take(&mut self.pending);
        if batch.is_empty() {
            return Ok(Pace::Idle);
        }
        let result = discard(&self.data, &batch).await;
        if result.is_err() {
            // Whatever was left is found by the next sweep.
            self.data.devices.view().slots().iter().for_each(|slot| slot.want_sweep());
        }
        result.map(|()| Pace::More)
    }

    async fn woken(&mut self) {
        match self.queue.recv().await {
            Some(discard) => self.pending.push(discard),
            None => std::future::pending().await,
        }
    }
}

async fn discard(data: &Arc<Inner>, batch: &[Discard]) -> Result<(), Fault> {
    let mut stored: BTreeSet<garbage::Held> = BTreeSet::new();
    for Discard { manifest, stripes } in batch {
        for stripe in stripes {
            let group = data.placement.group(stripe.group)?;
            for (index, device) in (0..stripe.shard_count).zip(&group.devices) {
                let index = ShardIndex(index);
                let key = ShardKey { manifest: *manifest, stripe: stripe.seq, index };
                stored.insert((*device, key));
            }
        }
    }
    let garbage = garbage::unnamed(data, stored.into_iter().collect()).await?;
    let mut by_device: BTreeMap<DeviceId, Vec<ShardKey>> = BTreeMap::new();
    for (device, key) in garbage.shards {
        by_device.entry(device).or_default().push(key);
    }
    garbage::delete_all(data, by_device).await;
    fail::fail_point!("mid-discard");
    Ok(())
}
