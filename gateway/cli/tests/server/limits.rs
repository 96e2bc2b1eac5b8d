//! Full drives and bounded memory.

use std::thread;
use std::time::Duration;

use crate::process::{Machine, await_true};
use crate::s3::payload;

/// Space of each drive. The reserve takes some 10 MiB of it, so six drives hold some 200 MiB of
/// objects.
const DRIVE_CAPACITY: &str = "64MiB";
const OBJECT_LEN: usize = 4 << 20;
/// More objects than fit.
const OBJECTS_MAX: usize = 100;

/// How long space may take to come back. Chosen: grace, reclamation and compaction take seconds.
const SPACE_BACK_MAX: Duration = Duration::from_secs(120);

#[test]
fn full_drives_refuse_uploads_only_and_recover_when_objects_are_deleted() {
    let machine = Machine::new();
    let mut server = machine.server().args(&["--drive-capacity", DRIVE_CAPACITY]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let target = |index: usize| format!("/bkt/{index:03}");
    let body = |index: usize| payload(index as u64 + 1, OBJECT_LEN);
    let refused = (0..OBJECTS_MAX).find_map(|index| {
        let answer = s3.upload(&target(index), &body(index));
        (answer.status != 200).then_some((index, answer))
    });
    let (stored, refusal) = refused.expect("the drives are full at some point");
    refusal.expect_error(507, "InsufficientStorage");
    assert!(stored >= 10, "only {stored} objects of {OBJECT_LEN} bytes fit");
    assert!(server.is_alive());

    s3.get(&target(stored)).expect_error(404, "NoSuchKey");
    for index in 0..stored {
        s3.expect_object(&target(index), &body(index));
    }
    s3.get("/bkt?list-type=2").expect_status(200);
    for index in (0..stored).step_by(2) {
        s3.delete(&target(index));
    }
    await_true("writing resumes", SPACE_BACK_MAX, || {
        s3.upload("/bkt/resumed", &body(0)).status == 200
    });
    s3.expect_object("/bkt/resumed", &body(0));
    for index in (1..stored).step_by(2) {
        s3.expect_object(&target(index), &body(index));
    }
    server.stop();
}

#[test]
fn full_drives_stay_full_and_readable_over_a_restart() {
    let machine = Machine::new();
    let server = machine.server().args(&["--drive-capacity", DRIVE_CAPACITY]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let body = payload(1, OBJECT_LEN);
    let put = |index: usize| s3.upload(&format!("/bkt/{index}"), &body).status;
    let stored = (0..OBJECTS_MAX).take_while(|&index| put(index) == 200).count();
    assert!(stored < OBJECTS_MAX);
    server.kill();
    let server = machine.server().args(&["--drive-capacity", DRIVE_CAPACITY]).start();
    let s3 = server.s3();
    s3.upload("/bkt/more", &payload(2, 4 * OBJECT_LEN)).expect_error(507, "InsufficientStorage");
    for index in 0..stored {
        s3.expect_object(&format!("/bkt/{index}"), &body);
    }
    for index in 0..stored {
        s3.delete(&format!("/bkt/{index}"));
    }
    await_true("writing resumes", SPACE_BACK_MAX, || {
        s3.upload("/bkt/resumed", &body).status == 200
    });
    server.stop();
}

const MEMORY_LIMIT: &str = "64MiB";
const UPLOADS: usize = 64;
const UPLOAD_LEN: usize = 16 << 20;
/// The limit, caches and indexes (some 300 MiB at most, as `docs/operations.md` says) and what 64
/// connections buffer; 192 MiB were measured. The uploads are 1 GiB together, 1.5 GiB with parity.
const RESIDENT_BYTES_MAX: u64 = 384 << 20;

#[test]
fn memory_stays_bounded_while_uploads_exceed_it_many_times() {
    let machine = Machine::new();
    let mut server = machine.server().args(&["--memory-limit", MEMORY_LIMIT]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let bodies: Vec<_> = (1..=4).map(|seed| payload(seed, UPLOAD_LEN)).collect();
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|index| {
            let (s3, body) = (s3.clone(), bodies[index % bodies.len()].clone());
            thread::spawn(move || s3.upload(&format!("/bkt/{index}"), &body))
        })
        .collect();
    let answers: Vec<_> = uploads
        .into_iter()
        .map(|upload| upload.join().expect("every upload is answered"))
        .collect();
    let mut stored = 0;
    for (index, answer) in answers.into_iter().enumerate() {
        let target = format!("/bkt/{index}");
        if answer.status == 200 {
            stored += 1;
            s3.expect_object(&target, &bodies[index % bodies.len()]);
        } else {
            answer.expect_error(503, "SlowDown");
            s3.get(&target).expect_error(404, "NoSuchKey");
        }
    }
    let resident = server.resident_bytes_max();
    println!("{stored} of {UPLOADS} uploads stored, {} MiB resident at most", resident >> 20);
    assert!(stored > 0, "every upload was refused");
    assert!(resident <= RESIDENT_BYTES_MAX, "{} MiB were resident", resident >> 20);
    assert!(server.is_alive());
    server.stop();
}

#[test]
fn uploads_beyond_the_memory_limit_are_told_to_slow_down_and_others_go_on() {
    let machine = Machine::new();
    let server = machine.server().args(&["--memory-limit", MEMORY_LIMIT]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    let body = payload(1, UPLOAD_LEN);
    s3.put("/bkt/before", &body);
    // Each holds a stripe and its shards for as long as it sends nothing.
    let stuck: Vec<_> = (0..4)
        .map(|index| {
            let mut put = s3.begin_put(&format!("/bkt/stuck-{index}"), UPLOAD_LEN);
            put.send(&body[..1]);
            put
        })
        .collect();
    // Those that hold memory must have been read before the next comes.
    thread::sleep(Duration::from_millis(500));
    s3.upload("/bkt/refused", &body).expect_error(503, "SlowDown");
    s3.get("/bkt/refused").expect_error(404, "NoSuchKey");
    // What needs little is served.
    s3.put("/bkt/small", &payload(2, 1_000));
    s3.expect_object("/bkt/small", &payload(2, 1_000));
    drop(stuck);
    await_true("memory is free again", Duration::from_secs(30), || {
        s3.upload("/bkt/after", &body).status == 200
    });
    s3.expect_object("/bkt/before", &body);
    s3.expect_object("/bkt/after", &body);
    server.stop();
}
