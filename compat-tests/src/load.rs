//! Clients that put, overwrite, upload in parts, copy, delete and read while something fails.
//!
//! - Each worker owns its keys: what a key may hold follows from one worker's requests in order.
//! - Every request is answered. Only 503 may refuse one, and a client that asks again, as every SDK
//!   does, gets what it wants in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::payload::{self, Random};
use crate::wire::{Request, Response, Wire};
use bytes::Bytes;

use crate::ledger::{Ledger, Possible};

/// Clients at a time. Chosen: more than the cores, so that requests overlap in every stage.
const WORKERS: usize = 3;

/// Keys of each worker. Chosen: few, so that most writes overwrite or delete something.
const KEYS: usize = 12;

/// The smallest part S3 takes but for the last.
const PART_LEN: usize = 5 << 20;

/// How often a refused request is sent again, and the first pause before it, which doubles.
/// Source: what SDKs do in their standard mode, with a little more patience.
const RETRIES: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What the workers met.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Requests that were answered 503.
    pub refused: AtomicU64,
}

/// One run of the workers.
#[derive(Debug)]
pub struct Load<'a> {
    wire: Wire,
    bucket: String,
    tally: &'a Tally,
    stopping: AtomicBool,
}

struct Worker<'a> {
    load: &'a Load<'a>,
    random: Random,
    keys: BTreeMap<String, Possible>,
}

impl<'a> Load<'a> {
    /// Workers that are not yet running, for the ledger's bucket.
    #[must_use]
    pub fn new(wire: Wire, ledger: &Ledger, tally: &'a Tally) -> Self {
        let (bucket, stopping) = (ledger.bucket().to_owned(), AtomicBool::new(false));
        Self { wire, bucket, tally, stopping }
    }

    /// Lets the workers work while `meanwhile` runs.
    ///
    /// # Panics
    /// When a worker meets an answer it must not get.
    pub fn run<T>(&self, ledger: &mut Ledger, seed: u64, meanwhile: impl FnOnce() -> T) -> T {
        self.work(
            ledger,
            seed,
            |_| !self.stopping.load(Ordering::SeqCst),
            || {
                // The workers end also when this panics: the scope waits for them.
                let _stop = StopOnDrop(&self.stopping);
                meanwhile()
            },
        )
    }

    /// Lets each worker take `steps`.
    ///
    /// # Panics
    /// When a worker meets an answer it must not get.
    pub fn steps(&self, ledger: &mut Ledger, seed: u64, steps: u32) {
        self.work(ledger, seed, |step| step < steps, || ());
    }

    fn work<T>(
        &self,
        ledger: &mut Ledger,
        seed: u64,
        go_on: impl Fn(u32) -> bool + Sync,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let go_on = &go_on;
        thread::scope(|scope| {
            let mut running = Vec::new();
            for number in 0..WORKERS {
                let keys: Vec<String> = (0..KEYS).map(|key| format!("w{number}/k{key}")).collect();
                let mut worker = Worker {
                    load: self,
                    random: Random::new(seed.wrapping_add(number as u64)),
                    keys: ledger.take(&keys),
                };
                running.push(scope.spawn(move || {
                    (0..).take_while(|step| go_on(*step)).for_each(|_| worker.step());
                    worker.keys
                }));
            }
            let done = meanwhile();
            for worker in running {
                match worker.join() {
                    Ok(keys) => ledger.give_back(keys),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        })
    }

    /// Sends a request until it is not refused; `refused` hears of each refusal.
    ///
    /// # Panics
    /// On an answer that is neither success nor 503, and on refusals without an end.
    fn send(&self, request: &Request, success: u16, mut refused: impl FnMut()) -> Response {
        for attempt in 0..=RETRIES {
            let answer = request.clone().send();
            if answer.status != 503 {
                return answer.status_is(success);
            }
            let code = answer.element("Code").unwrap_or_default();
            assert!(["SlowDown", "ServiceUnavailable"].contains(&code.as_str()), "{answer:?}");
            self.tally.refused.fetch_add(1, Ordering::SeqCst);
            refused();
            assert!(attempt < RETRIES, "refused {RETRIES} times: {answer:?}");
            thread::sleep(RETRY_PAUSE * 2_u32.pow(attempt));
        }
        unreachable!("the loop ends by returning or panicking")
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Worker<'_> {
    fn step(&mut self) {
        let number = self.random.below(self.keys.len() as u64);
        let mut keys = self.keys.keys();
        let key = keys.nth(usize::try_from(number).unwrap_or(0)).cloned().unwrap_or_default();
        match self.random.below(100) {
            0..55 => self.put(&key),
            55..62 => self.upload_in_parts(&key),
            62..75 => self.delete(&key),
            75..85 => self.copy(&key),
            _ => self.read(&key),
        }
    }

    /// Sizes that end inline, packed, as one short stripe, and as several stripes.
    fn content(&mut self) -> Bytes {
        let most = match self.random.below(20) {
            0 => 1,
            1..6 => 4096,
            6..11 => 65_536,
            11..18 => 1 << 20,
            _ => 12 << 20,
        };
        let len = usize::try_from(self.random.below(most)).unwrap_or(0);
        payload::bytes(self.random.next_u64(), len)
    }

    fn target(&self, key: &str) -> String {
        format!("/{}/{key}", self.load.bucket)
    }

    /// Sends the request that makes a write visible and notes what came of it.
    fn commit(&mut self, key: &str, request: &Request, success: u16, content: Option<Bytes>) {
        let possible = self.keys.get_mut(key).expect("a worker writes to its own keys");
        let _ = self.load.send(request, success, || possible.refused(content.clone()));
        possible.acknowledged(content);
        self.load.tally.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    fn put(&mut self, key: &str) {
        let content = self.content();
        let request = self.load.wire.put(&self.target(key)).body(content.clone());
        self.commit(key, &request, 200, Some(content));
    }

    fn delete(&mut self, key: &str) {
        let request = self.load.wire.delete(&self.target(key));
        self.commit(key, &request, 204, None);
    }

    fn copy(&mut self, key: &str) {
        let certain = |(key, possible): (&String, &Possible)| {
            possible.certain().map(|content| (key.clone(), content.clone()))
        };
        let Some((source, content)) = self.keys.iter().filter_map(certain).next() else {
            return;
        };
        if source == key {
            return;
        }
        let request = self.load.wire.put(&self.target(key));
        let request = request.header("x-amz-copy-source", &self.target(&source));
        self.commit(key, &request, 200, Some(content));
    }

    fn read(&mut self, key: &str) {
        let answer = self.load.wire.get(&self.target(key)).send();
        let possible = self.keys.get_mut(key).expect("a worker reads its own keys");
        match answer.status {
            404 => possible.settle(key, None),
            _ => possible.settle(key, Some(&answer.status_is(200).body)),
        }
    }

    fn upload_in_parts(&mut self, key: &str) {
        let (load, target) = (self.load, self.target(key));
        let begun = load.send(&load.wire.post(&format!("{target}?uploads")), 200, || ());
        let upload = begun.element("UploadId").expect("an upload has an id");
        let tail = usize::try_from(self.random.below(PART_LEN as u64 / 2)).unwrap_or(0);
        let content = payload::bytes(self.random.next_u64(), PART_LEN + tail + 1);
        let mut listed = String::new();
        for (number, body) in (1..).zip(content.chunks(PART_LEN)) {
            let part = format!("{target}?partNumber={number}&uploadId={upload}");
            let part = load.wire.put(&part).body(content.slice_ref(body));
            let stored = load.send(&part, 200, || ());
            let etag = stored.header("etag").unwrap_or_default();
            let tag = etag.trim_matches('"');
            listed.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            ));
        }
        let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let request = load.wire.post(&format!("{target}?uploadId={upload}")).body(body);
        self.commit(key, &request, 200, Some(content));
    }
}
