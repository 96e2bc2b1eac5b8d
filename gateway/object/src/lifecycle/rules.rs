//! What lifecycle rules say of one version or one upload. Pure.
//!
//! Invariants:
//! - nothing is due before its age in days has passed and the next midnight UTC has come; with a
//!   shortened day, midnight is the next multiple of that day;
//! - a version is judged by what it is itself and by its place among the versions of its key:
//!   how many are newer, and when it stopped being the newest;
//! - a delete marker has no tags and is zero bytes long;
//! - rules that move versions to other storage classes say nothing here: there is one class.
//!
//! Where several rules apply, the one that is due first decides: every action here removes, so
//! there is nothing to weigh.

use std::time::Duration;

use gateway_meta::record::{
    Expiration, LifecycleRecord, LifecycleRule, ObjectKind, ObjectRecord, RuleFilter, RuleScope,
};
use node_proto::UnixMillis;

/// How long a day of lifecycle rules is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    ms: u64,
}

/// What is due, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleDue {
    /// From when on it may happen.
    pub at: UnixMillis,
    /// The rule's id.
    pub rule: String,
}

/// What rules are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) key: &'a str,
    pub(crate) len_bytes: u64,
    pub(crate) tags: &'a [(String, String)],
}

/// Where a version stands among those of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Newer versions of the key, delete markers included.
    pub(crate) newer: u64,
    /// When the next newer version was made; `None` for the newest.
    pub(crate) newer_modified: Option<UnixMillis>,
    /// Whether it is the only version.
    pub(crate) alone: bool,
}

/// What shall become of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// It is the newest and an object: as a delete of its key.
    Expire,
    /// It goes for good.
    Remove,
}

impl Day {
    /// A day of at least a millisecond.
    pub(crate) fn new(len: Duration) -> Self {
        Self { ms: u64::try_from(len.as_millis()).unwrap_or(u64::MAX).max(1) }
    }

    /// When something of `since` is `days` old: the midnight behind that moment.
    pub(crate) fn due(self, since: UnixMillis, days: u32) -> UnixMillis {
        let aged = since.0.saturating_add(u64::from(days).saturating_mul(self.ms));
        UnixMillis((aged / self.ms).saturating_add(1).saturating_mul(self.ms))
    }

    /// The midnight before `at`, or at it.
    pub(crate) fn start(self, at: UnixMillis) -> UnixMillis {
        UnixMillis(at.0 / self.ms * self.ms)
    }

    /// Its length.
    pub(crate) fn len(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

/// A configuration, to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) record: &'a LifecycleRecord,
    pub(crate) day: Day,
}

impl<'a> Rules<'a> {
    fn enabled(self) -> impl Iterator<Item = &'a LifecycleRule> {
        self.record.rules.iter().filter(|rule| rule.enabled)
    }

    /// What shall become of a version at `now`.
    pub(crate) fn judge(
        self,
        key: &str,
        version: &ObjectRecord,
        standing: Standing,
        now: UnixMillis,
    ) -> Verdict {
        let (len_bytes, tags, is_marker) = match &version.kind {
            ObjectKind::Object(metadata) => (metadata.len_bytes, &metadata.tags[..], false),
            ObjectKind::DeleteMarker => (0, &[][..], true),
        };
        let subject = Subject { key, len_bytes, tags };
        let mut rules = self.enabled().filter(|rule| applies(&rule.scope, subject));
        match standing.newer_modified {
            Some(since) => {
                let goes = |rule| self.removes_older(rule, since, standing.newer - 1, now);
                if rules.any(goes) { Verdict::Remove } else { Verdict::Keep }
            }
            None if is_marker => {
                let goes = |rule| self.removes_marker(rule, version.modified, now);
                if standing.alone && rules.any(goes) { Verdict::Remove } else { Verdict::Keep }
            }
            None => {
                let due = |rule| self.expiry(rule, version.modified).is_some_and(|at| at <= now);
                if rules.any(due) { Verdict::Expire } else { Verdict::Keep }
            }
        }
    }

    /// Whether a rule removes a version that is not the newest since `since`, with `newer` other
    /// such versions above it.
    fn removes_older(
        self,
        rule: &LifecycleRule,
        since: UnixMillis,
        newer: u64,
        now: UnixMillis,
    ) -> bool {
        rule.noncurrent_expiration.is_some_and(|expiration| {
            expiration.newer_versions.is_none_or(|kept| newer >= u64::from(kept))
                && self.day.due(since, expiration.days) <= now
        })
    }

    /// Whether a rule removes a delete marker without other versions. Expiration by age or date
    /// does, too, so that nobody needs a second rule for what the first one leaves.
    fn removes_marker(self, rule: &LifecycleRule, modified: UnixMillis, now: UnixMillis) -> bool {
        match rule.expiration {
            Some(Expiration::LoneMarkers(goes)) => goes,
            _ => self.expiry(rule, modified).is_some_and(|at| at <= now),
        }
    }

    fn expiry(self, rule: &LifecycleRule, modified: UnixMillis) -> Option<UnixMillis> {
        match rule.expiration? {
            Expiration::Days(days) => Some(self.day.due(modified, days)),
            Expiration::At(at) => Some(at),
            Expiration::LoneMarkers(_) => None,
        }
    }

    /// When the newest version of a key expires, if it stays as it is; by the rule that comes
    /// first.
    pub(crate) fn expires(
        self,
        subject: Subject<'_>,
        modified: UnixMillis,
    ) -> Option<LifecycleDue> {
        self.enabled()
            .filter(|rule| applies(&rule.scope, subject))
            .filter_map(|rule| Some((self.expiry(rule, modified)?, &rule.id)))
            .min_by_key(|(at, _)| *at)
            .map(|(at, rule)| LifecycleDue { at, rule: rule.clone() })
    }

    /// When an upload that was started at `initiated` is aborted, by the rule that comes first.
    pub(crate) fn aborts(self, key: &str, initiated: UnixMillis) -> Option<LifecycleDue> {
        self.enabled()
            .filter(|rule| key.starts_with(prefix(&rule.scope)))
            .filter_map(|rule| Some((self.day.due(initiated, rule.abort_uploads_days?), &rule.id)))
            .min_by_key(|(at, _)| *at)
            .map(|(at, rule)| LifecycleDue { at, rule: rule.clone() })
    }

    /// How many older versions above another one any rule asks for.
    pub(crate) fn newer_versions_max(self) -> u64 {
        let asked = |rule: &LifecycleRule| rule.noncurrent_expiration?.newer_versions;
        self.enabled().filter_map(asked).max().map_or(0, u64::from)
    }

    /// Prefixes of the keys whose versions any rule may act on; none is a prefix of another.
    pub(crate) fn version_prefixes(self) -> Vec<String> {
        let acts = |rule: &&LifecycleRule| {
            rule.expiration.is_some() || rule.noncurrent_expiration.is_some()
        };
        distinct(self.enabled().filter(acts))
    }

    /// Prefixes of the keys whose uploads any rule may abort; none is a prefix of another.
    pub(crate) fn upload_prefixes(self) -> Vec<String> {
        distinct(self.enabled().filter(|rule| rule.abort_uploads_days.is_some()))
    }
}

/// The prefixes of rules in order, without those that another one covers.
fn distinct<'a>(rules: impl Iterator<Item = &'a LifecycleRule>) -> Vec<String> {
    let mut all: Vec<&str> = rules.map(|rule| prefix(&rule.scope)).collect();
    all.sort_unstable();
    let mut kept: Vec<String> = Vec::new();
    for prefix in all {
        if kept.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
            kept.push(prefix.to_owned());
        }
    }
    kept
}

fn prefix(scope: &RuleScope) -> &str {
    match scope {
        RuleScope::Prefix(prefix) => prefix,
        RuleScope::Filter(filter) => filter.prefix.as_deref().unwrap_or_default(),
    }
}

fn applies(scope: &RuleScope, subject: Subject<'_>) -> bool {
    if !subject.key.starts_with(prefix(scope)) {
        return false;
    }
    let RuleScope::Filter(RuleFilter { tags, larger_than_bytes, smaller_than_bytes, .. }) = scope
    else {
        return true;
    };
    tags.iter().all(|tag| subject.tags.contains(tag))
        && larger_than_bytes.is_none_or(|bound| subject.len_bytes > bound)
        && smaller_than_bytes.is_none_or(|bound| subject.len_bytes < bound)
}

#[cfg(test)]
mod tests;
