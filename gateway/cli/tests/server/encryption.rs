//! Keys that the server does not keep, or keeps for administrators: what commands do with them,
//! and that nothing of them is left behind on disk or in the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use serde_json::json;

use crate::process::Machine;

#[test]
fn keys_of_the_key_service_are_managed_by_commands() {
    let machine = Machine::new();
    let server = machine.start();
    let key = |verb: &[&str]| machine.admin(&[&["kms", "key"], verb].concat());
    let made = key(&["create", "--id", "one", "--alias", "team/logs"]).succeeded();
    assert!(made.stdout.starts_with("Key       one\nAliases   team/logs\n"), "{}", made.stdout);
    key(&["create", "--id", "one"]).failed_with(1, "the key one exists already");
    key(&["create", "--id", "a b"]).failed_with(1, "the id is not valid");
    let rotated = machine.admin_json(&["kms", "key", "rotate", "alias/team/logs"]);
    assert_eq!((&rotated["id"], &rotated["versions"]), (&json!("one"), &json!(2)));
    let table = key(&["list"]).succeeded().stdout;
    let cells: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(cells[..4], ["one", "team/logs", "enabled", "2"]);
    key(&["show", "two"]).failed_with(1, "there is no key two");

    let s3 = server.s3();
    s3.make_bucket("bkt");
    let sealed = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/team/logs"),
    ];
    s3.send_with("PUT", "/bkt/k", &sealed, Bytes::from_static(b"bytes")).expect_status(200);
    let disabled = key(&["disable", "one"]).succeeded();
    assert!(disabled.stdout.contains("disabled"), "{}", disabled.stdout);
    assert_eq!(s3.get("/bkt/k").status, 400);
    key(&["enable", "one"]).succeeded();
    assert_eq!(s3.get("/bkt/k").body, "bytes");
    server.kill();
    let server = machine.start();
    assert_eq!(server.s3().get("/bkt/k").body, "bytes");
    server.stop();
}

/// The client's key: text, so that one search finds it in every form.
const KEY: &str = "0f2a5c7e-this-is-a-customer-key-";
/// The key in base64, as headers carry it, and its MD5.
const KEY_BASE64: &str = "MGYyYTVjN2UtdGhpcy1pcy1hLWN1c3RvbWVyLWtleS0=";
const KEY_MD5: &str = "1v+NOK82J57z+Cn4cDhJWA==";
/// What every object of the test contains.
const MARKER: &str = "a sentence that no drive, no row and no log line may ever contain";

/// Files under `path` that contain one of `texts`.
fn files_with(path: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut search = Command::new("grep");
    search.args(["-rlaF"]);
    for text in texts {
        search.args(["-e", text]);
    }
    let found = search.arg(path).output().expect("there is a grep");
    assert!(found.status.code().is_some_and(|code| code < 2), "{found:?}");
    String::from_utf8_lossy(&found.stdout).lines().map(PathBuf::from).collect()
}

#[test]
fn neither_clients_keys_nor_plaintext_reach_disk_or_log() {
    let machine = Machine::new();
    let server = machine.server().args(&["--log", "trace,s3s=off"]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let customer = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", KEY_BASE64),
        ("x-amz-server-side-encryption-customer-key-md5", KEY_MD5),
    ];
    let by_service = [("x-amz-server-side-encryption", "aws:kms")];
    // In a row of the metadata, in copies on devices, and in stripes.
    for len in [100, 40_000, 300_000] {
        let body = Bytes::from(MARKER.repeat(len / MARKER.len() + 1));
        for (kind, headers) in [("c", &customer[..]), ("k", &by_service[..]), ("s", &[])] {
            let target = format!("/bkt/{kind}{len}");
            s3.send_with("PUT", &target, headers, body.clone()).expect_status(200);
        }
        let read = s3.send_with("GET", &format!("/bkt/c{len}"), &customer, Bytes::new());
        assert_eq!(read.body, body);
        // Failures are logged; a key must not be.
        assert_eq!(s3.get(&format!("/bkt/c{len}")).status, 400);
        let wrong = [customer[0], ("x-amz-server-side-encryption-customer-key", &KEY_BASE64[1..])];
        let refused = s3.send_with("GET", &format!("/bkt/c{len}"), &wrong, Bytes::new());
        assert_eq!(refused.status, 400);
    }
    let log = server.log();
    assert!(log.contains("PutObject"), "the log says what was done");
    server.stop();
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let secrets = [KEY, &KEY_BASE64[1..40], &hex, MARKER];
    assert_eq!(files_with(machine.path(), &secrets), [] as [PathBuf; 0]);
    // The same search finds what is there.
    let control = machine.path().join("control");
    fs::write(&control, format!("...{MARKER}...")).expect("writable");
    assert_eq!(files_with(machine.path(), &secrets), [control]);
}
