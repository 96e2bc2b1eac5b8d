//! The lock that keeps a second process off a drive, and the drive's identity while mounted.
//!
//! Invariant: a held lock names one inode, so a directory that was swapped for another is noticed
//! even when the other is an exact copy.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Name of the lock file in the drive's directory.
pub(crate) const LOCK_FILE: &str = "lock";

/// An exclusive lock, released when dropped.
pub(crate) struct DirectoryLock {
    file: File,
    path: PathBuf,
}

/// Why a drive was not locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another process uses the drive")]
    Held,
    #[error("the drive cannot be locked: {source}")]
    Io {
        #[source]
        source: io::Error,
    },
}

impl DirectoryLock {
    pub(crate) fn acquire(drive: &Path) -> Result<Self, LockError> {
        let path = drive.join(LOCK_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| LockError::Io { source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(source)) => Err(LockError::Io { source }),
        }
    }

    /// Whether the drive's path still leads to the locked file.
    pub(crate) fn is_current(&self) -> io::Result<bool> {
        let (held, found) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        Ok((held.dev(), held.ino()) == (found.dev(), found.ino()))
    }
}

/// Whether `directory` is where a file system is mounted, that is on another one than its parent.
/// Blocks for I/O.
///
/// # Errors
/// An I/O error when the directory or its parent cannot be looked at.
pub fn is_mount_point(directory: &Path) -> io::Result<bool> {
    let parent = directory.canonicalize()?;
    let Some(parent) = parent.parent() else {
        return Ok(true);
    };
    Ok(std::fs::metadata(directory)?.dev() != std::fs::metadata(parent)?.dev())
}
