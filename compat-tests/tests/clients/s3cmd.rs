//! s3cmd: its own signer, path style through its configuration file.

use std::fs;
use std::path::PathBuf;

use compat_tests::clients::{REGION, installed};
use compat_tests::payload;
use compat_tests::program::Program;
use compat_tests::server::{Credentials, Server};
use compat_tests::tree;

const MIB: usize = 1024 * 1024;

struct S3cmd {
    server: Server,
    bucket: String,
    dir: PathBuf,
}

impl S3cmd {
    fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("s3cmd");
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    fn run(&self, arguments: &[&str]) -> Program {
        self.run_as(self.server.root(), arguments)
    }

    fn run_as(&self, credentials: &Credentials, arguments: &[&str]) -> Program {
        let address = self.server.s3_address();
        let config = self.dir.join(format!("s3cfg-{}", credentials.access_key));
        let text = format!(
            "[default]\naccess_key = {}\nsecret_key = {}\nhost_base = {address}\n\
             host_bucket = {address}\nbucket_location = {REGION}\nuse_https = False\n\
             progress_meter = False\nmax_retries = 1\n",
            credentials.access_key, credentials.secret_key
        );
        fs::write(&config, text).expect("the work directory is writable");
        Program::new(installed("python", "python/bin/s3cmd"), &self.server.home_dir())
            .arg("--config")
            .arg(config)
            .args(arguments)
            .current_dir(&self.dir)
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn get(&self, key: &str) -> Vec<u8> {
        let _ = self.run(&["get", "--force", &self.url(key), "down"]).succeed();
        fs::read(self.dir.join("down")).expect("the client wrote the file")
    }
}

#[test]
fn put_and_get_keep_the_bytes() {
    let s3cmd = S3cmd::new();
    for (seed, len) in [(1, 0), (2, 1000), (3, 3 * MIB + 1)] {
        let data = payload::bytes(seed, len);
        fs::write(s3cmd.dir.join("up"), &data).expect("the work directory is writable");
        let _ = s3cmd.run(&["put", "up", &s3cmd.url("dir/a b+ö")]).succeed();
        assert!(s3cmd.get("dir/a b+ö") == data, "{len} bytes differ");
    }
}

#[test]
fn multipart_put_keeps_the_bytes() {
    let s3cmd = S3cmd::new();
    let data = payload::bytes(4, 17 * MIB + 3);
    fs::write(s3cmd.dir.join("up"), &data).expect("the work directory is writable");
    let put = ["put", "--multipart-chunk-size-mb=5", "up", &s3cmd.url("k")];
    let _ = s3cmd.run(&put).succeed();
    assert!(s3cmd.get("k") == data, "the parts differ");
    let _ = s3cmd.run(&["cp", &s3cmd.url("k"), &s3cmd.url("c")]).succeed();
    assert!(s3cmd.get("c") == data, "the copy differs");
}

#[test]
fn ls_shows_keys_and_prefixes() {
    let s3cmd = S3cmd::new();
    fs::write(s3cmd.dir.join("up"), "ten bytes!").expect("the work directory is writable");
    for key in ["a/1", "a/2", "top"] {
        let _ = s3cmd.run(&["put", "up", &s3cmd.url(key)]).succeed();
    }
    let shown = s3cmd.run(&["ls", &s3cmd.url("")]).succeed().lines();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].contains("DIR") && shown[0].ends_with(&s3cmd.url("a/")), "{shown:?}");
    assert!(shown[1].contains(" 10 ") && shown[1].ends_with(&s3cmd.url("top")), "{shown:?}");
    let all = s3cmd.run(&["ls", "--recursive", &s3cmd.url("")]).succeed().lines();
    assert_eq!(all.len(), 3, "{all:?}");
    let usage = s3cmd.run(&["du", &s3cmd.url("")]).succeed().text();
    assert!(usage.contains("30") && usage.contains("3 objects"), "{usage}");
}

#[test]
fn sync_copies_trees_and_deletes() {
    let s3cmd = S3cmd::new();
    let (up, down) = (s3cmd.dir.join("up"), s3cmd.dir.join("down"));
    tree::write(&up, 10);
    fs::create_dir(&down).expect("the work directory is writable");
    let remote = s3cmd.url("t/");
    let _ = s3cmd.run(&["sync", "up/", &remote]).succeed();
    let _ = s3cmd.run(&["sync", &remote, "down/"]).succeed();
    tree::assert_same(&down, &up);
    fs::remove_file(up.join("one byte")).expect("the file is there");
    fs::write(up.join("empty"), "no longer").expect("the directory is writable");
    let _ = s3cmd.run(&["sync", "--delete-removed", "up/", &remote]).succeed();
    let _ = s3cmd.run(&["sync", "--delete-removed", &remote, "down/"]).succeed();
    tree::assert_same(&down, &up);
}

#[test]
fn del_mv_and_buckets() {
    let s3cmd = S3cmd::new();
    fs::write(s3cmd.dir.join("up"), "moved").expect("the work directory is writable");
    for key in ["one", "d/1", "d/2"] {
        let _ = s3cmd.run(&["put", "up", &s3cmd.url(key)]).succeed();
    }
    let _ = s3cmd.run(&["mv", &s3cmd.url("one"), &s3cmd.url("two")]).succeed();
    assert_eq!(s3cmd.get("two"), b"moved");
    let _ = s3cmd.run(&["rb", &s3cmd.url("")]).fail_with("BucketNotEmpty");
    let _ = s3cmd.run(&["del", "--recursive", &s3cmd.url("d/")]).succeed();
    let _ = s3cmd.run(&["del", &s3cmd.url("two")]).succeed();
    assert_eq!(s3cmd.run(&["ls", "--recursive", &s3cmd.url("")]).succeed().text(), "");
    let _ = s3cmd.run(&["rb", &s3cmd.url("")]).succeed();
    let bucket = s3cmd.url("");
    let _ = s3cmd.run(&["mb", &bucket]).succeed();
    let buckets = s3cmd.run(&["ls"]).succeed().text();
    assert!(buckets.contains(&s3cmd.bucket), "{buckets}");
}

#[test]
fn errors_carry_their_codes() {
    let s3cmd = S3cmd::new();
    fs::write(s3cmd.dir.join("up"), "x").expect("the work directory is writable");
    let none = format!("s3://{}-none/k", s3cmd.bucket);
    let _ = s3cmd.run(&["put", "up", &none]).fail_with("NoSuchBucket");
    let _ = s3cmd.run(&["get", &s3cmd.url("missing"), "down"]).fail_with("does not exist");
    let second = s3cmd.server.second_account();
    let _ = s3cmd.run_as(second, &["put", "up", &s3cmd.url("k")]).fail_with("AccessDenied");
    let _ = s3cmd.run_as(second, &["ls", &s3cmd.url("")]).fail_with("AccessDenied");
}
