//! Machines of their own as far as the network goes: namespaces with veth pairs.

use std::thread;
use std::time::{Duration, Instant};

use compat_tests::load::{Load, Tally};
use compat_tests::mesh::{Mesh, MeshSetup, Network, NodeSetup};

use crate::{beside_others, filled, write};

fn mesh_in(network: &Network, members: usize) -> Mesh {
    let node =
        |member: usize| NodeSetup::new().namespace(&network.name(member), &network.address(member));
    let nodes = (0..members).map(node).collect();
    Mesh::with(MeshSetup::new(0).host(&network.gateway_address()).nodes(nodes))
}

#[test]
fn three_machines_survive_partitions_and_lose_nothing() {
    let Some(network) = Network::new("partitions between namespaces", 3) else {
        return;
    };
    let (_turn, mut random) = beside_others();
    let mesh = mesh_in(&network, 3);
    let mut ledger = filled(&mesh, &mut random);
    for member in 0..3 {
        network.connect(member, false);
        let cut = Instant::now();
        ledger.verify(&mesh.wire());
        let read = cut.elapsed();
        network.connect(member, true);
        let whole = mesh.await_whole();
        println!("n{member} cut off: all read in {read:.1?}; whole {whole:.1?} after the return");
    }
    // Two of three: what is there can be read, nothing new can be stored in three places.
    network.connect(0, false);
    network.connect(1, false);
    ledger.verify(&mesh.wire());
    let body = vec![1; 1 << 20];
    let started = Instant::now();
    let refused = mesh.wire().put(&ledger.target("refused")).body(body).send();
    assert_eq!(refused.status, 503, "{refused:?}");
    println!("two of three cut off: a write is refused in {:.1?}", started.elapsed());
    network.connect(0, true);
    network.connect(1, true);
    mesh.await_whole();
    write(&mesh.wire(), &mut ledger, "after", &mut random);
    ledger.verify(&mesh.wire());
}

#[test]
fn cables_pulled_under_load_and_slow_cables_lose_nothing() {
    let Some(network) = Network::new("cables pulled under load", 6) else {
        return;
    };
    let (_turn, mut random) = beside_others();
    let mesh = mesh_in(&network, 6);
    let mut ledger = filled(&mesh, &mut random);
    let tally = Tally::default();
    let load = Load::new(mesh.wire(), &ledger, &tally);
    let seed = random.next_u64();
    load.run(&mut ledger, seed, || {
        thread::sleep(Duration::from_secs(1));
        let is_delayed = network.delay_sending(5, 80);
        let is_limited = network.limit_sending(4, 20);
        println!("n5 sends late: {is_delayed}; n4 sends at 20 Mbit/s at most: {is_limited}");
        thread::sleep(Duration::from_secs(5));
        network.connect(1, false);
        thread::sleep(Duration::from_secs(4));
        network.connect(2, false);
        thread::sleep(Duration::from_secs(5));
        network.connect(1, true);
        network.connect(2, true);
    });
    network.end_shaping(4);
    network.end_shaping(5);
    let whole = mesh.await_whole();
    ledger.verify(&mesh.wire());
    println!("two cables pulled under load: {tally:?}, whole {whole:.1?} after the return");
}
