//! Zones fail as a whole.

use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup};

use crate::{beside_others, filled, write};

#[test]
fn nodes_of_one_zone_never_share_a_stripe() {
    let (_turn, mut random) = beside_others();
    // One zone has more nodes than a stripe survives losses.
    let mut nodes = vec![NodeSetup::new().zone("large"); 4];
    nodes.extend((1..6).map(|number| NodeSetup::new().zone(&format!("z{number}"))));
    let mesh = Mesh::with(MeshSetup::new(0).nodes(nodes));
    let mut ledger = filled(&mesh, &mut random);
    for round in 0..6 {
        write(&mesh.wire(), &mut ledger, &format!("round-{round}"), &mut random);
    }
    let held: Vec<u64> = (0..9).map(|node| mesh.shards_of(node)).collect();
    mesh.kill_nodes(&[0, 1, 2, 3]);
    ledger.verify(&mesh.wire());
    write(&mesh.wire(), &mut ledger, "without-a-zone", &mut random);
    // A second zone of one node may go as well.
    mesh.kill_nodes(&[6]);
    ledger.verify(&mesh.wire());
    println!(
        "shards held by the nodes {held:?}; zones `large` (four nodes) and `z3` lost: all read"
    );
    mesh.start_nodes(&[0, 1, 2, 3, 6]);
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

#[test]
fn three_zones_survive_the_loss_of_two() {
    let (_turn, mut random) = beside_others();
    let zones = ["a", "a", "b", "b", "c", "c"];
    let nodes = zones.iter().map(|zone| NodeSetup::new().zone(zone)).collect();
    let mesh = Mesh::with(MeshSetup::new(0).nodes(nodes));
    let mut ledger = filled(&mesh, &mut random);
    mesh.kill_nodes(&[0, 1, 4, 5]);
    ledger.verify(&mesh.wire());
    mesh.start_nodes(&[0, 1, 4, 5]);
    mesh.await_whole();
    mesh.kill_nodes(&[0, 1, 2, 3]);
    ledger.verify(&mesh.wire());
}
