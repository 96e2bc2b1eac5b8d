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
    print::fields(&[
        ("Day of the rules", print::duration(status.day_seconds)),
        ("Bucket under way", current),
        ("Last round", print::or_dash(status.last_round)),
        ("Buckets gone through", status.passes.to_string()),
        ("Looked at", status.examined.to_string()),
        ("Expired", status.expired.to_string()),
        ("Older removed", status.older_removed.to_string()),
        ("Markers removed", status.markers_removed.to_string()),
        ("Uploads aborted", status.uploads_aborted.to_string()),
        ("Stayed locked", status.locked.to_string()),
        ("Errors", status.errors.to_string()),
    ])
}
