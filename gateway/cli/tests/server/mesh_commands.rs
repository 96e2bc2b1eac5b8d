//! The commands about nodes, the layout, jobs and the mesh, each against real processes.

use serde_json::{Value, json};

use crate::nodes::{JOIN_MAX, Node, approved_token, await_online, gateway};
use crate::process::{Machine, Server, await_true};

/// A server with its own six drives that admits nodes.
fn embedded(machine: &Machine) -> Server {
    machine.server().args(&["--mesh", "127.0.0.1:0"]).start()
}

/// A node that waits for approval.
fn pending(machine: &Machine, name: &str, zone: &str) -> Node {
    let made = machine.admin(&["node", "token", "create", "--zone", zone]).succeeded();
    let node = Node::start(machine, name, Some(made.stdout.trim()));
    await_true("the node waits", JOIN_MAX, || state(machine, name).as_deref() == Some("pending"));
    node
}

/// The state of a node, if it is listed.
fn state(machine: &Machine, name: &str) -> Option<String> {
    let list = machine.admin_json(&["node", "list"]);
    let nodes = list["nodes"].as_array().expect("a list");
    let node = nodes.iter().find(|node| node["name"] == name)?;
    node["state"].as_str().map(str::to_owned)
}

fn codes(mesh: &Value) -> Vec<&str> {
    let findings = mesh["findings"].as_array().expect("a list");
    findings.iter().map(|found| found["code"].as_str().expect("a code")).collect()
}

#[test]
fn tokens_are_alone_on_standard_output_and_are_listed_and_revoked() {
    let machine = Machine::new();
    let server = embedded(&machine);
    let create = ["node", "token", "create", "--zone", "rack-a", "--name", "bravo"];
    let made = machine.admin(&create).succeeded();
    assert!(made.stdout.starts_with("dm1.") && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains("datamesh node run"), "{made:?}");
    let quiet = machine.admin(&[&create[..], &["--quiet"]].concat()).succeeded();
    assert!(quiet.stdout.starts_with("dm1.") && quiet.stderr.is_empty(), "{quiet:?}");
    let third = machine.admin_json(&["node", "token", "create", "--expires", "1h", "--approved"]);
    assert_eq!((&third["approved"], &third["state"]), (&json!(true), &json!("open")), "{third}");

    let id = third["id"].as_str().expect("an id");
    let revoked = machine.admin(&["node", "token", "revoke", id]).succeeded();
    assert_eq!(revoked.stdout, format!("revoked {id}\n"));
    let table = machine.admin(&["node", "token", "list"]).succeeded().stdout;
    assert!(table.starts_with("TOKEN") && table.lines().count() == 4, "{table}");
    assert!(table.contains("revoked") && table.contains("rack-a"), "{table}");
    assert!(!table.contains(made.stdout.trim()), "a list tells secrets");

    machine.admin(&["node", "token", "revoke", "nosuch"]).failed_with(1, "there is no token");
    machine.admin(&["node", "token", "create", "--zone", "a b"]).failed_with(1, "not acceptable");
    machine.admin(&["node", "token", "create", "--expires", "721h"]).failed_with(2, "720h");
    assert!(!server.log().contains(made.stdout.trim()), "the log tells secrets");
    server.stop();
}

#[test]
fn a_node_is_approved_shown_drained_and_retired_by_commands() {
    let machine = Machine::new();
    let server = embedded(&machine);
    let node = pending(&machine, "bravo", "rack-a");
    let peer = node.peer();
    machine.admin(&["node", "retire", "bravo"]).failed_with(1, "not in the layout");
    let shown = machine.admin_json(&["node", "show", "bravo"]);
    assert_eq!((&shown["peer"], &shown["zone"]), (&json!(peer), &json!("rack-a")), "{shown}");
    let approved = machine.admin(&["node", "approve", &peer[..20]]).succeeded();
    assert_eq!(approved.stdout, "approved bravo\n");
    node.await_member();
    await_online(&machine, 7);
    let shown = machine.admin(&["node", "show", "bravo"]).succeeded().stdout;
    assert!(shown.contains("rack-a") && shown.contains(&peer), "{shown}");
    let devices = machine.admin(&["device", "list"]).succeeded().stdout;
    assert!(devices.contains("bravo") && devices.contains("rack-a"), "{devices}");

    machine.admin(&["node", "retire", "bravo"]).failed_with(1, "drain it first");
    machine.admin(&["node", "drain", "nobody"]).failed_with(1, "there is no node nobody");
    machine.admin(&["node", "approve", "bravo"]).failed_with(1, "does not wait");
    let draining = machine.admin_json(&["node", "drain", "bravo"]);
    assert_eq!(draining["state"], "draining");
    let active = machine.admin(&["node", "activate", "bravo"]).succeeded();
    assert_eq!(active.stdout, "activated bravo\n");
    let drained = machine.admin(&["node", "drain", "bravo", "--wait"]).succeeded();
    assert_eq!(drained.stdout, "drained bravo\n");
    let retired = machine.admin(&["node", "retire", "bravo"]).succeeded();
    assert_eq!(retired.stdout, "retired bravo\n");
    assert_eq!(state(&machine, "bravo"), None);
    let history = machine.admin(&["layout", "history"]).succeeded().stdout;
    assert!(history.contains("node bravo was retired"), "{history}");
    drop(node);
    server.stop();
}

#[test]
fn layouts_are_staged_previewed_applied_and_reverted_by_commands() {
    let machine = Machine::new();
    let server = embedded(&machine);
    let (bravo, charlie) =
        (pending(&machine, "bravo", "rack-a"), pending(&machine, "charlie", "rack-b"));
    machine.admin(&["layout", "apply"]).failed_with(1, "nothing is staged");
    machine.admin(&["layout", "stage"]).failed_with(2, "required");
    let staged = machine.admin(&["node", "approve", "bravo", "--stage"]).succeeded();
    assert_eq!(staged.stdout, "staged bravo\n");
    assert!(staged.stderr.contains("layout preview"), "{staged:?}");
    let staged = machine.admin(&["layout", "stage", "--add", "charlie"]).succeeded().stdout;
    assert!(staged.contains("add node bravo") && staged.contains("add node charlie"), "{staged}");

    let preview = machine.admin(&["layout", "preview"]).succeeded().stdout;
    assert!(preview.contains("rack-b") && preview.contains("These figures assume"), "{preview}");
    let epoch = machine.admin_json(&["layout", "show"])["epoch"].as_u64().expect("a number");
    machine.admin(&["layout", "apply", "--epoch", "999"]).failed_with(1, "not 999");
    let applied = machine.admin_json(&["layout", "apply", "--epoch", &epoch.to_string()]);
    assert_eq!(applied["epoch"], epoch + 1);
    bravo.await_member();
    charlie.await_member();
    await_true("both have the layout", JOIN_MAX, || {
        let layout = machine.admin_json(&["layout", "show"]);
        let nodes = layout["nodes"].as_array().expect("a list");
        let outside = nodes.iter().filter(|node| node["node"] != 0);
        outside.clone().count() == 2
            && outside.into_iter().all(|node| node["acknowledged_epoch"] == layout["epoch"])
    });
    let table = machine.admin(&["layout", "show"]).succeeded().stdout;
    assert!(table.contains("charlie") && table.contains("HAS EPOCH"), "{table}");

    machine.admin(&["layout", "stage", "--zone", "charlie=a b"]).failed_with(1, "not acceptable");
    machine.admin(&["layout", "stage", "--zone", "charlie"]).failed_with(2, "NODE=VALUE");
    machine.admin(&["layout", "stage", "--zone", "charlie=rack-c"]).succeeded();
    machine.admin(&["layout", "apply"]).succeeded();
    let back = (epoch + 1).to_string();
    let reverted = machine.admin(&["layout", "revert", "--epoch", &back]).succeeded().stdout;
    assert!(reverted.contains("put charlie into zone rack-b"), "{reverted}");
    let discarded = machine.admin(&["layout", "revert"]).succeeded().stdout;
    assert_eq!(discarded, "nothing is staged any more\n");
    machine.admin(&["layout", "revert", "--epoch", "999"]).failed_with(1, "not in the history");
    let history = machine.admin_json(&["layout", "history"]);
    assert_eq!(history["revisions"][0]["epoch"], epoch + 2, "{history}");
    server.stop();
}

#[test]
fn diagnose_tells_what_is_wrong_and_fails_while_it_is_critical() {
    let machine = Machine::new();
    let server = gateway(&machine).start();
    let critical = machine.admin(&["mesh", "diagnose"]);
    critical.failed_with(1, "critical");
    assert!(critical.stdout.contains("bring nodes or drives back"), "{critical:?}");
    let start = |name: &str| {
        let node = Node::start(&machine, name, Some(&approved_token(&machine)));
        node.await_member();
        node
    };
    let mut nodes: Vec<Node> = ["a1", "a2", "a3"].map(start).into();
    await_online(&machine, 3);
    let mesh = machine.admin_json(&["mesh", "diagnose"]);
    assert!(codes(&mesh).contains(&"few-domains"), "{mesh}");
    assert_eq!(mesh["peers"].as_array().map(Vec::len), Some(3), "{mesh}");
    let table = machine.admin(&["mesh", "diagnose"]).succeeded().stdout;
    assert!(table.contains("connected") && table.contains("a2"), "{table}");

    await_true("nodes tell each other's addresses", JOIN_MAX, || {
        let found = machine.admin_json(&["mesh", "lookup"]);
        let lookups = found["lookups"].as_array().expect("a list");
        lookups.len() == 3 && lookups.iter().all(|lookup| lookup["error"].is_null())
    });

    nodes.remove(0).kill();
    await_true("the loss is told", JOIN_MAX, || {
        let told = machine.admin(&["mesh", "diagnose"]);
        told.code == Some(1) && told.stdout.contains("a1: it is not connected")
    });
    server.stop();
}

#[test]
fn a_server_without_a_mesh_says_so() {
    let machine = Machine::new();
    let server = machine.start();
    let mesh = machine.admin_json(&["mesh", "diagnose"]);
    assert_eq!((&mesh["enabled"], codes(&mesh)), (&json!(false), vec!["mesh-off"]));
    machine.admin(&["node", "token", "create"]).failed_with(1, "the mesh is off");
    machine.admin(&["mesh", "lookup"]).failed_with(1, "has no mesh");
    let list = machine.admin_json(&["node", "list"]);
    assert_eq!(list["nodes"][0]["name"], "gateway", "{list}");
    server.stop();
}

#[test]
fn jobs_and_acknowledgement_are_commands() {
    let machine = Machine::new();
    let server = embedded(&machine);
    assert!(machine.admin_json(&["job", "list"])["jobs"].is_array());
    assert!(machine.admin(&["job", "list"]).succeeded().stdout.starts_with("JOB"));
    machine.admin(&["job", "pause", "drain:77"]).failed_with(1, "there is no job drain:77");
    machine.admin(&["job", "resume", "drain:77"]).failed_with(1, "there is no job drain:77");
    server.s3().make_bucket("logs");
    let shown = machine.admin(&["bucket", "acknowledge", "logs"]).succeeded().stdout;
    assert_eq!(shown, "logs  all\n");
    let set = machine.admin_json(&["bucket", "acknowledge", "logs", "data-plus-one"]);
    assert_eq!(set, json!({ "acknowledge": "data-plus-one" }));
    let shown = machine.admin(&["bucket", "acknowledge", "logs"]).succeeded().stdout;
    assert_eq!(shown, "logs  data-plus-one\n");
    machine.admin(&["bucket", "acknowledge", "logs", "never"]).failed_with(2, "possible values");
    machine.admin(&["bucket", "acknowledge", "nosuch", "all"]).failed_with(1, "does not exist");
    server.stop();
}
