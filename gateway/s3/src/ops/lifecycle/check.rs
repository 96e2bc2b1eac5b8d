//! What must hold between the parts of a lifecycle rule.
//!
//! Transitions are checked as if they were acted on, so that what is stored can be acted on once
//! there is more than one storage class.

use gateway_meta::record::{Expiration, LifecycleRule, RuleFilter, RuleScope, RuleTime};

use crate::error::{Code, Failure, Outcome};

/// Storage classes that a transition may name, in the order in which objects can pass them.
pub(super) const WATERFALL: [&str; 6] =
    ["STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// Least days before and in an infrequent-access class, which are S3's.
const INFREQUENT_DAYS_MIN: u64 = 30;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3_600_000;

fn refused(message: impl Into<String>) -> Failure {
    Failure::invalid_request(message.into())
}

fn invalid(message: String) -> Failure {
    Failure::with_message(Code::InvalidArgument, message)
}

/// Checks a rule as a whole.
///
/// # Errors
/// `InvalidRequest`, `InvalidArgument`.
pub(super) fn rule(rule: &LifecycleRule) -> Outcome<()> {
    has_action(rule)?;
    fits_filter(rule)?;
    let shown = shown_filter(&rule.scope);
    let current: Vec<Move<'_>> = rule
        .transitions
        .iter()
        .map(|transition| match transition.time {
            RuleTime::Days(days) => Move::new(u64::from(days), &transition.storage_class),
            RuleTime::At(at) => Move::new(at.0 / DAY_MS, &transition.storage_class),
        })
        .collect();
    let by_date = |time: &RuleTime| matches!(time, RuleTime::At(_));
    let end = match rule.expiration {
        Some(Expiration::Days(days)) => Some((u64::from(days), false)),
        Some(Expiration::At(at)) => Some((at.0 / DAY_MS, true)),
        Some(Expiration::LoneMarkers(_)) | None => None,
    };
    let mut units = rule.transitions.iter().map(|transition| by_date(&transition.time));
    let mut all_units = units.by_ref().chain(end.map(|(_, dated)| dated));
    let first = all_units.next();
    if all_units.any(|unit| Some(unit) != first) {
        return Err(refused(format!(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle \
             rule for {shown}"
        )));
    }
    let dated = first == Some(true);
    let unit = if dated { "Date" } else { "Days" };
    moves(&current, &Words { unit, action: "Transition", shown: &shown }, dated)?;
    if let (Some((end, _)), Some(last)) = (end, current.iter().map(|one| one.after).max())
        && end <= last
    {
        return Err(invalid(format!(
            "'{unit}' in the Expiration action for {shown} must be greater than '{unit}' in the \
             Transition action"
        )));
    }
    noncurrent(rule, &shown)
}

fn noncurrent(rule: &LifecycleRule, shown: &str) -> Outcome<()> {
    let all: Vec<Move<'_>> = rule
        .noncurrent_transitions
        .iter()
        .map(|transition| Move::new(u64::from(transition.days), &transition.storage_class))
        .collect();
    let action = "NoncurrentVersionTransition";
    moves(&all, &Words { unit: "NoncurrentDays", action, shown }, false)?;
    let last = all.iter().map(|one| one.after).max();
    if let (Some(end), Some(last)) = (rule.noncurrent_expiration, last)
        && u64::from(end.days) <= last
    {
        return Err(invalid(format!(
            "'NoncurrentDays' in the NoncurrentVersionExpiration action for {shown} must be \
             greater than 'NoncurrentDays' in the NoncurrentVersionTransition action"
        )));
    }
    Ok(())
}

fn has_action(rule: &LifecycleRule) -> Outcome<()> {
    let none = rule.expiration.is_none()
        && rule.noncurrent_expiration.is_none()
        && rule.abort_uploads_days.is_none()
        && rule.transitions.is_empty()
        && rule.noncurrent_transitions.is_empty();
    match none {
        true => Err(refused("At least one action needs to be specified in a rule")),
        false => Ok(()),
    }
}

fn fits_filter(rule: &LifecycleRule) -> Outcome<()> {
    let keeps_newer = rule.noncurrent_expiration.is_some_and(|end| end.newer_versions.is_some())
        || rule.noncurrent_transitions.iter().any(|one| one.newer_versions.is_some());
    let RuleScope::Filter(RuleFilter { tags, larger_than_bytes, smaller_than_bytes, .. }) =
        &rule.scope
    else {
        return match keeps_newer {
            true => Err(refused("NewerNoncurrentVersions can only be used in Lifecycle V2.")),
            false => Ok(()),
        };
    };
    let by_size = larger_than_bytes.is_some() || smaller_than_bytes.is_some();
    if rule.abort_uploads_days.is_some() && !tags.is_empty() {
        return Err(refused("AbortIncompleteMultipartUpload cannot be specified with Tags."));
    }
    if rule.abort_uploads_days.is_some() && by_size {
        return Err(refused(
            "AbortIncompleteMultipartUpload cannot be specified with Object Size.",
        ));
    }
    let lone_markers = matches!(rule.expiration, Some(Expiration::LoneMarkers(_)));
    if lone_markers && !tags.is_empty() {
        return Err(refused("ExpiredObjectDeleteMarker cannot be specified with Tags."));
    }
    if lone_markers && by_size {
        return Err(refused("ExpiredObjectDeleteMarker cannot be specified with Object Size."));
    }
    Ok(())
}

/// A transition: after how many days, and to which class.
#[derive(Clone, Copy)]
struct Move<'a> {
    after: u64,
    class: &'a str,
}

impl<'a> Move<'a> {
    fn new(after: u64, class: &'a str) -> Self {
        Self { after, class }
    }

    fn place(self) -> Option<usize> {
        WATERFALL.iter().position(|class| *class == self.class)
    }

    fn is_infrequent(self) -> bool {
        matches!(self.class, "STANDARD_IA" | "ONEZONE_IA")
    }
}

/// How messages name things.
struct Words<'a> {
    unit: &'a str,
    action: &'a str,
    shown: &'a str,
}

/// Checks that objects can pass the classes in the order of the days.
fn moves(all: &[Move<'_>], words: &Words<'_>, dated: bool) -> Outcome<()> {
    let Words { unit, action, shown } = words;
    for one in all.iter().filter(|one| one.is_infrequent() && !dated) {
        if one.after < INFREQUENT_DAYS_MIN {
            return Err(invalid(format!(
                "'{unit}' in {action} action must be greater than or equal to \
                 {INFREQUENT_DAYS_MIN} for storageClass '{}'",
                one.class
            )));
        }
    }
    let mut sorted = all.to_vec();
    sorted.sort_by_key(|one| one.place());
    for (earlier, later) in sorted.iter().zip(sorted.iter().skip(1)) {
        if earlier.class == later.class {
            return Err(refused(format!(
                "Found two {action} actions with the same StorageClass '{}' for {shown}",
                later.class
            )));
        }
        let least = if earlier.is_infrequent() { INFREQUENT_DAYS_MIN } else { 0 };
        let later_enough = match least {
            0 => later.after > earlier.after,
            least => later.after >= earlier.after.saturating_add(least),
        };
        if !later_enough {
            let by = match least {
                0 => "greater than".to_owned(),
                least => format!("{least} days more than"),
            };
            return Err(invalid(format!(
                "'{unit}' in the {action} action for StorageClass '{}' for {shown} must be {by} \
                 '{unit}' in the {action} action for StorageClass '{}'",
                later.class, earlier.class
            )));
        }
    }
    Ok(())
}

fn shown_filter(scope: &RuleScope) -> String {
    match scope {
        RuleScope::Prefix(prefix) => format!("prefix '{prefix}'"),
        RuleScope::Filter(filter) => {
            format!("filter '(prefix={})'", filter.prefix.as_deref().unwrap_or_default())
        }
    }
}
