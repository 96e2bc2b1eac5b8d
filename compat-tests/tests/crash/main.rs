//! Uploads under way, `kill -9`, restart: every acknowledged write is there byte for byte, nothing
//! else is half-visible. Then drives are wiped, two at a time, stopped and running.
//!
//! - The ledger ([`ledger`]) lives in this process and holds, for each key, every content it may
//!   have: the acknowledged one, and those of requests that were cut off.
//! - The seed is printed; `DATAMESH_CRASH_SEED` replays its choices (not the timing).
//! - `DATAMESH_CRASH_ROUNDS` makes it longer.

mod drives;
mod ledger;
mod load;

use std::time::{Duration, Instant};

use compat_tests::payload::Random;
use compat_tests::server::Server;

use crate::ledger::Ledger;
use crate::load::Load;

/// How often the server is killed unless the environment says more. Chosen: with the drive losses
/// that follow, about a minute on two cores.
const ROUNDS: u64 = 5;

/// How long a restart may take. Source: "restart in seconds".
const RESTART_SECONDS_MAX: u64 = 15;

/// How long uploads go on before a kill, in milliseconds: at random between these.
const LOAD_MS: (u64, u64) = (300, 3500);

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn acknowledged_writes_survive_kills_and_lost_drives() {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    let seed = from_environment("DATAMESH_CRASH_SEED", now);
    let rounds = from_environment("DATAMESH_CRASH_ROUNDS", ROUNDS);
    eprintln!("DATAMESH_CRASH_SEED={seed} DATAMESH_CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let server = Server::start(&[]);
    let bucket = server.new_bucket("crash");
    let mut ledger = Ledger::new();
    for round in 1..=rounds {
        let (least, most) = LOAD_MS;
        let pause = Duration::from_millis(least + random.below(most - least));
        let acknowledged = Load::new(&server, &bucket, random.next_u64()).run(&mut ledger, pause);
        let started = Instant::now();
        server.start_again();
        let restart = started.elapsed();
        eprintln!(
            "round {round}: {acknowledged} acknowledged in {pause:?}, restart in {restart:?}"
        );
        assert!(restart.as_secs() < RESTART_SECONDS_MAX, "the restart took {restart:?}");
        ledger.verify(&server.wire(), &bucket);
    }
    lose_drives(&server, &bucket, &mut ledger, &mut random);
    assert!(server.terminate().success(), "SIGTERM ends the server with status 0");
}

/// Wipes two drives while stopped, two others while running, and two others again, with a
/// complete repair in between.
fn lose_drives(server: &Server, bucket: &str, ledger: &mut Ledger, random: &mut Random) {
    let pairs = drives::disjoint_pairs(server, random);
    let [stopped, running, again] = &pairs[..] else {
        panic!("a server of its own has six devices: {pairs:?}");
    };
    assert!(server.terminate().success(), "SIGTERM ends the server with status 0");
    drives::wipe(server, stopped);
    server.start_again();
    ledger.verify(&server.wire(), bucket);
    drives::wait_for_repair(server);

    drives::wipe(server, running);
    ledger.verify(&server.wire(), bucket);
    let acknowledged =
        Load::new(server, bucket, random.next_u64()).run_to_end(ledger, Duration::from_secs(1));
    eprintln!("{acknowledged} acknowledged with two drives wiped");
    ledger.verify(&server.wire(), bucket);
    drives::wait_for_repair(server);

    server.kill();
    drives::wipe(server, again);
    server.start_again();
    ledger.verify(&server.wire(), bucket);
    drives::wait_for_repair(server);
    ledger.verify(&server.wire(), bucket);
}
