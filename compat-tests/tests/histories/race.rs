//! Clients that race for few keys and note what they were answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use compat_tests::payload::Random;
use compat_tests::server::Server;
use compat_tests::wire::{Request, Response, Wire};
use parking_lot::Mutex;

use crate::contents::{Content, Contents, bytes_of};
use crate::history::{Clock, Event, Moment};
use crate::register::{Condition, Operation, Value};

/// Where the clients are and what they share.
#[derive(Debug)]
pub(crate) struct Race<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) keys: Vec<String>,
    pub(crate) contents: &'a Contents,
    pub(crate) clock: &'a Clock,
    pub(crate) histories: Mutex<BTreeMap<String, Vec<Event>>>,
    /// Whether the process may end under the clients.
    pub(crate) killed: AtomicBool,
}

/// One client on one server process.
pub(crate) struct Client<'a> {
    race: &'a Race<'a>,
    number: usize,
    wire: Wire,
    random: Random,
    /// The last content this client saw, by key.
    seen: BTreeMap<String, u32>,
}

/// What a request came to.
enum Answer {
    Given {
        sent: Moment,
        over: Moment,
        response: Response,
    },
    /// No answer, or one that leaves the outcome open.
    None {
        sent: Moment,
    },
}

/// The end of an event that was not answered, until the end of its process is known.
pub(crate) const OPEN: Moment = Moment::MAX;

impl<'a> Race<'a> {
    pub(crate) fn new(
        bucket: &'a str,
        keys: Vec<String>,
        contents: &'a Contents,
        clock: &'a Clock,
    ) -> Self {
        let histories = Mutex::default();
        Self { bucket, keys, contents, clock, histories, killed: AtomicBool::new(false) }
    }

    /// The process is gone: what was not answered can no longer happen.
    pub(crate) fn process_ended(&self) {
        let now = self.clock.now();
        for event in self.histories.lock().values_mut().flatten() {
            if event.over == OPEN {
                event.over = now;
            }
        }
    }

    fn note(&self, key: &str, event: Event) {
        self.histories.lock().entry(key.to_owned()).or_default().push(event);
    }
}

impl<'a> Client<'a> {
    pub(crate) fn new(race: &'a Race<'a>, server: &Server, number: usize, random: Random) -> Self {
        Self { race, number, wire: server.wire(), random, seen: BTreeMap::new() }
    }

    /// Does one thing to one key; false when the server is gone.
    pub(crate) fn step(&mut self) -> bool {
        let key = self.key();
        match self.random.below(100) {
            0..30 => self.read(&key),
            30..48 => self.put(&key),
            48..58 => self.put_if_absent(&key),
            58..70 => self.put_if_match(&key),
            70..78 => self.delete(&key),
            78..82 => self.delete_if_match(&key),
            82..91 => self.copy(&key),
            _ => self.upload(&key),
        }
    }

    fn key(&mut self) -> String {
        let number = self.random.below(self.race.keys.len() as u64);
        self.race.keys[usize::try_from(number).unwrap_or(0)].clone()
    }

    fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.race.bucket)
    }

    fn send(&self, request: Request) -> Answer {
        let sent = self.race.clock.now();
        match request.try_send() {
            Ok(response) if response.status < 500 => {
                Answer::Given { sent, over: self.race.clock.now(), response }
            }
            Ok(response) => {
                assert_eq!(response.status, 503, "{response:?}");
                Answer::None { sent }
            }
            Err(error) => {
                assert!(self.race.killed.load(Ordering::SeqCst), "nobody killed it: {error}");
                Answer::None { sent }
            }
        }
    }

    fn note(&self, key: &str, sent: Moment, over: Moment, operation: Operation) {
        self.race.note(key, Event { client: self.number, operation, sent, over });
    }

    /// Sends a write and notes it; the answer when it succeeded, and whether the server is there.
    fn write(
        &mut self,
        key: &str,
        request: Request,
        condition: Condition,
        content: Option<&Content>,
    ) -> (Option<Response>, bool) {
        let value: Value = content.map(|content| content.number);
        match self.send(request) {
            Answer::Given { sent, over, response } => match response.status {
                200 | 204 => {
                    self.note(key, sent, over, Operation::Write { condition, value });
                    let told = response.header("etag").map(str::to_owned);
                    let told = told.or_else(|| response.element("ETag"));
                    assert_eq!(told, content.map(|content| content.etag.clone()), "{response:?}");
                    if let Some(number) = value {
                        self.seen.insert(key.to_owned(), number);
                    }
                    (Some(response), true)
                }
                404 | 412 if condition != Condition::Always => {
                    self.note(key, sent, over, Operation::Refused { condition });
                    (None, true)
                }
                // Refused without a look at the key: nothing happened.
                409 => (None, true),
                _ => panic!("a write of {key} answered {response:?}"),
            },
            Answer::None { sent } => {
                self.note(key, sent, OPEN, Operation::Unanswered { condition, value });
                (None, false)
            }
        }
    }

    fn put(&mut self, key: &str) -> bool {
        let content = self.race.contents.in_one();
        let request = self.wire.put(&self.target(key)).body(content.bytes.clone());
        self.write(key, request, Condition::Always, Some(&content)).1
    }

    fn put_if_absent(&mut self, key: &str) -> bool {
        let content = self.race.contents.in_one();
        let request = self.wire.put(&self.target(key)).body(content.bytes.clone());
        let request = request.header("if-none-match", "*");
        self.write(key, request, Condition::Absent, Some(&content)).1
    }

    fn put_if_match(&mut self, key: &str) -> bool {
        let Some(seen) = self.seen.get(key).copied() else {
            return self.read(key);
        };
        let content = self.race.contents.in_one();
        let request = self.wire.put(&self.target(key)).body(content.bytes.clone());
        let request = request.header("if-match", &self.race.contents.etag(seen));
        self.write(key, request, Condition::Holds(seen), Some(&content)).1
    }

    fn delete(&mut self, key: &str) -> bool {
        let request = self.wire.delete(&self.target(key));
        self.write(key, request, Condition::Always, None).1
    }

    fn delete_if_match(&mut self, key: &str) -> bool {
        let Some(seen) = self.seen.get(key).copied() else {
            return self.read(key);
        };
        let request = self.wire.delete(&self.target(key));
        let request = request.header("if-match", &self.race.contents.etag(seen));
        self.write(key, request, Condition::Holds(seen), None).1
    }

    fn read(&mut self, key: &str) -> bool {
        let Answer::Given { sent, over, response } = self.send(self.wire.get(&self.target(key)))
        else {
            return false;
        };
        let value = match response.status {
            404 => None,
            _ => {
                response.expect_status(200);
                let number = self.race.contents.number(response.header("etag").unwrap_or_default());
                assert!(response.body == bytes_of(number), "{key} has an ETag of other bytes");
                self.seen.insert(key.to_owned(), number);
                Some(number)
            }
        };
        self.note(key, sent, over, Operation::Read(value));
        true
    }

    /// Copies whatever another of the keys holds. Without an answer there is no telling what it
    /// was, so this is left out while the server may be killed.
    fn copy(&mut self, key: &str) -> bool {
        let source = self.key();
        if source == key || self.race.killed.load(Ordering::SeqCst) {
            return self.read(key);
        }
        let request = self.wire.put(&self.target(key));
        let request = request.header("x-amz-copy-source", &self.target(&source));
        let Answer::Given { sent, over, response } = self.send(request) else {
            panic!("a copy to {key} was refused by an idle server");
        };
        if response.status == 404 {
            self.note(&source, sent, over, Operation::Read(None));
            return true;
        }
        response.expect_status(200);
        let copied = self.race.contents.number(&response.element("ETag").unwrap_or_default());
        let original = copied - copied % 2;
        self.note(&source, sent, over, Operation::CopiedFrom([original, copied]));
        let (condition, value) = (Condition::Always, Some(copied));
        self.note(key, sent, over, Operation::Write { condition, value });
        self.seen.insert(key.to_owned(), copied);
        true
    }

    /// Uploads in one part and completes, sometimes only where nothing is, sometimes twice.
    fn upload(&mut self, key: &str) -> bool {
        let target = self.target(key);
        let Answer::Given { response, .. } =
            self.send(self.wire.post(&format!("{target}?uploads")))
        else {
            return false;
        };
        let id = response.element("UploadId").unwrap_or_else(|| panic!("{response:?}"));
        let content = self.race.contents.in_parts();
        let part = self.wire.put(&format!("{target}?partNumber=1&uploadId={id}"));
        let Answer::Given { response, .. } = self.send(part.body(content.bytes.clone())) else {
            return false;
        };
        let etag = response.status_is(200).header("etag").unwrap_or_default().replace('"', "");
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
             </CompleteMultipartUpload>"
        );
        let end = || self.wire.post(&format!("{target}?uploadId={id}")).body(document.clone());
        let again = end();
        let (request, condition) = match self.random.below(2) {
            0 => (end(), Condition::Always),
            _ => (end().header("if-none-match", "*"), Condition::Absent),
        };
        let (completed, there) = self.write(key, request, condition, Some(&content));
        if completed.is_none() || self.random.below(2) == 0 {
            return there;
        }
        let Answer::Given { sent, over, response } = self.send(again) else {
            return false;
        };
        let found = match response.status {
            404 => false,
            _ => {
                assert_eq!(response.element("ETag").as_ref(), Some(&content.etag), "{response:?}");
                true
            }
        };
        let value = content.number;
        self.note(key, sent, over, Operation::Repeated { value, found });
        true
    }
}
