//! Many clients at work on one server process until it is gone.
//!
//! - A request goes unanswered only when the process ends under it: by the harness's kill, or at a
//!   failpoint that is armed.
//! - Answers that cannot be right are findings; the worker goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use compat_tests::payload::Random;
use compat_tests::server::Server;
use compat_tests::wire::{Request, Response};

use crate::finding::{Findings, Kind};
use crate::ledger::Ledger;
use crate::worker::Worker;

/// How long a worker waits after `SlowDown`. Chosen.
const SLOW_DOWN_PAUSE: Duration = Duration::from_millis(20);

/// How often a worker whose server is gone looks whether it may end. Chosen.
const GONE_PAUSE: Duration = Duration::from_millis(5);

/// One run of the workers against one server process.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) server: &'a Server,
    pub(crate) bucket: &'a str,
    pub(crate) findings: &'a Findings,
    /// Whether the process may end by itself, at a failpoint.
    pub(crate) may_die: bool,
    pub(crate) seed: u64,
    stopping: AtomicBool,
    pub(crate) written: Written,
}

/// What the workers got done.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) acknowledged: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
}

/// The server answered, was too busy, or did not answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Given(Response),
    Refused,
    None,
}

impl<'a> Load<'a> {
    pub(crate) fn new(
        server: &'a Server,
        bucket: &'a str,
        findings: &'a Findings,
        may_die: bool,
        seed: u64,
    ) -> Self {
        let stopping = AtomicBool::new(false);
        let written = Written::default();
        Self { server, bucket, findings, may_die, seed, stopping, written }
    }

    /// Runs the workers while `end` runs, which ends the server after it called its argument.
    pub(crate) fn run(&self, ledger: &mut Ledger, end: impl FnOnce(&dyn Fn())) {
        thread::scope(|scope| {
            for (number, share) in (0..).zip(&mut ledger.shares) {
                let random = Random::new(self.seed.wrapping_add(number));
                let mut worker = Worker::new(self, share, random);
                scope.spawn(move || {
                    while !self.stopping.load(Ordering::SeqCst) {
                        worker.step();
                    }
                });
            }
            end(&|| self.stopping.store(true, Ordering::SeqCst));
            self.stopping.store(true, Ordering::SeqCst);
        });
    }

    /// Sends a request that may write.
    pub(crate) fn send(&self, what: &str, request: Request) -> Answer {
        match request.try_send() {
            Ok(answer) if answer.status == 503 => {
                self.written.refused.fetch_add(1, Ordering::Relaxed);
                thread::sleep(SLOW_DOWN_PAUSE);
                Answer::Refused
            }
            Ok(answer) if answer.status >= 500 => {
                self.findings.add(Kind::Wrong, format!("{what} answered {}", describe(&answer)));
                Answer::None
            }
            Ok(answer) => Answer::Given(answer),
            Err(error) => {
                self.written.unanswered.fetch_add(1, Ordering::Relaxed);
                let stopping = || self.stopping.load(Ordering::SeqCst);
                if !self.may_die && !stopping() {
                    let what = format!("{what} got no answer from a server that runs: {error}");
                    self.findings.add(Kind::Wrong, what);
                }
                while !stopping() && self.may_die {
                    thread::sleep(GONE_PAUSE);
                }
                Answer::None
            }
        }
    }

    /// Notes an answer that cannot be right.
    pub(crate) fn wrong(&self, what: &str, answer: &Response) {
        self.findings.add(Kind::Wrong, format!("{what} answered {}", describe(answer)));
    }
}

/// An answer in one line.
pub(crate) fn describe(answer: &Response) -> String {
    let code = answer.element("Code").unwrap_or_default();
    let message = answer.element("Message").unwrap_or_default();
    format!("{} {code} {message}", answer.status)
}
