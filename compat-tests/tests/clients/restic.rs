//! restic: a backup repository from its creation to pruning.

use std::fs;
use std::path::PathBuf;

use compat_tests::clients::{aws_environment, installed};
use compat_tests::program::Program;
use compat_tests::server::Server;
use compat_tests::tree;

struct Restic {
    server: Server,
    bucket: String,
    dir: PathBuf,
}

impl Restic {
    fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("restic");
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    fn run(&self, arguments: &[&str]) -> Program {
        let program = Program::new(installed("restic", "bin/restic"), &self.server.home_dir());
        let repository = format!("s3:{}/{}/repository", self.server.s3_url(), self.bucket);
        aws_environment(program, &self.server, self.server.root())
            .env("RESTIC_REPOSITORY", repository)
            .env("RESTIC_PASSWORD", "compat")
            .env("TMPDIR", &self.dir)
            .args(["--no-cache", "-o", "s3.bucket-lookup=path"])
            .args(arguments)
            .current_dir(&self.dir)
    }

    fn snapshots(&self) -> Vec<String> {
        let listed = self.run(&["snapshots", "--json"]).succeed().json();
        let snapshots = listed.as_array().expect("snapshots are a list").iter();
        snapshots.map(|s| s["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn restore(&self, snapshot: &str, target: &str) -> PathBuf {
        let _ = self.run(&["restore", snapshot, "--target", target]).succeed();
        self.dir.join(target).join("source")
    }
}

#[test]
fn backup_check_restore_and_prune() {
    let restic = Restic::new();
    let source = restic.dir.join("source");
    tree::write(&source, 40);
    let _ = restic.run(&["init"]).succeed();
    let _ = restic.run(&["backup", "source"]).succeed();
    let _ = restic.run(&["check", "--read-data"]).succeed();
    let first = restic.snapshots()[0].clone();
    tree::assert_same(&restic.restore(&first, "restored-1"), &source);

    fs::remove_file(source.join("large.bin")).expect("the file is there");
    tree::write(&source.join("more"), 50);
    let _ = restic.run(&["backup", "source"]).succeed();
    let snapshots = restic.snapshots();
    assert_eq!(snapshots.len(), 2);
    let second = snapshots.iter().find(|id| **id != first).expect("there are two snapshots");
    tree::assert_same(&restic.restore(second, "restored-2"), &source);

    let _ = restic.run(&["forget", &first, "--prune", "--max-unused", "0"]).succeed();
    let _ = restic.run(&["check", "--read-data"]).succeed();
    assert_eq!(&restic.snapshots()[..], std::slice::from_ref(second));
    tree::assert_same(&restic.restore(second, "restored-3"), &source);
}

#[test]
fn a_second_init_is_refused() {
    let restic = Restic::new();
    let _ = restic.run(&["init"]).succeed();
    let _ = restic.run(&["init"]).fail_with("already");
}
