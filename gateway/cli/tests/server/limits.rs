//! Full drives and bounded memory.

use std::thread;
use std::time::Duration;

use crate::process::{Machine, await_true};
use crate::s3::payload;

/// Space of each drive. The reserve takes 64 MiB of it, so six drives hold some 100 MiB of objects.
const DRIVE_CAPACITY: &str = "96MiB";
const OBJECT_LEN: usize = 4 << 20;
/// More objects than fit.
const OBJECTS_MAX: usize = 60;

/// How long space may take to come back. Chosen: grace, reclamation and compaction take seconds.
const SPACE_BACK_MAX: Duration = Duration::from_secs(120);

#[test]
fn full_drives_refuse_uploads_only_and_recover_when_objects_are_deleted() {
    let machine = Machine::new();
    let mut server = machine.server().args(&["--drive-capacity", DRIVE_CAPACITY]).start();
    let s3 = server.s3();
    s3.make_bucket("b");
    let target = |index: usize| format!("/b/{index:03}");
    let body = |index: usize| payload(index as u64 + 1, OBJECT_LEN);
    let refused = (0..OBJECTS_MAX).find_map(|index| {
        let answer = s3.send("PUT", &target(index), body(index));
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
    s3.get("/b?list-type=2").expect_status(200);
    for index in (0..stored).step_by(2) {
        s3.delete(&target(index));
    }
    await_true("writing resumes", SPACE_BACK_MAX, || {
        s3.send("PUT", "/b/resumed", body(0)).status == 200
    });
    s3.expect_object("/b/resumed", &body(0));
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
    s3.make_bucket("b");
    let body = payload(1, OBJECT_LEN);
    let put = |index: usize| s3.send("PUT", &format!("/b/{index}"), body.clone()).status;
    let stored = (0..OBJECTS_MAX).take_while(|&index| put(index) == 200).count();
    assert!(stored < OBJECTS_MAX);
    server.kill();
    let server = machine.server().args(&["--drive-capacity", DRIVE_CAPACITY]).start();
    let s3 = server.s3();
    s3.send("PUT", "/b/more", payload(2, 4 * OBJECT_LEN)).expect_error(507, "InsufficientStorage");
    for index in 0..stored {
        s3.expect_object(&format!("/b/{index}"), &body);
    }
    for index in 0..stored {
        s3.delete(&format!("/b/{index}"));
    }
    await_true("writing resumes", SPACE_BACK_MAX, || {
        s3.send("PUT", "/b/resumed", body.clone()).status == 200
    });
    server.stop();
}

const MEMORY_LIMIT: &str = "64MiB";
const UPLOADS: usize = 64;
const UPLOAD_LEN: usize = 16 << 20;
/// The limit, some 300 MiB of caches and indexes as `docs/operations.md` says, and what 64
/// connections buffer. The uploads together are 1 GiB, 1.5 GiB with parity.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;

#[test]
fn memory_stays_bounded_while_uploads_exceed_it_many_times() {
    let machine = Machine::new();
    let mut server = machine.server().args(&["--memory-limit", MEMORY_LIMIT]).start();
    let s3 = server.s3();
    s3.make_bucket("b");
    let bodies: Vec<_> = (1..=4).map(|seed| payload(seed, UPLOAD_LEN)).collect();
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|index| {
            let (s3, body) = (s3.clone(), bodies[index % bodies.len()].clone());
            thread::spawn(move || s3.try_send("PUT", &format!("/b/{index}"), body))
        })
        .collect();
    let mut stored = 0;
    let answers: Vec<_> =
        uploads.into_iter().map(|upload| upload.join().expect("no panic")).collect();
    for (index, answer) in answers.into_iter().enumerate() {
        let answer = answer.unwrap_or_else(|error| panic!("upload {index}: {error}"));
        let target = format!("/b/{index}");
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
