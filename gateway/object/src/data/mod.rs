//! The data path: bodies in, bodies out, and the rows and keys that make them findable.
//!
//! Owns hashing, sealing, encoding, placement, leases, the device registry and the reads and
//! writes that use them. The background workers of [`crate::worker`] run on the same parts.
//!
//! Invariants:
//! - nothing written here is visible until the caller commits the returned ops under the returned
//!   guards, and every shard they name was durable before;
//! - nothing that a commit named, or may still name, is deleted: ids in flight are skipped, and
//!   whether an id was committed is asked only after it stopped being in flight;
//! - plaintext leaves only after its tag was verified; devices see ciphertext only;
//! - bytes in memory stay within one budget, however many requests run.
//!
//! Deliberately absent: buckets, names, versions, conditions; they belong to the service.
//!
//! *Crash consistency:* ids come from leases; the next start fences them, and what was stored under
//! them without a commit is swept.
//! *Cancellation:* every future here may be dropped; what it stored becomes garbage.

mod background;
mod breaker;
mod budget;
mod cache;
pub(crate) mod config;
pub(crate) mod devices;
mod digest;
mod digest_lanes;
mod fetch;
mod hashing;
mod keys;
mod latency;
pub(crate) mod lease;
pub(crate) mod manifest;
pub(crate) mod memory;
mod pins;
pub(crate) mod placement;
mod read;
pub(crate) mod rows;
mod slot;
mod stripe_put;
pub(crate) mod stripe_read;
mod stripe_write;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gateway_meta::{
    AccountId, BucketId, Guard, Op, Table, key,
    record::{Body, BucketKeyRecord, GcRecord, PartTableEntry},
};
use node_proto::{Clock, Layout, ManifestId, NodeId, ShardService};
use node_stripe::Profile;
use tokio::sync::mpsc;

pub(crate) use config::DataConfig;
pub(crate) use lease::InFlight;
pub(crate) use read::ReadKeys;
pub(crate) use write::{WriteTarget, WrittenBody};

use crate::relocate;
use crate::worker::{Marks, Queues, Supervisor};
use crate::{
    ByteStream, DeviceReport, Fault, IncomingBody, ObjectDeps, ObjectWriteError, RepairStatus,
    ResolvedRange, ScrubStatus,
};

/// Damage reports that wait to be recorded. Chosen; what does not fit is found again.
const DAMAGE_QUEUE_MAX: usize = 1024;

/// The data path of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DataPath {
    inner: Arc<Inner>,
    supervisor: Arc<Supervisor>,
}

/// What all parts of the data path share.
pub(crate) struct Inner {
    pub(crate) rows: rows::Rows,
    pub(crate) keys: keys::Keys,
    pub(crate) leases: lease::Leases,
    pub(crate) devices: Arc<devices::Devices>,
    pub(crate) placement: placement::Placement,
    pub(crate) manifests: manifest::Manifests,
    pub(crate) pins: pins::Pins,
    pub(crate) moves: relocate::Moves,
    pub(crate) jobs: relocate::Jobs,
    pub(crate) memory: memory::MemoryBudget,
    pub(crate) buffers: memory::BufferPool,
    pub(crate) cpu: memory::CpuGate,
    pub(crate) digest_lanes: digest_lanes::DigestLanes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: DataConfig,
    pub(crate) closing: AtomicBool,
    pub(crate) repaired_shards: AtomicU64,
    pub(crate) failed_repairs: AtomicU64,
    pub(crate) background: background::Background,
    damage: mpsc::Sender<Damage>,
}

/// Shards of a stripe seen missing or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) manifest: ManifestId,
    pub(crate) stripe_index: u32,
    pub(crate) suspects: stripe_read::ShardSet,
}

impl DataPath {
    /// Fences what earlier incarnations left, takes stock of the devices and starts the workers.
    ///
    /// # Errors
    /// [`Fault`] when the metadata store fails or holds what cannot be understood, or when the
    /// configuration makes no sense.
    pub(crate) async fn open(deps: &ObjectDeps, config: DataConfig) -> Result<Self, Fault> {
        let (inner, queues) = Inner::open(deps, config).await?;
        let inner = Arc::new(inner);
        crate::worker::observe_devices(&inner, Marks::WhenDue).await?;
        let supervisor = Supervisor::new(inner.config.random.clone());
        if inner.config.workers.enabled {
            supervisor.start_all(crate::worker::all(&inner, queues));
        } else {
            supervisor.park(queues);
        }
        Ok(Self { inner, supervisor: Arc::new(supervisor) })
    }

    /// Stores a body durably; see [`WrittenBody`] for what the caller commits.
    ///
    /// # Errors
    /// [`ObjectWriteError`] when the body is refused, or cannot be stored; nothing is visible then.
    pub(crate) async fn write(
        &self,
        target: WriteTarget,
        body: IncomingBody,
        limit_bytes: u64,
    ) -> Result<WrittenBody, ObjectWriteError> {
        write::write(&self.inner, target, body, limit_bytes).await
    }

    /// Reads `range` of a body of `object_len_bytes`, which `keys` open. The first bytes are
    /// verified when this returns.
    ///
    /// # Errors
    /// [`Fault`]; later ones end the stream.
    pub(crate) async fn read(
        &self,
        keys: impl Into<ReadKeys>,
        body: Body,
        object_len_bytes: u64,
        range: ResolvedRange,
    ) -> Result<ByteStream, Fault> {
        read::read(&self.inner, keys.into(), body, object_len_bytes, range).await
    }

    /// The parts of a completed multipart object, ascending.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the table is incomplete.
    pub(crate) async fn part_table(&self, id: ManifestId) -> Result<Vec<PartTableEntry>, Fault> {
        let inner = Arc::clone(&self.inner);
        self.inner.cpu.run(move || read::part_table(&inner, id)).await?
    }

    /// An id for a part table, the guard that its commit must carry, and its protection from
    /// sweeps until that commit answered.
    ///
    /// # Errors
    /// [`Fault`] when the metadata store fails.
    pub(crate) async fn allocate_manifest(&self) -> Result<(ManifestId, Guard, InFlight), Fault> {
        self.inner.leases.allocate().await
    }

    /// What the commit that drops the last reference to `body` must do: queue it for reclamation.
    /// Readers under way go on.
    pub(crate) fn unlink_ops(&self, body: &Body) -> Vec<Op> {
        let Some(manifest) = body.manifest() else { return Vec::new() };
        let record = GcRecord {
            unlinked: self.inner.clock.now(),
            part_table: matches!(body, Body::Parts(_)),
        };
        vec![rows::put(Table::Gcq, key::manifest(manifest), &record)]
    }

    /// A new bucket's key of one epoch, for the commit that makes the bucket.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the owner has no usable key pair; whether the account exists is for
    /// the caller to check.
    pub(crate) fn new_bucket_key(
        &self,
        owner: AccountId,
        bucket: BucketId,
        epoch: u32,
    ) -> Result<BucketKeyRecord, Fault> {
        self.inner.keys.new_bucket_key(keys::BucketKeyId { owner, bucket, epoch })
    }

    /// Where repair, rebuild and reclamation stand.
    ///
    /// # Errors
    /// [`Fault`] when the metadata store fails.
    pub(crate) async fn repair_status(&self) -> Result<RepairStatus, Fault> {
        crate::worker::repair_status(&self.inner).await
    }

    /// Where scrubbing stands.
    pub(crate) fn scrub_status(&self) -> ScrubStatus {
        let progress = |slot: &Arc<devices::Slot>| (slot.id(), slot.service.scrub_progress());
        ScrubStatus { devices: self.inner.devices.view().slots().iter().map(progress).collect() }
    }

    /// Starts a scrub pass on every device that is not in one, and a look for shards that devices
    /// should hold and do not list, which no scrub of a device can know of.
    pub(crate) fn start_scrub(&self) {
        for slot in self.inner.devices.view().slots() {
            slot.service.start_scrub();
            slot.want_audit();
        }
    }

    /// The devices as this process sees them.
    pub(crate) fn devices(&self) -> Vec<DeviceReport> {
        let report = |slot: &Arc<devices::Slot>| DeviceReport {
            status: slot.service.status(),
            failure_domain: slot.layout.failure_domain.clone(),
            address: slot.layout.address.clone(),
            node: slot.layout.node,
            draining: slot.draining,
            breaker: slot.state.breaker.state(),
            get_p95: slot.state.gets.p95(),
            put_p95: slot.state.puts.p95(),
            requests_in_flight: slot.state.in_flight(),
            rebuilding: slot.state.rebuilding.load(Ordering::Acquire),
        };
        self.inner.devices.view().slots().iter().map(report).collect()
    }

    /// Puts a layout in place; see [`crate::ObjectService::apply_layout`].
    ///
    /// # Errors
    /// [`Fault`]; the layout in place stays then.
    pub(crate) async fn apply_layout(
        &self,
        layout: Layout,
        services: &[Arc<dyn ShardService>],
    ) -> Result<(), Fault> {
        // What a device lacks is recorded before anything relies on it.
        let admit = |joined| crate::worker::observe_slots(&self.inner, joined, Marks::WhenDue);
        self.inner.devices.apply(layout, services, admit).await
    }

    /// The long jobs.
    pub(crate) fn jobs(&self) -> &relocate::Jobs {
        &self.inner.jobs
    }

    /// Stripe positions that metadata names on a node's devices.
    ///
    /// # Errors
    /// [`Fault`] when the metadata store fails.
    pub(crate) async fn held_shards(&self, node: NodeId) -> Result<u64, Fault> {
        relocate::held_shards(&self.inner, node).await
    }

    /// Refuses new bodies and stops the workers once their current step is done. Bodies under way
    /// go on; the caller waits for them first.
    pub(crate) async fn shutdown(&self) {
        self.inner.closing.store(true, Ordering::Release);
        self.supervisor.stop().await;
        self.inner.background.drain().await;
        if let Err(fault) = crate::worker::observe_devices(&self.inner, Marks::Now).await {
            tracing::warn!(%fault, "the state of the devices was not recorded");
        }
    }
}

impl Inner {
    async fn open(deps: &ObjectDeps, config: DataConfig) -> Result<(Self, Queues), Fault> {
        config.validate().map_err(|error| rows::corrupt(error.to_string()))?;
        let rows = rows::Rows::new(Arc::clone(&deps.meta), Arc::clone(&deps.txids));
        let (leases, discards) = lease::Leases::open(rows.clone(), config.lease_ids).await?;
        let devices = devices::Devices::new(deps.layout.clone(), &deps.devices, &config)?;
        let devices = Arc::new(devices);
        let placement =
            placement::Placement::open(rows.clone(), Arc::clone(&devices), &config).await?;
        let jobs = relocate::Jobs::open(rows.clone(), Arc::clone(&deps.clock)).await?;
        let (damage, damages) = mpsc::channel(DAMAGE_QUEUE_MAX);
        let cpu = memory::CpuGate::new(config.cpu_jobs_max);
        let idle_bytes_max = usize::try_from(config.memory_limit_bytes / 8).unwrap_or(usize::MAX);
        let inner = Self {
            keys: keys::Keys::new(
                rows.clone(),
                Arc::clone(&deps.root_key),
                config.random.clone(),
                config.key_cache_max,
            ),
            manifests: manifest::Manifests::new(rows.clone(), config.page_cache_bytes_max),
            rows,
            leases,
            devices,
            placement,
            pins: pins::Pins::default(),
            moves: relocate::Moves::default(),
            jobs,
            memory: memory::MemoryBudget::new(
                config.memory_limit_bytes,
                u64::from(config.profile.stripe_len_bytes),
            ),
            buffers: memory::BufferPool::new(idle_bytes_max),
            digest_lanes: digest_lanes::DigestLanes::new(cpu.clone()),
            cpu,
            clock: Arc::clone(&deps.clock),
            config,
            closing: AtomicBool::new(false),
            repaired_shards: AtomicU64::new(0),
            failed_repairs: AtomicU64::new(0),
            background: background::Background::default(),
            damage,
        };
        Ok((inner, Queues { discards, damages }))
    }

    /// The profile with as many data shards as the usable failure domains leave room for.
    pub(crate) fn adapted_profile(&self) -> Result<Profile, Fault> {
        let profile = self.config.profile;
        let needed = usize::from(profile.m) + 1;
        profile.adapted(self.placement.domains_up()).ok_or_else(|| self.placement.shortage(needed))
    }

    /// Notes damage for repair. A full queue loses the note; the next read or scrub finds it again.
    pub(crate) fn report_damage(&self, stripe: &manifest::Stripe, suspects: stripe_read::ShardSet) {
        metrics::counter!("datamesh_stripe_damaged_shards_total").increment(suspects.len() as u64);
        let (manifest, stripe_index) = (stripe.manifest, stripe.index);
        let damage = Damage { manifest, stripe_index, suspects };
        if self.damage.try_send(damage).is_err() {
            metrics::counter!("datamesh_repair_reports_skipped_total").increment(1);
        }
    }
}
