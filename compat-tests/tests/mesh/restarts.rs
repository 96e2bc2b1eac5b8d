//! Gateways and nodes that end and come back, at the same place or another.

use std::time::Duration;

use compat_tests::mesh::{Mesh, READY_MAX, await_true};

use crate::{beside_others, filled, write};

#[test]
fn a_gateway_that_was_killed_finds_everything_again() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    for round in 0..3 {
        mesh.gateway().kill();
        let started = std::time::Instant::now();
        mesh.gateway().start_again();
        mesh.await_all_serving();
        println!("all nodes serve {:.1?} after a kill of the gateway", started.elapsed());
        ledger.verify(&mesh.wire());
        write(&mesh.wire(), &mut ledger, &format!("round-{round}"), &mut random);
    }
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

#[test]
fn a_node_that_comes_back_on_another_port_is_followed() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let name = mesh.node(1).name.clone();
    let addresses = |mesh: &Mesh| {
        let peers = mesh.diagnose().peers;
        let of_node = peers.into_iter().find(|peer| peer.name.as_deref() == Some(&name));
        of_node.map(|peer| peer.addresses).unwrap_or_default()
    };
    let before = addresses(&mesh);
    assert!(mesh.node(1).daemon.terminate().success(), "SIGTERM ends a node with status 0");
    ledger.verify(&mesh.wire());
    mesh.start_nodes(&[1]);
    await_true("the new address is known", READY_MAX, || addresses(&mesh) != before);
    println!("{before:?} became {:?}", addresses(&mesh));
    mesh.await_whole();
    // The node serves at its new place: two others may go.
    mesh.kill_nodes(&[0, 2]);
    ledger.verify(&mesh.wire());
}

#[test]
fn all_nodes_may_restart_one_after_the_other_under_a_running_gateway() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    for number in 0..6 {
        assert!(mesh.node(number).daemon.terminate().success());
        write(&mesh.wire(), &mut ledger, &format!("without-{number}"), &mut random);
        mesh.start_nodes(&[number]);
        mesh.await_whole();
    }
    ledger.verify(&mesh.wire());
}

#[test]
fn all_processes_may_be_killed_at_once() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let all: Vec<usize> = (0..6).collect();
    mesh.gateway().kill();
    mesh.kill_nodes(&all);
    // Nodes come up first: they find the gateway when it is there.
    for number in &all {
        mesh.start_node(*number);
    }
    std::thread::sleep(Duration::from_secs(1));
    mesh.gateway().start_again();
    let whole = mesh.await_whole();
    ledger.verify(&mesh.wire());
    println!("gateway and six nodes killed: whole {whole:.1?} after the gateway was ready");
}
