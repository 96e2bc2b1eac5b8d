//! Many small objects.

use std::time::{Duration, Instant};

use compat_tests::encoding::content_md5;
use compat_tests::server::Server;

use crate::from_environment;
use crate::load::{bench, figure};
use crate::observed::{cpu_seconds, is_idle, peak_memory, scrub, used_bytes, wait_until};

/// Objects unless the environment says more. Chosen: some seconds of writing.
const OBJECTS: u64 = 20_000;

/// Objects of the listing that the large one is compared with.
const OBJECTS_FEW: u64 = 1_000;

/// How long a restart may take. Source: the promise in the operations guide.
const RESTART_MAX: Duration = Duration::from_secs(10);

/// How much dearer a list page may be among all objects than among a thousand. Chosen: what
/// deeper trees and a colder cache cost, far below anything that grows with the objects.
const PAGE_COST_FACTOR_MAX: f64 = 2.5;

/// Pages of one measurement, and measurements of which the best counts. Chosen: some hundred
/// milliseconds each, so that the kernel's clock ticks do not matter.
const PAGES_PER_ROUND: u32 = 50;
const ROUNDS: u32 = 3;

/// Memory the server may take beside `--memory-limit`: RocksDB's caches and the indexes. Chosen
/// from what a thousand objects take, with room; what matters is that a million keep within it.
const MEMORY_BESIDE_LIMIT: u64 = 768 << 20;

/// What `--memory-limit` is here.
const MEMORY_LIMIT: u64 = 256 << 20;

/// How long a scrub may take for each object, beside [`SETTLE_MAX`]. Chosen: a fifth of the
/// figure on two busy cores.
const SCRUB_MAX_PER_OBJECT: Duration = Duration::from_micros(500);

/// How long reclamation and compaction may take for each deleted object, beside [`SETTLE_MAX`].
/// Chosen: deleting itself is slower.
const RECLAIM_MAX_PER_OBJECT: Duration = Duration::from_micros(300);

/// How long background work may take to settle whatever the number. Chosen: several of its
/// intervals.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Bytes that an empty server may keep: preallocated logs, one segment per drive being written,
/// and what is not worth compacting. Chosen: a tenth of it was seen.
const EMPTY_USED_MAX: u64 = 1 << 30;

#[test]
fn many_small_objects_cost_what_few_do() {
    let objects = from_environment("DATAMESH_SCALE_OBJECTS", OBJECTS);
    let server = Server::start(&["--memory-limit", "256MiB"]);
    let [few, many] = ["few", "many"].map(|name| server.new_bucket(name));
    write(&server, &few, OBJECTS_FEW);
    write(&server, &many, objects);

    let pages = Pages { server: &server, few: &few, many: &many };
    pages.compare("among all");
    restart(&server);
    pages.compare("after a restart");
    let count = (objects / 20).max(1000).to_string();
    let read = bench(&server, &many, objects, &["get", "--reuse", "--count", &count]);
    eprintln!("{:.0} verified reads/s after the restart", figure(&read, "ops_per_second"));
    let (_, verified_bytes) = scrub(&server, SETTLE_MAX + per(objects, SCRUB_MAX_PER_OBJECT));
    eprintln!("{verified_bytes} bytes verified");

    let used_before = used_bytes(&server);
    let count = (objects - objects / 10).to_string();
    let deletion = bench(&server, &many, objects, &["delete", "--reuse", "--count", &count]);
    eprintln!("{:.0} deletes/s", figure(&deletion, "ops_per_second"));
    // Reclaiming costs the same processor, so pages are measured when it is done.
    let limit = SETTLE_MAX + per(objects, RECLAIM_MAX_PER_OBJECT);
    wait_until("reclamation of nine tenths", limit, || is_idle(&server));
    pages.compare("beside nine deleted tenths");
    clear(&server, &many);
    wait_until("reclamation", limit, || is_idle(&server));
    wait_until("space given back", limit, || used_bytes(&server) < EMPTY_USED_MAX);
    let (used, peak) = (used_bytes(&server), peak_memory(&server));
    eprintln!("{used_before} bytes used before, {used} after; peak memory {peak} bytes");
    assert!(peak < MEMORY_LIMIT + MEMORY_BESIDE_LIMIT, "{peak} bytes of memory");
}

/// Writes the objects that later runs of `bench` read.
fn write(server: &Server, bucket: &str, objects: u64) {
    let started = Instant::now();
    let _ = bench(server, bucket, objects, &["stat", "--count", "1"]);
    let rate = objects as f64 / started.elapsed().as_secs_f64();
    let peak = peak_memory(server);
    eprintln!("{objects} objects written, {rate:.0} a second; peak memory {peak} bytes");
}

/// Kills the server and starts it again, within the bound.
fn restart(server: &Server) {
    server.kill();
    let started = Instant::now();
    server.start_again();
    let took = started.elapsed();
    eprintln!("restart after kill -9: {took:.1?}");
    assert!(took < RESTART_MAX, "the restart took {took:?}");
}

/// Two buckets whose list pages are compared.
struct Pages<'a> {
    server: &'a Server,
    few: &'a str,
    many: &'a str,
}

impl Pages<'_> {
    /// Compares what a full page costs the server's processor, and fails past the bound.
    fn compare(&self, when: &str) {
        let of_few = self.cost(self.few);
        let of_many = self.cost(self.many);
        let factor = of_many / of_few;
        eprintln!("a page {when} costs {:.2} ms, {factor:.2} of one among few", of_many * 1e3);
        assert!(factor < PAGE_COST_FACTOR_MAX, "a page {when} costs {factor:.2} of one among few");
    }

    /// Processor seconds of the server for a page from the beginning of `bucket`, the cheapest of
    /// a few rounds, because background work costs as well.
    fn cost(&self, bucket: &str) -> f64 {
        let wire = self.server.wire();
        let round = || {
            let before = cpu_seconds(self.server);
            for _ in 0..PAGES_PER_ROUND {
                let page = wire.get(&format!("/{bucket}?list-type=2&max-keys=1000"));
                let page = page.send().status_is(200);
                assert!(page.element("Key").is_some(), "the bucket is not empty");
            }
            (cpu_seconds(self.server) - before) / f64::from(PAGES_PER_ROUND)
        };
        (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
    }
}

/// Deletes what is left in `bucket`, a page at a time.
fn clear(server: &Server, bucket: &str) {
    let wire = server.wire();
    loop {
        let page = wire.get(&format!("/{bucket}?list-type=2")).send().status_is(200);
        let keys = page.elements("Key");
        if keys.is_empty() {
            return;
        }
        let objects: String =
            keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        let document = format!("<Delete><Quiet>true</Quiet>{objects}</Delete>");
        let md5 = content_md5(document.as_bytes());
        let request = wire.post(&format!("/{bucket}?delete")).header("content-md5", &md5);
        let answer = request.body(document).send().status_is(200);
        assert_eq!(answer.element("Error"), None);
    }
}

fn per(objects: u64, each: Duration) -> Duration {
    each.saturating_mul(u32::try_from(objects).unwrap_or(u32::MAX))
}
