//! rclone: sync, check, multipart, server-side copy, metadata listings.

use std::fs;
use std::path::PathBuf;

use compat_tests::clients::{REGION, installed};
use compat_tests::payload;
use compat_tests::program::Program;
use compat_tests::server::{Credentials, Server};
use compat_tests::tree;

const MIB: usize = 1024 * 1024;

/// Small parts, so that a few megabytes are a multipart upload and a multipart copy.
const SMALL_PARTS: [&str; 6] =
    ["--s3-chunk-size", "5Mi", "--s3-upload-cutoff", "5Mi", "--s3-copy-cutoff", "6Mi"];

struct Rclone {
    server: Server,
    bucket: String,
    dir: PathBuf,
}

impl Rclone {
    fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("rclone");
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    fn run(&self, arguments: &[&str]) -> Program {
        self.run_as(self.server.root(), arguments)
    }

    fn run_as(&self, credentials: &Credentials, arguments: &[&str]) -> Program {
        Program::new(installed("rclone", "bin/rclone"), &self.server.home_dir())
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_CONFIG_DM_TYPE", "s3")
            .env("RCLONE_CONFIG_DM_PROVIDER", "Other")
            .env("RCLONE_CONFIG_DM_ENDPOINT", self.server.s3_url())
            .env("RCLONE_CONFIG_DM_REGION", REGION)
            .env("RCLONE_CONFIG_DM_ACCESS_KEY_ID", &credentials.access_key)
            .env("RCLONE_CONFIG_DM_SECRET_ACCESS_KEY", &credentials.secret_key)
            .args(["--retries", "1", "--low-level-retries", "2"])
            .args(arguments)
            .current_dir(&self.dir)
    }

    fn at(&self, path: &str) -> String {
        format!("dm:{}/{path}", self.bucket)
    }
}

#[test]
fn sync_and_check_agree() {
    let rclone = Rclone::new();
    let (up, down) = (rclone.dir.join("up"), rclone.dir.join("down"));
    tree::write(&up, 10);
    let remote = rclone.at("t");
    let _ = rclone.run(&["sync", "up", &remote]).args(SMALL_PARTS).succeed();
    let _ = rclone.run(&["check", "up", &remote]).succeed();
    let _ = rclone.run(&["check", "--download", "up", &remote]).succeed();
    let _ = rclone.run(&["sync", &remote, "down"]).succeed();
    tree::assert_same(&down, &up);
    fs::remove_file(up.join("one byte")).expect("the file is there");
    fs::write(up.join("empty"), "no longer").expect("the directory is writable");
    let _ = rclone.run(&["check", "up", &remote]).fail_with("2 differences found");
    let _ = rclone.run(&["sync", "up", &remote]).succeed();
    let _ = rclone.run(&["check", "up", &remote]).succeed();
    let _ = rclone.run(&["sync", &remote, "down"]).succeed();
    tree::assert_same(&down, &up);
}

#[test]
fn multipart_uploads_and_copies_keep_the_bytes() {
    let rclone = Rclone::new();
    let data = payload::bytes(1, 17 * MIB + 3);
    fs::write(rclone.dir.join("up"), &data).expect("the work directory is writable");
    let (one, two) = (rclone.at("one"), rclone.at("two"));
    let _ = rclone.run(&["copyto", "up", &one]).args(SMALL_PARTS).succeed();
    let _ = rclone.run(&["copyto", &one, &two]).args(SMALL_PARTS).succeed();
    let threads = ["--multi-thread-cutoff", "1Mi", "--multi-thread-streams", "3"];
    let _ = rclone.run(&["copyto", &two, "down"]).args(threads).succeed();
    let down = fs::read(rclone.dir.join("down")).expect("the client wrote the file");
    assert!(down == data, "the bytes differ");
    let slice = ["cat", &two, "--offset", "5242870", "--count", "20"];
    assert_eq!(rclone.run(&slice).succeed().stdout, &data[5_242_870..5_242_890]);
}

#[test]
fn no_check_bucket_uploads_without_looking() {
    let rclone = Rclone::new();
    let remote = rclone.at("k");
    let put = rclone.run(&["rcat", "--s3-no-check-bucket", &remote]);
    let _ = put.input("through a pipe").succeed();
    assert_eq!(rclone.run(&["cat", &remote]).succeed().text(), "through a pipe");
    let none = format!("dm:{}-none/k", rclone.bucket);
    let put = rclone.run(&["rcat", "--s3-no-check-bucket", &none]);
    let _ = put.input("x").fail_with("NoSuchBucket");
}

#[test]
fn lsjson_describes_objects() {
    let rclone = Rclone::new();
    fs::write(rclone.dir.join("up"), "ten bytes!").expect("the work directory is writable");
    for key in ["dir/ü +1", "dir/2", "top"] {
        let _ = rclone.run(&["copyto", "up", &rclone.at(key)]).succeed();
    }
    let listed = rclone.run(&["lsjson", "-R", "--hash", "--hash-type", "md5", &rclone.at("")]);
    let listed = listed.succeed().json();
    let entries = listed.as_array().expect("lsjson prints a list");
    let mut paths: Vec<_> = entries.iter().filter_map(|entry| entry["Path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["dir", "dir/2", "dir/ü +1", "top"]);
    for file in entries.iter().filter(|entry| entry["IsDir"] == false) {
        assert_eq!(file["Size"], 10, "{file}");
        assert_eq!(file["Hashes"]["md5"], "7df74d02c12d70f2b09a1f70a316145e", "{file}");
    }
}

#[test]
fn modification_times_survive() {
    let rclone = Rclone::new();
    let path = rclone.dir.join("up");
    fs::write(&path, "dated").expect("the work directory is writable");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    let file = fs::File::options().write(true).open(&path).expect("the file is there");
    file.set_modified(time).expect("a file's time can be set");
    let _ = rclone.run(&["copyto", "up", &rclone.at("k")]).succeed();
    let listed = rclone.run(&["lsjson", &rclone.at("")]).succeed().json();
    let shown = listed[0]["ModTime"].as_str().unwrap_or_default().to_owned();
    assert!(shown.starts_with("2020-09-13T12:26:40"), "{shown}");
}

#[test]
fn delete_and_purge_remove() {
    let rclone = Rclone::new();
    tree::write(&rclone.dir.join("up"), 30);
    let _ = rclone.run(&["copy", "up", &rclone.at("one")]).succeed();
    let _ = rclone.run(&["moveto", &rclone.at("one/sub"), &rclone.at("two")]).succeed();
    let moved = rclone.run(&["lsf", "-R", "--files-only", &rclone.at("two")]).succeed().lines();
    assert_eq!(moved.len(), 4, "{moved:?}");
    let _ = rclone.run(&["delete", &rclone.at("one")]).succeed();
    let _ = rclone.run(&["purge", &rclone.at("")]).succeed();
    let _ = rclone.run(&["lsf", &rclone.at("")]).fail_with("not found");
}

#[test]
fn errors_carry_their_codes() {
    let rclone = Rclone::new();
    let second = rclone.server.second_account();
    let remote = rclone.at("k");
    let _ = rclone.run_as(second, &["lsf", &rclone.at("")]).fail_with("AccessDenied");
    let put = rclone.run_as(second, &["rcat", "--s3-no-check-bucket", &remote]);
    let _ = put.input("x").fail_with("AccessDenied");
}

/// Gives the bucket of `rclone` versioning, and `key` two versions and a delete marker above them.
fn keep_versions(rclone: &Rclone, key: &str) {
    let status = rclone.run(&["backend", "versioning", &rclone.at(""), "Enabled"]).succeed().text();
    assert!(status.contains("Enabled"), "{status}");
    let put = |text: &str| {
        let _ = rclone.run(&["rcat", &rclone.at(key)]).input(text).succeed();
    };
    put("first");
    // The times of versions are told apart by whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    put("second");
    let _ = rclone.run(&["deletefile", &rclone.at(key)]).succeed();
}

#[test]
fn old_versions_are_listed_and_read() {
    let rclone = Rclone::new();
    keep_versions(&rclone, "dir/file.txt");
    let at = rclone.at("dir");
    assert!(rclone.run(&["lsf", &at]).succeed().lines().is_empty(), "it is deleted");
    let names = rclone.run(&["lsf", "--s3-versions", &at]).succeed().lines();
    // Each old version has the time it was made in its name.
    assert_eq!(names.len(), 2, "{names:?}");
    let read = |name: &str| {
        let path = rclone.at(&format!("dir/{name}"));
        rclone.run(&["cat", "--s3-versions", &path]).succeed().text()
    };
    let mut bodies: Vec<String> = names.iter().map(|name| read(name)).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["first", "second"], "{names:?}");
}

#[test]
fn the_past_is_read_at_its_time() {
    let rclone = Rclone::new();
    keep_versions(&rclone, "file.txt");
    let listed = rclone.run(&["lsf", "--s3-versions", "--format", "p", &rclone.at("")]);
    let names = listed.succeed().lines();
    // `file-v2026-01-02-030405-000.txt`: the time in UTC.
    let oldest = names.iter().min().expect("there are versions");
    let time = oldest.trim_start_matches("file-v").trim_end_matches("-000.txt");
    let (date, clock) = time.split_at(10);
    let clock = clock.trim_start_matches('-');
    let at = format!("{date}T{}:{}:{}.999Z", &clock[..2], &clock[2..4], &clock[4..6]);
    let read = rclone.run(&["cat", "--s3-version-at", &at, &rclone.at("file.txt")]);
    assert_eq!(read.succeed().text(), "first", "{names:?} at {at}");
}

#[test]
fn hidden_files_are_cleaned_up() {
    let rclone = Rclone::new();
    keep_versions(&rclone, "gone");
    let _ = rclone.run(&["rcat", &rclone.at("kept")]).input("old").succeed();
    let _ = rclone.run(&["rcat", &rclone.at("kept")]).input("new").succeed();
    let _ = rclone.run(&["backend", "cleanup-hidden", &rclone.at("")]).succeed();
    let listed = rclone.server.wire().get(&format!("/{}?versions", rclone.bucket)).send();
    let listed = listed.status_is(200);
    assert_eq!(listed.elements("Key"), ["kept"], "old versions and markers are gone");
    assert_eq!(rclone.run(&["cat", &rclone.at("kept")]).succeed().text(), "new");
    let suspended = ["backend", "versioning", &rclone.at(""), "Suspended"];
    assert!(rclone.run(&suspended).succeed().text().contains("Suspended"));
}
