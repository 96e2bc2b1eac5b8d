//! Nodes and the wires to them see neither plaintext nor keys.

use std::fs;
use std::path::Path;

use compat_tests::mesh::{Mesh, MeshSetup, NodeSetup, Secrets};
use compat_tests::payload;

use crate::beside_others;

/// Repetitions of the known text in an object. Chosen: objects inline, packed and of some stripes.
const REPETITIONS: [usize; 4] = [1, 200, 4000, 300_000];

fn key_file(dir: &Path) -> Vec<u8> {
    let text = fs::read_to_string(dir.join("root.key")).expect("a gateway has a root key");
    hex::decode(text.trim()).expect("the root key is in hexadecimal")
}

#[test]
fn neither_disks_nor_wires_of_nodes_show_plaintext_or_keys() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::with(MeshSetup::new(0).behind_proxy());
    let gateway_proxy = mesh.proxy().expect("the gateway is behind a proxy");
    gateway_proxy.capture();
    mesh.add(&vec![NodeSetup::new().behind_proxy(); 6]);
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

    let secrets = secrets_of(&mesh, &line, &format!("object-{marker}"), &bucket);
    let mut wires = Vec::new();
    for number in 0..6 {
        let node = mesh.node(number);
        wires.push(node.proxy.as_ref().expect("it is behind a proxy").captured());
        let on_disk: u64 = size_of(&node.dir);
        assert!(on_disk > 1 << 20, "a node's directory has {on_disk} bytes");
        let found = secrets.files_below(&node.dir);
        assert!(found.is_empty(), "{found:?}");
    }
    wires.push(gateway_proxy.captured());
    let captured: usize = wires.iter().map(Vec::len).sum();
    let written = REPETITIONS.iter().sum::<usize>() * line.len();
    assert!(captured > written, "{captured} bytes captured of {written} written");
    for (number, wire) in wires.iter().enumerate() {
        let found = secrets.found_in(wire);
        assert!(found.is_empty(), "{found:?} on wire {number}");
    }
    println!("{captured} bytes captured, {written} bytes of known text: no secret in any form");
    expect_found_where_it_is(&mesh, &wires, &secrets, &line);
}

/// Everything that only the gateway may know, as far as it is known outside.
fn secrets_of(mesh: &Mesh, line: &str, object_key: &str, bucket: &str) -> Secrets {
    let root = mesh.gateway().root();
    let dir = mesh.dir().join("gateway");
    let mesh_key = fs::read(dir.join("mesh.key")).expect("a gateway has a mesh key");
    let in_hex = std::str::from_utf8(&mesh_key).ok().and_then(|text| hex::decode(text.trim()).ok());
    let mesh_key = in_hex.unwrap_or(mesh_key);
    let root_key = key_file(&dir);
    // Source: the key tables of docs/threat-model.md.
    let signing_key = blake3::derive_key("datamesh layout signing v1", &root_key);
    let token_key = blake3::derive_key("datamesh admin token signing v1", &root_key);
    Secrets::new(&[
        ("plaintext", line.as_bytes()),
        ("object key", object_key.as_bytes()),
        ("bucket name", bucket.as_bytes()),
        ("root key", &root_key),
        ("first half of the root key", &root_key[..16]),
        ("cluster key", &signing_key),
        ("key of admin tokens", &token_key),
        ("S3 secret", root.secret_key.as_bytes()),
        ("S3 access key", root.access_key.as_bytes()),
        ("mesh key of the gateway", &mesh_key),
    ])
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

/// The search finds what is there: wires begin in the clear, a node knows its gateway's peer id, and
/// a plaintext put onto a drive is found in every form.
fn expect_found_where_it_is(mesh: &Mesh, wires: &[Vec<u8>], secrets: &Secrets, line: &str) {
    let greeting = Secrets::new(&[("greeting", b"/multistream/1.0.0")]);
    let is_greeted = |wire: &Vec<u8>| !greeting.found_in(wire).is_empty();
    assert!(wires.iter().all(is_greeted), "no greeting was captured");
    let dir = mesh.node(0).dir.clone();
    let planted = dir.join("drive-0/planted");
    for text in [line.to_owned(), hex::encode(line), hex::encode_upper(line)] {
        fs::write(&planted, format!("{}{text}", "x".repeat(1_048_570))).expect("writes");
        let found = secrets.files_below(&dir);
        assert_eq!(found, [("plaintext".to_owned(), planted.clone())].into());
        fs::remove_file(&planted).expect("removes");
    }
    let log = mesh.node(0).daemon.log();
    assert!(!log.is_empty() && dir.join("node.log").exists(), "logs are searched as well");
}
