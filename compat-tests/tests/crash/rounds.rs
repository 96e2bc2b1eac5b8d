//! The crash loop: start, compare, load, kill, again and again.
//!
//! A server that is armed to die at a failpoint does so whenever it gets there: while it starts,
//! while it is compared with the ledger, or under load.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::payload::Random;
use compat_tests::server::Server;

use crate::content::Content;
use crate::failpoint::{FAILPOINTS, Failpoint, Needs, PATIENCE};
use crate::finding::{Findings, Kind};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::tally::Tally;
use crate::verify::{Interrupted, Scope, Verifier};

/// Clients at a time. Chosen: more than the cores, so that requests overlap in every stage.
const WORKERS: usize = 6;

/// Keys of each worker. Chosen: few, so that most writes overwrite or delete something.
const KEYS: usize = 12;

/// Kills of other kinds for every one at each failpoint. Chosen: with [`FAILPOINTS`] a deck of 40.
const OTHER_KILLS: usize = 14;

/// Of those, the kills while the server starts. Chosen.
const STARTING_KILLS: usize = 2;

/// How long clients work before a kill at random, in milliseconds: between these. Chosen.
const LOAD_MS: (u64, u64) = (200, 800);

/// How long a server starts before it is killed, in milliseconds: below this. Chosen: about what a
/// start takes.
const STARTING_MS_MAX: u64 = 400;

/// Kills between two readings of every key, written or not. Chosen.
const FULL_INTERVAL: u64 = 50;

/// Kills beyond those asked for until every failpoint was reached. Chosen.
const EXTRA_KILLS_MAX: u64 = 10;

/// How long an armed server that stops answering may take to be gone. Chosen.
const DYING_MAX: Duration = Duration::from_secs(5);

const SIGABRT: i32 = 6;

#[derive(Debug, Clone, Copy)]
enum Kill {
    AtRandom,
    WhileStarting,
    At(&'static Failpoint),
}

/// The loop and what it has seen.
pub(crate) struct Rounds<'a> {
    server: &'a Server,
    bucket: &'a str,
    random: Random,
    ledger: Ledger,
    deck: Vec<Kill>,
    /// The drive that is emptied where one is needed: always the same, as a second one lost while
    /// the first is rebuilt would be a test of its own.
    drive: PathBuf,
    pub(crate) findings: Findings,
    pub(crate) tally: Tally,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(server: &'a Server, bucket: &'a str, mut random: Random) -> Self {
        let devices = fs::read_dir(server.data_dir().join("devices")).expect("devices are there");
        let mut drives: Vec<PathBuf> = devices.flatten().map(|entry| entry.path()).collect();
        drives.sort();
        let drive = drives.swap_remove(index_below(&mut random, drives.len()));
        Self {
            server,
            bucket,
            random,
            ledger: Ledger::new(WORKERS, KEYS),
            deck: Vec::new(),
            drive,
            findings: Findings::default(),
            tally: Tally::default(),
        }
    }

    /// Kills the server `kills` times, and some more times if it was not killed at every failpoint
    /// by then although it should have been.
    pub(crate) fn kill(&mut self, kills: u64) {
        let wants_all = kills >= (FAILPOINTS.len() + OTHER_KILLS) as u64;
        let most = kills + EXTRA_KILLS_MAX;
        while self.tally.kills() < kills
            || (wants_all && self.tally.kills() < most && !self.tally.never_reached().is_empty())
        {
            let kill = self.draw();
            let before = self.tally.kills();
            self.round(kill);
            let done = self.tally.kills();
            if done / FULL_INTERVAL > before / FULL_INTERVAL {
                eprintln!("{done} kills\n{}", self.tally.report(&self.findings));
            }
        }
    }

    /// Starts the server for good, reads everything, ends all uploads, and returns the objects.
    pub(crate) fn settle(&mut self) -> BTreeMap<String, Content> {
        self.start(None);
        self.compare(Scope::Everything, None);
        for share in &mut self.ledger.shares {
            for upload in share.uploads.drain(..) {
                let target = format!("/{}/{}?uploadId={}", self.bucket, upload.key, upload.id);
                self.server.wire().delete(&target).send().expect_status(204);
            }
        }
        self.ledger.objects()
    }

    /// The next kill: every failpoint once before any comes again, those that need dead segments
    /// last.
    fn draw(&mut self) -> Kill {
        if self.deck.is_empty() {
            let others = (0..OTHER_KILLS)
                .map(|n| if n < STARTING_KILLS { Kill::WhileStarting } else { Kill::AtRandom });
            self.deck = FAILPOINTS.iter().map(Kill::At).chain(others).collect();
            for last in (1..self.deck.len()).rev() {
                let other = index_below(&mut self.random, last + 1);
                self.deck.swap(last, other);
            }
            // Drawn from the end.
            let needs_segments =
                |kill: &Kill| matches!(kill, Kill::At(f) if f.needs == Needs::DeadSegments);
            self.deck.sort_by_key(|kill| !needs_segments(kill));
        }
        self.deck.pop().expect("a deck is never empty")
    }

    fn round(&mut self, kill: Kill) {
        let armed = match kill {
            Kill::WhileStarting => {
                let delay = Duration::from_millis(self.random.below(STARTING_MS_MAX));
                self.server.set_environment("FAILPOINTS", None);
                self.server.kill_while_starting(delay);
                self.tally.while_starting += 1;
                return;
            }
            Kill::AtRandom => None,
            Kill::At(failpoint) => Some(failpoint),
        };
        if armed.is_some_and(|failpoint| failpoint.needs == Needs::EmptyDrive) {
            fs::remove_dir_all(&self.drive).expect("the drive can be removed");
            fs::create_dir(&self.drive).expect("an empty drive can take its place");
        }
        let full = self.tally.kills() % FULL_INTERVAL == FULL_INTERVAL - 1;
        let scope = if full { Scope::Everything } else { Scope::Touched };
        if self.start(armed) && self.compare(scope, armed) {
            self.load(armed);
        }
    }

    /// Starts the server; false when it died at its failpoint.
    fn start(&mut self, armed: Option<&'static Failpoint>) -> bool {
        let setting = armed.map(|failpoint| {
            let passes = self.random.below(failpoint.passes_max + 1);
            failpoint.setting(passes)
        });
        self.server.set_environment("FAILPOINTS", setting.as_deref());
        let started = Instant::now();
        match (self.server.try_start_again(), armed) {
            (Ok(()), _) => {
                let took = started.elapsed();
                self.tally.restarted(took);
                true
            }
            (Err(error), Some(failpoint))
                if error.lines().next().is_some_and(|l| l.contains("SIGABRT")) =>
            {
                self.tally.killed_at(failpoint);
                false
            }
            (Err(error), _) => panic!("{setting:?}: {error}"),
        }
    }

    /// Compares the server with the ledger; false when it died at its failpoint.
    fn compare(&mut self, scope: Scope, armed: Option<&'static Failpoint>) -> bool {
        let (bucket, findings) = (self.bucket, &self.findings);
        let verifier = Verifier { wire: self.server.wire(), bucket, findings };
        let Err(Interrupted { request }) = verifier.verify(&mut self.ledger, scope) else {
            return true;
        };
        match armed {
            Some(failpoint) if died(self.server, DYING_MAX) => self.tally.killed_at(failpoint),
            _ => {
                self.findings.add(Kind::HalfVisible, format!("{request}, and the server runs"));
                self.server.kill();
                self.tally.at_random += 1;
            }
        }
        false
    }

    /// Lets clients work until the server is gone.
    fn load(&mut self, armed: Option<&'static Failpoint>) {
        let seed = self.random.next_u64();
        let (least, most) = LOAD_MS;
        let pause = Duration::from_millis(least + self.random.below(most - least));
        let load = Load::new(self.server, self.bucket, &self.findings, armed.is_some(), seed);
        let (server, mut dead) = (self.server, false);
        load.run(&mut self.ledger, |stop| {
            match armed {
                Some(_) => dead = died(server, PATIENCE),
                None => thread::sleep(pause),
            }
            stop();
            if !dead {
                server.kill();
            }
        });
        self.tally.wrote(&load.written);
        match armed {
            Some(failpoint) if dead => self.tally.killed_at(failpoint),
            Some(failpoint) => {
                eprintln!("{} was not reached", failpoint.name);
                self.tally.at_random += 1;
                self.deck.push(Kill::At(failpoint));
            }
            None => self.tally.at_random += 1,
        }
    }
}

/// Whether the server ends at its failpoint within `timeout`.
///
/// # Panics
/// When it ends in another way.
fn died(server: &Server, timeout: Duration) -> bool {
    let status = server.wait_for_end(timeout);
    let signal = status.map(|status| status.signal());
    assert!(signal.is_none_or(|signal| signal == Some(SIGABRT)), "it ended with {status:?}");
    status.is_some()
}

fn index_below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}
