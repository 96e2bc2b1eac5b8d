//! The worker that runs the jobs.
//!
//! A job is a series of passes over the groups that it concerns; what is moved leaves them, and a
//! job is done when a pass finds nobody in them and no upload that began before can come to be.
//!
//! Invariants:
//! - a job goes on from what placement groups and pages say, however often it is stopped;
//! - a paused job moves nothing; the stripe under way is finished;
//! - moves give way to repair: they stay within its rate, and wait while a stripe that survives no
//!   further loss waits for repair.
//!
//! *Crash consistency:* see [`super::rewrite`]. A job that was open goes on after the next start.
//! *Limits:* a bounded number of bodies at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use gateway_meta::{
    KeyRange, Table, key,
    record::{JobKind, JobState},
};
use node_proto::{DeviceHealth, DeviceId, Epoch, ManifestId, NodeState, PlacementGroupId};
use tokio::time::Instant;

use super::balance::{Budget, Holder, is_uneven};
use super::carry::Seqs;
use super::census::{count, count_positions, is_used, manifest_of_row};
use super::jobs::{Moved, label_of};
use super::left_behind::LeftBehind;
use super::plan::{Purpose, concerns, unfit};
use super::rewrite::{Mover, Outcome};
use super::scene::{Scene, Seen};
use crate::Fault;
use crate::data::Inner;
use crate::worker::restore::Throttle;
use crate::worker::{Pace, Worker};

/// Pause between looks for something to move. Chosen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Bodies taken per step. Chosen; few in tests, so that jobs take steps.
const BODIES_PER_STEP: usize = if cfg!(test) { 4 } else { 64 };
/// Pause before a job that could move nothing tries again. Chosen: devices come back, and room is
/// made, in such times.
const BLOCKED_PAUSE: Duration = Duration::from_secs(10);
/// Bodies in a row that could not be moved, after which a pass ends. Chosen: the rest is in the way
/// of the same.
const OBSTACLES_MAX: u64 = 256;
/// Pause between looks at a job that had nothing to do. Chosen: nothing but a change of the layout
/// makes new work.
const SETTLED_PAUSE: Duration = Duration::from_secs(60);
/// Pause of a step while a stripe that survives no further loss waits for repair. Chosen: leaves
/// repair nearly the whole rate, and does not wait for what cannot be repaired.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);

/// The worker.
pub(crate) struct Relocate {
    data: Arc<Inner>,
    throttle: Throttle,
    seqs: Seqs,
    left_behind: LeftBehind,
    runs: BTreeMap<JobKind, Run>,
    epoch: Option<Epoch>,
    /// When what devices hold was last counted.
    counted: Option<Instant>,
}

/// How far a job is in this process.
#[derive(Default)]
struct Run {
    /// Bodies in flight when this began: they may still be committed to groups that it concerns.
    stragglers: BTreeSet<ManifestId>,
    retry_at: Option<Instant>,
    pass: Option<Pass>,
}

/// One pass over the groups that a job concerns.
#[derive(Default)]
struct Pass {
    groups: VecDeque<PlacementGroupId>,
    next_manifest: u64,
    budget: Option<Budget>,
    commits: u64,
    obstacles: u64,
    obstacle: Option<String>,
}

impl Relocate {
    pub(crate) fn new(data: Arc<Inner>, repair: Arc<Throttle>) -> Self {
        let throttle = Throttle::within(repair, data.config.workers.move_bytes_per_second);
        Self {
            data,
            throttle,
            seqs: Seqs::default(),
            left_behind: LeftBehind::default(),
            runs: BTreeMap::new(),
            epoch: None,
            counted: None,
        }
    }

    /// The jobs that the layout may want, most urgent first. Those that it no longer wants end.
    async fn wanted(&mut self) -> Result<Vec<JobKind>, Fault> {
        let view = self.data.devices.view();
        if self.epoch.replace(view.epoch()) != Some(view.epoch()) {
            // What was settled may no longer be, and groups may be chosen that were not.
            let in_flight: BTreeSet<ManifestId> =
                self.data.leases.in_flight().into_iter().map(ManifestId).collect();
            for run in self.runs.values_mut() {
                run.stragglers.extend(in_flight.iter().copied());
                (run.retry_at, run.pass) = (None, None);
            }
            self.counted = None;
        }
        let draining = view.layout.nodes.iter().filter(|node| node.state == NodeState::Draining);
        let mut wanted = vec![JobKind::Departed];
        wanted.extend(draining.map(|node| JobKind::Drain(node.id)));
        wanted.extend([JobKind::Respread, JobKind::Rebalance]);
        for kind in self.data.jobs.open_kinds() {
            if !wanted.contains(&kind) {
                self.data.jobs.end(kind, JobState::Cancelled).await?;
            }
        }
        self.runs.retain(|kind, _| wanted.contains(kind));
        Ok(wanted)
    }

    /// Takes a step of one job.
    async fn advance(&mut self, kind: JobKind, scene: &Scene) -> Result<Pace, Fault> {
        let state = self.data.jobs.state(kind);
        let in_flight = || self.data.leases.in_flight().into_iter().map(ManifestId).collect();
        let run = self
            .runs
            .entry(kind)
            .or_insert_with(|| Run { stragglers: in_flight(), ..Run::default() });
        if state == Some(JobState::Paused) {
            // What is to be moved is looked up anew when it goes on.
            (run.pass, run.retry_at) = (None, None);
            return Ok(Pace::Idle);
        }
        if run.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(Pace::Idle);
        }
        let Some(mut pass) = run.pass.take() else { return self.begin(kind, scene).await };
        let is_over = match self.take_step(kind, scene, &mut pass).await {
            Ok(is_over) => is_over,
            Err(fault) => {
                // The pass starts anew, when others had their turn.
                if let Some(run) = self.runs.get_mut(&kind) {
                    let pause = self.data.config.random.jitter(BLOCKED_PAUSE);
                    run.retry_at = Some(Instant::now() + pause);
                }
                return Err(fault);
            }
        };
        if is_over {
            return self.end_pass(kind, pass).await;
        }
        if let Some(run) = self.runs.get_mut(&kind) {
            run.pass = Some(pass);
        }
        Ok(Pace::More)
    }

    /// Begins a pass if there is something to do.
    async fn begin(&mut self, kind: JobKind, scene: &Scene) -> Result<Pace, Fault> {
        if kind == JobKind::Rebalance {
            return self.begin_rebalance(scene).await;
        }
        let data = Arc::clone(&self.data);
        let is_open = data.jobs.state(kind).is_some();
        let Some(run) = self.runs.get_mut(&kind) else { return Ok(Pace::Idle) };
        // Before the groups are looked at: what was in flight may be committed meanwhile.
        run.stragglers.retain(|id| data.leases.is_in_flight(*id) && !data.leases.is_kept(*id));
        let purpose = purpose_of(kind, None);
        let mut groups = VecDeque::new();
        for group in data.placement.groups() {
            if concerns(scene, purpose, &group.devices) && is_used(&data, group.id).await? {
                groups.push_back(group.id);
            }
        }
        if groups.is_empty() {
            if !run.stragglers.is_empty() {
                return Ok(Pace::Idle);
            }
            run.retry_at = Some(Instant::now() + SETTLED_PAUSE);
            if is_open {
                data.jobs.end(kind, JobState::Done).await?;
            }
            return Ok(Pace::Idle);
        }
        let counted = |holders: &[_]| unfit(scene, purpose, holders).len();
        let total = count_positions(&data, groups.iter().copied(), counted).await?.bytes;
        data.jobs.begin(kind, total).await?;
        data.jobs.counted(kind, total);
        run.pass = Some(Pass { groups, ..Pass::default() });
        Ok(Pace::More)
    }

    /// Begins a rebalance, or goes on with one, if devices are unevenly full.
    async fn begin_rebalance(&mut self, scene: &Scene) -> Result<Pace, Fault> {
        let data = Arc::clone(&self.data);
        let is_open = data.jobs.state(JobKind::Rebalance).is_some();
        let profile = data.config.profile;
        let width = usize::from(profile.k) + usize::from(profile.m);
        let interval = data.config.workers.rebalance_interval;
        let is_recent = self.counted.is_some_and(|at| at.elapsed() < interval);
        // Shares without a device that will be back would have much moved in vain.
        let is_away = |seen: &Seen| !seen.is_draining && seen.health == DeviceHealth::Offline;
        if scene.iter().any(|(_, seen)| is_away(seen)) {
            let why = "waiting for devices that are offline".to_owned();
            data.jobs.blocked(JobKind::Rebalance, Some(why)).await?;
            return Ok(Pace::Idle);
        }
        // What devices say includes space that they have not given back; it is a hint that costs
        // nothing.
        let seems_uneven = || is_uneven(&holders(scene, |_, used| used), width);
        if !is_open && (is_recent || !seems_uneven()) {
            return Ok(Pace::Idle);
        }
        let groups: Vec<PlacementGroupId> =
            data.placement.groups().iter().map(|group| group.id).collect();
        let held = count(&data, groups).await?;
        self.counted = Some(Instant::now());
        let holders = holders(scene, |id, _| held.get(&id).map_or(0, |amount| amount.bytes));
        if !is_open && !is_uneven(&holders, width) {
            return Ok(Pace::Idle);
        }
        let budget = Budget::new(&holders, width);
        if budget.is_met() {
            data.jobs.end(JobKind::Rebalance, JobState::Done).await?;
            return Ok(Pace::Idle);
        }
        let total = budget.left_bytes();
        data.jobs.begin(JobKind::Rebalance, total).await?;
        data.jobs.counted(JobKind::Rebalance, total);
        let purpose = Purpose::Rebalance(&budget);
        let concerned = data.placement.groups().into_iter();
        let concerned = concerned.filter(|group| concerns(scene, purpose, &group.devices));
        let groups = concerned.map(|group| group.id).collect();
        if let Some(run) = self.runs.get_mut(&JobKind::Rebalance) {
            run.pass = Some(Pass { groups, budget: Some(budget), ..Pass::default() });
        }
        Ok(Pace::More)
    }

    /// Moves what a job wants of some bodies; whether the pass is over.
    async fn take_step(
        &mut self,
        kind: JobKind,
        scene: &Scene,
        pass: &mut Pass,
    ) -> Result<bool, Fault> {
        let Some(group) = pass.groups.front().copied() else { return Ok(true) };
        self.give_way().await?;
        let range = KeyRange {
            start: key::pgidx(group, ManifestId(pass.next_manifest)),
            ..KeyRange::prefix(&key::pgidx_prefix(group))
        };
        let rows = self.data.rows.scan(Table::Pgidx, range, BODIES_PER_STEP).await?;
        let manifests: Vec<ManifestId> =
            rows.iter().map(|(row_key, _)| manifest_of_row(row_key)).collect::<Result<_, _>>()?;
        let Some(last) = manifests.last() else {
            pass.groups.pop_front();
            pass.next_manifest = 0;
            return Ok(pass.groups.is_empty());
        };
        pass.next_manifest = last.0.saturating_add(1);
        let budget = pass.budget.take();
        let relocated = self.relocate(kind, scene, budget.as_ref(), manifests, pass).await;
        let is_met = budget.as_ref().is_some_and(Budget::is_met);
        pass.budget = budget;
        relocated?;
        Ok(is_met || pass.commits == 0 && pass.obstacles >= OBSTACLES_MAX)
    }

    async fn relocate(
        &mut self,
        kind: JobKind,
        scene: &Scene,
        budget: Option<&Budget>,
        manifests: Vec<ManifestId>,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let Self { data, throttle, seqs, left_behind, .. } = self;
        let data: &Arc<Inner> = data;
        let may_go_on = || {
            let is_running = data.jobs.state(kind).is_some_and(|state| state != JobState::Paused);
            is_running && !data.closing.load(Ordering::Acquire)
        };
        let purpose = purpose_of(kind, budget);
        let mover = Mover { data, throttle, seqs, scene, purpose, may_go_on: &may_go_on };
        let mover = &mover;
        let mut outcomes = futures::stream::iter(manifests)
            .map(|manifest| mover.relocate(manifest))
            .buffer_unordered(data.config.workers.move_concurrency.max(1));
        let mut failure = None;
        while let Some(mut outcome) = outcomes.next().await {
            left_behind.extend(data, std::mem::take(&mut outcome.left_behind));
            note_moved(data, kind, outcome.moved).await?;
            if outcome.commits > 0 {
                data.jobs.blocked(kind, None).await?;
            }
            if let Err(fault) = pass.take_in(outcome) {
                failure = Some(fault);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn end_pass(&mut self, kind: JobKind, pass: Pass) -> Result<Pace, Fault> {
        let Some(run) = self.runs.get_mut(&kind) else { return Ok(Pace::Idle) };
        if self.data.jobs.state(kind) == Some(JobState::Paused) {
            return Ok(Pace::Idle);
        }
        if kind == JobKind::Rebalance && (pass.obstacle.is_none() || pass.commits == 0) {
            // What could not be evened out stays: within distinct domains for good, and what was in
            // the way until the next count.
            self.data.jobs.end(kind, JobState::Done).await?;
            return Ok(Pace::Idle);
        }
        if pass.commits > 0 {
            return Ok(Pace::More);
        }
        run.retry_at = Some(Instant::now() + self.data.config.random.jitter(BLOCKED_PAUSE));
        if pass.obstacle.is_some() {
            self.data.jobs.blocked(kind, pass.obstacle).await?;
        }
        Ok(Pace::Idle)
    }

    /// Waits a little while repair has something urgent to do.
    async fn give_way(&self) -> Result<(), Fault> {
        let first = self.data.rows.scan(Table::Repair, KeyRange::all(), 1).await?;
        let margin = first.first().and_then(|(row_key, _)| key::parse_repair(row_key));
        if margin.is_some_and(|(margin, ..)| margin == 0) {
            tokio::time::sleep(REPAIR_PAUSE).await;
        }
        Ok(())
    }

    fn tell_pending(&self, wanted: &[JobKind]) {
        let mut pending: BTreeMap<&'static str, u64> =
            wanted.iter().map(|kind| (label_of(*kind), 0)).collect();
        for report in self.data.jobs.reports().iter().filter(|report| report.ended.is_none()) {
            *pending.entry(label_of(report.kind)).or_default() += report.remaining_bytes;
        }
        for (label, bytes) in pending {
            metrics::gauge!("datamesh_relocation_pending_bytes", "kind" => label).set(bytes as f64);
        }
    }
}

async fn note_moved(data: &Inner, kind: JobKind, moved: Moved) -> Result<(), Fault> {
    let label = label_of(kind);
    metrics::counter!("datamesh_relocation_moved_bytes_total", "kind" => label)
        .increment(moved.bytes);
    metrics::counter!("datamesh_relocation_moved_shards_total", "kind" => label)
        .increment(moved.shards);
    data.jobs.moved(kind, moved).await
}

impl Pass {
    /// Notes what became of a body.
    fn take_in(&mut self, outcome: Outcome) -> Result<(), Fault> {
        self.commits += outcome.commits;
        match outcome.fault {
            // What cannot be understood must not hold up the rest.
            Some(Fault::Corrupt { reason }) => {
                tracing::error!(reason, "a body cannot be moved");
                self.note_obstacle("metadata of some objects is damaged".to_owned());
                Ok(())
            }
            Some(fault) => Err(fault),
            None => {
                outcome.obstacle.into_iter().for_each(|why| self.note_obstacle(why));
                Ok(())
            }
        }
    }

    fn note_obstacle(&mut self, why: String) {
        self.obstacles += 1;
        self.obstacle = Some(why);
    }
}

fn purpose_of(kind: JobKind, budget: Option<&Budget>) -> Purpose<'_> {
    match (kind, budget) {
        (JobKind::Drain(node), _) => Purpose::Drain(node),
        (JobKind::Rebalance, Some(budget)) => Purpose::Rebalance(budget),
        (JobKind::Respread, _) => Purpose::Respread,
        (JobKind::Departed | JobKind::Rebalance, _) => Purpose::Departed,
    }
}

/// The devices that share what there is, with what `held` makes of what they say is used.
fn holders(scene: &Scene, held: impl Fn(DeviceId, u64) -> u64) -> Vec<Holder> {
    let staying = scene.iter().filter(|(_, seen)| !seen.is_draining && seen.capacity_bytes > 0);
    let holder = |(device, seen): (_, &Seen)| Holder {
        device,
        domain: seen.domain.clone(),
        capacity_bytes: seen.capacity_bytes,
        held_bytes: held(device, seen.capacity_bytes.saturating_sub(seen.free_bytes)),
    };
    staying.map(holder).collect()
}

#[async_trait]
impl Worker for Relocate {
    fn name(&self) -> &'static str {
        "relocate"
    }

    fn interval(&self) -> Duration {
        LOOK_INTERVAL
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        self.left_behind.delete_due(&self.data).await?;
        let wanted = self.wanted().await?;
        let mut pace = Pace::Idle;
        for kind in &wanted {
            // What devices are and have is looked at in each step: it changes with every move.
            let scene = Scene::look(&self.data.devices.view());
            if self.advance(*kind, &scene).await? == Pace::More {
                pace = Pace::More;
                break;
            }
        }
        self.tell_pending(&wanted);
        Ok(pace)
    }

    async fn woken(&mut self) {
        self.data.jobs.changed.notified().await;
    }
}
