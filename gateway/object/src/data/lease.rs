//! Manifest ids: leased in ranges, in flight until their commit answered, dead once fenced.
//!
//! Invariants:
//! - an id is handed out once, ever: ranges come from a counter that only grows;
//! - every commit that names a new body guards that the body's lease still stands, so a fenced
//!   lease's uncommitted bodies can never become visible;
//! - an id that is *settled* (handed out or fenced, and not in flight) and has no manifest page
//!   will never have one.
//!
//! *Crash consistency:* a range is used only after its lease row is durable; a crash loses the
//! unused rest of a range and nothing else.
//! *Cancellation:* an id whose upload is dropped stops being in flight; what it stored is garbage.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_meta::{
    Guard, KeyRange, Op, Table, key,
    record::{LeaseRecord, Record},
};
use node_proto::{ManifestId, PlacementGroupId, StripeSeq};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::rows::{Rows, corrupt, decode, delete, key_after, put, unchanged};
use crate::Fault;

/// Name of the counter that ranges come from.
const ID_SOURCE: &str = "manifest";

/// Leases fenced per commit. Chosen: a few kilobytes.
const FENCE_BATCH: usize = 256;

/// Attempts to win the counter. Only another gateway can win against us.
const LEASE_ATTEMPTS_MAX: u32 = 16;

/// Uploads whose garbage waits to be deleted. Chosen; what does not fit is left to the sweeper.
pub(crate) const DISCARD_QUEUE_MAX: usize = 1024;

/// Shards that an upload may have stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredStripe {
    pub(crate) seq: StripeSeq,
    pub(crate) group: PlacementGroupId,
    pub(crate) shard_count: u8,
}

/// What an upload left behind, for the discard worker, which looks for itself what of it is named.
#[derive(Debug)]
pub(crate) struct Discard {
    pub(crate) manifest: ManifestId,
    pub(crate) stripes: Vec<StoredStripe>,
}

/// Ids of this process.
pub(crate) struct Leases {
    rows: Rows,
    lease_ids: u64,
    refill: tokio::sync::Mutex<()>,
    state: Arc<Mutex<State>>,
    discards: mpsc::Sender<Discard>,
}

#[derive(Default)]
struct State {
    /// This process's leases, exhausted ones included; the last one is in use.
    leases: Vec<Lease>,
    in_flight: BTreeSet<u64>,
    /// Those of them that stay so until the next start.
    kept: BTreeSet<u64>,
}

struct Lease {
    record: LeaseRecord,
    next: u64,
}

/// A body whose commit has not answered yet. While it lives, nothing sweeps the body's shards.
///
/// Dropping it is always safe once the outcome is known: garbage is looked for, and what a commit
/// named stays. After an unknown outcome, call [`Self::keep`].
pub(crate) struct InFlight {
    manifest: ManifestId,
    state: Arc<Mutex<State>>,
    discards: mpsc::Sender<Discard>,
    /// Shared with the upload's stripes, which note themselves before they store anything.
    stored: Arc<Mutex<Vec<StoredStripe>>>,
}

/// Decides which ids can be swept; taken before looking for manifest pages.
pub(crate) struct Settled {
    /// Ids from here on may belong to leases that did not exist when this was made.
    below: u64,
    /// Standing leases of other gateways.
    foreign: Vec<LeaseRecord>,
    state: Arc<Mutex<State>>,
}

impl Leases {
    /// Fences every lease of earlier incarnations. Nothing else may run on the store before: the
    /// embedded server owns it alone, so every incarnation but its own is dead.
    pub(crate) async fn open(
        rows: Rows,
        lease_ids: u64,
    ) -> Result<(Self, mpsc::Receiver<Discard>), Fault> {
        let incarnation = rows.incarnation();
        let mut range = KeyRange::all();
        loop {
            let page = rows.scan(Table::Intent, range.clone(), FENCE_BATCH).await?;
            let Some((last, _)) = page.last() else { break };
            range.start = key_after(last);
            let mut ops = Vec::new();
            for (row_key, value) in &page {
                if decode::<LeaseRecord>(value)?.incarnation != incarnation {
                    ops.push(delete(Table::Intent, row_key.to_vec()));
                }
            }
            rows.commit(Vec::new(), ops).await?;
        }
        let (discards, received) = mpsc::channel(DISCARD_QUEUE_MAX);
        let refill = tokio::sync::Mutex::new(());
        let state = Arc::default();
        Ok((Self { rows, lease_ids, refill, state, discards }, received))
    }

    /// The next id, in flight until the returned value is dropped, and the guard that its commit
    /// must carry.
    pub(crate) async fn allocate(&self) -> Result<(ManifestId, Guard, InFlight), Fault> {
        loop {
            if let Some((manifest, guard)) = self.state.lock().take() {
                let in_flight = InFlight {
                    manifest,
                    state: Arc::clone(&self.state),
                    discards: self.discards.clone(),
                    stored: Arc::default(),
                };
                return Ok((manifest, guard, in_flight));
            }
            let _refilling = self.refill.lock().await;
            if !self.state.lock().has_next() {
                self.lease().await?;
            }
        }
    }

    async fn lease(&self) -> Result<(), Fault> {
        let counter = key::id_source(ID_SOURCE);
        for _ in 0..LEASE_ATTEMPTS_MAX {
            let value = self.rows.get(Table::Ctr, &counter)?;
            let first = parse_counter(value.as_deref())? + 1;
            let record = LeaseRecord {
                incarnation: self.rows.incarnation(),
                first,
                end: first + self.lease_ids,
            };
            let guards = vec![unchanged(Table::Ctr, counter.clone(), value)];
            let delta = i128::from(self.lease_ids);
            let mut ops = vec![
                Op::Add { table: Table::Ctr, key: counter.clone(), delta },
                put(Table::Intent, key::lease(first), &record),
            ];
            let retired = self.state.lock().retired();
            ops.extend(retired.iter().map(|first| delete(Table::Intent, key::lease(*first))));
            fail::fail_point!("before-lease-commit");
            if self.rows.commit(guards, ops).await?.is_none() {
                let mut state = self.state.lock();
                state.leases.retain(|lease| !retired.contains(&lease.record.first));
                state.leases.push(Lease { next: first, record });
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }

    /// The greatest id that can have been handed out so far.
    pub(crate) fn highest_id(&self) -> Result<u64, Fault> {
        let value = self.rows.get(Table::Ctr, &key::id_source(ID_SOURCE))?;
        parse_counter(value.as_deref())
    }

    /// Ids in flight now whose commit will still be answered.
    pub(crate) fn in_flight(&self) -> BTreeSet<u64> {
        let state = self.state.lock();
        state.in_flight.difference(&state.kept).copied().collect()
    }

    /// Whether `manifest` is in flight now.
    pub(crate) fn is_in_flight(&self, manifest: ManifestId) -> bool {
        self.state.lock().in_flight.contains(&manifest.0)
    }

    /// Whether `manifest` stays in flight until the next start, because the outcome of its commit is
    /// unknown.
    pub(crate) fn is_kept(&self, manifest: ManifestId) -> bool {
        self.state.lock().kept.contains(&manifest.0)
    }

    /// Takes stock for a sweep. The counter is read before the leases: an id below it without a
    /// lease has lost its lease, not yet to get one.
    pub(crate) async fn settled(&self) -> Result<Settled, Fault> {
        let below = self.highest_id()? + 1;
        let incarnation = self.rows.incarnation();
        let mut foreign = Vec::new();
        for (_, value) in self.rows.scan(Table::Intent, KeyRange::all(), usize::MAX).await? {
            let record = decode::<LeaseRecord>(&value)?;
            if record.incarnation != incarnation {
                foreign.push(record);
            }
        }
        Ok(Settled { below, foreign, state: Arc::clone(&self.state) })
    }
}

fn parse_counter(value: Option<&[u8]>) -> Result<u64, Fault> {
    let Some(value) = value else { return Ok(0) };
    key::decode_counter(value)
        .and_then(|counter| u64::try_from(counter).ok())
        .ok_or_else(|| corrupt("the manifest id counter is damaged"))
}

impl State {
    fn has_next(&self) -> bool {
        self.leases.last().is_some_and(|lease| lease.next < lease.record.end)
    }

    /// Takes an id and puts it in flight in one step, so that no sweep sees it in between.
    fn take(&mut self) -> Option<(ManifestId, Guard)> {
        let lease = self.leases.last_mut().filter(|lease| lease.next < lease.record.end)?;
        let id = lease.next;
        lease.next += 1;
        let guard = Guard::Equals {
            table: Table::Intent,
            key: key::lease(lease.record.first),
            value: lease.record.encode(),
        };
        self.in_flight.insert(id);
        Some((ManifestId(id), guard))
    }

    /// Exhausted leases without ids in flight: no commit guards them any more.
    fn retired(&self) -> Vec<u64> {
        let is_retired = |lease: &&Lease| {
            let LeaseRecord { first, end, .. } = lease.record;
            lease.next >= end && self.in_flight.range(first..end).next().is_none()
        };
        self.leases.iter().filter(is_retired).map(|lease| lease.record.first).collect()
    }

    fn is_handed_out(&self, id: u64) -> bool {
        let own = |lease: &&Lease| (lease.record.first..lease.record.end).contains(&id);
        self.leases.iter().find(own).is_none_or(|lease| id < lease.next)
    }
}

impl Settled {
    /// Whether `manifest` is settled at this moment: if it has no manifest page afterwards, it
    /// never will.
    pub(crate) fn contains(&self, manifest: ManifestId) -> bool {
        let id = manifest.0;
        let is_foreign = self.foreign.iter().any(|lease| (lease.first..lease.end).contains(&id));
        if id >= self.below || is_foreign {
            return false;
        }
        let state = self.state.lock();
        state.is_handed_out(id) && !state.in_flight.contains(&id)
    }
}

impl InFlight {
    /// The body's id.
    pub(crate) fn manifest(&self) -> ManifestId {
        self.manifest
    }

    /// Where the upload's stripes note what they are about to store.
    pub(crate) fn stored(&self) -> Arc<Mutex<Vec<StoredStripe>>> {
        Arc::clone(&self.stored)
    }

    /// The outcome of the commit is unknown: nobody touches the body until the next start, which
    /// fences the lease and then sees what the store holds.
    pub(crate) fn keep(self) {
        self.state.lock().kept.insert(self.manifest.0);
        std::mem::forget(self);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.lock().in_flight.remove(&self.manifest.0);
        let stripes = std::mem::take(&mut *self.stored.lock());
        if stripes.is_empty() {
            return;
        }
        let discard = Discard { manifest: self.manifest, stripes };
        // A full queue loses a hint, not garbage: the sweeper finds it.
        if self.discards.try_send(discard).is_err() {
            metrics::counter!("datamesh_reclaim_discards_skipped_total").increment(1);
        }
    }
}
