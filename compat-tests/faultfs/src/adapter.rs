//! FUSE's requests as calls of [`Disk`].
//!
//! - Nothing is cached in the kernel: times to live are zero, files are opened past the page cache.
//! - The kernel keeps locks by itself, because nothing here answers them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::libc;
use parking_lot::Mutex;

use crate::disk::{Disk, NewStatus, OpenDirectory, OpenFile};
use crate::names::Ino;

/// Nothing is kept in the kernel.
const TTL: Duration = Duration::ZERO;
/// Numbers are never used twice, so one generation is enough.
const GENERATION: Generation = Generation(0);
/// Bytes per write request. Source: the kernel's default limit of 256 pages.
const WRITE_BYTES_MAX: u32 = 1 << 20;

/// What the kernel talks to.
pub(crate) struct Adapter {
    disk: Arc<Disk>,
    files: Mutex<HashMap<u64, Arc<OpenFile>>>,
    directories: Mutex<HashMap<u64, Arc<OpenDirectory>>>,
    next_handle: AtomicU64,
}

impl Adapter {
    pub(crate) fn new(disk: Arc<Disk>) -> Self {
        Self {
            disk,
            files: Mutex::default(),
            directories: Mutex::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    fn keep_file(&self, open: OpenFile) -> FileHandle {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        self.files.lock().insert(handle, Arc::new(open));
        FileHandle(handle)
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<OpenFile>, Errno> {
        self.files.lock().get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn directory(&self, handle: FileHandle) -> Result<Arc<OpenDirectory>, Errno> {
        self.directories.lock().get(&handle.0).cloned().ok_or(Errno::EBADF)
    }
}

fn owner(request: &Request) -> (u32, u32) {
    (request.uid(), request.gid())
}

fn flags_of_open() -> FopenFlags {
    FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A larger limit is refused with the nearest one that works, which is as good.
        let _ = config.set_max_write(WRITE_BYTES_MAX);
        // Kernels before 6.6 do without shared mappings of such files.
        let _ = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.disk.lookup(Ino(parent.0), name) {
            Ok(found) => reply.entry(&TTL, &found, GENERATION),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk.attributes(Ino(ino.0)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        len: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let open = handle.and_then(|handle| self.file(handle).ok());
        let new = NewStatus { mode, uid, gid, len };
        match self.disk.set_attributes(Ino(ino.0), new, open.as_deref()) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        match self.disk.make_directory(Ino(parent.0), name, mode, owner(request)) {
            Ok(made) => reply.entry(&TTL, &made, GENERATION),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.disk.unlink(Ino(parent.0), name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.disk.remove_directory(Ino(parent.0), name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.error(Errno::EINVAL);
        }
        let (from, to) = ((Ino(parent.0), name), (Ino(new_parent.0), new_name));
        answer(reply, self.disk.rename(from, to, !flags.is_empty()));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.disk.link(Ino(ino.0), Ino(parent.0), name) {
            Ok(linked) => reply.entry(&TTL, &linked, GENERATION),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let appends = flags & libc::O_APPEND != 0;
        match self.disk.create(Ino(parent.0), name, mode, owner(request), appends) {
            Ok((made, open)) => {
                let handle = self.keep_file(open);
                reply.created(&TTL, &made, GENERATION, handle, flags_of_open());
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match self.disk.open(Ino(ino.0), writes, flags.0 & libc::O_APPEND != 0) {
            Ok(open) => reply.opened(self.keep_file(open), flags_of_open()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.file(handle).and_then(|open| self.disk.read(&open, offset, len as usize));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(handle).and_then(|open| self.disk.write(&open, offset, bytes)) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files.lock().remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        // Data alone includes the length, without which it could not be read.
        answer(reply, self.file(handle).and_then(|open| self.disk.sync(&open)));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let open = self.file(handle);
        answer(reply, open.and_then(|open| self.disk.allocate(&open, offset, len, mode)));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk.open_directory(Ino(ino.0)) {
            Ok(open) => {
                let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
                self.directories.lock().insert(handle, Arc::new(open));
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let open = self.directory(handle);
        let entries = match open.as_ref().map_err(|error| *error).and_then(|o| self.disk.list(o)) {
            Ok(entries) => entries,
            Err(error) => return reply.error(error),
        };
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (ino, is_directory, name)) in entries.iter().enumerate().skip(skip) {
            let kind = if *is_directory { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(ino.0), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.directories.lock().remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.directory(handle).and_then(|open| self.disk.sync_directory(&open)));
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.disk.space(Ino(ino.0)) {
            Ok((found, is_full)) => {
                let free = |count: u64| if is_full { 0 } else { count };
                reply.statfs(
                    found.blocks(),
                    free(found.blocks_free()),
                    free(found.blocks_available()),
                    found.files(),
                    found.files_free(),
                    u32::try_from(found.block_size()).unwrap_or(4096),
                    255,
                    u32::try_from(found.fragment_size()).unwrap_or(4096),
                );
            }
            Err(error) => reply.error(error),
        }
    }
}
