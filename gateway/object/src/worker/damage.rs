//! Records damaged shards where repair finds them.
//!
//! A stripe has at most one row, under the number of further losses it survives. Rows are hints:
//! one too few is found again by the next read or scrub, one too many costs a look.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway_meta::{
    Table, key,
    record::{Record, RepairRecord},
};
use node_proto::ShardKey;
use tokio::sync::mpsc;

use super::{Pace, Worker};
use crate::Fault;
use crate::data::rows::{delete, put};
use crate::data::stripe_read::ShardSet;
use crate::data::{Damage, Inner};

/// Reports taken per step. Chosen.
const BATCH_MAX: usize = 256;
/// Damaged shards taken from one device per step. Chosen.
const DEVICE_BATCH_MAX: usize = 256;
/// Pause between looks at what devices found themselves. Chosen.
const DEVICE_INTERVAL: Duration = Duration::from_secs(1);

/// The worker.
pub(crate) struct RecordDamage {
    data: Arc<Inner>,
    queue: mpsc::Receiver<Damage>,
    pending: Vec<Damage>,
}

impl RecordDamage {
    pub(super) fn new(data: Arc<Inner>, queue: mpsc::Receiver<Damage>) -> Self {
        Self { data, queue, pending: Vec::new() }
    }

    /// Takes what devices found, as damage of stripes.
    fn take_from_devices(&mut self) -> Result<usize, Fault> {
        let mut taken = 0;
        for slot in self.data.devices.view().slots() {
            for key in slot.service.take_damaged(DEVICE_BATCH_MAX) {
                taken += 1;
                self.pending.extend(damage_of(&self.data, key)?);
            }
        }
        Ok(taken)
    }
}

/// The stripe that a damaged shard belongs to; `None` for garbage.
fn damage_of(data: &Inner, key: ShardKey) -> Result<Option<Damage>, Fault> {
    let Some(stripe_index) = data.manifests.stripe_of_seq(key.manifest, key.stripe)? else {
        return Ok(None);
    };
    let mut suspects = ShardSet::default();
    suspects.insert(key.index);
    Ok(Some(Damage { manifest: key.manifest, stripe_index, suspects }))
}

#[async_trait]
impl Worker for RecordDamage {
    fn name(&self) -> &'static str {
        "damage"
    }

    fn interval(&self) -> Duration {
        DEVICE_INTERVAL
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        while self.pending.len() < BATCH_MAX
            && let Ok(damage) = self.queue.try_recv()
        {
            self.pending.push(damage);
        }
        let taken = self.take_from_devices()?;
        let batch = merged(std::mem::take(&mut self.pending));
        for damage in &batch {
            record(&self.data, damage).await?;
        }
        Ok(if batch.is_empty() && taken == 0 { Pace::Idle } else { Pace::More })
    }

    async fn woken(&mut self) {
        match self.queue.recv().await {
            Some(damage) => self.pending.push(damage),
            None => std::future::pending().await,
        }
    }
}

/// Reports of the same stripe as one.
fn merged(mut reports: Vec<Damage>) -> Vec<Damage> {
    reports.sort_by_key(|damage| (damage.manifest, damage.stripe_index));
    reports.dedup_by(|next, kept| {
        let same = (next.manifest, next.stripe_index) == (kept.manifest, kept.stripe_index);
        if same {
            kept.suspects.0 |= next.suspects.0;
        }
        same
    });
    reports
}

/// Writes the repair row of a stripe, joined with the one it may have.
pub(super) async fn record(data: &Inner, damage: &Damage) -> Result<(), Fault> {
    let Damage { manifest, stripe_index, suspects } = *damage;
    let Some(stripe) = data.manifests.stripe(manifest, stripe_index)? else { return Ok(()) };
    let m = stripe.geometry.m();
    let mut joined = RepairRecord { attempts: 0, suspects: suspects.0 };
    let mut ops = Vec::new();
    for margin in 0..=m {
        let row_key = key::repair(margin, manifest, stripe_index);
        if let Some(old) = data.rows.record::<RepairRecord>(Table::Repair, &row_key)? {
            joined.attempts = joined.attempts.max(old.attempts);
            joined.suspects |= old.suspects;
            ops.push(delete(Table::Repair, row_key));
        }
    }
    let lost = u8::try_from(ShardSet(joined.suspects).len()).unwrap_or(u8::MAX);
    let row_key = key::repair(m.saturating_sub(lost), manifest, stripe_index);
    if data.rows.get(Table::Repair, &row_key)?.is_some_and(|old| old == joined.encode()) {
        return Ok(());
    }
    tracing::warn!(manifest = manifest.0, stripe_index, suspects = joined.suspects, "damage");
    ops.push(put(Table::Repair, row_key, &joined));
    data.rows.commit(Vec::new(), ops).await?;
    metrics::counter!("datamesh_repair_recorded_total").increment(1);
    Ok(())
}
