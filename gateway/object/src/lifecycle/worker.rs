//! Which bucket is next, and how fast.
//!
//! *Limits:* one page of one bucket, or one commit, at a time, and then a pause of several times
//! what it took.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway_meta::{BucketId, KeyRange, Table, key::ctl, record::LifecycleRecord};
use tokio::time::Instant;

use super::pass::{Cut, Pass, Step};
use crate::{
    BucketConfig, Fault,
    engine::{Engine, read_fault},
    worker::{Pace, Worker},
};

/// Configurations looked at in one step. Chosen: some hundred kilobytes.
const CONFIGS_PER_STEP: usize = 256;
/// The pause behind a page or a commit, in times of what it took. Chosen: lifecycle works a quarter of
/// the time; see docs/operations.md for what that leaves requests.
const PAUSE_FACTOR: u32 = 3;
/// Longest such pause. Chosen: shutdown waits for it.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Looks for due buckets in a day of the rules. Chosen: a real day has one each hour.
const LOOKS_PER_DAY: u32 = 24;
/// Shortest and longest pause between looks. Chosen.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(200);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Pause before a failed page is tried again. Chosen.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The worker.
pub(crate) struct Lifecycle {
    engine: Arc<Engine>,
    interval: Duration,
    /// Buckets up to here were looked at in this round.
    behind: Option<BucketId>,
    current: Option<Pass>,
    /// What failed in this round is left to the next.
    failed: bool,
    cut: Cut,
}

impl Lifecycle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let interval = engine.lifecycle_day().len() / LOOKS_PER_DAY;
        Self {
            engine,
            interval: interval.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX),
            behind: None,
            current: None,
            failed: false,
            cut: Cut::default(),
        }
    }

    /// Cuts buckets into other pages.
    #[cfg(test)]
    pub(super) fn cut_into(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    /// Finds the next bucket that needs a pass. `Idle` at the end of the round.
    async fn look(&mut self, engine: &Engine) -> Result<Pace, Fault> {
        let mut range = KeyRange::prefix(&ctl::all_bucket_configs_prefix());
        if let Some(BucketId(last)) = self.behind {
            range.start = ctl::bucket_config_prefix(BucketId(last.saturating_add(1)));
        }
        let rows = engine.meta.scan(Table::Ctl, range, CONFIGS_PER_STEP).await;
        let rows = rows.map_err(read_fault)?;
        // A bucket whose rows may go on behind these is looked at in the next step.
        let is_last = rows.len() < CONFIGS_PER_STEP;
        let end = rows.last().and_then(|(row_key, _)| ctl::parse_bucket_config(row_key));
        for (row_key, value) in &rows {
            let Some((bucket, kind)) = ctl::parse_bucket_config(row_key) else { continue };
            let is_cut = !is_last && end.is_some_and(|(end, _)| end == bucket);
            if kind != LifecycleRecord::KIND.as_bytes() || is_cut {
                continue;
            }
            self.behind = Some(bucket);
            let Some(name) = engine.row(Table::Ctl, &ctl::bucket_id(bucket))? else { continue };
            let name = String::from_utf8_lossy(&name).into_owned();
            if let Some(pass) = engine.due_pass(bucket, name, value)? {
                engine.lifecycle.begun(&pass.name, pass.started());
                self.current = Some(pass);
                return Ok(Pace::More);
            }
        }
        if let (false, Some((BucketId(end), _))) = (is_last, end) {
            self.behind = Some(BucketId(end.saturating_sub(1)));
            return Ok(Pace::More);
        }
        self.behind = None;
        engine.lifecycle.rested(engine.clock.now());
        Ok(Pace::Idle)
    }

    async fn advance(&mut self, engine: &Engine) -> Result<Pace, Fault> {
        let Some(pass) = &mut self.current else { return self.look(engine).await };
        match engine.step_pass(pass, self.cut).await? {
            Step::More => {}
            step @ (Step::Through | Step::Gone) => {
                engine.lifecycle.ended(step == Step::Through);
                self.current = None;
            }
        }
        Ok(Pace::More)
    }
}

#[async_trait]
impl Worker for Lifecycle {
    fn name(&self) -> &'static str {
        "lifecycle"
    }

    fn interval(&self) -> Duration {
        if self.failed { self.interval.min(RETRY_PAUSE) } else { self.interval }
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        let engine = Arc::clone(&self.engine);
        let started = Instant::now();
        let is_page = self.current.is_some();
        let outcome = self.advance(&engine).await;
        self.failed = outcome.is_err();
        if self.failed {
            engine.lifecycle.erred(1);
        }
        if is_page {
            tokio::time::sleep((started.elapsed() * PAUSE_FACTOR).min(PAUSE_MAX)).await;
        }
        outcome
    }
}
