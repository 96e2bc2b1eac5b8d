//! `datamesh layout`.

mod preview;

use anyhow::Result;
use gateway_admin::wire::{self, LayoutChange};

use super::print;
use crate::{
    args::layout::{LayoutArgs, LayoutVerb, StageArgs},
    client::Client,
};

pub(crate) fn run(args: LayoutArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let json = args.client.json;
    match args.verb {
        LayoutVerb::Show => {
            let layout: wire::Layout = client.get("/layout")?;
            if json { print::json(&layout) } else { show(&layout) }
        }
        LayoutVerb::Stage(stage) => {
            let request = wire::StageChanges { changes: changes(stage) };
            let staged: wire::Staged = client.post("/layout/stage", &request)?;
            shown(&staged, json)
        }
        LayoutVerb::Preview => preview::run(&client, json),
        LayoutVerb::Apply { epoch, force } => {
            let epoch = match epoch {
                Some(epoch) => epoch,
                None => client.get::<wire::Layout>("/layout")?.epoch,
            };
            let request = wire::ApplyLayout { epoch, force };
            let applied: wire::Applied = client.post("/layout/apply", &request)?;
            if json {
                return print::json(&applied);
            }
            print::line(&format!("epoch {} is in force", applied.epoch))?;
            print::hint("next: datamesh layout show tells which nodes have it");
            Ok(())
        }
        LayoutVerb::Revert { epoch } => revert(&client, epoch, json),
        LayoutVerb::History => {
            let history: wire::LayoutHistory = client.get("/layout/history")?;
            if json {
                return print::json(&history);
            }
            let row =
                |made: wire::LayoutRevision| [made.epoch.to_string(), made.changed, made.what];
            let rows: Vec<_> = history.revisions.into_iter().map(row).collect();
            print::table(["EPOCH", "SINCE", "CHANGE"], &rows)
        }
    }
}

/// What the flags ask for, in an order in which each finds what it names: a node enters before
/// anything else is said of it, and leaves last.
fn changes(args: StageArgs) -> Vec<LayoutChange> {
    let zone = |(node, zone): (String, String)| LayoutChange::SetZone {
        node,
        zone: Some(zone).filter(|zone| !zone.is_empty()),
    };
    let rename = |(node, name): (String, String)| LayoutChange::Rename { node, name };
    let mut changes = Vec::new();
    changes.extend(args.add.into_iter().map(|node| LayoutChange::AddNode { node }));
    changes.extend(args.add_drives.into_iter().map(|node| LayoutChange::AddDrives { node }));
    changes.extend(args.zone.into_iter().map(zone));
    changes.extend(args.rename.into_iter().map(rename));
    changes.extend(args.activate.into_iter().map(|node| LayoutChange::Activate { node }));
    changes.extend(args.drain.into_iter().map(|node| LayoutChange::Drain { node }));
    changes.extend(args.remove.into_iter().map(|node| LayoutChange::RemoveNode { node }));
    changes
}

fn revert(client: &Client, epoch: Option<u64>, json: bool) -> Result<()> {
    let request = wire::RevertLayout { epoch };
    let reverted: wire::Reverted = client.post("/layout/revert", &request)?;
    if json {
        return print::json(&reverted);
    }
    for note in &reverted.notes {
        print::hint(&format!("note: {note}"));
    }
    match &reverted.staged {
        Some(staged) => shown(staged, false),
        None => print::line("nothing is staged any more"),
    }
}

fn shown(staged: &wire::Staged, json: bool) -> Result<()> {
    if json {
        return print::json(staged);
    }
    show_staged(staged)?;
    print::hint("next: datamesh layout preview, then datamesh layout apply");
    Ok(())
}

fn show(layout: &wire::Layout) -> Result<()> {
    print::fields(&[
        ("Cluster", layout.cluster.clone()),
        ("Epoch", layout.epoch.to_string()),
        ("Gateways", layout.gateways.join(", ")),
    ])?;
    print::line("")?;
    let node = |node: &wire::LayoutNode| {
        let acknowledged = match (node.acknowledged_epoch, &node.peer) {
            (Some(epoch), _) => epoch.to_string(),
            (None, Some(_)) => "none yet".to_owned(),
            (None, None) => "-".to_owned(),
        };
        [
            node.node.to_string(),
            node.name.clone(),
            node.zone.clone(),
            node.state.clone(),
            acknowledged,
        ]
    };
    let nodes: Vec<_> = layout.nodes.iter().map(node).collect();
    print::table(["NODE", "NAME", "ZONE", "STATE", "HAS EPOCH"], &nodes)?;
    print::line("")?;
    let device = |device: &wire::LayoutDevice| {
        let named = layout.nodes.iter().find(|node| node.node == device.node);
        [
            device.device.to_string(),
            named.map_or_else(|| "gateway".to_owned(), |node| node.name.clone()),
            device.failure_domain.clone(),
            print::size(device.capacity_bytes),
            device.address.clone(),
        ]
    };
    let devices: Vec<_> = layout.devices.iter().map(device).collect();
    print::table(["DEVICE", "NODE", "FAILS WITH", "CAPACITY", "PATH"], &devices)?;
    match &layout.staged {
        Some(staged) => {
            print::line("")?;
            shown(staged, false)
        }
        None => Ok(()),
    }
}

fn show_staged(staged: &wire::Staged) -> Result<()> {
    print::line(&format!("Staged on epoch {}:", staged.base_epoch))?;
    for change in &staged.changes {
        print::line(&format!("  {}", in_words(change)))?;
    }
    Ok(())
}

fn in_words(change: &LayoutChange) -> String {
    match change {
        LayoutChange::AddNode { node } => format!("add node {node}"),
        LayoutChange::AddDrives { node } => format!("add the new drives of {node}"),
        LayoutChange::RemoveNode { node } => format!("remove {node} for ever"),
        LayoutChange::SetZone { node, zone: Some(zone) } => format!("put {node} into zone {zone}"),
        LayoutChange::SetZone { node, zone: None } => format!("make {node} a zone of its own"),
        LayoutChange::Drain { node } => format!("drain {node}"),
        LayoutChange::Activate { node } => format!("activate {node}"),
        LayoutChange::Rename { node, name } => format!("rename {node} to {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_enter_before_they_leave() {
        let text = |text: &str| vec![text.to_owned()];
        let made = changes(StageArgs {
            add: text("e"),
            add_drives: Vec::new(),
            zone: vec![("b".to_owned(), String::new())],
            rename: Vec::new(),
            drain: text("c"),
            activate: Vec::new(),
            remove: text("a"),
        });
        let words: Vec<_> = made.iter().map(in_words).collect();
        let expected = ["add node e", "make b a zone of its own", "drain c", "remove a for ever"];
        assert_eq!(words, expected);
    }
}
