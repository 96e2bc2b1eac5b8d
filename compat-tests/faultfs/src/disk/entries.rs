//! Names and attributes.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::{Errno, FileAttr};

use super::{Answer, Disk, OpenFile, Tree};
use crate::fault::Access;
use crate::names::{Change, Ino};
use crate::node::Node;

/// Names are refused beyond this many bytes, as by most file systems.
const NAME_LEN_MAX: usize = 255;

/// What `stat` may change.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewStatus {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) len: Option<u64>,
}

impl Disk {
    pub(crate) fn lookup(&self, parent: Ino, name: &OsStr) -> Answer<FileAttr> {
        let tree = self.tree.lock();
        self.check(&tree, parent, Some(name), Access::Look)?;
        let ino = tree.names.get(parent, name).ok_or(Errno::ENOENT)?;
        Ok(tree.node(ino)?.attributes(tree.names.links(ino)))
    }

    pub(crate) fn attributes(&self, ino: Ino) -> Answer<FileAttr> {
        let tree = self.tree.lock();
        self.check(&tree, ino, None, Access::Look)?;
        Ok(tree.node(ino)?.attributes(tree.names.links(ino)))
    }

    /// `open` is how the caller has it open, if it does.
    pub(crate) fn set_attributes(
        &self,
        ino: Ino,
        new: NewStatus,
        open: Option<&OpenFile>,
    ) -> Answer<FileAttr> {
        let node = {
            let tree = self.tree.lock();
            let node = tree.node(ino)?;
            let grows = new.len.is_some_and(|len| len > node.content.lock().len());
            self.check(&tree, ino, None, if grows { Access::Grow } else { Access::Change })?;
            node
        };
        if let Some(len) = new.len {
            if node.is_directory {
                return Err(Errno::EISDIR);
            }
            match open {
                Some(open) => self.set_len_of(open, len)?,
                None => node.content.lock().set_len(&self.open_backing(ino)?, len)?,
            }
            node.touch();
        }
        let mut status = node.status.lock();
        if let Some(mode) = new.mode {
            status.mode = (mode & 0o7777) as u16;
        }
        status.uid = new.uid.unwrap_or(status.uid);
        status.gid = new.gid.unwrap_or(status.gid);
        drop(status);
        Ok(node.attributes(self.tree.lock().names.links(ino)))
    }

    /// Makes a file and opens it, or a directory.
    fn make(
        &self,
        parent: Ino,
        name: &OsStr,
        directory: bool,
        mode: u32,
        owner: (u32, u32),
    ) -> Answer<Arc<Node>> {
        if name.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut tree = self.tree.lock();
        self.check(&tree, parent, Some(name), Access::Grow)?;
        if tree.names.list(parent).is_none() || tree.is_gone(parent) {
            return Err(Errno::ENOENT);
        }
        if tree.names.get(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let ino = Ino(tree.next);
        tree.next += 1;
        let node = Arc::new(Node::new(ino, directory, mode, owner, (parent, name)));
        if directory {
            tree.names.add_directory(ino);
        } else {
            std::fs::File::create_new(self.backing_path(ino))?;
        }
        tree.nodes.insert(ino, Arc::clone(&node));
        tree.names.apply(vec![Change::new(parent, name, Some(ino))]);
        tree.touch(parent);
        Ok(node)
    }

    pub(crate) fn create(
        &self,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        owner: (u32, u32),
        appends: bool,
    ) -> Answer<(FileAttr, OpenFile)> {
        let node = self.make(parent, name, false, mode, owner)?;
        let attributes = node.attributes(1);
        Ok((attributes, self.open_node(node, appends)?))
    }

    pub(crate) fn make_directory(
        &self,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        owner: (u32, u32),
    ) -> Answer<FileAttr> {
        Ok(self.make(parent, name, true, mode, owner)?.attributes(2))
    }

    pub(crate) fn link(&self, ino: Ino, parent: Ino, name: &OsStr) -> Answer<FileAttr> {
        let mut tree = self.tree.lock();
        self.check(&tree, parent, Some(name), Access::Grow)?;
        let node = tree.node(ino)?;
        if node.is_directory {
            return Err(Errno::EPERM);
        }
        if tree.names.get(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        tree.names.apply(vec![Change::new(parent, name, Some(ino))]);
        tree.touch(parent);
        Ok(node.attributes(tree.names.links(ino)))
    }

    pub(crate) fn unlink(&self, parent: Ino, name: &OsStr) -> Answer<()> {
        let mut tree = self.tree.lock();
        self.check(&tree, parent, Some(name), Access::Change)?;
        let ino = tree.names.get(parent, name).ok_or(Errno::ENOENT)?;
        if tree.node(ino)?.is_directory {
            return Err(Errno::EISDIR);
        }
        tree.names.apply(vec![Change::new(parent, name, None)]);
        tree.touch(parent);
        self.remove_unreferenced(&mut tree);
        Ok(())
    }

    pub(crate) fn remove_directory(&self, parent: Ino, name: &OsStr) -> Answer<()> {
        let mut tree = self.tree.lock();
        self.check(&tree, parent, Some(name), Access::Change)?;
        let ino = tree.names.get(parent, name).ok_or(Errno::ENOENT)?;
        let list = tree.names.list(ino).ok_or(Errno::ENOTDIR)?;
        if !list.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        tree.names.apply(vec![Change::new(parent, name, None)]);
        tree.touch(parent);
        self.remove_unreferenced(&mut tree);
        Ok(())
    }

    /// Renames over what is there, unless `keep_old` refuses that.
    pub(crate) fn rename(
        &self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        keep_old: bool,
    ) -> Answer<()> {
        if to.1.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut tree = self.tree.lock();
        self.check(&tree, from.0, Some(from.1), Access::Change)?;
        self.check(&tree, to.0, Some(to.1), Access::Change)?;
        let ino = tree.names.get(from.0, from.1).ok_or(Errno::ENOENT)?;
        let node = tree.node(ino)?;
        if let Some(old) = tree.names.get(to.0, to.1) {
            if keep_old {
                return Err(Errno::EEXIST);
            }
            if old == ino {
                return Ok(());
            }
            match (node.is_directory, tree.names.list(old)) {
                (true, None) => return Err(Errno::ENOTDIR),
                (false, Some(_)) => return Err(Errno::EISDIR),
                (true, Some(list)) if !list.is_empty() => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        tree.names
            .apply(vec![Change::new(from.0, from.1, None), Change::new(to.0, to.1, Some(ino))]);
        node.status.lock().place = (to.0, to.1.to_owned());
        tree.touch(from.0);
        tree.touch(to.0);
        self.remove_unreferenced(&mut tree);
        Ok(())
    }
}

impl Tree {
    /// Whether a directory has lost its name, so that nothing can be made in it any more.
    fn is_gone(&self, directory: Ino) -> bool {
        directory != Ino::ROOT && self.names.links(directory) == 0
    }
}
