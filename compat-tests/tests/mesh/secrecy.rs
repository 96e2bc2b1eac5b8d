//! Nodes and the wires to them see neither plaintext nor keys.

use std::fs;
use std::path::Path;

use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup, Secret, files_with};
use compat_tests::payload::{self, Random};

use crate::seed;

/// Repetitions of the known text in an object. Chosen: objects inline, packed and of some stripes.
const REPETITIONS: [usize; 4] = [1, 200, 4000, 300_000];

fn key_file(dir: &Path) -> Vec<u8> {
    let text = fs::read_to_string(dir.join("root.key")).expect("a gateway has a root key");
    hex::decode(text.trim()).expect("the root key is in hexadecimal")
}

#[test]
fn neither_disks_nor_wires_of_nodes_show_plaintext_or_keys() {
    let mut random = Random::new(seed());
    let mesh = Mesh::with(MeshSetup::new(0).nodes(vec![NodeSetup::new().behind_proxy(); 6]));
    for number in 0..6 {
        let node = mesh.node(number);
        node.proxy.as_ref().expect("it is behind a proxy").capture();
    }
    // Connections made from now on are captured from their first byte.
    let marker = hex::encode(payload::bytes(random.next_u64(), 16));
    let line = format!("known plaintext {marker} which no node may see;");
    let (wire, bucket) = (mesh.wire(), mesh.gateway().new_bucket("secret"));
    for number in 0..6 {
        mesh.node(number).daemon.kill();
    }
    let all: Vec<usize> = (0..6).collect();
    mesh.await_away(&all);
    mesh.start_nodes(&all);
    for repetitions in REPETITIONS {
        let body = line.repeat(repetitions);
        let key = format!("/{bucket}/object-{marker}-{repetitions}");
        wire.put(&key)
            .header("x-amz-meta-note", &line)
            .body(body.clone())
            .send()
            .expect_status(200);
        let read = wire.get(&key).send().status_is(200);
        assert!(read.body == body.as_bytes(), "what was stored differs");
    }
    // Repair moves shards from node to node.
    mesh.kill_nodes(&[3]);
    mesh.wipe(3);
    mesh.start_nodes(&[3]);
    mesh.await_whole();

    let root = mesh.gateway().root().clone();
    let gateway_dir = mesh.dir().join("gateway");
    let mesh_key = fs::read(gateway_dir.join("mesh.key")).expect("a gateway has a mesh key");
    let mesh_key =
        match std::str::from_utf8(&mesh_key).ok().and_then(|t| hex::decode(t.trim()).ok()) {
            Some(decoded) => decoded,
            None => mesh_key,
        };
    let secrets = [
        Secret::new("plaintext", line.as_bytes()),
        Secret::new("object key", format!("object-{marker}").as_bytes()),
        Secret::new("bucket name", bucket.as_bytes()),
        Secret::new("root key", &key_file(&gateway_dir)),
        Secret::new("root key, first half", &key_file(&gateway_dir)[..16]),
        Secret::new("S3 secret", root.secret_key.as_bytes()),
        Secret::new("S3 access key", root.access_key.as_bytes()),
        Secret::new("the gateway's mesh key", &mesh_key),
    ];
    let mut wires = Vec::new();
    for number in 0..6 {
        let node = mesh.node(number);
        wires.push(node.proxy.as_ref().expect("it is behind a proxy").captured());
        let on_disk: u64 = size_of(&node.dir);
        assert!(on_disk > 1 << 20, "a node's directory has {on_disk} bytes");
        for secret in &secrets {
            let files = files_with(secret, &node.dir);
            assert!(files.is_empty(), "{} in {files:?}", secret.name);
        }
    }
    let captured: usize = wires.iter().map(Vec::len).sum();
    let written = REPETITIONS.iter().sum::<usize>() * line.len();
    assert!(captured > written, "{captured} bytes captured of {written} written");
    for (number, wire) in wires.iter().enumerate() {
        for secret in &secrets {
            assert!(!secret.is_in(wire), "{} on the wire of n{number}", secret.name);
        }
    }
    println!("{captured} bytes captured, {written} bytes of known text: no secret in any form");
    expect_found_where_it_is(&mesh, &wires, &secrets[0], &line);
}

fn size_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(kind) if kind.is_dir() => size_of(&entry.path()),
            Ok(kind) => kind.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The search finds what is there: a node's log names the node, wires begin in the clear, and a
/// plaintext put onto a drive is found in every form.
fn expect_found_where_it_is(mesh: &Mesh, wires: &[Vec<u8>], plaintext: &Secret, line: &str) {
    let greeting = Secret::new("greeting", b"/multistream/1.0.0");
    assert!(wires.iter().all(|wire| greeting.is_in(wire)), "no greeting was captured");
    let peer = mesh.diagnose().peer.expect("a gateway has a peer id");
    let named = Secret::new("the gateway's peer id", peer.as_bytes());
    let dir = mesh.node(0).dir.clone();
    let drive = dir.join("drive-0");
    for text in [line.to_owned(), hex::encode(line), hex::encode_upper(line)] {
        let planted = drive.join("planted");
        fs::write(&planted, format!("{}{text}", "x".repeat(1_048_570))).expect("writes");
        assert_eq!(files_with(plaintext, &dir), std::slice::from_ref(&planted));
        fs::remove_file(planted).expect("removes");
    }
    assert!(files_with(plaintext, &dir).is_empty());
    println!("the peer id is in {} files of n0", files_with(&named, &dir).len());
}
