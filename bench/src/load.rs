//! Load on an S3 endpoint.
//!
//! Invariants:
//! - the number of operations at once is the asked one: a worker sends its next request when the
//!   answer to the last was read;
//! - the warm-up ends when all its operations have ended; what begins after it counts, to its end,
//!   so that time, costs and operations of the report belong together;
//! - every worker measures at least one operation, however short the run;
//! - every byte read is compared unless switched off; a wrong one makes the run fail.
//!
//! *Cancellation:* Ctrl-C drops the requests under way, reports what was measured, and removes the
//! objects.
//! *Limits:* memory is one content table (4 MiB), one histogram per worker and operation, and what
//! connections buffer; object bodies are streamed.
//!
//! Deliberately absent: an open workload with a fixed arrival rate. A slow server is asked less
//! often, so latencies under overload are flattering; compare rates at equal concurrency.

mod endpoint;
mod objects;
mod operation;
mod pattern;
mod progress;
mod recorder;
mod report;
mod session;
mod signer;
mod workload;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{sync::Barrier, task::JoinSet};

use self::{
    endpoint::Endpoint,
    operation::Done,
    progress::{Counters, Progress},
    recorder::Recorder,
    report::Setup,
    session::{Failure, Session, Target},
    workload::{Action, Choices, Workload},
};
use crate::{
    args::{LoadArgs, Operation, Payload},
    interrupt::{Interrupt, Stop},
    measure::{Process, Usage},
};

pub(crate) use self::{
    endpoint::RequestBody,
    pattern::{Content, Pattern},
    report::{Cost, Costs, Report, Total},
    signer::Signer,
};

/// How long a run takes without --duration and --count.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// How often memory is looked at and progress drawn. Chosen: cheap, and no peak of a second is
/// missed.
const TICK: Duration = Duration::from_millis(100);
/// How long a worker waits after a failure, so that a dead server is not asked in a tight loop.
/// Chosen: short beside a reconnect after a restart.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);
/// S3's smallest part but the last.
const PART_SIZE_MIN_BYTES: u64 = 5 << 20;
/// S3's largest number of parts.
const PARTS_MAX: u64 = 10_000;

/// A checked run.
pub(crate) struct Plan {
    target: Arc<Target>,
    workload: Arc<Workload>,
    setup: Setup,
    rules: Rules,
    region: String,
    concurrency: u16,
    warm_up: Duration,
    /// No end means until `count` operations are done or nothing is left to do.
    duration: Option<Duration>,
    count: Option<u64>,
    server: Option<Process>,
    nodes: Option<Process>,
    keep: bool,
    reuse: bool,
    json: Option<PathBuf>,
}

/// How operations are carried out.
#[derive(Clone, Copy, Debug)]
struct Rules {
    payload: Payload,
    part_size: u64,
    verify: bool,
    seed: u64,
}

/// What the workers of a run share.
struct Run {
    target: Arc<Target>,
    workload: Arc<Workload>,
    rules: Rules,
    warm_up: Duration,
    /// Where all workers and the one who measures meet after the warm-up.
    warm: Barrier,
    duration: Option<Duration>,
    /// Operations that may still be begun.
    tickets: Option<AtomicU64>,
    counters: Counters,
}

impl Plan {
    /// Checks the arguments and takes the credentials from the environment.
    ///
    /// # Errors
    /// As [`Self::new`], or when there are no credentials.
    pub(crate) fn from_args(args: LoadArgs) -> Result<Self> {
        let signer = Signer::from_environment(&args.region)?;
        Self::new(args, signer)
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// When they contradict each other, or endpoint or process are unusable.
    pub(crate) fn new(args: LoadArgs, signer: Signer) -> Result<Self> {
        check_parts(&args)?;
        check_once(&args)?;
        ensure!(!args.timeout.is_zero(), "--timeout must not be zero");
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        ensure!(
            !args.bucket.is_empty() && args.bucket.bytes().all(is_name),
            "--bucket {:?} is no bucket name",
            args.bucket
        );
        let server = watched(args.server_pid.as_slice())?;
        let nodes = watched(&args.node_pids)?;
        let workload = Workload::new(&args);
        let setup = Setup {
            endpoint: args.endpoint.clone(),
            bucket: args.bucket.clone(),
            operation: args.operation.name().to_owned(),
            sizes: args.size.to_string(),
            concurrency: args.concurrency,
            payload: match args.payload {
                Payload::Signed => "signed".to_owned(),
                Payload::Unsigned => "unsigned".to_owned(),
            },
            verified: !args.no_verify,
            prepared_objects: workload.prepared(),
            seed: args.seed,
        };
        let target = Target {
            endpoint: Endpoint::new(&args.endpoint, &args.ca_file)?,
            signer,
            bucket: args.bucket,
            timeout: args.timeout,
        };
        // Warming up would use up the objects.
        let uses_up = args.operation == Operation::Delete || args.once;
        let has_end = args.count.is_some() || args.once;
        Ok(Self {
            target: Arc::new(target),
            workload: Arc::new(workload),
            setup,
            rules: Rules {
                payload: args.payload,
                part_size: args.part_size,
                verify: !args.no_verify,
                seed: args.seed,
            },
            region: args.region,
            concurrency: args.concurrency,
            warm_up: if uses_up { Duration::ZERO } else { args.warm_up },
            duration: args.duration.or((!has_end).then_some(DURATION_DEFAULT)),
            count: args.count,
            server,
            nodes,
            keep: args.keep,
            reuse: args.reuse,
            json: args.json,
        })
    }
}

/// The processes to measure, if any, which must be there.
fn watched(pids: &[u32]) -> Result<Option<Process>> {
    if pids.is_empty() {
        return Ok(None);
    }
    let process = Process::Ids(pids.into());
    process.usage().with_context(|| format!("cannot look at processes {pids:?}"))?;
    Ok(Some(process))
}

fn check_once(args: &LoadArgs) -> Result<()> {
    let reads = [Operation::Get, Operation::RangedGet, Operation::Stat];
    ensure!(
        !args.once || reads.contains(&args.operation),
        "--once is for get, ranged-get and stat"
    );
    Ok(())
}

fn check_parts(args: &LoadArgs) -> Result<()> {
    let in_parts = match args.operation {
        Operation::Multipart => true,
        Operation::Mixed => args.mix.has(Operation::Multipart),
        _ => false,
    };
    if in_parts {
        let largest = args.size.largest();
        ensure!(
            args.part_size >= PART_SIZE_MIN_BYTES,
            "--part-size is less than 5 MiB, the least that S3 takes"
        );
        ensure!(
            largest.div_ceil(args.part_size) <= PARTS_MAX,
            "--size {largest} in parts of {} bytes takes more than 10000 parts",
            args.part_size
        );
    }
    Ok(())
}

/// Runs the plan and prints the result. Returns whether it went well.
///
/// # Errors
/// When the run cannot start, or its result cannot be written.
pub(crate) async fn run(plan: Plan) -> Result<bool> {
    let interrupt = Interrupt::listen();
    let stop = interrupt.stop();
    plan.prepare(&stop).await?;
    let report = plan.measure(&stop).await?;
    print!("{}", report.render());
    if let Some(path) = &plan.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !plan.keep {
        // After Ctrl-C, too: only the second one leaves objects behind.
        plan.clear().await?;
    }
    Ok(report.is_good())
}

impl Plan {
    /// Makes the bucket and, unless they are there, the objects that the run reads or deletes.
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub(crate) async fn prepare(&self, stop: &Stop) -> Result<()> {
        let mut session = Session::new(Arc::clone(&self.target));
        let made = operation::ensure_bucket(&mut session, &self.region);
        tokio::time::timeout(self.target.timeout, made)
            .await
            .unwrap_or(Err(Failure::TimedOut))
            .with_context(|| format!("cannot use bucket {:?}", self.target.bucket))?;
        if self.reuse {
            return Ok(());
        }
        objects::fill(&self.target, &self.workload, self.rules.payload, stop).await
    }

    /// Warms up and measures.
    ///
    /// # Errors
    /// When a worker dies, which is a mistake of ours.
    pub(crate) async fn measure(&self, stop: &Stop) -> Result<Report> {
        measure(self, stop).await
    }

    /// Deletes what the run prepared and wrote.
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub(crate) async fn clear(&self) -> Result<()> {
        objects::clear(&self.target, &self.workload, !self.reuse).await
    }
}

async fn measure(plan: &Plan, stop: &Stop) -> Result<Report> {
    let run = Arc::new(Run {
        target: Arc::clone(&plan.target),
        workload: Arc::clone(&plan.workload),
        rules: plan.rules,
        warm_up: plan.warm_up,
        warm: Barrier::new(usize::from(plan.concurrency) + 1),
        duration: plan.duration,
        tickets: plan.count.map(AtomicU64::new),
        counters: Counters::default(),
    });
    let mut workers = JoinSet::new();
    for worker in 0..plan.concurrency {
        workers.spawn(work(Arc::clone(&run), worker, stop.clone()));
    }
    let own = Some(Process::Own);
    let mut gauges = [plan.server.clone(), plan.nodes.clone(), own].map(Gauge::new);
    let mut recorder = Recorder::default();
    let mut progress = Progress::new();
    let mut ticker = tokio::time::interval(TICK);
    let mut warm = std::pin::pin!(run.warm.wait());
    let mut started = None;
    loop {
        tokio::select! {
            biased;
            _ = &mut warm, if started.is_none() => {
                gauges.iter_mut().for_each(Gauge::start);
                started = Some(Instant::now());
            }
            joined = workers.join_next() => match joined {
                None => break,
                Some(seen) => recorder.merge(seen.context("a worker died")?),
            },
            _ = ticker.tick() => {
                gauges.iter_mut().for_each(Gauge::look);
                let phase = if started.is_some() { "measuring" } else { "warming up" };
                let share = started.and_then(|started| run.share_done(started, plan.count));
                progress.draw(phase, share, &run.counters);
            }
        }
    }
    progress.clear();
    let elapsed = match (started, recorder.last_end) {
        (Some(start), Some(end)) => end.saturating_duration_since(start),
        _ => Duration::ZERO,
    };
    let [server, nodes, client] = gauges.map(Gauge::finish);
    let setup = plan.setup.clone();
    let costs = Costs { server, nodes, client };
    Ok(Report::new(setup, recorder, elapsed, stop.is_set(), costs))
}

/// Watches what a process uses.
struct Gauge {
    process: Option<Process>,
    before: Option<Usage>,
    rss_seen_bytes: u64,
}

impl Gauge {
    fn new(process: Option<Process>) -> Self {
        Self { process, before: None, rss_seen_bytes: 0 }
    }

    fn usage(&self) -> Option<Usage> {
        // A process that ended is missing from the report, which says enough.
        self.process.as_ref().and_then(|process| process.usage().ok())
    }

    fn start(&mut self) {
        self.before = self.usage();
    }

    fn look(&mut self) {
        if self.before.is_some()
            && let Some(usage) = self.usage()
        {
            self.rss_seen_bytes = self.rss_seen_bytes.max(usage.rss_bytes);
        }
    }

    fn finish(self) -> Option<Cost> {
        Some(Cost::between(self.before?, self.usage()?, self.rss_seen_bytes))
    }
}

/// One worker: operations one after the other, warm-up first.
async fn work(run: Arc<Run>, worker: u16, stop: Stop) -> Recorder {
    let mut worker = Worker {
        choices: Choices::new(run.rules.seed, worker),
        session: Session::new(Arc::clone(&run.target)),
        recorder: Recorder::default(),
        run,
        stop,
    };
    let warm_until = Instant::now() + worker.run.warm_up;
    while Instant::now() < warm_until && worker.step(false).await {}
    // Everybody comes here, also after Ctrl-C, or the others would wait for ever.
    worker.run.warm.wait().await;
    let ends = worker.run.duration.map(|duration| Instant::now() + duration);
    while worker.run.take_ticket() && worker.step(true).await {
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            break;
        }
    }
    worker.recorder
}

struct Worker {
    run: Arc<Run>,
    session: Session,
    choices: Choices,
    recorder: Recorder,
    stop: Stop,
}

impl Worker {
    /// One operation. Returns whether there may be another.
    async fn step(&mut self, is_measured: bool) -> bool {
        if self.stop.is_set() {
            return false;
        }
        let Some(action) = self.run.workload.next(&mut self.choices) else { return false };
        let operation = action.operation();
        let outcome = tokio::select! {
            biased;
            () = self.stop.wait() => return false,
            outcome = perform(&mut self.session, &self.run, action) => outcome,
        };
        let counters = &self.run.counters;
        match outcome {
            Ok(done) => {
                let end = Instant::now();
                counters.operations.fetch_add(1, Relaxed);
                counters.bytes.fetch_add(done.bytes, Relaxed);
                if is_measured {
                    self.recorder.done(operation, done.bytes, end - done.started, end);
                }
            }
            Err(failure) => {
                counters.failures.fetch_add(1, Relaxed);
                self.recorder.failed(operation, &failure, is_measured);
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
        true
    }
}

impl Run {
    /// How much of the measurement is done, from zero to one; unknown when it lasts until nothing
    /// is left to do.
    fn share_done(&self, started: Instant, count: Option<u64>) -> Option<f64> {
        let by_time = self.duration.map(|all| started.elapsed().as_secs_f64() / all.as_secs_f64());
        let by_count = self.tickets.as_ref().zip(count).map(|(tickets, count)| {
            count.saturating_sub(tickets.load(Relaxed)) as f64 / count as f64
        });
        by_time.or(by_count)
    }

    /// Whether the count allows another operation.
    fn take_ticket(&self) -> bool {
        self.tickets.as_ref().is_none_or(|tickets| {
            tickets.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
        })
    }
}

async fn perform(session: &mut Session, run: &Run, action: Action) -> Result<Done, Failure> {
    let limit = run.target.timeout;
    match tokio::time::timeout(limit, carry_out(session, run, action)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            session.disconnect();
            Err(Failure::TimedOut)
        }
    }
}

async fn carry_out(session: &mut Session, run: &Run, action: Action) -> Result<Done, Failure> {
    let Rules { payload, part_size, verify, .. } = run.rules;
    match action {
        Action::Put { key, content } => operation::put(session, &key, &content, payload).await,
        Action::Multipart { key, content } => {
            operation::multipart(session, &key, &content, part_size, payload).await
        }
        Action::Get { key, content } => operation::get(session, &key, &content, verify).await,
        Action::RangedGet { key, content, range } => {
            operation::ranged_get(session, &key, &content, range, verify).await
        }
        Action::Stat { key, content } => operation::stat(session, &key, &content).await,
        Action::List { after, expected } => {
            let workload = &run.workload;
            let prefix = workload.prepared_prefix();
            let after = after.map(|index| workload.prepared_key(index));
            let expected = expected.map(|index| workload.prepared_key(index));
            operation::list(session, &prefix, after.as_deref(), expected, verify).await
        }
        Action::Delete { key } => operation::delete(session, &key).await,
    }
}
