//! Power cuts under the store: with every sync in place they lose nothing that was answered, and
//! with any one left out some do.
//!
//! Small write buffers make RocksDB start logs, write tables and name them in its manifest between
//! the commits, so its own syncs are tried too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use compat_tests_faultfs::{Fault, FaultFs};
use gateway_meta::{CommitOutcome, Guard, MetaStore, Op, RocksMetaStore, Table};
use tokio::runtime::Runtime;

use crate::stores::{config, put};

/// Power cuts that must lose nothing. Chosen: a few seconds.
const SOUND_CUTS: u64 = 7;
/// Power cuts one of which must lose something when a sync is left out. Chosen: each of them does
/// so more often than once in four.
const CUTS_MAX: u64 = 40;

/// Every sync of this crate, by failpoint. [`one_run`] misses each of them.
const SITES: [&str; 2] = ["skip-sync::meta-commit", "skip-sync::meta-directory"];

fn open(directory: &Path) -> Result<RocksMetaStore, String> {
    let mut config = config(directory);
    config.write_buffer_bytes = 1 << 20;
    RocksMetaStore::open(config).map_err(|error| error.to_string())
}

fn key(seq: u64) -> Vec<u8> {
    seq.to_be_bytes().to_vec()
}

fn value(seq: u64) -> Vec<u8> {
    // Long enough for several write buffers, and of bytes that do not compress.
    let mut state = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..2000 + seq % 7 * 3000).map(byte).collect()
}

/// Commits, a power cut, and what is there then; twice, the second time on what the first left.
fn one_run(disk: &FaultFs, runtime: &Runtime, seed: u64) -> Result<(), String> {
    let parent = disk.mount_point().join(format!("case-{seed}"));
    fs::create_dir(&parent).unwrap();
    File::open(disk.mount_point()).unwrap().sync_all().unwrap();
    let directory = parent.join("data/meta");
    let mut answered = BTreeMap::new();
    let mut store = open(&directory)?;
    for round in 0..2 {
        let count = if seed.is_multiple_of(3) { 150 } else { 1 + seed % 11 };
        for seq in round * 1000..round * 1000 + count {
            let mut batch = put(seq, Table::Cur, key(seq), &value(seq));
            batch.guards.push(Guard::Absent { table: Table::Cur, key: key(seq) });
            let copy = value(seq).into();
            batch.ops.push(Op::Put { table: Table::Inl, key: key(seq), value: copy });
            if seq % 5 == 4 {
                batch.ops.push(Op::Delete { table: Table::Cur, key: key(seq - 1) });
                answered.insert(seq - 1, false);
            }
            let outcome = runtime.block_on(store.commit(batch)).unwrap();
            assert_eq!(outcome, CommitOutcome::Applied);
            answered.insert(seq, true);
        }
        let all = Path::new("");
        // Whoever still runs must not touch what the power cut left.
        disk.inject(all, Fault::Gone);
        disk.power_off(seed).unwrap();
        drop(store);
        disk.clear(all);
        store = open(&directory)?;
        for (seq, present) in &answered {
            let wanted = present.then(|| value(*seq));
            let found = store.get(Table::Cur, &key(*seq)).map_err(|error| error.to_string())?;
            if found.as_deref() != wanted.as_deref() {
                return Err(format!("commit {seq} is not as it was answered"));
            }
            let copy = store.get(Table::Inl, &key(*seq)).map_err(|error| error.to_string())?;
            if copy.as_deref() != Some(&value(*seq)) {
                return Err(format!("commit {seq} is there by half"));
            }
        }
    }
    drop(store);
    Ok(())
}

fn cut_power(seed: u64) -> Option<Result<(), String>> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (backing, mount_point) = (dir.path().join("backing"), dir.path().join("disk"));
    let disk = FaultFs::mount_for("power cuts under metadata", &backing, &mount_point)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    Some(one_run(&disk, &runtime, seed))
}

#[test]
fn power_cuts_lose_nothing_answered_and_show_every_sync_that_is_left_out() {
    for seed in 0..SOUND_CUTS {
        let Some(outcome) = cut_power(seed) else { return };
        assert_eq!(outcome, Ok(()), "seed {seed}");
    }
    for site in SITES {
        fail::cfg(site, "return").unwrap();
        let found = (0..CUTS_MAX).find_map(|seed| Some((seed, cut_power(seed)?.err()?)));
        fail::remove(site);
        let (seed, what) = found.unwrap_or_else(|| panic!("nothing is lost without {site}"));
        eprintln!("without {site}, seed {seed}: {what}");
    }
}
