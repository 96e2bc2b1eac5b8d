//! s3fs: a bucket mounted as a file system.
//!
//! - Where `/dev/fuse` cannot be opened, or nothing may be mounted, nothing is shown, and a line
//!   that begins with `not run` says so.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::payload;
use compat_tests::server::Server;
use compat_tests::tree;

const MIB: usize = 1024 * 1024;

/// How long a mount may take to come or go. Chosen: many times what a busy machine needs.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the harness looks whether something has happened. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A bucket mounted on a directory until it is dropped.
struct Mount {
    process: Child,
    directory: PathBuf,
    /// The password, temporary files and the log of s3fs.
    work: PathBuf,
    bucket: String,
    server: Server,
}

impl Mount {
    /// Mounts a new bucket; `None`, and a line about it, where FUSE cannot be used.
    fn new(what: &str) -> Option<Self> {
        if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/fuse") {
            eprintln!("not run: {what}: /dev/fuse: {error}");
            return None;
        }
        let server = crate::shared();
        let bucket = server.new_bucket("s3fs");
        let directory = server.work_dir();
        let work = server.work_dir();
        let process = Self::start(&server, &bucket, &directory, &work);
        Self { process, directory, work, bucket, server }.wait_for_mount(what)
    }

    fn start(server: &Server, bucket: &str, directory: &Path, work: &Path) -> Child {
        let root = server.root();
        let secret = work.join("password");
        fs::write(&secret, format!("{}:{}", root.access_key, root.secret_key)).expect("writable");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("owned");
        let log = fs::File::create(work.join("log")).expect("the work directory is writable");
        let options = format!(
            "url={},use_path_request_style,passwd_file={},multipart_size=5,tmpdir={}",
            server.s3_url(),
            secret.display(),
            work.display()
        );
        let mut command = Command::new("s3fs");
        command.arg(bucket).arg(directory).args(["-f", "-o", &options]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        command.spawn().expect("s3fs is installed; run `scripts/deps test`")
    }

    /// Waits until the file system is there; `None`, and a line about it, when it may not be.
    fn wait_for_mount(mut self, what: &str) -> Option<Self> {
        let deadline = Instant::now() + MOUNT_TIMEOUT;
        while !self.is_mounted() {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                let log = fs::read_to_string(self.work.join("log")).expect("s3fs has a log");
                assert!(log.contains("Operation not permitted"), "s3fs ended, {status}: {log}");
                eprintln!("not run: {what}: mounting is not permitted here");
                return None;
            }
            assert!(Instant::now() < deadline, "s3fs needs more than {MOUNT_TIMEOUT:?}");
            thread::sleep(POLL_INTERVAL);
        }
        Some(self)
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("Linux lists mounts");
        let directory = self.directory.to_string_lossy();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(&*directory))
    }

    /// Takes the file system away and mounts it again, with nothing remembered.
    fn again(mut self) -> Self {
        self.unmount();
        self.process = Self::start(&self.server, &self.bucket, &self.directory, &self.work);
        self.wait_for_mount("mounting again").expect("it was mounted before")
    }

    fn unmount(&mut self) {
        let _ = Command::new("fusermount").arg("-u").arg(&self.directory).status();
        let deadline = Instant::now() + MOUNT_TIMEOUT;
        while self.process.try_wait().ok().flatten().is_none() {
            if Instant::now() > deadline {
                let _ = self.process.kill();
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
fn a_tree_copied_into_a_mount_is_there_after_mounting_again() {
    let Some(mount) = Mount::new("a_tree_copied_into_a_mount") else { return };
    let source = mount.server.work_dir();
    tree::write(&source, 70);
    let target = mount.directory.join("tree");
    let copied = Command::new("cp").arg("-r").arg(&source).arg(&target).status();
    assert!(copied.expect("cp is there").success());
    tree::assert_same(&target, &source);
    let mount = mount.again();
    tree::assert_same(&target, &source);
    let large = mount.server.wire().get(&format!("/{}/tree/large.bin", mount.bucket)).send();
    let wanted = fs::read(source.join("large.bin")).expect("the file is there");
    assert!(large.status_is(200).body == wanted, "the object differs from the file");
}

#[test]
fn files_are_renamed_appended_truncated_and_removed() {
    let Some(mount) = Mount::new("files_are_renamed_appended_truncated") else { return };
    let root = &mount.directory;
    let mut data = payload::bytes(71, 11 * MIB + 9).to_vec();
    fs::create_dir_all(root.join("a/b")).expect("directories can be made");
    fs::write(root.join("a/b/one"), &data).expect("files can be written");
    // Copied part by part on the server.
    fs::rename(root.join("a/b/one"), root.join("a/two")).expect("files can be renamed");
    let mut file = OpenOptions::new().append(true).open(root.join("a/two")).expect("it is there");
    file.write_all(b"end").expect("files can be appended to");
    drop(file);
    data.extend(b"end");
    assert!(fs::read(root.join("a/two")).expect("it is there") == data, "the bytes differ");
    let file = OpenOptions::new().write(true).open(root.join("a/two")).expect("it is there");
    file.set_len(100).expect("files can be truncated");
    drop(file);
    assert_eq!(fs::read(root.join("a/two")).expect("it is there"), &data[..100]);
    symlink("two", root.join("a/link")).expect("links can be made");
    assert_eq!(fs::read(root.join("a/link")).expect("it is there"), &data[..100]);
    fs::set_permissions(root.join("a/two"), fs::Permissions::from_mode(0o640)).expect("owned");
    let mode = fs::metadata(root.join("a/two")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(fs::remove_dir(root.join("a")).is_err(), "a directory with files is not removed");
    fs::remove_dir_all(root.join("a")).expect("trees can be removed");
    assert_eq!(fs::read_dir(root).expect("it is mounted").count(), 0);
    let listed = mount.server.wire().get(&format!("/{}", mount.bucket)).send().status_is(200);
    assert_eq!(listed.elements("Key"), [""; 0]);
}
