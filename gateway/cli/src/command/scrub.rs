//! `datamesh scrub`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{ScrubArgs, ScrubVerb},
    client::Client,
};

pub(crate) fn run(args: ScrubArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let scrub: wire::Scrub = match args.verb {
        ScrubVerb::Start => client.post_empty("/scrub")?,
        ScrubVerb::Status => client.get("/scrub")?,
    };
    if args.client.json {
        return print::json(&scrub);
    }
    let row = |device: wire::DeviceScrub| {
        [
            device.device.to_string(),
            if device.running { "running" } else { "idle" }.to_owned(),
            device.verified_shards.to_string(),
            print::size(device.verified_bytes),
            device.damaged_shards.to_string(),
            device.completed_passes.to_string(),
        ]
    };
    let rows: Vec<_> = scrub.devices.into_iter().map(row).collect();
    print::table(["DEVICE", "STATE", "SHARDS", "VERIFIED", "DAMAGED", "PASSES"], &rows)
}
