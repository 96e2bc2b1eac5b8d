//! restic: a backup repository from its creation to pruning, also in a bucket that keeps what is
//! deleted.

use std::fs;
use std::path::PathBuf;

use compat_tests::clients::{aws_environment, installed};
use compat_tests::encoding::content_md5;
use compat_tests::program::Program;
use compat_tests::server::{Server, unique_name};
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

    /// With a bucket that keeps every version for a day, against everybody.
    fn locked() -> Self {
        let server = crate::shared();
        let bucket = unique_name("restic-locked");
        let make = server.wire().put(&format!("/{bucket}"));
        let make = make.header("x-amz-bucket-object-lock-enabled", "true");
        make.send().expect_status(200);
        let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
                    <Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days>\
                    </DefaultRetention></Rule></ObjectLockConfiguration>";
        let put = server.wire().put(&format!("/{bucket}?object-lock"));
        let put = put.header("content-md5", &content_md5(rule.as_bytes())).body(rule);
        put.send().expect_status(200);
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    /// Every version and delete marker of the bucket as (`Version` or `DeleteMarker`, key, id).
    fn versions(&self) -> Vec<(&'static str, String, String)> {
        let answer = self.server.wire().get(&format!("/{}?versions", self.bucket)).send();
        let answer = answer.status_is(200);
        assert_eq!(answer.element("IsTruncated").as_deref(), Some("false"));
        let mut found = Vec::new();
        for kind in ["Version", "DeleteMarker"] {
            for entry in answer.elements(kind) {
                found.push((kind, element(&entry, "Key"), element(&entry, "VersionId")));
            }
        }
        found
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

/// The text of the element `name` in `xml`.
fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).expect("the element is there");
    let (text, _) = rest.split_once(&format!("</{name}>")).expect("the element ends");
    text.to_owned()
}

#[test]
fn a_locked_repository_survives_pruning_and_deletion() {
    let restic = Restic::locked();
    let source = restic.dir.join("source");
    tree::write(&source, 60);
    let _ = restic.run(&["init"]).succeed();
    let _ = restic.run(&["backup", "source"]).succeed();
    let first = restic.snapshots()[0].clone();
    fs::remove_file(source.join("large.bin")).expect("the file is there");
    let _ = restic.run(&["backup", "source"]).succeed();
    let before = restic.versions();
    // Pruning works: what restic deletes is hidden behind markers.
    let _ = restic.run(&["forget", &first, "--prune", "--max-unused", "0"]).succeed();
    let _ = restic.run(&["check", "--read-data"]).succeed();
    assert_eq!(restic.snapshots().len(), 1);
    let after = restic.versions();
    assert!(before.iter().all(|version| after.contains(version)), "a version is gone");

    // Somebody with all the rights deletes the repository, and cannot.
    let wire = restic.server.wire();
    let target = |key: &str, query: &str| format!("/{}/{key}{query}", restic.bucket);
    for (kind, key, version) in restic.versions() {
        if kind == "Version" {
            let delete = wire.delete(&target(&key, &format!("?versionId={version}")));
            let delete = delete.header("x-amz-bypass-governance-retention", "true");
            delete.send().expect_error(403, "AccessDenied");
        }
        wire.delete(&target(&key, "")).send().expect_status(204);
    }
    let _ = restic.run(&["snapshots"]).fail_with("repository");
    // Without the markers everything is there again, the pruned snapshot, too.
    for (kind, key, version) in restic.versions() {
        // A lock of restic that was removed would keep others out.
        if kind == "DeleteMarker" && !key.contains("/locks/") {
            let delete = wire.delete(&target(&key, &format!("?versionId={version}")));
            delete.send().expect_status(204);
        }
    }
    assert_eq!(restic.snapshots().len(), 2);
    let restored = restic.restore(&first, "restored");
    assert!(restored.join("large.bin").is_file());
}
