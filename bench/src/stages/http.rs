//! What HTTP alone costs: the load generator against a server that keeps nothing.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Budget, Wanted};
use crate::{
    args::{LoadArgs, Operation},
    load::{Plan, Report, Signer},
    row::Row,
    sink::Sink,
    size::format_size,
};

/// What both sides derive the contents from.
const SEED: u64 = 1;

/// One kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    pub(crate) operation: Operation,
    pub(crate) len_bytes: u64,
    pub(crate) concurrency: u16,
}

impl Exchange {
    pub(crate) const fn new(operation: Operation, len_bytes: u64, concurrency: u16) -> Self {
        Self { operation, len_bytes, concurrency }
    }
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, len_bytes, concurrency } = *self;
        let method = match operation {
            Operation::Put => "PUT into",
            Operation::Stat => "HEAD of",
            _ => "GET from",
        };
        write!(f, "HTTP {method} a sink, {}, {concurrency} at once", format_size(len_bytes))
    }
}

const LARGE_BYTES: u64 = 64 << 20;
const SMALL_BYTES: u64 = 4 << 10;
/// What `stages` shows: the large ones as throughput, the small ones as rates.
const EXCHANGES: [Exchange; 6] = [
    Exchange::new(Operation::Put, LARGE_BYTES, 1),
    Exchange::new(Operation::Put, LARGE_BYTES, 8),
    Exchange::new(Operation::Get, LARGE_BYTES, 1),
    Exchange::new(Operation::Get, LARGE_BYTES, 8),
    Exchange::new(Operation::Put, SMALL_BYTES, 32),
    Exchange::new(Operation::Get, SMALL_BYTES, 32),
];

/// Measures everything that is asked for.
pub(super) async fn measure(budget: &Budget, is_wanted: &Wanted<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for exchange in EXCHANGES {
        let name = exchange.to_string();
        if !is_wanted(&name) {
            continue;
        }
        let report = run(budget, exchange).await?;
        let total = report.total();
        let cost = total.cpu_seconds_client;
        if exchange.len_bytes >= LARGE_BYTES {
            let gigabytes = total.bytes as f64 / 1e9;
            rows.push(Row::new(&name, gigabytes / total.seconds, "GB/s"));
            rows.push(Row::new(format!("{name}, cost"), cost / gigabytes, "CPU-s/GB"));
        } else {
            rows.push(Row::new(&name, total.count as f64 / total.seconds, "op/s"));
            let millis = cost * 1e3 / total.count as f64;
            rows.push(Row::new(format!("{name}, cost"), millis, "CPU-ms/op"));
        }
    }
    Ok(rows)
}

/// Exchanges as long as the budget allows. Both sides are this process, so its cost is that of
/// both.
///
/// # Errors
/// When the sink cannot start, or nothing was exchanged rightly.
pub(crate) async fn run(budget: &Budget, exchange: Exchange) -> Result<Report> {
    let Exchange { operation, len_bytes, concurrency } = exchange;
    let sink = Sink::start(SEED, len_bytes)?;
    let line = format!(
        "{} --endpoint {} --size {len_bytes} --concurrency {concurrency} --payload unsigned \
         --objects 1000 --reuse --keep --seed {SEED} --duration {}ms --warm-up {}ms",
        operation.name(),
        sink.url(),
        budget.time.as_millis().max(1),
        (budget.time / 4).min(Duration::from_millis(500)).as_millis(),
    );
    let plan = Plan::new(
        LoadArgs::from_words(line.split_whitespace())?,
        Signer::new("sink", "sink", "us-east-1"),
    )?;
    plan.prepare(&budget.stop).await?;
    let report = plan.measure(&budget.stop).await?;
    ensure!(
        budget.stop.is_set() || (report.is_good() && report.errors.is_empty()),
        "the sink failed: {:?}",
        report.errors
    );
    Ok(report)
}
