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
