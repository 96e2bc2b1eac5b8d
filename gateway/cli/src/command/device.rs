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
    let row = |device: wire::Device| {
        let state = match (&device.reason, device.rebuilding) {
            (Some(reason), _) => format!("{}: {reason}", device.health),
            (None, true) => format!("{}, rebuilding", device.health),
            (None, false) => device.health.clone(),
        };
        [
            device.device.to_string(),
            print::size(device.free_bytes),
            print::size(device.capacity_bytes),
            device.shard_count.to_string(),
            device.address,
            state,
        ]
    };
    let rows: Vec<_> = list.devices.into_iter().map(row).collect();
    print::table(["DEVICE", "FREE", "CAPACITY", "SHARDS", "ADDRESS", "STATE"], &rows)
}
