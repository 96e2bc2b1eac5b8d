//! Random requests against a service and against [`crate::reference`]: they must agree.

use gateway_object::{
    CopyObject, DeleteObject, ETagCondition, GetObject, ListEntry, ListObjects, ListUploads,
    MetadataDirective, MultipartError, ObjectReadError, ObjectWriteError, PartReceipt,
    TaggingError, UploadRef, WriteCondition, etag_text,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::harness::{
    BUCKET, Harness, complete_request, copy_request, get_request, object, sample,
};
use crate::reference::{Bucket, Condition, Entry, Upload, Verdict, marker};

/// What is asked of the service.
#[derive(Clone, Debug)]
enum Request {
    Put { key: String, len: usize, condition: Condition },
    Copy { source: String, target: String, condition: Condition },
    Delete { key: String, condition: Condition },
    DeleteMany { keys: Vec<String> },
    Tag { key: String, value: String },
    List { prefix: String, delimiter: String, after: Option<String>, limit: usize },
    CreateUpload { key: String },
    UploadPart { nth: usize, number: u16, len: usize },
    Complete { nth: usize, numbers: Vec<u16>, condition: Condition },
    Abort { nth: usize },
    ListUploads { prefix: String, delimiter: String, limit: usize },
    Wait { millis: u64 },
}

const BITS: [&str; 11] =
    ["a", "b", "/", "//", "\0", "\u{1}", "\u{7f}", "\u{ff}", "é", "\u{10ffff}", "a/b"];

/// Short text of what tends to break encodings and seeks.
fn text(len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(select(&BITS[..]), len).prop_map(|bits| bits.concat())
}

fn key() -> impl Strategy<Value = String> {
    text(1..4)
}

fn delimiter() -> impl Strategy<Value = String> {
    select(&["", "/", "//", "\0", "é", "a", "b/", "\u{10ffff}"][..]).prop_map(str::to_owned)
}

/// Mostly inline, sometimes empty, sometimes on devices.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 6 => 1..40_usize, 1 => 4000..9000_usize]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        1 => Just(Condition::MatchesLive),
        1 => Just(Condition::MatchesOther),
        1 => Just(Condition::DiffersFromLive),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let object_request = prop_oneof![
        8 => (key(), len(), condition())
            .prop_map(|(key, len, condition)| Request::Put { key, len, condition }),
        2 => (key(), key(), condition())
            .prop_map(|(source, target, condition)| Request::Copy { source, target, condition }),
        2 => (key(), condition()).prop_map(|(key, condition)| Request::Delete { key, condition }),
        1 => vec(key(), 0..12).prop_map(|keys| Request::DeleteMany { keys }),
        1 => (key(), text(0..3)).prop_map(|(key, value)| Request::Tag { key, value }),
        6 => (text(0..3), delimiter(), proptest::option::of(text(0..4)), 0..6_usize).prop_map(
            |(prefix, delimiter, after, limit)| Request::List { prefix, delimiter, after, limit }
        ),
        1 => (0..4_000_000_u64).prop_map(|millis| Request::Wait { millis }),
    ];
    let upload_request = prop_oneof![
        3 => key().prop_map(|key| Request::CreateUpload { key }),
        6 => (0..4_usize, 1..5_u16, len())
            .prop_map(|(nth, number, len)| Request::UploadPart { nth, number, len }),
        3 => (0..4_usize, vec(1..5_u16, 0..4), condition())
            .prop_map(|(nth, numbers, condition)| Request::Complete { nth, numbers, condition }),
        1 => (0..4_usize).prop_map(|nth| Request::Abort { nth }),
        2 => (text(0..2), delimiter(), 1..4_usize)
            .prop_map(|(prefix, delimiter, limit)| Request::ListUploads { prefix, delimiter, limit }),
    ];
    prop_oneof![3 => object_request, 2 => upload_request]
}

/// What the service answered for the parts of an upload, by number.
type Receipts = Vec<(u16, PartReceipt)>;

/// The service and the model, side by side.
struct Pair {
    harness: Harness,
    model: Bucket,
    uploads: Vec<(UploadRef, Upload, Receipts)>,
    seed: u8,
}

impl Pair {
    async fn run(&mut self, request: Request) {
        match request {
            Request::Put { key, len, condition } => self.put(&key, len, condition).await,
            Request::Copy { source, target, condition } => {
                self.copy(&source, &target, condition).await;
            }
            Request::Delete { key, condition } => self.delete(&key, condition).await,
            Request::DeleteMany { keys } => self.delete_many(&keys).await,
            Request::Tag { key, value } => self.tag(&key, value).await,
            Request::List { prefix, delimiter, after, limit } => {
                self.list(&prefix, &delimiter, after, limit).await;
            }
            Request::CreateUpload { key } => {
                self.harness.clock.advance_ms(1);
                let upload = self.harness.create_upload(&key).await;
                self.uploads.push((upload, Upload { key, parts: Default::default() }, Vec::new()));
            }
            Request::UploadPart { nth, number, len } => self.upload_part(nth, number, len).await,
            Request::Complete { nth, numbers, condition } => {
                self.complete(nth, numbers, condition).await;
            }
            Request::Abort { nth } => {
                if nth < self.uploads.len() {
                    let (upload, ..) = self.uploads.remove(nth);
                    self.harness.service.abort_upload(upload).await.unwrap();
                }
            }
            Request::ListUploads { prefix, delimiter, limit } => {
                self.list_uploads(&prefix, &delimiter, limit).await;
            }
            Request::Wait { millis } => self.harness.clock.advance_ms(millis),
        }
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.seed = self.seed.wrapping_add(1);
        sample(len, self.seed)
    }

    fn condition(&self, key: &str, condition: Condition) -> WriteCondition {
        let tags = |tag: &str| Some(ETagCondition::Tags(vec![tag.to_owned()]));
        let live = self.model.objects.get(key).map_or("none", |object| &object.etag);
        let (if_match, if_none_match) = match condition {
            Condition::None => (None, None),
            Condition::Absent => (None, Some(ETagCondition::Any)),
            Condition::Present => (Some(ETagCondition::Any), None),
            Condition::MatchesLive => (tags(live), None),
            Condition::MatchesOther => (tags("other"), None),
            Condition::DiffersFromLive => (None, tags(live)),
        };
        WriteCondition { if_match, if_none_match }
    }

    async fn put(&mut self, key: &str, len: usize, condition: Condition) {
        let bytes = self.bytes(len);
        let found = self.harness.try_put(key, &bytes, self.condition(key, condition)).await;
        assert_eq!(verdict(found), self.model.put(key, &bytes, condition));
    }

    async fn copy(&mut self, source: &str, target: &str, condition: Condition) {
        let request = CopyObject {
            metadata: MetadataDirective::Replace {
                headers: Default::default(),
                user_metadata: Vec::new(),
            },
            condition: self.condition(target, condition),
            ..copy_request(source, target)
        };
        let found = self.harness.service.copy_object(request).await;
        let Some(original) = self.model.objects.get(source).cloned() else {
            assert!(matches!(found, Err(ObjectWriteError::Source(ObjectReadError::NoSuchKey))));
            return;
        };
        let expected = self.model.put(target, &original.bytes, condition);
        assert_eq!(verdict(found.map(|receipt| receipt.written)), expected);
        if expected == Verdict::Done {
            self.model.objects.get_mut(target).unwrap().tags = original.tags;
        }
    }

    async fn delete(&mut self, key: &str, condition: Condition) {
        use gateway_object::DeleteError;
        let if_match = self.condition(key, condition).if_match;
        let expected = match if_match {
            Some(_) => self.model.judge(key, condition),
            None => Verdict::Done,
        };
        let request =
            DeleteObject { target: object(key), version: None, if_match, bypass_governance: false };
        let found = match self.harness.service.delete_object(request).await {
            Ok(_) => Verdict::Done,
            Err(DeleteError::PreconditionFailed) => Verdict::PreconditionFailed,
            Err(DeleteError::NoSuchKey) => Verdict::NoSuchKey,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected);
        if expected == Verdict::Done {
            self.model.objects.remove(key);
        }
    }

    async fn delete_many(&mut self, keys: &[String]) {
        let request = |key: &String| DeleteObject {
            target: object(key),
            version: None,
            if_match: None,
            bypass_governance: false,
        };
        let requests = keys.iter().map(request).collect();
        let outcomes = self.harness.service.delete_objects(BUCKET, requests).await.unwrap();
        assert_eq!(outcomes.len(), keys.len());
        assert!(outcomes.iter().all(Result::is_ok));
        for key in keys {
            self.model.objects.remove(key);
        }
    }

    async fn tag(&mut self, key: &str, value: String) {
        let tags = vec![("key".to_owned(), value.replace(|c: char| !c.is_alphanumeric(), ""))];
        let found = self.harness.service.put_object_tags(&object(key), None, tags.clone()).await;
        match self.model.objects.get_mut(key) {
            Some(object) => {
                found.unwrap();
                object.tags = tags;
            }
            None => {
                assert!(matches!(found, Err(TaggingError::Object(ObjectReadError::NoSuchKey))));
            }
        }
    }

    /// Compares one page, and the walk over all pages with the same limit.
    async fn list(&self, prefix: &str, delimiter: &str, after: Option<String>, limit: usize) {
        let (_, next) = self.page(prefix, delimiter, after, limit).await;
        let mut next = next;
        while next.is_some() {
            next = self.page(prefix, delimiter, next, limit).await.1;
        }
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: &str,
        after: Option<String>,
        limit: usize,
    ) -> (Vec<Entry>, Option<String>) {
        let (expected, follows) = self.model.list(prefix, delimiter, after.as_deref(), limit);
        let request = ListObjects {
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            after,
            limit,
        };
        let page = self.harness.service.list_objects(request).await.unwrap();
        let entry = |entry| match entry {
            ListEntry::Object { key, info } => {
                Entry::Object { key, etag: etag_text(&info.metadata.etag) }
            }
            ListEntry::CommonPrefix(prefix) => Entry::CommonPrefix(prefix),
        };
        let found: Vec<Entry> = page.entries.into_iter().map(entry).collect();
        assert_eq!(found, expected);
        assert_eq!(page.next, follows.then(|| marker(&expected)).flatten());
        (found, page.next)
    }

    async fn upload_part(&mut self, nth: usize, number: u16, len: usize) {
        let bytes = self.bytes(len);
        let Some((upload, model, receipts)) = self.uploads.get_mut(nth) else { return };
        let receipt = self.harness.upload_part(upload, number, &bytes).await.unwrap();
        receipts.retain(|(stored, _)| *stored != number);
        receipts.push((number, receipt));
        model.parts.insert(number, bytes);
    }

    async fn complete(&mut self, nth: usize, mut numbers: Vec<u16>, condition: Condition) {
        numbers.sort_unstable();
        numbers.dedup();
        let Some((upload, model, receipts)) = self.uploads.get(nth) else { return };
        let listed: Option<Vec<(u16, &PartReceipt)>> = numbers
            .iter()
            .map(|number| receipts.iter().find(|(stored, _)| stored == number))
            .map(|found| found.map(|(number, receipt)| (*number, receipt)))
            .collect();
        let Some(listed) = listed else { return };
        let mut request = complete_request(upload, &listed);
        request.condition = self.condition(&model.key, condition);
        let model = model.clone();
        let found = self.harness.service.complete_upload(request).await;
        let expected = self.model.complete(&model, &numbers, condition);
        match (found, expected) {
            (Err(MultipartError::NoParts | MultipartError::PartTooSmall { .. }), None) => {}
            (Err(MultipartError::Write(error)), Some(expected)) => {
                assert_eq!(verdict(Err(error)), expected);
            }
            (Ok(receipt), Some(Verdict::Done)) => {
                assert_eq!(etag_text(&receipt.etag), self.model.objects[&model.key].etag);
                self.uploads.remove(nth);
            }
            (found, expected) => panic!("{found:?} {expected:?}"),
        }
    }

    async fn list_uploads(&self, prefix: &str, delimiter: &str, limit: usize) {
        let mut expected: Vec<(String, String)> = Vec::new();
        let mut sorted: Vec<_> =
            self.uploads.iter().map(|(upload, model, _)| (&model.key, upload.upload)).collect();
        sorted.sort_unstable();
        for (key, upload) in sorted {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let entry = match rest.split_once(delimiter).filter(|_| !delimiter.is_empty()) {
                Some((head, _)) => (format!("{prefix}{head}{delimiter}"), "prefix".to_owned()),
                None => (key.clone(), upload.to_string()),
            };
            if expected.last() != Some(&entry) {
                expected.push(entry);
            }
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let request = ListUploads {
                bucket: BUCKET.to_owned(),
                prefix: prefix.to_owned(),
                delimiter: delimiter.to_owned(),
                after,
                limit,
            };
            let page = self.harness.service.list_uploads(request).await.unwrap();
            let uploads =
                page.uploads.into_iter().map(|found| (found.key, found.upload.to_string()));
            let prefixes =
                page.common_prefixes.into_iter().map(|prefix| (prefix, "prefix".to_owned()));
            let mut entries: Vec<_> = uploads.chain(prefixes).collect();
            entries.sort_unstable();
            assert!(entries.len() <= limit);
            assert!(page.next.is_none() || entries.len() == limit);
            found.extend(entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }

    /// Every object is what the model says, and every counter what the rows say.
    async fn compare_everything(&self) {
        let (entries, _) = self.page("", "", None, 1000).await;
        assert_eq!(entries.len(), self.model.objects.len());
        for (key, expected) in &self.model.objects {
            let request = GetObject { ..get_request(key) };
            let read = self.harness.service.get_object(request).await.unwrap();
            assert_eq!(read.info.metadata.tags, expected.tags);
            assert_eq!(crate::harness::collect(read.body).await, expected.bytes);
        }
        self.harness.assert_usage_is_right().await;
    }
}

fn verdict(outcome: Result<gateway_object::WriteReceipt, ObjectWriteError>) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Done,
        Err(ObjectWriteError::PreconditionFailed { .. }) => Verdict::PreconditionFailed,
        Err(ObjectWriteError::NoSuchKey) => Verdict::NoSuchKey,
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_service_does_what_the_model_does(requests in vec(request(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let harness = Harness::start().await;
            let mut pair =
                Pair { harness, model: Bucket::default(), uploads: Vec::new(), seed: 0 };
            for request in requests {
                pair.run(request).await;
            }
            pair.compare_everything().await;
            pair.harness.service.shutdown().await;
        });
    }
}
