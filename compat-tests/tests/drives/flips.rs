//! Bits that flip in the files of two drives: nothing wrong is served, everything is found, counted
//! and repaired.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};
use compat_tests::payload::{self, Random};

use crate::machine::{Machine, await_true};
use crate::matrix::{Pair, next};
use crate::{filled, is_complete, seed};

/// What every record of a segment begins and ends with; records begin on pages.
const RECORD_START: &[u8] = b"DMRECORD";
const RECORD_END: &[u8] = b"DMRECEND";
const PAGE: usize = 4096;
const HEADER: usize = 96;

/// Records damaged at a time, on each drive of a pair, in a sample and in all. Chosen.
const RECORDS: (usize, usize) = (6, 40);

/// Files of an index damaged one after the other, in a sample and in all. Chosen: some of every
/// kind; each costs two starts.
const INDEX_ROUNDS: (usize, usize) = (2, 20);

/// How long damage that was found may wait to be written down. Chosen: many times the second it
/// takes.
const NOTE_MAX: Duration = Duration::from_secs(20);

fn how_many((sample, all): (usize, usize)) -> usize {
    if is_complete() { all } else { sample }
}

/// Flips one bit of `path` at `offset`.
pub(crate) fn flip(path: &Path, offset: u64, random: &mut Random) {
    let file = fs::File::options().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("the offset is in the file");
    byte[0] ^= 1 << random.below(8);
    file.write_all_at(&byte, offset).expect("the file is writable");
    file.sync_all().expect("the file is on a disk");
}

/// Flips a bit anywhere in `path`; says where, `None` when it is empty.
pub(crate) fn flip_anywhere(path: &Path, random: &mut Random) -> Option<u64> {
    let len = fs::metadata(path).expect("the file is there").len();
    let offset = (len > 0).then(|| random.below(len))?;
    flip(path, offset, random);
    Some(offset)
}

/// Where a record lies: its file, its start, and where its payload ends.
struct Record {
    path: PathBuf,
    start: usize,
    payload_end: usize,
}

/// The shards that lie in the segments of a drive, with payloads.
fn records(drive: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for entry in fs::read_dir(drive.join("segments")).expect("a drive has segments") {
        let path = entry.expect("the directory is readable").path();
        let bytes = fs::read(&path).expect("the segment is readable");
        for start in (0..bytes.len()).step_by(PAGE) {
            let Some(header) = bytes.get(start..start + HEADER) else { continue };
            let len = u32::from_be_bytes(header[48..52].try_into().expect("four bytes")) as usize;
            let payload_end = start + HEADER + len;
            let is_shard = header.starts_with(RECORD_START) && header[10] == 1 && len > 0;
            if is_shard && bytes[payload_end..].starts_with(RECORD_END) {
                records.push(Record { path: path.clone(), start, payload_end });
            }
        }
    }
    records
}

/// Damages records of a drive, each in its header, payload or trailer; says how many.
fn damage(drive: &Path, random: &mut Random) -> usize {
    let mut records = records(drive);
    let wanted = how_many(RECORDS).min(records.len());
    for number in 0..wanted {
        let left = (records.len() - number) as u64;
        let chosen = usize::try_from(random.below(left)).expect("an index") + number;
        records.swap(number, chosen);
        let record = &records[number];
        let (from, to) = match number % 3 {
            0 => (record.start, record.start + HEADER),
            1 => (record.start + HEADER, record.payload_end),
            _ => (record.payload_end, record.payload_end + RECORD_END.len()),
        };
        let offset = from as u64 + random.below((to - from) as u64);
        flip(&record.path, offset, random);
    }
    wanted
}

/// Loses everything on a pair while the server is stopped, so that reads need the other drives.
fn lose_another(machine: &Machine, ledger: &mut Ledger, pair: Pair, random: &mut Random) -> Pair {
    let other = next(Some(pair), random);
    machine.stop();
    for drive in other {
        fs::remove_dir_all(machine.drive(drive)).expect("the drive was there");
        fs::create_dir(machine.drive(drive)).expect("an empty drive can take its place");
    }
    machine.start();
    ledger.verify(&machine.wire());
    machine.await_whole();
    other
}

#[test]
fn flipped_bits_in_shards_are_never_served_and_all_repaired() {
    let mut random = Random::new(seed());
    let machine = Machine::new();
    let mut ledger = filled(&machine, &mut random);
    let mut pair = next(None, &mut random);
    for stopped in [false, true] {
        // New objects only: damage of records that are dead is found by nobody.
        for len in crate::LENGTHS {
            let body = payload::bytes(random.next_u64(), len);
            ledger.put(&machine.wire(), &format!("{stopped}/{len}"), body);
        }
        if stopped {
            machine.stop();
        }
        let flipped: usize =
            pair.iter().map(|drive| damage(machine.drive(*drive), &mut random)).sum();
        if stopped {
            machine.start();
        }
        ledger.verify(&machine.wire());
        let damaged: u64 = machine.scrub_all().iter().map(|scrub| scrub.damaged_shards).sum();
        await_true("every damaged record is counted", NOTE_MAX, || {
            let found = "datamesh_drive_damaged_records_total";
            machine.metrics().of_all_drives(found) > 0.0
        });
        machine.await_whole();
        let metrics = machine.metrics();
        let counted = metrics.of_all_drives("datamesh_drive_damaged_records_total");
        let shards = metrics.value("datamesh_repair_shards_total");
        eprintln!(
            "flipped {flipped} records of {pair:?}, stopped: {stopped}; counted {counted}, \
             scrub found {damaged}, repaired {shards}, {:?}",
            machine.repair()
        );
        // What a reader found in a part of a shard may be repaired before its drive sees it whole.
        let by_readers = metrics.value("datamesh_stripe_damaged_shards_total");
        assert!(flipped > 0 && counted + by_readers >= flipped as f64, "{counted}, {by_readers}");
        // A start may count a damaged record, and a read of it once more.
        assert!(stopped || counted <= flipped as f64, "{counted} of {flipped}");
        assert!(shards >= flipped as f64, "{shards} of {flipped} were repaired");
        assert!(metrics.value("datamesh_repair_recorded_total") > 0.0);
        expect_sound(&machine);
        pair = lose_another(&machine, &mut ledger, pair, &mut random);
    }
    machine.stop();
}

/// Verifies every shard on every drive.
fn expect_sound(machine: &Machine) {
    let scrubs = machine.scrub_all();
    let is_sound =
        |scrub: &crate::machine::Scrub| scrub.damaged_shards == 0 && scrub.verified_shards > 0;
    assert!(scrubs.iter().all(is_sound), "damage is left: {scrubs:?}");
    assert_eq!(machine.repair().queued_stripes, 0);
}

#[test]
fn flipped_bits_in_superblocks_and_indexes_cost_nothing() {
    let mut random = Random::new(seed());
    let machine = Machine::new();
    let mut ledger = filled(&machine, &mut random);
    let mut pair = next(None, &mut random);
    for name in ["superblock", "superblock.bak"] {
        machine.stop();
        for drive in pair {
            flip_anywhere(&machine.drive(drive).join(name), &mut random);
        }
        machine.start();
        ledger.verify(&machine.wire());
        machine.await_whole();
        let counted = machine.metrics().of_all_drives("datamesh_drive_damaged_records_total");
        assert_eq!(counted, 2.0, "damaged copies of superblocks are counted");
        for drive in pair {
            let read = |name| fs::read(machine.drive(drive).join(name)).expect("it is there");
            assert_eq!(read("superblock"), read("superblock.bak"), "both are sound again");
        }
    }
    for round in 0..how_many(INDEX_ROUNDS) {
        // In a crash the log holds the last rows, after a stop tables and log do.
        if round % 2 == 0 {
            machine.stop()
        } else {
            machine.server.kill()
        }
        for drive in pair {
            flip_in_every_kind(&machine.drive(drive).join("index"), &mut random);
        }
        machine.start();
        ledger.verify(&machine.wire());
        machine.await_whole();
        let tally = Tally::default();
        Load::new(machine.wire(), &ledger, &tally).steps(&mut ledger, random.next_u64(), 5);
        expect_sound(&machine);
        // Every scrub is followed by a look for shards that a drive does not list any more.
        machine.await_whole();
        pair = lose_another(&machine, &mut ledger, pair, &mut random);
    }
    machine.stop();
}

#[test]
fn a_drive_whose_superblocks_are_both_damaged_says_so_and_is_rebuilt_once_emptied() {
    let mut random = Random::new(seed());
    let machine = Machine::new();
    let mut ledger = filled(&machine, &mut random);
    let pair = next(None, &mut random);
    machine.stop();
    for drive in pair {
        for name in ["superblock", "superblock.bak"] {
            flip_anywhere(&machine.drive(drive).join(name), &mut random);
        }
    }
    // Named on the command line they are refused, so this start relies on the layout.
    machine.start();
    ledger.verify(&machine.wire());
    machine.await_devices(&pair, "offline because of their superblocks", |device| {
        let reason = device.reason.clone().unwrap_or_default();
        device.health == "offline" && reason.contains("superblock")
    });
    for drive in pair {
        fs::remove_dir_all(machine.drive(drive)).expect("the drive was there");
        fs::create_dir(machine.drive(drive)).expect("an empty drive can take its place");
    }
    await_true("both drives are rebuilt", crate::machine::REPAIR_MAX, || {
        machine.metrics().value("datamesh_repair_rebuilds_total") >= 2.0
    });
    machine.await_whole();
    lose_another(&machine, &mut ledger, pair, &mut random);
    machine.stop();
}

/// Flips a bit in one file of each kind that a database has; says in which.
fn flip_in_every_kind(database: &Path, random: &mut Random) {
    let mut kinds: std::collections::BTreeMap<String, Vec<PathBuf>> = Default::default();
    for entry in fs::read_dir(database).expect("the database is there") {
        let path = entry.expect("the directory is readable").path();
        let kind = kind_of(&path);
        kinds.entry(kind).or_default().push(path);
    }
    // One at a time, so that none hides behind another.
    let chosen = usize::try_from(random.below(kinds.len() as u64)).expect("an index");
    let (kind, paths) = kinds.into_iter().nth(chosen).expect("a database has files");
    let path = &paths[usize::try_from(random.below(paths.len() as u64)).expect("an index")];
    let offset = flip_anywhere(path, random);
    eprintln!("flipped a bit of {kind} at {offset:?}");
}

/// `sst`, `log`, `MANIFEST`, `CURRENT` and so on.
pub(crate) fn kind_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match path.extension() {
        Some(extension) => extension.to_string_lossy().into_owned(),
        None => name.split('-').next().unwrap_or_default().to_owned(),
    }
}
