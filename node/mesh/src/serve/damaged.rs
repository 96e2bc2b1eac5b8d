//! Damaged shards on their way to whoever repairs them.
//!
//! Devices forget what they have reported; an answer may be lost. So what devices report is kept
//! here under a number until somebody says that it was taken note of.

use std::{collections::VecDeque, sync::Arc};

use node_proto::{
    ShardService,
    wire::{DamagedMark, DamagedShard},
};
use parking_lot::Mutex;

/// Most shards kept. Chosen: the devices keep the rest.
const KEPT_MAX: usize = 4096;

/// Most shards in one report. Chosen: they fit in a frame beside the longest report of devices.
pub(super) const REPORTED_MAX: usize = 1024;

/// What was reported by devices and not yet taken note of.
pub(super) struct DamagedLog {
    run: u64,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Number of the first one kept; the very first has number one.
    first: u64,
    shards: VecDeque<DamagedShard>,
}

impl DamagedLog {
    pub(super) fn new(run: u64) -> Self {
        Self { run, kept: Mutex::new(Kept { first: 1, shards: VecDeque::new() }) }
    }

    /// Forgets what was `seen`, and reports up to `limit` of the rest.
    pub(super) fn report(
        &self,
        devices: &[Arc<dyn ShardService>],
        seen: Option<DamagedMark>,
        limit: usize,
    ) -> (Vec<DamagedShard>, DamagedMark) {
        let mut kept = self.kept.lock();
        if let Some(seen) = seen.filter(|seen| seen.run == self.run) {
            while kept.first <= seen.number && kept.shards.pop_front().is_some() {
                kept.first += 1;
            }
        }
        for service in devices {
            let room = KEPT_MAX - kept.shards.len();
            let device = service.status().device;
            let found = service.take_damaged(room);
            kept.shards.extend(found.into_iter().map(|key| DamagedShard { device, key }));
        }
        let count = kept.shards.len().min(limit).min(REPORTED_MAX);
        let reported: Vec<DamagedShard> = kept.shards.iter().take(count).copied().collect();
        let number = kept.first + count as u64 - 1;
        (reported, DamagedMark { run: self.run, number })
    }
}

#[cfg(test)]
mod tests;
