//! The file operations a drive needs, as a trait so that faults can be put beneath.
//!
//! Covers segments, the superblock and directory listings. The index is RocksDB's own business and
//! bypasses this trait: it holds nothing that the segments do not.
//!
//! Invariants of an implementation:
//! - data is durable when [`VfsFile::sync_data`] returned, names when [`Vfs::sync_directory`] did;
//! - after a failed sync nothing may be assumed about the data, and the caller never asks that
//!   file again.

use std::{ffi::OsString, io, path::Path, sync::Arc};

mod real;

pub use real::RealVfs;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading through the page cache.
    Read,
    /// Reading from the medium: offsets, lengths and memory are 4 KiB-aligned.
    ReadMedium,
    /// Reading and writing an existing file, or a new one; writes are 4 KiB-aligned.
    Append,
    /// Writing a small file from its beginning, emptied first.
    Overwrite,
}

/// Space of the file system a directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystemSpace {
    /// Size of the file system in bytes.
    pub total_bytes: u64,
    /// Bytes an unprivileged process may still write.
    pub available_bytes: u64,
}

/// An open file.
pub trait VfsFile: Send + Sync {
    /// Reads at `offset_bytes` into `buffer`; zero means end of file.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset_bytes`.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::QuotaExceeded`] without space; anything
    /// else fails the drive. Part of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()>;

    /// Makes everything written durable.
    ///
    /// # Errors
    /// Whatever the medium reports; the file must not be used again.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Current length in bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether reads and writes go past the page cache.
    fn bypasses_cache(&self) -> bool;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file system.
pub trait Vfs: Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when a file to read is missing, or whatever else happens.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;

    /// Creates a directory whose parent exists; an existing one is not an error.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory, in no particular order.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the directory is missing, or whatever else happens.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Renames a file over whatever has the new name.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file. Open files stay readable.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Space of the file system the directory lies on.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn space(&self, path: &Path) -> io::Result<FileSystemSpace>;
}

/// Whether an error says that there is no space, as opposed to a broken medium.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
pub(crate) fn read_full_at(
    file: &dyn VfsFile,
    buffer: &mut [u8],
    offset_bytes: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset_bytes + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // A short read of unaligned length is the end of the file; asking again from there would
        // break the alignment O_DIRECT wants.
        if !filled.is_multiple_of(crate::record::PAGE_BYTES) {
            break;
        }
    }
    Ok(filled)
}
