//! What was acknowledged survives `kill -9`; what was not is nowhere to be seen.

use std::time::Duration;

use bytes::Bytes;

use crate::process::{Machine, Server};
use crate::s3::{S3, payload};

/// Around every border that stores bytes differently: inline, one stripe, several.
const LENGTHS: [usize; 9] =
    [0, 1, 4 << 10, (4 << 10) + 1, 64 << 10, 100 << 10, 8 << 20, (8 << 20) + 1, 20 << 20];

fn objects() -> Vec<(String, Bytes)> {
    let object =
        |(seed, &len): (usize, &usize)| (format!("/objects/{len}"), payload(seed as u64 + 1, len));
    LENGTHS.iter().enumerate().map(object).collect()
}

/// Keys and sizes of a bucket's objects, as listed.
fn listed(s3: &S3, bucket: &str) -> Vec<String> {
    let answer = s3.get(&format!("/{bucket}?list-type=2"));
    answer.expect_status(200);
    let text = String::from_utf8(answer.body.to_vec()).expect("a listing is text");
    let keys = text.split("<Key>").skip(1);
    keys.map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
}

fn killed_and_started_again(machine: &Machine, server: Server) -> Server {
    server.kill();
    machine.start()
}

#[test]
fn acknowledged_objects_of_every_size_survive_a_kill() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("objects");
    for (target, body) in &objects() {
        s3.put(target, body);
    }
    let server = killed_and_started_again(&machine, server);
    let s3 = server.s3();
    for (target, body) in &objects() {
        s3.expect_object(target, body);
    }
    assert_eq!(listed(&s3, "objects").len(), LENGTHS.len());
    server.stop();
}

#[test]
fn acknowledged_overwrites_and_deletions_survive_a_kill() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let (old, new) = (payload(1, 200_000), payload(2, 300_000));
    for target in ["/bkt/overwritten", "/bkt/deleted", "/bkt/left"] {
        s3.put(target, &old);
    }
    s3.put("/bkt/overwritten", &new);
    s3.delete("/bkt/deleted");
    let server = killed_and_started_again(&machine, server);
    let s3 = server.s3();
    s3.expect_object("/bkt/overwritten", &new);
    s3.expect_object("/bkt/left", &old);
    s3.get("/bkt/deleted").expect_error(404, "NoSuchKey");
    assert_eq!(listed(&s3, "bkt"), ["left", "overwritten"]);
    server.stop();
}

#[test]
fn upload_cut_by_a_kill_leaves_nothing_behind() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let old = payload(1, 100 << 10);
    s3.put("/bkt/old", &old);
    let half = payload(2, 12 << 20);
    let mut fresh = s3.begin_put("/bkt/fresh", 24 << 20);
    fresh.send(&half);
    let mut over = s3.begin_put("/bkt/old", 24 << 20);
    over.send(&half);
    let server = killed_and_started_again(&machine, server);
    let s3 = server.s3();
    s3.get("/bkt/fresh").expect_error(404, "NoSuchKey");
    s3.expect_object("/bkt/old", &old);
    assert_eq!(listed(&s3, "bkt"), ["old"]);
    server.stop();
}

#[test]
fn upload_cut_by_its_client_leaves_the_old_object() {
    let machine = Machine::new();
    let server = machine.start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let old = payload(1, 100 << 10);
    s3.put("/bkt/old", &old);
    let mut cut = s3.begin_put("/bkt/old", 24 << 20);
    cut.send(&payload(2, 12 << 20));
    drop(cut);
    s3.expect_object("/bkt/old", &old);
    server.stop();
}

#[test]
fn server_killed_over_and_over_starts_again() {
    let machine = Machine::new();
    let mut server = machine.start();
    server.s3().make_bucket("bkt");
    for round in 0..5 {
        let body = payload(round, 150_000);
        server.s3().put(&format!("/bkt/{round}"), &body);
        server = killed_and_started_again(&machine, server);
        for earlier in 0..=round {
            server.s3().expect_object(&format!("/bkt/{earlier}"), &payload(earlier, 150_000));
        }
    }
    server.stop();
}

#[test]
fn first_start_killed_at_any_moment_is_finished_by_the_next() {
    let body = payload(1, 100 << 10);
    for delay_ms in [5, 15, 30, 60, 90, 120, 160, 200, 300] {
        let machine = Machine::new();
        machine.server().killed_after(Duration::from_millis(delay_ms));
        let server = machine.start();
        let devices = machine.admin_json(&["device", "list"]);
        let devices = devices["devices"].as_array().expect("a list");
        assert_eq!(devices.len(), 6, "killed after {delay_ms} ms");
        let online = |device: &serde_json::Value| device["health"] == "online";
        assert!(devices.iter().all(online), "killed after {delay_ms} ms: {devices:?}");
        server.s3().make_bucket("bkt");
        server.s3().put("/bkt/object", &body);
        server.kill();
        let server = machine.start();
        server.s3().expect_object("/bkt/object", &body);
        server.kill();
    }
}
