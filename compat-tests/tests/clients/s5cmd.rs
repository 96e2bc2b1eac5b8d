//! s5cmd: parallel copies, wildcards, pipes.

use std::fs;
use std::path::PathBuf;

use compat_tests::clients::{aws_environment, installed};
use compat_tests::payload;
use compat_tests::program::Program;
use compat_tests::server::{Credentials, Server};
use compat_tests::tree;

const MIB: usize = 1024 * 1024;

struct S5cmd {
    server: Server,
    bucket: String,
    dir: PathBuf,
}

impl S5cmd {
    fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("s5cmd");
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    fn run(&self, arguments: &[&str]) -> Program {
        self.run_as(self.server.root(), arguments)
    }

    fn run_as(&self, credentials: &Credentials, arguments: &[&str]) -> Program {
        let program = Program::new(installed("s5cmd", "bin/s5cmd"), &self.server.home_dir());
        aws_environment(program, &self.server, credentials)
            .args(["--endpoint-url", &self.server.s3_url()])
            .args(arguments)
            .current_dir(&self.dir)
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

#[test]
fn cp_copies_up_and_down_in_parts() {
    let s5cmd = S5cmd::new();
    for (seed, len) in [(1, 0), (2, 1000), (3, 17 * MIB + 3)] {
        let data = payload::bytes(seed, len);
        fs::write(s5cmd.dir.join("up"), &data).expect("the work directory is writable");
        let parts = ["cp", "--part-size", "5", "--concurrency", "4"];
        let url = s5cmd.url("dir/a b+ö");
        let _ = s5cmd.run(&[&parts[..], &["up", &url]].concat()).succeed();
        let _ = s5cmd.run(&[&parts[..], &[&url, "down"]].concat()).succeed();
        let down = fs::read(s5cmd.dir.join("down")).expect("the client wrote the file");
        assert!(down == data, "{len} bytes differ");
    }
}

#[test]
fn sync_copies_trees_and_deletes() {
    let s5cmd = S5cmd::new();
    let (up, down) = (s5cmd.dir.join("up"), s5cmd.dir.join("down"));
    tree::write(&up, 10);
    let _ = s5cmd.run(&["sync", "up/", &s5cmd.url("t/")]).succeed();
    assert_eq!(s5cmd.run(&["sync", "up/", &s5cmd.url("t/")]).succeed().text(), "");
    let _ = s5cmd.run(&["sync", &s5cmd.url("t/*"), "down/"]).succeed();
    tree::assert_same(&down, &up);
    fs::remove_file(up.join("one byte")).expect("the file is there");
    let _ = s5cmd.run(&["sync", "--delete", "up/", &s5cmd.url("t/")]).succeed();
    let _ = s5cmd.run(&["sync", "--delete", &s5cmd.url("t/*"), "down/"]).succeed();
    tree::assert_same(&down, &up);
}

#[test]
fn wildcards_list_copy_and_remove() {
    let s5cmd = S5cmd::new();
    for n in 0..12 {
        let key = s5cmd.url(&format!("w/{n:02}.txt"));
        let _ = s5cmd.run(&["pipe", &key]).input(format!("file {n}")).succeed();
    }
    let _ = s5cmd.run(&["pipe", &s5cmd.url("w/other.bin")]).input("other").succeed();
    let listed = s5cmd.run(&["ls", &s5cmd.url("w/*.txt")]).succeed().lines();
    assert_eq!(listed.len(), 12, "{listed:?}");
    let _ = s5cmd.run(&["cp", &s5cmd.url("w/*.txt"), &s5cmd.url("copy/")]).succeed();
    let copied = s5cmd.run(&["cat", &s5cmd.url("copy/07.txt")]).succeed().text();
    assert_eq!(copied, "file 7");
    let usage = s5cmd.run(&["du", &s5cmd.url("copy/*")]).succeed().text();
    assert!(usage.contains("12 objects"), "{usage}");
    let _ = s5cmd.run(&["rm", &s5cmd.url("*.txt")]).succeed();
    let rest = s5cmd.run(&["ls", &s5cmd.url("*")]).succeed().lines();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].ends_with("w/other.bin"), "{rest:?}");
}

#[test]
fn pipe_and_cat_stream() {
    let s5cmd = S5cmd::new();
    let data = payload::bytes(4, 11 * MIB);
    let pipe = s5cmd.run(&["pipe", "--part-size", "5", &s5cmd.url("piped")]);
    let _ = pipe.input(data.to_vec()).succeed();
    let output = s5cmd.run(&["cat", &s5cmd.url("piped")]).succeed();
    assert!(output.stdout == data, "the stream differs");
}

#[test]
fn mv_and_buckets() {
    let s5cmd = S5cmd::new();
    let _ = s5cmd.run(&["pipe", &s5cmd.url("one")]).input("moved").succeed();
    let _ = s5cmd.run(&["mv", &s5cmd.url("one"), &s5cmd.url("two")]).succeed();
    assert_eq!(s5cmd.run(&["cat", &s5cmd.url("two")]).succeed().text(), "moved");
    let _ = s5cmd.run(&["cat", &s5cmd.url("one")]).fail_with("not found");
    let bucket = format!("s3://{}-more", s5cmd.bucket);
    let _ = s5cmd.run(&["mb", &bucket]).succeed();
    let buckets = s5cmd.run(&["ls"]).succeed().text();
    assert!(buckets.contains(&bucket), "{buckets}");
    let _ = s5cmd.run(&["rb", &bucket]).succeed();
    let _ = s5cmd.run(&["rb", &s5cmd.url("")]).fail_with("BucketNotEmpty");
}

#[test]
fn errors_carry_their_codes() {
    let s5cmd = S5cmd::new();
    fs::write(s5cmd.dir.join("up"), "x").expect("the work directory is writable");
    let none = format!("s3://{}-none/k", s5cmd.bucket);
    let _ = s5cmd.run(&["cp", "up", &none]).fail_with("NoSuchBucket");
    let second = s5cmd.server.second_account();
    let url = s5cmd.url("k");
    let _ = s5cmd.run_as(second, &["cp", "up", &url]).fail_with("AccessDenied");
    let _ = s5cmd.run_as(second, &["ls", &s5cmd.url("")]).fail_with("AccessDenied");
}
