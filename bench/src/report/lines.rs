//! From measurements to the rows of the report: limits, ratios, and what bounds each row.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    figure::{Aim, Comparison, Figure, Limit, Site, Stage, Unit},
    figures::FLAT_AIM,
    samples::{Sample, Samples},
    scale::Scale,
};
use crate::{size::format_size, stages::composed::Way};

/// Share of the cores from which the processor is said to be the bound. Chosen: a runtime is never
/// busier than that on a machine that does something else now and then.
const BUSY_SHARE: f64 = 0.85;

/// A row of the report. What is serialized is the JSON form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) row: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) bound_by: String,
    /// What the limit is.
    #[serde(skip)]
    pub(crate) limit_name: String,
    #[serde(skip)]
    pub(crate) aim: Option<Aim>,
    /// How it is measured alone.
    #[serde(skip)]
    pub(crate) command: String,
}

impl Line {
    /// Whether the aim is met; `None` when there is none.
    pub(crate) fn is_aim_met(&self) -> Option<bool> {
        Some(self.aim?.is_met(self.ratio?))
    }
}

/// What rows are made from.
pub(crate) struct Measured<'m> {
    pub(crate) samples: &'m Samples,
    pub(crate) cores: f64,
    /// Processor time per gigabyte of a PUT's stages, by name.
    pub(crate) put_costs: &'m BTreeMap<String, f64>,
}

impl Measured<'_> {
    /// The rows of a figure, if it was measured.
    pub(crate) fn lines(&self, figure: &Figure) -> Vec<Line> {
        let Some(sample) = self.samples.median(&figure.row) else { return Vec::new() };
        let value = in_unit(&sample, figure.unit);
        let line = |comparison: &Comparison| {
            let limit = self.limit(&comparison.limit, figure.unit);
            Line {
                row: format!("{}{}", figure.row, comparison.suffix),
                value,
                unit: unit_name(figure.unit),
                limit,
                ratio: limit.map(|limit| value / limit.max(f64::EPSILON)),
                bound_by: self.bound_by(figure, &sample, &comparison.limit),
                limit_name: comparison.limit.name(),
                aim: comparison.aim,
                command: figure.command(),
            }
        };
        figure.comparisons.iter().map(line).collect()
    }

    fn limit(&self, limit: &Limit, unit: Unit) -> Option<f64> {
        let stage = |stage: &Stage| self.samples.best(&stage.name());
        match limit {
            Limit::Stage(each) => Some(in_unit(&stage(each)?, unit)),
            Limit::Shared(one, other) => {
                let cost = stage(one)?.whole_cost() + stage(other)?.whole_cost();
                Some(self.cores * 1e3 / cost.max(f64::EPSILON))
            }
            Limit::Figure(row) => Some(in_unit(&self.samples.median(row)?, unit)),
            Limit::Mix(stages) => {
                let total: f64 = stages.iter().map(|(weight, _)| weight).sum();
                let mut seconds = 0.0;
                for (weight, each) in stages {
                    seconds += weight / stage(each)?.ops_per_second().max(f64::EPSILON);
                }
                Some(total / seconds)
            }
        }
    }

    fn bound_by(&self, figure: &Figure, sample: &Sample, limit: &Limit) -> String {
        let (server, nodes) = (sample.server_cores(), sample.node_cores());
        let client = sample.client_cores();
        let share = |cores: f64| 100.0 * cores / self.cores;
        let of_nodes = match nodes {
            0.0 => String::new(),
            nodes => format!("nodes {:.0} %, ", share(nodes)),
        };
        let shares = format!(
            "server {:.0} %, {of_nodes}load generator {:.0} %",
            share(server),
            share(client)
        );
        let mut text = if server + nodes + client >= BUSY_SHARE * self.cores {
            format!("processor: {shares}")
        } else if figure.row.contains(", 1 at once") {
            format!("one request at a time; processor: {shares}")
        } else if figure.is_durable() {
            format!("durable writes; processor: {shares}")
        } else {
            format!("waiting for reads; processor: {shares}")
        };
        if matches!(limit, Limit::Stage(Stage::Composed(Way::Put, _)))
            && let Some((name, cost)) =
                self.put_costs.iter().max_by(|(_, one), (_, other)| one.total_cmp(other))
            && let Some(whole) = sample.server_cost()
        {
            text.push_str(&format!(
                "; largest stage {name}, {cost:.1} of the server's {whole:.1} CPU-s/GB"
            ));
        }
        match self.samples.errors(&figure.row) {
            0 => {}
            errors => text.push_str(&format!("; {errors} operations refused")),
        }
        text
    }

    /// Whether a byte costs the same in larger objects.
    pub(crate) fn cost_lines(&self, scale: &Scale) -> Vec<Line> {
        let one = scale.concurrency[0];
        let mut lines = Vec::new();
        for method in ["PUT", "GET"] {
            let row = |len| format!("{method} {}, {one} at once", format_size(len));
            let Some(medium) = self.samples.median(&row(scale.medium)) else { continue };
            for len in [scale.large, scale.huge] {
                let sample = self.samples.median(&row(len));
                let Some(value) = sample.and_then(|sample| sample.server_cost()) else { continue };
                let limit = medium.server_cost();
                lines.push(Line {
                    row: format!("CPU per byte, {method} {}", format_size(len)),
                    value,
                    unit: "CPU-s/GB",
                    limit,
                    ratio: limit.map(|limit| value / limit),
                    bound_by: "the stages of each byte; flat is 1".to_owned(),
                    limit_name: format!("the same for {}", format_size(scale.medium)),
                    aim: Some(FLAT_AIM),
                    command: "bench load with --server-pid".to_owned(),
                });
            }
        }
        lines
    }

    /// What a byte through the mesh costs on either side, against the same without a mesh.
    pub(crate) fn mesh_cost_lines(&self, figures: &[Figure]) -> Vec<Line> {
        let mut lines = Vec::new();
        for figure in figures.iter().filter(|figure| figure.site == Site::Mesh) {
            let Some(sample) = self.samples.median(&figure.row) else { continue };
            let embedded = figure.comparisons.iter().find_map(|each| match &each.limit {
                Limit::Figure(row) => Some((row, self.samples.median(row)?.server_cost()?)),
                _ => None,
            });
            let sides = [("gateway", sample.server_cost()), ("six nodes", sample.node_cost())];
            for (side, cost) in sides {
                let (Some(value), Some((row, limit))) = (cost, embedded) else { continue };
                lines.push(Line {
                    row: format!("CPU per byte, {}, {side}", figure.row),
                    value,
                    unit: "CPU-s/GB",
                    limit: Some(limit),
                    ratio: Some(value / limit.max(f64::EPSILON)),
                    bound_by: "the work, and the transport on both sides".to_owned(),
                    limit_name: format!("the server's, {row}"),
                    aim: None,
                    command: "bench load with --server-pid and --node-pid".to_owned(),
                });
            }
        }
        lines
    }

    /// Whether memory stays the same with more uploads at once.
    pub(crate) fn memory_line(&self, scale: &Scale) -> Option<Line> {
        let mebibytes = |row: &str| {
            let sample = self.samples.median(row)?;
            Some(sample.total.rss_peak_bytes as f64 / f64::from(1 << 20))
        };
        let row = memory_row(scale.uploads);
        let (value, limit) = (mebibytes(&row)?, mebibytes(&memory_row(1))?);
        let refused = self.samples.errors(&row);
        Some(Line {
            row: row.clone(),
            value,
            unit: "MiB",
            limit: Some(limit),
            ratio: Some(value / limit.max(f64::EPSILON)),
            bound_by: format!("the server's --memory-limit, 1 GiB; {refused} uploads refused"),
            limit_name: "the same for one upload at once".to_owned(),
            aim: Some(FLAT_AIM),
            command: format!(
                "bench load put --size {} --concurrency {} --server-pid PID",
                format_size(scale.upload),
                scale.uploads
            ),
        })
    }
}

/// Name of a measurement of memory.
pub(crate) fn memory_row(uploads: u16) -> String {
    format!("peak memory, {uploads} uploads at once")
}

fn in_unit(sample: &Sample, unit: Unit) -> f64 {
    match unit {
        Unit::Throughput => sample.mb_per_second(),
        Unit::Rate => sample.ops_per_second(),
    }
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Throughput => "MB/s",
        Unit::Rate => "op/s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Total;
    use crate::report::figure::Phase;

    fn sample(count: u64, megabytes: u64, server: f64, client: f64) -> Sample {
        let total = Total {
            seconds: 1.0,
            count,
            bytes: megabytes * 1_000_000,
            cpu_seconds_server: server,
            cpu_seconds_client: client,
            rss_peak_bytes: megabytes << 20,
            ..Total::default()
        };
        Sample { total, errors: 0 }
    }

    fn figure(comparisons: Vec<Comparison>) -> Figure {
        Figure {
            row: "PUT 64MiB, 8 at once".to_owned(),
            line: "put --size 64MiB".to_owned(),
            unit: Unit::Throughput,
            site: Site::Healthy,
            phase: Phase::Rounds,
            reads: None,
            comparisons,
        }
    }

    fn against(limit: Limit) -> Comparison {
        Comparison { suffix: "", limit, aim: Some(Aim::AtLeast(0.7)) }
    }

    fn stage() -> Stage {
        Stage::Composed(Way::Put, 8 << 20)
    }

    fn other_stage() -> Stage {
        Stage::Commits(32, 500)
    }

    fn lines(samples: &Samples, limit: Limit) -> Vec<Line> {
        let costs = [("MD5".to_owned(), 1.6), ("BLAKE3".to_owned(), 0.3)].into();
        let measured = Measured { samples, cores: 2.0, put_costs: &costs };
        measured.lines(&figure(vec![against(limit)]))
    }

    fn measured() -> Samples {
        let mut samples = Samples::default();
        samples.add("PUT 64MiB, 8 at once", sample(5, 300, 1.5, 0.4));
        // 2 CPU-s a gigabyte.
        samples.add(&stage().name(), sample(0, 500, 0.0, 1.0));
        // 6 CPU-s a gigabyte, 1,000 a second.
        samples.add(&other_stage().name(), sample(1000, 100, 0.0, 0.6));
        samples
    }

    #[test]
    fn a_figure_is_divided_by_its_stage_of_the_same_run() {
        let lines = lines(&measured(), Limit::Stage(stage()));
        assert_eq!(
            (lines[0].value, lines[0].limit, lines[0].ratio),
            (300.0, Some(500.0), Some(0.6))
        );
        assert_eq!(lines[0].is_aim_met(), Some(false));
        let bound = &lines[0].bound_by;
        assert!(bound.starts_with("processor: server 75 %, load generator 20 %"), "{bound}");
        assert!(bound.ends_with("largest stage MD5, 1.6 of the server's 5.0 CPU-s/GB"), "{bound}");
    }

    #[test]
    fn stages_that_share_the_cores_add_their_costs() {
        let lines = lines(&measured(), Limit::Shared(stage(), other_stage()));
        // Two cores over 2 + 6 CPU-s a gigabyte.
        assert_eq!(lines[0].limit.map(f64::round), Some(250.0));
    }

    #[test]
    fn a_mix_takes_the_time_of_its_operations() {
        let mut samples = measured();
        samples.add("metadata commit of 1B, 1 at once", sample(250, 1, 0.0, 0.0));
        let mix = vec![(3.0, other_stage()), (1.0, Stage::Commits(1, 1))];
        // Three take 3 ms, one takes 4 ms.
        let limit = lines(&samples, Limit::Mix(mix))[0].limit.unwrap();
        assert!((limit - 4.0 / 0.007).abs() < 1e-6, "{limit}");
    }

    #[test]
    fn what_was_not_measured_has_no_row_and_what_has_no_limit_no_ratio() {
        assert_eq!(lines(&Samples::default(), Limit::Stage(stage())), []);
        let missing = Limit::Figure("GET".to_owned());
        let lines = lines(&measured(), missing);
        assert_eq!((lines[0].limit, lines[0].ratio, lines[0].is_aim_met()), (None, None, None));
    }

    #[test]
    fn costs_and_memory_are_flat_when_they_do_not_grow() {
        let scale = Scale::new(&crate::report::tests::report_args(&[]));
        let mut samples = Samples::default();
        for (size, cpu) in [("1MiB", 1.0), ("64MiB", 1.2), ("1GiB", 1.5)] {
            samples.add(&format!("PUT {size}, 1 at once"), sample(1, 1000, cpu, 0.0));
        }
        samples.add(&memory_row(1), sample(1, 100, 0.0, 0.0));
        samples.add(&memory_row(256), sample(1, 900, 0.0, 0.0));
        let costs = BTreeMap::new();
        let measured = Measured { samples: &samples, cores: 2.0, put_costs: &costs };
        let lines = measured.cost_lines(&scale);
        let met: Vec<_> = lines.iter().map(|line| (line.ratio, line.is_aim_met())).collect();
        assert_eq!(met, [(Some(1.2), Some(true)), (Some(1.5), Some(false))]);
        let memory = measured.memory_line(&scale).unwrap();
        assert_eq!((memory.value, memory.ratio), (900.0, Some(9.0)));
        assert_eq!(memory.is_aim_met(), Some(false));
    }
}
