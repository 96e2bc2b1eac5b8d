//! Lifecycle configurations of buckets, and the headers that tell what becomes of an object or an
//! upload.
//!
//! A configuration is returned in the generation it came in: rules with a `Prefix`, or rules with a
//! `Filter`. Transitions are checked and returned, and nothing acts on them yet.

mod check;
mod read;
#[cfg(test)]
mod tests;
mod write;

use gateway_meta::{
    UploadId,
    record::{LifecycleRecord, TransitionMinimum},
};
use gateway_object::{LifecycleDue, ObjectInfo, WriteReceipt};
use http::StatusCode;

use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    header, percent,
};

/// The header that says which objects are too small for transitions.
const TRANSITION_MINIMUM: &str = "x-amz-transition-default-minimum-object-size";

pub(super) async fn get_bucket_lifecycle_configuration(call: Call<'_>) -> Outcome<Answer> {
    let record = call.bucket.as_ref().and_then(|bucket| bucket.configs.lifecycle.as_ref());
    let record = record.ok_or_else(|| {
        Failure::new(Code::NoSuchLifecycleConfiguration).detail("BucketName", call.target.bucket())
    })?;
    let mut answer = Answer::document(write::configuration(record));
    tell_minimum(record, &mut answer)?;
    Ok(answer)
}

pub(super) async fn put_bucket_lifecycle_configuration(call: Call<'_>) -> Outcome<Answer> {
    let transition_minimum = transition_minimum(&call)?;
    let document = call.document().await?;
    if !document.checked {
        return Err(Failure::invalid_request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    let root = document.root("LifecycleConfiguration")?;
    let record = LifecycleRecord { transition_minimum, ..read::configuration(&root)? };
    let mut answer = Answer::empty(StatusCode::OK);
    tell_minimum(&record, &mut answer)?;
    call.gateway.service.put_config(call.target.bucket(), record).await?;
    Ok(answer)
}

pub(super) async fn delete_bucket_lifecycle(call: Call<'_>) -> Outcome<Answer> {
    call.gateway.service.delete_config::<LifecycleRecord>(call.target.bucket()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn transition_minimum(call: &Call<'_>) -> Outcome<Option<TransitionMinimum>> {
    match header::text(&call.headers, TRANSITION_MINIMUM)? {
        None => Ok(None),
        Some("all_storage_classes_128K") => Ok(Some(TransitionMinimum::AllClasses128K)),
        Some("varies_by_storage_class") => Ok(Some(TransitionMinimum::VariesByClass)),
        Some(other) => {
            let message = "Invalid TransitionDefaultMinimumObjectSize found";
            Err(Failure::invalid_argument(TRANSITION_MINIMUM, other, message))
        }
    }
}

fn tell_minimum(record: &LifecycleRecord, answer: &mut Answer) -> Outcome<()> {
    let text = match record.transition_minimum.unwrap_or(TransitionMinimum::AllClasses128K) {
        TransitionMinimum::AllClasses128K => "all_storage_classes_128K",
        TransitionMinimum::VariesByClass => "varies_by_storage_class",
    };
    answer.set(TRANSITION_MINIMUM, text)
}

/// Tells when what was just written expires.
pub(super) fn tell_expiry_of_written(
    call: &Call<'_>,
    key: &str,
    receipt: &WriteReceipt,
    answer: &mut Answer,
) -> Outcome<()> {
    let Some(bucket) = &call.bucket else { return Ok(()) };
    let what = (receipt.len_bytes, &receipt.tags[..]);
    let due = call.gateway.service.expires(bucket, key, what, receipt.modified);
    answer.set_if("x-amz-expiration", due.map(|due| expiry(&due)).as_deref())
}

/// Tells when what is read expires. Only newest versions do, and a version that is asked for by
/// name may be any.
pub(super) fn tell_expiry_of_read(
    call: &Call<'_>,
    info: &ObjectInfo,
    answer: &mut Answer,
) -> Outcome<()> {
    let Some(bucket) = &call.bucket else { return Ok(()) };
    if call.query.get("versionId").is_some() {
        return Ok(());
    }
    let what = (info.metadata.len_bytes, &info.metadata.tags[..]);
    let due = call.gateway.service.expires(bucket, call.target.key(), what, info.modified);
    answer.set_if("x-amz-expiration", due.map(|due| expiry(&due)).as_deref())
}

/// Tells when an upload is aborted.
pub(super) fn tell_abort(call: &Call<'_>, upload: UploadId, answer: &mut Answer) -> Outcome<()> {
    let Some(bucket) = &call.bucket else { return Ok(()) };
    let Some(due) = call.gateway.service.aborts(bucket, call.target.key(), upload) else {
        return Ok(());
    };
    answer.set("x-amz-abort-date", &convert::http_date(due.at))?;
    answer.set("x-amz-abort-rule-id", &percent::encode(&due.rule))
}

/// The value of `x-amz-expiration`.
fn expiry(due: &LifecycleDue) -> String {
    let rule = percent::encode(&due.rule);
    format!("expiry-date=\"{}\", rule-id=\"{rule}\"", convert::http_date(due.at))
}
