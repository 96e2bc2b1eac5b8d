//! One file or directory.

use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo};
use parking_lot::Mutex;

use crate::file::{Content, PAGE};
use crate::names::Ino;

/// A file or directory, under whatever name.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ino: Ino,
    pub(crate) is_directory: bool,
    pub(crate) status: Mutex<Status>,
    /// Empty for a directory.
    pub(crate) content: Mutex<Content>,
}

/// What `stat` tells but for the length; and where it was seen last.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: SystemTime,
    /// Directory and name it last got.
    pub(crate) place: (Ino, OsString),
}

impl Node {
    pub(crate) fn new(
        ino: Ino,
        is_directory: bool,
        mode: u32,
        owner: (u32, u32),
        place: (Ino, &OsStr),
    ) -> Self {
        let status = Status {
            mode: (mode & 0o7777) as u16,
            uid: owner.0,
            gid: owner.1,
            modified: now(),
            place: (place.0, place.1.to_owned()),
        };
        Self {
            ino,
            is_directory,
            status: Mutex::new(status),
            content: Mutex::new(Content::default()),
        }
    }

    pub(crate) fn touch(&self) {
        self.status.lock().modified = now();
    }

    /// What `stat` tells, with `links` names leading here.
    pub(crate) fn attributes(&self, links: u32) -> FileAttr {
        let size = self.content.lock().len();
        let status = self.status.lock();
        FileAttr {
            ino: INodeNo(self.ino.0),
            size,
            blocks: size.div_ceil(512),
            atime: status.modified,
            mtime: status.modified,
            ctime: status.modified,
            crtime: status.modified,
            kind: if self.is_directory { FileType::Directory } else { FileType::RegularFile },
            perm: status.mode,
            nlink: if self.is_directory { 2 } else { links },
            uid: status.uid,
            gid: status.gid,
            rdev: 0,
            blksize: PAGE as u32,
            flags: 0,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a file system stamps files with the real time")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
