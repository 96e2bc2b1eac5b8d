//! `datamesh device`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{DeviceArgs, DeviceVerb},
    client::Client,
};

pub(crate) fn run(args: DeviceArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let DeviceVerb::List = args.verb;
    let list: wire::DeviceList = client.get("/devices")?;
    if args.client.json {
        return print::json(&list);
    }
    let rows: Vec<_> = list.devices.into_iter().map(row).collect();
    let titles = [
        "DEVICE",
        "NODE",
        "FAILS WITH",
        "FREE",
        "CAPACITY",
        "SHARDS",
        "GET P95",
        "PUT P95",
        "WAITING",
        "ADDRESS",
        "STATE",
    ];
    print::table(titles, &rows)
}

fn row(device: wire::Device) -> [String; 11] {
    let mut state = match &device.reason {
        Some(reason) => format!("{}: {reason}", device.health),
        None => device.health.clone(),
    };
    if device.breaker != "closed" {
        state.push_str(&format!(", breaker {}", device.breaker));
    }
    if device.draining {
        state.push_str(", draining");
    }
    if device.rebuilding && device.reason.is_none() {
        state.push_str(", rebuilding");
    }
    [
        device.device.to_string(),
        device.node_name,
        device.failure_domain,
        print::size(device.free_bytes),
        print::size(device.capacity_bytes),
        device.shard_count.to_string(),
        print::or_dash(device.get_p95_us.map(print::micros)),
        print::or_dash(device.put_p95_us.map(print::micros)),
        device.requests_in_flight.to_string(),
        device.address,
        state,
    ]
}
