//! Clients that put, overwrite, upload in parts and delete until the server is gone.
//!
//! Each worker owns its keys, so what a key may hold follows from one worker's requests in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::Server;
use compat_tests::wire::{Request, Response, Wire};

use crate::ledger::{Content, Ledger};

/// Clients at a time. Chosen: more than the cores, so that requests overlap in every stage.
const WORKERS: u64 = 4;

/// Keys of each worker. Chosen: few, so that most writes overwrite or delete something.
const KEYS: u64 = 12;

/// The smallest part S3 takes but for the last.
const PART_LEN: usize = 5 << 20;

/// How long a worker waits after `SlowDown`. Chosen.
const SLOW_DOWN_PAUSE: Duration = Duration::from_millis(50);

/// What came of a request.
enum Outcome {
    Done(Response),
    /// It may have happened or not.
    Unknown,
}

struct Worker<'a> {
    wire: Wire,
    bucket: &'a str,
    random: Random,
    stopping: &'a AtomicBool,
    keys: Ledger,
    acknowledged: u64,
}

/// Lets clients write for `duration`, kills the server under them, and returns how many writes were
/// acknowledged.
///
/// # Errors
/// An answer that is neither success nor `SlowDown`, or none before the kill.
pub(crate) fn until_killed(
    server: &Server,
    bucket: &str,
    ledger: &mut Ledger,
    duration: Duration,
    random: &mut Random,
) -> Result<u64, String> {
    let stopping = AtomicBool::new(false);
    let mut acknowledged = 0;
    let mut outcome = Ok(());
    thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 0..WORKERS {
            let take = |key| {
                let key = format!("w{number}/k{key}");
                let possible = ledger.remove(&key).unwrap_or_default();
                (key, possible)
            };
            let keys = (0..KEYS).map(take).collect();
            let (wire, random) = (server.wire(), Random::new(random.next_u64()));
            let mut worker =
                Worker { wire, bucket, random, stopping: &stopping, keys, acknowledged: 0 };
            running.push(scope.spawn(move || {
                let mut outcome = Ok(());
                while outcome.is_ok() && !worker.stopping.load(Ordering::SeqCst) {
                    outcome = worker.step();
                }
                (worker.keys, worker.acknowledged, outcome)
            }));
        }
        thread::sleep(duration);
        stopping.store(true, Ordering::SeqCst);
        server.kill();
        for worker in running {
            let (keys, count, result) = worker.join().expect("workers return their errors");
            ledger.extend(keys);
            acknowledged += count;
            outcome = std::mem::replace(&mut outcome, Ok(())).and(result);
        }
    });
    outcome.map(|()| acknowledged)
}

impl Worker<'_> {
    fn step(&mut self) -> Result<(), String> {
        let number = self.random.below(self.keys.len() as u64);
        let key = self.keys.keys().nth(usize::try_from(number).unwrap_or(0)).cloned();
        let key = key.ok_or("a worker has keys")?;
        match self.random.below(20) {
            0..13 => self.put(&key),
            13..15 => self.upload_in_parts(&key),
            _ => self.delete(&key),
        }
    }

    /// Sizes that end inline, packed, as one short stripe, and as several stripes.
    fn content(&mut self) -> Content {
        let most = match self.random.below(20) {
            0 => 1,
            1..6 => 4096,
            6..12 => 65_536,
            12..19 => 1 << 20,
            _ => 20 << 20,
        };
        let len = usize::try_from(self.random.below(most)).unwrap_or(0);
        Content { seed: self.random.next_u64(), len }
    }

    fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.bucket)
    }

    fn send(&self, request: Request, success: u16) -> Result<Outcome, String> {
        match request.try_send() {
            Ok(answer) if answer.status == success => Ok(Outcome::Done(answer)),
            Ok(answer) if answer.status == 503 => {
                thread::sleep(SLOW_DOWN_PAUSE);
                Ok(Outcome::Unknown)
            }
            Ok(answer) => Err(format!(
                "status {} {:?} instead of {success}",
                answer.status,
                answer.element("Message")
            )),
            Err(_) if self.stopping.load(Ordering::SeqCst) => Ok(Outcome::Unknown),
            Err(error) => Err(format!("no answer before the kill: {error}")),
        }
    }

    /// Sends the request that makes a write visible and notes what came of it.
    fn commit(
        &mut self,
        key: &str,
        request: Request,
        success: u16,
        content: Option<Content>,
    ) -> Result<(), String> {
        let outcome = self.send(request, success)?;
        let possible = self.keys.entry(key.to_owned()).or_default();
        match outcome {
            Outcome::Done(_) => {
                possible.acknowledged(content);
                self.acknowledged += 1;
            }
            Outcome::Unknown => possible.unanswered(content),
        }
        Ok(())
    }

    fn put(&mut self, key: &str) -> Result<(), String> {
        let content = self.content();
        let request = self.wire.put(&self.target(key)).body(content.bytes());
        self.commit(key, request, 200, Some(content))
    }

    fn delete(&mut self, key: &str) -> Result<(), String> {
        let request = self.wire.delete(&self.target(key));
        self.commit(key, request, 204, None)
    }

    fn upload_in_parts(&mut self, key: &str) -> Result<(), String> {
        let last = usize::try_from(self.random.below(1 << 20)).unwrap_or(0) + 1;
        let content = Content { seed: self.random.next_u64(), len: PART_LEN + last };
        let target = self.target(key);
        let begin = self.wire.post(&format!("{target}?uploads"));
        let Outcome::Done(begun) = self.send(begin, 200)? else { return Ok(()) };
        let upload = begun.element("UploadId").ok_or("an upload has an id")?;
        let mut listed = String::new();
        let body = content.bytes();
        for (number, part) in [body.slice(..PART_LEN), body.slice(PART_LEN..)].iter().enumerate() {
            let number = number + 1;
            let part_target = format!("{target}?partNumber={number}&uploadId={upload}");
            let put = self.wire.put(&part_target).body(part.clone());
            let Outcome::Done(stored) = self.send(put, 200)? else { return Ok(()) };
            let etag = stored.header("etag").ok_or("a part has an ETag")?.to_owned();
            listed.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let complete = self.wire.post(&format!("{target}?uploadId={upload}")).body(document);
        self.commit(key, complete, 200, Some(content))
    }
}
