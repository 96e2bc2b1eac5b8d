//! Small files that must survive a crash whole: temporary, fsync, rename, fsync of the directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; mode 0644 before the umask.
    Public,
    /// The owner alone; mode 0600.
    Private,
}

/// Replaces `path` by `contents`. After `Ok` the new contents survive a crash; after an error the
/// old file is still there.
pub(crate) fn write(path: &Path, contents: &[u8], access: Access) -> io::Result<()> {
    let missing_parent = || io::Error::other("the path has no parent directory");
    let parent = path.parent().ok_or_else(missing_parent)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    // A leftover of a crash may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = match access {
        Access::Public => 0o644,
        Access::Private => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn private_file_is_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("secret");
        write(&path, b"one", Access::Private).expect("writes");
        fs::write(dir.path().join("secret.tmp"), b"left over").expect("writes");
        write(&path, b"two", Access::Private).expect("replaces");
        assert_eq!(fs::read(&path).expect("reads"), b"two");
        assert_eq!(fs::metadata(&path).expect("exists").permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("secret.tmp").exists());
    }
}
