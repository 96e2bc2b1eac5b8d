//! `datamesh bucket`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::bucket::{BucketArgs, BucketVerb},
    client::{Client, segment},
};

pub(crate) fn run(args: BucketArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let BucketVerb::Acknowledge { bucket, when } = args.verb;
    let path = format!("/buckets/{}/acknowledge", segment(&bucket)?);
    let applies: wire::Acknowledge = match when {
        Some(when) => {
            let wanted = wire::Acknowledge { acknowledge: when.name().to_owned() };
            client.put(&path, &wanted)?
        }
        None => client.get(&path)?,
    };
    match args.client.json {
        true => print::json(&applies),
        false => print::line(&format!("{bucket}  {}", applies.acknowledge)),
    }
}
