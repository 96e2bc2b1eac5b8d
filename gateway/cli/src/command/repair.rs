//! `datamesh repair`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{RepairArgs, RepairVerb},
    client::Client,
};

pub(crate) fn run(args: RepairArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let RepairVerb::Status = args.verb;
    let repair: wire::Repair = client.get("/repair")?;
    if args.client.json {
        return print::json(&repair);
    }
    let margin = repair.least_margin.map_or_else(|| "-".to_owned(), |margin| margin.to_string());
    print::line(&format!("Waiting stripes     {}", repair.queued_stripes))?;
    print::line(&format!("Least margin        {margin}"))?;
    print::line(&format!("Repaired shards     {}", repair.repaired_shards))?;
    print::line(&format!("Failed attempts     {}", repair.failed_attempts))?;
    print::line(&format!("Waiting to reclaim  {}", repair.reclaim_queue))?;
    let offline: Vec<String> = repair.offline_devices.iter().map(u32::to_string).collect();
    let offline = if offline.is_empty() { "-".to_owned() } else { offline.join(", ") };
    print::line(&format!("Offline devices     {offline}"))?;
    for rebuild in repair.rebuilding {
        let (whole, tenths) = (rebuild.done_per_mille / 10, rebuild.done_per_mille % 10);
        print::line(&format!("Rebuilding device {}  {whole}.{tenths} %", rebuild.device))?;
    }
    Ok(())
}
