//! Histories of requests that race for the same keys, checked for linearizability.
//!
//! - Conditional and plain PUTs, DELETEs, copies between the keys, completions of uploads (some
//!   sent twice) and GETs, from many clients on few keys.
//! - Two of three waves are in a versioned bucket, whose keys hold and lose current objects alike,
//!   whatever versions and delete markers lie beneath.
//! - Every fourth wave the server is killed under the clients, which go on after its restart.
//! - The checker is `todc-utils`' implementation of Wing, Gong and Lowe; what a key does is
//!   [`register`].
//! - `DATAMESH_HISTORIES_WAVES` says how many waves, `DATAMESH_HISTORIES_SEED` replays the choices
//!   (not the timing).

mod contents;
mod history;
mod race;
mod register;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::Server;

use crate::contents::Contents;
use crate::history::{Clock, Event, describe, is_linearizable};
use crate::race::{Client, Race};
use crate::register::Operation;

/// Waves unless the environment says otherwise. Chosen: with six kills, about twenty seconds on two
/// cores.
const WAVES: u64 = 24;

/// Every how many waves the server is killed. Chosen.
const KILL_EVERY: u64 = 4;

/// Clients at a time. Chosen: enough that each key has several requests under way.
const CLIENTS: usize = 8;

/// Keys of a wave, never used again. Chosen.
const KEYS: usize = 3;

/// Requests of each client in one wave. Chosen: histories of some dozen operations per key, which
/// the checker decides in milliseconds.
const STEPS: usize = 20;

/// How long clients race before a kill, in milliseconds: below this. Chosen.
const KILL_AFTER_MS_MAX: u64 = 150;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

type Histories = BTreeMap<String, Vec<Event>>;

#[test]
fn racing_requests_to_a_key_are_linearizable() {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    let seed = from_environment("DATAMESH_HISTORIES_SEED", now);
    let waves = from_environment("DATAMESH_HISTORIES_WAVES", WAVES);
    eprintln!("DATAMESH_HISTORIES_SEED={seed} DATAMESH_HISTORIES_WAVES={waves}");
    let mut random = Random::new(seed);
    let server = Server::start(&[]);
    let plain = server.new_bucket("histories");
    let versioned = server.new_bucket("versions");
    enable_versioning(&server, &versioned);
    let (contents, clock) = (Contents::default(), Clock::default());
    let (mut operations, mut unanswered, mut mutants) = (0, 0, 0);
    for wave in 1..=waves {
        let keys = (0..KEYS).map(|key| format!("wave{wave}/k{key}")).collect();
        let bucket = if wave % 3 == 0 { &plain } else { &versioned };
        let race = Race::new(bucket, keys, &contents, &clock);
        if wave % KILL_EVERY == 0 {
            run_under_kill(&race, &server, &mut random);
        }
        run(&race, &server, random.next_u64());
        race.process_ended();
        let histories: Histories = race.histories.into_inner();
        for (key, events) in &histories {
            assert!(is_linearizable(events), "{key} is not linearizable:\n{}", describe(events));
            operations += events.len();
            let is_open = |event: &&Event| matches!(event.operation, Operation::Unanswered { .. });
            unanswered += events.iter().filter(is_open).count();
            if let Some(mutant) = with_a_stale_read(events) {
                mutants += 1;
                assert!(!is_linearizable(&mutant), "a stale read passed:\n{}", describe(&mutant));
            }
        }
    }
    eprintln!(
        "{operations} operations in {} histories are linearizable, {unanswered} of them \
         unanswered at {} kills; {mutants} histories with one answer altered are not",
        waves * KEYS as u64,
        waves / KILL_EVERY
    );
    assert!(mutants >= waves, "only {mutants} histories could be altered");
    assert!(waves < KILL_EVERY || unanswered > 0, "no kill cut a request off");
}

fn enable_versioning(server: &Server, bucket: &str) {
    let document =
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".to_owned();
    let request = server.wire().put(&format!("/{bucket}?versioning")).body(document);
    request.send().expect_status(200);
}

/// Lets every client do its steps.
fn run(race: &Race<'_>, server: &Server, seed: u64) {
    race.killed.store(false, Ordering::SeqCst);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = client(race, server, number, seed);
            scope.spawn(move || {
                for _ in 0..STEPS {
                    client.step();
                }
            });
        }
    });
}

/// Kills the server under the clients and starts it again.
fn run_under_kill(race: &Race<'_>, server: &Server, random: &mut Random) {
    race.killed.store(true, Ordering::SeqCst);
    let seed = random.next_u64();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = client(race, server, number, seed);
            scope.spawn(move || while client.step() {});
        }
        thread::sleep(Duration::from_millis(random.below(KILL_AFTER_MS_MAX)));
        server.kill();
    });
    race.process_ended();
    server.start_again();
}

fn client<'a>(race: &'a Race<'a>, server: &Server, number: usize, seed: u64) -> Client<'a> {
    Client::new(race, server, number, Random::new(seed.wrapping_add(number as u64)))
}

/// The history with one answer altered: a read behind two writes that did not overlap returns what
/// the first of them wrote. `None` when it has no such read, or the value was written twice.
fn with_a_stale_read(events: &[Event]) -> Option<Vec<Event>> {
    let written = |event: &Event| match event.operation {
        Operation::Write { value: Some(value), .. } => Some(value),
        _ => None,
    };
    let writers = |value: u32| events.iter().filter(|event| written(event) == Some(value)).count();
    let writes: Vec<&Event> = events.iter().filter(|event| written(event).is_some()).collect();
    for (index, event) in events.iter().enumerate() {
        if !matches!(event.operation, Operation::Read(_)) {
            continue;
        }
        let before = writes.iter().filter(|write| write.over < event.sent);
        let Some(second) = before.max_by_key(|write| write.sent) else {
            continue;
        };
        let first = writes.iter().filter(|write| write.over < second.sent).max_by_key(|w| w.over);
        let Some(stale) = first.and_then(|first| written(first)).filter(|v| writers(*v) == 1)
        else {
            continue;
        };
        let mut altered = events.to_vec();
        altered[index].operation = Operation::Read(Some(stale));
        return Some(altered);
    }
    None
}
