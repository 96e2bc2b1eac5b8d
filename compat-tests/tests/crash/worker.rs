//! One client that puts, overwrites, copies, uploads in parts, deletes and reads its own keys.

use compat_tests::encoding::content_md5;
use compat_tests::payload::Random;
use compat_tests::wire::{Request, Response, Wire};
use std::sync::atomic::Ordering;

use crate::content::{Content, PART_LEN};
use crate::finding::Kind;
use crate::ledger::{Ending, Share, Upload};
use crate::load::{Answer, Load};
use crate::verify::read_of;

/// Uploads that one worker has under way. Chosen.
const UPLOADS_MAX: usize = 2;

/// Keys of one `DeleteObjects`. Chosen.
const DELETED_AT_ONCE: u64 = 4;

/// One client.
pub(crate) struct Worker<'a> {
    load: &'a Load<'a>,
    wire: Wire,
    random: Random,
    share: &'a mut Share,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(load: &'a Load<'a>, share: &'a mut Share, random: Random) -> Self {
        Self { load, wire: load.server.wire(), random, share }
    }

    /// Does one thing to one key.
    pub(crate) fn step(&mut self) {
        let Some(key) = self.key() else {
            self.read_any();
            return;
        };
        match self.random.below(100) {
            0..34 => self.put(&key),
            34..44 => self.put_if_absent(&key),
            44..54 => self.put_if_match(&key),
            54..62 => self.delete(&key),
            62..66 => self.delete_some(),
            66..75 => self.copy(&key),
            75..91 => self.upload(&key),
            91..94 => self.put_damaged(&key),
            _ => self.read(&key),
        }
    }

    /// A key that may be written to.
    fn key(&mut self) -> Option<String> {
        let free: Vec<&String> =
            self.share.keys.iter().filter(|(_, entry)| !entry.frozen).map(|(key, _)| key).collect();
        let number = self.random.below(free.len().max(1) as u64);
        free.get(usize::try_from(number).unwrap_or(0)).map(|key| (*key).clone())
    }

    /// Sizes that end inline, packed, as one short stripe, and as several stripes.
    fn content(&mut self) -> Content {
        let most = match self.random.below(40) {
            0..2 => 1,
            2..14 => 4096,
            14..24 => 65_536,
            24..37 => 1 << 20,
            _ => 20 << 20,
        };
        let len = usize::try_from(self.random.below(most)).unwrap_or(0);
        Content::new(self.random.next_u64(), len)
    }

    fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.load.bucket)
    }

    fn count(&self, content: Option<Content>) {
        let written = &self.load.written;
        written.acknowledged.fetch_add(1, Ordering::Relaxed);
        let len = content.map_or(0, |content| content.len as u64);
        written.body_bytes.fetch_add(len, Ordering::Relaxed);
    }

    /// An answer of success says that the key holds `content`; its ETag says the same.
    fn done(&mut self, what: &str, key: &str, content: Option<Content>, answer: &Response) {
        let told = answer.header("etag").map(str::to_owned).or_else(|| answer.element("ETag"));
        if content.map(Content::etag) == told {
            self.count(content);
            self.share.acknowledged(key, content);
        } else {
            self.load.wrong(&format!("{what} of {key}"), answer);
            self.share.unanswered(key, content);
        }
    }

    /// Sends a write that nothing but the server's state can refuse.
    fn write(&mut self, what: &str, key: &str, request: Request, content: Option<Content>) {
        let success = if content.is_some() { 200 } else { 204 };
        match self.load.send(&format!("{what} of {key}"), request) {
            Answer::Given(answer) if answer.status == success => {
                self.done(what, key, content, &answer);
            }
            Answer::Given(answer) => self.load.wrong(&format!("{what} of {key}"), &answer),
            Answer::Refused | Answer::None => self.share.unanswered(key, content),
        }
    }

    fn put(&mut self, key: &str) {
        let content = self.content();
        let request = self.wire.put(&self.target(key)).body(content.bytes());
        self.write("PUT", key, request, Some(content));
    }

    fn delete(&mut self, key: &str) {
        let request = self.wire.delete(&self.target(key));
        self.write("DELETE", key, request, None);
    }

    /// A PUT under a condition that holds for the contents that `holds` says.
    fn put_under(
        &mut self,
        key: &str,
        condition: (&str, &str),
        holds: impl Fn(Option<Content>) -> bool,
    ) {
        let content = self.content();
        let request = self.wire.put(&self.target(key)).body(content.bytes());
        let what = format!("PUT {} of {key}", condition.0);
        match self.load.send(&what, request.header(condition.0, condition.1)) {
            Answer::Given(answer) if answer.status == 200 => {
                if self.share.entry(key).possible.learn(&holds).is_none() {
                    self.load.wrong(&what, &answer);
                }
                self.done("conditional PUT", key, Some(content), &answer);
            }
            Answer::Given(answer) if [404, 412].contains(&answer.status) => {
                let is_absent = answer.status == 404;
                let is_told = |c: Option<Content>| !holds(c) && (!is_absent || c.is_none());
                let entry = self.share.entry(key);
                entry.touched = true;
                if entry.possible.learn(is_told).is_none() {
                    self.load.wrong(&what, &answer);
                }
            }
            Answer::Given(answer) => self.load.wrong(&what, &answer),
            Answer::Refused | Answer::None => self.share.unanswered(key, Some(content)),
        }
    }

    fn put_if_absent(&mut self, key: &str) {
        self.put_under(key, ("if-none-match", "*"), |content| content.is_none());
    }

    /// Names the ETag of what may be there, or one that never was.
    fn put_if_match(&mut self, key: &str) {
        let known: Vec<Content> = self.share.entry(key).possible.contents().collect();
        let number = usize::try_from(self.random.below(4)).unwrap_or(0);
        let named = known.get(number % known.len().max(1)).filter(|_| number > 0).copied();
        let etag = named.map_or_else(|| format!("\"{}\"", "0".repeat(32)), Content::etag);
        self.put_under(key, ("if-match", &etag), |content| content.is_some() && content == named);
    }

    /// A PUT whose digest is another body's: refused after its bytes were stored.
    fn put_damaged(&mut self, key: &str) {
        let body = self.content().bytes();
        let what = format!("PUT with a wrong digest of {key}");
        let request = self.wire.put(&self.target(key)).body(body);
        match self.load.send(&what, request.header("content-md5", &content_md5(b"another"))) {
            Answer::Given(answer) if answer.status != 400 => self.load.wrong(&what, &answer),
            _ => self.share.entry(key).touched = true,
        }
    }

    fn delete_some(&mut self) {
        let count = 2 + self.random.below(DELETED_AT_ONCE - 1);
        let mut keys: Vec<String> = (0..count).filter_map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let named: String =
            keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        let document = format!("<Delete>{named}</Delete>");
        let target = format!("/{}?delete", self.load.bucket);
        let md5 = content_md5(document.as_bytes());
        let request = self.wire.post(&target).header("content-md5", &md5).body(document);
        let what = format!("DeleteObjects of {keys:?}");
        let deleted = match self.load.send(&what, request) {
            Answer::Given(answer) if answer.status == 200 => {
                let failed = answer.elements("Error").join(" ");
                if !failed.is_empty() && !failed.contains("SlowDown") {
                    self.load.wrong(&what, &answer);
                }
                let is_done = |key: &String| !failed.contains(&format!("<Key>{key}</Key>"));
                keys.iter().filter(|key| is_done(key)).cloned().collect()
            }
            Answer::Given(answer) => {
                self.load.wrong(&what, &answer);
                return;
            }
            Answer::Refused | Answer::None => Vec::new(),
        };
        for key in &keys {
            if deleted.contains(key) {
                self.count(None);
                self.share.acknowledged(key, None);
            } else {
                self.share.unanswered(key, None);
            }
        }
    }

    fn copy(&mut self, key: &str) {
        let number = self.random.below(self.share.keys.len() as u64);
        let source = self.share.keys.iter().nth(usize::try_from(number).unwrap_or(0));
        let certain = source
            .and_then(|(source, entry)| Some((source.clone(), entry.possible.certain()?)))
            .filter(|(source, _)| source != key);
        let Some((source, content)) = certain else {
            return;
        };
        let copied =
            if content.in_parts { Content::new(content.seed, content.len) } else { content };
        let request = self.wire.put(&self.target(key));
        let request = request.header("x-amz-copy-source", &self.target(&source));
        self.write(&format!("copy of {source}"), key, request, Some(copied));
    }

    fn read(&mut self, key: &str) {
        let request = self.wire.get(&self.target(key));
        if let Answer::Given(answer) = self.load.send(&format!("GET {key}"), request) {
            let read = read_of(&answer);
            if let Err((kind, what)) = self.share.entry(key).possible.settle(&read) {
                self.load.findings.add(kind, format!("{key} {what}, while clients write"));
            }
        }
    }

    fn read_any(&mut self) {
        if let Some(key) = self.share.keys.keys().next().cloned() {
            self.read(&key);
        }
    }

    /// Takes uploads in parts a step further, whatever process they began under.
    fn upload(&mut self, key: &str) {
        let usable = |upload: &Upload| !self.share.keys.get(&upload.key).is_some_and(|e| e.frozen);
        let under_way = self.share.uploads.iter().position(usable);
        let full = self.share.uploads.len() >= UPLOADS_MAX;
        match under_way {
            Some(_) if !full && self.random.below(4) == 0 => self.begin_upload(key),
            Some(index) => self.continue_upload(index),
            None if !full => self.begin_upload(key),
            None => self.read(key),
        }
    }

    fn begin_upload(&mut self, key: &str) {
        let parts = usize::try_from(self.random.below(3)).unwrap_or(0);
        let tail = usize::try_from(self.random.below(1 << 20)).unwrap_or(0);
        let content = Content::in_parts(self.random.next_u64(), parts * PART_LEN + tail + 1);
        let request = self.wire.post(&format!("{}?uploads", self.target(key)));
        let what = format!("the beginning of an upload of {key}");
        match self.load.send(&what, request) {
            Answer::Given(answer) => match answer.element("UploadId") {
                Some(id) => {
                    let parts = vec![None; content.part_count()];
                    self.share.uploads.push(Upload { id, key: key.to_owned(), content, parts });
                }
                None => self.load.wrong(&what, &answer),
            },
            Answer::Refused | Answer::None => self.share.begun_unanswered += 1,
        }
    }

    fn continue_upload(&mut self, index: usize) {
        let upload = self.share.uploads[index].clone();
        if self.random.below(12) == 0 {
            self.share.uploads.remove(index);
            self.abort(upload);
            return;
        }
        let resend = self.random.below(10) == 0;
        let missing = upload.parts.iter().position(Option::is_none);
        match missing.or(resend.then_some(0)) {
            Some(part) => self.send_part(index, &upload, part),
            None => {
                self.share.uploads.remove(index);
                self.complete(upload);
            }
        }
    }

    fn send_part(&mut self, index: usize, upload: &Upload, part: usize) {
        let target = self.target(&upload.key);
        let target = format!("{target}?partNumber={}&uploadId={}", part + 1, upload.id);
        let body = upload.content.part(part);
        let what = format!("part {} of {} {}", part + 1, upload.key, upload.id);
        let len = body.len() as u64;
        match self.load.send(&what, self.wire.put(&target).body(body)) {
            Answer::Given(answer) if answer.status == 200 => {
                self.load.written.body_bytes.fetch_add(len, Ordering::Relaxed);
                self.load.written.acknowledged.fetch_add(1, Ordering::Relaxed);
                let etag = answer.header("etag").unwrap_or_default().to_owned();
                self.share.uploads[index].parts[part] = Some(etag);
            }
            Answer::Given(answer) => {
                self.share.uploads.remove(index);
                self.upload_is_gone(&what, &answer);
            }
            Answer::Refused | Answer::None => {}
        }
    }

    fn complete(&mut self, upload: Upload) {
        let part = |(number, etag): (usize, &Option<String>)| {
            let tag = etag.as_deref().unwrap_or_default().trim_matches('"');
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        };
        let listed: String = (1..).zip(&upload.parts).map(part).collect();
        let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let target = format!("{}?uploadId={}", self.target(&upload.key), upload.id);
        let what = format!("completion of {} {}", upload.key, upload.id);
        match self.load.send(&what, self.wire.post(&target).body(document)) {
            Answer::Given(answer) if answer.status == 200 => {
                let content = Some(upload.content);
                self.done("completion", &upload.key, content, &answer);
                self.share.ended.push(upload.id);
            }
            Answer::Given(answer) => self.upload_is_gone(&what, &answer),
            Answer::Refused | Answer::None => {
                self.share.unanswered(&upload.key, Some(upload.content));
                self.share.entry(&upload.key).frozen = true;
                self.share.ending.push((upload, Ending::Completion));
            }
        }
    }

    fn abort(&mut self, upload: Upload) {
        let target = format!("{}?uploadId={}", self.target(&upload.key), upload.id);
        let what = format!("abortion of {} {}", upload.key, upload.id);
        match self.load.send(&what, self.wire.delete(&target)) {
            Answer::Given(answer) if answer.status == 204 => {
                self.load.written.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.share.ended.push(upload.id);
            }
            Answer::Given(answer) => self.upload_is_gone(&what, &answer),
            Answer::Refused | Answer::None => self.share.ending.push((upload, Ending::Abortion)),
        }
    }

    /// An upload or a part that was acknowledged is unknown to the server.
    fn upload_is_gone(&self, what: &str, answer: &Response) {
        let answer = crate::load::describe(answer);
        self.load.findings.add(Kind::Lost, format!("{what} answered {answer}"));
    }
}
