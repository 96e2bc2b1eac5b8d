//! Which part of all shards each device holds when all is even.
//!
//! Even means: by capacity, as far as a domain holds at most one shard of each stripe.

use std::collections::BTreeMap;

use node_proto::DeviceId;

/// The share of each device, summing up to 1. `width` is how many domains a stripe needs, and there
/// are at least as many.
pub(super) fn even_shares(
    domains: &[Vec<(DeviceId, u64)>],
    width: usize,
) -> BTreeMap<DeviceId, f64> {
    assert!(width > 0 && domains.len() >= width, "stripes fit into the domains");
    let unknown = unknown_capacity(domains);
    let weight = |capacity: u64| if capacity == 0 { unknown } else { precise(capacity) };
    let weights: Vec<f64> = domains
        .iter()
        .map(|devices| devices.iter().map(|(_, capacity)| weight(*capacity)).sum())
        .collect();
    let shares = capped_shares(&weights, 1.0 / precise(width as u64));
    let mut all = BTreeMap::new();
    for ((devices, share), sum) in domains.iter().zip(shares).zip(weights) {
        all.extend(devices.iter().map(|(id, capacity)| (*id, share * weight(*capacity) / sum)));
    }
    all
}

/// What a device of unknown capacity counts as: the mean of the others.
fn unknown_capacity(domains: &[Vec<(DeviceId, u64)>]) -> f64 {
    let known: Vec<f64> = domains
        .iter()
        .flatten()
        .filter(|(_, capacity)| *capacity > 0)
        .map(|(_, capacity)| precise(*capacity))
        .collect();
    if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / precise(known.len() as u64) }
}

/// Shares by weight, none above `cap`. What the capped ones cannot take, the others share.
fn capped_shares(weights: &[f64], cap: f64) -> Vec<f64> {
    let mut shares = vec![0.0; weights.len()];
    let mut is_capped = vec![false; weights.len()];
    loop {
        let capped = is_capped.iter().filter(|capped| **capped).count();
        let rest = (1.0 - cap * precise(capped as u64)).max(0.0);
        let weight: f64 =
            weights.iter().zip(&is_capped).filter(|(_, capped)| !**capped).map(|(w, _)| w).sum();
        let mut has_new = false;
        for index in 0..weights.len() {
            shares[index] = if is_capped[index] { cap } else { rest * weights[index] / weight };
            if !is_capped[index] && shares[index] > cap {
                is_capped[index] = true;
                has_new = true;
            }
        }
        // Each turn caps one more at least.
        if !has_new {
            return shares;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares need no more than 52 bits")]
fn precise(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_domain_holds_at_most_one_shard_of_a_stripe() {
        let shares = capped_shares(&[8.0, 1.0, 1.0], 0.5);
        assert!(near(shares[0], 0.5) && near(shares[1], 0.25) && near(shares[2], 0.25));
        let shares = capped_shares(&[1.0, 2.0, 3.0], 1.0 / 3.0);
        assert!(shares.iter().all(|share| near(*share, 1.0 / 3.0)), "{shares:?}");
    }

    #[test]
    fn devices_of_unknown_capacity_count_as_average() {
        let domains =
            vec![vec![(DeviceId(0), 30)], vec![(DeviceId(1), 0)], vec![(DeviceId(2), 10)]];
        let shares = even_shares(&domains, 1);
        assert!(near(shares[&DeviceId(1)], 1.0 / 3.0), "{shares:?}");
        let none = even_shares(&[vec![(DeviceId(0), 0), (DeviceId(1), 0)]], 1);
        assert!(near(none[&DeviceId(0)], 0.5));
    }

    proptest! {
        #[test]
        fn shares_sum_up_and_keep_below_the_cap(
            capacities in prop::collection::vec(prop::collection::vec(1_u64..1 << 50, 1..4), 1..20),
            width in 1_usize..7,
        ) {
            let width = width.min(capacities.len());
            let mut id = 0;
            let domains: Vec<Vec<(DeviceId, u64)>> = capacities
                .iter()
                .map(|devices| devices.iter().map(|c| { id += 1; (DeviceId(id), *c) }).collect())
                .collect();
            let shares = even_shares(&domains, width);
            prop_assert!(near(shares.values().sum::<f64>(), 1.0));
            for devices in &domains {
                let share: f64 = devices.iter().map(|(id, _)| shares[id]).sum();
                prop_assert!(share <= 1.0 / width as f64 + 1e-9);
            }
        }
    }
}
