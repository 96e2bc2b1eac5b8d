//! Tags of buckets.

use gateway_meta::record::BucketTagsRecord;
use gateway_object::check_bucket_tags;
use http::StatusCode;

use super::configuration;
use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Most tags of a bucket, which is S3's limit.
const TAG_COUNT_MAX: usize = 50;

pub(super) async fn get_bucket_tagging(call: Call<'_>) -> Outcome<Answer> {
    let tags = call.bucket.as_ref().and_then(|bucket| bucket.configs.tags.as_ref());
    let tags = tags.ok_or_else(|| {
        Failure::new(Code::NoSuchTagSet).detail("BucketName", call.target.bucket())
    })?;
    let mut xml = Writer::rooted("Tagging");
    xml.open("TagSet");
    for (key, value) in &tags.tags {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    xml.close("TagSet");
    xml.close("Tagging");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_tagging(call: Call<'_>) -> Outcome<Answer> {
    let root = configuration::document(&call, "Tagging").await?;
    root.knows_only(&["TagSet"])?;
    let tags = parse(root.at_most_one("TagSet")?.ok_or(Code::MalformedXml)?)?;
    let service = &call.gateway.service;
    let bucket = call.target.bucket();
    // A set without tags is none, as S3 tells afterwards.
    match tags.is_empty() {
        true => service.delete_config::<BucketTagsRecord>(bucket).await?,
        false => service.put_config(bucket, BucketTagsRecord { tags }).await?,
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_bucket_tagging(call: Call<'_>) -> Outcome<Answer> {
    call.gateway.service.delete_config::<BucketTagsRecord>(call.target.bucket()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Reads the tags of a bucket: a `TagSet`, or the `Tags` of a new bucket.
///
/// # Errors
/// `MalformedXML`, `BadRequest` for too many, `InvalidTag`.
pub(super) fn parse(set: &Element) -> Outcome<Vec<(String, String)>> {
    set.knows_only(&["Tag"])?;
    let tags: Vec<(String, String)> =
        set.children.iter().map(configuration::tag).collect::<Outcome<_>>()?;
    if tags.len() > TAG_COUNT_MAX {
        let message = format!("Bucket tag count cannot be greater than {TAG_COUNT_MAX}");
        return Err(Failure::with_message(Code::BadRequest, message));
    }
    check_bucket_tags(&tags).map_err(|reason| Failure::with_message(Code::InvalidTag, reason))?;
    Ok(tags)
}
