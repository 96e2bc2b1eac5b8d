//! Versions in any order of operations, against the simplest thing that could be right.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gateway_meta::{
    KeyRange, MemoryMetaStore, MetaStore, Table, VersionId,
    key::parse_manifest,
    record::{
        Body, GcRecord, ObjectKind, ObjectRecord, PartRecord, PartTablePage, Record, Versioning,
    },
};
use gateway_object::{
    CopyObject, DeleteObject, ETagCondition, GetObject, ListEntry, ListObjects, ListVersions,
    MetadataDirective, ObjectConfig, ObjectReadError, ObjectWriteError, VersionEntry,
    VersionMarker, WriteCondition,
};
use node_proto::ManifestId;
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use crate::harness::{BUCKET, Harness, collect, copy_request, get_request, object, sample};

/// Which version of a key, by its place from the newest on. Places beyond the last are ids that
/// were never given out.
type Nth = usize;

#[derive(Clone, Debug)]
enum Request {
    Mode(Versioning),
    Put { key: &'static str, len: usize, condition: Condition },
    Copy { source: &'static str, nth: Option<Nth>, target: &'static str },
    Upload { key: &'static str, len: usize },
    Delete { key: &'static str, nth: Option<Nth> },
    DeleteMany(Vec<(&'static str, Option<Nth>)>),
    Tag { key: &'static str, nth: Option<Nth>, value: u8 },
    Get { key: &'static str, nth: Option<Nth> },
    List { prefix: &'static str, delimiter: &'static str, limits: Vec<usize>, after: After },
    Wait { millis: u64 },
}

/// Where a listing starts.
#[derive(Clone, Debug)]
enum After {
    Nothing,
    Key(&'static str),
    Version(&'static str, Nth),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    Absent,
    Present,
}

const KEYS: [&str; 7] = ["a", "a\0", "a/", "a/b", "a/c", "b", "é/a"];

fn key() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn nth() -> impl Strategy<Value = Option<Nth>> {
    of(0..4_usize)
}

/// Empty, in the metadata, or on devices.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 6 => 1..40_usize, 1 => 4000..9000_usize]
}

fn request() -> impl Strategy<Value = Request> {
    let condition = select(
        &[Condition::None, Condition::None, Condition::None, Condition::Absent, Condition::Present]
            [..],
    );
    let after = prop_oneof![
        2 => Just(After::Nothing),
        1 => key().prop_map(After::Key),
        2 => (key(), 0..3_usize).prop_map(|(key, nth)| After::Version(key, nth)),
    ];
    let limits = vec(1..6_usize, 1..4);
    prop_oneof![
        2 => select(&[Versioning::Enabled, Versioning::Enabled, Versioning::Suspended][..])
            .prop_map(Request::Mode),
        8 => (key(), len(), condition)
            .prop_map(|(key, len, condition)| Request::Put { key, len, condition }),
        2 => (key(), nth(), key())
            .prop_map(|(source, nth, target)| Request::Copy { source, nth, target }),
        1 => (key(), len()).prop_map(|(key, len)| Request::Upload { key, len }),
        7 => (key(), nth()).prop_map(|(key, nth)| Request::Delete { key, nth }),
        2 => vec((key(), nth()), 0..12).prop_map(Request::DeleteMany),
        2 => (key(), nth(), 0..9_u8).prop_map(|(key, nth, value)| Request::Tag { key, nth, value }),
        3 => (key(), nth()).prop_map(|(key, nth)| Request::Get { key, nth }),
        3 => (select(&["", "a", "a/", "é"][..]), select(&["", "/", "b"][..]), limits, after)
            .prop_map(|(prefix, delimiter, limits, after)| {
                Request::List { prefix, delimiter, limits, after }
            }),
        1 => (0..5_u64).prop_map(|millis| Request::Wait { millis }),
    ]
}

/// A version as the model has it; no bytes for a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    id: VersionId,
    bytes: Option<Vec<u8>>,
    tags: Vec<(String, String)>,
}

/// All versions of a bucket, those of a key from the newest on.
#[derive(Default)]
struct Model {
    mode: Versioning,
    keys: BTreeMap<&'static str, Vec<Version>>,
}

/// An entry of a listing: a common prefix, or key, version, whether it is an object and the latest.
type Entry = (String, Option<(VersionId, bool, bool)>);

impl Model {
    fn versions(&self, key: &str) -> &[Version] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    fn live(&self, key: &str) -> Option<&Version> {
        self.versions(key).first().filter(|version| version.bytes.is_some())
    }

    fn push(&mut self, key: &'static str, version: Version) {
        let versions = self.keys.entry(key).or_default();
        if self.mode != Versioning::Enabled {
            versions.retain(|version| version.id != VersionId::Null);
        }
        versions.insert(0, version);
    }

    fn delete(&mut self, key: &'static str, made: Option<VersionId>) {
        match (self.mode, made) {
            (Versioning::Never, None) => drop(self.keys.remove(key)),
            (Versioning::Enabled | Versioning::Suspended, Some(id)) => {
                self.push(key, Version { id, bytes: None, tags: Vec::new() });
            }
            (mode, made) => panic!("{mode:?} {made:?}"),
        }
    }

    fn remove(&mut self, key: &str, id: VersionId) -> Option<Version> {
        let versions = self.keys.get_mut(key)?;
        let at = versions.iter().position(|version| version.id == id)?;
        Some(versions.remove(at))
    }

    fn list(&self, prefix: &str, delimiter: &str, after: &Option<VersionMarker>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, versions) in &self.keys {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let at = if delimiter.is_empty() { None } else { rest.find(delimiter) };
            let common = at.map(|at| &key[..prefix.len() + at + delimiter.len()]);
            for (place, version) in versions.iter().enumerate() {
                let is_behind = match after {
                    None => true,
                    Some(VersionMarker { key: marker, .. }) if common == Some(marker) => false,
                    Some(VersionMarker { key: marker, version: Some(id) }) if key == marker => {
                        let marked = versions.iter().position(|version| version.id == *id);
                        place > marked.unwrap()
                    }
                    Some(VersionMarker { key: marker, .. }) => *key > marker.as_str(),
                };
                let shown = (version.id, version.bytes.is_some(), place == 0);
                let entry = match common {
                    Some(common) => (common.to_owned(), None),
                    None => ((*key).to_owned(), Some(shown)),
                };
                if is_behind && entries.last() != Some(&entry) {
                    entries.push(entry);
                }
            }
        }
        entries
    }
}

/// The service and the model, side by side.
struct Pair {
    harness: Harness,
    meta: Arc<MemoryMetaStore>,
    model: Model,
    seed: u8,
}

impl Pair {
    async fn start() -> Self {
        let meta = Arc::new(MemoryMetaStore::new());
        let store = Arc::clone(&meta) as Arc<dyn MetaStore>;
        let harness = Harness::start_over(store, ObjectConfig::default()).await;
        Self { harness, meta, model: Model::default(), seed: 0 }
    }

    async fn run(&mut self, request: Request) {
        match request {
            Request::Mode(mode) => {
                self.harness.service.set_versioning(BUCKET, mode).await.unwrap();
                self.model.mode = mode;
            }
            Request::Put { key, len, condition } => self.put(key, len, condition).await,
            Request::Copy { source, nth, target } => self.copy(source, nth, target).await,
            Request::Upload { key, len } => self.upload(key, len).await,
            Request::Delete { key, nth } => self.delete(key, nth).await,
            Request::DeleteMany(wanted) => self.delete_many(wanted).await,
            Request::Tag { key, nth, value } => self.tag(key, nth, value).await,
            Request::Get { key, nth } => self.get(key, self.id(key, nth)).await,
            Request::List { prefix, delimiter, limits, after } => {
                self.list(prefix, delimiter, &limits, after).await;
            }
            Request::Wait { millis } => self.harness.clock.advance_ms(millis),
        }
    }

    /// The id of a version by its place.
    fn id(&self, key: &str, nth: Option<Nth>) -> Option<VersionId> {
        let versions = self.model.versions(key);
        nth.map(|nth| match versions.get(nth) {
            Some(version) => version.id,
            None if nth % 2 == 0 => VersionId::Id([nth as u8; 16]),
            None => VersionId::Null,
        })
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.seed = self.seed.wrapping_add(1);
        sample(len, self.seed)
    }

    fn check_id(&self, key: &str, id: VersionId) {
        match self.model.mode {
            Versioning::Enabled => {
                let is_new = self.model.versions(key).iter().all(|version| version.id != id);
                assert!(is_new && id != VersionId::Null);
            }
            Versioning::Never | Versioning::Suspended => assert_eq!(id, VersionId::Null),
        }
    }

    fn add(
        &mut self,
        key: &'static str,
        id: VersionId,
        bytes: Vec<u8>,
        tags: Vec<(String, String)>,
    ) {
        self.check_id(key, id);
        self.model.push(key, Version { id, bytes: Some(bytes), tags });
    }

    async fn put(&mut self, key: &'static str, len: usize, condition: Condition) {
        let bytes = self.bytes(len);
        let any = Some(ETagCondition::Any);
        let (if_match, if_none_match) = match condition {
            Condition::None => (None, None),
            Condition::Absent => (None, any),
            Condition::Present => (any, None),
        };
        let asked = WriteCondition { if_match, if_none_match };
        match (self.harness.try_put(key, &bytes, asked).await, condition, self.model.live(key)) {
            (Ok(receipt), Condition::None, _)
            | (Ok(receipt), Condition::Absent, None)
            | (Ok(receipt), Condition::Present, Some(_)) => {
                self.add(key, receipt.version, bytes, Vec::new());
            }
            (Err(ObjectWriteError::PreconditionFailed { .. }), Condition::Absent, Some(_))
            | (Err(ObjectWriteError::NoSuchKey), Condition::Present, None) => {}
            (outcome, condition, live) => panic!("{outcome:?} {condition:?} {live:?}"),
        }
    }

    async fn copy(&mut self, source: &'static str, nth: Option<Nth>, target: &'static str) {
        let version = self.id(source, nth);
        let mut request = CopyObject {
            metadata: MetadataDirective::Replace {
                headers: Default::default(),
                user_metadata: Vec::new(),
            },
            ..copy_request(source, target)
        };
        request.source.version = version;
        let outcome = self.harness.service.copy_object(request).await;
        match self.expected(source, version).cloned() {
            Ok(Version { id, bytes: Some(bytes), tags }) => {
                let receipt = outcome.unwrap();
                let told = (self.model.mode != Versioning::Never).then_some(id);
                assert_eq!(receipt.source_version, told);
                self.add(target, receipt.written.version, bytes, tags);
            }
            other => {
                let Err(ObjectWriteError::Source(error)) = outcome else { panic!("{outcome:?}") };
                refused(&error, other.as_ref(), version);
            }
        }
    }

    async fn upload(&mut self, key: &'static str, len: usize) {
        let bytes = self.bytes(len);
        let upload = self.harness.create_upload(key).await;
        let unused = self.harness.upload_part(&upload, 1, b"unused").await.unwrap();
        let part = self.harness.upload_part(&upload, 2, &bytes).await.unwrap();
        drop(unused);
        let receipt = self.harness.complete(&upload, &[(2, &part)]).await.unwrap();
        self.add(key, receipt.version, bytes, Vec::new());
    }

    fn delete_request(&self, key: &str, version: Option<VersionId>) -> DeleteObject {
        DeleteObject { target: object(key), version, if_match: None, bypass_governance: false }
    }

    async fn delete(&mut self, key: &'static str, nth: Option<Nth>) {
        let version = self.id(key, nth);
        let request = self.delete_request(key, version);
        let receipt = self.harness.service.delete_object(request).await.unwrap();
        self.deleted(key, version, receipt);
    }

    async fn delete_many(&mut self, wanted: Vec<(&'static str, Option<Nth>)>) {
        let wanted: Vec<_> =
            wanted.into_iter().map(|(key, nth)| (key, self.id(key, nth))).collect();
        let requests =
            wanted.iter().map(|(key, version)| self.delete_request(key, *version)).collect();
        let outcomes = self.harness.service.delete_objects(BUCKET, requests).await.unwrap();
        assert_eq!(outcomes.len(), wanted.len());
        for ((key, version), outcome) in wanted.into_iter().zip(outcomes) {
            self.deleted(key, version, outcome.unwrap());
        }
    }

    fn deleted(
        &mut self,
        key: &'static str,
        version: Option<VersionId>,
        receipt: gateway_object::DeleteReceipt,
    ) {
        match version {
            Some(id) => {
                let removed = self.model.remove(key, id);
                let was_marker = removed.is_some_and(|version| version.bytes.is_none());
                assert_eq!((receipt.version, receipt.delete_marker), (version, was_marker));
            }
            None => {
                let made = receipt.version;
                assert_eq!(receipt.delete_marker, made.is_some());
                if let Some(made) = made {
                    self.check_id(key, made);
                }
                self.model.delete(key, made);
            }
        }
    }

    async fn tag(&mut self, key: &'static str, nth: Option<Nth>, value: u8) {
        let version = self.id(key, nth);
        let tags = vec![("key".to_owned(), value.to_string())];
        let outcome =
            self.harness.service.put_object_tags(&object(key), version, tags.clone()).await;
        let expected = self.expected(key, version).cloned();
        match expected {
            Ok(Version { id, bytes: Some(_), .. }) => {
                assert_eq!(outcome.unwrap(), id);
                let versions = self.model.keys.get_mut(key).unwrap();
                versions.iter_mut().find(|version| version.id == id).unwrap().tags = tags;
            }
            other => {
                let Err(gateway_object::TaggingError::Object(error)) = outcome else {
                    panic!("{outcome:?}")
                };
                refused(&error, other.as_ref(), version);
            }
        }
    }

    /// The version that a request finds.
    fn expected(&self, key: &str, version: Option<VersionId>) -> Result<&Version, ()> {
        let mut versions = self.model.versions(key).iter();
        versions.find(|found| version.is_none_or(|id| id == found.id)).ok_or(())
    }

    async fn get(&self, key: &str, version: Option<VersionId>) {
        let request = GetObject { version, ..get_request(key) };
        let outcome = self.harness.service.get_object(request).await;
        match self.expected(key, version) {
            Ok(Version { id, bytes: Some(bytes), tags }) => {
                let read = outcome.unwrap();
                assert_eq!((&read.info.version, &read.info.metadata.tags), (id, tags));
                assert_eq!(&collect(read.body).await, bytes);
            }
            other => refused(&outcome.map(|_| ()).unwrap_err(), other, version),
        }
    }

    /// Compares the pages from a marker on.
    async fn list(&self, prefix: &str, delimiter: &str, limits: &[usize], after: After) {
        let after = match after {
            After::Nothing => None,
            After::Key(key) => Some(VersionMarker { key: key.to_owned(), version: None }),
            After::Version(key, nth) => {
                let Some(version) = self.model.versions(key).get(nth) else { return };
                Some(VersionMarker { key: key.to_owned(), version: Some(version.id) })
            }
        };
        let expected = self.model.list(prefix, delimiter, &after);
        let mut found = Vec::new();
        let mut limits = limits.iter().cycle();
        let mut next = after;
        loop {
            let limit = *limits.next().unwrap();
            let request = ListVersions {
                bucket: BUCKET.to_owned(),
                prefix: prefix.to_owned(),
                delimiter: delimiter.to_owned(),
                after: next,
                limit,
            };
            let page = self.harness.service.list_versions(request).await.unwrap();
            assert!(page.entries.len() <= limit);
            assert!(page.next.is_none() || page.entries.len() == limit);
            found.extend(page.entries.into_iter().map(shown));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }

    /// Every version, every listing, every counter and every body is what the model says.
    async fn compare_everything(&self) {
        for key in KEYS {
            self.get(key, None).await;
            for version in self.model.versions(key) {
                self.get(key, Some(version.id)).await;
            }
        }
        self.list("", "", &[1000], After::Nothing).await;
        let live: Vec<String> = live_keys(&self.harness).await;
        let expected = KEYS.iter().filter(|key| self.model.live(key).is_some());
        let mut expected: Vec<&str> = expected.copied().collect();
        expected.sort_unstable();
        assert_eq!(live, expected);
        self.harness.assert_usage_is_right().await;
        assert_no_body_leaks(&self.meta);
        assert_rows_are_sound(&self.meta);
    }
}

fn shown(entry: VersionEntry) -> Entry {
    match entry {
        VersionEntry::Version { key, is_latest, info } => {
            (key, Some((info.version, true, is_latest)))
        }
        VersionEntry::DeleteMarker { key, is_latest, version, .. } => {
            (key, Some((version, false, is_latest)))
        }
        VersionEntry::CommonPrefix(prefix) => (prefix, None),
    }
}

/// A read fails for the reason that the model has for it.
fn refused<E: std::fmt::Debug>(
    error: &ObjectReadError,
    expected: Result<&Version, E>,
    version: Option<VersionId>,
) {
    match (error, expected, version) {
        (ObjectReadError::NoSuchKey, Err(_), None)
        | (ObjectReadError::NoSuchVersion, Err(_), Some(_)) => {}
        (ObjectReadError::DeleteMarker { named, version: found, .. }, Ok(marker), _) => {
            assert_eq!((*named, found), (version.is_some(), &marker.id));
            assert_eq!(marker.bytes, None);
        }
        (error, expected, version) => panic!("{error:?} {expected:?} {version:?}"),
    }
}

/// Every key's rows are where they belong: the newest version in `cur` exactly if it is an object,
/// and the place of the `null` version known exactly while it is in `ver`.
pub(crate) fn assert_rows_are_sound(meta: &MemoryMetaStore) {
    let snapshot = meta.snapshot();
    let rows = |table| {
        let mut cursor = snapshot.cursor(table, KeyRange::all());
        std::iter::from_fn(move || cursor.next().unwrap())
    };
    let record = |row: &[u8]| ObjectRecord::decode(row).unwrap();
    let mut keys: BTreeMap<Vec<u8>, Vec<ObjectRecord>> = BTreeMap::new();
    let mut nulls: BTreeMap<Vec<u8>, u128> = BTreeMap::new();
    for (key, row) in rows(Table::Cur) {
        assert!(matches!(record(&row).kind, ObjectKind::Object(_)));
        keys.insert(key.to_vec(), vec![record(&row)]);
    }
    for (key, row) in rows(Table::Ver) {
        let (of_key, tail) = key.split_last_chunk::<16>().unwrap();
        let record = record(&row);
        assert_eq!(!u128::from_be_bytes(*tail), record.seq);
        let versions = keys.entry(of_key.to_vec()).or_default();
        match versions.last() {
            Some(newer) => assert!(newer.seq > record.seq),
            None => assert_eq!(record.kind, ObjectKind::DeleteMarker),
        }
        if record.version == VersionId::Null {
            assert_eq!(nulls.insert(of_key.to_vec(), record.seq), None);
        }
        versions.push(record);
    }
    for versions in keys.values() {
        let mut ids: Vec<_> = versions.iter().map(|version| version.version).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), versions.len());
    }
    let known = rows(Table::Nul)
        .map(|(key, row)| (key.to_vec(), u128::from_be_bytes(row[..].try_into().unwrap())));
    assert_eq!(known.collect::<BTreeMap<_, _>>(), nulls);
}

/// Every body is either named by exactly one version or part, or waits to be reclaimed.
pub(crate) fn assert_no_body_leaks(meta: &MemoryMetaStore) {
    let snapshot = meta.snapshot();
    let rows = |table| {
        let mut cursor = snapshot.cursor(table, KeyRange::all());
        std::iter::from_fn(move || cursor.next().unwrap())
    };
    let manifest = |row_key: &[u8]| parse_manifest(row_key).unwrap().0;
    let mut tables: BTreeMap<ManifestId, Vec<ManifestId>> = BTreeMap::new();
    let mut named: Vec<Body> = Vec::new();
    for table in [Table::Cur, Table::Ver] {
        for (_, row) in rows(table) {
            match ObjectRecord::decode(&row).unwrap().kind {
                ObjectKind::Object(metadata) => named.push(metadata.body),
                ObjectKind::DeleteMarker => assert_eq!(table, Table::Ver),
            }
        }
    }
    named.extend(rows(Table::Part).map(|(_, row)| PartRecord::decode(&row).unwrap().body));
    let dead: BTreeMap<ManifestId, bool> = rows(Table::Gcq)
        .map(|(key, row)| (manifest(&key), GcRecord::decode(&row).unwrap().part_table))
        .collect();
    let is_table =
        |id: &ManifestId| named.contains(&Body::Parts(*id)) || dead.get(id) == Some(&true);
    let mut stored = BTreeSet::new();
    stored.extend(rows(Table::Inl).map(|(key, _)| manifest(&key)));
    for (key, row) in rows(Table::Mf) {
        let id = manifest(&key);
        stored.insert(id);
        if is_table(&id) {
            let parts = PartTablePage::decode(&row).unwrap().parts;
            tables
                .entry(id)
                .or_default()
                .extend(parts.iter().filter_map(|part| part.body.manifest()));
        }
    }
    let mut held: Vec<ManifestId> = Vec::new();
    for id in named.iter().filter_map(Body::manifest).chain(dead.keys().copied()) {
        held.push(id);
        held.extend(tables.get(&id).into_iter().flatten());
    }
    held.sort_unstable_by_key(|id| id.0);
    let count = held.len();
    held.dedup();
    assert_eq!(held.len(), count, "a body is named twice, or is named and dead");
    let held: BTreeSet<ManifestId> = held.into_iter().collect();
    let leaked: Vec<_> = stored.difference(&held).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
}

/// Keys of all live objects.
async fn live_keys(harness: &Harness) -> Vec<String> {
    let request = ListObjects {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 1000,
    };
    let page = harness.service.list_objects(request).await.unwrap();
    page.entries
        .into_iter()
        .filter_map(|entry| match entry {
            ListEntry::Object { key, .. } => Some(key),
            ListEntry::CommonPrefix(_) => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn versions_come_and_go_as_the_model_says(requests in vec(request(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::start().await;
            for request in requests {
                pair.run(request).await;
            }
            pair.compare_everything().await;
            pair.harness.service.shutdown().await;
        });
    }
}
