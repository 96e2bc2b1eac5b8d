//! Where the access log of a bucket goes.

use gateway_meta::record::{BucketLoggingRecord, LogKeyFormat, PartitionDate};
use gateway_object::BucketError;
use http::StatusCode;

use super::configuration;
use crate::{
    answer::Answer,
    authorization::is_guest,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Longest prefix of log objects, in bytes. Chosen: with folders, dates and what makes them unique,
/// their keys stay within S3's 1,024.
const PREFIX_LEN_BYTES_MAX: usize = 800;

pub(super) async fn get_bucket_logging(call: Call<'_>) -> Outcome<Answer> {
    let logging = call.bucket.as_ref().and_then(|bucket| bucket.configs.logging.as_ref());
    let mut xml = Writer::rooted("BucketLoggingStatus");
    if let Some(logging) = logging {
        xml.open("LoggingEnabled");
        xml.text("TargetBucket", &logging.target_bucket);
        xml.text("TargetPrefix", &logging.target_prefix);
        write_format(logging.key_format, &mut xml);
        xml.close("LoggingEnabled");
    }
    xml.close("BucketLoggingStatus");
    Ok(Answer::document(xml.finish()))
}

fn write_format(format: LogKeyFormat, xml: &mut Writer) {
    match format {
        LogKeyFormat::Unsaid => {}
        LogKeyFormat::Simple => {
            xml.open("TargetObjectKeyFormat");
            xml.text("SimplePrefix", "");
            xml.close("TargetObjectKeyFormat");
        }
        LogKeyFormat::Partitioned(date) => {
            xml.open("TargetObjectKeyFormat");
            xml.open("PartitionedPrefix");
            let source = match date {
                PartitionDate::Unsaid => None,
                PartitionDate::Event => Some("EventTime"),
                PartitionDate::Delivery => Some("DeliveryTime"),
            };
            xml.text_if("PartitionDateSource", source);
            xml.close("PartitionedPrefix");
            xml.close("TargetObjectKeyFormat");
        }
    }
}

pub(super) async fn put_bucket_logging(call: Call<'_>) -> Outcome<Answer> {
    let root = configuration::document(&call, "BucketLoggingStatus").await?;
    let service = &call.gateway.service;
    match read(&root)? {
        None => service.delete_config::<BucketLoggingRecord>(call.target.bucket()).await?,
        Some(logging) => {
            check_target(&call, &logging.target_bucket).await?;
            service.put_config(call.target.bucket(), logging).await?;
        }
    }
    Ok(Answer::empty(StatusCode::OK))
}

/// Log objects are written as the owner, so they stay within what the owner has; a guest, whom a
/// policy lets set the log of one bucket, has no say over what is written into another.
async fn check_target(call: &Call<'_>, target: &str) -> Outcome<()> {
    let refused = |message: &'static str| {
        let failure = Failure::with_message(Code::InvalidTargetBucketForLogging, message);
        failure.detail("TargetBucket", target)
    };
    let bucket = call.bucket.as_ref().ok_or(Code::InternalError)?;
    if target != bucket.name && is_guest(&call.principal, bucket) {
        return Err(Failure::new(Code::AccessDenied));
    }
    let found = match call.gateway.service.bucket(target).await {
        Ok(found) => found,
        Err(BucketError::NoSuchBucket { .. }) => {
            return Err(refused("The target bucket for logging does not exist"));
        }
        Err(error) => return Err(error.into()),
    };
    match bucket.owner == found.owner {
        true => Ok(()),
        false => Err(refused(
            "The owner for the bucket to be logged and the target bucket must be \
                              the same.",
        )),
    }
}

/// Reads the document; `None` when it says that nothing is logged.
fn read(root: &Element) -> Outcome<Option<BucketLoggingRecord>> {
    root.knows_only(&["LoggingEnabled"])?;
    let Some(enabled) = root.at_most_one("LoggingEnabled")? else { return Ok(None) };
    enabled.knows_only(&[
        "TargetBucket",
        "TargetPrefix",
        "TargetGrants",
        "TargetObjectKeyFormat",
    ])?;
    if enabled.at_most_one("TargetGrants")?.is_some_and(|grants| !grants.children.is_empty()) {
        return Err(Failure::new(Code::AccessControlListNotSupported));
    }
    let target_prefix = enabled.only_text("TargetPrefix")?.ok_or(Code::MalformedXml)?;
    if target_prefix.len() > PREFIX_LEN_BYTES_MAX {
        let message = format!("The prefix is longer than {PREFIX_LEN_BYTES_MAX} bytes.");
        return Err(Failure::invalid_argument("TargetPrefix", target_prefix, message));
    }
    let format = enabled.at_most_one("TargetObjectKeyFormat")?;
    Ok(Some(BucketLoggingRecord {
        target_bucket: configuration::required(enabled, "TargetBucket")?.to_owned(),
        target_prefix: target_prefix.to_owned(),
        key_format: format.map_or(Ok(LogKeyFormat::Unsaid), read_format)?,
    }))
}

fn read_format(format: &Element) -> Outcome<LogKeyFormat> {
    let malformed = || Failure::new(Code::MalformedXml);
    let [chosen] = format.children.as_slice() else { return Err(malformed()) };
    match chosen.name.as_str() {
        "SimplePrefix" => {
            chosen.knows_only(&[])?;
            Ok(LogKeyFormat::Simple)
        }
        "PartitionedPrefix" => {
            chosen.knows_only(&["PartitionDateSource"])?;
            match chosen.only_text("PartitionDateSource")?.map(str::trim) {
                None => Ok(LogKeyFormat::Partitioned(PartitionDate::Unsaid)),
                Some("EventTime") => Ok(LogKeyFormat::Partitioned(PartitionDate::Event)),
                Some("DeliveryTime") => Ok(LogKeyFormat::Partitioned(PartitionDate::Delivery)),
                Some(_) => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}
