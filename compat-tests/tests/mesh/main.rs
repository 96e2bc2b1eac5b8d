//! A mesh of real processes: what it serves, what it survives, how it grows and shrinks, and who
//! is kept out.
//!
//! - Every mesh here is a gateway process and storage node processes of the binary under test; only
//!   what an operator or a network could do is done to them.
//! - A ledger knows what every key may hold; after every event everything is read back.
//! - `DATAMESH_MESH_SEED` replays a run's choices (not its timing); it is printed.
//! - `DATAMESH_MESH_NODES` sets the size of the crowd and `DATAMESH_MESH_LONG=1` lengthens the
//!   measurements.
//! - `DATAMESH_MESH_DISCOVERY=off` runs everything with the address book off.
//! - What a machine cannot do prints one line that begins with `not run`.

mod crowd;
mod discovery;
mod growth;
mod latency;
mod layouts;
mod losses;
mod namespaces;
mod restarts;
mod secrecy;
mod serving;
mod strangers;
mod zones;

use std::time::{Duration, Instant};

use compat_tests::ledger::Ledger;
use compat_tests::mesh::Mesh;
use compat_tests::payload::{self, Random};
use compat_tests::wire::Wire;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Lengths around every border that stores bytes differently: inline, copies, one stripe, several.
const LENGTHS: [usize; 9] = [0, 1, 4096, 4097, 65_536, 65_537, 300_000, 1 << 20, (8 << 20) + 5];

/// The seed of this run, printed.
fn seed() -> u64 {
    let seed = match std::env::var("DATAMESH_MESH_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("not a seed: {text}")),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs()),
    };
    eprintln!("DATAMESH_MESH_SEED={seed}");
    seed
}

/// Whether measurements are to be long.
fn is_long() -> bool {
    std::env::var_os("DATAMESH_MESH_LONG").is_some_and(|value| value == "1")
}

/// Who may run beside others.
static TURNS: RwLock<()> = RwLock::new(());

/// A turn that others may have at the same time, and this test's choices.
fn beside_others() -> (RwLockReadGuard<'static, ()>, Random) {
    (TURNS.read(), Random::new(seed()))
}

/// A turn that no other test has at the same time, for those that measure time.
fn alone() -> (RwLockWriteGuard<'static, ()>, Random) {
    (TURNS.write(), Random::new(seed()))
}

/// A bucket with an object of every length.
fn filled(mesh: &Mesh, random: &mut Random) -> Ledger {
    let mut ledger = Ledger::new(mesh.gateway().new_bucket("mesh"));
    write(&mesh.wire(), &mut ledger, "kept", random);
    ledger
}

/// Stores an object of every length below `prefix`.
fn write(wire: &Wire, ledger: &mut Ledger, prefix: &str, random: &mut Random) {
    for len in LENGTHS {
        let body = payload::bytes(random.next_u64(), len);
        ledger.put(wire, &format!("{prefix}/{len}"), body);
    }
}

/// How long requests took.
struct Times(Vec<Duration>);

impl Times {
    /// The time that `percent` of the requests did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
        sorted[rank - 1]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "{} requests, p50 {p50:.0?}, p99 {p99:.0?}, max {max:.0?}", self.0.len())
    }
}

/// Runs `request` one after the other for `time`.
fn time_requests(time: Duration, mut request: impl FnMut()) -> Times {
    let mut times = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end || times.is_empty() {
        let started = Instant::now();
        request();
        times.push(started.elapsed());
    }
    Times(times)
}
