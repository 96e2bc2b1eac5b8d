//! Open files and directories.

use std::ffi::OsString;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fuser::Errno;
use nix::fcntl::FallocateFlags;
use nix::sys::statvfs::{Statvfs, statvfs};
use parking_lot::MutexGuard;

use super::{Answer, Disk};
use crate::fault::Access;
use crate::file::{Content, read_up_to};
use crate::names::Ino;
use crate::node::Node;

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) node: Arc<Node>,
    file: File,
    appends: bool,
    generation: u64,
}

/// An open directory: the names there were when it was opened.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    pub(crate) ino: Ino,
    pub(crate) entries: Vec<(Ino, bool, OsString)>,
    generation: u64,
}

impl Disk {
    pub(crate) fn open(&self, ino: Ino, writes: bool, appends: bool) -> Answer<OpenFile> {
        let tree = self.tree.lock();
        let access = if writes { Access::OpenToWrite } else { Access::Look };
        self.check(&tree, ino, None, access)?;
        let node = tree.node(ino)?;
        if node.is_directory {
            return Err(Errno::EISDIR);
        }
        self.open_node(node, appends)
    }

    pub(super) fn open_node(&self, node: Arc<Node>, appends: bool) -> Answer<OpenFile> {
        let generation = self.generation.load(Ordering::SeqCst);
        let file = self.open_backing(node.ino)?;
        Ok(OpenFile { node, file, appends, generation })
    }

    pub(crate) fn open_directory(&self, ino: Ino) -> Answer<OpenDirectory> {
        let tree = self.tree.lock();
        self.check(&tree, ino, None, Access::Look)?;
        let list = tree.names.list(ino).ok_or(Errno::ENOTDIR)?;
        let parent = if ino == Ino::ROOT { ino } else { tree.node(ino)?.status.lock().place.0 };
        let mut entries = vec![(ino, true, OsString::from(".")), (parent, true, "..".into())];
        for (name, child) in list {
            entries.push((*child, tree.names.list(*child).is_some(), name.clone()));
        }
        Ok(OpenDirectory { ino, entries, generation: self.generation.load(Ordering::SeqCst) })
    }

    /// The entries of an open directory.
    pub(crate) fn list<'a>(&self, open: &'a OpenDirectory) -> Answer<&'a [(Ino, bool, OsString)]> {
        self.check(&self.tree.lock(), open.ino, None, Access::Read)?;
        self.check_generation(open.generation)?;
        Ok(&open.entries)
    }

    pub(crate) fn sync_directory(&self, open: &OpenDirectory) -> Answer<()> {
        self.counting.directory_syncs.fetch_add(1, Ordering::Relaxed);
        let mut tree = self.tree.lock();
        self.check(&tree, open.ino, None, Access::Sync)?;
        self.check_generation(open.generation)?;
        tree.names.sync(open.ino);
        self.remove_unreferenced(&mut tree);
        Ok(())
    }

    pub(crate) fn read(&self, open: &OpenFile, offset: u64, len: usize) -> Answer<Vec<u8>> {
        let content = self.enter(open, |_| Access::Read)?;
        let available = content.len().saturating_sub(offset);
        let len = usize::try_from(available).map_or(len, |available| len.min(available));
        let mut bytes = vec![0; len];
        read_up_to(&open.file, &mut bytes, offset)?;
        Ok(bytes)
    }

    pub(crate) fn write(&self, open: &OpenFile, offset: u64, bytes: &[u8]) -> Answer<()> {
        let end = |content: &Content| if open.appends { content.len() } else { offset };
        let mut content = self.enter(open, |content| {
            growth(content, end(content).saturating_add(bytes.len() as u64))
        })?;
        let offset = end(&content);
        content.write(&open.file, bytes, offset)?;
        drop(content);
        open.node.touch();
        self.counting.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn set_len_of(&self, open: &OpenFile, len: u64) -> Answer<()> {
        let mut content = self.enter(open, |content| growth(content, len))?;
        Ok(content.set_len(&open.file, len)?)
    }

    /// Reserves, extends, or makes zeros; reserving is free here.
    pub(crate) fn allocate(&self, open: &OpenFile, offset: u64, len: u64, mode: i32) -> Answer<()> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::EOPNOTSUPP)?;
        let zeros = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_ZERO_RANGE;
        let known = zeros | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if !known.contains(mode) {
            return Err(Errno::EOPNOTSUPP);
        }
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        let punches = mode.contains(FallocateFlags::FALLOC_FL_PUNCH_HOLE);
        let access = if punches { Access::Change } else { Access::Grow };
        let mut content = self.enter(open, |_| access)?;
        if mode.intersects(zeros) {
            content.zero(&open.file, offset, end)?;
        }
        if !mode.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE) && end > content.len() {
            content.set_len(&open.file, end)?;
        }
        Ok(())
    }

    pub(crate) fn sync(&self, open: &OpenFile) -> Answer<()> {
        self.counting.file_syncs.fetch_add(1, Ordering::Relaxed);
        match self.enter(open, |_| Access::Sync) {
            Ok(mut content) => {
                content.synced();
                Ok(())
            }
            Err(error) => {
                open.node.content.lock().sync_failed();
                Err(error)
            }
        }
    }

    /// Space of the file system behind, or none where a fault says so.
    pub(crate) fn space(&self, ino: Ino) -> Answer<(Statvfs, bool)> {
        let tree = self.tree.lock();
        self.check(&tree, ino, None, Access::Look)?;
        let is_full = self.faults.any() && self.faults.is_full(&tree.path(ino));
        drop(tree);
        let found = statvfs(&self.backing).map_err(std::io::Error::from)?;
        Ok((found, is_full))
    }

    fn check_generation(&self, generation: u64) -> Answer<()> {
        let is_current = generation == self.generation.load(Ordering::SeqCst);
        if is_current { Ok(()) } else { Err(Errno::EIO) }
    }

    /// The content of an open file, unless a fault or a power cut has taken it.
    fn enter<'a>(
        &self,
        open: &'a OpenFile,
        access: impl FnOnce(&Content) -> Access,
    ) -> Answer<MutexGuard<'a, Content>> {
        if self.faults.any() {
            // The tree comes before the content: what the access is may change between the two,
            // as if the operations had come in another order.
            let access = access(&open.node.content.lock());
            self.check(&self.tree.lock(), open.node.ino, None, access)?;
        }
        let content = open.node.content.lock();
        self.check_generation(open.generation)?;
        Ok(content)
    }
}

fn growth(content: &Content, end: u64) -> Access {
    if end > content.len() { Access::Grow } else { Access::Change }
}
