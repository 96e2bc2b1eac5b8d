//! Reads back what the ledger says and compares keys, the listing and the uploads under way.
//!
//! A server that is armed to die may do so under it; what was not looked at stays for next time.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use compat_tests::wire::{Request, Response, Wire, percent_encode};

use crate::finding::{Findings, Kind};
use crate::ledger::{Ending, Ledger, Read, Share};
use crate::load::describe;

/// How often a read that is told to slow down is tried again. Chosen: with the pause, some seconds.
const ATTEMPTS_MAX: u32 = 100;

/// How long it waits in between. Chosen.
const SLOW_DOWN_PAUSE: Duration = Duration::from_millis(50);

/// Keys per page of the listing. Chosen: several pages.
const PAGE_LEN: usize = 37;

/// Which keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those that were written since they were last read.
    Touched,
    Everything,
}

/// The server was gone before everything was compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    pub(crate) request: String,
}

/// Compares one server with the ledger.
pub(crate) struct Verifier<'a> {
    pub(crate) wire: Wire,
    pub(crate) bucket: &'a str,
    pub(crate) findings: &'a Findings,
}

/// What an answer to a GET says of an object.
pub(crate) fn read_of(answer: &Response) -> Read {
    match answer.status {
        200 => Read::Object {
            body: answer.body.clone(),
            etag: answer.header("etag").unwrap_or_default().to_owned(),
        },
        404 if answer.element("Code").as_deref() == Some("NoSuchKey") => Read::Absent,
        _ => Read::Unreadable { answer: describe(answer) },
    }
}

impl Verifier<'_> {
    /// Reads and compares; what is wrong becomes a finding.
    ///
    /// # Errors
    /// [`Interrupted`] when the server went away.
    pub(crate) fn verify(&self, ledger: &mut Ledger, scope: Scope) -> Result<(), Interrupted> {
        thread::scope(|threads| {
            let shares = ledger.shares.iter_mut();
            let reading: Vec<_> =
                shares.map(|share| threads.spawn(|| self.read_share(share, scope))).collect();
            let joined = reading.into_iter().map(|thread| match thread.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        self.compare_listing(ledger)?;
        self.compare_uploads(ledger)
    }

    fn read_share(&self, share: &mut Share, scope: Scope) -> Result<(), Interrupted> {
        for (key, entry) in &mut share.keys {
            if !entry.touched && scope == Scope::Touched {
                continue;
            }
            let answer = self.ask(|| self.wire.get(&format!("/{}/{key}", self.bucket)), key)?;
            if let Err((kind, what)) = entry.possible.settle(&read_of(&answer)) {
                self.findings.add(kind, format!("{key} {what}"));
            }
            entry.touched = false;
        }
        Ok(())
    }

    /// Asks until there is another answer than to slow down.
    fn ask(&self, request: impl Fn() -> Request, what: &str) -> Result<Response, Interrupted> {
        let mut attempt = 1;
        loop {
            let answer = request()
                .try_send()
                .map_err(|error| Interrupted { request: format!("reading {what}: {error}") })?;
            if answer.status != 503 || attempt == ATTEMPTS_MAX {
                return Ok(answer);
            }
            attempt += 1;
            thread::sleep(SLOW_DOWN_PAUSE);
        }
    }

    fn compare_listing(&self, ledger: &Ledger) -> Result<(), Interrupted> {
        let listed = self.list()?;
        for (key, entry) in ledger.shares.iter().flat_map(|share| &share.keys) {
            if !entry.possible.is_certain() {
                continue;
            }
            let wanted = entry.possible.certain().map(|c| (c.len.to_string(), c.etag()));
            let found = listed.get(key);
            if wanted.as_ref() != found {
                let what = format!("the listing has {found:?} for {key}, reading {wanted:?}");
                self.findings.add(Kind::HalfVisible, what);
            }
        }
        let keys: BTreeSet<&String> =
            ledger.shares.iter().flat_map(|share| share.keys.keys()).collect();
        for key in listed.keys().filter(|key| !keys.contains(key)) {
            self.findings.add(Kind::HalfVisible, format!("the listing has {key}, which is no key"));
        }
        Ok(())
    }

    /// Length and ETag of every key in the bucket.
    fn list(&self) -> Result<BTreeMap<String, (String, String)>, Interrupted> {
        let mut found = BTreeMap::new();
        let mut query = format!("?list-type=2&max-keys={PAGE_LEN}");
        loop {
            let target = format!("/{}{query}", self.bucket);
            let page = self.ask(|| self.wire.get(&target), "the listing")?;
            if page.status != 200 {
                let what = format!("the listing answers {}", describe(&page));
                self.findings.add(Kind::Wrong, what);
            }
            let described = page.elements("Size").into_iter().zip(page.elements("ETag"));
            found.extend(page.elements("Key").into_iter().zip(described));
            let Some(token) = page.element("NextContinuationToken") else {
                return Ok(found);
            };
            let token = percent_encode(&token);
            query = format!("?list-type=2&max-keys={PAGE_LEN}&continuation-token={token}");
        }
    }

    /// Settles uploads whose end was not answered, and aborts those whose beginning was not.
    fn compare_uploads(&self, ledger: &mut Ledger) -> Result<(), Interrupted> {
        let target = format!("/{}?uploads&max-uploads=1000", self.bucket);
        let answer = self.ask(|| self.wire.get(&target), "the uploads")?;
        let ids = answer.elements("UploadId").into_iter();
        let mut listed: BTreeMap<String, String> = ids.zip(answer.elements("Key")).collect();
        for share in &mut ledger.shares {
            self.settle_uploads(share, &mut listed);
        }
        let unanswered: u64 = ledger.shares.iter().map(|share| share.begun_unanswered).sum();
        if listed.len() as u64 > unanswered {
            let what = format!("stray uploads: {listed:?}, {unanswered} may have begun unanswered");
            self.findings.add(Kind::HalfVisible, what);
        }
        for (id, key) in &listed {
            let target = format!("/{}/{key}?uploadId={id}", self.bucket);
            let answer = self.ask(|| self.wire.delete(&target), "an upload")?;
            if answer.status != 204 {
                let what = format!("abortion of a listed upload answers {}", describe(&answer));
                self.findings.add(Kind::HalfVisible, what);
            }
        }
        ledger.shares.iter_mut().for_each(|share| share.begun_unanswered = 0);
        Ok(())
    }

    /// Takes the uploads of one worker out of `listed`.
    fn settle_uploads(&self, share: &mut Share, listed: &mut BTreeMap<String, String>) {
        for id in share.ended.drain(..) {
            if listed.remove(&id).is_some() {
                self.findings.add(Kind::HalfVisible, format!("upload {id} is over and listed"));
            }
        }
        share.uploads.retain(|upload| {
            let is_there = listed.remove(&upload.id).is_some();
            if !is_there {
                let what = format!("upload {} of {} is not listed", upload.id, upload.key);
                self.findings.add(Kind::Lost, what);
            }
            is_there
        });
        for (upload, ending) in std::mem::take(&mut share.ending) {
            let is_there = listed.remove(&upload.id).is_some();
            let entry = share.entry(&upload.key);
            let completed = entry.possible.certain() == Some(upload.content);
            let known = !entry.possible.is_unknown();
            if ending == Ending::Completion {
                entry.frozen = false;
                if known && is_there == completed {
                    let what = if is_there { "is there with" } else { "is gone without" };
                    let what = format!("upload {} of {} {what} its object", upload.id, upload.key);
                    self.findings.add(Kind::HalfVisible, what);
                }
            }
            if is_there && !completed {
                share.uploads.push(upload);
            }
        }
    }
}
