//! What the threads of one opening of a drive share.
//!
//! Invariant: once [`Core::fail`] was called, nothing is written any more and every call is
//! answered `Offline`; only a new opening serves again.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use node_proto::{Continuity, DeviceHealth, DeviceId, OpeningId, ScrubProgress};
use parking_lot::{Condvar, Mutex};
use tracing::error;

use crate::{
    aligned::BufferPool,
    changes::Base,
    config::DriveConfig,
    damaged::DamagedSet,
    index::{Index, IndexError},
    lock::DirectoryLock,
    reader::RecentReads,
    record::{Position, SegmentId},
    segments::{SegmentFiles, SegmentTable},
    space::Space,
    superblock::Superblock,
    telemetry::Telemetry,
};

/// Memory kept for long reads. Chosen: a full-size shard per reader, twice.
const POOLED_BYTES: usize = 16 << 20;

/// What outlives an opening.
pub(crate) struct Shared {
    pub(crate) config: DriveConfig,
    pub(crate) damaged: DamagedSet,
    pub(crate) scrub: Mutex<ScrubProgress>,
    pub(crate) scrub_wanted: AtomicBool,
    /// The index answered with corruption: build a new one at the next opening.
    pub(crate) rebuild_index: AtomicBool,
    pub(crate) telemetry: Telemetry,
}

impl Shared {
    pub(crate) fn new(config: DriveConfig) -> Self {
        Self {
            damaged: DamagedSet::new(config.limits.damaged_len),
            telemetry: Telemetry::new(config.device),
            config,
            scrub: Mutex::default(),
            scrub_wanted: AtomicBool::new(false),
            rebuild_index: AtomicBool::new(false),
        }
    }
}

/// One opening of a drive.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) superblock: Superblock,
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Index,
    pub(crate) table: Mutex<SegmentTable>,
    pub(crate) files: SegmentFiles,
    pub(crate) space: Arc<Space>,
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) recent_reads: RecentReads,
    pub(crate) stop: StopSignal,
    /// The segment being written; zero when there is none.
    pub(crate) active: AtomicU64,
    pub(crate) shard_count: AtomicU64,
    /// Writes admitted that have not reached the writer.
    pub(crate) arriving: Arc<AtomicUsize>,
    /// The index ran out of space; it may refuse writes until it is opened again.
    pub(crate) index_starved: AtomicBool,
    /// Number of the last durable record when the drive was opened, and now.
    pub(crate) found_mark: u64,
    pub(crate) mark: AtomicU64,
    /// The opening before this one.
    pub(crate) previous: Option<OpeningId>,
    /// Shards that the index knew of were gone when the drive was opened.
    pub(crate) content_lost: bool,
    /// Everything before it is durable.
    pub(crate) durable_end: Mutex<Position>,
    failed: OnceLock<String>,
    /// The last field, so that it is dropped after the index and the lock have been let go.
    pub(crate) alive: Arc<()>,
}

/// The parts a [`Core`] is made of.
pub(crate) struct CoreParts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) superblock: Superblock,
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Index,
    pub(crate) table: SegmentTable,
    pub(crate) end: Position,
    pub(crate) found_mark: u64,
    pub(crate) previous: Option<OpeningId>,
    pub(crate) content_lost: bool,
}

impl Core {
    pub(crate) fn new(parts: CoreParts) -> Self {
        let config = &parts.shared.config;
        let space = Space::new(config.capacity_bytes, &config.limits);
        space.set_used(parts.table.file_bytes());
        Self {
            files: SegmentFiles::new(
                Arc::clone(&config.vfs),
                config.directory.clone(),
                config.limits.open_segments,
            ),
            space: Arc::new(space),
            buffers: Arc::new(BufferPool::new(POOLED_BYTES)),
            recent_reads: RecentReads::new(),
            stop: StopSignal::default(),
            active: AtomicU64::new(0),
            shard_count: AtomicU64::new(parts.table.shard_count()),
            arriving: Arc::default(),
            index_starved: AtomicBool::new(false),
            found_mark: parts.found_mark,
            mark: AtomicU64::new(parts.found_mark),
            previous: parts.previous,
            content_lost: parts.content_lost,
            durable_end: Mutex::new(parts.end),
            failed: OnceLock::new(),
            alive: Arc::new(()),
            shared: parts.shared,
            superblock: parts.superblock,
            lock: parts.lock,
            index: parts.index,
            table: Mutex::new(parts.table),
        }
    }

    pub(crate) fn config(&self) -> &DriveConfig {
        &self.shared.config
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.shared.config.device
    }

    pub(crate) fn base(&self) -> Base<'_> {
        Base { index: &self.index, table: &self.table }
    }

    /// How the content continues what the drive held before.
    pub(crate) fn continuity(&self) -> Continuity {
        Continuity {
            opening: self.superblock.opening.unwrap_or_default(),
            previous: self.previous,
            found_mark: self.found_mark,
            mark: self.mark.load(SeqCst),
            content_lost: self.content_lost,
        }
    }

    pub(crate) fn active_segment(&self) -> SegmentId {
        SegmentId(self.active.load(SeqCst))
    }

    /// Takes the drive offline for the rest of this opening. The first reason stays.
    pub(crate) fn fail(&self, reason: String) {
        if self.failed.set(reason).is_ok() {
            let reason = self.failed.get().map(String::as_str).unwrap_or_default();
            error!(device = self.device().0, reason, "drive failed");
            self.shared.telemetry.set_state(DeviceHealth::Offline);
        }
        self.stop.wake();
    }

    /// Sorts out an index error whose cause may wait: without space the drive goes on serving
    /// reads, and a later probe opens the index again.
    pub(crate) fn index_failed(&self, error: &IndexError) {
        match error {
            IndexError::NoSpace => self.index_starved.store(true, SeqCst),
            _ => self.fail_index(error),
        }
    }

    /// Takes the drive offline because its index does not answer.
    pub(crate) fn fail_index(&self, error: &IndexError) {
        if matches!(error, IndexError::Corrupt { .. }) {
            self.shared.rebuild_index.store(true, SeqCst);
        }
        self.fail(error.to_string());
    }

    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Why the drive cannot answer, for errors that are raised after the fact.
    pub(crate) fn offline_reason(&self) -> String {
        self.failed().unwrap_or("the drive is being closed").to_owned()
    }

    /// Looks whether the path still leads to this drive.
    pub(crate) fn check_present(&self) -> Result<(), String> {
        let config = self.config();
        let found = Superblock::read(config.vfs.as_ref(), &config.directory)
            .map_err(|error| error.to_string())?;
        if found != self.superblock {
            return Err("the drive was exchanged while it was in use".to_owned());
        }
        match self.lock.is_current() {
            Ok(true) => Ok(()),
            Ok(false) => Err("the drive's directory was exchanged while it was in use".to_owned()),
            Err(error) => Err(format!("the drive's lock cannot be read: {error}")),
        }
    }

    /// Whether the index takes writes, as far as that is known.
    pub(crate) fn check_index(&self) -> Result<(), String> {
        if self.index_starved.load(SeqCst) && self.health() == DeviceHealth::Online {
            return Err("the index ran out of space and is opened again".to_owned());
        }
        Ok(())
    }

    /// Asks the file system how much space there is.
    pub(crate) fn refresh_space(&self) -> Result<(), String> {
        let config = self.config();
        let found = config
            .vfs
            .space(&config.directory)
            .map_err(|error| format!("the file system does not tell its space: {error}"))?;
        self.space.refresh(found);
        let free_bytes = self.space.free_bytes();
        self.shared.telemetry.set_levels(free_bytes, self.shard_count.load(SeqCst));
        self.shared.telemetry.set_state(self.health());
        Ok(())
    }

    pub(crate) fn health(&self) -> DeviceHealth {
        if self.failed().is_some() {
            DeviceHealth::Offline
        } else if self.space.free_bytes() < self.config().limits.full_below_bytes {
            DeviceHealth::Full
        } else {
            DeviceHealth::Online
        }
    }
}

/// Tells background work to end, and lets it sleep until then.
#[derive(Default)]
pub(crate) struct StopSignal {
    state: Mutex<StopState>,
    changed: Condvar,
}

#[derive(Default)]
struct StopState {
    stopped: bool,
    woken: bool,
}

impl StopSignal {
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Ends the current [`Self::sleep`] early.
    pub(crate) fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Sleeps for `duration` unless stopped or woken; says whether to go on.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.stopped && !state.woken {
            self.changed.wait_for(&mut state, duration);
        }
        state.woken = false;
        !state.stopped
    }

    /// Sleeps for `duration` unless stopped; says whether to go on.
    pub(crate) fn pace(&self, duration: Duration) -> bool {
        let deadline = std::time::Instant::now() + duration;
        let mut state = self.state.lock();
        while !state.stopped && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        !state.stopped
    }
}
