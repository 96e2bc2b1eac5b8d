//! `datamesh lifecycle`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{LifecycleArgs, LifecycleVerb},
    client::Client,
};

pub(crate) fn run(args: LifecycleArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let LifecycleVerb::Status = args.verb;
    let status: wire::Lifecycle = client.get("/lifecycle")?;
    if args.client.json {
        return print::json(&status);
    }
    let current = status.current.as_ref().map_or_else(
        || "-".to_owned(),
        |pass| format!("{}, {} looked at", pass.bucket, pass.examined),
    );
    let last = status.last_round_unix_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    print::line(&format!("Day of the rules      {} s", status.day_seconds))?;
    print::line(&format!("Bucket under way      {current}"))?;
    print::line(&format!("Last round (Unix ms)  {last}"))?;
    print::line(&format!("Buckets gone through  {}", status.passes))?;
    print::line(&format!("Looked at             {}", status.examined))?;
    print::line(&format!("Expired               {}", status.expired))?;
    print::line(&format!("Older removed         {}", status.older_removed))?;
    print::line(&format!("Markers removed       {}", status.markers_removed))?;
    print::line(&format!("Uploads aborted       {}", status.uploads_aborted))?;
    print::line(&format!("Stayed locked         {}", status.locked))?;
    print::line(&format!("Errors                {}", status.errors))
}
