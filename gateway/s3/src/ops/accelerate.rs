//! Transfer acceleration of buckets: stored and told. There is no network of edge locations to
//! send transfers through, so nothing is faster for it.

use gateway_meta::record::AccelerateRecord;
use http::StatusCode;

use super::configuration;
use crate::{
    answer::Answer,
    call::Call,
    error::{Failure, Outcome},
    xml::Writer,
};

pub(super) async fn get_bucket_accelerate_configuration(call: Call<'_>) -> Outcome<Answer> {
    let status = call.bucket.as_ref().and_then(|bucket| bucket.configs.accelerate.as_ref());
    let mut xml = Writer::rooted("AccelerateConfiguration");
    let named = status.map(|status| if status.enabled { "Enabled" } else { "Suspended" });
    xml.text_if("Status", named);
    xml.close("AccelerateConfiguration");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_accelerate_configuration(call: Call<'_>) -> Outcome<Answer> {
    let root = configuration::document(&call, "AccelerateConfiguration").await?;
    root.knows_only(&["Status"])?;
    let enabled = configuration::either(&root, "Status", "Enabled", "Suspended")?;
    if call.target.bucket().contains('.') {
        return Err(Failure::invalid_request(
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names",
        ));
    }
    call.gateway.service.put_config(call.target.bucket(), AccelerateRecord { enabled }).await?;
    Ok(Answer::empty(StatusCode::OK))
}
