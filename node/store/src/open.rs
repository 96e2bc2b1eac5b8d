//! Opening a drive's directory: superblock, lock, formatting, recovery.
//!
//! Invariants:
//! - nothing is written to a directory that is neither empty nor this slot's own;
//! - a directory that went missing is not created, and one that stopped being a mount point is not
//!   formatted: the disk below it would fill instead of the drive.
//!
//! *Crash consistency:* the superblock is the last thing formatting writes, and its open count the
//! first thing every opening writes. The opening's id follows when the drive is ready to serve, or
//! just before recovery gives up rows of lost segments: an opening that failed without an effect
//! leaves no trace in the chain of openings, and one that forgot shards always does.

use std::{
    ffi::OsString,
    io,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use node_proto::{ClusterId, DeviceId, DeviceUuid, OpeningId};
use tracing::{info, warn};

use crate::{
    appender::Appender,
    core::{Core, CoreParts, Shared},
    durability::SyncSite,
    lock::{DirectoryLock, LOCK_FILE, LockError, is_mount_point},
    record::Position,
    recover::{RecoverError, Recovered, Recovery},
    scrub::Scrubber,
    segments::{SEGMENT_DIRECTORY, segment_path},
    session::{Session, WriteStart},
    superblock::{SUPERBLOCK_TEMPORARY, Superblock, SuperblockError},
    vfs::OpenMode,
};

/// Directory entries that do not make a drive's directory non-empty.
const NEUTRAL_NAMES: [&str; 3] = [LOCK_FILE, SUPERBLOCK_TEMPORARY, "lost+found"];

/// Why a drive was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFailure {
    #[error("the drive belongs to cluster {found}, not to this one")]
    ForeignCluster { found: ClusterId },
    #[error("the drive belongs to device slot {}", found.0)]
    WrongDevice { found: DeviceId },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the drive's directory is missing")]
    DirectoryMissing,
    #[error("nothing is mounted on the drive's directory any more")]
    Unmounted,
    #[error("the drive's directory is empty and may not be formatted")]
    NotFormatted,
    #[error("the drive's directory holds other files and no superblock")]
    NotEmpty,
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    #[error("the drive cannot be opened: {source}")]
    Io {
        #[from]
        source: io::Error,
    },
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// Up to where an opening had synced that failed in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) uuid: DeviceUuid,
    pub(crate) opening: Option<OpeningId>,
    pub(crate) position: Position,
}

/// How to open.
pub(crate) struct Opening<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// Whether this is the first opening in this process.
    pub(crate) first: bool,
    /// Whether the directory was a mount point when last seen.
    pub(crate) was_mount_point: bool,
    pub(crate) cut: Option<Cut>,
    pub(crate) progress: &'a (dyn Fn(String) + Sync),
}

impl Opening<'_> {
    pub(crate) fn run(&self) -> Result<Session, OpenFailure> {
        let config = &self.shared.config;
        let vfs = config.vfs.as_ref();
        let names = self.names()?;
        match Superblock::read(vfs, &config.directory) {
            Ok(found) => self.check(&found)?,
            Err(SuperblockError::Missing) => self.check_may_format(&names)?,
            Err(error) => return Err(error.into()),
        }
        let lock = DirectoryLock::acquire(&config.directory)?;
        // Read again: only under the lock is it certain.
        let (superblock, formatted) = match Superblock::read(vfs, &config.directory) {
            Ok(found) => {
                self.check(&found)?;
                self.note_damaged_superblocks();
                (Superblock { open_count: found.open_count + 1, ..found }, false)
            }
            Err(SuperblockError::Missing) => (self.new_superblock()?, true),
            Err(error) => return Err(error.into()),
        };
        superblock.write(vfs, &config.directory)?;
        if formatted {
            info!(device = config.device.0, uuid = %superblock.uuid, "drive formatted");
            self.shared.damaged.clear();
            *self.shared.scrub.lock() = Default::default();
        }
        let segments = config.directory.join(SEGMENT_DIRECTORY);
        // Its name becomes durable with the superblock that says this opening serves.
        vfs.create_directory(&segments)?;
        let served = Superblock { opening: Some(new_opening()?), ..superblock };
        let recovered = self.recover(&superblock, &served)?;
        served.write(vfs, &config.directory)?;
        self.start(served, superblock.opening, lock, recovered)
    }

    /// Names in the directory, which is created on the first opening when that is wanted.
    fn names(&self) -> Result<Vec<OsString>, OpenFailure> {
        let config = &self.shared.config;
        match config.vfs.list(&config.directory) {
            Ok(names) => Ok(names),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Err(_) if self.first && config.create_directory => {
                config.vfs.create_directory(&config.directory)?;
                if let Some(parent) = config.directory.parent() {
                    SyncSite::DriveName.sync_directory(config.vfs.as_ref(), parent)?;
                }
                Ok(Vec::new())
            }
            Err(_) => Err(OpenFailure::DirectoryMissing),
        }
    }

    fn check(&self, found: &Superblock) -> Result<(), OpenFailure> {
        let config = &self.shared.config;
        if found.cluster != config.cluster {
            return Err(OpenFailure::ForeignCluster { found: found.cluster });
        }
        if found.device != config.device {
            return Err(OpenFailure::WrongDevice { found: found.device });
        }
        Ok(())
    }

    fn check_may_format(&self, names: &[OsString]) -> Result<(), OpenFailure> {
        let config = &self.shared.config;
        if !names.iter().all(|name| NEUTRAL_NAMES.iter().any(|neutral| name == neutral)) {
            return Err(OpenFailure::NotEmpty);
        }
        if !config.format_if_empty {
            return Err(OpenFailure::NotFormatted);
        }
        if self.was_mount_point && !is_mount_point(&config.directory)? {
            return Err(OpenFailure::Unmounted);
        }
        Ok(())
    }

    /// Tells of a copy that the other one stands in for until it is written anew.
    fn note_damaged_superblocks(&self) {
        let config = &self.shared.config;
        let copies = Superblock::damaged_copies(config.vfs.as_ref(), &config.directory);
        if copies > 0 {
            warn!(device = config.device.0, copies, "a copy of the superblock is damaged");
            self.shared.telemetry.damaged.increment(copies);
        }
    }

    fn new_superblock(&self) -> Result<Superblock, OpenFailure> {
        let config = &self.shared.config;
        let mut uuid = [0; 16];
        getrandom::fill(&mut uuid).map_err(io::Error::other)?;
        Ok(Superblock {
            cluster: config.cluster,
            device: config.device,
            uuid: DeviceUuid(uuid),
            open_count: 1,
            formatted_at: config.clock.now(),
            opening: None,
        })
    }

    /// `found`: as the last opening left it. `served`: as this opening will.
    fn recover(&self, found: &Superblock, served: &Superblock) -> Result<Recovered, OpenFailure> {
        // A cut is about the very copy that was open before, not about one that was restored.
        let cut = self.cut.filter(|cut| cut.uuid == found.uuid && cut.opening == found.opening);
        let config = &self.shared.config;
        let before_loss = || served.write(config.vfs.as_ref(), &config.directory);
        let recovery = Recovery {
            config,
            before_loss: &before_loss,
            uuid: found.uuid,
            cut: cut.map(|cut| cut.position),
            rebuild: self.shared.rebuild_index.load(SeqCst),
            progress: self.progress,
        };
        let recovered = recovery.run()?;
        self.shared.rebuild_index.store(false, SeqCst);
        if recovered.damaged_runs > 0 {
            warn!(
                device = self.shared.config.device.0,
                runs = recovered.damaged_runs,
                "damage between records"
            );
            self.shared.telemetry.damaged.increment(recovered.damaged_runs);
        }
        Ok(recovered)
    }

    fn start(
        &self,
        superblock: Superblock,
        previous: Option<OpeningId>,
        lock: DirectoryLock,
        recovered: Recovered,
    ) -> Result<Session, OpenFailure> {
        let config = &self.shared.config;
        let active = if recovered.may_continue {
            let Position { segment, offset_bytes } = recovered.end;
            let path = segment_path(&config.directory, segment);
            let file = config.vfs.open(&path, OpenMode::Append)?;
            Some(Appender::new(file, segment, offset_bytes))
        } else {
            None
        };
        let core = Arc::new(Core::new(CoreParts {
            shared: Arc::clone(self.shared),
            superblock,
            lock,
            index: recovered.index,
            table: recovered.table,
            end: recovered.end,
            found_mark: recovered.next_seq.0.saturating_sub(1),
            previous,
            content_lost: recovered.content_lost,
        }));
        core.refresh_space().map_err(io::Error::other)?;
        let scrubber = Scrubber::new(Arc::clone(&core)).map_err(RecoverError::from)?;
        let start = WriteStart {
            active,
            next_seq: recovered.next_seq,
            next_segment: recovered.next_segment,
        };
        info!(
            device = config.device.0,
            uuid = %superblock.uuid,
            open_count = superblock.open_count,
            shards = core.shard_count.load(SeqCst),
            "drive opened"
        );
        Ok(Session::start(core, start, scrubber)?)
    }
}

fn new_opening() -> io::Result<OpeningId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(OpeningId(id))
}
