//! The result of a run, for people and as JSON.
//!
//! Units: MB is 10^6 bytes, GB 10^9, MiB 2^20; latencies are milliseconds.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::recorder::{Recorder, Tally};
use crate::{
    args::Operation,
    measure::Usage,
    row::{Row, number},
};

/// Version of the JSON form; grows when a field changes its meaning.
const VERSION: u32 = 1;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) operation: String,
    pub(crate) sizes: String,
    pub(crate) concurrency: u16,
    pub(crate) payload: String,
    pub(crate) verified: bool,
    pub(crate) prepared_objects: u64,
    pub(crate) seed: u64,
}

/// Latencies of one operation in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// What was measured of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) operation: String,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) ops_per_second: f64,
    pub(crate) mb_per_second: f64,
    pub(crate) latency_ms: Latency,
}

/// What a process used during the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    /// Most memory seen during the measurement.
    pub(crate) rss_peak_bytes: u64,
    /// Bytes sent to storage, if that may be known.
    pub(crate) written_bytes: Option<u64>,
}

/// What everybody used, if it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Costs {
    pub(crate) server: Option<Cost>,
    pub(crate) nodes: Option<Cost>,
    pub(crate) client: Option<Cost>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) setup: Setup,
    pub(crate) elapsed_seconds: f64,
    /// Whether Ctrl-C ended it early.
    pub(crate) interrupted: bool,
    pub(crate) operations: Vec<Measured>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) error_examples: Vec<String>,
    pub(crate) wrong_reads: u64,
    /// The server's cost, if its process was named.
    pub(crate) server: Option<Cost>,
    /// The cost of the storage nodes behind it, if their processes were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nodes: Option<Cost>,
    /// Our own cost: when it is near all cores, the server was not what was measured.
    pub(crate) client: Option<Cost>,
}

/// A run as one figure, whatever its operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Total {
    pub(crate) seconds: f64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Processor time of the server, zero when its process was not named.
    pub(crate) cpu_seconds_server: f64,
    /// Processor time of the storage nodes, zero when their processes were not named.
    pub(crate) cpu_seconds_nodes: f64,
    /// Our own.
    pub(crate) cpu_seconds_client: f64,
    /// Most memory of the server, zero when its process was not named.
    pub(crate) rss_peak_bytes: u64,
}

impl Cost {
    /// What lies between two looks at a process, of which `rss_seen_bytes` was the most seen in
    /// between.
    pub(crate) fn between(before: Usage, after: Usage, rss_seen_bytes: u64) -> Self {
        // A peak that grew in between happened in between; otherwise only what we saw counts.
        let rss_peak_bytes = if after.rss_peak_bytes > before.rss_peak_bytes {
            after.rss_peak_bytes
        } else {
            rss_seen_bytes.max(before.rss_bytes).max(after.rss_bytes)
        };
        let written = before.written_bytes.zip(after.written_bytes);
        Self {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            rss_peak_bytes,
            written_bytes: written.map(|(before, after)| after.saturating_sub(before)),
        }
    }
}

impl Report {
    pub(crate) fn new(
        setup: Setup,
        recorder: Recorder,
        elapsed: Duration,
        interrupted: bool,
        costs: Costs,
    ) -> Self {
        let Costs { server, nodes, client } = costs;
        let seconds = elapsed.as_secs_f64();
        let operations = recorder
            .operations
            .iter()
            .map(|(operation, tally)| measured(*operation, tally, seconds))
            .collect();
        Self {
            version: VERSION,
            setup,
            elapsed_seconds: seconds,
            interrupted,
            operations,
            errors: recorder.failures,
            error_examples: recorder.examples,
            wrong_reads: recorder.wrong_reads,
            server,
            nodes,
            client,
        }
    }

    /// Whether something succeeded and no byte was wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.wrong_reads == 0 && self.done() > 0
    }

    /// All operations together.
    pub(crate) fn total(&self) -> Total {
        let cpu_seconds = |cost: &Option<Cost>| cost.as_ref().map_or(0.0, |cost| cost.cpu_seconds);
        Total {
            seconds: self.elapsed_seconds,
            count: self.done(),
            bytes: self.operations.iter().map(|each| each.bytes).sum(),
            cpu_seconds_server: cpu_seconds(&self.server),
            cpu_seconds_nodes: cpu_seconds(&self.nodes),
            cpu_seconds_client: cpu_seconds(&self.client),
            rss_peak_bytes: self.server.as_ref().map_or(0, |cost| cost.rss_peak_bytes),
        }
    }

    /// The figures that `compare` looks at.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for measured in &self.operations {
            let name = &measured.operation;
            rows.push(Row::new(format!("{name} rate"), measured.ops_per_second, "op/s"));
            if measured.bytes > 0 {
                rows.push(Row::new(format!("{name} throughput"), measured.mb_per_second, "MB/s"));
            }
            let latency = &measured.latency_ms;
            for (which, value) in [("p50", latency.p50), ("p99", latency.p99), ("max", latency.max)]
            {
                rows.push(Row::new(format!("{name} {which}"), value, "ms"));
            }
        }
        if let Some(server) = &self.server {
            rows.extend(self.cpu_row("server CPU", server));
            let mebibytes = server.rss_peak_bytes as f64 / f64::from(1 << 20);
            rows.push(Row::new("server peak memory", mebibytes, "MiB"));
        }
        for (name, cost) in [("node CPU", &self.nodes), ("client CPU", &self.client)] {
            rows.extend(cost.as_ref().and_then(|cost| self.cpu_row(name, cost)));
        }
        let errors: u64 = self.errors.values().sum();
        rows.push(Row::new("errors", errors as f64, "count"));
        rows
    }

    /// The result for people.
    pub(crate) fn render(&self) -> String {
        let Setup { endpoint, operation, sizes, concurrency, payload, verified, .. } = &self.setup;
        let verified = if *verified { "reads verified" } else { "reads not verified" };
        let cut = if self.interrupted { ", interrupted" } else { "" };
        let mut out = format!(
            "{operation} {sizes} x{concurrency} on {endpoint}, payload {payload}, {verified}, \
             {:.2} s{cut}\n\n",
            self.elapsed_seconds
        );
        out.push_str(&format!(
            "{:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
            "operation", "count", "op/s", "MB/s", "mean ms", "p50 ms", "p90 ms", "p99 ms", "max ms"
        ));
        for each in &self.operations {
            let Latency { mean, p50, p90, p99, max, .. } = each.latency_ms;
            let figures = [each.ops_per_second, each.mb_per_second, mean, p50, p90, p99, max];
            let figures = figures.map(|figure| format!("{:>9}", number(figure))).join(" ");
            out.push_str(&format!("{:<10} {:>9} {figures}\n", each.operation, each.count));
        }
        let costs = [("server", &self.server), ("nodes", &self.nodes), ("client", &self.client)];
        for (name, cost) in costs {
            if let Some(cost) = cost {
                out.push_str(&self.render_cost(name, cost));
            }
        }
        for (code, count) in &self.errors {
            out.push_str(&format!("errors: {count} {code}\n"));
        }
        for example in &self.error_examples {
            out.push_str(&format!("  e.g. {example}\n"));
        }
        out
    }

    fn render_cost(&self, name: &str, cost: &Cost) -> String {
        let per = self.cpu_row("", cost);
        let per = per.map(|row| format!(", {} {}", number(row.value), row.unit));
        let written = cost.written_bytes.map(|bytes| format!(", wrote {} MB", bytes / 1_000_000));
        let share = (self.elapsed_seconds > 0.0).then(|| {
            format!(" ({:.0} % of a core)", 100.0 * cost.cpu_seconds / self.elapsed_seconds)
        });
        format!(
            "{name}: {:.2} CPU-s{}{}, peak {} MiB{}\n",
            cost.cpu_seconds,
            share.unwrap_or_default(),
            per.unwrap_or_default(),
            cost.rss_peak_bytes >> 20,
            written.unwrap_or_default()
        )
    }

    /// CPU time per gigabyte, or per operation when operations are small or move no bytes.
    fn cpu_row(&self, name: &str, cost: &Cost) -> Option<Row> {
        /// Mean bytes per operation from which the bytes are what costs. Chosen: the size from
        /// which objects are striped.
        const LARGE_BYTES: u64 = 64 << 10;
        let Total { count: done, bytes, .. } = self.total();
        match bytes.checked_div(done)? {
            mean if mean >= LARGE_BYTES => {
                Some(Row::new(name, cost.cpu_seconds / (bytes as f64 / 1e9), "CPU-s/GB"))
            }
            _ => Some(Row::new(name, cost.cpu_seconds * 1e3 / done as f64, "CPU-ms/op")),
        }
    }

    fn done(&self) -> u64 {
        self.operations.iter().map(|each| each.count).sum()
    }
}

fn measured(operation: Operation, tally: &Tally, seconds: f64) -> Measured {
    let latencies = &tally.latencies;
    let at = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    let per_second = |number: f64| if seconds > 0.0 { number / seconds } else { 0.0 };
    Measured {
        operation: operation.name().to_owned(),
        count: latencies.len(),
        bytes: tally.bytes,
        ops_per_second: per_second(latencies.len() as f64),
        mb_per_second: per_second(tally.bytes as f64 / 1e6),
        latency_ms: Latency {
            mean: latencies.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: latencies.max() as f64 / 1e3,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn setup() -> Setup {
        Setup {
            endpoint: "http://localhost".to_owned(),
            bucket: "b".to_owned(),
            operation: "get".to_owned(),
            sizes: "1MiB".to_owned(),
            concurrency: 4,
            payload: "signed".to_owned(),
            verified: true,
            prepared_objects: 3,
            seed: 1,
        }
    }

    fn cost(cpu_seconds: f64) -> Cost {
        Cost { cpu_seconds, rss_peak_bytes: 64 << 20, written_bytes: None }
    }

    /// 1 to 100 ms, one megabyte each, within two seconds.
    fn report() -> Report {
        let mut recorder = Recorder::default();
        for millis in 1..=100 {
            let latency = Duration::from_millis(millis);
            recorder.done(Operation::Get, 1_000_000, latency, Instant::now());
        }
        let two_seconds = Duration::from_secs(2);
        let costs = Costs { server: Some(cost(0.5)), nodes: None, client: Some(cost(0.1)) };
        Report::new(setup(), recorder, two_seconds, false, costs)
    }

    #[test]
    fn percentiles_and_rates_are_those_of_the_latencies() {
        let report = report();
        let get = &report.operations[0];
        assert_eq!((get.count, get.ops_per_second, get.mb_per_second), (100, 50.0, 50.0));
        let near = |is: f64, should: f64| (is - should).abs() < should / 500.0;
        let latency = &get.latency_ms;
        assert!(near(latency.p50, 50.0) && near(latency.p90, 90.0), "{latency:?}");
        assert!(near(latency.p99, 99.0) && near(latency.max, 100.0), "{latency:?}");
        assert!(near(latency.mean, 50.5), "{latency:?}");
    }

    #[test]
    fn rows_name_rate_latency_cost_and_errors() {
        let rows = report().rows();
        let value = |name: &str| rows.iter().find(|row| row.row == name).map(|row| row.value);
        assert_eq!(value("get rate"), Some(50.0));
        assert_eq!(value("server CPU"), Some(5.0));
        assert_eq!(value("server peak memory"), Some(64.0));
        assert_eq!(value("errors"), Some(0.0));
    }

    #[test]
    fn small_operations_cost_per_operation() {
        let mut report = report();
        report.operations[0].bytes = 0;
        let row = report.cpu_row("cpu", &cost(0.5)).unwrap();
        assert_eq!(row, Row::new("cpu", 5.0, "CPU-ms/op"));
    }

    #[test]
    fn json_comes_back_as_it_was() {
        let report = report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn a_wrong_byte_or_no_success_is_not_good() {
        let mut report = report();
        assert!(report.is_good());
        report.wrong_reads = 1;
        assert!(!report.is_good());
        report.wrong_reads = 0;
        report.operations.clear();
        assert!(!report.is_good());
    }

    #[test]
    fn a_peak_before_the_measurement_does_not_count() {
        let usage = |rss_bytes, rss_peak_bytes| Usage {
            cpu_seconds: 0.0,
            rss_bytes,
            rss_peak_bytes,
            written_bytes: None,
        };
        assert_eq!(Cost::between(usage(5, 9), usage(6, 9), 7).rss_peak_bytes, 7);
        assert_eq!(Cost::between(usage(5, 9), usage(6, 12), 7).rss_peak_bytes, 12);
    }

    #[test]
    fn the_text_shows_operations_costs_and_errors() {
        let mut report = report();
        report.errors.insert("SlowDown".to_owned(), 3);
        let text = report.render();
        for expected in ["get 1MiB x4", "p99 ms", "5.000 CPU-s/GB", "errors: 3 SlowDown"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
