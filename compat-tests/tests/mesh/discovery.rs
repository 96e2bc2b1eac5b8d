//! The address book is a convenience: nothing depends on it.

use std::time::Instant;

use compat_tests::mesh::{Mesh, MeshSetup};

use crate::{beside_others, filled, write};

#[test]
fn without_discovery_everything_works() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::with(MeshSetup::new(6).without_discovery());
    let mut ledger = filled(&mesh, &mut random);
    assert!(mesh.node(5).daemon.terminate().success());
    mesh.start_nodes(&[5]);
    mesh.gateway().kill();
    mesh.gateway().start_again();
    mesh.await_all_serving();
    mesh.kill_nodes(&[0, 1]);
    ledger.verify(&mesh.wire());
    write(&mesh.wire(), &mut ledger, "two-gone", &mut random);
    mesh.start_nodes(&[0, 1]);
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

#[test]
fn a_bootstrap_node_that_is_gone_is_not_missed() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let address = dialled(&mesh, "n0");
    for number in 1..6 {
        assert!(mesh.node(number).daemon.terminate().success());
        mesh.node(number)
            .replace_in_config("mesh.bootstrap = []", &format!("mesh.bootstrap = [{address:?}]"));
    }
    mesh.start_nodes(&[1, 2, 3, 4, 5]);
    mesh.await_whole();
    mesh.kill_nodes(&[0]);
    for number in [1, 2] {
        assert!(mesh.node(number).daemon.terminate().success());
        mesh.start_nodes(&[number]);
    }
    mesh.gateway().kill();
    mesh.gateway().start_again();
    mesh.await_serving(&(1..6).map(|n| mesh.node(n).name.clone()).collect::<Vec<_>>());
    ledger.verify(&mesh.wire());
    write(&mesh.wire(), &mut ledger, "bootstrap-gone", &mut random);
    ledger.verify(&mesh.wire());
}

#[test]
fn a_gateway_and_a_node_that_both_moved_meet_again() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::with(MeshSetup::new(6).with_discovery());
    let mut ledger = filled(&mesh, &mut random);
    let bootstrap = format!("mesh.bootstrap = [{:?}]", dialled(&mesh, "n0"));
    mesh.gateway().kill();
    mesh.kill_nodes(&[4]);
    mesh.node(4).replace_in_config("mesh.bootstrap = []", &bootstrap);
    mesh.move_gateway();
    mesh.start_node(4);
    let started = Instant::now();
    mesh.gateway().start_again();
    mesh.await_all_serving();
    println!("a gateway and a node on new ports met {:.1?} after the start", started.elapsed());
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

/// Where a node is dialled, with its peer id.
fn dialled(mesh: &Mesh, name: &str) -> String {
    let peers = mesh.diagnose().peers;
    let node = peers.iter().find(|peer| peer.name.as_deref() == Some(name));
    let node = node.expect("the gateway knows its nodes");
    format!("{}/p2p/{}", node.addresses[0], node.peer)
}
