//! Deletes what commits unlinked.
//!
//! Invariants:
//! - a body that is being read stays until its last reader is gone;
//! - rows that say where shards are go in the commit that ends the queue entry, after the shards.
//!
//! A device that is offline does not hold an entry up, or the queue would grow for as long as a
//! drive is lost: the entry ends without it, and the sweep that every returning device gets finds
//! the shards that nobody names any more.
//!
//! *Crash consistency:* everything here can be done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway_meta::{
    KeyRange, Op, Table, key,
    record::{Body, GcRecord, PartTableEntry, PartTablePage},
};
use node_proto::{DeviceId, ManifestId, PlacementGroupId, ShardIndex, ShardKey};
use tokio::time::Instant;

use super::{Pace, Worker, garbage};
use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::decode_page;
use crate::data::rows::{decode, delete, key_after, put};

/// Entries looked at in one step. More readers than this cannot hold pins at once within memory.
/// Every entry waits for the grace period once it was looked at, so this bounds how many a second
/// end. Chosen: some 8 MiB while the queue is long, and faster than objects can be deleted.
const LOOKED_AT_MAX: usize = 1 << 16;
/// Entries ended by one commit. Chosen.
const BATCH_MAX: usize = 128;
/// Shard keys collected before they are deleted. Chosen: 200 KiB.
const KEYS_MAX: usize = 8192;
/// Pause before an entry with damaged rows is tried again. Chosen: somebody has to look at it.
const DAMAGED_PAUSE: Duration = Duration::from_secs(600);
/// Manifest pages read at once. Chosen: 200 KiB.
const PAGES_READ: usize = 8;
/// Manifest pages deleted one by one; the rows of longer bodies go as a range. Chosen: ranges cost
/// every later read of their neighbourhood, and most bodies have one page or none.
const PAGES_DELETED_APART: usize = 64;

/// The worker.
pub(crate) struct Reclaim {
    data: Arc<Inner>,
    /// When this process first saw an entry; in the future for one that is put off.
    seen: BTreeMap<ManifestId, Instant>,
}

impl Reclaim {
    pub(super) fn new(data: Arc<Inner>) -> Self {
        Self { data, seen: BTreeMap::new() }
    }

    /// Entries that are old enough, as this process saw it, and not being read.
    fn due(&mut self, queue: &[(ManifestId, GcRecord)]) -> Vec<(ManifestId, GcRecord)> {
        let now = Instant::now();
        let queued: BTreeSet<ManifestId> = queue.iter().map(|(id, _)| *id).collect();
        self.seen.retain(|id, _| queued.contains(id));
        let grace = self.data.config.workers.reclaim_grace;
        let mut due = Vec::new();
        for (id, record) in queue {
            let since = *self.seen.entry(*id).or_insert(now);
            if now.saturating_duration_since(since) >= grace
                && now >= since
                && !self.data.pins.is_pinned(*id)
            {
                due.push((*id, record.clone()));
            }
        }
        due
    }
}

#[async_trait]
impl Worker for Reclaim {
    fn name(&self) -> &'static str {
        "reclaim"
    }

    fn interval(&self) -> Duration {
        self.data.config.workers.reclaim_interval
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let rows = self.data.rows.scan(Table::Gcq, KeyRange::all(), LOOKED_AT_MAX).await?;
        metrics::gauge!("datamesh_reclaim_queue").set(rows.len() as f64);
        let mut queue = Vec::with_capacity(rows.len());
        for (row_key, value) in &rows {
            let (id, _) = key::parse_manifest(row_key)
                .ok_or_else(|| crate::data::rows::corrupt("a reclamation row has a damaged key"))?;
            queue.push((id, decode::<GcRecord>(value)?));
        }
        let due = self.due(&queue);
        let mut pace = Pace::Idle;
        for batch in due.chunks(BATCH_MAX) {
            // What is being moved waits: its rows are about to change.
            let judged = self.data.moves.judge(batch.iter().map(|(id, _)| *id));
            let batch: Vec<_> =
                batch.iter().filter(|(id, _)| judged.contains(*id)).cloned().collect();
            let damaged = reclaim(&self.data, &batch).await?;
            if damaged.len() < batch.len() {
                pace = Pace::More;
            }
            let later = Instant::now() + DAMAGED_PAUSE;
            self.seen.extend(damaged.into_iter().map(|id| (id, later)));
        }
        Ok(pace)
    }
}

/// Ends the entries of `batch` and returns those that cannot be ended, because their rows are
/// damaged.
async fn reclaim(
    data: &Arc<Inner>,
    batch: &[(ManifestId, GcRecord)],
) -> Result<Vec<ManifestId>, Fault> {
    let (mut ops, mut damaged) = (Vec::new(), Vec::new());
    let mut doomed = Doomed::default();
    for (id, record) in batch {
        let ended = if record.part_table {
            queue_parts(data, *id, record).await.map(|()| BodyRows::part_table(*id))
        } else {
            doomed.collect(data, *id).await
        };
        match ended {
            Ok(rows) => rows.end_entry(*id, &mut ops),
            // One damaged body must not keep the others.
            Err(fault @ Fault::Corrupt { .. }) => {
                tracing::error!(manifest = id.0, %fault, "a body cannot be reclaimed");
                metrics::counter!("datamesh_reclaim_failures_total").increment(1);
                damaged.push(*id);
            }
            Err(fault) => return Err(fault),
        }
    }
    doomed.delete(data).await;
    fail::fail_point!("mid-reclaim");
    if !ops.is_empty() {
        data.rows.commit(Vec::new(), ops).await?;
        let ended = batch.len() - damaged.len();
        metrics::counter!("datamesh_reclaim_bodies_total").increment(ended as u64);
    }
    Ok(damaged)
}

/// The rows that say where the shards of a body are.
struct BodyRows {
    groups: BTreeSet<PlacementGroupId>,
    pages: Pages,
}

/// The manifest pages of a body.
enum Pages {
    Few(Vec<Vec<u8>>),
    All(KeyRange),
}

impl BodyRows {
    fn part_table(id: ManifestId) -> Self {
        let pages = Pages::All(KeyRange::prefix(&key::manifest(id)));
        Self { groups: BTreeSet::new(), pages }
    }

    fn add_page(&mut self, id: ManifestId, row_key: &[u8]) {
        if let Pages::Few(keys) = &mut self.pages {
            if keys.len() < PAGES_DELETED_APART {
                keys.push(row_key.to_vec());
            } else {
                self.pages = Pages::All(KeyRange::prefix(&key::manifest(id)));
            }
        }
    }

    /// Deletes the rows and the queue entry.
    fn end_entry(self, id: ManifestId, ops: &mut Vec<Op>) {
        match self.pages {
            Pages::Few(keys) => ops.extend(keys.into_iter().map(|key| delete(Table::Mf, key))),
            Pages::All(range) => ops.push(Op::DeleteRange { table: Table::Mf, range }),
        }
        ops.push(delete(Table::Inl, key::manifest(id)));
        ops.push(delete(Table::Gcq, key::manifest(id)));
        let groups = self.groups.into_iter();
        ops.extend(groups.map(|group| delete(Table::Pgidx, key::pgidx(group, id))));
    }
}

/// Queues the bodies of a part table's parts. Doing so again after they are gone queues entries
/// that end at once.
async fn queue_parts(data: &Inner, table: ManifestId, record: &GcRecord) -> Result<(), Fault> {
    let mut range = KeyRange::prefix(&key::manifest(table));
    loop {
        let rows = data.rows.scan(Table::Mf, range.clone(), 1).await?;
        let Some((row_key, value)) = rows.first() else { return Ok(()) };
        let page: PartTablePage = decode(value)?;
        let unlinked = GcRecord { part_table: false, ..record.clone() };
        let entry = |part: &PartTableEntry| match part.body {
            Body::Empty | Body::Parts(_) => None,
            Body::Inline(id) | Body::Stripes(id) => {
                Some(put(Table::Gcq, key::manifest(id), &unlinked))
            }
        };
        data.rows.commit(Vec::new(), page.parts.iter().filter_map(entry).collect()).await?;
        range.start = key_after(row_key);
    }
}

/// Shards to delete, by device.
#[derive(Default)]
struct Doomed {
    by_device: BTreeMap<DeviceId, Vec<ShardKey>>,
    len: usize,
}

impl Doomed {
    /// Collects a body's shards and returns its rows.
    async fn collect(&mut self, data: &Arc<Inner>, id: ManifestId) -> Result<BodyRows, Fault> {
        let mut body = BodyRows { groups: BTreeSet::new(), pages: Pages::Few(Vec::new()) };
        let mut range = KeyRange::prefix(&key::manifest(id));
        loop {
            let rows = data.rows.scan(Table::Mf, range.clone(), PAGES_READ).await?;
            let Some((last, _)) = rows.last() else { return Ok(body) };
            range.start = key_after(last);
            for (row_key, value) in rows {
                body.add_page(id, &row_key);
                for stripe in decode_page(id, &value)?.stripes {
                    body.groups.insert(stripe.group);
                    let group = data.placement.group(stripe.group)?;
                    let shard_count = stripe.k.saturating_add(stripe.m);
                    for (index, device) in (0..shard_count).zip(&group.devices) {
                        let key =
                            ShardKey { manifest: id, stripe: stripe.seq, index: ShardIndex(index) };
                        self.by_device.entry(*device).or_default().push(key);
                        self.len += 1;
                    }
                }
                if self.len >= KEYS_MAX {
                    self.delete(data).await;
                }
            }
        }
    }

    async fn delete(&mut self, data: &Inner) {
        self.len = 0;
        garbage::delete_all(data, std::mem::take(&mut self.by_device)).await;
    }
}
