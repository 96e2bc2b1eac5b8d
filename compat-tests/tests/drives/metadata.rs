//! Bits that flip in the metadata and the other files of the data directory, of which there is one
//! copy: the server refuses to start or answers errors, and never forgets or changes an object.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};
use compat_tests::payload::Random;
use compat_tests::wire::Wire;

use crate::flips::{flip_anywhere, kind_of};
use crate::machine::{Machine, copy_tree};
use crate::{filled, is_complete, seed};

/// Flips tried in every kind of file, in a sample and in all. Chosen: each costs a start.
const FLIPS: (u64, u64) = (2, 40);

/// How files begin whose content nobody relies on: RocksDB writes them for people.
const FOR_PEOPLE: [&str; 4] = ["LOG", "LOCK", "lock", "OPTIONS"];

/// What came of the flips in one kind of file.
#[derive(Debug, Default)]
struct Outcomes {
    refused: u64,
    unharmed: u64,
    with_errors: u64,
}

#[test]
fn flipped_bits_in_metadata_never_lose_or_change_an_object_silently() {
    let mut random = Random::new(seed());
    let machine = Machine::new();
    let mut ledger = filled(&machine, &mut random);
    let tally = Tally::default();
    Load::new(machine.wire(), &ledger, &tally).steps(&mut ledger, random.next_u64(), 10);
    // A start writes what the log held to tables; what follows is in the log only.
    machine.server.kill();
    machine.start();
    Load::new(machine.wire(), &ledger, &tally).steps(&mut ledger, random.next_u64(), 10);
    ledger.verify(&machine.wire());
    machine.server.kill();
    let data = machine.server.data_dir();
    let good = machine.aside("data");
    copy_tree(&data, &good);
    let mut outcomes: BTreeMap<String, Outcomes> = BTreeMap::new();
    for (kind, files) in kinds(&data) {
        for _ in 0..(if is_complete() { FLIPS.1 } else { FLIPS.0 }) {
            let file = &files[usize::try_from(random.below(files.len() as u64)).expect("an index")];
            let Some(offset) = flip_anywhere(file, &mut random) else { continue };
            eprintln!("{}: byte {offset}", file.strip_prefix(&data).unwrap_or(file).display());
            try_start(&machine, &ledger, outcomes.entry(kind.clone()).or_default());
            fs::remove_dir_all(&data).expect("the directory can be removed");
            copy_tree(&good, &data);
        }
    }
    eprintln!("{outcomes:#?}");
    // The good copy is as good as before: nothing was deleted from the drives, and what was written
    // beside it is in nobody's way.
    machine.start();
    ledger.verify(&machine.wire());
    Load::new(machine.wire(), &ledger, &tally).steps(&mut ledger, random.next_u64(), 10);
    ledger.verify(&machine.wire());
    let scrubs = machine.scrub_all();
    assert!(scrubs.iter().all(|scrub| scrub.damaged_shards == 0), "{scrubs:?}");
    machine.await_whole();
    let vanished = machine.metrics().value("datamesh_repair_vanished_shards_total");
    assert_eq!(vanished, 0.0, "shards were deleted on the word of damaged metadata");
    for kind in ["meta/MANIFEST", "meta/log", "root.key"] {
        assert!(outcomes[kind].refused > 0, "{kind} was never refused");
    }
    machine.stop();
}

/// The files of a data directory by kind, without those of drives.
fn kinds(data: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("the directory is there");
        entries.map(|entry| entry.expect("the directory is readable").path()).collect()
    };
    let is_relied_on = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && !FOR_PEOPLE.iter().any(|start| name.starts_with(start))
    };
    for path in list(data).into_iter().filter(is_relied_on) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        kinds.entry(name).or_default().push(path);
    }
    for path in list(&data.join("meta")).into_iter().filter(is_relied_on) {
        kinds.entry(format!("meta/{}", kind_of(&path))).or_default().push(path);
    }
    kinds
}

/// Starts the server on damaged files and reads everything if it does.
fn try_start(machine: &Machine, ledger: &Ledger, outcomes: &mut Outcomes) {
    let started = machine.server.try_start_again();
    match started {
        Err(why) => {
            outcomes.refused += 1;
            let reason = why.lines().rev().find(|line| !line.starts_with('{') && !line.is_empty());
            eprintln!("  refused: {}", reason.unwrap_or_default());
        }
        Ok(()) => {
            let errors = read_all(&machine.wire(), ledger);
            // What this stores is forgotten with these metadata, as after any return to a copy.
            let write = machine.wire().put(&ledger.target("lost")).body(vec![1; 300_000]).send();
            let is_clean = write.status == 200 || (500..600).contains(&write.status);
            assert!(is_clean, "{write:?}");
            if errors == 0 {
                outcomes.unharmed += 1
            } else {
                outcomes.with_errors += 1
            }
            eprintln!("  started, {errors} errors");
        }
    }
    machine.server.kill();
}

/// Reads every object and the listing; each is right or an error. Returns the errors.
fn read_all(wire: &Wire, ledger: &Ledger) -> u64 {
    let errors = ledger.clone().read(wire, |key, answer| {
        assert!((500..600).contains(&answer.status), "{key}: {answer:?}");
    });
    let listing = wire.get(&format!("/{}?list-type=2", ledger.bucket())).send();
    if listing.status != 200 {
        assert!((500..600).contains(&listing.status), "{listing:?}");
        return errors + 1;
    }
    let listed = listing.elements("Key");
    for (key, _) in ledger.present() {
        assert!(listed.contains(key), "{key} is not listed");
    }
    errors
}
