//! Small files that must survive a crash whole: temporary, fsync, rename, fsync of the directory.
//! And directories whose names must.
//!
//! With the `failpoints` feature, setting `skip-sync::SITE` to `return` leaves a sync out, so that a
//! test can show what it is for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use fail::fail_point;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; mode 0644 before the umask.
    Public,
    /// The owner alone; mode 0600.
    Private,
}

/// Replaces `path` by `contents`. After `Ok` the new contents survive a crash; after an error the
/// old file is still there. Blocks for I/O.
///
/// # Errors
/// Whatever the file system reports.
pub fn write(path: &Path, contents: &[u8], access: Access) -> io::Result<()> {
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
    sync_content(&file)?;
    fs::rename(&temporary, path)?;
    sync_name(parent)
}

/// Makes a directory whose parent exists. After `Ok` it survives a crash; also if it was there
/// already, because whoever made it may have been killed before its name was durable. Blocks for
/// I/O.
///
/// # Errors
/// Whatever the file system reports.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let existed = match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
        Err(error) => return Err(error),
        Ok(()) => false,
    };
    match sync_directory_name(parent_of(path)) {
        // Somebody else made it: we could not have made anything in there.
        Err(error) if existed && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// As [`make_directory`], with what leads to it.
///
/// # Errors
/// Whatever the file system reports.
pub fn make_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .filter(|path| !path.as_os_str().is_empty())
        .take_while(|path| !path.exists())
        .collect();
    for ancestor in missing.into_iter().rev() {
        make_directory(ancestor)?;
    }
    make_directory(path)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn sync_content(file: &File) -> io::Result<()> {
    fail_point!("skip-sync::file-content", |_| Ok(()));
    file.sync_all()
}

fn sync_name(parent: &Path) -> io::Result<()> {
    fail_point!("skip-sync::file-name", |_| Ok(()));
    File::open(parent)?.sync_all()
}

fn sync_directory_name(parent: &Path) -> io::Result<()> {
    fail_point!("skip-sync::directory-name", |_| Ok(()));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use compat_tests_faultfs::FaultFs;

    use super::*;

    /// Cuts after one of which an unsynced change is lost: it is by one in two or three.
    const CUTS: u64 = 24;

    /// For how many of [`CUTS`] power cuts `holds` is false after `change` was made to an empty
    /// directory; `None` where there is no FUSE.
    fn losses(change: impl Fn(&Path), holds: impl Fn(&Path) -> bool) -> Option<usize> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (backing, mount_point) = (dir.path().join("backing"), dir.path().join("disk"));
        let disk = FaultFs::mount_for("durable_file", &backing, &mount_point)?;
        let lost = |seed: &u64| {
            let case = disk.mount_point().join(seed.to_string());
            fs::create_dir(&case).expect("makes");
            File::open(disk.mount_point()).and_then(|root| root.sync_all()).expect("syncs");
            change(&case);
            disk.power_off(*seed).expect("cuts");
            !holds(&case)
        };
        Some((0..CUTS).filter(lost).count())
    }

    fn assert_only_lost_without(
        sites: &[&str],
        change: impl Fn(&Path),
        holds: impl Fn(&Path) -> bool,
    ) {
        let Some(lost) = losses(&change, &holds) else { return };
        assert_eq!(lost, 0, "with every sync");
        for site in sites {
            fail::cfg(*site, "return").expect("a failpoint");
            let lost = losses(&change, &holds);
            fail::remove(*site);
            assert_ne!(lost, Some(0), "nothing is lost with {site}");
        }
    }

    #[test]
    fn a_file_needs_both_syncs_to_survive_a_power_cut() {
        let change = |case: &Path| {
            let path = case.join("secret");
            write(&path, b"old contents", Access::Private).expect("writes");
            write(&path, b"new", Access::Private).expect("replaces");
        };
        let holds = |case: &Path| fs::read(case.join("secret")).is_ok_and(|read| read == b"new");
        assert_only_lost_without(
            &["skip-sync::file-content", "skip-sync::file-name"],
            change,
            holds,
        );
    }

    #[test]
    fn a_directory_needs_its_sync_to_survive_a_power_cut() {
        let change = |case: &Path| make_directories(&case.join("a/b")).expect("makes");
        let holds = |case: &Path| case.join("a/b").is_dir();
        assert_only_lost_without(&["skip-sync::directory-name"], change, holds);
        let change = |case: &Path| {
            // Whoever made it was killed before syncing anything.
            fs::create_dir(case.join("a")).expect("makes");
            make_directory(&case.join("a")).expect("is there");
        };
        let holds = |case: &Path| case.join("a").is_dir();
        assert_only_lost_without(&["skip-sync::directory-name"], change, holds);
    }

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
