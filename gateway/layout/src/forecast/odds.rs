//! How likely an object is unreadable.
//!
//! A stripe has one shard in each of `k + m` domains and is unreadable while more than `m` of them
//! are down. Domains are down independently, each with its own probability: the number of those
//! that are down is distributed as Poisson's binomial.

use std::{collections::BTreeMap, fmt};

use node_proto::DeviceId;

use crate::cluster::Settings;

/// How stripes are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Shards that are needed.
    pub data_shards: usize,
    /// Shards that may be missing.
    pub parity_shards: usize,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data_shards, self.parity_shards)
    }
}

impl Code {
    /// The code of full stripes over so many domains: fewer of them mean fewer data shards, and
    /// never less parity. `None` when not even one data shard is left.
    pub(super) fn for_domains(domains: usize, settings: &Settings) -> Option<Self> {
        let parity_shards = settings.tolerated_losses;
        let data_shards = domains.checked_sub(parity_shards)?.min(settings.data_shards);
        (data_shards > 0).then_some(Self { data_shards, parity_shards })
    }

    /// Shards of a stripe.
    #[must_use]
    pub fn width(self) -> usize {
        self.data_shards + self.parity_shards
    }
}

/// How likely an object is unreadable at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// Failure domains that take shards.
    pub domains: usize,
    /// The code of full stripes; `None` when there are too few domains for any.
    pub code: Option<Code>,
    /// The probability for a stripe on the least available devices, from 0 to 1.
    pub worst: f64,
    /// The probability over all groups, from 0 to 1.
    pub average: f64,
}

impl Odds {
    /// Of devices by domain; `down` is how likely one is down.
    pub(super) fn new(
        domains: &[Vec<(DeviceId, u64)>],
        code: Option<Code>,
        shares: &BTreeMap<DeviceId, f64>,
        down: impl Fn(DeviceId) -> f64,
    ) -> Self {
        let Some(code) = code else {
            return Self { domains: domains.len(), code, worst: 1.0, average: 1.0 };
        };
        let of_worst = |devices: &Vec<(DeviceId, u64)>| {
            devices.iter().map(|(id, _)| down(*id)).fold(0.0, f64::max)
        };
        let of_mean = |devices: &Vec<(DeviceId, u64)>| {
            let share = |id: &DeviceId| shares.get(id).copied().unwrap_or(0.0);
            let sum: f64 = devices.iter().map(|(id, _)| share(id)).sum();
            let weighted: f64 = devices.iter().map(|(id, _)| share(id) * down(*id)).sum();
            if sum > 0.0 { weighted / sum } else { 0.0 }
        };
        let mut worst: Vec<f64> = domains.iter().map(of_worst).collect();
        worst.sort_by(|a, b| b.total_cmp(a));
        let worst = probability_of_more_than(code.parity_shards, &worst[..code.width()]);
        let mean: Vec<f64> = domains.iter().map(of_mean).collect();
        let group = |start: usize| -> f64 {
            let members: Vec<f64> =
                (0..code.width()).map(|offset| mean[(start + offset) % mean.len()]).collect();
            probability_of_more_than(code.parity_shards, &members)
        };
        #[expect(clippy::cast_precision_loss, reason = "domains are counted in thousands")]
        let average = (0..mean.len()).map(group).sum::<f64>() / mean.len() as f64;
        Self { domains: domains.len(), code: Some(code), worst, average }
    }

    /// How many nines the probability of being readable starts with, in the worst case; at most
    /// 15, which is as far as the arithmetic goes.
    #[must_use]
    pub fn worst_nines(&self) -> f64 {
        nines(self.worst)
    }

    /// As [`Self::worst_nines`], on average.
    #[must_use]
    pub fn average_nines(&self) -> f64 {
        nines(self.average)
    }
}

fn nines(unreadable: f64) -> f64 {
    (-unreadable.max(1e-15).log10()).max(0.0)
}

/// The probability that more than `tolerated` of independent events happen.
fn probability_of_more_than(tolerated: usize, probabilities: &[f64]) -> f64 {
    // exactly[n] is the probability that n of those looked at happen; the last entry collects more.
    let mut exactly = vec![0.0; tolerated + 2];
    exactly[0] = 1.0;
    for p in probabilities.iter().map(|p| p.clamp(0.0, 1.0)) {
        exactly[tolerated + 1] += exactly[tolerated] * p;
        for count in (0..=tolerated).rev() {
            let from_below = if count == 0 { 0.0 } else { exactly[count - 1] * p };
            exactly[count] = exactly[count] * (1.0 - p) + from_below;
        }
    }
    exactly[tolerated + 1]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Adds up all cases.
    fn by_enumeration(tolerated: usize, probabilities: &[f64]) -> f64 {
        (0_u32..1 << probabilities.len())
            .filter(|case| case.count_ones() as usize > tolerated)
            .map(|case| {
                let of = |(i, p): (usize, &f64)| if case >> i & 1 == 1 { *p } else { 1.0 - p };
                probabilities.iter().enumerate().map(of).product::<f64>()
            })
            .sum()
    }

    #[test]
    fn six_domains_at_ninety_nine_percent_lose_three_twenty_times_in_a_million() {
        let p = probability_of_more_than(2, &[0.01; 6]);
        assert!((p - 1.955e-5).abs() < 1e-7, "{p}");
        assert!((nines(1e-3) - 3.0).abs() < 1e-9);
        assert!((nines(0.0) - 15.0).abs() < 1e-9);
    }

    #[test]
    fn data_shards_adapt_and_parity_does_not() {
        let settings = Settings::default();
        let code = |domains| Code::for_domains(domains, &settings).map(|code| code.to_string());
        assert_eq!(code(2), None);
        assert_eq!(code(3).as_deref(), Some("1+2"));
        assert_eq!(code(5).as_deref(), Some("3+2"));
        assert_eq!(code(50).as_deref(), Some("4+2"));
    }

    proptest! {
        #[test]
        fn it_is_what_enumeration_gives(
            probabilities in prop::collection::vec(0.0..=1.0_f64, 0..9),
            tolerated in 0_usize..4,
        ) {
            let p = probability_of_more_than(tolerated, &probabilities);
            prop_assert!((p - by_enumeration(tolerated, &probabilities)).abs() < 1e-9);
        }
    }
}
