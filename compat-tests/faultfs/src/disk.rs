//! The file system itself, without FUSE: names, files, faults and the power switch.
//!
//! Locks are taken in this order and never the other way: tree, a file's content, status, faults.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use fuser::Errno;
use parking_lot::Mutex;

use crate::fault::{Access, Faults};
use crate::file::Pages;
use crate::names::{Ino, Names};
use crate::node::Node;
use crate::random::Random;

mod entries;
mod open;
#[cfg(test)]
mod tests;

pub(crate) use entries::NewStatus;
pub(crate) use open::{OpenDirectory, OpenFile};

/// What a power cut did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PowerCut {
    /// Unsynced pages of 4 KiB that are there all the same.
    pub pages_kept: u64,
    /// Unsynced pages that read as before they were written.
    pub pages_lost: u64,
    /// Unsynced pages of which some sectors are old and some new.
    pub pages_torn: u64,
    /// Unsynced operations on names that happened all the same.
    pub names_kept: u64,
    /// Unsynced operations on names that did not.
    pub names_lost: u64,
}

/// How often what was asked for, since the mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// `fsync` and `fdatasync` of files.
    pub file_syncs: u64,
    /// `fsync` of directories.
    pub directory_syncs: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

#[derive(Debug, Default)]
struct Counting {
    file_syncs: AtomicU64,
    directory_syncs: AtomicU64,
    written_bytes: AtomicU64,
}

#[derive(Debug)]
struct Tree {
    names: Names,
    nodes: HashMap<Ino, Arc<Node>>,
    /// Without a name, and open still.
    orphans: HashMap<Ino, Weak<Node>>,
    next: u64,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Disk {
    backing: PathBuf,
    tree: Mutex<Tree>,
    generation: AtomicU64,
    counting: Counting,
    pub(crate) faults: Faults,
}

pub(crate) type Answer<T> = Result<T, Errno>;

impl Disk {
    /// An empty disk that keeps content in `backing`, an empty directory.
    pub(crate) fn new(backing: &Path) -> Self {
        let root = Node::new(Ino::ROOT, true, 0o755, (0, 0), (Ino::ROOT, OsStr::new("")));
        let nodes = HashMap::from([(Ino::ROOT, Arc::new(root))]);
        Self {
            backing: backing.to_owned(),
            tree: Mutex::new(Tree {
                names: Names::new(),
                nodes,
                orphans: HashMap::new(),
                next: Ino::ROOT.0 + 1,
            }),
            generation: AtomicU64::new(0),
            counting: Counting::default(),
            faults: Faults::default(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            file_syncs: self.counting.file_syncs.load(Ordering::Relaxed),
            directory_syncs: self.counting.directory_syncs.load(Ordering::Relaxed),
            written_bytes: self.counting.written_bytes.load(Ordering::Relaxed),
        }
    }

    /// Bytes of all files that were written and are not durable.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        let tree = self.tree.lock();
        tree.nodes.values().map(|node| node.content.lock().unsynced_bytes()).sum()
    }

    /// Loses what a power cut loses.
    pub(crate) fn power_off(&self, seed: u64) -> io::Result<PowerCut> {
        let mut random = Random::new(seed);
        let mut tree = self.tree.lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let (names_kept, names_lost) = tree.names.cut(&mut random);
        let mut pages = Pages::default();
        let mut inos: Vec<Ino> = tree.nodes.keys().copied().collect();
        // In order, so that a seed means the same every time.
        inos.sort_unstable();
        for ino in inos {
            let node = Arc::clone(&tree.nodes[&ino]);
            if node.is_directory {
                continue;
            }
            let mut content = node.content.lock();
            if content.is_durable() {
                continue;
            }
            let file = self.open_backing(ino)?;
            let lost = content.power_off(&file, &mut random)?;
            pages.kept += lost.kept;
            pages.lost += lost.lost;
            pages.torn += lost.torn;
        }
        self.remove_unreferenced(&mut tree);
        tree.note_places();
        Ok(PowerCut {
            pages_kept: pages.kept,
            pages_lost: pages.lost,
            pages_torn: pages.torn,
            names_kept,
            names_lost,
        })
    }

    /// Refuses what a fault refuses. `name` is one in the directory `ino`.
    fn check(&self, tree: &Tree, ino: Ino, name: Option<&OsStr>, access: Access) -> Answer<()> {
        if !self.faults.any() {
            return Ok(());
        }
        let mut path = tree.path(ino);
        let by_path = name.is_some() || access == Access::OpenToWrite;
        path.extend(name);
        self.faults.check(&path, access, by_path)
    }

    fn backing_path(&self, ino: Ino) -> PathBuf {
        self.backing.join(ino.0.to_string())
    }

    fn open_backing(&self, ino: Ino) -> io::Result<File> {
        File::options().read(true).write(true).open(self.backing_path(ino))
    }

    /// Removes what no name leads to, now or after a power cut. What is open stays for its users.
    fn remove_unreferenced(&self, tree: &mut Tree) {
        for ino in tree.names.take_unreferenced() {
            let Some(node) = tree.nodes.remove(&ino) else { continue };
            if !node.is_directory {
                // Only space is lost when this fails; the backing directory goes with the test.
                let _ = std::fs::remove_file(self.backing_path(ino));
            }
            tree.orphans.retain(|_, orphan| orphan.strong_count() > 0);
            tree.orphans.insert(ino, Arc::downgrade(&node));
        }
    }
}

impl Tree {
    fn node(&self, ino: Ino) -> Answer<Arc<Node>> {
        let orphan = || self.orphans.get(&ino).and_then(Weak::upgrade);
        self.nodes.get(&ino).cloned().or_else(orphan).ok_or(Errno::ENOENT)
    }

    fn touch(&self, directory: Ino) {
        if let Some(node) = self.nodes.get(&directory) {
            node.touch();
        }
    }

    /// Where a node is or was last, from the root.
    fn path(&self, ino: Ino) -> PathBuf {
        let mut names = Vec::new();
        let mut at = ino;
        // Bounded, should directories that lost their names ever lead to each other.
        while at != Ino::ROOT && names.len() < 64 {
            let Ok(node) = self.node(at) else { break };
            let place = node.status.lock().place.clone();
            names.push(place.1);
            at = place.0;
        }
        names.iter().rev().collect()
    }

    /// Notes where everything is, after names changed without anybody renaming.
    fn note_places(&self) {
        for (directory, list) in self.names.lists() {
            for (name, ino) in list {
                if let Some(node) = self.nodes.get(ino) {
                    node.status.lock().place = (*directory, name.clone());
                }
            }
        }
    }
}
