//! What is done, what is left alone, and what changes between judgement and action.

use gateway_meta::record::{LifecyclePlace, Retention, RetentionMode};

use super::*;
use crate::{
    MultipartError, UploadRef,
    lifecycle::walk::{DoomedKey, Judge},
};

impl Rig {
    /// What judges by the bucket's rules now.
    fn judge(&self, bucket: &str) -> Judge {
        let found = self.engine.find_bucket(bucket).unwrap().unwrap();
        Judge {
            bucket: found.id,
            record: (**found.configs.lifecycle.as_ref().unwrap()).clone(),
            day: self.engine.lifecycle_day(),
            now: self.clock.now(),
        }
    }

    /// What a page of the bucket's rules dooms now.
    pub(super) async fn doomed(&self, bucket: &str) -> Vec<DoomedKey> {
        let judge = self.judge(bucket);
        let read = move |snapshot: &dyn gateway_meta::MetaSnapshot| {
            let cut = Cut { page_rows: 5000, ..Cut::default() };
            judge.versions(snapshot, &LifecyclePlace::default(), cut)
        };
        self.engine.on_snapshot(read).await.unwrap().doomed
    }

    async fn create_upload(&self, bucket: &str, key: &str) -> UploadRef {
        let request = CreateUpload {
            target: target(bucket, key),
            initiator: OWNER,
            attributes: ObjectAttributes::default(),
            checksum: None,
        };
        let upload = self.engine.create_upload(request).await.unwrap().upload;
        UploadRef { target: target(bucket, key), upload }
    }
}

#[tokio::test(start_paused = true)]
async fn expiration_deletes_in_the_way_of_each_mode() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let mut ids = Vec::new();
    for (name, versioning) in [
        ("never", Versioning::Never),
        ("enabled", Versioning::Enabled),
        ("suspended", Versioning::Suspended),
    ] {
        ids.push(rig.make_bucket(name, versioning, false).await);
        rig.configure(name, vec![expiring("a", 1)]).await;
        rig.put(name, "a", ObjectAttributes::default()).await;
        rig.put(name, "b", ObjectAttributes::default()).await;
    }
    rig.run(None).await;
    assert_eq!(rig.shown(ids[0]), ["a", "b"]);
    rig.wait_days(2);
    rig.run(None).await;
    assert_eq!(rig.shown(ids[0]), ["b"]);
    assert_eq!(rig.shown(ids[1]), ["-a", "a", "b"]);
    assert_eq!(rig.shown(ids[2]), ["-a", "b"]);
    rig.assert_usage_is_right();
    let status = rig.engine.lifecycle.status(Duration::from_secs(1));
    assert_eq!((status.expired, status.passes, status.errors), (3, 6, 0));
    assert_eq!(status.last_round, Some(rig.clock.now()));
    // The marker of the suspended bucket is alone, and goes when it is old enough itself.
    rig.wait_days(2);
    rig.run(None).await;
    assert_eq!(rig.shown(ids[1]), ["-a", "a", "b"]);
    assert_eq!(rig.shown(ids[2]), ["b"]);
    rig.assert_usage_is_right();
}

#[tokio::test(start_paused = true)]
async fn a_pass_runs_once_a_day_and_after_changes_of_the_rules() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    rig.make_bucket("bucket", Versioning::Never, false).await;
    let passes = |rig: &Rig| rig.engine.lifecycle.status(Duration::ZERO).passes;
    rig.run(None).await;
    assert_eq!(passes(&rig), 0);
    rig.configure("bucket", vec![expiring("", 1)]).await;
    rig.run(None).await;
    rig.run(None).await;
    assert_eq!(passes(&rig), 1);
    rig.configure("bucket", vec![expiring("x", 1)]).await;
    rig.run(None).await;
    assert_eq!(passes(&rig), 2);
    rig.wait_days(1);
    rig.run(None).await;
    assert_eq!(passes(&rig), 3);
    rig.restart().await;
    rig.run(None).await;
    assert_eq!(passes(&rig), 0);
    rig.engine.delete_config::<LifecycleRecord>("bucket").await.unwrap();
    rig.wait_days(1);
    rig.run(None).await;
    assert_eq!(passes(&rig), 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_written_over_is_not_expired_by_what_was_thought_of_the_old_one() {
    let rig = Rig::start(memory(), Cut::default()).await;
    for (name, versioning) in [("never", Versioning::Never), ("enabled", Versioning::Enabled)] {
        let bucket = rig.make_bucket(name, versioning, false).await;
        rig.configure(name, vec![expiring("", 1)]).await;
        rig.put(name, "a", ObjectAttributes::default()).await;
        rig.put(name, "b", ObjectAttributes::default()).await;
        rig.wait_days(5);
        let doomed = rig.doomed(name).await;
        assert_eq!(doomed.len(), 2);
        let fresh = rig.put(name, "a", ObjectAttributes::default()).await;
        rig.engine.act_on_versions((name, bucket), doomed).await.unwrap();
        let (_, newest) = &rig.versions(bucket)[0];
        assert_eq!((newest.version, newest.modified), (fresh.version, fresh.modified));
        assert!(matches!(newest.kind, ObjectKind::Object(_)));
        assert!(!rig.shown(bucket).contains(&"-a".to_owned()));
        assert_ne!(rig.shown(bucket).last(), Some(&"b".to_owned()).filter(|_| name == "never"));
    }
}

#[tokio::test(start_paused = true)]
async fn rules_that_changed_since_the_judgement_decide() {
    let rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    for rules in [vec![expiring("other", 1)], vec![expiring("", 99)]] {
        rig.configure("bucket", vec![expiring("", 1)]).await;
        rig.wait_days(3);
        let doomed = rig.doomed("bucket").await;
        assert_eq!(doomed.len(), 1);
        rig.configure("bucket", rules).await;
        rig.engine.act_on_versions(("bucket", bucket), doomed.clone()).await.unwrap();
        assert_eq!(rig.shown(bucket), ["a"]);
        rig.engine.delete_config::<LifecycleRecord>("bucket").await.unwrap();
        rig.engine.act_on_versions(("bucket", bucket), doomed).await.unwrap();
        assert_eq!(rig.shown(bucket), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_became_the_newest_again_is_not_removed_as_an_older_one() {
    let rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    rig.configure("bucket", vec![thinning("", 1, None)]).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    let newer = rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.wait_days(3);
    let doomed = rig.doomed("bucket").await;
    assert_eq!(doomed.len(), 1);
    rig.delete("bucket", "a", Some(newer.version)).await;
    rig.engine.act_on_versions(("bucket", bucket), doomed.clone()).await.unwrap();
    assert_eq!(rig.shown(bucket), ["a"]);
    // Covered anew, it is older since just now.
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.engine.act_on_versions(("bucket", bucket), doomed).await.unwrap();
    assert_eq!(rig.shown(bucket), ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn locked_versions_stay_until_they_are_not() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, true).await;
    let mut all = expiring("", 1);
    all.noncurrent_expiration = Some(NoncurrentExpiration { days: 1, newer_versions: None });
    rig.configure("bucket", vec![all]).await;
    let until = UnixMillis(START.0 + 20 * DAY_MS);
    let retained =
        |mode| ObjectLock { retention: Some(Retention { mode, until }), legal_hold: None };
    let held = ObjectLock { retention: None, legal_hold: Some(true) };
    rig.put("bucket", "compliance", locked(retained(RetentionMode::Compliance))).await;
    rig.put("bucket", "governance", locked(retained(RetentionMode::Governance))).await;
    rig.put("bucket", "held", locked(held)).await;
    rig.put("bucket", "plain", ObjectAttributes::default()).await;
    for _ in 0..9 {
        rig.wait_days(2);
        rig.run(None).await;
    }
    // All expired behind a marker each; what is not locked went, and its lone marker after it.
    let kept = ["compliance", "governance", "held"].map(|key| [format!("-{key}"), key.to_owned()]);
    assert_eq!(rig.shown(bucket), kept.concat());
    assert!(rig.engine.lifecycle.status(Duration::ZERO).locked > 0);
    for _ in 0..5 {
        rig.wait_days(2);
        rig.run(None).await;
    }
    assert_eq!(rig.shown(bucket), ["-held", "held"]);
    rig.assert_usage_is_right();
}

#[tokio::test(start_paused = true)]
async fn a_key_with_many_versions_keeps_exactly_the_newest_ones() {
    let mut rig = Rig::start(memory(), tiny(70)).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    rig.configure("bucket", vec![thinning("", 1, Some(3))]).await;
    for _ in 0..1500 {
        rig.put("bucket", "k", ObjectAttributes::default()).await;
        rig.clock.advance_ms(1);
    }
    let newest: Vec<_> = rig.versions(bucket).into_iter().take(4).collect();
    rig.put("bucket", "l", ObjectAttributes::default()).await;
    rig.wait_days(3);
    rig.run(Some(9)).await;
    assert_eq!(rig.versions(bucket)[..4], newest);
    assert_eq!(rig.shown(bucket), ["k", "k", "k", "k", "l"]);
    rig.assert_usage_is_right();
}

#[tokio::test(start_paused = true)]
async fn unfinished_uploads_are_aborted_by_age_and_prefix() {
    let mut rig = Rig::start(memory(), tiny(2)).await;
    let bucket = rig.make_bucket("bucket", Versioning::Never, false).await;
    let abort = LifecycleRule { abort_uploads_days: Some(2), ..rule("tmp/") };
    rig.configure("bucket", vec![abort]).await;
    let mut uploads = Vec::new();
    for key in ["a", "tmp/1", "tmp/2", "tmp/3", "z"] {
        uploads.push(rig.create_upload("bucket", key).await);
    }
    rig.wait_days(2);
    let fresh = rig.create_upload("bucket", "tmp/4").await;
    rig.wait_days(1);
    rig.run(Some(3)).await;
    let is_there = |upload: &UploadRef| {
        let row_key = key::mpu(bucket, upload.target.key.as_bytes(), upload.upload);
        rig.meta.get(Table::Mpu, &row_key).unwrap().is_some()
    };
    let there: Vec<bool> = uploads.iter().map(is_there).collect();
    assert_eq!(there, [true, false, false, false, true]);
    assert!(is_there(&fresh));
    let again = rig.engine.abort_upload(uploads[1].clone()).await;
    assert!(matches!(again, Err(MultipartError::NoSuchUpload)), "{again:?}");
    rig.assert_usage_is_right();
}

#[tokio::test(start_paused = true)]
async fn uploads_stay_if_the_rules_of_now_say_so() {
    let rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Never, false).await;
    let abort = |days| LifecycleRule { abort_uploads_days: Some(days), ..rule("") };
    rig.configure("bucket", vec![abort(1)]).await;
    let upload = rig.create_upload("bucket", "a").await;
    rig.wait_days(3);
    let judge = rig.judge("bucket");
    let page = judge.uploads(&*rig.meta.snapshot(), &[], 10).unwrap().doomed;
    assert_eq!(page.len(), 1);
    let row_key = key::mpu(bucket, b"a", upload.upload);
    for (days, stays) in [(99, true), (2, false)] {
        rig.configure("bucket", vec![abort(days)]).await;
        rig.engine.act_on_uploads(("bucket", bucket), page.clone()).await.unwrap();
        assert_eq!(rig.meta.get(Table::Mpu, &row_key).unwrap().is_some(), stays);
    }
}

#[tokio::test(start_paused = true)]
async fn versions_behind_many_others_are_judged_by_the_rules_of_now() {
    let rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    for _ in 0..3 {
        rig.put("bucket", "k", ObjectAttributes::default()).await;
    }
    rig.wait_days(9);
    for _ in 0..1010 {
        rig.put("bucket", "k", ObjectAttributes::default()).await;
    }
    rig.wait_days(2);
    // Two are older since long; the third since the thousand came.
    let mut rules = vec![thinning("", 5, None)];
    for (changed, left) in [(20, 1013), (5, 1011)] {
        rig.configure("bucket", rules).await;
        let doomed = rig.doomed("bucket").await;
        assert_eq!(doomed[0].versions.len(), 2);
        rules = vec![thinning("", changed, None)];
        rig.configure("bucket", rules.clone()).await;
        rig.engine.act_on_versions(("bucket", bucket), doomed).await.unwrap();
        assert_eq!(rig.versions(bucket).len(), left);
        rules = vec![thinning("", 5, None)];
    }
    rig.assert_usage_is_right();
}

#[tokio::test(start_paused = true)]
async fn damaged_rows_are_counted_and_keep_nobody_else() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    rig.configure("bucket", vec![thinning("", 1, None), expiring("z", 1)]).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.put("bucket", "z", ObjectAttributes::default()).await;
    let row_key = key::cur(bucket, b"a");
    let damage = Op::Put { table: Table::Cur, key: row_key, value: Bytes::from_static(b"\xff") };
    rig.engine.commits.commit(Vec::new(), vec![damage]).await.unwrap();
    rig.wait_days(5);
    rig.run(None).await;
    let snapshot = rig.meta.snapshot();
    let below = KeyRange::prefix(&key::ver_prefix(bucket, b"a"));
    assert!(snapshot.cursor(Table::Ver, below).next().unwrap().is_some());
    let expired = snapshot.get(Table::Cur, &key::cur(bucket, b"z")).unwrap();
    assert_eq!(expired, None);
    assert_eq!(rig.engine.lifecycle.status(Duration::ZERO).errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_made_anew_starts_anew() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    rig.make_bucket("bucket", Versioning::Never, false).await;
    rig.configure("bucket", vec![expiring("", 1)]).await;
    rig.run(None).await;
    rig.engine.delete_bucket("bucket").await.unwrap();
    let rows = KeyRange::prefix(b"lifecycle-progress/");
    assert!(rig.meta.snapshot().cursor(Table::Ctl, rows).next().unwrap().is_none());
    let bucket = rig.make_bucket("bucket", Versioning::Never, false).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.wait_days(3);
    rig.run(None).await;
    assert_eq!(rig.shown(bucket), ["a"]);
}
