//! Many nodes on one machine: they form a mesh, serve, and lose five.

use std::collections::BTreeMap;
use std::time::Instant;

use compat_tests::ledger::Ledger;
use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup, memory_bytes_of};
use compat_tests::payload::{self, Random};

use crate::{beside_others, write};

/// Nodes unless `DATAMESH_MESH_NODES` says how many.
const NODES: usize = 12;

/// Nodes lost. Source: the issue.
const LOST: usize = 5;

/// Objects written. Chosen: some stripes for each node.
const OBJECTS_PER_NODE: usize = 4;

fn count() -> usize {
    match std::env::var("DATAMESH_MESH_NODES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("not a number of nodes: {text}")),
        Err(_) => NODES,
    }
}

/// Median of some figures; none for none.
fn median(mut figures: Vec<u64>) -> Option<u64> {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

#[test]
fn a_crowd_of_nodes_forms_serves_and_loses_five() {
    let (_turn, mut random) = beside_others();
    let count = count();
    // One zone has as many nodes as are lost; every other zone shares its nodes out.
    let zone = |number: usize| format!("z{}", if number < LOST { 0 } else { 1 + number % 7 });
    let nodes: Vec<NodeSetup> =
        (0..count).map(|number| NodeSetup::new().zone(&zone(number)).capacity("128MiB")).collect();
    let started = Instant::now();
    let mesh = Mesh::with(MeshSetup::new(0));
    mesh.add(&nodes);
    let formed = started.elapsed();
    let epoch = mesh.await_one_epoch();
    println!(
        "{count} nodes serve after {formed:.1?} and share epoch {epoch} after {:.1?}",
        started.elapsed()
    );
    let mut ledger = Ledger::new(mesh.gateway().new_bucket("crowd"));
    for number in 0..count * OBJECTS_PER_NODE {
        let body = payload::bytes(random.next_u64(), 100_000 + number * 1000);
        ledger.put(&mesh.wire(), &format!("k{number}"), body);
    }
    ledger.verify(&mesh.wire());
    tell_of(&mesh, count);
    look_up_all(&mesh, count);

    let lost: Vec<usize> = (0..LOST).collect();
    mesh.kill_nodes(&lost);
    let mut at_once = Instant::now();
    ledger.verify(&mesh.wire());
    println!(
        "{LOST} of {count} nodes, one zone, lost at once: all read in {:.1?}",
        at_once.elapsed()
    );
    write(&mesh.wire(), &mut ledger, "without-five", &mut random);
    ledger.verify(&mesh.wire());
    mesh.start_nodes(&lost);
    at_once = Instant::now();
    mesh.await_whole();
    println!("whole {:.1?} after their return", at_once.elapsed());
    lose_one_after_the_other(&mesh, &mut ledger, &mut random, count);
}

/// Any five nodes, each wiped for good once what it held is back elsewhere: drained first would be
/// orderly, this is not.
fn lose_one_after_the_other(mesh: &Mesh, ledger: &mut Ledger, random: &mut Random, count: usize) {
    let mut lost: Vec<usize> = Vec::new();
    while lost.len() < LOST {
        let number = usize::try_from(random.below(count as u64)).unwrap_or(0);
        if lost.contains(&number) {
            continue;
        }
        mesh.kill_nodes(&[number]);
        mesh.wipe(number);
        ledger.verify(&mesh.wire());
        mesh.start_nodes(&[number]);
        let whole = mesh.await_whole();
        println!("n{number} wiped: refilled in {whole:.1?}");
        lost.push(number);
    }
    ledger.verify(&mesh.wire());
}

/// Looks up every node through the others.
fn look_up_all(mesh: &Mesh, count: usize) {
    let lookups = mesh.lookups();
    let found = lookups.iter().filter(|lookup| lookup.error.is_none());
    let times: Vec<u64> = found.map(|lookup| lookup.took_us).collect();
    let (known, median_us) = (times.len(), median(times).unwrap_or_default());
    println!("{known} of {count} nodes were looked up, {median_us} us at the median");
    assert_eq!(known, count, "{lookups:?}");
    // A machine as busy as this one gets ten times what a quiet one needs.
    assert!(median_us < 1_000_000, "{median_us} us at the median");
}

/// Prints what the mesh costs on this machine.
fn tell_of(mesh: &Mesh, count: usize) {
    let memory = (0..count).filter_map(|number| mesh.node(number).daemon.memory_bytes()).collect();
    let gateway = memory_bytes_of(mesh.gateway().pid()).unwrap_or_default();
    let report = mesh.diagnose();
    let round_trips = report.peers.iter().filter_map(|peer| peer.round_trip_us).collect();
    let mut security: Vec<_> =
        report.peers.iter().filter_map(|peer| peer.security.clone()).collect();
    security.dedup();
    let mut findings: BTreeMap<String, usize> = BTreeMap::new();
    for finding in report.findings {
        *findings.entry(finding.code).or_default() += 1;
    }
    println!(
        "memory of a node {} MiB at the median, of the gateway {} MiB; round trip {} us at the \
         median; connections by {security:?}; findings {findings:?}",
        median(memory).unwrap_or_default() >> 20,
        gateway >> 20,
        median(round_trips).unwrap_or_default(),
    );
}
