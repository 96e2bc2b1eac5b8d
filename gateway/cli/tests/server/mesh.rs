//! A gateway and storage nodes as processes: joining, serving, losing and restarting them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use crate::nodes::{
    JOIN_MAX, Node, approved_token, await_online, free_port, gateway, mesh, node_command, refused,
};
use crate::process::{Machine, await_true};
use crate::s3::payload;

/// Status and body of a GET from a node's admin address.
fn node_get(node: &Node, path: &str) -> (u16, String) {
    let authority = node.admin_authority();
    let mut stream = TcpStream::connect(&authority).expect("the node accepts");
    stream.set_read_timeout(Some(JOIN_MAX)).expect("a timeout can be set");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the node reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the node answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a status"), body.to_owned())
}

#[test]
fn objects_survive_a_killed_node_and_restarts_of_everything() {
    let machine = Machine::new();
    let (server, mut nodes) = mesh(&machine, 4);
    let s3 = server.s3();
    s3.make_bucket("photos");
    let bodies: Vec<_> = [10, 100_000, 9_000_000].map(|len| payload(len as u64, len)).into();
    for body in &bodies {
        s3.put(&format!("/photos/{}", body.len()), body);
    }
    let all_are_readable = |s3: &crate::s3::S3| {
        for body in &bodies {
            s3.expect_object(&format!("/photos/{}", body.len()), body);
        }
    };
    all_are_readable(&s3);

    nodes.remove(0).kill();
    all_are_readable(&s3);
    await_online(&machine, 3);
    let after = payload(7, 200_000);
    s3.put("/photos/after", &after);

    nodes.push(Node::start(&machine, "node-1", None));
    nodes.last().expect("just started").await_member();
    await_online(&machine, 4);
    server.stop();
    let server = gateway(&machine).start();
    await_online(&machine, 4);
    all_are_readable(&server.s3());
    server.s3().expect_object("/photos/after", &after);

    // Everything at once, as after a power cut.
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    nodes.into_iter().for_each(Node::kill);
    server.kill();
    let server = gateway(&machine).start();
    let nodes: Vec<Node> = names.iter().map(|name| Node::start(&machine, name, None)).collect();
    await_online(&machine, 4);
    all_are_readable(&server.s3());
    nodes.into_iter().for_each(Node::stop);
    server.stop();
}

#[test]
fn a_node_starts_without_its_gateway_and_is_found_when_that_is_back() {
    let machine = Machine::new();
    let (server, mut nodes) = mesh(&machine, 3);
    let body = payload(1, 300_000);
    server.s3().make_bucket("photos");
    server.s3().put("/photos/a", &body);
    server.stop();
    // It listens at another port now, of which the gateway cannot know.
    nodes.remove(0).stop();
    let node = Node::start(&machine, "node-1", None);
    await_true("the node serves alone", JOIN_MAX, || node_get(&node, "/readyz").0 == 200);
    let server = gateway(&machine).start();
    await_online(&machine, 3);
    server.s3().expect_object("/photos/a", &body);
    server.stop();
}

#[test]
fn a_node_waits_for_approval_and_tells_its_operator() {
    let machine = Machine::new();
    let server = gateway(&machine).start();
    let made = machine.admin(&["node", "token", "create", "--quiet"]).succeeded();
    let node = Node::start(&machine, "bravo", Some(made.stdout.trim()));
    let peer = node.peer();
    await_true("the node says that it waits", JOIN_MAX, || {
        node.printed().contains(&format!("datamesh node approve {peer}"))
    });
    let (status, why) = node_get(&node, "/readyz");
    assert_eq!((status, why.trim()), (503, "not a member of a cluster yet"));
    assert_eq!(node_get(&node, "/healthz").0, 200);
    machine.admin(&["node", "approve", "bravo"]).succeeded();
    node.await_member();
    await_true("the node is ready", JOIN_MAX, || node_get(&node, "/readyz").0 == 200);
    let (status, metrics) = node_get(&node, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("datamesh_node_layout_epoch"), "{metrics}");
    let key = fs::metadata(node.data().join("node.key")).expect("the key is kept");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert!(!node.log().contains(made.stdout.trim()), "the token is in the log");
    node.stop();
    server.stop();
}

#[test]
fn a_token_admits_one_node() {
    let machine = Machine::new();
    let server = gateway(&machine).start();
    let token = approved_token(&machine);
    let first = Node::start(&machine, "first", Some(&token));
    first.await_member();
    let mut second = node_command(&machine, "second");
    second.args(["--join", &token]);
    let refusal = refused(&machine, second);
    refusal.failed_with(1, "the gateway refused this node");
    // The one that it admitted may start with it again.
    first.stop();
    let again = Node::start(&machine, "first", Some(&token));
    again.await_member();
    again.stop();
    server.stop();
}

#[test]
fn a_second_process_on_a_nodes_directory_is_refused() {
    let machine = Machine::new();
    let server = gateway(&machine).start();
    let node = Node::start(&machine, "bravo", Some(&approved_token(&machine)));
    node.await_member();
    let second = refused(&machine, node_command(&machine, "bravo"));
    second.failed_with(1, "another node is running");
    let mut on_server = machine.command(&["node", "run", "--drive", "d", "--admin", "127.0.0.1:0"]);
    on_server.arg("--data").arg(machine.data());
    refused(&machine, on_server).failed_with(1, "is the data directory of a server");
    node.stop();
    server.stop();
}

#[test]
fn a_node_without_cluster_needs_a_token_that_is_one() {
    let machine = Machine::new();
    refused(&machine, node_command(&machine, "bravo")).failed_with(1, "datamesh node token create");
    let mut bad = node_command(&machine, "bravo");
    bad.args(["--join", "dm1.nonsense"]);
    refused(&machine, bad).failed_with(1, "not a join token");
    let mut bare = machine.command(&["node", "run", "--admin", "127.0.0.1:0", "--data"]);
    bare.arg(machine.path().join("n"));
    refused(&machine, bare).failed_with(1, "at least one drive");
}

#[test]
fn mistakes_in_configuration_files_are_named() {
    let machine = Machine::new();
    let config = machine.path().join("bad.toml");
    let cases = [
        ("gateway", "data = 'd'\ns4 = '127.0.0.1:0'\n", "s4"),
        ("gateway", "data = 'd'\nmemory_limit = '1 MB'\n", "memory_limit"),
        ("gateway", "data = 'd'\nmesh.listen = ['nowhere']\n", "nowhere"),
        ("node", "data = 'd'\nname = 'a b'\n", "a b"),
        ("node", "data = 'd'\nmesh.security = 'none'\n", "none"),
    ];
    for (command, text, named) in cases {
        fs::write(&config, text).expect("the test's directory is writable");
        let mut run = match command {
            "node" => machine.command(&["node", "run", "--config"]),
            other => machine.command(&[other, "--config"]),
        };
        run.arg(&config);
        machine.finish(run).failed_with(1, named);
    }
    let mut missing = machine.command(&["gateway", "--config"]);
    missing.arg(machine.path().join("missing.toml"));
    machine.finish(missing).failed_with(1, "cannot read configuration file");
}

#[test]
fn a_server_with_drives_admits_nodes_and_goes_on_without_them() {
    let machine = Machine::new();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let server = machine.server().args(&["--mesh", &listen]).start();
    await_online(&machine, 6);
    let body = payload(3, 5_000_000);
    server.s3().make_bucket("photos");
    server.s3().put("/photos/before", &body);
    let node = Node::start(&machine, "bravo", Some(&approved_token(&machine)));
    await_online(&machine, 7);
    server.s3().put("/photos/after", &body);
    server.stop();

    // Without its mesh it still serves what its own drives hold.
    let server = machine.start();
    await_online(&machine, 6);
    server.s3().expect_object("/photos/before", &body);
    server.s3().expect_object("/photos/after", &body);
    server.stop();
    node.stop();
}
