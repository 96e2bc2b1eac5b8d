//! A layout is never half applied: the gateway is killed around the moment.

use std::thread;
use std::time::Duration;

use compat_tests::mesh::Mesh;

use crate::{beside_others, filled, is_long};

/// Longest time from the start of the command to the kill. Chosen: a little more than it takes.
const DELAY_MS_MAX: u64 = 30;

fn layout(mesh: &Mesh) -> serde_json::Value {
    mesh.gateway().datamesh(&["layout", "show"]).succeed().json()
}

/// The state of a node in the layout in force.
fn state_of(layout: &serde_json::Value, name: &str) -> String {
    let nodes = layout["nodes"].as_array().expect("a layout has nodes");
    let node = nodes.iter().find(|node| node["name"] == name).expect("the node is in the layout");
    node["state"].as_str().expect("a node has a state").to_owned()
}

#[test]
fn a_layout_is_applied_or_not_when_the_gateway_is_killed_meanwhile() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(7);
    let mut ledger = filled(&mesh, &mut random);
    let (mut applied, mut left) = (0, 0);
    for _ in 0..if is_long() { 30 } else { 6 } {
        let before = layout(&mesh);
        let epoch = before["epoch"].as_u64().expect("a layout has an epoch");
        let was = state_of(&before, "n6");
        let (verb, wanted) =
            if was == "active" { ("drain", "draining") } else { ("activate", "active") };
        let delay = Duration::from_millis(random.below(DELAY_MS_MAX));
        let command = mesh.gateway().datamesh(&["node", verb, "n6"]);
        thread::scope(|scope| {
            // It may succeed or lose its connection; what counts is what the layout says then.
            scope.spawn(move || drop(command.run()));
            thread::sleep(delay);
            mesh.gateway().kill();
        });
        mesh.gateway().start_again();
        let after = layout(&mesh);
        let now = after["epoch"].as_u64().expect("a layout has an epoch");
        match now - epoch {
            0 => left += 1,
            1 => applied += 1,
            _ => panic!("epoch {epoch} became {now}"),
        }
        let expected = if now == epoch { was.as_str() } else { wanted };
        assert_eq!(state_of(&after, "n6"), expected, "half applied: {after}");
        assert_eq!(mesh.await_one_epoch(), now, "nodes and gateway agree");
    }
    println!("the gateway was killed around a change of the layout: {applied} applied, {left} not");
    let _ = mesh.gateway().datamesh(&["node", "activate", "n6"]).run();
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}

#[test]
fn changes_are_staged_previewed_applied_and_reverted() {
    let (_turn, mut random) = beside_others();
    let mesh = Mesh::start(7);
    let mut ledger = filled(&mesh, &mut random);
    let run = |arguments: &[&str]| mesh.gateway().datamesh(arguments);
    let epoch = layout(&mesh)["epoch"].as_u64().expect("an epoch");
    let _ = run(&["layout", "stage", "--drain", "n6"]).succeed();
    let preview = run(&["layout", "preview"]).succeed().json();
    println!("preview: {preview}");
    assert_eq!(layout(&mesh)["epoch"].as_u64(), Some(epoch), "a preview changes nothing");
    let _ = run(&["layout", "apply"]).succeed();
    assert_eq!(state_of(&layout(&mesh), "n6"), "draining");
    assert_eq!(mesh.await_one_epoch(), epoch + 1);
    let _ = run(&["layout", "revert", "--epoch", &epoch.to_string()]).succeed();
    let _ = run(&["layout", "apply"]).succeed();
    assert_eq!(state_of(&layout(&mesh), "n6"), "active");
    let history = run(&["layout", "history"]).succeed().json();
    assert!(history["revisions"].as_array().is_some_and(|all| all.len() >= 2), "{history}");
    mesh.await_whole();
    ledger.verify(&mesh.wire());
}
