//! A well-behaved client beside bad ones: it stores and reads, and notes how long that takes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use compat_tests::payload;
use compat_tests::server::Running;
use compat_tests::wire::Wire;

/// Bodies in turn: kept inline, in one chunk, in a stripe.
const LENGTHS: [usize; 3] = [1_000, 60_000, 300_000];

/// A client that works until it is asked how it went.
pub(crate) struct Neighbour {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// How long a neighbour's round trips took.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    /// How many there were.
    pub(crate) count: usize,
    /// The one in the middle.
    median: Duration,
    /// 99 of a hundred were faster.
    pub(crate) p99: Duration,
    /// The slowest.
    worst: Duration,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, median, p99, worst } = self;
        write!(f, "{count} round trips: median {median:.1?}, p99 {p99:.1?}, worst {worst:.1?}")
    }
}

impl Neighbour {
    /// Begins in a bucket of its own.
    pub(crate) fn begin(server: &Running) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (wire, bucket) = (server.wire(), server.new_bucket("neighbour"));
        let thread = std::thread::spawn(move || work(&wire, &bucket, &told));
        Self { stop, thread }
    }

    /// Ends, removes what it stored, and says how it went.
    ///
    /// # Panics
    /// When a round trip failed or gave other bytes.
    pub(crate) fn end(self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the neighbour was served with the right bytes");
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        Served { count: times.len(), median: at(50), p99: at(99), worst: at(100) }
    }
}

fn work(wire: &Wire, bucket: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    for turn in 0_u64.. {
        let len = LENGTHS[times.len() % LENGTHS.len()];
        let data = payload::bytes(turn, len);
        let target = format!("/{bucket}/k");
        let started = Instant::now();
        wire.put(&target).body(data.clone()).send().expect_status(200);
        let read = wire.get(&target).send().status_is(200);
        times.push(started.elapsed());
        assert!(read.body == data, "turn {turn}: {} other bytes", read.body.len());
        // At least once: a neighbour that was never served has no times.
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    wire.delete(&format!("/{bucket}/k")).send().expect_status(204);
    wire.delete(&format!("/{bucket}")).send().expect_status(204);
    times
}
