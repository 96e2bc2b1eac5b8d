//! Nodes that join and leave: what moves, and that nothing is lost by it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::ledger::Ledger;
use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup, READY_MAX, WHOLE_MAX, await_true};
use compat_tests::payload::{self, Random};

use crate::{beside_others, filled, write};

/// Objects of one length, so that shards stand for bytes. Chosen: some hundred shards, so that one
/// more or less is below a percent of what moves.
const OBJECTS: u64 = 120;

/// Length of small objects. Chosen: one stripe on six devices.
const SMALL_LEN: usize = 600_000;

/// Length of large objects: one stripe each, so that all of them are an eighth of each of six drives.
const LARGE_LEN: usize = 4 << 20;

/// How long an imbalance may go unnoticed. Chosen: twice the pause between looks at a settled mesh.
const BALANCE_NOTICED_MAX: Duration = Duration::from_secs(120);

/// A bucket of equal objects.
fn uniform(mesh: &Mesh, len: usize, random: &mut Random) -> Ledger {
    let mut ledger = Ledger::new(mesh.gateway().new_bucket("grown"));
    for number in 0..OBJECTS {
        let body = payload::bytes(random.next_u64(), len);
        ledger.put(&mesh.wire(), &format!("k{number}"), body);
    }
    ledger
}

/// Shards by node, once nothing moves and nothing waits to be deleted.
fn settled_shards(mesh: &Mesh) -> BTreeMap<usize, u64> {
    let mut last = BTreeMap::new();
    await_true("shards stay where they are", WHOLE_MAX, || {
        mesh.await_whole();
        let now: BTreeMap<usize, u64> =
            (0..mesh.len()).map(|node| (node, mesh.held_shards_of(node))).collect();
        let reclaimed = mesh.repair().reclaim_queue == 0;
        let is_settled = reclaimed && now == last;
        last = now;
        thread::sleep(Duration::from_secs(2));
        is_settled
    });
    last
}

#[test]
fn a_seventh_node_takes_its_share_and_not_much_more_is_moved() {
    let (_turn, mut random) = beside_others();
    let nodes = vec![NodeSetup::new().capacity("1GiB"); 6];
    let mesh = Mesh::with(MeshSetup::new(0).nodes(nodes));
    let mut ledger = uniform(&mesh, LARGE_LEN, &mut random);
    let before = settled_shards(&mesh);
    let started = Instant::now();
    mesh.add(&[NodeSetup::new().capacity("1GiB")]);
    await_true("shards move to the new node", BALANCE_NOTICED_MAX, || mesh.held_shards_of(6) > 0);
    let after = settled_shards(&mesh);
    let took = started.elapsed();
    let gained = |(node, now): (&usize, &u64)| now.saturating_sub(*before.get(node).unwrap_or(&0));
    let total: u64 = before.values().sum();
    assert_eq!(after.values().sum::<u64>(), total, "shards came or went: {before:?} {after:?}");
    let moved_shards: u64 = after.iter().map(gained).sum();
    let optimum = total as f64 / 7.0;
    let moved: u64 = mesh.jobs().iter().map(|job| job.moved_shards).sum();
    println!(
        "a seventh node: {total} shards, optimum {optimum:.0}, net movement {moved_shards}, jobs \
         tell {moved}, {took:.1?}; before {before:?}, after {after:?}"
    );
    assert!(moved_shards as f64 <= optimum * 1.1, "{moved_shards} moved, {optimum:.1} suffice");
    assert!(moved as f64 <= optimum * 1.1, "jobs moved {moved}, {optimum:.1} suffice");
    // The balance has a tolerance of its own; half of its share is clearly a part of it.
    assert!(after[&6] as f64 >= optimum * 0.5, "the new node got {} shards", after[&6]);
    ledger.verify(&mesh.wire());
    mesh.kill_nodes(&[0, 1]);
    ledger.verify(&mesh.wire());
}

#[test]
fn a_drained_node_is_empty_before_it_may_retire() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(7);
    let mut ledger = filled(&mesh, &mut random);
    let name = mesh.node(3).name.clone();
    let retire = || mesh.gateway().datamesh(&["node", "retire", &name]);
    let refused = retire().run();
    assert!(refused.code != Some(0), "a node that holds shards was retired");
    println!("retire before the drain: {}", refused.stderr.trim());
    let held = mesh.held_shards_of(3);
    assert!(held > 0);
    let started = Instant::now();
    let _ = mesh.gateway().datamesh(&["node", "drain", &name]).succeed();
    write(&mesh.wire(), &mut ledger, "during", &mut random);
    await_true("the node is drained", WHOLE_MAX, || mesh.held_shards_of(3) == 0);
    println!("{held} shards drained in {:.1?}", started.elapsed());
    ledger.verify(&mesh.wire());
    let _ = retire().succeed();
    mesh.node(3).daemon.kill();
    await_true("the node has left", READY_MAX, || mesh.nodes().iter().all(|n| n.name != name));
    ledger.verify(&mesh.wire());
    mesh.await_whole();
    mesh.kill_nodes(&[0, 6]);
    ledger.verify(&mesh.wire());
}

#[test]
fn a_job_stays_paused_over_a_kill_of_the_gateway_and_goes_on_where_it_was() {
    let (_turn, mut random) = beside_others();
    let setup = MeshSetup::new(7).setting("placement.move_rate", "\"1MiB/s\"");
    let mesh = Mesh::with(setup);
    let mut ledger = uniform(&mesh, SMALL_LEN, &mut random);
    let name = mesh.node(2).name.clone();
    let held = mesh.held_shards_of(2);
    let _ = mesh.gateway().datamesh(&["node", "drain", &name]).succeed();
    await_true("the drain moves", READY_MAX, || mesh.held_shards_of(2) < held);
    let jobs = mesh.jobs();
    let job = jobs.iter().find(|job| job.id.starts_with("drain"));
    let job = job.unwrap_or_else(|| panic!("no drain among {jobs:?}"));
    let _ = mesh.gateway().datamesh(&["job", "pause", &job.id]).succeed();
    thread::sleep(Duration::from_secs(3));
    let paused_at = mesh.held_shards_of(2);
    assert!(paused_at > 0, "it was done before it could be paused");
    thread::sleep(Duration::from_secs(4));
    assert_eq!(mesh.held_shards_of(2), paused_at, "a paused job moves");
    mesh.gateway().kill();
    mesh.gateway().start_again();
    mesh.await_all_serving();
    thread::sleep(Duration::from_secs(4));
    assert_eq!(mesh.held_shards_of(2), paused_at, "a paused job moves after a restart");
    let find = || mesh.jobs().into_iter().find(|other| other.id == job.id);
    assert_eq!(find().map(|job| job.state), Some("paused".to_owned()));
    let _ = mesh.gateway().datamesh(&["job", "resume", &job.id]).succeed();
    await_true("the drain goes on", READY_MAX, || mesh.held_shards_of(2) < paused_at);
    println!("{held} shards held, paused at {paused_at}, resumed: {:?}", find());
    // Once more in the middle, without a pause.
    mesh.gateway().kill();
    mesh.gateway().start_again();
    await_true("the node is drained", WHOLE_MAX, || mesh.held_shards_of(2) == 0);
    ledger.verify(&mesh.wire());
    let _ = mesh.gateway().datamesh(&["node", "retire", &name]).succeed();
    ledger.verify(&mesh.wire());
}

#[test]
fn an_embedded_server_grows_without_migration() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::with(MeshSetup::new(0).embedded());
    let mut ledger = filled(&mesh, &mut random);
    mesh.add(&[NodeSetup::new(), NodeSetup::new(), NodeSetup::new()]);
    write(&mesh.wire(), &mut ledger, "grown", &mut random);
    mesh.await_whole();
    ledger.verify(&mesh.wire());
    let held: Vec<u64> = (0..3).map(|node| mesh.held_shards_of(node)).collect();
    assert!(held.iter().all(|count| *count > 0), "outside nodes hold {held:?}");
    mesh.kill_nodes(&[0, 1]);
    ledger.verify(&mesh.wire());
    mesh.start_nodes(&[0, 1]);
    mesh.await_whole();
    let name = mesh.node(1).name.clone();
    let _ = mesh.gateway().datamesh(&["node", "drain", &name]).succeed();
    await_true("the node is drained", WHOLE_MAX, || mesh.held_shards_of(1) == 0);
    let _ = mesh.gateway().datamesh(&["node", "retire", &name]).succeed();
    mesh.node(1).daemon.kill();
    mesh.gateway().kill();
    mesh.gateway().start_again();
    ledger.verify(&mesh.wire());
    println!("an embedded server with six drives grew by three nodes that held {held:?} shards");
}
