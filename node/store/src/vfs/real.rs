//! The operating system's files, with O_DIRECT where the file system offers it.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{Advice, OFlags, fadvise, fcntl_getfl, fcntl_setfl, statvfs};

use super::{FileSystemSpace, OpenMode, Vfs, VfsFile};

/// The operating system's file system.
#[derive(Clone, Copy, Debug)]
pub struct RealVfs {
    direct: bool,
}

impl RealVfs {
    /// Uses O_DIRECT for segments where the file system supports it.
    #[must_use]
    pub fn new() -> Self {
        Self { direct: true }
    }

    /// Never uses O_DIRECT: for drives behind a cache that is worth filling.
    #[must_use]
    pub fn buffered() -> Self {
        Self { direct: false }
    }

    fn open_segment(&self, path: &Path, options: &mut OpenOptions) -> io::Result<RealFile> {
        if self.direct {
            let flags = i32::try_from(OFlags::DIRECT.bits()).expect("open flags fit an int");
            match options.clone().custom_flags(flags).open(path) {
                Ok(file) => {
                    return Ok(RealFile { file, direct: AtomicBool::new(true), medium: true });
                }
                // The file system refuses O_DIRECT: tmpfs before Linux 6.6, some network ones.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        Ok(RealFile { file: options.open(path)?, direct: AtomicBool::new(false), medium: true })
    }
}

impl Default for RealVfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Vfs for RealVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        let file = match mode {
            OpenMode::Read => RealFile {
                file: options.read(true).open(path)?,
                direct: AtomicBool::new(false),
                medium: false,
            },
            OpenMode::ReadMedium => self.open_segment(path, options.read(true))?,
            OpenMode::Append => {
                self.open_segment(path, options.read(true).write(true).create(true))?
            }
            OpenMode::Overwrite => RealFile {
                file: options.write(true).create(true).truncate(true).open(path)?,
                direct: AtomicBool::new(false),
                medium: false,
            },
        };
        Ok(Arc::new(file))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<FileSystemSpace> {
        let found = statvfs(path)?;
        Ok(FileSystemSpace {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

struct RealFile {
    file: File,
    /// Whether O_DIRECT is set at the moment.
    direct: AtomicBool,
    /// Whether reads are meant to come from the medium.
    medium: bool,
}

impl RealFile {
    /// Some file systems accept O_DIRECT at open and refuse it at the first transfer. Switches it
    /// off and says whether trying again makes sense.
    fn fall_back(&self, error: &io::Error) -> bool {
        if error.kind() != io::ErrorKind::InvalidInput || !self.direct.swap(false, Ordering::SeqCst)
        {
            return false;
        }
        fcntl_getfl(&self.file)
            .and_then(|flags| fcntl_setfl(&self.file, flags - OFlags::DIRECT))
            .is_ok()
    }
}

impl VfsFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        if self.medium && !self.direct.load(Ordering::SeqCst) {
            // Without O_DIRECT, dropping the cached pages makes the kernel ask the medium. Advice
            // that is not taken only weakens a scrub; it is no error.
            let len = std::num::NonZeroU64::new(buffer.len() as u64);
            let _ = fadvise(&self.file, offset_bytes, len, Advice::DontNeed);
        }
        match self.file.read_at(buffer, offset_bytes) {
            Err(error) if self.fall_back(&error) => self.file.read_at(buffer, offset_bytes),
            other => other,
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        match self.file.write_all_at(bytes, offset_bytes) {
            Err(error) if self.fall_back(&error) => self.file.write_all_at(bytes, offset_bytes),
            other => other,
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn bypasses_cache(&self) -> bool {
        self.direct.load(Ordering::SeqCst)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
