//! Power cuts under a real server: metadata and all drives lie on a file system that loses what was
//! not synced (`compat-tests-faultfs`, whose docs say what a cut may leave).
//!
//! A round lets clients write, kills the server, cuts the power, starts it again and reads
//! everything back: no acknowledged write lost, none half-visible, no wrong byte, every drive
//! online, nothing left to repair. `DATAMESH_POWER_ROUNDS` makes it longer,
//! `DATAMESH_POWER_SEED` replays a run's choices (not its timing).
//!
//! # What each sync is for
//! Leaving out any one sync must be noticed. Every sync of the product is a failpoint
//! `skip-sync::SITE`; [`sites::SITES`] lists them, and a test compares it with the sources. Those
//! that this server shows are left out here, one after the other, until a power cut shows a loss or
//! a refusal; the others need a more exact moment and have tests beside their code.
//!
//! | Site | Noticed by |
//! | --- | --- |
//! | `segment-group`, `segment-name`, `superblock-content`, `superblock-name` | here, and `writes` in node-store's failpoint tests |
//! | `drive-name` | `writes` there |
//! | `segment-removal`, `index-checkpoint` | `compaction` there |
//! | `segment-cut` | `index_without_space` there |
//! | `recovered-segment` | `killed_before_a_sync` there |
//! | `index-tables` | `lost_index` there |
//! | `meta-commit` | here, and `power` in gateway-meta's engine tests |
//! | `meta-directory` | `power` there |
//! | `file-content` | here, and in node-server's `durable_file` |
//! | `file-name`, `directory-name` | in node-server's `durable_file` |
//!
//! Syncs that no power cut misses are not there any more: of a drive's `segments` directory (the
//! superblock that follows syncs the same directory before anything is served), after cutting off
//! what a failed opening or a crash left (the next sync of that file takes it along, and until then
//! nothing builds on it), of the row that names the metadata's format (the first commit takes it
//! along), of the probe after a full disk (RocksDB has synced before it takes writes again), and of
//! the metadata's log when it is closed (every group was synced before its answer).

mod ledger;
mod load;
mod rounds;
mod sites;

use compat_tests::payload::Random;

use crate::rounds::Machine;

/// Power cuts unless the environment says more. Chosen: about half a minute on two cores.
const ROUNDS: u64 = 6;

/// First starts that are cut short, per round of [`ROUNDS`].
const STARTS_PER_ROUND: u64 = 1;

/// Power cuts one of which must show that a sync is missing. Chosen: each does so more often than
/// once in two.
const MUTATION_ROUNDS: u64 = 8;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// A printed seed for everything that is chosen at random.
fn random() -> Random {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    let seed = from_environment("DATAMESH_POWER_SEED", now);
    eprintln!("DATAMESH_POWER_SEED={seed}");
    Random::new(seed)
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let mut random = random();
    let Some(mut machine) = Machine::new("power cuts under a server", &[], &mut random) else {
        return;
    };
    for round in 1..=from_environment("DATAMESH_POWER_ROUNDS", ROUNDS) {
        let outcome = machine.round(&mut random);
        assert_eq!(outcome, Ok(()), "round {round}");
    }
}

#[test]
fn a_first_start_that_a_power_cut_ends_is_made_up_for() {
    let mut random = random();
    let what = "power cuts under a first start";
    let Some(machine) = Machine::new(what, &[], &mut random) else { return };
    for start in 1..=from_environment("DATAMESH_POWER_ROUNDS", ROUNDS) * STARTS_PER_ROUND {
        let outcome = machine.first_start(&mut random);
        assert_eq!(outcome, Ok(()), "start {start}");
    }
}

#[test]
fn a_sync_that_is_left_out_is_noticed() {
    let mut random = random();
    for site in sites::SHOWN_HERE {
        let failpoints = format!("skip-sync::{site}=return");
        let environment = [("FAILPOINTS", failpoints.as_str())];
        let found = (0..MUTATION_ROUNDS).find_map(|_| {
            // Each on a new machine: what is synced once must not hide what is not.
            let mut machine = Machine::new("power cuts without a sync", &environment, &mut random)?;
            machine.round(&mut random).err()
        });
        match found {
            Some(what) => eprintln!("without {site}: {}", what.lines().next().unwrap_or_default()),
            None => assert!(
                Machine::new("power cuts without a sync", &[], &mut random).is_none(),
                "{MUTATION_ROUNDS} power cuts lose nothing without {site}"
            ),
        }
    }
}
