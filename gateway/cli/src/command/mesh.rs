//! `datamesh mesh`.

use anyhow::{Result, bail};
use gateway_admin::wire;

use super::print;
use crate::{
    args::mesh::{MeshArgs, MeshVerb},
    client::Client,
};

pub(crate) fn run(args: MeshArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    match args.verb {
        MeshVerb::Diagnose => diagnose(&client, args.client.json),
        MeshVerb::Lookup => lookup(&client, args.client.json),
    }
}

fn lookup(client: &Client, json: bool) -> Result<()> {
    let list: wire::LookupList = client.post_empty("/mesh/lookups")?;
    if json {
        return print::json(&list);
    }
    let row = |lookup: &wire::Lookup| {
        let found = match &lookup.error {
            None => lookup.addresses.join(", "),
            Some(error) => format!("not found: {error}"),
        };
        [lookup.name.clone(), print::micros(lookup.took_us), found]
    };
    let rows: Vec<_> = list.lookups.iter().map(row).collect();
    print::table(["NODE", "TOOK", "ADDRESSES"], &rows)
}

fn diagnose(client: &Client, json: bool) -> Result<()> {
    let mesh: wire::Mesh = client.get("/mesh")?;
    match json {
        true => print::json(&mesh)?,
        false => show(&mesh)?,
    }
    let is_critical = |found: &&wire::Finding| found.severity == wire::Severity::Critical;
    match mesh.findings.iter().filter(is_critical).count() {
        0 => Ok(()),
        1 => bail!("one finding is critical"),
        count => bail!("{count} findings are critical"),
    }
}

fn show(mesh: &wire::Mesh) -> Result<()> {
    if let Some(peer) = &mesh.peer {
        print::fields(&[
            ("Peer id", peer.clone()),
            ("Addresses", mesh.addresses.join(", ")),
            ("Layout epoch", mesh.epoch.to_string()),
            ("Discovery", if mesh.discovery { "on" } else { "off" }.to_owned()),
        ])?;
        print::line("")?;
    }
    if !mesh.peers.is_empty() {
        let rows: Vec<_> = mesh.peers.iter().map(peer_row).collect();
        let titles = [
            "PEER",
            "STATE",
            "SECURITY",
            "RTT",
            "LANES",
            "WAITING",
            "SENT",
            "RECEIVED",
            "EPOCH",
            "VERSION",
            "ADDRESSES",
        ];
        print::table(titles, &rows)?;
        print::line("")?;
    }
    if mesh.findings.is_empty() {
        return print::line("All is well.");
    }
    for found in &mesh.findings {
        let severity = match found.severity {
            wire::Severity::Critical => "CRITICAL",
            wire::Severity::Warning => "WARNING",
            wire::Severity::Info => "INFO",
        };
        let subject = match found.subject.as_str() {
            "" => String::new(),
            subject => format!("{subject}: "),
        };
        print::line(&format!("{severity:8}  {subject}{}", found.summary))?;
        print::line(&format!("          → {}", found.advice))?;
    }
    Ok(())
}

fn peer_row(peer: &wire::Peer) -> [String; 11] {
    let state = match (peer.connected, &peer.last_error) {
        (true, _) => "connected".to_owned(),
        (false, None) => "away".to_owned(),
        (false, Some(error)) => format!("away: {error}"),
    };
    [
        peer.name.clone().unwrap_or_else(|| peer.peer.clone()),
        state,
        print::or_dash(peer.security.as_ref()),
        print::or_dash(peer.round_trip_us.map(print::micros)),
        peer.lanes.to_string(),
        peer.requests_in_flight.to_string(),
        print::size(peer.sent_bytes),
        print::size(peer.received_bytes),
        print::or_dash(peer.epoch),
        print::or_dash(peer.version.as_ref()),
        peer.addresses.join(", "),
    ]
}
