//! Configurations that a bucket has several of, by id: analytics, metrics, intelligent tiering.
//! They are stored and told faithfully; nothing analyses, measures or tiers.
//!
//! Invariants:
//! - what is told is what was sent, in the order of S3's schema;
//! - the id of the query names the configuration, and the document must repeat it.

mod analytics;
mod filter;
mod metrics;
mod tiering;

use gateway_meta::record::{AnalyticsRecord, IntelligentTieringRecord, MetricsRecord};
use gateway_object::ListedConfig;
use http::StatusCode;

use super::configuration;
use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    token,
    xml::{Element, Writer},
};

/// Longest id, in characters, which is S3's limit.
const ID_LEN_MAX: usize = 64;

/// A kind of configuration as a document.
trait Document: ListedConfig {
    /// The name of its document, and of its element in a list.
    const ROOT: &'static str;
    /// The name of a list.
    const LIST: &'static str;

    /// Reads the document but for its id.
    fn read(root: &Element) -> Outcome<Self>;

    /// Writes what is within the document.
    fn write(&self, id: &str, xml: &mut Writer);
}

async fn get<C: Document>(call: &Call<'_>) -> Outcome<Answer> {
    let id = id(call)?;
    let config: C = call.gateway.service.listed_config(call.target.bucket(), id).await?;
    let mut xml = Writer::rooted(C::ROOT);
    config.write(id, &mut xml);
    xml.close(C::ROOT);
    Ok(Answer::document(xml.finish()))
}

async fn put<C: Document>(call: &Call<'_>) -> Outcome<Answer> {
    let id = id(call)?;
    let root = configuration::document(call, C::ROOT).await?;
    if configuration::required(&root, "Id")? != id {
        return Err(Failure::new(Code::IdMismatch));
    }
    let config = C::read(&root)?;
    call.gateway.service.put_listed_config(call.target.bucket(), id, config).await?;
    Ok(Answer::empty(StatusCode::OK))
}

async fn delete<C: Document>(call: &Call<'_>) -> Outcome<Answer> {
    let service = &call.gateway.service;
    service.delete_listed_config::<C>(call.target.bucket(), id(call)?).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn list<C: Document>(call: &Call<'_>) -> Outcome<Answer> {
    let given = call.query.get_nonempty("continuation-token");
    let after = given.map(|text| {
        token::decode(text).ok_or_else(|| {
            let message = "The continuation token provided is incorrect";
            Failure::invalid_argument("continuation-token", text, message)
        })
    });
    let after = after.transpose()?;
    let service = &call.gateway.service;
    let page = service.list_configs::<C>(call.target.bucket(), after.as_deref()).await?;
    let mut xml = Writer::rooted(C::LIST);
    xml.value("IsTruncated", page.truncated);
    xml.text_if("ContinuationToken", given);
    let last = page.configs.last().filter(|_| page.truncated);
    xml.text_if("NextContinuationToken", last.map(|(id, _)| token::encode(id)).as_deref());
    for (id, config) in &page.configs {
        xml.open(C::ROOT);
        config.write(id, &mut xml);
        xml.close(C::ROOT);
    }
    xml.close(C::LIST);
    Ok(Answer::document(xml.finish()))
}

/// The id asked for.
fn id<'a>(call: &'a Call<'_>) -> Outcome<&'a str> {
    let id = call.query.get("id").unwrap_or_default();
    let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(is_id_byte) {
        true => Ok(id),
        false => Err(Failure::invalid_argument(
            "id",
            id,
            "An id has 1 to 64 letters, digits, periods, hyphens and underscores.",
        )),
    }
}

pub(super) async fn get_bucket_analytics_configuration(call: Call<'_>) -> Outcome<Answer> {
    get::<AnalyticsRecord>(&call).await
}

pub(super) async fn put_bucket_analytics_configuration(call: Call<'_>) -> Outcome<Answer> {
    put::<AnalyticsRecord>(&call).await
}

pub(super) async fn delete_bucket_analytics_configuration(call: Call<'_>) -> Outcome<Answer> {
    delete::<AnalyticsRecord>(&call).await
}

pub(super) async fn list_bucket_analytics_configurations(call: Call<'_>) -> Outcome<Answer> {
    list::<AnalyticsRecord>(&call).await
}

pub(super) async fn get_bucket_metrics_configuration(call: Call<'_>) -> Outcome<Answer> {
    get::<MetricsRecord>(&call).await
}

pub(super) async fn put_bucket_metrics_configuration(call: Call<'_>) -> Outcome<Answer> {
    put::<MetricsRecord>(&call).await
}

pub(super) async fn delete_bucket_metrics_configuration(call: Call<'_>) -> Outcome<Answer> {
    delete::<MetricsRecord>(&call).await
}

pub(super) async fn list_bucket_metrics_configurations(call: Call<'_>) -> Outcome<Answer> {
    list::<MetricsRecord>(&call).await
}

pub(super) async fn get_bucket_intelligent_tiering_configuration(
    call: Call<'_>,
) -> Outcome<Answer> {
    get::<IntelligentTieringRecord>(&call).await
}

pub(super) async fn put_bucket_intelligent_tiering_configuration(
    call: Call<'_>,
) -> Outcome<Answer> {
    put::<IntelligentTieringRecord>(&call).await
}

pub(super) async fn delete_bucket_intelligent_tiering_configuration(
    call: Call<'_>,
) -> Outcome<Answer> {
    delete::<IntelligentTieringRecord>(&call).await
}

pub(super) async fn list_bucket_intelligent_tiering_configurations(
    call: Call<'_>,
) -> Outcome<Answer> {
    list::<IntelligentTieringRecord>(&call).await
}
