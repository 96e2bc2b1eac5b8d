//! What bounds a server on this machine, stage by stage.
//!
//! Invariants:
//! - every figure is bounded in time, and what it writes is removed before the next one;
//! - a CPU stage runs on one thread over buffers larger than a second-level cache, and its figure is
//!   per second on a processor; drive and metadata figures are per second of the clock;
//! - drive, metadata and composed stages go through the same types as the server, with its
//!   defaults.
//!
//! *Cancellation:* Ctrl-C ends the figure under way; what was measured is reported.

pub(crate) mod composed;
pub(crate) mod cpu;
mod drive;
pub(crate) mod http;
pub(crate) mod metadata;
pub(crate) mod object;
pub(crate) mod transport;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use crate::{
    args::StagesArgs,
    interrupt::{Interrupt, Stop},
    measure::thread_cpu_time,
    row::{Row, table},
};

/// Longest time for one figure. Chosen: drives write gigabytes a second into the directory.
const TIME_MAX: Duration = Duration::from_secs(60);

/// How long a figure may take.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    time: Duration,
    stop: Stop,
}

/// How often something was done in how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    count: u64,
    elapsed: Duration,
}

impl Budget {
    /// `time` for a figure, less when `stop` is set.
    pub(crate) fn new(time: Duration, stop: Stop) -> Self {
        Self { time, stop }
    }

    /// When work that starts now has to end.
    fn deadline(&self) -> Instant {
        Instant::now() + self.time
    }

    /// Whether work goes on.
    fn allows(&self, deadline: Instant) -> bool {
        Instant::now() < deadline && !self.stop.is_set()
    }

    /// Does `work` on this thread until the time is over, at least once; the first, which warms up,
    /// is not counted. The time is that on a processor, so that neighbours do not count.
    fn rate(&self, mut work: impl FnMut()) -> Rate {
        work();
        let deadline = self.deadline();
        let (started, on_cpu) = (Instant::now(), thread_cpu_time());
        let mut count = 0;
        loop {
            work();
            count += 1;
            if !self.allows(deadline) {
                break;
            }
        }
        let elapsed = match (on_cpu, thread_cpu_time()) {
            (Some(before), Some(after)) if after > before => after - before,
            _ => started.elapsed(),
        };
        Rate { count, elapsed }
    }
}

impl Rate {
    fn per_second(self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// GB/s when each took `len_bytes`.
    fn gigabytes_per_second(self, len_bytes: usize) -> f64 {
        self.per_second() * len_bytes as f64 / 1e9
    }
}

/// Measures and prints. Returns whether anything was measured.
///
/// # Errors
/// When the directory is unusable, a stage fails, or the result cannot be written.
pub(crate) fn run(args: &StagesArgs, runtime: &Runtime) -> Result<bool> {
    ensure!(
        !args.time.is_zero() && args.time <= TIME_MAX,
        "--time must be above 0 and at most 60s"
    );
    let _inside = runtime.enter();
    let interrupt = Interrupt::listen();
    let budget = Budget { time: args.time, stop: interrupt.stop() };
    let directory = tempfile::Builder::new()
        .prefix("bench-stages-")
        .tempdir_in(&args.directory)
        .with_context(|| format!("cannot write to {}", args.directory.display()))?;
    let is_wanted = |name: &str| {
        !budget.stop.is_set() && args.only.as_ref().is_none_or(|part| name.contains(part.as_str()))
    };
    let mut rows = cpu::measure(&budget, &is_wanted)?;
    rows.extend(runtime.block_on(drive::measure(&budget, directory.path(), &is_wanted))?);
    rows.extend(runtime.block_on(metadata::measure(&budget, directory.path(), &is_wanted))?);
    rows.extend(runtime.block_on(http::measure(&budget, &is_wanted))?);
    rows.extend(runtime.block_on(transport::measure(&budget, &is_wanted))?);
    rows.extend(runtime.block_on(composed::measure(&budget, directory.path(), &is_wanted))?);
    rows.extend(runtime.block_on(object::measure(&budget, directory.path(), &is_wanted))?);
    directory.close().context("cannot remove the temporary directory")?;
    print!("{}", table(&rows));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    ensure!(!rows.is_empty() || budget.stop.is_set(), "no stage has this name");
    Ok(!rows.is_empty())
}

/// Whether a row with this name is asked for.
pub(crate) type Wanted<'w> = dyn Fn(&str) -> bool + Sync + 'w;

/// A row, if it is asked for.
fn row_if(
    is_wanted: &Wanted<'_>,
    name: &str,
    unit: &str,
    measure: impl FnOnce() -> f64,
) -> Option<Row> {
    is_wanted(name).then(|| Row::new(name, measure(), unit))
}
