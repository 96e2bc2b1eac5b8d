use gateway_meta::{
    AccountId, VersionId,
    record::{
        Body, ETag, Encryption, NoncurrentExpiration, ObjectLock, ObjectMetadata, SystemHeaders,
    },
};

use super::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const REAL: Day = Day { ms: DAY };
/// 2014-01-15 00:00 UTC, of the example in S3's documentation.
const MIDNIGHT: u64 = 1_389_744_000_000;

fn at(day: u64, hours: u64) -> UnixMillis {
    UnixMillis(MIDNIGHT + day * DAY + hours * HOUR)
}

fn rule(scope: RuleScope) -> LifecycleRule {
    LifecycleRule {
        id: "r".to_owned(),
        enabled: true,
        scope,
        expiration: None,
        transitions: Vec::new(),
        noncurrent_expiration: None,
        noncurrent_transitions: Vec::new(),
        abort_uploads_days: None,
    }
}

fn everything() -> RuleScope {
    RuleScope::Filter(RuleFilter::default())
}

fn expiring(scope: RuleScope, days: u32) -> LifecycleRule {
    LifecycleRule { expiration: Some(Expiration::Days(days)), ..rule(scope) }
}

fn record(rules: Vec<LifecycleRule>) -> LifecycleRecord {
    LifecycleRecord { rules, transition_minimum: None }
}

fn object(modified: UnixMillis, len_bytes: u64, tags: &[(&str, &str)]) -> ObjectRecord {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let metadata = ObjectMetadata {
        len_bytes,
        etag: ETag { md5: [0; 16], part_count: None },
        checksum: None,
        headers: SystemHeaders::default(),
        user_metadata: Vec::new(),
        tags: tags.iter().map(owned).collect(),
        storage_class: String::new(),
        owner: AccountId(1),
        upload: None,
        body: Body::Empty,
        lock: ObjectLock::default(),
        encryption: Encryption::Managed,
    };
    let kind = ObjectKind::Object(Box::new(metadata));
    ObjectRecord { version: VersionId::Null, seq: 1, modified, kind }
}

fn marker(modified: UnixMillis) -> ObjectRecord {
    ObjectRecord { kind: ObjectKind::DeleteMarker, ..object(modified, 0, &[]) }
}

fn newest(alone: bool) -> Standing {
    Standing { newer: 0, newer_modified: None, alone }
}

fn older(newer: u64, since: UnixMillis) -> Standing {
    Standing { newer, newer_modified: Some(since), alone: false }
}

fn judge(
    rules: &LifecycleRecord,
    version: &ObjectRecord,
    standing: Standing,
    now: UnixMillis,
) -> Verdict {
    Rules { record: rules, day: REAL }.judge("logs/a", version, standing, now)
}

#[test]
fn age_is_rounded_up_to_the_next_midnight() {
    // S3's documentation: made on 15 January at 10:30, three days: 19 January, 00:00.
    let made = UnixMillis(MIDNIGHT + 10 * HOUR + HOUR / 2);
    assert_eq!(REAL.due(made, 3), at(4, 0));
    assert_eq!(REAL.due(at(0, 0), 1), at(2, 0));
    assert_eq!(REAL.due(UnixMillis(MIDNIGHT - 1), 1), at(1, 0));
    let short = Day::new(Duration::from_secs(1));
    assert_eq!(short.due(UnixMillis(10_500), 3), UnixMillis(14_000));
    assert_eq!(short.start(UnixMillis(10_500)), UnixMillis(10_000));
    assert_eq!(REAL.due(UnixMillis(u64::MAX), u32::MAX), UnixMillis(u64::MAX));
}

#[test]
fn objects_expire_when_their_midnight_comes_and_not_before() {
    let rules = record(vec![expiring(everything(), 3)]);
    let version = object(at(0, 10), 1, &[]);
    let last_ms = UnixMillis(at(4, 0).0 - 1);
    assert_eq!(judge(&rules, &version, newest(true), last_ms), Verdict::Keep);
    assert_eq!(judge(&rules, &version, newest(true), at(4, 0)), Verdict::Expire);
    assert_eq!(judge(&rules, &version, older(1, at(0, 11)), at(99, 0)), Verdict::Keep);
}

#[test]
fn a_date_expires_everything_from_then_on() {
    let by_date = Some(Expiration::At(at(7, 0)));
    let rules = record(vec![LifecycleRule { expiration: by_date, ..rule(everything()) }]);
    for made in [at(0, 0), at(8, 5)] {
        let version = object(made, 1, &[]);
        assert_eq!(judge(&rules, &version, newest(true), at(6, 23)), Verdict::Keep);
        assert_eq!(judge(&rules, &version, newest(true), at(8, 6)), Verdict::Expire);
    }
}

#[test]
fn filters_match_all_that_they_name() {
    let filter = |prefix: &str, tags: &[(&str, &str)], larger, smaller| {
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        RuleScope::Filter(RuleFilter {
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            tags,
            larger_than_bytes: larger,
            smaller_than_bytes: smaller,
            joined: true,
        })
    };
    let tagged = [("k", "v"), ("x", "y")];
    let cases = [
        (everything(), true),
        (RuleScope::Prefix("logs/".to_owned()), true),
        (RuleScope::Prefix("log/".to_owned()), false),
        (filter("logs/", &[], None, None), true),
        (filter("tmp/", &tagged, Some(1), Some(1_000)), false),
        (filter("", &[("k", "v")], None, None), true),
        (filter("", &tagged, Some(499), Some(501)), true),
        (filter("", &[("k", "other")], None, None), false),
        (filter("", &[("k", "v"), ("absent", "")], None, None), false),
        (filter("", &[], Some(500), None), false),
        (filter("", &[], None, Some(500)), false),
    ];
    for (scope, matches) in cases {
        let rules = record(vec![expiring(scope.clone(), 1)]);
        let version = object(at(0, 0), 500, &tagged);
        let expected = if matches { Verdict::Expire } else { Verdict::Keep };
        assert_eq!(judge(&rules, &version, newest(true), at(9, 0)), expected, "{scope:?}");
    }
}

#[test]
fn disabled_rules_say_nothing() {
    let off =
        LifecycleRule { enabled: false, abort_uploads_days: Some(1), ..expiring(everything(), 1) };
    let rules = record(vec![off]);
    let version = object(at(0, 0), 1, &[]);
    assert_eq!(judge(&rules, &version, newest(true), at(99, 0)), Verdict::Keep);
    let rules = Rules { record: &rules, day: REAL };
    assert_eq!(rules.aborts("logs/a", at(0, 0)), None);
    assert_eq!(rules.version_prefixes(), Vec::<String>::new());
    assert_eq!(rules.upload_prefixes(), Vec::<String>::new());
}

#[test]
fn older_versions_go_by_the_age_of_their_successor_and_beyond_those_kept() {
    let expiration = NoncurrentExpiration { days: 5, newer_versions: Some(2) };
    let rules = record(vec![LifecycleRule {
        noncurrent_expiration: Some(expiration),
        ..rule(everything())
    }]);
    let version = object(at(0, 0), 1, &[]);
    let verdict = |newer, since, now| judge(&rules, &version, older(newer, since), now);
    // The first two older versions stay, however old.
    assert_eq!(verdict(1, at(0, 5), at(99, 0)), Verdict::Keep);
    assert_eq!(verdict(2, at(0, 5), at(99, 0)), Verdict::Keep);
    assert_eq!(verdict(3, at(0, 5), at(99, 0)), Verdict::Remove);
    // It is the successor's age that counts.
    assert_eq!(verdict(3, at(20, 5), at(25, 23)), Verdict::Keep);
    assert_eq!(verdict(3, at(20, 5), at(26, 0)), Verdict::Remove);
    assert_eq!(judge(&rules, &version, newest(false), at(99, 0)), Verdict::Keep);
    // Delete markers below a newer version are versions, too.
    assert_eq!(judge(&rules, &marker(at(0, 0)), older(3, at(0, 5)), at(9, 0)), Verdict::Remove);
}

#[test]
fn lone_markers_go_at_once_by_their_own_rule_and_with_age_by_the_others() {
    let lone = |goes| Some(Expiration::LoneMarkers(goes));
    let at_once = record(vec![LifecycleRule { expiration: lone(true), ..rule(everything()) }]);
    let by_age = record(vec![expiring(everything(), 3)]);
    let never = record(vec![LifecycleRule { expiration: lone(false), ..rule(everything()) }]);
    let made = marker(at(0, 10));
    assert_eq!(judge(&at_once, &made, newest(true), at(0, 11)), Verdict::Remove);
    assert_eq!(judge(&at_once, &made, newest(false), at(99, 0)), Verdict::Keep);
    assert_eq!(judge(&by_age, &made, newest(true), at(3, 23)), Verdict::Keep);
    assert_eq!(judge(&by_age, &made, newest(true), at(4, 0)), Verdict::Remove);
    assert_eq!(judge(&by_age, &made, newest(false), at(99, 0)), Verdict::Keep);
    assert_eq!(judge(&never, &made, newest(true), at(99, 0)), Verdict::Keep);
    assert_eq!(judge(&at_once, &object(at(0, 0), 1, &[]), newest(true), at(99, 0)), Verdict::Keep);
}

#[test]
fn rules_by_tag_or_least_size_leave_markers_alone() {
    for filter in [
        RuleFilter { tags: vec![("k".to_owned(), "v".to_owned())], ..RuleFilter::default() },
        RuleFilter { larger_than_bytes: Some(0), ..RuleFilter::default() },
    ] {
        let rules = record(vec![expiring(RuleScope::Filter(filter), 1)]);
        assert_eq!(judge(&rules, &marker(at(0, 0)), newest(true), at(99, 0)), Verdict::Keep);
    }
}

#[test]
fn of_overlapping_rules_the_first_to_be_due_decides() {
    let named =
        |id: &str, scope, days| LifecycleRule { id: id.to_owned(), ..expiring(scope, days) };
    let mut rules = record(vec![
        named("all", everything(), 365),
        named("logs", RuleScope::Prefix("logs/".to_owned()), 30),
        named("off", everything(), 1),
    ]);
    rules.rules[2].enabled = false;
    let subject = Subject { key: "logs/a", len_bytes: 1, tags: &[] };
    let asked = Rules { record: &rules, day: REAL };
    let due = |at, rule: &str| Some(LifecycleDue { at, rule: rule.to_owned() });
    assert_eq!(asked.expires(subject, at(0, 5)), due(at(31, 0), "logs"));
    let other = Subject { key: "a", ..subject };
    assert_eq!(asked.expires(other, at(0, 5)), due(at(366, 0), "all"));
    let version = object(at(0, 5), 1, &[]);
    assert_eq!(judge(&rules, &version, newest(true), at(31, 0)), Verdict::Expire);
}

#[test]
fn a_permanent_delete_wins_over_a_transition() {
    use gateway_meta::record::{RuleTime, Transition};
    let move_it = Transition { time: RuleTime::Days(30), storage_class: "GLACIER".to_owned() };
    let moving = LifecycleRule { transitions: vec![move_it], ..rule(everything()) };
    let rules = record(vec![moving.clone(), expiring(everything(), 30)]);
    let version = object(at(0, 5), 1, &[]);
    assert_eq!(judge(&rules, &version, newest(true), at(31, 0)), Verdict::Expire);
    // On its own it does nothing yet, and costs no walk.
    let alone = record(vec![moving]);
    assert_eq!(judge(&alone, &version, newest(true), at(99, 0)), Verdict::Keep);
    assert!(Rules { record: &alone, day: REAL }.version_prefixes().is_empty());
}

#[test]
fn uploads_are_aborted_by_age_and_prefix() {
    let aborting = |id: &str, prefix: &str, days| LifecycleRule {
        id: id.to_owned(),
        abort_uploads_days: Some(days),
        ..rule(RuleScope::Prefix(prefix.to_owned()))
    };
    let rules = record(vec![aborting("slow", "", 7), aborting("fast", "tmp/", 1)]);
    let asked = Rules { record: &rules, day: REAL };
    let due = |at, rule: &str| Some(LifecycleDue { at, rule: rule.to_owned() });
    assert_eq!(asked.aborts("tmp/x", at(0, 1)), due(at(2, 0), "fast"));
    assert_eq!(asked.aborts("x", at(0, 1)), due(at(8, 0), "slow"));
}

#[test]
fn prefixes_are_walked_once() {
    let prefixes = ["b", "a/b", "a/", "a/c", "b/x", "c"];
    let rules = record(prefixes.map(|p| expiring(RuleScope::Prefix(p.to_owned()), 1)).to_vec());
    let asked = Rules { record: &rules, day: REAL };
    assert_eq!(asked.version_prefixes(), ["a/", "b", "c"]);
    let all =
        record(vec![expiring(RuleScope::Prefix("b".to_owned()), 1), expiring(everything(), 2)]);
    assert_eq!(Rules { record: &all, day: REAL }.version_prefixes(), [""]);
}
