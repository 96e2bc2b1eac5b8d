//! The data path without HTTP and without S3: what the parts allow together, on all cores.
//!
//! A body goes through MD5 and CRC-64/NVME, AES-256-GCM chunks, Reed–Solomon, BLAKE3 and onto six
//! drives, durably; it comes back by reading its data shards and opening its chunks, or, with two
//! drives gone, by decoding. All of it is done by the crates that the server is made of, with the
//! server's parameters, so that the limit follows the code.
//!
//! Invariants:
//! - a stripe counts when all its shards are durable, or when every chunk of it was authenticated;
//! - buffers are used again; nothing else is computed or copied on the way;
//! - the MD5s of several bodies go along in SIMD lanes, as far as the server's do;
//! - there are more workers than cores, and each has several stripes on their way, so that drives
//!   and cores are busy at the same time;
//! - shard `i` of stripe `n` lies on drive `(i + n) % 6`, so that losing two drives loses data
//!   shards as often as it does in the server.
//!
//! *Limits:* [`WORKERS_PER_CORE`] and [`UNDER_WAY_BYTES`] bound the memory, the time the disk space.

mod work;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gateway_seal::{BodyContext, ChunkSealer, DataKey};
use node_proto::{ClusterId, DeviceId, ManifestId};
use node_store::{Drive, DriveConfig};
use node_stripe::{Profile, StripeGeometry, StripeSpec};
use tokio::task::JoinSet;

use self::work::{Buffers, Plains, Worker, plaintext};
use super::{Budget, Wanted};
use crate::{clock::SystemClock, measure::Process, row::Row, size::format_size};

/// Drives: one per shard of 4+2, as the server makes them.
pub(super) const DRIVES: usize = 6;
/// Whose they are.
pub(super) const CLUSTER: ClusterId = ClusterId([1; 16]);
/// Drives that are gone in a degraded read; the rest are just enough.
const LOST_DRIVES: [usize; 2] = [1, 4];
/// Threads per core. Measured with `bench stages --only composed`: with one, cores wait for drives.
const WORKERS_PER_CORE: usize = 2;
/// Plaintext that all workers together have on its way to drives or from them. Chosen: what three
/// uploads of the server may have.
const UNDER_WAY_BYTES: usize = 72 << 20;
/// Most stripes that one worker has on their way.
const DEPTH_MAX: usize = 8;
/// Plaintext that reads go around. Chosen: larger than any cache of the processor, and hot in the
/// page cache, as are the objects that the load generator reads again and again.
pub(crate) const READ_SET_BYTES: usize = 256 << 20;
/// Read sets that are read once, so that the figure lasts about as long as others.
const FIRST_READS_PER_SET: u64 = 2;
/// Most stripes of a read set, for short bodies.
const READ_SET_MAX: u64 = 4096;
/// Most stripes that one figure writes, so that short bodies end, too.
const WRITTEN_BYTES_MAX: u64 = 8 << 30;
/// Plaintext lengths that `stages` shows: a full stripe, and bodies of one shorter stripe.
const LENS_BYTES: [usize; 3] = [8 << 20, 1 << 20, 64 << 10];

/// Which way bodies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Onto the drives.
    Put,
    /// From all drives.
    Get,
    /// From all drives, each stripe for the first time since it was written: not from the page
    /// cache.
    FirstGet,
    /// From four of six.
    DegradedGet,
}

impl Way {
    /// Name of the figure for stripes of a length.
    pub(crate) fn name(self, len_bytes: usize) -> String {
        let size = format_size(len_bytes as u64);
        match self {
            Self::Put => format!("composed PUT, {size} stripes"),
            Self::Get => format!("composed GET, {size} stripes"),
            Self::FirstGet => format!("composed GET, {size} stripes, first reads"),
            Self::DegradedGet => format!("composed GET, {size} stripes, two drives gone"),
        }
    }
}

const WAYS: [Way; 4] = [Way::Put, Way::FirstGet, Way::Get, Way::DegradedGet];

/// What went through in how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Throughput {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

impl Throughput {
    pub(crate) fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e9 / self.seconds.max(f64::EPSILON)
    }

    /// Processor time per gigabyte.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9).max(f64::EPSILON)
    }
}

/// Stripes of one length.
#[derive(Clone, Copy, Debug)]
struct Shape {
    geometry: StripeGeometry,
    /// Stripes that a worker has on their way.
    depth: usize,
    /// Stripes that reads go around.
    read_set: u64,
}

impl Shape {
    fn new(len_bytes: usize, pipeline: &Pipeline) -> Result<Self> {
        let profile = Profile::default();
        let geometry = StripeGeometry::new(StripeSpec {
            k: profile.k,
            m: profile.m,
            codec: profile.codec,
            chunk_len_bytes: profile.chunk_len_for(len_bytes as u64),
            plaintext_len_bytes: len_bytes as u64,
        })?;
        let depth = (UNDER_WAY_BYTES / len_bytes.max(1) / pipeline.workers).clamp(1, DEPTH_MAX);
        let read_set = (pipeline.read_set_bytes / len_bytes.max(1)) as u64;
        Ok(Self { geometry, depth, read_set: read_set.clamp(1, READ_SET_MAX) })
    }

    fn sealer(&self) -> ChunkSealer {
        let key = DataKey::generate(&mut |out: &mut [u8]| out.fill(7));
        let chunk_len_bytes = u32::try_from(self.geometry.chunk_len_bytes()).unwrap_or(u32::MAX);
        ChunkSealer::new(&key, BodyContext { bucket_id: 1, manifest_id: 1, chunk_len_bytes })
    }
}

/// Six drives in a directory of their own.
pub(crate) struct Pipeline {
    drives: Vec<Arc<Drive>>,
    directory: PathBuf,
    workers: usize,
    read_set_bytes: usize,
}

/// What a read set is called, so that sets of several lengths share the drives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSet {
    shape: Shape,
    manifest: ManifestId,
}

/// What goes through: stripes of a shape, under one manifest.
struct Bodies {
    shape: Shape,
    manifest: ManifestId,
    buffers: Arc<Buffers>,
    plains: Plains,
}

impl Pipeline {
    /// Makes the drives in `directory`, which must not be there. Reads go around sets of
    /// `read_set_bytes`.
    ///
    /// # Errors
    /// When a drive cannot be made.
    pub(crate) async fn open(directory: PathBuf, read_set_bytes: usize) -> Result<Self> {
        let drives = open_drives(&directory).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { drives, directory, workers: WORKERS_PER_CORE * cores, read_set_bytes })
    }

    /// Closes the drives and removes their directory.
    ///
    /// # Errors
    /// When the directory cannot be removed.
    pub(crate) async fn close(self) -> Result<()> {
        for drive in &self.drives {
            drive.close().await;
        }
        drop(self.drives);
        std::fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }

    /// Writes stripes of `len_bytes` as long as the budget allows; once for each length.
    ///
    /// # Errors
    /// When a drive refuses a shard.
    pub(crate) async fn put(&self, budget: &Budget, len_bytes: usize) -> Result<Throughput> {
        let limit = (WRITTEN_BYTES_MAX / len_bytes as u64).max(1);
        let warming = self.bodies(len_bytes, ManifestId((3 << 61) | len_bytes as u64))?;
        // Filling the buffers for the first time is the operating system's work, not ours.
        self.run(budget, Duration::ZERO, &warming, put_some(1)).await?;
        let bodies = Bodies { manifest: written(len_bytes), ..warming };
        self.run(budget, budget.time, &bodies, put_some(limit)).await
    }

    /// Writes stripes of `len_bytes` and reads each of them once; once for each length. What is
    /// measured is the reading.
    ///
    /// # Errors
    /// When a drive refuses a shard, a shard cannot be read, or a chunk is not authentic.
    pub(crate) async fn get_first(&self, budget: &Budget, len_bytes: usize) -> Result<Throughput> {
        let bodies = self.bodies(len_bytes, ManifestId((1 << 62) | len_bytes as u64))?;
        let count = FIRST_READS_PER_SET * bodies.shape.read_set;
        self.run(budget, Duration::MAX, &bodies, put_some(count)).await?;
        self.run(budget, Duration::MAX, &bodies, get_some(count, count, false)).await
    }

    /// Writes what [`Self::get`] reads, and reads it until it is in the page cache.
    ///
    /// # Errors
    /// When a drive refuses a shard.
    pub(crate) async fn fill(&self, budget: &Budget, len_bytes: usize) -> Result<ReadSet> {
        let bodies = self.bodies(len_bytes, ManifestId(len_bytes as u64))?;
        let count = bodies.shape.read_set;
        self.run(budget, Duration::MAX, &bodies, put_some(count)).await?;
        // The drives bypass the cache at the first read, and fill it at the second.
        for is_degraded in [false, true] {
            let twice = get_some(2 * count, count, is_degraded);
            self.run(budget, Duration::MAX, &bodies, twice).await?;
        }
        Ok(ReadSet { shape: bodies.shape, manifest: bodies.manifest })
    }

    /// Reads stripes of the set as long as the budget allows.
    ///
    /// # Errors
    /// When a shard cannot be read or a chunk is not authentic.
    pub(crate) async fn get(
        &self,
        budget: &Budget,
        set: ReadSet,
        is_degraded: bool,
    ) -> Result<Throughput> {
        let ReadSet { shape, manifest } = set;
        let buffers = Buffers::new(&shape.geometry);
        let bodies = Bodies { shape, manifest, buffers, plains: Plains::default() };
        let reads = get_some(u64::MAX, shape.read_set, is_degraded);
        self.run(budget, budget.time, &bodies, reads).await
    }

    fn bodies(&self, len_bytes: usize, manifest: ManifestId) -> Result<Bodies> {
        let shape = Shape::new(len_bytes, self)?;
        let plains = plaintext(&shape.geometry);
        Ok(Bodies { shape, manifest, buffers: Buffers::new(&shape.geometry), plains })
    }

    async fn run(
        &self,
        budget: &Budget,
        time: Duration,
        bodies: &Bodies,
        task: Task,
    ) -> Result<Throughput> {
        let Bodies { shape, manifest, .. } = *bodies;
        let next = Arc::new(AtomicU64::new(0));
        let before = Process::Own.usage()?;
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            let (budget, next) = (budget.clone(), Arc::clone(&next));
            // Every worker does one, however short the time.
            let mut is_first = true;
            let numbers = std::iter::from_fn(move || {
                let goes_on = started.elapsed() < time && !budget.stop.is_set();
                (std::mem::take(&mut is_first) || goes_on)
                    .then(|| next.fetch_add(1, Relaxed))
                    .filter(|number| *number < task.limit)
            });
            let worker = Worker {
                drives: self.drives.clone(),
                geometry: shape.geometry,
                depth: shape.depth,
                manifest,
                sealer: shape.sealer(),
                buffers: Arc::clone(&bodies.buffers),
                plains: Arc::clone(&bodies.plains),
                runtime: tokio::runtime::Handle::current(),
            };
            workers.spawn_blocking(move || match task.reads {
                None => worker.put(numbers),
                Some(reads) => worker.get(numbers.map(|number| number % reads.set), reads.lost),
            });
        }
        let mut stripes = 0;
        while let Some(done) = workers.join_next().await {
            stripes += done.context("a worker of the pipeline died")??;
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu_seconds = Process::Own.usage()?.cpu_seconds - before.cpu_seconds;
        let bytes = stripes * shape.geometry.plaintext_len_bytes() as u64;
        Ok(Throughput { bytes, seconds, cpu_seconds })
    }
}

/// Makes [`DRIVES`] drives in `directory`, which must not be there, with the server's defaults.
///
/// # Errors
/// When a drive cannot be made.
pub(super) async fn open_drives(directory: &Path) -> Result<Vec<Arc<Drive>>> {
    std::fs::create_dir(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut opening = JoinSet::new();
    for id in 0..DRIVES {
        let place = directory.join(id.to_string());
        let device = DeviceId(u32::try_from(id).expect("six drives"));
        opening.spawn_blocking(move || {
            let config = DriveConfig::new(device, CLUSTER, place, Arc::new(SystemClock));
            Drive::open(config).map(|drive| (id, Arc::new(drive)))
        });
    }
    let mut drives = opening
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .context("cannot make a drive")?;
    drives.sort_by_key(|(id, _)| *id);
    Ok(drives.into_iter().map(|(_, drive)| drive).collect())
}

/// The manifest under which stripes are written that nobody reads.
fn written(len_bytes: usize) -> ManifestId {
    ManifestId((1 << 63) | len_bytes as u64)
}

/// What the workers do.
#[derive(Clone, Copy)]
struct Task {
    /// Stripes in all.
    limit: u64,
    /// `None` for writing.
    reads: Option<Reads>,
}

#[derive(Clone, Copy)]
struct Reads {
    /// Stripes that reads go around.
    set: u64,
    lost: &'static [usize],
}

fn put_some(limit: u64) -> Task {
    Task { limit, reads: None }
}

fn get_some(limit: u64, set: u64, is_degraded: bool) -> Task {
    let lost: &[usize] = if is_degraded { &LOST_DRIVES } else { &[] };
    Task { limit, reads: Some(Reads { set, lost }) }
}

/// Measures everything that is asked for, in a directory below `directory`.
pub(super) async fn measure(
    budget: &Budget,
    directory: &Path,
    is_wanted: &Wanted<'_>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for len_bytes in LENS_BYTES {
        let wanted: Vec<Way> =
            WAYS.into_iter().filter(|way| is_wanted(&way.name(len_bytes))).collect();
        if wanted.is_empty() {
            continue;
        }
        let pipeline = Pipeline::open(directory.join("composed"), READ_SET_BYTES).await?;
        let mut set = None;
        for way in wanted {
            let throughput = match way {
                Way::Put => pipeline.put(budget, len_bytes).await?,
                Way::FirstGet => pipeline.get_first(budget, len_bytes).await?,
                Way::Get | Way::DegradedGet => {
                    let set = match set {
                        Some(set) => set,
                        None => *set.insert(pipeline.fill(budget, len_bytes).await?),
                    };
                    pipeline.get(budget, set, way == Way::DegradedGet).await?
                }
            };
            rows.extend(rows_of(&way.name(len_bytes), throughput));
        }
        pipeline.close().await?;
    }
    Ok(rows)
}

fn rows_of(name: &str, throughput: Throughput) -> [Row; 2] {
    [
        Row::new(name, throughput.gigabytes_per_second(), "GB/s"),
        Row::new(format!("{name}, cost"), throughput.cost(), "CPU-s/GB"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_put_is_read_whole_with_and_without_two_drives() {
        let directory = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::listen();
        let budget = Budget { time: Duration::from_millis(1), stop: interrupt.stop() };
        let pipeline = Pipeline::open(directory.path().join("drives"), 1 << 20).await.unwrap();
        for len_bytes in [(1 << 20) + 5, 3000] {
            let put = pipeline.put(&budget, len_bytes).await.unwrap();
            assert!(put.bytes >= len_bytes as u64 && put.bytes.is_multiple_of(len_bytes as u64));
            let bodies = pipeline.bodies(len_bytes, written(len_bytes)).unwrap();
            let stripes = put.bytes / len_bytes as u64;
            for is_degraded in [false, true] {
                let task = get_some(stripes, stripes, is_degraded);
                let read = pipeline.run(&budget, Duration::MAX, &bodies, task).await.unwrap();
                assert_eq!(read.bytes, put.bytes, "{len_bytes} {is_degraded}");
            }
            let first = pipeline.get_first(&budget, len_bytes).await.unwrap();
            assert!(first.bytes.is_multiple_of(len_bytes as u64) && first.bytes > 0);
        }
        let never_written =
            ReadSet { shape: Shape::new(3000, &pipeline).unwrap(), manifest: ManifestId(99) };
        assert!(pipeline.get(&budget, never_written, false).await.is_err());
        pipeline.close().await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
