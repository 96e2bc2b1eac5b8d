//! The drive as the rest of the system sees it: one object per layout slot, for good.
//!
//! Invariants:
//! - a drive that cannot serve answers `Offline` with a reason; it never vanishes and never panics;
//! - at most one opening exists at a time: a failed one must have let go of everything before the
//!   next may start;
//! - which formatting serves, and how often it was opened, is always visible in the status.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::sync_channel,
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, ClusterId, Continuity, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus,
    GetShardError, ListShardsError, PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot,
    ShardService,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::{
    config::DriveConfig,
    core::Shared,
    lock::{LockError, is_mount_point},
    open::{Cut, OpenFailure, Opening},
    reader,
    session::Session,
};

/// How long a probe waits for the threads of a failed opening before it leaves the drive offline
/// until the next probe. Chosen: shorter than the time between probes.
const WIND_DOWN_WAIT: Duration = Duration::from_millis(500);

/// Why a drive must not be used: a mistake in the configuration, which a restart does not mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenDriveError {
    /// The directory was formatted by another cluster. Name another directory.
    #[error("{directory} belongs to cluster {found}")]
    ForeignCluster {
        /// The directory named in the configuration.
        directory: String,
        /// The cluster it belongs to.
        found: ClusterId,
    },
    /// The directory holds another device of this cluster. Put the drives in order.
    #[error("{directory} holds device {}, not device {}", found.0, expected.0)]
    WrongDevice {
        /// The directory named in the configuration.
        directory: String,
        /// The device it holds.
        found: DeviceId,
        /// The device it was opened as.
        expected: DeviceId,
    },
    /// Another process, or another drive of this one, uses the directory.
    #[error("{directory} is in use")]
    InUse {
        /// The directory named in the configuration.
        directory: String,
    },
    /// The directory has files in it and no superblock: it is not a drive.
    #[error("{directory} holds other files and is not a drive")]
    NotADrive {
        /// The directory named in the configuration.
        directory: String,
    },
    /// A limit that cannot work.
    #[error("invalid drive limits: {reason}")]
    InvalidLimits {
        /// Which limit, and what it must be.
        reason: &'static str,
    },
}

/// One storage drive.
///
/// *Crash consistency:* see [`ShardService`]; a drive that was killed opens again with every
/// acknowledged shard, after reading what was written behind its last checkpoint.
/// *Limits:* see [`crate::DriveLimits`].
pub struct Drive {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    slot: RwLock<Slot>,
    /// Since when the directory is being looked at.
    probing_since: Mutex<Option<Instant>>,
    was_mount_point: AtomicBool,
    closed: AtomicBool,
}

enum Slot {
    Open(Arc<Session>),
    Closed {
        reason: String,
        cut: Option<Cut>,
        /// Lives as long as anything of the failed opening does: its threads, its index, its lock.
        previous: Weak<()>,
    },
}

impl Drive {
    /// Opens the drive. Blocks for I/O, up to `open_wait` when the index must be rebuilt.
    ///
    /// A drive that cannot be opened for want of a working medium is returned offline; probes
    /// bring it online later. So is one whose directory is wrong, unless `refuse_foreign` is set.
    ///
    /// # Errors
    /// [`OpenDriveError`] when the configuration names a wrong directory or limit.
    pub fn open(config: DriveConfig) -> Result<Self, OpenDriveError> {
        if let Some(reason) = config.limits.fault() {
            return Err(OpenDriveError::InvalidLimits { reason });
        }
        let open_wait = config.limits.open_wait;
        let inner = Arc::new(Inner {
            shared: Arc::new(Shared::new(config)),
            slot: RwLock::new(Slot::Closed {
                reason: "the drive is being opened".to_owned(),
                cut: None,
                previous: Weak::new(),
            }),
            probing_since: Mutex::new(Some(Instant::now())),
            was_mount_point: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        inner.shared.telemetry.set_state(DeviceHealth::Offline);
        let (opened, outcome) = sync_channel(1);
        let opener = Arc::clone(&inner);
        let spawned = spawn(&inner, "open", move || {
            let probing = Probing(&opener);
            let result = opener.open_once(true);
            drop(probing);
            // Nobody waits any more when it took too long.
            let _ = opened.send(result);
        });
        if let Err(error) = spawned {
            *inner.probing_since.lock() = None;
            inner.set_reason(format!("the drive cannot be opened: {error}"));
            return Ok(Self { inner });
        }
        // Timing out leaves the drive offline until the rebuild is through.
        if let Ok(Err(failure)) = outcome.recv_timeout(open_wait) {
            inner.as_config_error(failure)?;
        }
        Ok(Self { inner })
    }

    /// Looks whether the drive is there and well: takes it offline when it is not, and opens it
    /// again when it is back. To be called every few seconds. Returns the status afterwards.
    ///
    /// Cancel-safe: a probe that was started runs to its end.
    pub async fn probe(&self) -> DeviceStatus {
        if !self.inner.closed.load(SeqCst) && self.inner.start_probing() {
            let (done, finished) = oneshot::channel();
            let inner = Arc::clone(&self.inner);
            let spawned = spawn(&self.inner, "probe", move || {
                let done = Mutex::new(Some(done));
                let probing = Probing(&inner);
                inner.probe(&done);
                // Before the caller hears of it: its next probe must not find this one under way.
                drop(probing);
            });
            match spawned {
                // The sender goes when the probe ends or turns into a long rebuild.
                Ok(()) => drop(finished.await),
                Err(_) => *self.inner.probing_since.lock() = None,
            }
        }
        self.status()
    }

    /// Serves what was admitted, makes the index durable and lets go of the directory. Further
    /// calls are answered `Offline`.
    pub async fn close(&self) {
        self.inner.closed.store(true, SeqCst);
        let (done, finished) = oneshot::channel::<()>();
        let inner = Arc::clone(&self.inner);
        let spawned = spawn(&self.inner, "close", move || {
            inner.close();
            drop(done);
        });
        match spawned {
            Ok(()) => drop(finished.await),
            Err(_) => self.inner.close(),
        }
    }

    fn session(&self) -> Result<Arc<Session>, String> {
        match &*self.inner.slot.read() {
            Slot::Open(session) => match session.core.failed() {
                None => Ok(Arc::clone(session)),
                Some(reason) => Err(reason.to_owned()),
            },
            Slot::Closed { reason, .. } => Err(reason.clone()),
        }
    }

    async fn write(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
        replace: bool,
    ) -> Result<(), PutShardError> {
        let device = self.inner.shared.config.device;
        let offline = |reason| PutShardError::Offline { device, reason };
        let answered = self.session().map_err(offline)?.put(key, root, payload, replace)?;
        answered.await.unwrap_or_else(|_| Err(offline(self.lost_reason())))
    }

    /// Why an admitted call got no answer.
    fn lost_reason(&self) -> String {
        self.session().err().unwrap_or_else(|| "the drive stopped".to_owned())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.inner.closed.store(true, SeqCst);
        if let Slot::Open(session) = &*self.inner.slot.read() {
            session.stop();
        }
    }
}

/// Marks the directory as no longer looked at.
struct Probing<'a>(&'a Inner);

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        *self.0.probing_since.lock() = None;
    }
}

impl Inner {
    /// Whether this caller may probe. A probe that hangs takes the drive offline.
    fn start_probing(&self) -> bool {
        let mut since = self.probing_since.lock();
        let Some(started) = *since else {
            *since = Some(Instant::now());
            return true;
        };
        drop(since);
        let limit = self.shared.config.limits.unresponsive_after;
        if started.elapsed() > limit
            && let Slot::Open(session) = &*self.slot.read()
        {
            session.core.fail(format!("the drive did not answer for {limit:?}"));
        }
        false
    }

    /// One look at the directory. `done` is emptied when the caller need not wait any longer.
    fn probe(&self, done: &Mutex<Option<oneshot::Sender<()>>>) {
        let session = match &*self.slot.read() {
            Slot::Open(session) => Some(Arc::clone(session)),
            Slot::Closed { .. } => None,
        };
        if let Some(session) = session {
            let core = &session.core;
            let well = match core.failed() {
                Some(reason) => Err(reason.to_owned()),
                None => core
                    .check_present()
                    .and_then(|()| core.refresh_space())
                    .and_then(|()| core.check_index()),
            };
            let Err(reason) = well else { return };
            core.fail(reason);
            self.take_offline(&session);
        }
        let started = Instant::now();
        let open_wait = self.shared.config.limits.open_wait;
        let progress = |reason: String| {
            self.set_reason(reason);
            if started.elapsed() > open_wait {
                done.lock().take();
            }
        };
        if !self.has_wound_down() {
            return;
        }
        if let Err(failure) = self.open_with(false, &progress) {
            let reason = failure.to_string();
            if self.set_reason(reason.clone()) {
                warn!(device = self.shared.config.device.0, reason, "drive stays offline");
            }
        }
    }

    /// Lets go of a failed opening, remembering up to where it had synced.
    fn take_offline(&self, session: &Arc<Session>) {
        session.stop();
        let core = &session.core;
        let cut = Cut {
            uuid: core.superblock.uuid,
            opening: core.superblock.opening,
            position: session.durable_end(),
        };
        *self.slot.write() = Slot::Closed {
            reason: core.offline_reason(),
            cut: Some(cut),
            previous: Arc::downgrade(&core.alive),
        };
    }

    /// Waits a moment until nothing of the previous opening lives.
    fn has_wound_down(&self) -> bool {
        let previous = match &*self.slot.read() {
            Slot::Open(_) => return false,
            Slot::Closed { previous, .. } => Weak::clone(previous),
        };
        wait_until_gone(&previous)
    }

    fn open_once(&self, first: bool) -> Result<(), OpenFailure> {
        let progress = |reason| {
            self.set_reason(reason);
        };
        let opened = self.open_with(first, &progress);
        if let Err(failure) = &opened {
            self.set_reason(failure.to_string());
        }
        opened
    }

    fn open_with(
        &self,
        first: bool,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<(), OpenFailure> {
        let cut = match &*self.slot.read() {
            Slot::Open(_) => return Ok(()),
            Slot::Closed { cut, .. } => *cut,
        };
        let opening = Opening {
            shared: &self.shared,
            first,
            was_mount_point: self.was_mount_point.load(SeqCst),
            cut,
            progress,
        };
        let session = Arc::new(opening.run()?);
        if let Ok(mounted) = is_mount_point(&self.shared.config.directory) {
            self.was_mount_point.store(mounted, SeqCst);
        }
        let mut slot = self.slot.write();
        if self.closed.load(SeqCst) {
            session.stop();
        } else {
            *slot = Slot::Open(session);
        }
        Ok(())
    }

    /// Changes the reason of a closed drive; says whether it was another one before.
    fn set_reason(&self, reason: String) -> bool {
        match &mut *self.slot.write() {
            Slot::Open(_) => false,
            Slot::Closed { reason: old, .. } => std::mem::replace(old, reason.clone()) != reason,
        }
    }

    fn close(&self) {
        let closed = Slot::Closed {
            reason: "the drive was closed".to_owned(),
            cut: None,
            previous: Weak::new(),
        };
        let before = std::mem::replace(&mut *self.slot.write(), closed);
        if let Slot::Open(session) = before {
            session.stop();
            session.join();
            // A probe that is under way may hold the opening a moment longer.
            let alive = Arc::downgrade(&session.core.alive);
            drop(session);
            wait_until_gone(&alive);
            info!(device = self.shared.config.device.0, "drive closed");
        }
        self.shared.telemetry.set_state(DeviceHealth::Offline);
    }

    /// Sorts out what the operator must mend; anything else leaves the drive offline.
    fn as_config_error(&self, failure: OpenFailure) -> Result<(), OpenDriveError> {
        let directory = self.shared.config.directory.display().to_string();
        let refuse = self.shared.config.refuse_foreign;
        match failure {
            OpenFailure::ForeignCluster { found } if refuse => {
                Err(OpenDriveError::ForeignCluster { directory, found })
            }
            OpenFailure::WrongDevice { found } if refuse => Err(OpenDriveError::WrongDevice {
                directory,
                found,
                expected: self.shared.config.device,
            }),
            OpenFailure::Lock(LockError::Held) => Err(OpenDriveError::InUse { directory }),
            OpenFailure::NotEmpty if refuse => Err(OpenDriveError::NotADrive { directory }),
            other => {
                let reason = other.to_string();
                warn!(device = self.shared.config.device.0, reason, "drive is offline");
                Ok(())
            }
        }
    }
}

#[async_trait]
impl ShardService for Drive {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.write(key, root, payload, false).await
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let device = self.inner.shared.config.device;
        let offline = |reason| GetShardError::Offline { device, reason };
        let session = self.session().map_err(offline)?;
        let slot = session.read_slot()?;
        let answered = session.read(slot, move |core, _| reader::get(core, key, range));
        drop(session);
        answered.await.unwrap_or_else(|_| Err(offline(self.lost_reason())))
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let device = self.inner.shared.config.device;
        let offline = |reason| GetShardError::Offline { device, reason };
        let session = self.session().map_err(offline)?;
        let slot = session.read_slot()?;
        let answered = session.read(slot, move |core, scratch| reader::verify(core, key, scratch));
        drop(session);
        answered.await.unwrap_or_else(|_| Err(offline(self.lost_reason())))
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.write(key, root, payload, true).await
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let device = self.inner.shared.config.device;
        let offline = |reason| DeleteShardsError::Offline { device, reason };
        let session = self.session().map_err(offline)?;
        let answered = session.delete(keys).await?;
        drop(session);
        answered.await.unwrap_or_else(|_| Err(offline(self.lost_reason())))
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        let device = self.inner.shared.config.device;
        let offline = |reason| ListShardsError::Offline { device, reason };
        let session = self.session().map_err(offline)?;
        let slot = session.list_slot().await.ok_or_else(|| offline(self.lost_reason()))?;
        let answered = session.read(slot, move |core, _| {
            core.index.shards(after, limit).map_err(|error| {
                core.fail_index(&error);
                core.offline_reason()
            })
        });
        drop(session);
        answered.await.unwrap_or_else(|_| Err(self.lost_reason())).map_err(offline)
    }

    fn status(&self) -> DeviceStatus {
        let device = self.inner.shared.config.device;
        let offline = |reason: String| DeviceStatus {
            device,
            uuid: None,
            open_count: 0,
            continuity: Continuity::default(),
            health: DeviceHealth::Offline,
            reason: Some(reason),
            capacity_bytes: 0,
            free_bytes: 0,
            shard_count: 0,
        };
        let slot = self.inner.slot.read();
        let core = match &*slot {
            Slot::Open(session) => &session.core,
            Slot::Closed { reason, .. } => return offline(reason.clone()),
        };
        let health = core.health();
        if let Some(reason) = core.failed() {
            return offline(reason.to_owned());
        }
        let reason = (health == DeviceHealth::Full).then(|| "the drive is full".to_owned());
        DeviceStatus {
            device,
            uuid: Some(core.superblock.uuid),
            open_count: core.superblock.open_count,
            continuity: core.continuity(),
            health,
            reason,
            capacity_bytes: core.space.capacity_bytes(),
            free_bytes: core.space.free_bytes(),
            shard_count: core.shard_count.load(SeqCst),
        }
    }

    fn start_scrub(&self) {
        if self.inner.shared.scrub.lock().running {
            return;
        }
        self.inner.shared.scrub_wanted.store(true, SeqCst);
        if let Slot::Open(session) = &*self.inner.slot.read() {
            session.core.stop.wake();
        }
    }

    fn scrub_progress(&self) -> ScrubProgress {
        *self.inner.shared.scrub.lock()
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        self.inner.shared.damaged.take(limit)
    }
}

/// Waits a moment until an opening has let go of everything; says whether it has.
fn wait_until_gone(alive: &Weak<()>) -> bool {
    let deadline = Instant::now() + WIND_DOWN_WAIT;
    while alive.strong_count() > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

fn spawn(inner: &Inner, role: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let name = format!("drive{}-{role}", inner.shared.config.device.0);
    std::thread::Builder::new().name(name).spawn(work).map(drop)
}
