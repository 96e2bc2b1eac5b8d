//! The table as a load: what it costs, what it leaves behind, and who is served meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use compat_tests::server::Server;

use crate::gauges::{Held, cpu_time};
use crate::neighbour::Neighbour;
use crate::row::Row;
use crate::row::Stage;
use crate::stage::table;

/// Bad clients at a time.
const CLIENTS: usize = 6;
/// How long they go on. Chosen: the table several times over, within the budget of `make test`.
const LOAD_TIME: Duration = Duration::from_secs(12);
/// How long they warm the server up. Chosen: the table once over.
const WARM_UP_TIME: Duration = Duration::from_secs(4);
/// Resident memory that may stay behind: the allocator keeps some of what was used at once.
/// Chosen: far below what the load's bodies would add up to if one in a hundred were leaked.
const RESIDENT_SLACK_BYTES: u64 = 64 << 20;
/// How long a neighbour may wait. Chosen: the bad clients keep both cores of the smallest machine
/// busy.
const NEIGHBOUR_P99_MAX: Duration = Duration::from_secs(3);
/// Processor time of one bad request on average, the neighbour's included. Chosen: several times
/// what was measured.
const CPU_PER_ROW_MAX: Duration = Duration::from_millis(10);

#[test]
fn bad_requests_cost_little_leak_nothing_and_disturb_nobody() {
    let server = Server::start(&[]);
    let stage = Stage::new(&server);
    let rows = table();
    // Once over, so that what is made once is made.
    let warmed = Neighbour::begin(&server);
    let _ = run_for(WARM_UP_TIME, &rows, &stage);
    let quiet = warmed.end();
    let visible = stage.visible();
    std::thread::sleep(Duration::from_secs(2));
    let before = Held::by(&server);
    let cpu_before = cpu_time(server.pid());
    let neighbour = Neighbour::begin(&server);
    let sent = run_for(LOAD_TIME, &rows, &stage);
    let served = neighbour.end();
    let cpu = cpu_time(server.pid()) - cpu_before;
    let after = before.wait_for(&server);
    println!(
        "{sent} bad requests from {CLIENTS} clients; {cpu:?} of processor time, neighbour included\n\
         neighbour beside one: {quiet}\nneighbour beside all: {served}\n\
         held before: {before:?}\nheld after: {after:?}"
    );
    assert_eq!(stage.visible(), visible, "bad requests changed something");
    assert!(sent >= rows.len(), "only {sent} of {} rows were sent", rows.len());
    assert!(served.count >= 5, "the neighbour was served only {} times", served.count);
    assert!(served.p99 < NEIGHBOUR_P99_MAX, "{served}");
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown < RESIDENT_SLACK_BYTES, "{grown} bytes stayed resident");
    let each = cpu / u32::try_from(sent).expect("not that many");
    assert!(each < CPU_PER_ROW_MAX, "each took {each:?}");
    let log = server.log_tail();
    assert!(!log.contains("panicked"), "{log}");
}

/// Sends rows from several clients at a time, each from its own place in the table, and says how
/// many.
fn run_for(time: Duration, rows: &[Row], stage: &Stage) -> usize {
    let (sent, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let deadline = Instant::now() + time;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (sent, failed) = (&sent, &failed);
            scope.spawn(move || {
                let start = rows.len() * client / CLIENTS;
                for row in rows.iter().cycle().skip(start) {
                    if Instant::now() > deadline || failed.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Err(error) = row.run(stage) {
                        failed.store(true, Ordering::Relaxed);
                        panic!("{}: {error}", row.name);
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    sent.into_inner()
}
