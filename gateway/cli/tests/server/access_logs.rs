//! Access logs of buckets over the ends of the process.

use std::time::Duration;

use bytes::Bytes;

use crate::process::{Machine, Server, await_some};
use crate::s3::S3;

/// The server's promise for lines of requests it answered, and time for a commit.
const DURABLE_AFTER: Duration = Duration::from_secs(2);
/// Deliveries come a second or so apart.
const DELIVERED_AFTER: Duration = Duration::from_secs(60);

/// A server that delivers as good as never, whose bucket `bkt` logs into `logs`.
fn logging(machine: &Machine) -> Server {
    let server = machine.server().args(&["--access-log-interval", "24h"]).start();
    let s3 = server.s3();
    s3.make_bucket("bkt");
    s3.make_bucket("logs");
    let document = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>\
                    <TargetPrefix>l/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>";
    s3.send("PUT", "/bkt?logging", Bytes::from_static(document.as_bytes())).expect_status(200);
    server
}

/// The keys that lines of `count` requests are for, once they were delivered.
fn logged_keys(s3: &S3, count: usize) -> Vec<String> {
    await_some("the log was delivered", DELIVERED_AFTER, || {
        let listing = String::from_utf8(s3.get("/logs?list-type=2").body.to_vec()).ok()?;
        let keys = listing.split("<Key>").skip(1);
        let keys = keys.map(|rest| rest.split('<').next().unwrap_or_default());
        let mut logged = Vec::new();
        for key in keys {
            let lines = String::from_utf8(s3.get(&format!("/logs/{key}")).body.to_vec()).ok()?;
            // Owner, bucket, two words of time, address, requester, request, operation, key.
            let key = |line: &str| line.split(' ').nth(8).unwrap_or_default().to_owned();
            logged.extend(lines.lines().map(key));
        }
        logged.sort();
        (logged.len() >= count).then_some(logged)
    })
}

fn expect_all_logged(machine: &Machine) {
    let server = machine.server().args(&["--access-log-interval", "1s"]).start();
    let expected: Vec<String> = (10..30).map(|n| format!("key{n}")).collect();
    assert_eq!(logged_keys(&server.s3(), expected.len()), expected);
    server.stop();
}

fn ask_for_keys(s3: &S3) {
    for n in 10..30 {
        s3.get(&format!("/bkt/key{n}")).expect_status(404);
    }
}

#[test]
fn lines_of_answered_requests_survive_a_kill_two_seconds_later() {
    let machine = Machine::new();
    let server = logging(&machine);
    ask_for_keys(&server.s3());
    std::thread::sleep(DURABLE_AFTER);
    server.kill();
    expect_all_logged(&machine);
}

#[test]
fn lines_of_answered_requests_survive_a_stop() {
    let machine = Machine::new();
    let server = logging(&machine);
    ask_for_keys(&server.s3());
    server.stop();
    expect_all_logged(&machine);
}
