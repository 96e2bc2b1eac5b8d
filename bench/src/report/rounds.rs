//! The rounds of a report, and everything that runs during them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    figure::{Figure, Limit, Phase, Site, Stage},
    lines::memory_row,
    mesh::MeshServers,
    samples::{Sample, Samples},
    scale::Scale,
    server::{self, Server},
};
use crate::{
    args::LoadArgs,
    interrupt::Stop,
    load::{Plan, Total},
    row::number,
    size::format_size,
    stages::{
        Budget,
        composed::{Pipeline, ReadSet, Way},
        cpu, http, metadata, object, transport,
    },
};

/// Seed of all objects that are there before the first round.
pub(super) const SEED: u64 = 1;
/// Cores a server may keep busy and still be called idle. Chosen: its probes and metrics.
const IDLE_CORES: f64 = 0.05;
/// How long a server is given to reclaim what a round wrote.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long reclamation may take to begin. Source: the server's grace for readers, 2 s, and a look
/// at the queue every second.
const RECLAIM_DELAY: Duration = Duration::from_millis(3500);

/// Everything that runs during a report.
pub(super) struct Bench {
    pub(super) scale: Scale,
    pub(super) program: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) stop: Stop,
    pub(super) cores: f64,
    pub(super) healthy: Server,
    pub(super) degraded: Option<Server>,
    pub(super) mesh: Option<MeshServers>,
    /// Drives with stripes to be read, by length.
    pub(super) reads: Option<Pipeline>,
    pub(super) read_sets: BTreeMap<usize, ReadSet>,
    pub(super) samples: Samples,
    pub(super) put_costs: BTreeMap<String, f64>,
    /// Distinct for every figure that writes.
    pub(super) next_seed: u64,
}

impl Bench {
    /// Starts the server that has all its drives.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn start(
        scale: Scale,
        program: PathBuf,
        directory: PathBuf,
        stop: Stop,
    ) -> Result<Self> {
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
            mesh: None,
            reads: None,
            read_sets: BTreeMap::new(),
            samples: Samples::default(),
            put_costs: BTreeMap::new(),
            next_seed: SEED + 1,
        })
    }

    /// Ends everything.
    ///
    /// # Errors
    /// When a server does not end as it should.
    pub(super) async fn stop(self) -> Result<()> {
        if let Some(pipeline) = self.reads {
            pipeline.close().await?;
        }
        if let Some(server) = self.degraded {
            server.stop().await?;
        }
        if let Some(mesh) = self.mesh {
            mesh.stop().await?;
        }
        self.healthy.stop().await
    }

    fn budget(&self) -> Budget {
        Budget::new(self.scale.time, self.stop.clone())
    }

    /// Measures all figures; Ctrl-C ends it early and is no error.
    ///
    /// # Errors
    /// When the server refuses everything or reads a wrong byte, or a stage fails.
    pub(super) async fn measure(&mut self, figures: &[Figure], only: Option<&str>) -> Result<()> {
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
            Site::Mesh => self.mesh.as_ref().map_or(&self.healthy, MeshServers::gateway),
            Site::Healthy => &self.healthy,
        }
    }

    /// A run of `bench load` with the words of `line` on a server.
    ///
    /// # Errors
    /// When the words make no sense.
    pub(super) fn plan(&self, site: Site, line: &str) -> Result<Plan> {
        let server = self.site(site);
        let mut target = format!("--endpoint {} --server-pid {}", server.url(), server.pid());
        for pid in self.mesh.iter().filter(|_| site == Site::Mesh).flat_map(MeshServers::node_pids)
        {
            target += &format!(" --node-pid {pid}");
        }
        let words = line.split_whitespace().chain(target.split_whitespace());
        Plan::new(LoadArgs::from_words(words)?, server::signer())
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
            Stage::Object(exchange) => {
                let total = object::run(&budget, &self.directory, *exchange).await?;
                Ok(Sample { total, errors: 0 })
            }
            Stage::Transport(carrier) => Ok(transport::run(&budget, *carrier).await?.into()),
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
