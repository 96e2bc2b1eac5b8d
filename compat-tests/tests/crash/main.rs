//! Clients at work, a kill, a restart: every acknowledged write is there byte for byte, nothing
//! else is half-visible, and the space of what was cut off comes back.
//!
//! - The server is killed at random moments, while it starts, and at every failpoint.
//! - The ledger ([`ledger`]) lives in this process and holds, for each key, every content it may
//!   have: the acknowledged one, and those of requests that were cut off.
//! - The seed is printed; `DATAMESH_CRASH_SEED` replays its choices (not the timing).
//! - `DATAMESH_CRASH_KILLS` says how many kills.

mod content;
mod failpoint;
mod finding;
mod ledger;
mod load;
mod rounds;
mod space;
mod tally;
mod verify;
mod worker;

use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::Server;

use crate::content::Footprint;
use crate::rounds::Rounds;

/// How often the server is killed unless the environment says otherwise. Chosen: once at every
/// failpoint and some more, about a minute on two cores.
const KILLS: u64 = 40;

/// How long a restart may take. Source: the aim for 1,000,000 objects.
const RESTART_MAX: Duration = Duration::from_secs(10);

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn acknowledged_writes_survive_kills_at_every_step() {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    let seed = from_environment("DATAMESH_CRASH_SEED", now);
    let kills = from_environment("DATAMESH_CRASH_KILLS", KILLS);
    eprintln!("DATAMESH_CRASH_SEED={seed} DATAMESH_CRASH_KILLS={kills}");
    let server = Server::start(&[]);
    let bucket = server.new_bucket("crash");
    assert!(server.terminate().success(), "SIGTERM ends the server with status 0");

    let mut rounds = Rounds::new(&server, &bucket, Random::new(seed));
    rounds.kill(kills);
    let objects = rounds.settle();
    eprintln!("{}", rounds.tally.report(&rounds.findings));
    let findings = rounds.findings.first();
    assert!(findings.is_empty(), "the ledger does not hold:\n{}", findings.join("\n"));

    let longest = rounds.tally.longest_restart();
    assert!(longest < RESTART_MAX, "a restart took {longest:?}");

    space::wait_for_idle(&server);
    let needed: Footprint = objects.values().map(|content| content.footprint()).sum();
    let kept = space::wait_for_space(&server, needed);
    eprintln!(
        "space         {} MiB written, {} MiB kept by the drives for {} objects ({} MiB allowed), \
         {} shards, reclaimed in {:.1?}",
        rounds.tally.body_bytes >> 20,
        kept.bytes >> 20,
        objects.len(),
        kept.bytes_max >> 20,
        kept.shards,
        kept.took
    );
    let audit = server.administer("/usage/audit");
    assert_eq!(audit["drift"], serde_json::json!([]), "usage is not what the objects amount to");
    for key in objects.keys() {
        server.wire().delete(&format!("/{bucket}/{key}")).send().expect_status(204);
    }
    let empty = space::wait_for_space(&server, Footprint::default());
    eprintln!("empty         {} MiB kept, after {:.1?}", empty.bytes >> 20, empty.took);
    server.wire().delete(&format!("/{bucket}")).send().expect_status(204);
    assert!(server.terminate().success(), "SIGTERM ends the server with status 0");

    let never = rounds.tally.never_reached();
    let wanted = kills >= KILLS;
    assert!(!wanted || never.is_empty(), "never reached: {never:?}");
}
