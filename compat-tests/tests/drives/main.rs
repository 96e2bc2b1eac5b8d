//! Drives that fail, in every way and two at a time, under a ledger of what was acknowledged.
//!
//! - Two drives of six may be lost in any way: reads go on, writes go on, and once the drives are
//!   back everything is whole again without help. A third loss gives clean errors until it ends.
//! - `DATAMESH_DRIVES_SEED` replays a run's choices (not its timing); it is printed.
//! - `DATAMESH_DRIVES_ALL=1` runs every case instead of a sample, and `DATAMESH_DRIVES_FAULTS` only
//!   those with certain faults, as in `Full,Pulled`.

mod faults;
mod flips;
mod full;
mod machine;
mod matrix;
mod metadata;
mod third;

use compat_tests::ledger::Ledger;
use compat_tests::payload::{self, Random};

use crate::machine::Machine;
use crate::matrix::{Case, Fault};

/// Lengths around every border that stores bytes differently: inline, copies, one stripe, several.
const LENGTHS: [usize; 10] =
    [0, 1, 4096, 4097, 65_536, 65_537, 300_000, 1 << 20, 3 << 20, (8 << 20) + 5];

/// The seed of this run, printed.
fn seed() -> u64 {
    let seed = match std::env::var("DATAMESH_DRIVES_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("not a seed: {text}")),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs()),
    };
    eprintln!("DATAMESH_DRIVES_SEED={seed}");
    seed
}

/// Whether every case is to be run.
fn is_complete() -> bool {
    std::env::var_os("DATAMESH_DRIVES_ALL").is_some_and(|value| value == "1")
}

/// Whether cases with `fault` are to be run.
fn is_wanted(fault: Fault) -> bool {
    let name = format!("{fault:?}");
    match std::env::var("DATAMESH_DRIVES_FAULTS") {
        Ok(names) => names.split(',').any(|wanted| wanted == name),
        Err(_) => true,
    }
}

/// A bucket with an object of every length.
fn filled(machine: &Machine, random: &mut Random) -> Ledger {
    let mut ledger = Ledger::new(machine.server.new_bucket("drives"));
    let wire = machine.wire();
    for len in LENGTHS {
        ledger.put(&wire, &format!("kept/{len}"), payload::bytes(random.next_u64(), len));
    }
    ledger
}

/// Runs the cases of `faults` one after the other on one machine, and prints a table of them.
fn run_cases(machine: &Machine, faults: &[Fault], random: &mut Random) {
    let mut ledger = filled(machine, random);
    let wanted: Vec<Fault> = faults.iter().copied().filter(|fault| is_wanted(*fault)).collect();
    let cases =
        if is_complete() { matrix::all(&wanted, random) } else { matrix::sample(&wanted, random) };
    for &case in &cases {
        eprintln!("{case}");
        let outcome = faults::run(machine, &mut ledger, case, random.next_u64());
        eprintln!("{case}  {outcome}");
    }
    // The last pair's repair is looked at as that of the others was: by losing another.
    let pair = matrix::next(cases.last().map(|case: &Case| case.pair), random);
    let lost = Case { fault: Fault::Wiped, moment: matrix::Moment::AtRest, pair };
    faults::run(machine, &mut ledger, lost, random.next_u64());
    machine.stop();
}

#[test]
fn any_two_drives_may_be_wiped_exchanged_or_old() {
    let mut random = Random::new(seed());
    let faults = [Fault::Wiped, Fault::Swapped, Fault::ReturnedOld];
    run_cases(&Machine::new(), &faults, &mut random);
}

#[test]
fn any_two_drives_may_fail_and_return() {
    let mut random = Random::new(seed());
    let faults = [
        Fault::ReadOnly,
        Fault::ReadError,
        Fault::WriteError,
        Fault::SyncError,
        Fault::Full,
        Fault::Pulled,
    ];
    if let Some(machine) = Machine::failing("drives that fail") {
        run_cases(&machine, &faults, &mut random);
    }
}
