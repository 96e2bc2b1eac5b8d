//! Object lock: what keeps versions from being deleted.
//!
//! As S3, every document that sets something must come with a digest.

use gateway_iam::Action;
use gateway_meta::{
    VersionId,
    record::{DefaultRetention, ObjectLockRecord, Retention, RetentionPeriod},
};
use gateway_object::{BucketError, PutRetention};
use http::StatusCode;

use super::object_write::set_version;
use crate::{
    answer::Answer,
    authorization::lock_facts,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    lock_header::{bypasses_governance, hold_name, mode_name, parse_hold, parse_mode},
    xml::{Element, Writer},
};

/// Longest default retention in days, which is S3's limit.
const DAYS_MAX: u32 = 36_500;
/// Longest default retention in years, which is S3's limit.
const YEARS_MAX: u32 = 100;

pub(super) async fn get_object_lock_configuration(call: Call<'_>) -> Outcome<Answer> {
    let bucket = call.gateway.service.bucket(call.target.bucket()).await?;
    if !bucket.object_lock {
        return Err(Failure::new(Code::ObjectLockConfigurationNotFound));
    }
    let mut xml = Writer::rooted("ObjectLockConfiguration");
    xml.text("ObjectLockEnabled", "Enabled");
    let config = bucket.configs.object_lock.as_ref();
    if let Some(default) = config.and_then(|config| config.default_retention) {
        xml.open("Rule");
        xml.open("DefaultRetention");
        xml.text("Mode", mode_name(default.mode));
        match default.period {
            RetentionPeriod::Days(days) => xml.value("Days", days),
            RetentionPeriod::Years(years) => xml.value("Years", years),
        }
        xml.close("DefaultRetention");
        xml.close("Rule");
    }
    xml.close("ObjectLockConfiguration");
    Ok(Answer::document(xml.finish()))
}

/// `x-amz-bucket-object-lock-token` is ignored: whoever may do this needs no leave of a support's.
pub(super) async fn put_object_lock_configuration(call: Call<'_>) -> Outcome<Answer> {
    let root = checked_document(&call, "ObjectLockConfiguration").await?;
    let config = configuration(&root)?;
    let (service, bucket) = (&call.gateway.service, call.target.bucket());
    service.enable_object_lock(bucket).await.map_err(|error| match error {
        BucketError::ObjectLockNeedsVersioning => Failure::with_message(
            Code::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ),
        error => error.into(),
    })?;
    service.put_config(bucket, config).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn get_object_retention(call: Call<'_>) -> Outcome<Answer> {
    let (version, lock) = call.gateway.service.object_lock(&call.object(), call.version()?).await?;
    let Retention { mode, until } = lock.retention.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let mut xml = Writer::rooted("Retention");
    xml.text("Mode", mode_name(mode));
    xml.text("RetainUntilDate", &convert::iso_8601(until));
    xml.close("Retention");
    told(version, Answer::document(xml.finish()))
}

pub(super) async fn put_object_retention(call: Call<'_>) -> Outcome<Answer> {
    let root = checked_document(&call, "Retention").await?;
    let retention = retention(&root)?;
    call.allow_with(Action::PutObjectRetention, |facts| {
        facts.forget("s3:object-lock-");
        if let Some(Retention { mode, until }) = retention {
            lock_facts(facts, mode, until, call.gateway.clock.now());
        }
    })?;
    let request = PutRetention {
        target: call.object(),
        version: call.version()?,
        retention,
        bypass_governance: bypasses_governance(&call)?,
    };
    let version = call.gateway.service.put_retention(request).await?;
    told(version, Answer::empty(StatusCode::OK))
}

pub(super) async fn get_object_legal_hold(call: Call<'_>) -> Outcome<Answer> {
    let (version, lock) = call.gateway.service.object_lock(&call.object(), call.version()?).await?;
    let held = lock.legal_hold.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let mut xml = Writer::rooted("LegalHold");
    xml.text("Status", hold_name(held));
    xml.close("LegalHold");
    told(version, Answer::document(xml.finish()))
}

pub(super) async fn put_object_legal_hold(call: Call<'_>) -> Outcome<Answer> {
    let root = checked_document(&call, "LegalHold").await?;
    let held = trimmed(&root, "Status").and_then(parse_hold).ok_or(Code::MalformedXml)?;
    call.allow_with(Action::PutObjectLegalHold, |facts| {
        facts.forget("s3:object-lock-");
        facts.add("s3:object-lock-legal-hold", hold_name(held));
    })?;
    let service = &call.gateway.service;
    let version = service.put_legal_hold(&call.object(), call.version()?, held).await?;
    told(version, Answer::empty(StatusCode::OK))
}

fn told(version: VersionId, mut answer: Answer) -> Outcome<Answer> {
    set_version(version, &mut answer)?;
    Ok(answer)
}

async fn checked_document(call: &Call<'_>, root: &str) -> Outcome<Element> {
    let document = call.document().await?;
    if !document.checked {
        return Err(Failure::invalid_request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    document.root(root)
}

fn trimmed<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.child_text(name).map(str::trim)
}

/// Reads an `ObjectLockConfiguration` document.
fn configuration(root: &Element) -> Outcome<ObjectLockRecord> {
    if trimmed(root, "ObjectLockEnabled") != Some("Enabled") || root.all("Rule").count() > 1 {
        return Err(Failure::new(Code::MalformedXml));
    }
    let default_retention = root.child("Rule").map(default_retention).transpose()?;
    Ok(ObjectLockRecord { default_retention })
}

fn default_retention(rule: &Element) -> Outcome<DefaultRetention> {
    let default = rule.child("DefaultRetention").ok_or(Code::MalformedXml)?;
    let mode = trimmed(default, "Mode").and_then(parse_mode).ok_or(Code::MalformedXml)?;
    let period = match (trimmed(default, "Days"), trimmed(default, "Years")) {
        (Some(days), None) => RetentionPeriod::Days(period(days, DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(period(years, YEARS_MAX)?),
        (None, None) | (Some(_), Some(_)) => return Err(Failure::new(Code::MalformedXml)),
    };
    Ok(DefaultRetention { mode, period })
}

fn period(text: &str, max: u32) -> Outcome<u32> {
    let count: i64 = text.parse().map_err(|_| Code::MalformedXml)?;
    let refused = |message: String| Err(Failure::with_message(Code::InvalidArgument, message));
    match u32::try_from(count) {
        Ok(count @ 1..) if count <= max => Ok(count),
        Ok(1..) => refused(format!("Default retention period must be at most {max}.")),
        _ => refused("Default retention period must be a positive integer value.".to_owned()),
    }
}

/// Reads a `Retention` document; an empty one takes retention away.
fn retention(root: &Element) -> Outcome<Option<Retention>> {
    match (trimmed(root, "Mode"), trimmed(root, "RetainUntilDate")) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => Ok(Some(Retention {
            mode: parse_mode(mode).ok_or(Code::MalformedXml)?,
            until: convert::parse_iso_8601(until).ok_or(Code::MalformedXml)?,
        })),
        (Some(_), None) | (None, Some(_)) => Err(Failure::new(Code::MalformedXml)),
    }
}

#[cfg(test)]
mod tests {
    use gateway_meta::record::RetentionMode;
    use node_proto::UnixMillis;

    use super::*;

    fn read(inner: &str) -> Element {
        crate::xml::parse(format!("<R>{inner}</R>").as_bytes()).unwrap()
    }

    fn rule(inner: &str) -> Element {
        read(&format!(
            "<ObjectLockEnabled>Enabled</ObjectLockEnabled>\
             <Rule><DefaultRetention>{inner}</DefaultRetention></Rule>"
        ))
    }

    #[test]
    fn configurations_are_read() {
        let bare = read("<ObjectLockEnabled>Enabled</ObjectLockEnabled>");
        assert_eq!(configuration(&bare).unwrap().default_retention, None);
        let days = configuration(&rule("<Mode>GOVERNANCE</Mode><Days> 36500 </Days>")).unwrap();
        assert_eq!(days.default_retention.unwrap().period, RetentionPeriod::Days(36_500));
        let years = configuration(&rule("<Years>100</Years><Mode>COMPLIANCE</Mode>")).unwrap();
        let years = years.default_retention.unwrap();
        assert_eq!(years.period, RetentionPeriod::Years(100));
        assert_eq!(years.mode, RetentionMode::Compliance);
    }

    #[test]
    fn wrong_configurations_are_refused_with_their_code() {
        let malformed = [
            read(""),
            read("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"),
            read("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>"),
            read("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/><Rule/>"),
            rule(""),
            rule("<Days>1</Days>"),
            rule("<Mode>GOVERNANCE</Mode>"),
            rule("<Mode>governance</Mode><Days>1</Days>"),
            rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
            rule("<Mode>GOVERNANCE</Mode><Days>one</Days>"),
            rule("<Mode>GOVERNANCE</Mode><Days/>"),
        ];
        for root in malformed {
            let failure = configuration(&root).unwrap_err();
            assert_eq!(failure.code(), Code::MalformedXml, "{root:?}");
        }
        for period in
            ["<Days>0</Days>", "<Days>36501</Days>", "<Years>-1</Years>", "<Years>101</Years>"]
        {
            let failure = configuration(&rule(&format!("<Mode>GOVERNANCE</Mode>{period}")));
            assert_eq!(failure.unwrap_err().code(), Code::InvalidArgument, "{period}");
        }
    }

    #[test]
    fn retention_documents_are_read() {
        let until = "<RetainUntilDate>1970-01-01T00:00:01Z</RetainUntilDate>";
        let wanted = retention(&read(&format!("<Mode>COMPLIANCE</Mode>{until}"))).unwrap();
        let expected = Retention { mode: RetentionMode::Compliance, until: UnixMillis(1000) };
        assert_eq!(wanted, Some(expected));
        assert_eq!(retention(&read("")).unwrap(), None);
        for wrong in [
            "<Mode>COMPLIANCE</Mode>".to_owned(),
            until.to_owned(),
            format!("<Mode>STRICT</Mode>{until}"),
            "<Mode>COMPLIANCE</Mode><RetainUntilDate>soon</RetainUntilDate>".to_owned(),
        ] {
            let failure = retention(&read(&wrong)).unwrap_err();
            assert_eq!(failure.code(), Code::MalformedXml, "{wrong}");
        }
    }
}
