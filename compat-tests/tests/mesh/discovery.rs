//! The address book is a convenience: nothing depends on it.

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
    let first = mesh.diagnose().peers.into_iter().find(|peer| peer.name.as_deref() == Some("n0"));
    let first = first.expect("the gateway knows its nodes");
    let address = format!("{}/p2p/{}", first.addresses[0], first.peer);
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
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    mesh.gateway().kill();
    mesh.kill_nodes(&[4]);
    mesh.move_gateway();
    mesh.start_node(4);
    mesh.gateway().start_again();
    mesh.await_serving(&(0..6).map(|n| mesh.node(n).name.clone()).collect::<Vec<_>>());
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}
