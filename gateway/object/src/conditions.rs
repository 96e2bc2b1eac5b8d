//! Conditions on writes and reads. Pure: what holds for a version, not when it is asked.

use gateway_meta::record::{ETag, ObjectMetadata};

use crate::{
    ETagCondition, ObjectInfo, ObjectReadError, ObjectWriteError, ReadCondition, WriteCondition,
};

/// An ETag as clients see it, without quotes: hex digits, and the part count of multipart objects.
#[must_use]
pub fn etag_text(etag: &ETag) -> String {
    let mut text = hex(&etag.md5);
    if let Some(count) = etag.part_count {
        text.push_str(&format!("-{count}"));
    }
    text
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `condition` names `etag`.
pub(crate) fn names(condition: &ETagCondition, etag: &ETag) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::Tags(tags) => {
            let text = etag_text(etag);
            tags.contains(&text)
        }
    }
}

/// Whether a write under `condition` may replace `live`.
pub(crate) fn check_write(
    condition: &WriteCondition,
    live: Option<&ObjectMetadata>,
) -> Result<(), ObjectWriteError> {
    if let Some(wanted) = &condition.if_match {
        let live = live.ok_or(ObjectWriteError::NoSuchKey)?;
        if !names(wanted, &live.etag) {
            return Err(ObjectWriteError::PreconditionFailed { condition: "If-Match" });
        }
    }
    if let (Some(refused), Some(live)) = (&condition.if_none_match, live)
        && names(refused, &live.etag)
    {
        return Err(ObjectWriteError::PreconditionFailed { condition: "If-None-Match" });
    }
    Ok(())
}

/// Whether `condition` asks for anything.
pub(crate) fn is_conditional(condition: &WriteCondition) -> bool {
    condition.if_match.is_some() || condition.if_none_match.is_some()
}

/// Whether a read under `condition` may return the version, in the order of RFC 9110, section
/// 13.2.2: a time counts only where its ETag twin was not given. Times count in whole seconds.
pub(crate) fn check_read(
    condition: &ReadCondition,
    info: &ObjectInfo,
) -> Result<(), ObjectReadError> {
    let etag = &info.metadata.etag;
    let modified_s = info.modified.0 / 1000;
    if let Some(wanted) = &condition.if_match {
        if !names(wanted, etag) {
            return Err(ObjectReadError::PreconditionFailed { condition: "If-Match" });
        }
    } else if let Some(since) = condition.if_unmodified_since
        && modified_s > since.0 / 1000
    {
        return Err(ObjectReadError::PreconditionFailed { condition: "If-Unmodified-Since" });
    }
    let not_modified = if let Some(known) = &condition.if_none_match {
        names(known, etag)
    } else if let Some(since) = condition.if_modified_since {
        modified_s <= since.0 / 1000
    } else {
        false
    };
    if not_modified {
        return Err(ObjectReadError::NotModified { info: Box::new(info.clone()) });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
