//! A server beside what bounds it, measured in the same run.
//!
//! Starts `datamesh server`, puts load on it as `load` does, measures the stages that its figures
//! are compared with right before them, and repeats all of that in rounds: a machine that is busy
//! for a moment disturbs both sides, and the median of the rounds is shown.
//!
//! Invariants:
//! - a limit and what is compared with it were measured in the same round;
//! - what a round writes stays until its end, so that deleting disturbs no figure of it;
//! - objects that are read were read before, so that server and pipeline both find them in the page
//!   cache;
//! - nothing is left behind: the servers end and the temporary directory is removed.
//!
//! *Cancellation:* Ctrl-C ends the figure under way and shows what was measured until then.
//! *Limits:* disk space for what one round writes, about 15 GB with the defaults.

mod figures;
mod lines;
mod machine;
mod render;
mod samples;
mod scale;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{
    figures::{Figure, Limit, MANY_KEYS, Phase, Prepared, Site, Stage},
    lines::{Line, Measured, memory_row},
    samples::{Sample, Samples},
    scale::Scale,
    server::Server,
};
use crate::{
    args::{LoadArgs, ReportArgs},
    interrupt::{Interrupt, Stop},
    load::{Plan, Total},
    row::number,
    size::format_size,
    stages::{
        Budget,
        composed::{Pipeline, ReadSet, Way},
        cpu, http, metadata,
    },
};

/// Longest time of one figure. Chosen: the report has a hundred of them per round.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Seed of all objects that are there before the first round.
const SEED: u64 = 1;
/// How often prepared objects are read before anything is measured, each on average: a drive
/// bypasses the page cache at the first read of a shard, and fills it at the second.
const WARMING_READS: u64 = 6;
/// Cores a server may keep busy and still be called idle. Chosen: its probes and metrics.
const IDLE_CORES: f64 = 0.05;
/// How long a server is given to reclaim what a round wrote.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long reclamation may take to begin. Source: the server's grace for readers, 2 s, and a look
/// at the queue every second.
const RECLAIM_DELAY: Duration = Duration::from_millis(3500);

/// Measures, prints, and writes what was asked for. Returns whether anything was measured.
///
/// # Errors
/// When the server cannot be started, reads wrong bytes, or the result cannot be written.
pub(crate) async fn run(args: &ReportArgs) -> Result<bool> {
    let scale = Scale::new(args);
    ensure!(
        !scale.time.is_zero() && scale.time <= TIME_MAX,
        "--time must be above 0 and at most 60s"
    );
    let figures = wanted(figures::all(&scale), args.only.as_deref());
    let program = server_program(args.server.as_deref())?;
    let interrupt = Interrupt::listen();
    let directory = tempfile::Builder::new()
        .prefix("bench-report-")
        .tempdir_in(&args.directory)
        .with_context(|| format!("cannot write to {}", args.directory.display()))?;
    let started = Instant::now();
    let mut bench =
        Bench::start(scale, program, directory.path().to_owned(), interrupt.stop()).await?;
    let measured = bench.measure(&figures, args.only.as_deref()).await;
    let lines = bench.lines(&figures);
    let heading = bench.heading(args);
    bench.stop().await?;
    directory.close().context("cannot remove the temporary directory")?;
    measured?;
    let seconds = started.elapsed().as_secs();
    println!("{heading} Took {seconds} s.\n\n{}", render::text(&lines));
    if let Some(path) = &args.json {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let text = serde_json::to_string_pretty(&lines)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.markdown {
        render::write_markdown(path, &render::markdown(&heading, &lines))?;
    }
    Ok(!lines.is_empty())
}

/// The figures whose name contains `only`, and those they are compared with.
fn wanted(figures: Vec<Figure>, only: Option<&str>) -> Vec<Figure> {
    let Some(only) = only else { return figures };
    let mut rows = BTreeSet::new();
    for figure in figures.iter().filter(|figure| figure.row.contains(only)) {
        rows.insert(figure.row.clone());
        for comparison in &figure.comparisons {
            if let Limit::Figure(row) = &comparison.limit {
                rows.insert(row.clone());
            }
        }
    }
    figures.into_iter().filter(|figure| rows.contains(&figure.row)).collect()
}

fn server_program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(program) => program.to_owned(),
        None => std::env::current_exe()?.with_file_name("datamesh"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it, or name it with --server",
        program.display()
    );
    Ok(program)
}

/// Everything that runs during a report.
struct Bench {
    scale: Scale,
    program: PathBuf,
    directory: PathBuf,
    stop: Stop,
    cores: f64,
    healthy: Server,
    degraded: Option<Server>,
    /// Drives with stripes to be read, by length.
    reads: Option<Pipeline>,
    read_sets: BTreeMap<usize, ReadSet>,
    samples: Samples,
    put_costs: BTreeMap<String, f64>,
    /// Distinct for every figure that writes.
    next_seed: u64,
}

impl Bench {
    async fn start(scale: Scale, program: PathBuf, directory: PathBuf, stop: Stop) -> Result<Self> {
        let healthy = Server::start(&program, &directory.join("healthy")).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            scale,
            program,
            directory,
            stop,
            cores: cores as f64,
            healthy,
            degraded: None,
            reads: None,
            read_sets: BTreeMap::new(),
            samples: Samples::default(),
            put_costs: BTreeMap::new(),
            next_seed: SEED + 1,
        })
    }

    async fn stop(self) -> Result<()> {
        if let Some(pipeline) = self.reads {
            pipeline.close().await?;
        }
        if let Some(server) = self.degraded {
            server.stop().await?;
        }
        self.healthy.stop().await
    }

    fn budget(&self) -> Budget {
        Budget::new(self.scale.time, self.stop.clone())
    }

    async fn measure(&mut self, figures: &[Figure], only: Option<&str>) -> Result<()> {
        self.prepare(figures).await?;
        self.measure_put_costs()?;
        for round in 1..=self.scale.rounds {
            self.round(&format!("round {round}"), figures, Phase::Rounds).await?;
        }
        if figures.iter().any(|figure| figure.phase == Phase::AfterDeletes) {
            self.delete_many().await?;
            for round in 1..=self.scale.rounds {
                let label = format!("after deletes {round}");
                self.round(&label, figures, Phase::AfterDeletes).await?;
            }
        }
        if only.is_none_or(|only| memory_row(self.scale.uploads).contains(only)) {
            self.measure_memory().await?;
        }
        Ok(())
    }

    fn site(&self, site: Site) -> &Server {
        match site {
            Site::Degraded => self.degraded.as_ref().unwrap_or(&self.healthy),
            Site::Healthy => &self.healthy,
        }
    }

    fn plan(&self, site: Site, line: &str) -> Result<Plan> {
        let server = self.site(site);
        let target = format!("--endpoint {} --server-pid {}", server.url(), server.pid());
        let words = line.split_whitespace().chain(target.split_whitespace());
        Plan::new(LoadArgs::from_words(words)?, server::signer())
    }

    /// Makes the objects that are read, on each server that is asked for them, and reads them.
    async fn prepare(&mut self, figures: &[Figure]) -> Result<()> {
        if figures.iter().any(|figure| figure.site == Site::Degraded) {
            self.prepare_degraded(figures).await?;
        }
        self.fill(figures, Site::Healthy, Site::Healthy).await?;
        self.warm(figures).await
    }

    /// Starts a second server, fills it, and takes two of its drives away.
    async fn prepare_degraded(&mut self, figures: &[Figure]) -> Result<()> {
        let data = self.directory.join("degraded");
        self.degraded = Some(Server::start(&self.program, &data).await?);
        self.fill(figures, Site::Degraded, Site::Degraded).await?;
        if let Some(server) = self.degraded.take() {
            server.stop().await?;
        }
        server::take_two_drives(&data)?;
        self.degraded = Some(Server::start(&self.program, &data).await?);
        Ok(())
    }

    async fn fill(&self, figures: &[Figure], read_at: Site, site: Site) -> Result<()> {
        let mut done: Vec<&Prepared> = Vec::new();
        for figure in figures.iter().filter(|figure| figure.site == read_at) {
            let Some(set) = figure.reads.as_ref().filter(|set| !done.contains(set)) else {
                continue;
            };
            done.push(set);
            if set.first > 0 {
                // The rest of a set that another figure names whole.
                continue;
            }
            let size = format_size(set.len_bytes);
            eprintln!("preparing {} objects of {size}", set.objects);
            let line = format!(
                "get --bucket {} --size {size} --objects {} --seed {SEED} --payload unsigned",
                set.bucket, set.objects
            );
            self.plan(site, &line)?.prepare(&self.stop).await?;
        }
        Ok(())
    }

    /// Reads the objects until they are in the page cache.
    async fn warm(&self, figures: &[Figure]) -> Result<()> {
        let mut done: Vec<(Site, &Prepared)> = Vec::new();
        for figure in figures {
            let Some(set) = &figure.reads else { continue };
            let is_listed = set.bucket == MANY_KEYS;
            if is_listed || done.contains(&(figure.site, set)) || self.stop.is_set() {
                continue;
            }
            done.push((figure.site, set));
            let line = format!(
                "get --bucket {} --size {} --objects {} --seed {SEED} --reuse --warm-up 0s \
                 --count {}",
                set.bucket,
                format_size(set.len_bytes),
                set.objects,
                WARMING_READS * set.objects
            );
            let report = self.plan(figure.site, &line)?.measure(&self.stop).await?;
            ensure!(report.wrong_reads == 0, "wrong bytes: {:?}", report.error_examples);
        }
        Ok(())
    }

    /// What each stage of a PUT costs, to say which is the largest.
    fn measure_put_costs(&mut self) -> Result<()> {
        const STAGES: [&str; 5] = ["MD5", "CRC64NVME", "BLAKE3", "AES", "Cauchy encode"];
        let time = self.scale.time.min(Duration::from_millis(200));
        let budget = Budget::new(time, self.stop.clone());
        let is_wanted = |name: &str| STAGES.iter().any(|stage| name.contains(stage));
        for row in cpu::measure(&budget, &is_wanted)? {
            self.put_costs.insert(row.row, 1.0 / row.value.max(f64::EPSILON));
        }
        Ok(())
    }

    /// Each figure of a phase once, each right after the stages it is compared with.
    async fn round(&mut self, label: &str, figures: &[Figure], phase: Phase) -> Result<()> {
        let mut stages_done = BTreeSet::new();
        let mut to_clear = Vec::new();
        let is_compared = |row: &str| {
            figures.iter().filter(|figure| figure.phase == phase).any(|figure| {
                figure.comparisons.iter().any(|each| each.limit == Limit::Figure(row.to_owned()))
            })
        };
        for figure in figures {
            if self.stop.is_set() {
                break;
            }
            if figure.phase != phase && !is_compared(&figure.row) {
                continue;
            }
            for stage in figure.comparisons.iter().flat_map(|each| each.limit.stages()) {
                if stages_done.insert(stage.name()) {
                    let sample = self.stage(stage).await?;
                    eprintln!("{label}: {} {}", stage.name(), rate_of(&sample));
                    self.samples.add(&stage.name(), sample);
                }
            }
            let (plan, sample) = self.figure(figure).await?;
            eprintln!("{label}: {} {}", figure.row, rate_of(&sample));
            self.samples.add(&figure.row, sample);
            to_clear.extend(plan.filter(|_| figure.reads.is_none()));
        }
        let has_written = !to_clear.is_empty();
        for plan in to_clear {
            plan.clear().await?;
        }
        if has_written {
            self.settle().await;
        }
        Ok(())
    }

    async fn figure(&mut self, figure: &Figure) -> Result<(Option<Plan>, Sample)> {
        let place = match &figure.reads {
            Some(set) => format!(
                "--bucket {} --objects {} --first {} --seed {SEED} --reuse",
                set.bucket, set.objects, set.first
            ),
            None => {
                self.next_seed += 1;
                format!("--bucket written --seed {}", self.next_seed)
            }
        };
        let millis = self.scale.time.as_millis().max(1);
        let has_end = ["--count", "--once"].iter().any(|word| figure.line.contains(word));
        let ends = if has_end {
            String::new()
        } else {
            format!("--duration {millis}ms --warm-up {}ms", millis / 4)
        };
        let plan = self.plan(figure.site, &format!("{} {place} {ends}", figure.line))?;
        plan.prepare(&self.stop).await?;
        let report = plan.measure(&self.stop).await?;
        ensure!(
            report.wrong_reads == 0,
            "{}: wrong bytes: {:?}",
            figure.row,
            report.error_examples
        );
        let total = report.total();
        let errors = report.errors.values().sum();
        if total.count == 0 && !self.stop.is_set() {
            bail!("{}: nothing succeeded: {:?}", figure.row, report.error_examples);
        }
        Ok((Some(plan), Sample { total, errors }))
    }

    async fn stage(&mut self, stage: &Stage) -> Result<Sample> {
        let budget = self.budget();
        match stage {
            Stage::Composed(way @ (Way::Put | Way::FirstGet), len_bytes) => {
                let pipeline = self.pipeline("composed-new").await?;
                let throughput = match way {
                    Way::Put => pipeline.put(&budget, *len_bytes).await,
                    _ => pipeline.get_first(&budget, *len_bytes).await,
                };
                pipeline.close().await?;
                Ok(throughput?.into())
            }
            Stage::Composed(way, len_bytes) => {
                if self.reads.is_none() {
                    self.reads = Some(self.pipeline("composed-get").await?);
                }
                let pipeline = self.reads.as_ref().context("it was just opened")?;
                let set = match self.read_sets.get(len_bytes) {
                    Some(set) => *set,
                    None => {
                        let set = pipeline.fill(&budget, *len_bytes).await?;
                        self.read_sets.insert(*len_bytes, set);
                        set
                    }
                };
                Ok(pipeline.get(&budget, set, *way == Way::DegradedGet).await?.into())
            }
            Stage::Commits(writers, value_len) => {
                let writers = u64::from(*writers);
                let (count, seconds) =
                    metadata::commits(&budget, &self.directory, writers, *value_len).await?;
                let total = Total { seconds, count, ..Total::default() };
                Ok(Sample { total, errors: 0 })
            }
            Stage::Http(exchange) => {
                let total = http::run(&budget, *exchange).await?.total();
                Ok(Sample { total, errors: 0 })
            }
        }
    }

    async fn pipeline(&self, name: &str) -> Result<Pipeline> {
        Pipeline::open(self.directory.join(name), self.scale.read_set).await
    }

    /// Waits until the server has reclaimed what was deleted, within a bound.
    async fn settle(&self) {
        let process = self.healthy.process();
        let deadline = Instant::now() + IDLE_TIMEOUT;
        tokio::time::sleep(RECLAIM_DELAY.min(self.scale.time * 5)).await;
        while Instant::now() < deadline && !self.stop.is_set() {
            let Ok(before) = process.usage() else { return };
            let interval = Duration::from_millis(500).min(self.scale.time * 2);
            tokio::time::sleep(interval).await;
            let Ok(after) = process.usage() else { return };
            let cores = (after.cpu_seconds - before.cpu_seconds) / interval.as_secs_f64();
            if cores < IDLE_CORES {
                return;
            }
        }
    }

    /// Deletes most keys of the larger bucket.
    async fn delete_many(&mut self) -> Result<()> {
        let Scale { many_keys, deleted_keys, .. } = self.scale;
        if self.stop.is_set() {
            return Ok(());
        }
        eprintln!("deleting {deleted_keys} of {many_keys} keys");
        let line = format!(
            "delete --bucket {MANY_KEYS} --size 1 --objects {many_keys} --count {deleted_keys} \
             --seed {SEED} --concurrency 64 --reuse"
        );
        let report = self.plan(Site::Healthy, &line)?.measure(&self.stop).await?;
        ensure!(
            self.stop.is_set() || report.total().count == deleted_keys,
            "keys could not be deleted: {:?}",
            report.error_examples
        );
        Ok(())
    }

    /// The most memory that a fresh server takes for one upload at once, and for many.
    async fn measure_memory(&mut self) -> Result<()> {
        if self.stop.is_set() {
            return Ok(());
        }
        let Scale { uploads, upload, .. } = self.scale;
        let fresh = Server::start(&self.program, &self.directory.join("memory")).await?;
        let healthy = std::mem::replace(&mut self.healthy, fresh);
        for at_once in [1, uploads] {
            let line = format!(
                "put --size {} --concurrency {at_once} --count {} --payload unsigned --bucket many \
                 --warm-up 0s --seed {at_once}",
                format_size(upload),
                u64::from(at_once).max(32).min(2 * u64::from(uploads))
            );
            let plan = self.plan(Site::Healthy, &line)?;
            plan.prepare(&self.stop).await?;
            let report = plan.measure(&self.stop).await?;
            let errors = report.errors.values().sum();
            let sample = Sample { total: report.total(), errors };
            eprintln!("memory: {at_once} uploads at once {}", rate_of(&sample));
            self.samples.add(&memory_row(at_once), sample);
        }
        std::mem::replace(&mut self.healthy, healthy).stop().await
    }

    fn lines(&self, figures: &[Figure]) -> Vec<Line> {
        let measured =
            Measured { samples: &self.samples, cores: self.cores, put_costs: &self.put_costs };
        let mut lines: Vec<Line> =
            figures.iter().flat_map(|figure| measured.lines(figure)).collect();
        lines.extend(measured.cost_lines(&self.scale));
        lines.extend(measured.memory_line(&self.scale));
        lines
    }

    fn heading(&self, args: &ReportArgs) -> String {
        let mode = match (args.rehearse, args.full) {
            (true, _) => " --rehearse",
            (_, true) => " --full",
            _ => "",
        };
        let cut = if self.stop.is_set() { ", interrupted" } else { "" };
        let profile = if cfg!(debug_assertions) { "unoptimised" } else { "release" };
        format!(
            "{}, {}, {profile} build, `bench report{mode}`, median of {} rounds of {} s a \
             figure{cut}.",
            machine::today(),
            machine::describe(),
            self.scale.rounds,
            number(self.scale.time.as_secs_f64()),
        )
    }
}

fn rate_of(sample: &Sample) -> String {
    let errors = match sample.errors {
        0 => String::new(),
        errors => format!(", {errors} refused"),
    };
    if sample.total.bytes > 0 {
        format!("{} MB/s{errors}", number(sample.mb_per_second()))
    } else {
        format!("{} op/s{errors}", number(sample.ops_per_second()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    pub(crate) fn report_args(arguments: &[&str]) -> ReportArgs {
        let line = ["bench", "report"].iter().chain(arguments);
        match Cli::parse_from(line).command {
            Command::Report(args) => *args,
            command => panic!("not report: {command:?}"),
        }
    }

    #[test]
    fn only_some_figures_come_with_what_they_are_compared_with() {
        let all = figures::all(&Scale::new(&report_args(&[])));
        assert_eq!(wanted(all.clone(), None).len(), all.len());
        let rows: Vec<String> =
            wanted(all, Some("64MiB, 8 at once, two")).into_iter().map(|each| each.row).collect();
        assert_eq!(rows, ["GET 64MiB, 8 at once", "GET 64MiB, 8 at once, two drives gone"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = server_program(Some(Path::new("/nonexistent/datamesh"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/datamesh"), "{error}");
    }
}
