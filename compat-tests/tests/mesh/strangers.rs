//! Whoever is not in the layout gets nothing, whatever it sends.
//!
//! - A stranger who speaks the protocols is a real gateway or node of another cluster, or one that
//!   has left.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::mesh::memory_bytes_of;
use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup, READY_MAX, WHOLE_MAX, await_true};
use compat_tests::payload::{self, Random};

use crate::{beside_others, filled, is_long};

/// Memory that a process may gain while strangers are at it. Chosen: buffers and allocator noise,
/// far below what the strangers send.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

/// How long strangers try. Chosen.
fn siege() -> Duration {
    Duration::from_secs(if is_long() { 120 } else { 12 })
}

/// Where a multiaddress of TCP points.
fn socket_of(address: &str) -> SocketAddr {
    let parts: Vec<&str> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().expect("an address and a port")
}

/// Where the node called `name` is dialled.
fn address_of(mesh: &Mesh, name: &str) -> String {
    let node = mesh.nodes().into_iter().find(|node| node.name == name);
    node.expect("the node is known").addresses[0].clone()
}

/// One stranger's bytes: nothing, noise, or the beginning of a real conversation and then noise.
fn opening(random: &mut Random) -> Vec<u8> {
    let noise = payload::bytes(random.next_u64(), 1 + random.below(200_000) as usize).to_vec();
    let greeting = b"\x13/multistream/1.0.0\n";
    match random.below(5) {
        0 => Vec::new(),
        1 => noise,
        2 => [&greeting[..], b"\x07/noise\n", &noise].concat(),
        3 => [&greeting[..], b"\x0b/tls/1.0.0\n", &noise].concat(),
        // A length that claims four gigabytes.
        _ => [&greeting[..], b"\xff\xff\xff\xff\x0f", &noise].concat(),
    }
}

#[test]
fn noise_on_the_ports_costs_neither_memory_nor_service() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(6);
    let mut ledger = filled(&mesh, &mut random);
    let targets = [socket_of(&address_of(&mesh, "n0")), socket_of(&mesh.diagnose().addresses[0])];
    let memory = || {
        let gateway = memory_bytes_of(mesh.gateway().pid()).unwrap_or_default();
        (mesh.node(0).daemon.memory_bytes().unwrap_or_default(), gateway)
    };
    ledger.verify(&mesh.wire());
    let before = memory();
    let end = Instant::now() + siege();
    let (mut connections, mut answered) = (0_u64, 0_u64);
    thread::scope(|scope| {
        let hostile: Vec<_> = (0..4)
            .map(|number| {
                let mut random = Random::new(random.next_u64());
                scope.spawn(move || {
                    let (mut opened, mut bytes) = (0_u64, 0_u64);
                    let mut held = Vec::new();
                    while Instant::now() < end {
                        let target = targets[number % 2];
                        let Ok(mut stream) = TcpStream::connect(target) else {
                            thread::sleep(Duration::from_millis(20));
                            continue;
                        };
                        opened += 1;
                        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
                        let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
                        let _ = stream.write_all(&opening(&mut random));
                        let mut answer = [0; 4096];
                        bytes += stream.read(&mut answer).unwrap_or(0) as u64;
                        // Some stay and say nothing more.
                        if random.below(3) == 0 && held.len() < 200 {
                            held.push(stream);
                        }
                    }
                    (opened, bytes)
                })
            })
            .collect();
        while Instant::now() < end {
            ledger.verify(&mesh.wire());
        }
        for client in hostile {
            let (opened, bytes) = client.join().expect("a hostile client does not panic");
            connections += opened;
            answered += bytes;
        }
    });
    let after = memory();
    println!(
        "{connections} connections of noise, {answered} bytes answered; memory of a node {} -> {} \
         MiB, of the gateway {} -> {} MiB",
        before.0 >> 20,
        after.0 >> 20,
        before.1 >> 20,
        after.1 >> 20
    );
    assert!(connections > 20, "the siege was none");
    assert!(after.0 < before.0 + GROWTH_BYTES_MAX, "the node grew: {before:?} {after:?}");
    assert!(after.1 < before.1 + GROWTH_BYTES_MAX, "the gateway grew: {before:?} {after:?}");
    ledger.verify(&mesh.wire());
    mesh.await_whole();
}

/// What each node holds.
fn shards(mesh: &Mesh) -> Vec<u64> {
    (0..mesh.len()).map(|node| mesh.shards_of(node)).collect()
}

#[test]
fn another_clusters_gateway_and_nodes_get_nothing() {
    let (_turn, mut random) = beside_others();
    let victim = Mesh::start(6);
    let mut ledger = filled(&victim, &mut random);
    victim.await_whole();
    let before = shards(&victim);
    let memory_before = victim.node(0).daemon.memory_bytes().unwrap_or_default();
    let repaired_before = victim.repair().repaired_shards;

    // A whole cluster of strangers whose members are told that the victim's nodes are theirs to
    // talk to, and a node that carries a token of the other cluster's gateway to the victim's.
    let target = address_of(&victim, "n0");
    let peer = victim.nodes().into_iter().find(|node| node.name == "n0").expect("n0").peer;
    let bootstrap = format!("[\"{target}/p2p/{peer}\"]");
    let other = Mesh::with(MeshSetup::new(3).setting("mesh.bootstrap", &bootstrap));
    for number in 0..3 {
        assert!(other.node(number).daemon.terminate().success());
        let line = format!("mesh.bootstrap = {bootstrap}");
        other.node(number).replace_in_config("mesh.bootstrap = []", &line);
    }
    other.start_nodes(&[0, 1, 2]);
    let mut others = filled(&other, &mut random);
    thread::sleep(siege() / 2);
    others.verify(&other.wire());

    let known = victim.nodes();
    assert_eq!(known.len(), 6, "a stranger is listed: {known:#?}");
    let strangers = other.diagnose();
    let reached = strangers.peers.iter().find(|found| found.peer == peer);
    let is_connected = reached.is_some_and(|found| found.connected && found.epoch.is_some());
    assert!(!is_connected, "the victim talks to a stranger: {reached:?}");
    assert_eq!(shards(&victim), before, "a stranger wrote or deleted");
    assert_eq!(victim.repair().repaired_shards, repaired_before, "something had to be repaired");
    ledger.verify(&victim.wire());
    let memory = victim.node(0).daemon.memory_bytes().unwrap_or_default();
    assert!(memory < memory_before + GROWTH_BYTES_MAX, "{memory_before} -> {memory} bytes");
    let refused = victim.node(0).metric("datamesh_mesh_refused_strangers_total");
    println!("a node refused strangers {refused} times; they see {reached:?}");
    assert!(refused > 0.0, "the node met no stranger");
}

#[test]
fn tokens_of_another_cluster_used_ones_and_altered_ones_are_refused() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(3);
    let other = Mesh::start(0);
    let foreign = other.token(&NodeSetup::new());
    let used = mesh.token(&NodeSetup::new());
    let mut altered = mesh.token(&NodeSetup::new()).into_bytes();
    let middle = 20 + random.below(30) as usize;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).expect("tokens are ASCII");
    mesh.add_with_token(&NodeSetup::new(), &used);
    let refused = [("used", used), ("altered", altered)];
    for (what, token) in &refused {
        let node = mesh.start_uninvited(&NodeSetup::new(), token);
        let ended = node.daemon.wait_for_end(Duration::from_secs(20));
        let known: Vec<String> = mesh.nodes().into_iter().map(|node| node.name).collect();
        println!("{what} token: ended {ended:?}: {}", node.daemon.log_tail().trim());
        assert_eq!(known.len(), 4, "{what}: {known:?}");
    }
    // A good token of another cluster leads there, and nowhere else.
    let node = mesh.start_uninvited(&NodeSetup::new(), &foreign);
    await_true("it joined the other cluster", READY_MAX, || other.nodes().len() == 1);
    assert_eq!(mesh.nodes().len(), 4);
    drop(node);
}

#[test]
fn a_retired_node_is_a_stranger() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(7);
    let mut ledger = filled(&mesh, &mut random);
    let _ = mesh.gateway().datamesh(&["node", "drain", "n6"]).succeed();
    await_true("it is drained", WHOLE_MAX, || mesh.held_shards_of(6) == 0);
    let _ = mesh.gateway().datamesh(&["node", "retire", "n6"]).succeed();
    // It goes on running and asks again and again; it is started anew as well.
    thread::sleep(siege() / 2);
    mesh.node(6).daemon.kill();
    mesh.start_node(6);
    thread::sleep(siege() / 2);
    let names: Vec<String> = mesh.nodes().into_iter().map(|node| node.name).collect();
    assert!(!names.contains(&"n6".to_owned()), "{names:?}");
    let report = mesh.diagnose();
    let connected = report.peers.iter().filter(|peer| peer.connected && peer.name.is_some());
    assert_eq!(connected.count(), 6, "{report:#?}");
    ledger.verify(&mesh.wire());
    mesh.await_whole();
}
