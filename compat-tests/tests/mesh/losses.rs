//! Nodes that are killed, hang or lose their drives.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::load::{Load, Tally};
use compat_tests::mesh::{Mesh, WHOLE_MAX, await_true};
use compat_tests::payload;

use crate::{alone, beside_others, filled, time_requests, write};

/// How long an answer may take while nodes are gone. Chosen: below what clients wait for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Length of what is written beside a hanging node. Chosen: one stripe on six devices.
const LEN: usize = 300_000;

/// Keys written there. Chosen: few, so that a fast machine does not fill its disk.
const KEYS: u64 = 100;

/// How long clients work while something is wrong. Chosen.
const LOAD_TIME: Duration = Duration::from_secs(10);

#[test]
fn two_nodes_may_be_killed_and_come_back() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let tally = Tally::default();
    let load = Load::new(mesh.wire(), &ledger, &tally);
    let seed = random.next_u64();
    load.run(&mut ledger, seed, || {
        thread::sleep(Duration::from_secs(2));
        mesh.kill_nodes(&[1, 4]);
        thread::sleep(LOAD_TIME);
    });
    ledger.verify(&mesh.wire());
    write(&mesh.wire(), &mut ledger, "with-four", &mut random);
    mesh.start_nodes(&[1, 4]);
    let whole = mesh.await_whole();
    ledger.verify(&mesh.wire());
    let (written, refused) =
        (tally.acknowledged.load(Ordering::SeqCst), tally.refused.load(Ordering::SeqCst));
    println!(
        "two of six killed under load: {written} writes acknowledged, {refused} told to wait, \
         whole {whole:.1?} after the return"
    );
    // What was written with four nodes, and what was repaired, survives two others.
    mesh.kill_nodes(&[0, 5]);
    ledger.verify(&mesh.wire());
}

#[test]
fn a_third_loss_gives_clean_errors_and_everything_comes_back() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    mesh.kill_nodes(&[0, 2, 3]);
    mesh.await_away(&[0, 2, 3]);
    let mut slowest = Duration::ZERO;
    let mut started = Instant::now();
    let unreadable = ledger.read(&mesh.wire(), |key, answer| {
        slowest = slowest.max(started.elapsed());
        started = Instant::now();
        assert_eq!(answer.status, 503, "{key}: {answer:?}");
    });
    assert!(unreadable > 0, "objects of 4+2 cannot be read from three");
    assert!(slowest < ANSWER_MAX, "an error took {slowest:?}");
    println!("three of six gone: {unreadable} objects answer 503, the slowest in {slowest:.1?}");
    mesh.start_nodes(&[0, 2, 3]);
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

#[test]
fn a_node_that_lost_its_drive_is_refilled() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let before = mesh.held_shards_of(2);
    assert!(before > 0, "the node holds nothing");
    mesh.kill_nodes(&[2]);
    mesh.wipe(2);
    mesh.start_nodes(&[2]);
    let whole = mesh.await_whole();
    await_true("the node has its shards again", WHOLE_MAX, || mesh.shards_of(2) >= before);
    println!("a wiped node of {before} shards was refilled in {whole:.1?}");
    mesh.kill_nodes(&[0, 1]);
    ledger.verify(&mesh.wire());
}

#[test]
fn a_node_that_hangs_stops_neither_reads_nor_writes() {
    let (_turn, mut random) = alone();
    let mesh = Mesh::start(7);
    let mut ledger = filled(&mesh, &mut random);
    let wire = mesh.wire();
    let mut number = 0_u64;
    let mut put_and_get = |ledger: &mut compat_tests::ledger::Ledger| {
        number += 1;
        let body = payload::bytes(random.next_u64(), LEN);
        let key = format!("hang/{}", number % KEYS);
        ledger.put(&wire, &key, body.clone());
        let read = wire.get(&ledger.target(&key)).send().status_is(200);
        assert!(read.body == body, "{key} differs");
    };
    let healthy = time_requests(LOAD_TIME, || put_and_get(&mut ledger));
    mesh.node(3).daemon.hang();
    let first = time_requests(LOAD_TIME, || put_and_get(&mut ledger));
    let later = time_requests(LOAD_TIME, || put_and_get(&mut ledger));
    ledger.verify(&wire);
    mesh.node(3).daemon.go_on();
    let whole = mesh.await_whole();
    ledger.verify(&wire);
    println!(
        "PUT and GET of {LEN} bytes: healthy {healthy}; the first {LOAD_TIME:?} of a hanging node \
         {first}; then {later}; whole {whole:.1?} after it went on"
    );
    assert!(first.percentile(100) < ANSWER_MAX, "a request took {:?}", first.percentile(100));
    assert!(later.percentile(99) < Duration::from_secs(2), "p99 {:?}", later.percentile(99));
}
