//! What was measured, by name, round after round.

use std::collections::BTreeMap;

use crate::{load::Total, stages::composed::Throughput};

/// Least processor time that says anything: the kernel counts it in hundredths of a second.
const CPU_SECONDS_MIN: f64 = 0.05;

/// One measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// What was done, in what time, for what cost.
    pub(crate) total: Total,
    /// Operations that failed.
    pub(crate) errors: u64,
}

impl Sample {
    pub(crate) fn ops_per_second(&self) -> f64 {
        self.total.count as f64 / self.total.seconds.max(f64::EPSILON)
    }

    pub(crate) fn mb_per_second(&self) -> f64 {
        self.total.bytes as f64 / 1e6 / self.total.seconds.max(f64::EPSILON)
    }

    /// Cores that the server kept busy.
    pub(crate) fn server_cores(&self) -> f64 {
        self.total.cpu_seconds_server / self.total.seconds.max(f64::EPSILON)
    }

    /// Cores that the storage nodes kept busy.
    pub(crate) fn node_cores(&self) -> f64 {
        self.total.cpu_seconds_nodes / self.total.seconds.max(f64::EPSILON)
    }

    /// Cores that we kept busy.
    pub(crate) fn client_cores(&self) -> f64 {
        self.total.cpu_seconds_client / self.total.seconds.max(f64::EPSILON)
    }

    /// Processor time of the server per gigabyte; `None` when there was too little to tell.
    pub(crate) fn server_cost(&self) -> Option<f64> {
        let Total { cpu_seconds_server, bytes, .. } = self.total;
        let is_known = cpu_seconds_server >= CPU_SECONDS_MIN && bytes > 0;
        is_known.then(|| cpu_seconds_server / (bytes as f64 / 1e9))
    }

    /// Processor time of the storage nodes per gigabyte; `None` when there was too little to tell.
    pub(crate) fn node_cost(&self) -> Option<f64> {
        let Total { cpu_seconds_nodes, bytes, .. } = self.total;
        let is_known = cpu_seconds_nodes >= CPU_SECONDS_MIN && bytes > 0;
        is_known.then(|| cpu_seconds_nodes / (bytes as f64 / 1e9))
    }

    /// Processor time of all per gigabyte.
    pub(crate) fn whole_cost(&self) -> f64 {
        let Total { cpu_seconds_server, cpu_seconds_nodes, cpu_seconds_client, .. } = self.total;
        let all = cpu_seconds_server + cpu_seconds_nodes + cpu_seconds_client;
        all / (self.total.bytes as f64 / 1e9).max(f64::EPSILON)
    }
}

impl From<Throughput> for Sample {
    fn from(throughput: Throughput) -> Self {
        let total = Total {
            seconds: throughput.seconds,
            bytes: throughput.bytes,
            cpu_seconds_client: throughput.cpu_seconds,
            ..Total::default()
        };
        Self { total, errors: 0 }
    }
}

/// All measurements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(BTreeMap<String, Vec<Sample>>);

impl Samples {
    pub(crate) fn add(&mut self, name: &str, sample: Sample) {
        self.0.entry(name.to_owned()).or_default().push(sample);
    }

    /// The median measurement by rate, the lower one of two: all its figures belong together.
    pub(crate) fn median(&self, name: &str) -> Option<Sample> {
        let samples = self.sorted(name)?;
        samples.get(samples.len().checked_sub(1)? / 2).copied()
    }

    /// The measurement with the highest rate: what is a limit is only ever disturbed downwards.
    pub(crate) fn best(&self, name: &str) -> Option<Sample> {
        self.sorted(name)?.last().copied()
    }

    fn sorted(&self, name: &str) -> Option<Vec<Sample>> {
        let mut samples = self.0.get(name)?.clone();
        samples.sort_by(|one, other| one.ops_per_second().total_cmp(&other.ops_per_second()));
        if samples.iter().all(|sample| sample.total.count == 0) {
            samples.sort_by(|one, other| one.mb_per_second().total_cmp(&other.mb_per_second()));
        }
        Some(samples)
    }

    /// Operations that failed in all measurements of a name.
    pub(crate) fn errors(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |samples| samples.iter().map(|sample| sample.errors).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u64, cpu_seconds_server: f64) -> Sample {
        let total = Total { seconds: 2.0, count, cpu_seconds_server, ..Total::default() };
        Sample { total, errors: 1 }
    }

    #[test]
    fn the_median_is_one_measurement_with_all_its_figures() {
        let mut samples = Samples::default();
        assert_eq!(samples.median("put"), None);
        for (count, cpu) in [(30, 3.0), (10, 1.0), (20, 4.0)] {
            samples.add("put", sample(count, cpu));
        }
        let median = samples.median("put").unwrap();
        assert_eq!((median.ops_per_second(), median.server_cores()), (10.0, 2.0));
        assert_eq!(samples.best("put").unwrap().total.count, 30);
        assert_eq!(samples.errors("put"), 3);
        samples.add("put", sample(40, 9.0));
        assert_eq!(samples.median("put").unwrap().total.count, 20, "the lower one of two");
    }

    #[test]
    fn a_cost_of_a_few_ticks_is_not_known() {
        let of = |cpu_seconds_server| {
            let total = Total { bytes: 500_000_000, cpu_seconds_server, ..Total::default() };
            Sample { total, errors: 0 }.server_cost()
        };
        assert_eq!((of(0.03), of(1.0)), (None, Some(2.0)));
    }

    #[test]
    fn stages_without_operations_are_ordered_by_bytes() {
        let mut samples = Samples::default();
        for bytes in [3_000_000, 9_000_000, 6_000_000] {
            samples.add("md5", Throughput { bytes, seconds: 1.0, cpu_seconds: 0.5 }.into());
        }
        assert_eq!(samples.median("md5").unwrap().mb_per_second(), 6.0);
    }
}
