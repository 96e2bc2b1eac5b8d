//! Addresses are found, also without anybody's help.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use node_mesh::{CallError, Mesh};

use crate::hosts::{
    Member, TestHost, cluster_key, config, eventually, gateway, introduce, layout, node, start,
};

/// Processes in the lookup test besides the gateway.
const NODES: u8 = 20;

/// The gateway knows where everybody is; nodes know where the gateway is.
async fn introduce_through_gateway(gateway: &Member, nodes: &[Member]) {
    let peers: Vec<_> = nodes.iter().map(|node| node.mesh.peer()).collect();
    let layout = layout(1, gateway.mesh.peer(), &peers);
    let all: Vec<&Member> = std::iter::once(gateway).chain(nodes).collect();
    introduce(&layout, &all[..1]);
    let everywhere: HashMap<_, _> =
        all.iter().map(|m| (m.mesh.peer(), m.mesh.addresses())).collect();
    gateway.mesh.set_layout(&layout, &everywhere);
    let to_gateway = HashMap::from([(gateway.mesh.peer(), gateway.mesh.addresses())]);
    for node in nodes {
        *node.host.layout.lock() = Some(layout.clone());
        node.mesh.set_layout(&layout, &to_gateway);
    }
}

async fn lookup(from: &Mesh, of: &Mesh) -> Duration {
    let since = Instant::now();
    let found = from.find(of.peer()).await.expect("a member knows where it is");
    assert_eq!(found, of.addresses());
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peers_address_is_found_among_twenty_nodes() {
    let gateway = gateway(100).await;
    let mut nodes = Vec::new();
    for seed in 0..NODES {
        nodes.push(node(seed).await);
    }
    introduce_through_gateway(&gateway, &nodes).await;
    let mut times = Vec::new();
    for (index, from) in nodes.iter().enumerate() {
        let of = &nodes[(index + 7) % nodes.len()];
        times.push(lookup(&from.mesh, &of.mesh).await);
    }
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("lookup among {NODES} nodes: median {median:?}, longest {longest:?}");
    assert!(median < Duration::from_secs(1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_moved_is_found_where_it_is() {
    let gateway = gateway(1).await;
    let nodes = [node(2).await, node(3).await];
    introduce_through_gateway(&gateway, &nodes).await;
    let [first, moved] = nodes;
    lookup(&first.mesh, &moved.mesh).await;
    moved.mesh.shutdown().await;
    drop(moved);
    let moved = node(3).await;
    // It announces itself to the gateway; the other node knows its old address.
    let nodes = [first, moved];
    let peers: Vec<_> = nodes.iter().map(|node| node.mesh.peer()).collect();
    let layout = layout(2, gateway.mesh.peer(), &peers);
    let announced = HashMap::from([(peers[1], nodes[1].mesh.addresses())]);
    gateway.mesh.set_layout(&layout, &announced);
    let to_gateway = HashMap::from([(gateway.mesh.peer(), gateway.mesh.addresses())]);
    nodes[1].mesh.set_layout(&layout, &to_gateway);
    lookup(&nodes[0].mesh, &nodes[1].mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_found_without_discovery_and_everything_else_works() {
    let mut configs = [config(1), config(2)];
    configs[0].is_gateway = true;
    let mut members = Vec::new();
    for mut config in configs {
        config.discovery = false;
        members.push(start(config, TestHost::default()).await);
    }
    let [gateway, node] = <[Member; 2]>::try_from(members).ok().unwrap();
    let layout = layout(1, gateway.mesh.peer(), &[node.mesh.peer()]);
    introduce(&layout, &[&gateway, &node]);
    let unknown = gateway.mesh.find(node.mesh.peer()).await;
    assert!(matches!(unknown, Err(CallError::Unreachable { .. })), "{unknown:?}");
    let epoch = gateway.mesh.push_layout(node.mesh.peer(), &cluster_key().sign(&layout)).await;
    assert_eq!(epoch.unwrap().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_node_tells_where_members_are_and_its_absence_hurts_nobody() {
    let gateway = gateway(1).await;
    let mut config = config(2);
    let absent = node_mesh::Identity::from_seed([50; 32]).peer();
    config.bootstrap = vec![
        format!("{}/p2p/{}", gateway.mesh.addresses()[0], gateway.mesh.peer()),
        format!("/ip4/127.0.0.1/tcp/1/p2p/{absent}"),
    ];
    let third = node(3).await;
    let second = crate::hosts::Member {
        mesh: {
            let peers = [node_mesh::Identity::from_seed([2; 32]).peer(), third.mesh.peer()];
            let layout = layout(1, gateway.mesh.peer(), &peers);
            let addresses = HashMap::from([(third.mesh.peer(), third.mesh.addresses())]);
            gateway.mesh.set_layout(&layout, &addresses);
            third.mesh.set_layout(&layout, &HashMap::new());
            let member = start(config, TestHost::default()).await;
            // Not even the gateway's address is told.
            member.mesh.set_layout(&layout, &HashMap::new());
            member.mesh
        },
        host: Default::default(),
    };
    lookup(&second.mesh, &third.mesh).await;
    let report = second.mesh.peers();
    let gateway_seen = report.iter().find(|r| r.peer == gateway.mesh.peer()).unwrap();
    assert!(!gateway_seen.addresses.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_their_ends_are_news() {
    let (gateway, node) = (gateway(1).await, node(2).await);
    let layout = layout(1, gateway.mesh.peer(), &[node.mesh.peer()]);
    introduce(&layout, &[&gateway, &node]);
    let mut news = gateway.mesh.connected();
    gateway.mesh.push_layout(node.mesh.peer(), &cluster_key().sign(&layout)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), news.changed()).await.unwrap().unwrap();
    eventually("identify told the version", || gateway.mesh.peers()[0].version.is_some()).await;
    node.mesh.shutdown().await;
    eventually("the end is noticed", || !gateway.mesh.peers()[0].is_connected).await;
}
