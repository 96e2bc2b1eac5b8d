//! Object lock: what it keeps, from whom and for how long, whatever the clock does.

use std::sync::Arc;

use gateway_meta::{
    MemoryMetaStore, VersionId,
    record::{
        DefaultRetention, ObjectLock, ObjectLockRecord, Retention, RetentionMode, RetentionPeriod,
        Versioning,
    },
};
use gateway_object::{
    BucketError, CopyObject, CreateBucket, DeleteError, DeleteObject, GetObject, LockError,
    ObjectAttributes, ObjectConfig, ObjectReadError, ObjectRef, ObjectWriteError, PutObject,
    PutRetention,
};
use node_proto::UnixMillis;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    harness::{
        Harness, OWNER, START, collect, complete_request, copy_request, create_bucket,
        create_upload, get_request, put_request, sample, upload_ref,
    },
    races::SlowCommits,
};

use RetentionMode::{Compliance, Governance};

/// A bucket with object lock.
const VAULT: &str = "vault";
const DAY_MS: u64 = 86_400_000;

struct Vault(Harness);

impl Vault {
    async fn start() -> Self {
        Self::over(Harness::start().await).await
    }

    async fn over(harness: Harness) -> Self {
        let request = CreateBucket { object_lock: true, ..create_bucket(VAULT, OWNER) };
        harness.service.create_bucket(request).await.unwrap();
        Self(harness)
    }

    async fn put(&self, key: &str, bytes: &[u8], lock: ObjectLock) -> VersionId {
        self.try_put(key, bytes, lock).await.unwrap()
    }

    async fn try_put(
        &self,
        key: &str,
        bytes: &[u8],
        lock: ObjectLock,
    ) -> Result<VersionId, ObjectWriteError> {
        let attributes = ObjectAttributes { lock, ..ObjectAttributes::default() };
        let request = PutObject { target: vaulted(key), attributes, ..put_request(key, bytes) };
        Ok(self.0.service.put_object(request).await?.version)
    }

    async fn delete(&self, key: &str, version: VersionId, bypass: bool) -> Result<(), DeleteError> {
        let request = deletion(key, Some(version), bypass);
        self.0.service.delete_object(request).await.map(drop)
    }

    async fn read(&self, key: &str, version: VersionId) -> Result<Vec<u8>, ObjectReadError> {
        let request =
            GetObject { target: vaulted(key), version: Some(version), ..get_request(key) };
        Ok(collect(self.0.service.get_object(request).await?.body).await)
    }

    async fn lock(&self, key: &str, version: VersionId) -> ObjectLock {
        self.0.service.object_lock(&vaulted(key), Some(version)).await.unwrap().1
    }

    async fn retain(
        &self,
        key: &str,
        version: VersionId,
        retention: Option<Retention>,
        bypass_governance: bool,
    ) -> Result<(), LockError> {
        let version = Some(version);
        let request = PutRetention { target: vaulted(key), version, retention, bypass_governance };
        self.0.service.put_retention(request).await.map(drop)
    }

    async fn hold(&self, key: &str, version: VersionId, held: bool) {
        self.0.service.put_legal_hold(&vaulted(key), Some(version), held).await.unwrap();
    }

    async fn default_retention(&self, mode: RetentionMode, days: u32) {
        let default = DefaultRetention { mode, period: RetentionPeriod::Days(days) };
        let config = ObjectLockRecord { default_retention: Some(default) };
        self.0.service.put_config(VAULT, config).await.unwrap();
    }

    fn set_clock(&self, millis: u64) {
        self.0.clock.set(UnixMillis(millis));
    }
}

fn vaulted(key: &str) -> ObjectRef {
    ObjectRef { bucket: VAULT.to_owned(), key: key.to_owned() }
}

fn deletion(key: &str, version: Option<VersionId>, bypass_governance: bool) -> DeleteObject {
    DeleteObject { target: vaulted(key), version, if_match: None, bypass_governance }
}

fn retained(mode: RetentionMode, until: u64) -> ObjectLock {
    ObjectLock { retention: retention(mode, until), legal_hold: None }
}

fn retention(mode: RetentionMode, until: u64) -> Option<Retention> {
    Some(Retention { mode, until: UnixMillis(until) })
}

fn is_locked(outcome: Result<(), DeleteError>) -> bool {
    match outcome {
        Ok(()) => false,
        Err(DeleteError::Locked) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_locked_version_outlives_every_deletion_until_its_time() {
    let vault = Vault::start().await;
    let until = START.0 + 1_000;
    let governed = vault.put("g", b"governed", retained(Governance, until)).await;
    let complied = vault.put("c", b"complied", retained(Compliance, until)).await;
    let held =
        vault.put("h", b"held", ObjectLock { retention: None, legal_hold: Some(true) }).await;
    for (key, version) in [("g", governed), ("c", complied), ("h", held)] {
        assert!(is_locked(vault.delete(key, version, false).await), "{key}");
    }
    assert!(is_locked(vault.delete("c", complied, true).await));
    assert!(is_locked(vault.delete("h", held, true).await));
    // Without a version, a marker goes on top, and what is under it stays.
    let marked = vault.0.service.delete_object(deletion("c", None, false)).await.unwrap();
    assert!(marked.delete_marker);
    assert_eq!(vault.read("c", complied).await.unwrap(), b"complied");
    assert!(is_locked(vault.delete("c", complied, true).await));
    assert!(!is_locked(vault.delete("c", marked.version.unwrap(), false).await));

    assert!(!is_locked(vault.delete("g", governed, true).await));
    vault.set_clock(until - 1);
    assert!(is_locked(vault.delete("c", complied, false).await));
    vault.set_clock(until);
    assert!(!is_locked(vault.delete("c", complied, false).await));
    assert!(is_locked(vault.delete("h", held, true).await));
    vault.hold("h", held, false).await;
    assert!(!is_locked(vault.delete("h", held, false).await));
    vault.0.assert_usage_is_right().await;
}

#[tokio::test]
async fn several_deletions_at_once_respect_locks() {
    let vault = Vault::start().await;
    let until = START.0 + 1_000;
    let governed = vault.put("k", b"1", retained(Governance, until)).await;
    let complied = vault.put("k", b"2", retained(Compliance, until)).await;
    let free = vault.put("k", b"3", ObjectLock::default()).await;
    let all = |bypass| {
        [free, complied, governed].map(|version| deletion("k", Some(version), bypass)).to_vec()
    };
    let outcomes = vault.0.service.delete_objects(VAULT, all(false)).await.unwrap();
    let locked: Vec<bool> =
        outcomes.into_iter().map(|outcome| is_locked(outcome.map(drop))).collect();
    assert_eq!(locked, [false, true, true]);
    let outcomes = vault.0.service.delete_objects(VAULT, all(true)).await.unwrap();
    let locked: Vec<bool> =
        outcomes.into_iter().map(|outcome| is_locked(outcome.map(drop))).collect();
    assert_eq!(locked, [false, true, false]);
    assert_eq!(vault.read("k", complied).await.unwrap(), b"2");
    vault.0.assert_usage_is_right().await;
}

#[tokio::test]
async fn the_default_retention_locks_what_is_put_copied_and_completed() {
    let vault = Vault::start().await;
    vault.default_retention(Compliance, 2).await;
    let expected = retained(Compliance, START.0 + 2 * DAY_MS);
    let put = vault.put("put", b"bytes", ObjectLock::default()).await;
    assert_eq!(vault.lock("put", put).await, expected);

    let mut copy = CopyObject {
        target: vaulted("copy"),
        lock: ObjectLock { retention: None, legal_hold: Some(true) },
        ..copy_request("put", "copy")
    };
    copy.source.object = vaulted("put");
    let copied = vault.0.service.copy_object(copy).await.unwrap().written.version;
    let held = ObjectLock { legal_hold: Some(true), ..expected };
    assert_eq!(vault.lock("copy", copied).await, held);

    let mut create = create_upload("upload");
    create.target = vaulted("upload");
    let upload = vault.0.service.create_upload(create).await.unwrap();
    let upload =
        gateway_object::UploadRef { target: vaulted("upload"), ..upload_ref("", upload.upload) };
    let part = vault.0.upload_part(&upload, 1, b"part").await.unwrap();
    vault.0.clock.advance_ms(5_000);
    // Counted from the completion, which makes the version.
    let completed = complete_request(&upload, &[(1, &part)]);
    let completed = vault.0.service.complete_upload(completed).await.unwrap().version;
    assert_eq!(
        vault.lock("upload", completed).await,
        retained(Compliance, START.0 + 5_000 + 2 * DAY_MS)
    );
    assert!(is_locked(vault.delete("upload", completed, true).await));

    // What the writer says goes before, and what is there already keeps its own.
    let own = retained(Governance, START.0 + 60_000);
    let version = vault.put("put", b"own", own).await;
    assert_eq!(vault.lock("put", version).await, own);
    vault.default_retention(Governance, 1).await;
    assert_eq!(vault.lock("put", put).await, expected);
}

#[tokio::test]
async fn a_default_retention_does_not_start_before_what_was_seen() {
    let vault = Vault::start().await;
    vault.default_retention(Compliance, 1).await;
    vault.put("key", b"1", ObjectLock::default()).await;
    vault.set_clock(START.0 - 2 * DAY_MS);
    let second = vault.put("other", b"2", ObjectLock::default()).await;
    assert_eq!(vault.lock("other", second).await, retained(Compliance, START.0 + DAY_MS));
    assert!(is_locked(vault.delete("other", second, true).await));
    vault.set_clock(START.0 + DAY_MS - 1);
    assert!(is_locked(vault.delete("other", second, true).await));
    vault.set_clock(START.0 + DAY_MS);
    assert!(!is_locked(vault.delete("other", second, true).await));
}

#[tokio::test]
async fn locks_need_a_bucket_that_has_them_and_a_time_to_come() {
    let vault = Vault::start().await;
    let later = retained(Governance, START.0 + 1);
    let attributes = ObjectAttributes { lock: later, ..ObjectAttributes::default() };
    let plain = PutObject { attributes: attributes.clone(), ..put_request("key", b"bytes") };
    let refused = vault.0.service.put_object(plain).await;
    assert!(matches!(refused, Err(ObjectWriteError::ObjectLockNotEnabled)));
    let upload = gateway_object::CreateUpload { attributes, ..create_upload("key") };
    assert!(vault.0.service.create_upload(upload).await.is_err());
    vault.0.put("key", b"bytes").await;
    let plain = crate::harness::object("key");
    let lock = vault.0.service.object_lock(&plain, None).await;
    assert!(matches!(lock, Err(LockError::NotEnabled)));
    let held = vault.0.service.put_legal_hold(&plain, None, true).await;
    assert!(matches!(held, Err(LockError::NotEnabled)));

    let ended = retained(Governance, START.0);
    let refused = vault.try_put("key", b"bytes", ended).await;
    assert!(matches!(refused, Err(ObjectWriteError::RetentionInPast)));
    let version = vault.put("key", b"bytes", ObjectLock::default()).await;
    let refused = vault.retain("key", version, ended.retention, true).await;
    assert!(matches!(refused, Err(LockError::RetentionInPast)));
    let missing = vault.retain("none", version, later.retention, false).await;
    assert!(matches!(missing, Err(LockError::Object(ObjectReadError::NoSuchVersion))));
}

#[tokio::test]
async fn locks_of_older_versions_change_where_they_are() {
    let vault = Vault::start().await;
    let old = vault.put("key", b"old", ObjectLock::default()).await;
    vault.put("key", b"new", ObjectLock::default()).await;
    vault.hold("key", old, true).await;
    assert!(is_locked(vault.delete("key", old, false).await));
    let until = START.0 + 1_000;
    vault.retain("key", old, retention(Governance, until), false).await.unwrap();
    vault.hold("key", old, false).await;
    assert!(is_locked(vault.delete("key", old, false).await));
    let shorter = retention(Governance, until - 1);
    assert!(matches!(vault.retain("key", old, shorter, false).await, Err(LockError::Locked)));
    vault.retain("key", old, shorter, true).await.unwrap();
    vault.retain("key", old, None, true).await.unwrap();
    assert!(!is_locked(vault.delete("key", old, false).await));
}

#[tokio::test]
async fn a_bucket_with_locked_versions_neither_goes_nor_is_suspended() {
    let vault = Vault::start().await;
    let version = vault.put("key", b"bytes", retained(Compliance, START.0 + 1_000)).await;
    vault.0.service.delete_object(deletion("key", None, false)).await.unwrap();
    let removed = vault.0.service.delete_bucket(VAULT).await;
    assert!(matches!(removed, Err(BucketError::NotEmpty)));
    let suspended = vault.0.service.set_versioning(VAULT, Versioning::Suspended).await;
    assert!(matches!(suspended, Err(BucketError::ObjectLockNeedsVersioning)));
    assert_eq!(vault.read("key", version).await.unwrap(), b"bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_answered_is_never_overtaken_by_a_deletion() {
    let harness =
        Harness::start_over(Arc::new(SlowCommits::default()), ObjectConfig::default()).await;
    let vault = Vault::over(harness).await;
    let until = START.0 + DAY_MS;
    let (mut kept, mut gone) = (0, 0);
    for round in 0..60_u64 {
        let bytes = sample(100, round as u8);
        let version = vault.put("key", &bytes, ObjectLock::default()).await;
        let lock = async {
            if round % 2 == 0 {
                vault.retain("key", version, retention(Compliance, until), false).await.is_ok()
            } else {
                let target = vaulted("key");
                vault.0.service.put_legal_hold(&target, Some(version), true).await.is_ok()
            }
        };
        let delete = async {
            tokio::time::sleep(std::time::Duration::from_micros(round * 40)).await;
            vault.delete("key", version, true).await
        };
        match futures::join!(lock, delete) {
            (true, outcome) => {
                assert!(is_locked(outcome), "round {round}");
                assert_eq!(vault.read("key", version).await.unwrap(), bytes);
                kept += 1;
            }
            (false, outcome) => {
                assert!(!is_locked(outcome));
                let read = vault.read("key", version).await;
                assert!(matches!(read, Err(ObjectReadError::NoSuchVersion)));
                gone += 1;
            }
        }
    }
    assert!(kept + gone == 60 && kept > 0, "{kept} kept, {gone} gone");
    vault.0.assert_usage_is_right().await;
}

/// What is asked of the service, in any order.
#[derive(Clone, Debug)]
enum Step {
    Put { key: &'static str, len: usize, lock: ObjectLock },
    Default { mode: RetentionMode, days: u32 },
    Mark { key: &'static str },
    Delete { nth: usize, bypass: bool },
    DeleteAll { bypass: bool },
    Retain { nth: usize, retention: Option<Retention>, bypass: bool },
    Hold { nth: usize, held: bool },
    Clock { millis: u64 },
    Suspend,
    DeleteBucket,
}

fn retentions() -> impl Strategy<Value = Option<Retention>> {
    let modes = select(&[Governance, Compliance][..]);
    // The clock moves within four days around the start.
    let until = (START.0 - 2 * DAY_MS)..(START.0 + 3 * DAY_MS);
    proptest::option::of(
        (modes, until).prop_map(|(mode, until)| Retention { mode, until: UnixMillis(until) }),
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || select(&["a", "b"][..]);
    let hold = proptest::option::weighted(0.2, any::<bool>());
    let lock = (retentions(), hold)
        .prop_map(|(retention, legal_hold)| ObjectLock { retention, legal_hold });
    let modes = select(&[Governance, Compliance][..]);
    prop_oneof![
        6 => (key(), 0..40_usize, lock).prop_map(|(key, len, lock)| Step::Put { key, len, lock }),
        1 => (modes, 1..3_u32).prop_map(|(mode, days)| Step::Default { mode, days }),
        2 => key().prop_map(|key| Step::Mark { key }),
        8 => (any::<usize>(), any::<bool>())
            .prop_map(|(nth, bypass)| Step::Delete { nth, bypass }),
        1 => any::<bool>().prop_map(|bypass| Step::DeleteAll { bypass }),
        4 => (any::<usize>(), retentions(), any::<bool>())
            .prop_map(|(nth, retention, bypass)| Step::Retain { nth, retention, bypass }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(nth, held)| Step::Hold { nth, held }),
        5 => ((START.0 - 2 * DAY_MS)..(START.0 + 3 * DAY_MS))
            .prop_map(|millis| Step::Clock { millis }),
        1 => Just(Step::Suspend),
        1 => Just(Step::DeleteBucket),
    ]
}

/// A version that was made and not deleted.
#[derive(Clone)]
struct Kept {
    key: &'static str,
    version: VersionId,
    bytes: Vec<u8>,
    lock: ObjectLock,
}

/// What a test knows without asking: the rule, written down a second time.
fn is_protected(lock: &ObjectLock, now: u64, bypass: bool) -> bool {
    let is_retained = lock.retention.is_some_and(|retention| {
        now < retention.until.0 && !(bypass && retention.mode == Governance)
    });
    is_retained || lock.legal_hold == Some(true)
}

struct Run {
    vault: Vault,
    kept: Vec<Kept>,
    now: u64,
    made: u8,
}

impl Run {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Put { key, len, lock } => self.put(key, len, lock).await,
            Step::Default { mode, days } => self.vault.default_retention(mode, days).await,
            Step::Mark { key } => {
                let request = deletion(key, None, true);
                self.vault.0.service.delete_object(request).await.unwrap();
            }
            Step::Delete { nth, bypass } if !self.kept.is_empty() => {
                self.delete(nth % self.kept.len(), bypass).await;
            }
            Step::DeleteAll { bypass } => self.delete_all(bypass).await,
            Step::Retain { nth, retention, bypass } if !self.kept.is_empty() => {
                self.retain(nth % self.kept.len(), retention, bypass).await;
            }
            Step::Hold { nth, held } if !self.kept.is_empty() => {
                let at = nth % self.kept.len();
                let Kept { key, version, .. } = self.kept[at];
                self.vault.hold(key, version, held).await;
                self.kept[at].lock.legal_hold = Some(held);
            }
            Step::Delete { .. } | Step::Retain { .. } | Step::Hold { .. } => {}
            Step::Clock { millis } => {
                self.now = millis;
                self.vault.set_clock(millis);
            }
            Step::Suspend => {
                let service = &self.vault.0.service;
                assert!(service.set_versioning(VAULT, Versioning::Suspended).await.is_err());
            }
            Step::DeleteBucket => {
                // An empty one may go, which would end the run.
                if !self.kept.is_empty() {
                    assert!(self.vault.0.service.delete_bucket(VAULT).await.is_err());
                }
            }
        }
    }

    async fn put(&mut self, key: &'static str, len: usize, asked: ObjectLock) {
        self.made = self.made.wrapping_add(1);
        let bytes = sample(len, self.made);
        match self.vault.try_put(key, &bytes, asked).await {
            Ok(version) => {
                let lock = self.vault.lock(key, version).await;
                if asked.retention.is_some() {
                    assert_eq!(lock.retention, asked.retention);
                }
                if let Some(default) = lock.retention.filter(|_| asked.retention.is_none()) {
                    assert!(default.until.0 >= self.now + DAY_MS, "a default is a day at least");
                }
                assert_eq!(lock.legal_hold, asked.legal_hold);
                self.kept.push(Kept { key, version, bytes, lock });
            }
            Err(ObjectWriteError::RetentionInPast) => {
                assert!(asked.retention.unwrap().until.0 <= self.now);
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn delete(&mut self, at: usize, bypass: bool) {
        let Kept { key, version, lock, .. } = self.kept[at].clone();
        let protected = is_protected(&lock, self.now, bypass);
        assert_eq!(is_locked(self.vault.delete(key, version, bypass).await), protected);
        if !protected {
            self.kept.remove(at);
        }
    }

    async fn delete_all(&mut self, bypass: bool) {
        let named = |kept: &Kept| deletion(kept.key, Some(kept.version), bypass);
        let requests = self.kept.iter().map(named).collect();
        let outcomes = self.vault.0.service.delete_objects(VAULT, requests).await.unwrap();
        let mut outcomes = outcomes.into_iter();
        let now = self.now;
        self.kept.retain(|kept| {
            let locked = is_locked(outcomes.next().unwrap().map(drop));
            assert_eq!(locked, is_protected(&kept.lock, now, bypass));
            locked
        });
    }

    async fn retain(&mut self, at: usize, wanted: Option<Retention>, bypass: bool) {
        let Kept { key, version, lock, .. } = self.kept[at];
        let outcome = self.vault.retain(key, version, wanted, bypass).await;
        let is_allowed = match lock.retention.filter(|old| self.now < old.until.0) {
            None => true,
            Some(old) => {
                let is_longer = wanted
                    .is_some_and(|wanted| wanted.mode == old.mode && wanted.until >= old.until);
                is_longer || (bypass && old.mode == Governance)
            }
        };
        let is_to_come = wanted.is_none_or(|wanted| self.now < wanted.until.0);
        assert_eq!(outcome.is_ok(), is_allowed && is_to_come);
        if outcome.is_ok() {
            self.kept[at].lock.retention = wanted;
        }
    }

    /// Every version that was not deleted is there, with its bytes and its lock.
    async fn check(&self) {
        for Kept { key, version, bytes, lock } in &self.kept {
            assert_eq!(&self.vault.read(key, *version).await.unwrap(), bytes);
            assert_eq!(&self.vault.lock(key, *version).await, lock);
        }
        self.vault.0.assert_usage_is_right().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever the order of requests and clock steps, a protected version never goes, an
    /// unprotected one can be deleted, and what was not deleted stays readable.
    #[test]
    fn a_protected_version_never_goes(steps in vec(steps(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(MemoryMetaStore::new());
            let harness = Harness::start_over(store, ObjectConfig::default()).await;
            let vault = Vault::over(harness).await;
            let mut run = Run { vault, kept: Vec::new(), now: START.0, made: 0 };
            for step in steps {
                run.step(step).await;
            }
            run.check().await;
        });
    }
}
