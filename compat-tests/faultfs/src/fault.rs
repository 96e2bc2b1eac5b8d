//! Which paths fail, and how.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fuser::Errno;
use parking_lot::Mutex;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Reading files and listing directories answers EIO.
    ReadError,
    /// Writing, truncating, and changing names answers EIO.
    WriteError,
    /// `fsync` and `fdatasync` answer EIO. As on Linux, what they should have made durable counts
    /// as clean afterwards: it is still read, no later sync saves it, and a power cut takes it.
    SyncError,
    /// Making files and directories, and writing beyond a file's length, answers ENOSPC; `statfs`
    /// tells that nothing is free.
    NoSpace,
    /// Every change, and opening for writing, answers EROFS.
    ReadOnly,
    /// As a drive that was pulled: its names answer ENOENT, its open files EIO.
    Gone,
}

/// What an operation is about to do, as far as faults are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Looks a name or attributes up, by path.
    Look,
    /// Reads content or lists a directory.
    Read,
    /// Writes within a file's length, truncates, or removes or replaces names.
    Change,
    /// Changes, and needs new space.
    Grow,
    /// Opens for writing.
    OpenToWrite,
    /// Makes durable.
    Sync,
}

impl Fault {
    /// What an operation under this fault answers; `by_path` if it names what it works on.
    fn answer(self, access: Access, by_path: bool) -> Option<Errno> {
        use Access::{Change, Grow, Look, OpenToWrite, Read, Sync};
        match (self, access) {
            (Self::ReadError, Read) => Some(Errno::EIO),
            (Self::WriteError, Change | Grow) => Some(Errno::EIO),
            (Self::SyncError, Sync) => Some(Errno::EIO),
            (Self::NoSpace, Grow) => Some(Errno::ENOSPC),
            (Self::ReadOnly, Change | Grow | OpenToWrite) => Some(Errno::EROFS),
            (Self::Gone, _) if by_path => Some(Errno::ENOENT),
            (Self::Gone, Look | Read | Change | Grow | OpenToWrite | Sync) => Some(Errno::EIO),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Injected {
    prefix: PathBuf,
    fault: Fault,
    hits: u64,
}

/// The faults of a disk.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    any: AtomicBool,
    injected: Mutex<Vec<Injected>>,
}

impl Faults {
    /// Adds a fault; one that is there already keeps its count.
    pub(crate) fn inject(&self, prefix: &Path, fault: Fault) {
        let mut injected = self.injected.lock();
        if !injected.iter().any(|known| known.prefix == prefix && known.fault == fault) {
            injected.push(Injected { prefix: prefix.to_owned(), fault, hits: 0 });
        }
        self.any.store(true, Ordering::SeqCst);
    }

    /// Removes the faults of exactly this path and returns how often they hit.
    pub(crate) fn clear(&self, prefix: &Path) -> u64 {
        let mut injected = self.injected.lock();
        let hits = injected.iter().filter(|known| known.prefix == prefix).map(|k| k.hits).sum();
        injected.retain(|known| known.prefix != prefix);
        self.any.store(!injected.is_empty(), Ordering::SeqCst);
        hits
    }

    pub(crate) fn hits(&self, prefix: &Path) -> u64 {
        let injected = self.injected.lock();
        injected.iter().filter(|known| known.prefix == prefix).map(|known| known.hits).sum()
    }

    /// Whether there are any, so that paths have to be worked out.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Refuses what a fault refuses, and counts it.
    pub(crate) fn check(&self, path: &Path, access: Access, by_path: bool) -> Result<(), Errno> {
        for known in &mut *self.injected.lock() {
            if path.starts_with(&known.prefix)
                && let Some(errno) = known.fault.answer(access, by_path)
            {
                known.hits += 1;
                return Err(errno);
            }
        }
        Ok(())
    }

    pub(crate) fn is_full(&self, path: &Path) -> bool {
        let full = |known: &Injected| known.fault == Fault::NoSpace;
        self.injected.lock().iter().any(|known| full(known) && path.starts_with(&known.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_holds_below_its_path_and_is_counted() {
        let faults = Faults::default();
        faults.inject(Path::new("devices/1"), Fault::WriteError);
        let check = |path: &str, access| faults.check(Path::new(path), access, false);
        assert_eq!(check("devices/1/segments/a", Access::Change), Err(Errno::EIO));
        assert_eq!(check("devices/1/segments/a", Access::Read), Ok(()));
        assert_eq!(check("devices/10/segments/a", Access::Change), Ok(()));
        assert_eq!(check("devices", Access::Change), Ok(()));
        assert_eq!(faults.hits(Path::new("devices/1")), 1);
        assert_eq!(faults.clear(Path::new("devices/1")), 1);
        assert!(!faults.any());
        assert_eq!(check("devices/1/segments/a", Access::Change), Ok(()));
    }
}
