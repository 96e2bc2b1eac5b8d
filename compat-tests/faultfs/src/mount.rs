//! A mounted [`Disk`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::adapter::Adapter;
use crate::disk::{Counters, Disk, PowerCut};
use crate::fault::Fault;

/// Name of the file system in `/proc/self/mounts`.
const NAME: &str = "faultfs";
/// Threads that answer the kernel. Chosen: a server's writers, and one for this process's own use.
const THREADS: usize = 4;
/// How often a busy mount is tried again before it is detached. Chosen: processes that were killed
/// let go within this.
const UNMOUNT_TRIES: u32 = 20;
/// Pause between tries. Chosen.
const UNMOUNT_PAUSE: Duration = Duration::from_millis(25);

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// This machine has no FUSE, or this process may not mount.
    #[error("FUSE cannot be used here: {source}")]
    Unavailable {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The backing directory or the mount point cannot be used.
    #[error("{path}: {source}", path = path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Mounting failed although it is possible here.
    #[error("mounting failed: {source}")]
    Failed {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A mounted file system; dropping it unmounts.
#[derive(Debug)]
pub struct FaultFs {
    disk: Arc<Disk>,
    mount_point: PathBuf,
    session: Option<BackgroundSession>,
}

impl FaultFs {
    /// Mounts an empty file system. Both directories are made if need be; `backing` must be empty,
    /// holds content only while this is mounted, and should not be in memory.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn mount(backing: &Path, mount_point: &Path) -> Result<Self, MountError> {
        detach_leftovers();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| MountError::Directory { path, source }
        };
        for directory in [backing, mount_point] {
            fs::create_dir_all(directory).map_err(at(directory))?;
        }
        if fs::read_dir(backing).map_err(at(backing))?.next().is_some() {
            return Err(at(backing)(io::Error::from(io::ErrorKind::DirectoryNotEmpty)));
        }
        fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|source| MountError::Unavailable { source })?;
        let mount_point = fs::canonicalize(mount_point).map_err(at(mount_point))?;
        let disk = Arc::new(Disk::new(backing));
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName(NAME.to_owned()), MountOption::DefaultPermissions];
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        let adapter = Adapter::new(Arc::clone(&disk));
        let session = fuser::spawn_mount(adapter, &mount_point, &config).map_err(|source| {
            // Without the right to mount, a program is looked for that would have it.
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    MountError::Unavailable { source }
                }
                _ => MountError::Failed { source },
            }
        })?;
        Ok(Self { disk, mount_point, session: Some(session) })
    }

    /// As [`Self::mount`]; where FUSE cannot be used, prints that `what` was not run and returns
    /// `None`.
    ///
    /// # Panics
    /// When mounting fails for another reason.
    #[must_use]
    pub fn mount_for(what: &str, backing: &Path, mount_point: &Path) -> Option<Self> {
        match Self::mount(backing, mount_point) {
            Ok(mounted) => Some(mounted),
            Err(error @ MountError::Unavailable { .. }) => {
                eprintln!("not run: {what}: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Where it is mounted, canonical.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Makes everything at and below `path`, relative to the mount's root, fail from now on. A path
    /// may have several faults; an empty one is the root.
    pub fn inject(&self, path: &Path, fault: Fault) {
        self.disk.faults.inject(path, fault);
    }

    /// Ends all faults that were injected for exactly this path, and returns how often they hit.
    pub fn clear(&self, path: &Path) -> u64 {
        self.disk.faults.clear(path)
    }

    /// How often the faults that were injected for exactly this path have hit.
    #[must_use]
    pub fn hits(&self, path: &Path) -> u64 {
        self.disk.faults.hits(path)
    }

    /// What was asked for since the mount.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.disk.counters()
    }

    /// Bytes that a power cut may take from files, in whole pages.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.disk.unsynced_bytes()
    }

    /// Cuts the power: loses what was not synced, as the seed decides. The mount goes on, as after
    /// the machine has come up again; whatever was open is dead. Processes that use the mount
    /// should have been killed before.
    ///
    /// # Errors
    /// What the backing directory's file system reports; the disk is then in no state to go on.
    pub fn power_off(&self, seed: u64) -> io::Result<PowerCut> {
        self.disk.power_off(seed)
    }
}

impl Drop for FaultFs {
    fn drop(&mut self) {
        for _ in 0..UNMOUNT_TRIES {
            match umount2(&self.mount_point, MntFlags::empty()) {
                Err(Errno::EBUSY) => thread::sleep(UNMOUNT_PAUSE),
                Ok(()) => {
                    if let Some(session) = self.session.take() {
                        // It has ended with the mount; what it says no longer matters.
                        let _ = session.join();
                    }
                    return;
                }
                Err(_) => return,
            }
        }
        // Its threads end with the last process that uses it.
        let _ = umount2(&self.mount_point, MntFlags::MNT_DETACH);
    }
}

/// Detaches mounts whose process has ended without unmounting them.
fn detach_leftovers() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        if fields.next() != Some(NAME) {
            continue;
        }
        let path = Path::new(fields.next().unwrap_or_default());
        let dead = fs::metadata(path)
            .is_err_and(|error| error.raw_os_error() == Some(Errno::ENOTCONN as i32));
        if dead {
            let _ = umount2(path, MntFlags::MNT_DETACH);
        }
    }
}
