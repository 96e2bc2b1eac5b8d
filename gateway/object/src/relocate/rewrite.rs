//! Moving what a job wants of one body.
//!
//! Invariants:
//! - a page changes by one commit that holds only if the page is what was read, and in which the
//!   index of placement groups follows;
//! - shards are durable where the new page says before that commit;
//! - while this works, nobody deletes shards of the body ([`super::Moves`]).
//!
//! *Crash consistency:* before the commit, copies are garbage; after it, the old shards are. The
//! next start sweeps every device.
//! *Cancellation:* as a crash, but that the next sweep comes in its own time.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use gateway_meta::{
    Guard, KeyRange, Op, Table, key,
    record::{ManifestPage, StripeRecord},
};
use node_proto::{DeviceId, ManifestId, PlacementGroupId, ShardIndex};

use super::carry::{Carried, Held, Seqs, carry, recode};
use super::census::PAGES_MAX;
use super::jobs::Moved;
use super::plan::{Placed, Plan, Purpose, Step, plan};
use super::scene::Scene;
use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::{Stripe, decode_page};
use crate::data::rows::{delete, put};
use crate::worker::restore::Throttle;

/// Stripes changed by one commit. Chosen: what a crash makes vain stays below a few hundred
/// megabytes, and a page of 128 stripes is written few times.
const STRIPES_PER_COMMIT: usize = 32;

/// What is the same for all bodies of a step.
pub(super) struct Mover<'a> {
    pub(super) data: &'a Arc<Inner>,
    pub(super) throttle: &'a Throttle,
    pub(super) seqs: &'a Seqs,
    pub(super) scene: &'a Scene,
    pub(super) purpose: Purpose<'a>,
    /// Asked before each stripe: an operator may have paused the job.
    pub(super) may_go_on: &'a (dyn Fn() -> bool + Sync),
}

/// What became of a body.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) moved: Moved,
    /// Commits that changed it.
    pub(super) commits: u64,
    /// Why it could not be moved as a whole, if so.
    pub(super) obstacle: Option<String>,
    /// Shards that no page names any more, or never did.
    pub(super) left_behind: Vec<Held>,
    pub(super) fault: Option<Fault>,
}

/// A page of the body.
struct Page {
    row_key: Vec<u8>,
    value: Bytes,
    content: Arc<ManifestPage>,
}

/// Changes to a page that are to be committed.
#[derive(Default)]
struct Changes {
    stripes: Vec<(usize, StripeRecord)>,
    moved: Moved,
    /// Where shards were, and will not be named.
    old: Vec<Held>,
    /// Where shards are, and are not named yet.
    new: Vec<Held>,
    /// What to give back to a budget if nothing comes of it.
    taken: Vec<(Step, u64)>,
}

impl Mover<'_> {
    /// Moves what the job wants of a body.
    pub(super) async fn relocate(&self, manifest: ManifestId) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(moving) = self.data.moves.begin(manifest) else {
            outcome.obstacle = Some("objects are being cleaned up".to_owned());
            return outcome;
        };
        if let Err(fault) = self.relocate_pages(manifest, &mut outcome).await {
            if matches!(fault, Fault::Indeterminate { .. }) {
                // Either page may be the one: nobody touches the body until the next start.
                std::mem::forget(moving);
            }
            outcome.fault = Some(fault);
        }
        outcome
    }

    async fn relocate_pages(
        &self,
        manifest: ManifestId,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        if self.data.rows.get(Table::Gcq, &key::manifest(manifest))?.is_some() {
            outcome.obstacle = Some("deleted objects wait to be reclaimed".to_owned());
            return Ok(());
        }
        let mut pages = self.read_pages(manifest).await?;
        for page_index in 0..pages.len() {
            let stripe_count = pages[page_index].content.stripes.len();
            for start in (0..stripe_count).step_by(STRIPES_PER_COMMIT) {
                let end = (start + STRIPES_PER_COMMIT).min(stripe_count);
                let mut changes = Changes::default();
                let page = &pages[page_index];
                let prepared =
                    self.prepare(manifest, page, start..end, &mut changes, outcome).await;
                if let Err(fault) = prepared {
                    self.abandon(changes, outcome);
                    return Err(fault);
                }
                if changes.stripes.is_empty() {
                    self.abandon(changes, outcome);
                    continue;
                }
                if !self.commit(manifest, &mut pages, page_index, changes, outcome).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn read_pages(&self, manifest: ManifestId) -> Result<Vec<Page>, Fault> {
        let range = KeyRange::prefix(&key::manifest(manifest));
        let rows = self.data.rows.scan(Table::Mf, range, PAGES_MAX).await?;
        let page = |(row_key, value): (Bytes, Bytes)| {
            let content = Arc::new(decode_page(manifest, &value)?);
            Ok(Page { row_key: row_key.to_vec(), value, content })
        };
        rows.into_iter().map(page).collect()
    }

    /// Brings shards of some stripes to where they should be.
    async fn prepare(
        &self,
        manifest: ManifestId,
        page: &Page,
        positions: std::ops::Range<usize>,
        changes: &mut Changes,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        for position in positions {
            if !(self.may_go_on)() {
                outcome.obstacle = Some("the job was paused".to_owned());
                break;
            }
            let index = page.content.first_stripe + u32::try_from(position).unwrap_or(u32::MAX);
            let stripe = Stripe::new(manifest, Arc::clone(&page.content), index)?;
            let group = self.data.placement.group(stripe.record().group)?;
            let placed = Placed {
                members: &group.devices,
                width: usize::from(stripe.geometry.shard_count()),
                m: stripe.geometry.m(),
                shard_len_bytes: stripe.geometry.shard_len_bytes() as u64,
            };
            let holders = &group.devices[..placed.width.min(group.devices.len())];
            match plan(self.scene, self.purpose, placed) {
                Plan::Stay => {}
                Plan::Blocked(why) => outcome.obstacle = Some(why),
                Plan::Trim => self.renamed(&stripe, position, holders.to_vec(), changes).await?,
                Plan::Move(steps) => {
                    self.move_shards(&stripe, position, holders, steps, changes, outcome).await?;
                }
                Plan::Recode { k } => {
                    self.recode(&stripe, position, holders, k, changes, outcome).await?;
                }
            }
        }
        Ok(())
    }

    async fn move_shards(
        &self,
        stripe: &Stripe,
        position: usize,
        holders: &[DeviceId],
        steps: Vec<Step>,
        changes: &mut Changes,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let len = stripe.geometry.shard_len_bytes() as u64;
        let key = |step: &Step| stripe.shard_key(shard_index(step.position));
        let arrivals: Vec<Held> = steps.iter().map(|step| (step.to, key(step))).collect();
        let carried = carry(self.data, self.throttle, stripe, &steps).await;
        if !matches!(carried, Ok(Carried::Stored(()))) {
            outcome.left_behind.extend(arrivals);
            self.give_back(steps.iter().map(|step| (*step, len)));
            if let Carried::Not(why) = carried? {
                outcome.obstacle = Some(why);
            }
            return Ok(());
        }
        changes.old.extend(steps.iter().map(|step| (step.from, key(step))));
        changes.new.extend(arrivals);
        changes.moved.shards += steps.len() as u64;
        changes.moved.bytes += len * steps.len() as u64;
        let mut devices = holders.to_vec();
        steps.iter().for_each(|step| devices[step.position] = step.to);
        changes.taken.extend(steps.into_iter().map(|step| (step, len)));
        self.renamed(stripe, position, devices, changes).await
    }

    async fn recode(
        &self,
        stripe: &Stripe,
        position: usize,
        holders: &[DeviceId],
        k: u8,
        changes: &mut Changes,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let mut arrivals = Vec::new();
        let made = recode(self.data, self.throttle, self.seqs, stripe, k, &mut arrivals).await;
        let recoded = match made {
            Ok(Carried::Stored(recoded)) => recoded,
            Ok(Carried::Not(why)) => {
                outcome.left_behind.extend(arrivals);
                outcome.obstacle = Some(why);
                return Ok(());
            }
            Err(fault) => {
                outcome.left_behind.extend(arrivals);
                return Err(fault);
            }
        };
        let shards = recoded.stored.len() as u64;
        changes.moved.shards += shards;
        changes.moved.bytes += shards * recoded.shard_len_bytes;
        changes.new.extend(recoded.stored);
        changes.old.extend(
            holders
                .iter()
                .zip(0..)
                .map(|(device, index)| (*device, stripe.shard_key(ShardIndex(index)))),
        );
        changes.stripes.push((position, recoded.record));
        Ok(())
    }

    /// Notes that a stripe is to name a group of `devices`.
    async fn renamed(
        &self,
        stripe: &Stripe,
        position: usize,
        devices: Vec<DeviceId>,
        changes: &mut Changes,
    ) -> Result<(), Fault> {
        let group = self.data.placement.group_of(devices).await?.id;
        changes.stripes.push((position, StripeRecord { group, ..stripe.record().clone() }));
        Ok(())
    }

    /// Commits changes to a page; whether the page was still what it was.
    async fn commit(
        &self,
        manifest: ManifestId,
        pages: &mut [Page],
        page_index: usize,
        changes: Changes,
        outcome: &mut Outcome,
    ) -> Result<bool, Fault> {
        let before: BTreeSet<PlacementGroupId> = groups_of(pages);
        let page = &mut pages[page_index];
        let mut content = ManifestPage::clone(&page.content);
        for (position, record) in &changes.stripes {
            content.stripes[*position] = record.clone();
        }
        let change = put(Table::Mf, page.row_key.clone(), &content);
        let Op::Put { value, .. } = &change else { unreachable!("a put was made") };
        let (old, new) = (page.value.clone(), value.clone());
        let guard = Guard::Equals { table: Table::Mf, key: page.row_key.clone(), value: old };
        (page.content, page.value) = (Arc::new(content), new);
        let number = page.content.first_stripe / ManifestPage::STRIPES_PER_PAGE;
        let after = groups_of(pages);
        let mut ops = vec![change];
        ops.extend(after.difference(&before).map(|group| Op::Put {
            table: Table::Pgidx,
            key: key::pgidx(*group, manifest),
            value: Bytes::new(),
        }));
        let left = before.difference(&after);
        ops.extend(left.map(|group| delete(Table::Pgidx, key::pgidx(*group, manifest))));
        fail::fail_point!("relocate-before-commit");
        let committed = self.data.rows.commit(vec![guard], ops).await;
        self.data.manifests.forget_page(manifest, number);
        fail::fail_point!("relocate-after-commit");
        match committed {
            Ok(None) => {
                outcome.commits += 1;
                outcome.moved.shards += changes.moved.shards;
                outcome.moved.bytes += changes.moved.bytes;
                outcome.left_behind.extend(changes.old);
                Ok(true)
            }
            Ok(Some(_guard)) => {
                // Overwritten or deleted: what was copied is garbage.
                self.abandon(changes, outcome);
                outcome.obstacle = Some("objects changed meanwhile".to_owned());
                Ok(false)
            }
            Err(fault) => {
                if !matches!(fault, Fault::Indeterminate { .. }) {
                    self.abandon(changes, outcome);
                }
                Err(fault)
            }
        }
    }

    /// Gives up changes that will not be committed.
    fn abandon(&self, changes: Changes, outcome: &mut Outcome) {
        outcome.left_behind.extend(changes.new);
        self.give_back(changes.taken.into_iter());
    }

    fn give_back(&self, steps: impl Iterator<Item = (Step, u64)>) {
        if let Purpose::Rebalance(budget) = self.purpose {
            steps.for_each(|(step, len)| budget.give_back(step.from, step.to, len));
        }
    }
}

fn shard_index(position: usize) -> ShardIndex {
    ShardIndex(u8::try_from(position).expect("stripes are narrow"))
}

fn groups_of(pages: &[Page]) -> BTreeSet<PlacementGroupId> {
    pages.iter().flat_map(|page| page.content.stripes.iter().map(|stripe| stripe.group)).collect()
}
