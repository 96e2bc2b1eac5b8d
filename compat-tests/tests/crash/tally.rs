//! The sums that are printed in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::failpoint::{FAILPOINTS, Failpoint};
use crate::finding::{Findings, Kind};
use crate::load::Written;

/// What the crash loop did and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) at_random: u64,
    pub(crate) while_starting: u64,
    at_failpoints: BTreeMap<&'static str, u64>,
    acknowledged: u64,
    unanswered: u64,
    refused: u64,
    pub(crate) body_bytes: u64,
    restarts: Vec<Duration>,
}

impl Tally {
    pub(crate) fn kills(&self) -> u64 {
        self.at_random + self.while_starting + self.at_failpoints.values().sum::<u64>()
    }

    pub(crate) fn killed_at(&mut self, failpoint: &Failpoint) {
        *self.at_failpoints.entry(failpoint.name).or_default() += 1;
    }

    pub(crate) fn wrote(&mut self, written: &Written) {
        self.acknowledged += written.acknowledged.load(Ordering::SeqCst);
        self.unanswered += written.unanswered.load(Ordering::SeqCst);
        self.refused += written.refused.load(Ordering::SeqCst);
        self.body_bytes += written.body_bytes.load(Ordering::SeqCst);
    }

    pub(crate) fn restarted(&mut self, took: Duration) {
        self.restarts.push(took);
    }

    /// How long the longest restart took.
    pub(crate) fn longest_restart(&self) -> Duration {
        self.restarts.iter().max().copied().unwrap_or_default()
    }

    /// Failpoints that the server was never killed at.
    pub(crate) fn never_reached(&self) -> Vec<&'static str> {
        let names = FAILPOINTS.iter().map(|failpoint| failpoint.name);
        names.filter(|name| !self.at_failpoints.contains_key(name)).collect()
    }

    /// The ledger as it is printed.
    pub(crate) fn report(&self, findings: &Findings) -> String {
        format!(
            "{self}lost          {}\nwrong         {}\nhalf-visible  {}\n",
            findings.count(Kind::Lost),
            findings.count(Kind::Wrong),
            findings.count(Kind::HalfVisible)
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_failpoints: u64 = self.at_failpoints.values().sum();
        writeln!(out, "kills         {}", self.kills())?;
        writeln!(out, "  at random       {:>6}", self.at_random)?;
        writeln!(out, "  while starting  {:>6}", self.while_starting)?;
        writeln!(out, "  at failpoints   {at_failpoints:>6}")?;
        for (name, kills) in &self.at_failpoints {
            writeln!(out, "    {name:<42}{kills:>6}")?;
        }
        let longest = self.longest_restart();
        let count = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX).max(1);
        let mean = self.restarts.iter().sum::<Duration>() / count;
        writeln!(out, "restart       mean {mean:.2?}, longest {longest:.2?}")?;
        writeln!(out, "written       {} MiB of bodies", self.body_bytes >> 20)?;
        writeln!(out, "acknowledged  {}", self.acknowledged)?;
        writeln!(out, "unanswered    {}, refused {}", self.unanswered, self.refused)
    }
}
