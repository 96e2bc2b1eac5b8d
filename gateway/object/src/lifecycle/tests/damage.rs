//! Rows that nobody can read: their keys are left alone, and all others have their turn.

use super::*;

impl Rig {
    async fn damage(&self, table: Table, key: Vec<u8>) {
        let put = Op::Put { table, key, value: Bytes::from_static(b"\xff") };
        self.engine.commits.commit(Vec::new(), vec![put]).await.unwrap();
    }

    fn errors(&self) -> u64 {
        self.engine.lifecycle.status(Duration::ZERO).errors
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_keeps_neither_its_neighbours_nor_other_buckets() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let mut ids = Vec::new();
    for name in ["bucket", "other"] {
        ids.push(rig.make_bucket(name, Versioning::Enabled, false).await);
        rig.configure(name, vec![expiring("", 1)]).await;
        for key in ["a", "b", "c"] {
            rig.put(name, key, ObjectAttributes::default()).await;
        }
        rig.engine.set_versioning(name, Versioning::Suspended).await.unwrap();
    }
    // Found out by the edit, not by the judgement.
    rig.damage(Table::Nul, key::nul(ids[0], b"b")).await;
    rig.wait_days(3);
    rig.run(None).await;
    assert_eq!(rig.shown(ids[0]), ["-a", "a", "b", "-c", "c"]);
    assert_eq!(rig.shown(ids[1]), ["-a", "a", "-b", "b", "-c", "c"]);
    assert_eq!(rig.errors(), 1);
    assert_eq!(rig.engine.lifecycle.status(Duration::ZERO).passes, 2);
}

#[tokio::test(start_paused = true)]
async fn damaged_rules_end_their_pass_and_no_other() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let mut ids = Vec::new();
    for name in ["bucket", "other"] {
        ids.push(rig.make_bucket(name, Versioning::Never, false).await);
        rig.configure(name, vec![expiring("", 1)]).await;
        rig.put(name, "a", ObjectAttributes::default()).await;
    }
    rig.damage(Table::Ctl, ctl::bucket_config(ids[0], "lifecycle")).await;
    rig.wait_days(3);
    rig.run(None).await;
    assert_eq!(rig.shown(ids[0]), ["a"]);
    assert!(rig.shown(ids[1]).is_empty());
    assert_eq!(rig.errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_place_lets_the_pass_begin_anew() {
    let mut rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Never, false).await;
    rig.configure("bucket", vec![expiring("", 1)]).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.damage(Table::Ctl, ctl::lifecycle_progress(bucket)).await;
    rig.wait_days(3);
    rig.run(None).await;
    assert!(rig.shown(bucket).is_empty());
    assert_eq!(rig.errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_looks_at_no_older_version() {
    let rig = Rig::start(memory(), Cut::default()).await;
    let bucket = rig.make_bucket("bucket", Versioning::Enabled, false).await;
    let first = rig.put("bucket", "a", ObjectAttributes::default()).await;
    rig.put("bucket", "a", ObjectAttributes::default()).await;
    let VersionId::Id(seq) = first.version else { panic!("it has an id") };
    rig.damage(Table::Ver, key::ver(bucket, b"a", u128::from_be_bytes(seq))).await;
    rig.delete("bucket", "a", None).await;
    assert!(rig.meta.get(Table::Cur, &key::cur(bucket, b"a")).unwrap().is_none());
    let older = KeyRange::prefix(&key::ver_prefix(bucket, b"a"));
    assert_eq!(rig.meta.scan(Table::Ver, older, 9).await.unwrap().len(), 3);
}
