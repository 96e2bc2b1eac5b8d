//! Random buckets, rules and days against a simple model, with crashes in the middle of passes.
//!
//! The model keeps whole lists of versions and knows nothing of pages, tables or commits; its rules
//! are written down anew.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    modified: u64,
    /// Length, tag and legal hold; `None` for a delete marker.
    object: Option<(usize, Option<&'static str>, bool)>,
    null: bool,
}

#[derive(Clone, Debug)]
struct Action {
    prefix: &'static str,
    tag: Option<&'static str>,
    larger_than: Option<usize>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Days(u32),
    /// At so many days after the start.
    At(u64),
    LoneMarkers,
    Older(u32, Option<u32>),
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: &'static str, len: usize, tag: Option<&'static str>, hold: bool },
    Delete(&'static str),
    Wait(u64),
    Pass { crash_every: Option<usize> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Never,
    Enabled,
    /// Enabled first, suspended halfway.
    Suspended,
    Locked,
}

struct Model {
    mode: Mode,
    now: u64,
    keys: BTreeMap<&'static str, Vec<Version>>,
}

/// The midnight behind the moment at which something is `days` old.
fn due(since: u64, days: u32) -> u64 {
    let mut midnight = START.0;
    while midnight <= since + u64::from(days) * DAY_MS {
        midnight += DAY_MS;
    }
    midnight
}

impl Action {
    fn applies(&self, key: &str, version: &Version) -> bool {
        let (len, tag, _) = version.object.unwrap_or((0, None, false));
        key.starts_with(self.prefix)
            && self.tag.is_none_or(|wanted| tag == Some(wanted))
            && self.larger_than.is_none_or(|bound| len > bound)
    }

    fn rule(&self, nth: usize) -> LifecycleRule {
        let tag = self.tag.map(|tag| ("t".to_owned(), tag.to_owned()));
        let filter = RuleFilter {
            prefix: Some(self.prefix.to_owned()),
            tags: tag.into_iter().collect(),
            larger_than_bytes: self.larger_than.map(|bound| bound as u64),
            smaller_than_bytes: None,
            joined: true,
        };
        let expiration = match self.kind {
            Kind::Days(days) => Some(Expiration::Days(days)),
            Kind::At(days) => Some(Expiration::At(UnixMillis(START.0 + days * DAY_MS))),
            Kind::LoneMarkers => Some(Expiration::LoneMarkers(true)),
            Kind::Older(..) => None,
        };
        let older = match self.kind {
            Kind::Older(days, newer_versions) => {
                Some(NoncurrentExpiration { days, newer_versions })
            }
            _ => None,
        };
        LifecycleRule {
            id: format!("{nth}"),
            scope: RuleScope::Filter(filter),
            expiration,
            noncurrent_expiration: older,
            ..rule("")
        }
    }
}

impl Model {
    fn push(&mut self, key: &'static str, object: Option<(usize, Option<&'static str>, bool)>) {
        let null = matches!(self.mode, Mode::Never | Mode::Suspended);
        let versions = self.keys.entry(key).or_default();
        if null {
            versions.retain(|version| !version.null);
        }
        if !(self.mode == Mode::Never && object.is_none()) {
            versions.insert(0, Version { modified: self.now, object, null });
        }
    }

    fn delete(&mut self, key: &'static str) {
        if self.mode != Mode::Never || self.keys.contains_key(key) {
            self.push(key, None);
        }
    }

    fn pass(&mut self, actions: &[Action]) {
        let now = self.now;
        let keys: Vec<&'static str> = self.keys.keys().copied().collect();
        for key in keys {
            let versions = self.keys[key].clone();
            let applying = |version: &Version| {
                actions.iter().filter(|action| action.applies(key, version)).collect::<Vec<_>>()
            };
            let aged = |action: &Action, modified| match action.kind {
                Kind::Days(days) => due(modified, days) <= now,
                Kind::At(days) => START.0 + days * DAY_MS <= now,
                Kind::LoneMarkers | Kind::Older(..) => false,
            };
            let mut kept = Vec::new();
            let mut expires = false;
            for (place, version) in versions.iter().enumerate() {
                let rules = applying(version);
                let goes = match (place, &version.object) {
                    (0, Some(_)) => {
                        expires = rules.iter().any(|rule| aged(rule, version.modified));
                        false
                    }
                    (0, None) => {
                        versions.len() == 1
                            && rules.iter().any(|rule| {
                                matches!(rule.kind, Kind::LoneMarkers)
                                    || aged(rule, version.modified)
                            })
                    }
                    _ => rules.iter().any(|rule| match rule.kind {
                        Kind::Older(days, kept) => {
                            due(versions[place - 1].modified, days) <= now
                                && kept.is_none_or(|kept| place > kept as usize)
                        }
                        _ => false,
                    }),
                };
                let held = version.object.is_some_and(|(_, _, hold)| hold);
                if !goes || held {
                    kept.push(version.clone());
                }
            }
            self.keys.insert(key, kept);
            if expires {
                self.push(key, None);
            }
        }
        self.keys.retain(|_, versions| !versions.is_empty());
    }

    fn shown(&self) -> Vec<(String, u64, Option<usize>, bool)> {
        let show = |(key, versions): (&&str, &Vec<Version>)| {
            let one = |version: &Version| {
                let len = version.object.map(|(len, _, _)| len);
                ((*key).to_owned(), version.modified, len, version.null)
            };
            versions.iter().map(one).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(show).collect()
    }
}

const KEYS: [&str; 6] = ["a", "a/1", "a/2", "b", "b\0", "c"];

fn key() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn step() -> impl Strategy<Value = Step> {
    let tag = || prop_oneof![Just(None), Just(Some("x")), Just(Some("y"))];
    prop_oneof![
        6 => (key(), 0..5_usize, tag(), prop::bool::weighted(0.2))
            .prop_map(|(key, len, tag, hold)| Step::Put { key, len, tag, hold }),
        3 => key().prop_map(Step::Delete),
        3 => prop_oneof![1..DAY_MS, Just(DAY_MS), Just(3 * DAY_MS)].prop_map(Step::Wait),
        3 => prop_oneof![Just(None), (3..8_usize).prop_map(Some)]
            .prop_map(|crash_every| Step::Pass { crash_every }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let kind = prop_oneof![
        (1..4_u32).prop_map(Kind::Days),
        (1..9_u64).prop_map(Kind::At),
        Just(Kind::LoneMarkers),
        (1..4_u32, prop_oneof![Just(None), (1..3_u32).prop_map(Some)])
            .prop_map(|(days, kept)| Kind::Older(days, kept)),
    ];
    let prefix = select(&["", "a", "a/", "b", "b\0"][..]);
    let tag = prop_oneof![4 => Just(None), 1 => Just(Some("x"))];
    let larger_than = prop_oneof![4 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    (prefix, tag, larger_than, kind).prop_map(|(prefix, tag, larger_than, kind)| Action {
        prefix,
        tag,
        larger_than,
        kind,
    })
}

fn shown(rig: &Rig, bucket: BucketId) -> Vec<(String, u64, Option<usize>, bool)> {
    let one = |(key, record): (String, ObjectRecord)| {
        let len = match &record.kind {
            ObjectKind::Object(metadata) => Some(usize::try_from(metadata.len_bytes).unwrap()),
            ObjectKind::DeleteMarker => None,
        };
        (key, record.modified.0, len, record.version == VersionId::Null)
    };
    rig.versions(bucket).into_iter().map(one).collect()
}

async fn play(mode: Mode, actions: Vec<Action>, steps: Vec<Step>, page_rows: u64) {
    // A null version that expires is gone, and what lies under it then is older since just now. So
    // a key that is judged in two pieces may keep more, which the model does not know.
    let key_rows = if mode == Mode::Suspended { 1000 } else { page_rows };
    let mut rig = Rig::start(memory(), Cut { key_rows, ..tiny(page_rows) }).await;
    let versioning = if mode == Mode::Never { Versioning::Never } else { Versioning::Enabled };
    let bucket = rig.make_bucket("bucket", versioning, mode == Mode::Locked).await;
    let rules = actions.iter().enumerate().map(|(nth, action)| action.rule(nth)).collect();
    rig.configure("bucket", rules).await;
    let first = if mode == Mode::Suspended { Mode::Enabled } else { mode };
    let mut model = Model { mode: first, now: START.0, keys: BTreeMap::new() };
    let mut last_pass = None;
    let half = steps.len() / 2;
    for (nth, step) in steps.into_iter().enumerate() {
        if nth == half && mode == Mode::Suspended {
            rig.engine.set_versioning("bucket", Versioning::Suspended).await.unwrap();
            model.mode = Mode::Suspended;
        }
        match step {
            Step::Put { key, len, tag, hold } => {
                let hold = hold && mode == Mode::Locked;
                let tags = tag.map(|tag| ("t".to_owned(), tag.to_owned())).into_iter().collect();
                let lock = ObjectLock { retention: None, legal_hold: hold.then_some(true) };
                let attributes = ObjectAttributes { tags, ..locked(lock) };
                rig.put_len("bucket", key, len, attributes).await;
                model.push(key, Some((len, tag, hold)));
            }
            Step::Delete(key) => {
                rig.delete("bucket", key, None).await;
                model.delete(key);
            }
            Step::Wait(millis) => {
                rig.clock.advance_ms(millis);
                model.now += millis;
            }
            Step::Pass { crash_every } => {
                // Looking, reading and acting are a step each; with less nothing is ever done.
                rig.run(crash_every.filter(|every| *every > 2)).await;
                // The worker goes through a bucket once a day.
                let today = model.now / DAY_MS;
                if last_pass != Some(today) {
                    model.pass(&actions);
                }
                last_pass = Some(today);
            }
        }
        assert_eq!(shown(&rig, bucket), model.shown());
    }
    rig.assert_usage_is_right();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn lifecycle_does_what_the_model_does(
        mode in select(&[Mode::Never, Mode::Enabled, Mode::Suspended, Mode::Locked][..]),
        actions in vec(action(), 1..5),
        steps in vec(step(), 1..40),
        page_rows in 1..8_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(mode, actions, steps, page_rows));
    }
}
