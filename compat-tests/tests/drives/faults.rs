//! Making drives fail and letting them return.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use compat_tests_faultfs::Fault as FsFault;

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};

use crate::machine::{Device, Machine, NOTICE_MAX, await_true, copy_tree};
use crate::matrix::{Case, Fault, Moment, Pair};

/// How long clients write before a fault, and after it. Chosen: some dozens of requests.
const BEFORE: Duration = Duration::from_millis(400);
const AFTER: Duration = Duration::from_millis(1200);

/// Requests that each client sends after a fault at rest. Chosen: some of every kind.
const STEPS: u32 = 6;

/// What a case left to say.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) rebuilds: u64,
    pub(crate) repaired_shards: u64,
    pub(crate) mended_in: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, refused, rebuilds, repaired_shards, mended_in } = self;
        write!(
            f,
            "{acknowledged} acknowledged, {refused} refused, {rebuilds} rebuilds, \
             {repaired_shards} shards repaired, whole after {mended_in:?}"
        )
    }
}

/// Runs one case to its end.
///
/// # Panics
/// When anything is not as it should be.
pub(crate) fn run(machine: &Machine, ledger: &mut Ledger, case: Case, seed: u64) -> Outcome {
    let Case { fault, moment, pair } = case;
    let tally = Tally::default();
    let devices = machine.devices_at(pair);
    let stopped = moment == Moment::AtRest && is_done_stopped(fault);
    let mut copies = None;
    if stopped && fault == Fault::ReturnedOld {
        machine.stop();
        copies = Some(copy_pair(machine, pair));
        machine.start();
        load(machine, ledger, &tally).steps(ledger, seed ^ 1, STEPS);
    }
    let mut rebuilds_before = rebuilds(machine);
    match moment {
        Moment::AtRest => {
            if stopped {
                machine.stop();
                rebuilds_before = 0;
            }
            apply(machine, fault, pair, copies);
            if stopped {
                machine.start();
            }
            ledger.verify(&machine.wire());
            load(machine, ledger, &tally).steps(ledger, seed, STEPS);
        }
        Moment::DuringWrites => {
            load(machine, ledger, &tally).run(ledger, seed, || {
                thread::sleep(BEFORE);
                if fault == Fault::ReturnedOld {
                    copies = Some(copy_pair(machine, pair));
                    thread::sleep(BEFORE);
                }
                apply(machine, fault, pair, copies.take());
                thread::sleep(AFTER);
            });
        }
    }
    ledger.verify(&machine.wire());
    expect_noticed(machine, case, devices, rebuilds_before);
    ledger.verify(&machine.wire());
    if fault == Fault::Swapped && !stopped {
        // Who runs keeps to the place it knows; a start looks around.
        machine.stop();
        rebuilds_before = 0;
        machine.start();
    }
    end(machine, fault, pair);
    let mended_in = machine.await_whole();
    let rebuilds = rebuilds(machine) - rebuilds_before;
    ledger.verify(&machine.wire());
    Outcome {
        acknowledged: tally.acknowledged.into_inner(),
        refused: tally.refused.into_inner(),
        rebuilds,
        repaired_shards: machine.repair().repaired_shards,
        mended_in,
    }
}

fn load<'a>(machine: &Machine, ledger: &Ledger, tally: &'a Tally) -> Load<'a> {
    Load::new(machine.wire(), ledger, tally)
}

/// Faults that a person causes with the server stopped, and that a file system has at any time.
fn is_done_stopped(fault: Fault) -> bool {
    matches!(fault, Fault::Wiped | Fault::Swapped | Fault::ReturnedOld)
}

fn rebuilds(machine: &Machine) -> u64 {
    machine.metrics().value("datamesh_repair_rebuilds_total") as u64
}

fn apply(machine: &Machine, fault: Fault, pair: Pair, copies: Option<[PathBuf; 2]>) {
    match fault {
        Fault::Wiped => pair.iter().for_each(|drive| {
            put_aside(machine, *drive, |place| {
                fs::create_dir(place).expect("an empty drive can take its place");
            });
        }),
        Fault::ReturnedOld => {
            let copies = copies.expect("copies were taken before");
            for (drive, copy) in pair.into_iter().zip(copies) {
                put_aside(machine, drive, |place| {
                    fs::rename(copy, place).expect("the copy can take its place");
                });
            }
        }
        Fault::Swapped => exchange(machine, pair),
        Fault::ReadOnly => machine.inject(FsFault::ReadOnly, pair),
        Fault::ReadError => machine.inject(FsFault::ReadError, pair),
        Fault::WriteError => machine.inject(FsFault::WriteError, pair),
        Fault::SyncError => machine.inject(FsFault::SyncError, pair),
        Fault::Full => machine.inject(FsFault::NoSpace, pair),
        Fault::Pulled => machine.inject(FsFault::Gone, pair),
    }
}

fn end(machine: &Machine, fault: Fault, pair: Pair) {
    match fault {
        Fault::Wiped | Fault::ReturnedOld | Fault::Swapped => {}
        // Nobody writes to a drive that says it is full.
        Fault::Full => drop(machine.clear(pair)),
        Fault::ReadOnly
        | Fault::ReadError
        | Fault::WriteError
        | Fault::SyncError
        | Fault::Pulled => {
            let hits = machine.clear(pair);
            assert!(!hits.contains(&0), "a drive of {pair:?} never met {fault:?}: {hits:?}");
        }
    }
}

fn copy_pair(machine: &Machine, pair: Pair) -> [PathBuf; 2] {
    pair.map(|drive| {
        let copy = machine.aside(&format!("old-{drive}"));
        copy_tree(machine.drive(drive), &copy);
        copy
    })
}

/// Moves a drive's directory away whole, as a person takes a disk out, lets `replace` fill its
/// place, and empties its files, so that a server that has them open reads nothing more from them.
fn put_aside(machine: &Machine, drive: usize, replace: impl FnOnce(&Path)) {
    let (place, away) = (machine.drive(drive), machine.aside(&format!("gone-{drive}")));
    fs::rename(place, &away).expect("the drive can be moved away");
    replace(place);
    empty(&away);
    fs::remove_dir_all(&away).expect("nobody looks for what was moved away");
}

fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            empty(&entry.path());
        } else {
            let _ = fs::File::options().write(true).truncate(true).open(entry.path());
        }
    }
}

fn exchange(machine: &Machine, [first, second]: Pair) {
    let (first, second, between) =
        (machine.drive(first), machine.drive(second), machine.aside("between"));
    fs::rename(first, &between).expect("the first can be moved");
    fs::rename(second, first).expect("the second can be moved");
    fs::rename(&between, second).expect("the first can take the second's place");
}

/// Waits until the server says of the pair what it should while the fault lasts.
fn expect_noticed(machine: &Machine, case: Case, devices: Pair, rebuilds_before: u64) {
    let Case { fault, moment, pair } = case;
    let is_offline = |device: &Device| {
        device.health == "offline" && device.reason.as_ref().is_some_and(|why| !why.is_empty())
    };
    match (fault, moment) {
        (Fault::Wiped | Fault::ReturnedOld, _) => {
            await_true("both drives are being rebuilt", NOTICE_MAX, || {
                rebuilds(machine) >= rebuilds_before + 2
            });
        }
        (Fault::Swapped, Moment::AtRest) => {
            let [first, second] = pair;
            machine.await_devices(&devices, "found at the other's place", |device| {
                let other = if device.device == devices[0] { second } else { first };
                device.health == "online" && device.address == machine.drive(other)
            });
        }
        (Fault::Swapped, Moment::DuringWrites)
        | (
            Fault::ReadOnly
            | Fault::ReadError
            | Fault::WriteError
            | Fault::SyncError
            | Fault::Pulled,
            _,
        ) => {
            machine.await_devices(&devices, "offline with a reason", is_offline);
            expect_states(machine, devices, 2.0);
        }
        (Fault::Full, _) => {
            machine.await_devices(&devices, "full", |device| device.health == "full");
            expect_states(machine, devices, 1.0);
        }
    }
}

/// Looks for the devices' state in the metrics. It follows a moment later than the list of them.
fn expect_states(machine: &Machine, devices: Pair, state: f64) {
    crate::machine::await_true(
        "metrics show the drives' state",
        crate::machine::NOTICE_MAX,
        || {
            let metrics = machine.metrics();
            let is_shown =
                |drive: &usize| metrics.of_drive("datamesh_drive_state", *drive) == state;
            devices.iter().all(is_shown)
        },
    );
}
