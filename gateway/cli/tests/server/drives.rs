//! Drives that are lost, come back, come back empty, or move.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::process::{Machine, await_true};
use crate::s3::{S3, payload};

/// How long a change of a drive may go unnoticed. Chosen: many times the probe interval.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// How long rebuilding a drive of a few megabytes may take. Chosen: a loaded machine of two cores.
const REBUILD_MAX: Duration = Duration::from_secs(120);

fn device(machine: &Machine, slot: usize) -> Value {
    machine.admin_json(&["device", "list"])["devices"][slot].take()
}

fn await_health(machine: &Machine, slot: usize, health: &str) {
    await_true(&format!("device {slot} is {health}"), NOTICE_MAX, || {
        device(machine, slot)["health"] == health
    });
}

fn lose(machine: &Machine, slot: usize) {
    fs::remove_dir_all(machine.device(slot)).expect("the drive was there");
    await_health(machine, slot, "offline");
}

/// Stores objects of several lengths and answers them.
fn store(s3: &S3, prefix: &str) -> Vec<(String, Bytes)> {
    let lengths = [0, 1, 5_000, 100 << 10, 3 << 20, 20 << 20];
    let object = |(index, len): (usize, usize)| {
        let target = format!("/bkt/{prefix}-{index}");
        let body = payload(index as u64 + prefix.len() as u64 * 100, len);
        s3.put(&target, &body);
        (target, body)
    };
    lengths.into_iter().enumerate().map(object).collect()
}

fn expect_all(s3: &S3, objects: &[(String, Bytes)]) {
    for (target, body) in objects {
        s3.expect_object(target, body);
    }
}

#[test]
fn lost_drive_is_rebuilt_and_two_others_may_fail_after_it() {
    let machine = Machine::new();
    let mut server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let mut objects = store(&s3, "six");
    let shards = device(&machine, 0)["shard_count"].as_u64().expect("a count");
    assert!(shards > 0, "nothing is on the drive that will be lost");

    fs::remove_dir_all(machine.device(0)).expect("the drive was there");
    // Before the loss was noticed, and after.
    expect_all(&s3, &objects);
    objects.extend(store(&s3, "unnoticed"));
    await_health(&machine, 0, "offline");
    let lost = device(&machine, 0);
    assert!(lost["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{lost}");
    let table = machine.admin(&["device", "list"]).succeeded().stdout;
    assert!(table.contains("offline: "), "{table}");
    expect_all(&s3, &objects);
    objects.extend(store(&s3, "five"));
    expect_all(&s3, &objects);

    fs::create_dir(machine.device(0)).expect("the drive's parent is there");
    await_health(&machine, 0, "online");
    await_true("the drive is rebuilt", REBUILD_MAX, || {
        let (device, repair) = (device(&machine, 0), machine.admin_json(&["repair", "status"]));
        let rebuilt = device["shard_count"].as_u64() >= Some(shards);
        rebuilt && device["rebuilding"] == false && repair["idle"] == true
    });
    assert!(machine.admin_json(&["repair", "status"])["repaired_shards"].as_u64() >= Some(shards));

    lose(&machine, 3);
    lose(&machine, 5);
    expect_all(&s3, &objects);

    lose(&machine, 1);
    let unreadable = objects.iter().filter(|(target, body)| {
        let answer = s3.get(target);
        if answer.status == 200 {
            assert!(answer.body == body, "{target} differs");
            return false;
        }
        assert!((500..600).contains(&answer.status), "{target}: {}", answer.describe());
        let code = answer.code();
        assert!(code.is_some(), "no error document for {target}: {}", answer.describe());
        true
    });
    assert!(unreadable.count() > 0, "three of six drives are gone");
    assert!(server.is_alive());
    s3.get("/bkt?list-type=2").expect_status(200);
    s3.put("/bkt/three-drives-are-enough", &payload(9, 100 << 10));
    server.stop();
}

#[test]
fn writes_are_refused_while_two_drives_are_up_and_resume_with_the_third() {
    let machine = Machine::new();
    let drives = ["a", "b", "c"].map(|name| machine.new_drive(name));
    let server = machine.server().drives(&drives).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let objects = store(&s3, "three");
    let old = payload(7, 200 << 10);
    s3.put("/bkt/old", &old);

    let away = machine.path().join("away");
    fs::rename(&drives[1], &away).expect("both are on one file system");
    await_health(&machine, 1, "offline");
    for (target, len) in [("/bkt/new", 100 << 10), ("/bkt/old", 12 << 20), ("/bkt/large", 20 << 20)]
    {
        s3.upload(target, &payload(8, len)).expect_error(503, "ServiceUnavailable");
    }
    expect_all(&s3, &objects);
    s3.expect_object("/bkt/old", &old);
    for target in ["/bkt/new", "/bkt/large"] {
        s3.get(target).expect_error(404, "NoSuchKey");
    }
    let listing = s3.get("/bkt?list-type=2");
    listing.expect_status(200);
    assert_eq!(listing.element("KeyCount").as_deref(), Some("7"), "{}", listing.describe());

    fs::rename(&away, &drives[1]).expect("both are on one file system");
    await_health(&machine, 1, "online");
    let new = payload(8, 100 << 10);
    await_true("writes resume", NOTICE_MAX, || s3.upload("/bkt/new", &new).status == 200);
    s3.expect_object("/bkt/new", &new);
    expect_all(&s3, &objects);
    server.stop();
}

#[test]
fn deletions_that_a_drive_missed_are_made_up_for() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let objects = store(&s3, "six");
    let away = machine.path().join("away");
    fs::rename(machine.device(2), &away).expect("both are on one file system");
    await_health(&machine, 2, "offline");
    for (target, _) in &objects {
        s3.delete(target);
    }
    fs::rename(&away, machine.device(2)).expect("both are on one file system");
    await_health(&machine, 2, "online");
    await_true("every shard is deleted", REBUILD_MAX, || {
        let devices = machine.admin_json(&["device", "list"]);
        let devices = devices["devices"].as_array().expect("a list").clone();
        devices.iter().all(|device| device["shard_count"] == 0)
    });
    server.stop();
}

#[test]
fn drive_is_recognised_where_it_is_mounted_now() {
    let machine = Machine::new();
    let drives = ["a", "b", "c", "d"].map(|name| machine.new_drive(name));
    let server = machine.server().drives(&drives).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let objects = store(&s3, "four");
    server.stop();
    // Two change places and one moves.
    let spare = machine.path().join("spare");
    fs::rename(&drives[0], &spare).expect("one file system");
    fs::rename(&drives[1], &drives[0]).expect("one file system");
    fs::rename(&drives[2], &drives[1]).expect("one file system");
    let now = [spare, drives[0].clone(), drives[1].clone(), drives[3].clone()];
    let server = machine.server().drives(&now).start();
    let devices = machine.admin_json(&["device", "list"]);
    let found: Vec<PathBuf> = devices["devices"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| PathBuf::from(device["address"].as_str().expect("a path")))
        .collect();
    assert_eq!(found, now);
    assert!(!devices.to_string().contains("offline"), "{devices}");
    expect_all(&server.s3(), &objects);
    server.stop();

    // And the layout remembers: the next start need not name them.
    let server = machine.start();
    expect_all(&server.s3(), &objects);
    server.stop();
}

#[test]
fn missing_mount_point_is_never_created() {
    let machine = Machine::new();
    let drives = ["a", "b", "c", "d"].map(|name| machine.new_drive(name));
    let server = machine.server().drives(&drives).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let objects = store(&s3, "four");
    server.stop();
    let away = machine.path().join("away");
    fs::rename(&drives[3], &away).expect("one file system");
    for named in [&drives[..], &[][..]] {
        let server = machine.server().drives(named).start();
        assert_eq!(device(&machine, 3)["health"], "offline");
        expect_all(&server.s3(), &objects);
        server.stop();
        assert!(!drives[3].exists());
    }
    fs::rename(&away, &drives[3]).expect("one file system");
    let server = machine.start();
    assert_eq!(device(&machine, 3)["health"], "online");
    expect_all(&server.s3(), &objects);
    server.stop();
}
