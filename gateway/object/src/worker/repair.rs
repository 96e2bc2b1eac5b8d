//! Recreates damaged shards, stripes with the fewest losses to spare first.
//!
//! *Retries:* a stripe that cannot be repaired now keeps its row and is tried again with growing
//! delay; a row of a body that no longer exists is dropped.
//! *Crash consistency:* a row goes only after its stripe was found or made whole, and only if it
//! has not changed meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateway_meta::{Guard, KeyRange, Table, key, record::RepairRecord};
use node_proto::ShardIndex;
use tokio::time::Instant;

use super::restore::{Restored, Scope, Throttle, restore};
use super::{Pace, Worker};
use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::Stripe;
use crate::data::rows::{corrupt, decode, delete, key_after, put};
use crate::data::stripe_read::{ShardSet, slot_of};

/// Rows looked at in one scan. Chosen.
const PAGE_LEN: usize = 256;
/// Stripes whose next attempt is remembered. Chosen; a forgotten one is tried early.
const REMEMBERED_MAX: usize = 4096;

/// The worker.
pub(crate) struct Repair {
    data: Arc<Inner>,
    throttle: Arc<Throttle>,
    next_attempts: HashMap<Bytes, Instant>,
}

impl Repair {
    pub(super) fn new(data: Arc<Inner>, throttle: Arc<Throttle>) -> Self {
        Self { data, throttle, next_attempts: HashMap::new() }
    }

    /// The first row whose time has come.
    async fn pick(&mut self) -> Result<Option<(Bytes, Bytes)>, Fault> {
        let now = Instant::now();
        if self.next_attempts.len() > REMEMBERED_MAX {
            self.next_attempts.clear();
        }
        let mut range = KeyRange::all();
        loop {
            let rows = self.data.rows.scan(Table::Repair, range.clone(), PAGE_LEN).await?;
            let Some((last, _)) = rows.last() else { return Ok(None) };
            range.start = key_after(last);
            let is_due =
                |row: &(Bytes, Bytes)| self.next_attempts.get(&row.0).is_none_or(|at| *at <= now);
            if let Some(row) = rows.into_iter().find(is_due) {
                return Ok(Some(row));
            }
        }
    }

    async fn attempt(&mut self, row_key: Bytes, value: Bytes) -> Result<(), Fault> {
        let (_, manifest, stripe_index) =
            key::parse_repair(&row_key).ok_or_else(|| corrupt("a repair row has a damaged key"))?;
        let record: RepairRecord = decode(&value)?;
        // Cached pages of a body that is gone would keep its row for ever, and those of one that
        // was moved would have it repaired where it no longer is.
        let stripe = self.data.manifests.current_stripe(manifest, stripe_index)?;
        let Some(stripe) = stripe else { return self.drop_row(row_key, value).await };
        let suspects = ShardSet(record.suspects);
        let restored = if self.can_help(&stripe, suspects)? {
            restore(&self.data, &self.throttle, &stripe, Scope::Whole { suspects }).await
        } else {
            Ok(Restored::Waiting)
        };
        match restored {
            Ok(Restored::Whole) => self.drop_row(row_key, value).await,
            Ok(Restored::Waiting) => {
                self.put_off(row_key, &record);
                Ok(())
            }
            Ok(Restored::TooFew) | Err(Fault::Corrupt { .. }) => {
                self.data.failed_repairs.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("datamesh_repair_failures_total").increment(1);
                tracing::error!(manifest = manifest.0, stripe_index, "a stripe cannot be repaired");
                self.count_attempt(row_key, value, record).await
            }
            Err(fault) => {
                self.put_off(row_key, &record);
                Err(fault)
            }
        }
    }

    /// Whether any suspect's device is up: otherwise there is nothing to store to.
    fn can_help(&self, stripe: &Stripe, suspects: ShardSet) -> Result<bool, Fault> {
        let mut named = false;
        for index in (0..stripe.geometry.shard_count()).map(ShardIndex) {
            if suspects.contains(index) {
                named = true;
                if slot_of(&self.data, stripe, index)?.is_some_and(|slot| slot.is_up()) {
                    return Ok(true);
                }
            }
        }
        Ok(!named)
    }

    async fn drop_row(&mut self, row_key: Bytes, value: Bytes) -> Result<(), Fault> {
        let (table, key) = (Table::Repair, row_key.to_vec());
        let guard = Guard::Equals { table, key: key.clone(), value };
        self.data.rows.commit(vec![guard], vec![delete(table, key)]).await?;
        self.next_attempts.remove(&row_key);
        Ok(())
    }

    async fn count_attempt(
        &mut self,
        row_key: Bytes,
        value: Bytes,
        record: RepairRecord,
    ) -> Result<(), Fault> {
        let (table, key) = (Table::Repair, row_key.to_vec());
        let guard = Guard::Equals { table, key: key.clone(), value };
        let counted = RepairRecord { attempts: record.attempts.saturating_add(1), ..record };
        self.put_off(row_key, &counted);
        self.data.rows.commit(vec![guard], vec![put(table, key, &counted)]).await?;
        Ok(())
    }

    fn put_off(&mut self, row_key: Bytes, record: &RepairRecord) {
        let config = &self.data.config.workers;
        let doubled = config.repair_backoff_min * 2_u32.saturating_pow(record.attempts.min(16));
        let delay = self.data.config.random.jitter(doubled.min(config.repair_backoff_max));
        self.next_attempts.insert(row_key, Instant::now() + delay);
    }
}

#[async_trait]
impl Worker for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn interval(&self) -> Duration {
        self.data.config.workers.repair_interval
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let Some((row_key, value)) = self.pick().await? else { return Ok(Pace::Idle) };
        self.attempt(row_key, value).await?;
        Ok(Pace::More)
    }
}
