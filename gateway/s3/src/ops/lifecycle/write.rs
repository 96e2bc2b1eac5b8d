//! Writes `LifecycleConfiguration` documents in the generation that they came in.

use gateway_meta::record::{
    Expiration, LifecycleRecord, LifecycleRule, RuleFilter, RuleScope, RuleTime,
};

use crate::{convert, xml::Writer};

/// Writes a document.
pub(super) fn configuration(record: &LifecycleRecord) -> String {
    let mut xml = Writer::rooted("LifecycleConfiguration");
    record.rules.iter().for_each(|one| rule(one, &mut xml));
    xml.close("LifecycleConfiguration");
    xml.finish()
}

fn rule(rule: &LifecycleRule, xml: &mut Writer) {
    xml.open("Rule");
    xml.text("ID", &rule.id);
    match &rule.scope {
        RuleScope::Prefix(prefix) => xml.text("Prefix", prefix),
        RuleScope::Filter(one) => filter(one, xml),
    }
    xml.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    for transition in &rule.transitions {
        xml.open("Transition");
        match transition.time {
            RuleTime::Days(days) => xml.value("Days", days),
            RuleTime::At(at) => xml.text("Date", &convert::iso_8601(at)),
        }
        xml.text("StorageClass", &transition.storage_class);
        xml.close("Transition");
    }
    if let Some(expiration) = rule.expiration {
        xml.open("Expiration");
        match expiration {
            Expiration::Days(days) => xml.value("Days", days),
            Expiration::At(at) => xml.text("Date", &convert::iso_8601(at)),
            Expiration::LoneMarkers(goes) => xml.value("ExpiredObjectDeleteMarker", goes),
        }
        xml.close("Expiration");
    }
    for transition in &rule.noncurrent_transitions {
        xml.open("NoncurrentVersionTransition");
        noncurrent(transition.days, transition.newer_versions, xml);
        xml.text("StorageClass", &transition.storage_class);
        xml.close("NoncurrentVersionTransition");
    }
    if let Some(expiration) = rule.noncurrent_expiration {
        xml.open("NoncurrentVersionExpiration");
        noncurrent(expiration.days, expiration.newer_versions, xml);
        xml.close("NoncurrentVersionExpiration");
    }
    if let Some(days) = rule.abort_uploads_days {
        xml.open("AbortIncompleteMultipartUpload");
        xml.value("DaysAfterInitiation", days);
        xml.close("AbortIncompleteMultipartUpload");
    }
    xml.close("Rule");
}

fn noncurrent(days: u32, newer_versions: Option<u32>, xml: &mut Writer) {
    xml.value("NoncurrentDays", days);
    if let Some(count) = newer_versions {
        xml.value("NewerNoncurrentVersions", count);
    }
}

fn filter(filter: &RuleFilter, xml: &mut Writer) {
    xml.open("Filter");
    if filter.joined {
        xml.open("And");
    }
    xml.text_if("Prefix", filter.prefix.as_deref());
    for (key, value) in &filter.tags {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    let mut size = |name, bytes: Option<u64>| {
        if let Some(bytes) = bytes {
            xml.value(name, bytes);
        }
    };
    size("ObjectSizeGreaterThan", filter.larger_than_bytes);
    size("ObjectSizeLessThan", filter.smaller_than_bytes);
    if filter.joined {
        xml.close("And");
    }
    xml.close("Filter");
}
