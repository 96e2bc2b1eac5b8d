//! `datamesh node`, all but `run`.

mod drain;
mod token;

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{ClientArgs, membership::MembershipVerb},
    client::{Client, segment},
};

pub(crate) fn run(verb: MembershipVerb, args: &ClientArgs) -> Result<()> {
    let client = Client::connect(args)?;
    let json = args.json;
    match verb {
        MembershipVerb::Token(token) => token::run(token.verb, &client, json),
        MembershipVerb::List => list(&client, json),
        MembershipVerb::Show { node } => show(&client, &node, json),
        MembershipVerb::Approve { node, zone, name, stage } => {
            let request = wire::ApproveNode { zone, name, stage };
            let node: wire::Node = client.post(&path(&node, "/approve")?, &request)?;
            changed(&node, json, if stage { "staged" } else { "approved" })?;
            match stage {
                true => print::hint("next: datamesh layout preview, then datamesh layout apply"),
                false => print::hint("next: datamesh mesh diagnose; datamesh job list"),
            }
            Ok(())
        }
        MembershipVerb::Reject { node } => {
            let node: wire::Node = client.post_empty(&path(&node, "/reject")?)?;
            changed(&node, json, "rejected")
        }
        MembershipVerb::Drain { node, wait, force } => {
            let request = wire::DrainNode { force };
            let node: wire::Node = client.post(&path(&node, "/drain")?, &request)?;
            if wait {
                return drain::wait(&client, &node, json);
            }
            changed(&node, json, "draining")?;
            print::hint("next: datamesh job list shows progress; retire it once it is empty");
            Ok(())
        }
        MembershipVerb::Activate { node } => {
            let node: wire::Node = client.post_empty(&path(&node, "/activate")?)?;
            changed(&node, json, "activated")
        }
        MembershipVerb::Retire { node, force } => {
            let request = wire::RetireNode { force };
            let node: wire::Node = client.post(&path(&node, "/retire")?, &request)?;
            changed(&node, json, "retired")
        }
    }
}

/// The route of a node, and below it `rest`.
fn path(node: &str, rest: &str) -> Result<String> {
    Ok(format!("/nodes/{}{rest}", segment(node)?))
}

fn changed(node: &wire::Node, json: bool, what: &str) -> Result<()> {
    match json {
        true => print::json(node),
        false => print::line(&format!("{what} {}", node.name)),
    }
}

fn list(client: &Client, json: bool) -> Result<()> {
    let list: wire::NodeList = client.get("/nodes")?;
    if json {
        return print::json(&list);
    }
    let rows: Vec<_> = list.nodes.iter().map(row).collect();
    let titles =
        ["NODE", "NAME", "ZONE", "STATE", "DRIVES", "FREE", "CAPACITY", "EPOCH", "PEER ID"];
    print::table(titles, &rows)?;
    if list.nodes.iter().any(|node| node.state == "pending") {
        print::hint("next: datamesh node approve NAME, or datamesh node reject NAME");
    }
    if list.nodes.is_empty() {
        print::hint("next: datamesh node token create --zone ZONE");
    }
    Ok(())
}

fn row(node: &wire::Node) -> [String; 9] {
    let offered: u64 = node.offered.iter().map(|drive| drive.capacity_bytes).sum();
    let capacity: u64 = node.drives.iter().map(|drive| drive.capacity_bytes).sum();
    let free: u64 = node.drives.iter().map(|drive| drive.free_bytes).sum();
    let is_member = node.node.is_some();
    [
        print::or_dash(node.node),
        node.name.clone(),
        zone(node),
        state(node),
        if is_member { node.drives.len() } else { node.offered.len() }.to_string(),
        if is_member { print::size(free) } else { "-".to_owned() },
        print::size(if is_member { capacity } else { offered }),
        print::or_dash(node.epoch),
        print::or_dash(node.peer.as_ref()),
    ]
}

fn zone(node: &wire::Node) -> String {
    match node.zone.as_str() {
        "" => "each drive".to_owned(),
        zone => zone.to_owned(),
    }
}

fn state(node: &wire::Node) -> String {
    match node.connected {
        Some(false) if node.node.is_some() => format!("{}, away", node.state),
        _ => node.state.clone(),
    }
}

fn show(client: &Client, node: &str, json: bool) -> Result<()> {
    let detail: wire::NodeDetail = client.get(&path(node, "")?)?;
    if json {
        return print::json(&detail);
    }
    let node = &detail.node;
    let percent = |share: f64| format!("{:.3} %", share * 100.0);
    print::fields(&[
        ("Name", node.name.clone()),
        ("Number", print::or_dash(node.node)),
        ("Zone", zone(node)),
        ("State", state(node)),
        ("Peer id", print::or_dash(node.peer.as_ref())),
        ("Addresses", node.addresses.join(", ")),
        ("Version", node.version.clone()),
        ("First seen", print::or_dash(node.first_seen.as_ref())),
        ("Last seen", print::or_dash(node.last_seen.as_ref())),
        ("Layout epoch", print::or_dash(node.epoch)),
        ("Availability", print::or_dash(node.availability.map(percent))),
        ("Shards held", detail.held_shards.to_string()),
    ])?;
    print::line("")?;
    let member = |drive: &wire::NodeDrive| {
        let state = match &drive.reason {
            Some(reason) => format!("{}: {reason}", drive.health),
            None => drive.health.clone(),
        };
        let (free, capacity) = (print::size(drive.free_bytes), print::size(drive.capacity_bytes));
        [drive.device.to_string(), free, capacity, drive.path.clone(), state]
    };
    let offered = |drive: &wire::OfferedDrive| {
        let (none, capacity) = (|| "-".to_owned(), print::size(drive.capacity_bytes));
        [none(), none(), capacity, drive.path.clone(), "offered".to_owned()]
    };
    let drives = node.drives.iter().map(member).chain(node.offered.iter().map(offered));
    let rows: Vec<_> = drives.collect();
    print::table(["DEVICE", "FREE", "CAPACITY", "PATH", "STATE"], &rows)?;
    if node.node.is_some() && !node.offered.is_empty() {
        print::hint(&format!("next: datamesh layout stage --add-drives {}", node.name));
    }
    match (node.state.as_str(), detail.held_shards) {
        ("pending", _) => print::hint(&format!("next: datamesh node approve {}", node.name)),
        ("draining", 0) => print::hint(&format!("next: datamesh node retire {}", node.name)),
        _ => {}
    }
    Ok(())
}
