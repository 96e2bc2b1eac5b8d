//! A file system that fails on request, for tests here and further up.
//!
//! Wraps real files. Faults are switched on and off at any time; a power cut loses, page by page
//! and name by name, a random part of what was not synced.
//!
//! Invariants:
//! - synced data and names survive a power cut, whatever the seed;
//! - a file opened before a power cut is dead after it.
//!
//! Deliberately absent: faults of the index, which does not go through the trait. It may be deleted
//! or replaced by an older copy between a close and an open instead.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::vfs::{FileSystemSpace, OpenMode, RealVfs, Vfs, VfsFile};

const PAGE: u64 = 4096;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Reads answer with an I/O error.
    ReadError,
    /// Writes answer with an I/O error.
    WriteError,
    /// Syncs answer with an I/O error, and what they should have synced stays unsynced.
    SyncError,
    /// Writes find no space.
    NoSpace,
}

/// A file system with faults beneath it.
pub struct FaultyVfs {
    state: Arc<Mutex<State>>,
}

struct State {
    inner: RealVfs,
    faults: HashSet<Fault>,
    delay: Duration,
    space: Option<FileSystemSpace>,
    powered: bool,
    /// Grows with every power cut.
    generation: u64,
    random: u64,
    files: HashMap<PathBuf, Unsynced>,
    names: Vec<UnsyncedName>,
}

/// What a power cut may undo in a file.
#[derive(Default)]
struct Unsynced {
    durable_len: u64,
    /// Old content of the pages written since the last sync, by page number.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// What a power cut may undo in a directory.
enum UnsyncedName {
    Created(PathBuf),
    Removed(PathBuf, Vec<u8>),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Vec<u8>> },
}

impl UnsyncedName {
    fn parent(&self) -> Option<&Path> {
        match self {
            Self::Created(path) | Self::Removed(path, _) | Self::Renamed { to: path, .. } => {
                path.parent()
            }
        }
    }
}

impl FaultyVfs {
    /// A file system that works until told otherwise. The seed decides what a power cut loses.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                inner: RealVfs::buffered(),
                faults: HashSet::new(),
                delay: Duration::ZERO,
                space: None,
                powered: true,
                generation: 0,
                random: seed | 1,
                files: HashMap::new(),
                names: Vec::new(),
            })),
        }
    }

    /// Switches a fault on.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.insert(fault);
    }

    /// Switches a fault off.
    pub fn mend(&self, fault: Fault) {
        self.state.lock().faults.remove(&fault);
    }

    /// Makes every read, write and sync take this much longer.
    pub fn set_delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// Pretends another amount of space; `None` for what the real file system has.
    pub fn set_space(&self, space: Option<FileSystemSpace>) {
        self.state.lock().space = space;
    }

    /// Cuts the power: every operation fails from now on.
    pub fn cut_power(&self) {
        self.state.lock().powered = false;
    }

    /// Loses a random part of what was not synced before the power cut, then works again.
    ///
    /// # Errors
    /// Whatever the real file system reports.
    pub fn restore_power(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.generation += 1;
        let files = std::mem::take(&mut state.files);
        for (path, unsynced) in files {
            if path.exists() {
                state.lose_data(&path, &unsynced)?;
            }
        }
        let names = std::mem::take(&mut state.names);
        for name in names.into_iter().rev() {
            if state.chance() {
                undo_name(name)?;
            }
        }
        state.powered = true;
        Ok(())
    }
}

impl State {
    /// One of two, by xorshift64.
    fn chance(&mut self) -> bool {
        self.next_random() & 1 == 0
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // The low bits of xorshift are its weakest.
        self.random >> 16
    }

    fn lose_data(&mut self, path: &Path, unsynced: &Unsynced) -> io::Result<()> {
        let file = self.inner.open(path, OpenMode::Append)?;
        let len = file.len()?;
        for (page, old) in &unsynced.pages {
            if self.chance() {
                let mut content = old.clone();
                content.resize(4096, 0);
                file.write_all_at(&content, page * PAGE)?;
            }
        }
        let longer = len.saturating_sub(unsynced.durable_len) / PAGE;
        let kept = if self.chance() { longer } else { self.next_random() % (longer + 1) };
        file.set_len((unsynced.durable_len + kept * PAGE).min(len).max(unsynced.durable_len))
    }

    fn check(&self, fault: Option<Fault>) -> io::Result<()> {
        if !self.powered {
            return Err(io::Error::other("the power is off"));
        }
        match fault.filter(|fault| self.faults.contains(fault)) {
            None => Ok(()),
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
        }
    }
}

fn undo_name(name: UnsyncedName) -> io::Result<()> {
    match name {
        UnsyncedName::Created(path) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        UnsyncedName::Removed(path, content) => std::fs::write(path, content),
        UnsyncedName::Renamed { from, to, replaced } => {
            std::fs::rename(&to, from)?;
            replaced.map_or(Ok(()), |content| std::fs::write(to, content))
        }
    }
}

impl Vfs for FaultyVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = self.state.lock();
        state.check(None)?;
        let writes = matches!(mode, OpenMode::Append | OpenMode::Overwrite);
        if writes && !path.exists() {
            state.check(Some(Fault::NoSpace))?;
            state.names.push(UnsyncedName::Created(path.to_owned()));
        }
        let inner = state.inner.open(path, mode)?;
        if writes && !state.files.contains_key(path) {
            let durable_len = inner.len()?;
            state.files.insert(path.to_owned(), Unsynced { durable_len, pages: BTreeMap::new() });
        }
        Ok(Arc::new(FaultyFile {
            reader: state.inner.open(path, OpenMode::Read)?,
            inner,
            path: path.to_owned(),
            generation: state.generation,
            state: Arc::clone(&self.state),
        }))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let state = self.state.lock();
        state.check(None)?;
        state.inner.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state.lock();
        state.check(Some(Fault::ReadError))?;
        state.inner.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Some(Fault::WriteError))?;
        let replaced = std::fs::read(to).ok();
        state.inner.rename(from, to)?;
        state.files.remove(from);
        state.files.remove(to);
        state.names.retain(|name| !matches!(name, UnsyncedName::Created(path) if path == from));
        let (from, to) = (from.to_owned(), to.to_owned());
        state.names.push(UnsyncedName::Renamed { from, to, replaced });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Some(Fault::WriteError))?;
        let content = std::fs::read(path)?;
        state.inner.remove_file(path)?;
        state.files.remove(path);
        state.names.push(UnsyncedName::Removed(path.to_owned(), content));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Some(Fault::SyncError))?;
        state.inner.sync_directory(path)?;
        state.names.retain(|name| name.parent() != Some(path));
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<FileSystemSpace> {
        let state = self.state.lock();
        state.check(None)?;
        match state.space {
            Some(space) => Ok(space),
            None => state.inner.space(path),
        }
    }
}

struct FaultyFile {
    inner: Arc<dyn VfsFile>,
    reader: Arc<dyn VfsFile>,
    path: PathBuf,
    generation: u64,
    state: Arc<Mutex<State>>,
}

impl FaultyFile {
    /// Waits as told and takes part in the faults.
    fn enter(&self, fault: Fault) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let delay = self.state.lock().delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let state = self.state.lock();
        state.check(Some(fault))?;
        if state.generation == self.generation {
            Ok(state)
        } else {
            Err(io::Error::other("the file was opened before the power cut"))
        }
    }

    /// Remembers the old content of the pages in a range.
    fn remember(&self, state: &mut State, from_bytes: u64, to_bytes: u64) -> io::Result<()> {
        let Some(unsynced) = state.files.get_mut(&self.path) else {
            return Ok(());
        };
        for page in from_bytes / PAGE..to_bytes.div_ceil(PAGE) {
            if let std::collections::btree_map::Entry::Vacant(entry) = unsynced.pages.entry(page) {
                let mut old = vec![0; 4096];
                let read = crate::vfs::read_full_at(self.reader.as_ref(), &mut old, page * PAGE)?;
                old.truncate(read);
                entry.insert(old);
            }
        }
        Ok(())
    }
}

impl VfsFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        drop(self.enter(Fault::ReadError)?);
        self.inner.read_at(buffer, offset_bytes)
    }

    fn write_all_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let mut state = self.enter(Fault::WriteError)?;
        if let Err(error) = state.check(Some(Fault::NoSpace)) {
            // A full disk takes what still fits: half a page of the first bytes, say.
            let part = &bytes[..bytes.len().min(2048)];
            self.remember(&mut state, offset_bytes, offset_bytes + part.len() as u64)?;
            self.inner.write_all_at(part, offset_bytes)?;
            return Err(error);
        }
        self.remember(&mut state, offset_bytes, offset_bytes + bytes.len() as u64)?;
        self.inner.write_all_at(bytes, offset_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.enter(Fault::SyncError)?;
        let len = self.inner.len()?;
        if let Some(unsynced) = state.files.get_mut(&self.path) {
            unsynced.pages.clear();
            unsynced.durable_len = len;
        }
        Ok(())
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.enter(Fault::WriteError)?;
        let len = self.inner.len()?;
        self.remember(&mut state, len_bytes, len.max(len_bytes))?;
        self.inner.set_len(len_bytes)
    }

    fn bypasses_cache(&self) -> bool {
        self.inner.bypasses_cache()
    }

    fn len(&self) -> io::Result<u64> {
        drop(self.enter(Fault::ReadError)?);
        self.inner.len()
    }
}
