//! What clients see of a mesh in which everything works.

use std::sync::atomic::Ordering;

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};
use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup};

use crate::{beside_others, filled};

/// What a worker does. Chosen: enough for every kind of request.
const STEPS: u32 = 40;

#[test]
fn six_nodes_store_list_and_return_what_clients_write() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let tally = Tally::default();
    Load::new(mesh.wire(), &ledger, &tally).steps(&mut ledger, random.next_u64(), STEPS);
    ledger.verify(&mesh.wire());
    let shards: Vec<u64> = (0..6).map(|node| mesh.shards_of(node)).collect();
    assert!(shards.iter().all(|count| *count > 0), "a node holds nothing: {shards:?}");
    let acknowledged = tally.acknowledged.load(Ordering::SeqCst);
    println!("{acknowledged} writes acknowledged; shards on the nodes: {shards:?}");
}

#[test]
fn nodes_with_several_drives_and_sizes_are_approved_by_an_operator() {
    let (_turn, mut random) = beside_others();
    let small = NodeSetup::new().drives(2).capacity("256MiB").needs_approval();
    let large = NodeSetup::new().drives(1).capacity("1GiB");
    let nodes = vec![small.clone(), small.clone(), small, large.clone(), large.clone(), large];
    let mesh = Mesh::with(MeshSetup::new(0).nodes(nodes));
    assert_eq!(mesh.devices().len(), 9);
    let mut ledger = filled(&mesh, &mut random);
    ledger.verify(&mesh.wire());
    let in_zone: Vec<_> = mesh.nodes().into_iter().map(|node| node.zone).collect();
    println!("zones {in_zone:?}");
}

#[test]
fn nothing_is_stored_before_there_are_enough_nodes() {
    let (_turn, _) = beside_others();
    let mesh = Mesh::start(2);
    let ledger = Ledger::new(mesh.gateway().new_bucket("few"));
    let body = vec![7; 1 << 20];
    let refused = mesh.wire().put(&ledger.target("k")).body(body.clone()).send();
    assert_eq!(refused.status, 503, "{refused:?}");
    mesh.add(&[NodeSetup::new()]);
    mesh.wire().put(&ledger.target("k")).body(body).send().expect_status(200);
}
