//! Whether tags of a bucket decide who may do what: stored and told. Nothing depends on it yet.

use gateway_meta::record::AbacRecord;
use http::StatusCode;

use super::configuration;
use crate::{answer::Answer, call::Call, error::Outcome, xml::Writer};

pub(super) async fn get_bucket_abac(call: Call<'_>) -> Outcome<Answer> {
    let abac = call.bucket.as_ref().and_then(|bucket| bucket.configs.abac.as_ref());
    let enabled = abac.is_some_and(|abac| abac.enabled);
    let mut xml = Writer::rooted("AbacStatus");
    xml.text("Status", if enabled { "Enabled" } else { "Disabled" });
    xml.close("AbacStatus");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_abac(call: Call<'_>) -> Outcome<Answer> {
    let root = configuration::document(&call, "AbacStatus").await?;
    root.knows_only(&["Status"])?;
    let enabled = configuration::either(&root, "Status", "Enabled", "Disabled")?;
    call.gateway.service.put_config(call.target.bucket(), AbacRecord { enabled }).await?;
    Ok(Answer::empty(StatusCode::OK))
}
