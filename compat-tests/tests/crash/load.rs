//! Clients that put, overwrite, upload in parts, copy, delete and read, until the server is gone.
//!
//! - Each worker owns its keys: what a key may hold follows from one worker's requests in order.
//! - Only a request that was sent while the server was being killed may go unanswered, and only
//!   `SlowDown` may refuse one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::Server;
use compat_tests::wire::{Request, Response, Wire};

use crate::ledger::{Content, Ledger, Possible};

/// Clients at a time. Chosen: more than the cores, so that requests overlap in every stage.
const WORKERS: usize = 4;

/// Keys of each worker. Chosen: few, so that most writes overwrite or delete something.
const KEYS: usize = 10;

/// The smallest part S3 takes but for the last.
const PART_LEN: usize = 5 * 1024 * 1024;

/// How long a worker waits after `SlowDown`. Chosen.
const SLOW_DOWN_PAUSE: Duration = Duration::from_millis(50);

/// One run of the workers against one server process.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    server: &'a Server,
    bucket: &'a str,
    seed: u64,
    stopping: AtomicBool,
    acknowledged: AtomicU64,
}

/// The server answered that it did the request, that it would not, or nothing at all.
#[derive(Debug)]
enum Outcome {
    Done(Response),
    Refused,
    Unanswered,
}

struct Worker<'a> {
    load: &'a Load<'a>,
    wire: Wire,
    random: Random,
    keys: BTreeMap<String, Possible>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(server: &'a Server, bucket: &'a str, seed: u64) -> Self {
        let stopping = AtomicBool::new(false);
        Self { server, bucket, seed, stopping, acknowledged: AtomicU64::new(0) }
    }

    /// Runs the workers for `duration`, kills the server under them, and returns how many writes
    /// were acknowledged.
    pub(crate) fn run(&self, ledger: &mut Ledger, duration: Duration) -> u64 {
        self.run_until(ledger, || {
            thread::sleep(duration);
            self.stopping.store(true, Ordering::SeqCst);
            self.server.kill();
        })
    }

    /// Runs the workers for `duration` and lets them finish.
    pub(crate) fn run_to_end(&self, ledger: &mut Ledger, duration: Duration) -> u64 {
        self.run_until(ledger, || {
            thread::sleep(duration);
            self.stopping.store(true, Ordering::SeqCst);
        })
    }

    fn run_until(&self, ledger: &mut Ledger, end: impl FnOnce()) -> u64 {
        thread::scope(|scope| {
            let mut running = Vec::new();
            for number in 0..WORKERS {
                let keys: Vec<String> = (0..KEYS).map(|key| format!("w{number}/k{key}")).collect();
                let mut worker = Worker {
                    load: self,
                    wire: self.server.wire(),
                    random: Random::new(self.seed.wrapping_add(number as u64)),
                    keys: ledger.take(&keys),
                };
                running.push(scope.spawn(move || {
                    while !self.stopping.load(Ordering::SeqCst) {
                        worker.step();
                    }
                    worker.keys
                }));
            }
            end();
            for worker in running {
                match worker.join() {
                    Ok(keys) => ledger.give_back(keys),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Sends a request and sorts its answer.
    ///
    /// # Panics
    /// On an answer that is neither success nor `SlowDown`, and on none before the kill.
    fn send(&self, request: Request, success: u16) -> Outcome {
        match request.try_send() {
            Ok(answer) if answer.status == 503 => {
                thread::sleep(SLOW_DOWN_PAUSE);
                Outcome::Refused
            }
            Ok(answer) => Outcome::Done(answer.status_is(success)),
            Err(error) => {
                let killed = self.stopping.load(Ordering::SeqCst);
                assert!(killed, "no answer from a server that was not killed: {error}");
                Outcome::Unanswered
            }
        }
    }
}

impl Worker<'_> {
    fn step(&mut self) {
        let number = self.random.below(self.keys.len() as u64);
        let mut keys = self.keys.keys();
        let key = keys.nth(usize::try_from(number).unwrap_or(0)).cloned().unwrap_or_default();
        match self.random.below(100) {
            0..50 => self.put(&key),
            50..65 => self.upload_in_parts(&key),
            65..80 => self.delete(&key),
            80..90 => self.copy(&key),
            _ => self.read(&key),
        }
    }

    /// Sizes that end inline, packed, as one short stripe, and as several stripes.
    fn content(&mut self) -> Content {
        let most = match self.random.below(20) {
            0 => 1,
            1..6 => 4096,
            6..11 => 65_536,
            11..17 => 1 << 20,
            _ => 20 << 20,
        };
        let len = usize::try_from(self.random.below(most)).unwrap_or(0);
        Content { seed: self.random.next_u64(), len }
    }

    fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.load.bucket)
    }

    /// Sends the request that makes a write visible and notes what came of it.
    fn commit(&mut self, key: &str, request: Request, success: u16, content: Option<Content>) {
        let outcome = self.load.send(request, success);
        let possible = self.keys.get_mut(key).expect("a worker writes to its own keys");
        match outcome {
            Outcome::Done(_) => {
                possible.acknowledged(content);
                self.load.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Outcome::Refused | Outcome::Unanswered => possible.unanswered(content),
        }
    }

    fn put(&mut self, key: &str) {
        let content = self.content();
        let request = self.wire.put(&self.target(key)).body(content.bytes());
        self.commit(key, request, 200, Some(content));
    }

    fn delete(&mut self, key: &str) {
        let request = self.wire.delete(&self.target(key));
        self.commit(key, request, 204, None);
    }

    fn copy(&mut self, key: &str) {
        let certain = |(key, possible): (&String, &Possible)| {
            possible.certain().map(|content| (key.clone(), content))
        };
        let Some((source, content)) = self.keys.iter().filter_map(certain).next() else {
            return;
        };
        if source == key {
            return;
        }
        let request = self.wire.put(&self.target(key));
        let request = request.header("x-amz-copy-source", &self.target(&source));
        self.commit(key, request, 200, Some(content));
    }

    fn read(&mut self, key: &str) {
        let answer = match self.wire.get(&self.target(key)).try_send() {
            Ok(answer) if answer.status == 503 => return,
            Ok(answer) => answer,
            Err(error) => {
                let killed = self.load.stopping.load(Ordering::SeqCst);
                assert!(killed, "no answer from a server that was not killed: {error}");
                return;
            }
        };
        let possible = self.keys.get_mut(key).expect("a worker reads its own keys");
        match answer.status {
            404 => possible.settle(key, None),
            _ => possible.settle(key, Some(&answer.status_is(200).body)),
        }
    }

    fn upload_in_parts(&mut self, key: &str) {
        let target = self.target(key);
        let begin = self.wire.post(&format!("{target}?uploads"));
        let Outcome::Done(begun) = self.load.send(begin, 200) else {
            return;
        };
        let upload = begun.element("UploadId").expect("an upload has an id");
        let tail = usize::try_from(self.random.below(PART_LEN as u64)).unwrap_or(0);
        let parts = usize::try_from(self.random.below(3)).unwrap_or(0);
        let content = Content { seed: self.random.next_u64(), len: parts * PART_LEN + tail + 1 };
        let mut listed = String::new();
        for (number, body) in (1..).zip(content.bytes().chunks(PART_LEN)) {
            let part = format!("{target}?partNumber={number}&uploadId={upload}");
            let part = self.wire.put(&part).body(body.to_vec());
            let Outcome::Done(stored) = self.load.send(part, 200) else {
                return;
            };
            let etag = stored.header("etag").unwrap_or_default();
            let tag = etag.trim_matches('"');
            listed.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            ));
        }
        let end = format!("{target}?uploadId={upload}");
        if self.random.below(8) == 0 {
            // An aborted upload changes nothing; one that is left alone neither.
            let _ = self.load.send(self.wire.delete(&end), 204);
            return;
        }
        let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        self.commit(key, self.wire.post(&end).body(body), 200, Some(content));
    }
}
