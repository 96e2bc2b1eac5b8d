//! Reads `LifecycleConfiguration` documents of both generations: the older one, whose rules have a
//! `Prefix`, and the newer one, whose rules have a `Filter`.

use std::collections::HashSet;

use gateway_meta::record::{
    Expiration, LifecycleRecord, LifecycleRule, NoncurrentExpiration, NoncurrentTransition,
    RuleFilter, RuleScope, RuleTime, Transition,
};
use node_proto::UnixMillis;

use super::check;
use crate::{
    convert,
    error::{Code, Failure, Outcome},
    xml::Element,
};

/// Most rules of a configuration, which is S3's limit.
const RULES_MAX: usize = 1000;
/// Longest id of a rule in characters, which is S3's limit.
const ID_CHARS_MAX: usize = 255;
/// Longest prefix in bytes, which is S3's limit: that of a key.
const PREFIX_LEN_BYTES_MAX: usize = 1024;
/// Most tags of a filter, which is S3's limit: those of an object.
const TAGS_MAX: usize = 10;
/// Longest tag key and value in characters, which are S3's limits.
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Most newer versions that a rule keeps, which is S3's limit.
const NEWER_VERSIONS_MAX: u32 = 100;
/// The largest number of days, which is S3's.
const DAYS_MAX: u64 = i32::MAX as u64;
/// Milliseconds of a real day: dates are at midnight UTC whatever `--lifecycle-day` says.
const DAY_MS: u64 = 24 * 3_600_000;

/// Random bytes of a generated id.
const ID_RANDOM_BYTES: usize = 16;

fn malformed() -> Failure {
    Failure::new(Code::MalformedXml)
}

fn invalid(message: String) -> Failure {
    Failure::with_message(Code::InvalidArgument, message)
}

/// Reads a document.
///
/// # Errors
/// `MalformedXML`, `InvalidArgument`, `InvalidRequest`.
pub(super) fn configuration(root: &Element) -> Outcome<LifecycleRecord> {
    root.knows_only(&["Rule"])?;
    if root.children.is_empty() {
        return Err(malformed());
    }
    if root.children.len() > RULES_MAX {
        let message = format!("The number of lifecycle rules must not exceed {RULES_MAX}.");
        return Err(Failure::invalid_request(message));
    }
    let mut rules: Vec<LifecycleRule> = root.children.iter().map(rule).collect::<Outcome<_>>()?;
    let mut ids = HashSet::new();
    let mut named = rules.iter().map(|rule| rule.id.as_str()).filter(|id| !id.is_empty());
    if let Some(id) = named.find(|id| !ids.insert(*id)) {
        let message = "Rule ID must be unique. Found same ID for one or more rules";
        return Err(Failure::invalid_argument("ID", id, message));
    }
    one_generation(&rules)?;
    for rule in &mut rules {
        if rule.id.is_empty() {
            rule.id = new_id()?;
        }
    }
    Ok(LifecycleRecord { rules, transition_minimum: None })
}

fn one_generation(rules: &[LifecycleRule]) -> Outcome<()> {
    let is_older = |rule: &LifecycleRule| matches!(rule.scope, RuleScope::Prefix(_));
    let first_is_older = rules.first().is_some_and(is_older);
    if rules.iter().all(|rule| is_older(rule) == first_is_older) {
        return Ok(());
    }
    Err(Failure::invalid_request(match first_is_older {
        true => "Filter element can only be used in Lifecycle V2.",
        false => {
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the \
             Filter."
        }
    }))
}

fn new_id() -> Outcome<String> {
    let mut random = [0; ID_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no randomness for a rule id");
        Failure::new(Code::InternalError)
    })?;
    Ok(hex::encode(random))
}

fn rule(element: &Element) -> Outcome<LifecycleRule> {
    element.knows_only(&[
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
    ])?;
    let id = element.only_text("ID")?.unwrap_or_default();
    if id.chars().count() > ID_CHARS_MAX {
        let message = format!("ID length should not exceed allowed limit of {ID_CHARS_MAX}");
        return Err(Failure::invalid_argument("ID", id, message));
    }
    let enabled = match element.only_text("Status")?.map(str::trim) {
        Some("Enabled") => true,
        Some("Disabled") => false,
        Some(_) | None => return Err(malformed()),
    };
    let rule = LifecycleRule {
        id: id.to_owned(),
        enabled,
        scope: scope(element)?,
        expiration: element.at_most_one("Expiration")?.map(expiration).transpose()?,
        transitions: element.all("Transition").map(transition).collect::<Outcome<_>>()?,
        noncurrent_expiration: element
            .at_most_one("NoncurrentVersionExpiration")?
            .map(noncurrent_expiration)
            .transpose()?,
        noncurrent_transitions: element
            .all("NoncurrentVersionTransition")
            .map(noncurrent_transition)
            .collect::<Outcome<_>>()?,
        abort_uploads_days: element
            .at_most_one("AbortIncompleteMultipartUpload")?
            .map(abort)
            .transpose()?,
    };
    check::rule(&rule)?;
    Ok(rule)
}

fn scope(element: &Element) -> Outcome<RuleScope> {
    match (element.only_text("Prefix")?, element.at_most_one("Filter")?) {
        (Some(text), None) => Ok(RuleScope::Prefix(prefix(text)?)),
        (None, Some(element)) => Ok(RuleScope::Filter(filter(element)?)),
        (Some(_), Some(_)) | (None, None) => Err(malformed()),
    }
}

fn prefix(text: &str) -> Outcome<String> {
    if text.len() > PREFIX_LEN_BYTES_MAX {
        let message = format!("The maximum size of a prefix is {PREFIX_LEN_BYTES_MAX}.");
        return Err(Failure::invalid_request(message));
    }
    Ok(text.to_owned())
}

fn filter(element: &Element) -> Outcome<RuleFilter> {
    element.knows_only(&["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"])?;
    match &element.children[..] {
        [] => Ok(RuleFilter::default()),
        [and] if and.name == "And" => {
            and.knows_only(&["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"])?;
            if and.children.is_empty() {
                return Err(malformed());
            }
            Ok(RuleFilter { joined: true, ..predicates(and)? })
        }
        [_] => predicates(element),
        _ => Err(malformed()),
    }
}

fn predicates(element: &Element) -> Outcome<RuleFilter> {
    let size = |name| -> Outcome<Option<u64>> {
        element.only_text(name)?.map(|text| number(text, u64::MAX)).transpose()
    };
    let larger_than_bytes = size("ObjectSizeGreaterThan")?;
    let smaller_than_bytes = size("ObjectSizeLessThan")?;
    if let (Some(larger), Some(smaller)) = (larger_than_bytes, smaller_than_bytes)
        && smaller <= larger.saturating_add(1)
    {
        let message =
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.";
        return Err(Failure::invalid_request(message));
    }
    let tags: Vec<(String, String)> = element.all("Tag").map(tag).collect::<Outcome<_>>()?;
    let mut keys = HashSet::new();
    if tags.iter().any(|(key, _)| !keys.insert(key.as_str())) {
        return Err(Failure::invalid_request("Duplicate Tag Keys are not allowed."));
    }
    if tags.len() > TAGS_MAX {
        let message = format!("A filter cannot have more than {TAGS_MAX} tags.");
        return Err(Failure::invalid_request(message));
    }
    Ok(RuleFilter {
        prefix: element.only_text("Prefix")?.map(prefix).transpose()?,
        tags,
        larger_than_bytes,
        smaller_than_bytes,
        joined: false,
    })
}

fn tag(element: &Element) -> Outcome<(String, String)> {
    element.knows_only(&["Key", "Value"])?;
    let key = element.only_text("Key")?.ok_or_else(malformed)?;
    let value = element.only_text("Value")?.ok_or_else(malformed)?;
    let key_chars = key.chars().count();
    if !(1..=TAG_KEY_CHARS_MAX).contains(&key_chars) {
        return Err(Failure::with_message(
            Code::InvalidTag,
            "The TagKey you have provided is invalid",
        ));
    }
    if value.chars().count() > TAG_VALUE_CHARS_MAX {
        let message = "The TagValue you have provided is invalid";
        return Err(Failure::with_message(Code::InvalidTag, message));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn expiration(element: &Element) -> Outcome<Expiration> {
    element.knows_only(&["Days", "Date", "ExpiredObjectDeleteMarker"])?;
    let days = element.only_text("Days")?;
    let at = element.only_text("Date")?;
    let lone_markers = element.only_text("ExpiredObjectDeleteMarker")?;
    match (days, at, lone_markers) {
        (Some(text), None, None) => Ok(Expiration::Days(positive("Days", "Expiration", text)?)),
        (None, Some(text), None) => Ok(Expiration::At(date(text)?)),
        (None, None, Some(text)) => match text.trim() {
            "true" => Ok(Expiration::LoneMarkers(true)),
            "false" => Ok(Expiration::LoneMarkers(false)),
            _ => Err(malformed()),
        },
        _ => Err(malformed()),
    }
}

fn transition(element: &Element) -> Outcome<Transition> {
    element.knows_only(&["Days", "Date", "StorageClass"])?;
    let time = match (element.only_text("Days")?, element.only_text("Date")?) {
        (Some(text), None) => RuleTime::Days(days("Days", "Transition", text)?),
        (None, Some(text)) => RuleTime::At(date(text)?),
        _ => return Err(malformed()),
    };
    Ok(Transition { time, storage_class: storage_class(element)? })
}

fn noncurrent_expiration(element: &Element) -> Outcome<NoncurrentExpiration> {
    element.knows_only(&["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let action = "NoncurrentVersionExpiration";
    let text = element.only_text("NoncurrentDays")?.ok_or_else(malformed)?;
    Ok(NoncurrentExpiration {
        days: positive("NoncurrentDays", action, text)?,
        newer_versions: newer_versions(element, action)?,
    })
}

fn noncurrent_transition(element: &Element) -> Outcome<NoncurrentTransition> {
    element.knows_only(&["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])?;
    let action = "NoncurrentVersionTransition";
    let text = element.only_text("NoncurrentDays")?.ok_or_else(malformed)?;
    Ok(NoncurrentTransition {
        days: days("NoncurrentDays", action, text)?,
        newer_versions: newer_versions(element, action)?,
        storage_class: storage_class(element)?,
    })
}

fn newer_versions(element: &Element, action: &str) -> Outcome<Option<u32>> {
    let Some(text) = element.only_text("NewerNoncurrentVersions")? else { return Ok(None) };
    let count = positive("NewerNoncurrentVersions", action, text)?;
    if count > NEWER_VERSIONS_MAX {
        return Err(invalid(format!(
            "'NewerNoncurrentVersions' for {action} action must be between 1 and \
             {NEWER_VERSIONS_MAX}"
        )));
    }
    Ok(Some(count))
}

fn abort(element: &Element) -> Outcome<u32> {
    element.knows_only(&["DaysAfterInitiation"])?;
    let text = element.only_text("DaysAfterInitiation")?.ok_or_else(malformed)?;
    positive("DaysAfterInitiation", "AbortIncompleteMultipartUpload", text)
}

fn storage_class(element: &Element) -> Outcome<String> {
    let text = element.only_text("StorageClass")?.map(str::trim).ok_or_else(malformed)?;
    match check::WATERFALL.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(malformed()),
    }
}

fn positive(name: &str, action: &str, text: &str) -> Outcome<u32> {
    match days(name, action, text)? {
        0 => Err(invalid(format!("'{name}' for {action} action must be a positive integer"))),
        days => Ok(days),
    }
}

/// A whole number of days, zero included.
fn days(name: &str, action: &str, text: &str) -> Outcome<u32> {
    if text.trim().starts_with('-') && number(&text.trim()[1..], DAYS_MAX).is_ok() {
        return Err(invalid(format!("'{name}' for {action} action must be nonnegative")));
    }
    number(text, DAYS_MAX).map(|days| u32::try_from(days).expect("at most 31 bits"))
}

fn number(text: &str, max: u64) -> Outcome<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= max);
    number.ok_or_else(malformed)
}

fn date(text: &str) -> Outcome<UnixMillis> {
    let text = text.trim();
    let at = convert::parse_iso_8601(text)
        .or_else(|| convert::parse_iso_8601(&format!("{text}T00:00:00Z")))
        .ok_or_else(malformed)?;
    if !at.0.is_multiple_of(DAY_MS) {
        return Err(invalid("'Date' must be at midnight GMT".to_owned()));
    }
    Ok(at)
}
