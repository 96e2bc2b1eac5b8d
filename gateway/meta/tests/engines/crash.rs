//! Crashes and failing writes. Each happens in a child process: this binary, told to run one
//! ignored test, because failpoints belong to a process and a kill takes all of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_meta::key::decode_counter;
use gateway_meta::{
    Batch, CommitError, CommitOutcome, Guard, KeyRange, MetaStore, Op, RocksMetaStore, Table, TxId,
};

use crate::stores::{add, open, put};

const DIRECTORY: &str = "GATEWAY_META_TEST_DIRECTORY";
const ROUND: &str = "GATEWAY_META_TEST_ROUND";

/// This binary, about to run the ignored test `name` of this file in `directory`.
fn child(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&format!("crash::{name}"), "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null());
    command
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).unwrap().into()
}

fn counter(store: &dyn MetaStore, key: &[u8]) -> i128 {
    store.get(Table::Ctr, key).unwrap().map_or(0, |value| decode_counter(&value).unwrap())
}

/// A batch over several tables: a row, its copy and a count of both.
fn linked(round: u64, seq: u64) -> Batch {
    let key = [round.to_be_bytes(), seq.to_be_bytes()].concat();
    let mut batch = put(seq, Table::Cur, key.clone(), &[seq as u8; 500]);
    batch.txid.incarnation = round;
    batch.guards.push(Guard::Absent { table: Table::Cur, key: key.clone() });
    batch.ops.push(Op::Put { table: Table::Ver, key, value: seq.to_be_bytes().to_vec().into() });
    batch.ops.push(Op::Add { table: Table::Ctr, key: b"rows".to_vec(), delta: 1 });
    batch
}

fn parse(line: &str) -> Option<u64> {
    line.strip_prefix("answered ")?.strip_suffix('.')?.parse().ok()
}

#[tokio::test]
async fn answered_commits_survive_a_kill() {
    const ROUNDS: u64 = 3;
    const ANSWERS: usize = 400;
    let parent = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let mut writer = child("child_writes_until_killed", parent.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < ANSWERS {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            if let Some(seq) = parse(&line) {
                answered.push((round, seq));
                seen += 1;
            }
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // The kill may have cut the last line short; a whole one ends in a dot.
        let rest = lines.map_while(Result::ok).filter_map(|line| parse(&line));
        answered.extend(rest.map(|seq| (round, seq)));
    }

    let store = open(parent.path());
    for (round, seq) in &answered {
        let key = [round.to_be_bytes(), seq.to_be_bytes()].concat();
        assert!(store.get(Table::Cur, &key).unwrap().is_some(), "{round}:{seq} was answered");
    }
    let rows = async |table| store.scan(table, KeyRange::all(), usize::MAX).await.unwrap();
    let keys =
        |rows: Vec<gateway_meta::Row>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let (cur, ver) = (keys(rows(Table::Cur).await), keys(rows(Table::Ver).await));
    assert_eq!(cur, ver, "no batch is half applied");
    assert_eq!(counter(&store, b"rows"), cur.len() as i128, "no batch is half applied");
    for (round, seq) in answered.into_iter().step_by(37) {
        let retried = store.commit(linked(round, seq)).await;
        assert!(matches!(retried, Ok(CommitOutcome::Applied)), "{retried:?}");
    }
    assert_eq!(counter(&store, b"rows"), cur.len() as i128, "a retry applies nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child of answered_commits_survive_a_kill"]
async fn child_writes_until_killed() {
    let store = Arc::new(open(&directory()));
    let round = std::env::var(ROUND).unwrap().parse().unwrap();
    let seq = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, seq) = (Arc::clone(&store), Arc::clone(&seq));
        writers.spawn(async move {
            loop {
                let seq = seq.fetch_add(1, Ordering::Relaxed);
                store.commit(linked(round, seq)).await.unwrap();
                // The write fails once the parent is gone, which ends this process too.
                writeln!(std::io::stdout().lock(), "answered {seq}.").unwrap();
            }
        });
    }
    writers.join_all().await;
}

/// Runs a child to its end with `failpoints` armed.
fn run(name: &str, failpoints: &str) {
    let parent = tempfile::tempdir().unwrap();
    let output = child(name, parent.path()).env("FAILPOINTS", failpoints).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

#[test]
fn a_crash_before_the_write_loses_the_unanswered_commit_only() {
    run("child_crashes_in_the_sixth_group", "meta-before-write=5*off->panic(crash)");
}

#[test]
fn a_crash_behind_the_write_keeps_the_commit_and_its_outcome() {
    run("child_crashes_in_the_sixth_group", "meta-after-write-before-ack=5*off->panic(crash)");
}

#[tokio::test]
#[ignore = "runs as a child of the crash tests"]
async fn child_crashes_in_the_sixth_group() {
    let is_written = std::env::var("FAILPOINTS").unwrap().contains("after-write");
    let scenario = fail::FailScenario::setup();
    let store = open(&directory());
    for seq in 1..=5 {
        store.commit(add(seq, b"n", 1)).await.unwrap();
    }
    let sixth = store.commit(add(6, b"n", 1)).await;
    assert!(matches!(sixth, Err(CommitError::Indeterminate { .. })), "{sixth:?}");
    assert!(counter(&store, b"n") >= 5, "reads go on");
    store.close().await.unwrap_err();
    let seventh = store.commit(add(7, b"n", 1)).await;
    let Err(CommitError::Unavailable { reason }) = seventh else { panic!("{seventh:?}") };
    assert!(reason.contains("panicked"), "{reason}");
    drop(store);
    scenario.teardown();

    let store = open(&directory());
    assert_eq!(counter(&store, b"n"), if is_written { 6 } else { 5 });
    for _ in 0..2 {
        let sixth = store.commit(add(6, b"n", 1)).await;
        assert!(matches!(sixth, Ok(CommitOutcome::Applied)), "{sixth:?}");
        assert_eq!(counter(&store, b"n"), 6, "applied exactly once");
    }
}

#[test]
fn a_failed_write_poisons_the_store() {
    run("child_fails_a_write", "meta-before-write=1*off->1*return(IO error: bad sector)");
}

#[tokio::test]
#[ignore = "runs as a child of a_failed_write_poisons_the_store"]
async fn child_fails_a_write() {
    let scenario = fail::FailScenario::setup();
    let store = open(&directory());
    store.commit(put(1, Table::Cur, "a", b"1")).await.unwrap();
    let failed = store.commit(put(2, Table::Cur, "b", b"")).await;
    assert!(matches!(failed, Err(CommitError::Indeterminate { .. })), "{failed:?}");
    for seq in 3..6 {
        let refused = store.commit(put(seq, Table::Cur, "c", b"")).await;
        let Err(CommitError::Unavailable { reason }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("bad sector"), "{reason}");
    }
    assert_eq!(store.get(Table::Cur, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.scan(Table::Cur, KeyRange::all(), 9).await.unwrap().len(), 1);
    store.close().await.unwrap();
    scenario.teardown();
}

#[test]
fn a_full_disk_met_in_a_write_does_not_poison() {
    run(
        "child_meets_a_full_disk",
        "meta-before-write=1*off->1*return(IO error: No space left on device)",
    );
}

#[tokio::test]
#[ignore = "runs as a child of a_full_disk_met_in_a_write_does_not_poison"]
async fn child_meets_a_full_disk() {
    let scenario = fail::FailScenario::setup();
    let store = open(&directory());
    store.commit(add(1, b"n", 1)).await.unwrap();
    let failed = store.commit(add(2, b"n", 1)).await;
    assert!(matches!(failed, Err(CommitError::Indeterminate { .. })), "{failed:?}");
    store.commit(add(3, b"n", 1)).await.unwrap();
    assert_eq!(counter(&store, b"n"), 2, "the failed batch is not applied later");
    store.commit(add(2, b"n", 1)).await.unwrap();
    assert_eq!(counter(&store, b"n"), 3);
    scenario.teardown();
}

/// The failed guard of the second batch may rest on the first batch, which is not durable: both
/// answers must wait for the write, and neither may be given when it fails.
#[test]
fn no_answer_of_a_failed_group_rests_on_it() {
    run("child_fails_a_group", "meta-before-write=1*sleep(300)->1*return(IO error: bad sector)");
}

#[tokio::test]
#[ignore = "runs as a child of no_answer_of_a_failed_group_rests_on_it"]
async fn child_fails_a_group() {
    let scenario = fail::FailScenario::setup();
    let store = Arc::new(open(&directory()));
    let mut tasks = tokio::task::JoinSet::new();
    // The first group sleeps; what is submitted meanwhile makes the second.
    let first = Arc::clone(&store);
    tasks.spawn(async move { first.commit(put(1, Table::Cur, "first", b"")).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    for seq in 2..4 {
        let (store, mut batch) =
            (Arc::<RocksMetaStore>::clone(&store), put(seq, Table::Cur, "a", b""));
        batch.guards.push(Guard::Absent { table: Table::Cur, key: b"a".to_vec() });
        tasks.spawn(async move { store.commit(batch).await });
    }
    let mut malformed = put(4, Table::Tx, "a", b"");
    malformed.txid = TxId { incarnation: 2, seq: 4 };
    let malformed = store.commit(malformed).await;
    assert!(matches!(malformed, Err(CommitError::Malformed { .. })), "{malformed:?}");
    let outcomes = tasks.join_all().await;
    let applied = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let unknown =
        |outcome: &&Result<_, _>| matches!(outcome, Err(CommitError::Indeterminate { .. }));
    assert_eq!(applied, 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(unknown).count(), 2, "{outcomes:?}");
    scenario.teardown();
}
