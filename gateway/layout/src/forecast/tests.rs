use node_proto::{ClusterId, LayoutDevice, LayoutNode, NodeState};
use proptest::prelude::*;

use super::*;

const TIB: u64 = 1 << 40;

/// One node per entry, each a zone of its own, with one drive per capacity.
fn layout(nodes: &[Vec<u64>]) -> Layout {
    let mut layout = Layout::local(ClusterId([1; 16]), Vec::new());
    for (id, drives) in (1..).zip(nodes) {
        let zone = format!("z{id}");
        for capacity_bytes in drives {
            let device = DeviceId(u32::try_from(layout.devices.len()).expect("a few"));
            layout.devices.push(LayoutDevice {
                node: NodeId(id),
                failure_domain: zone.clone(),
                capacity_bytes: *capacity_bytes,
                ..LayoutDevice::local(device, format!("/{}", device.0))
            });
        }
        let (name, state) = (format!("n{id}"), NodeState::Active);
        layout.nodes.push(LayoutNode { id: NodeId(id), name, peer: None, zone, state });
    }
    layout
}

/// Usage with `used` of every device's capacity, in percent.
fn filled(layout: &Layout, percent: u64) -> Vec<DeviceUsage> {
    let of = |device: &LayoutDevice| DeviceUsage {
        device: device.id,
        capacity_bytes: device.capacity_bytes,
        used_bytes: device.capacity_bytes / 100 * percent,
        is_up: true,
    };
    layout.devices.iter().map(of).collect()
}

fn preview(before: &Layout, after: &Layout, usage: &[DeviceUsage], down: &[(u32, f64)]) -> Preview {
    let down = down.iter().map(|(id, down)| (DeviceId(*id), *down)).collect();
    forecast(before, after, Vec::new(), usage, &down, &Settings::default())
}

fn draining(layout: &Layout, node: usize) -> Layout {
    let mut layout = layout.clone();
    layout.nodes[node].state = NodeState::Draining;
    layout
}

#[test]
fn a_drained_node_gives_up_all_it_holds_and_nobody_else_anything() {
    let before = layout(&vec![vec![TIB]; 8]);
    let usage = filled(&before, 50);
    let preview = preview(&before, &draining(&before, 2), &usage, &[]);
    let held = usage[2].used_bytes;
    assert_eq!(preview.devices[2].outgoing_bytes(), held);
    assert!(preview.moved_bytes.abs_diff(held) < 10, "{}", preview.moved_bytes);
    assert!(preview.optimum_bytes.abs_diff(held) < 10, "{}", preview.optimum_bytes);
    assert_eq!(preview.duration.as_secs(), preview.moved_bytes / 100_000_000);
    assert_eq!(preview.verdict, Verdict::AboveFloor);
    assert_eq!(preview.after.code.expect("there is one").to_string(), "4+2");
}

#[test]
fn what_cannot_be_held_any_more_is_refused() {
    let before = layout(&vec![vec![TIB]; 7]);
    let refused = preview(&before, &draining(&before, 0), &filled(&before, 90), &[]);
    assert_eq!(refused.verdict, Verdict::DoesNotFit);
    assert!(refused.verdict.is_refused() && refused.refusal().contains("cannot hold"));
    assert!(refused.warnings.iter().any(|warning| warning.contains("device 1 would have to")));
    // What is too full already may be changed: that may be the way out.
    let full = filled(&before, 200);
    assert!(!preview(&before, &before, &full, &[]).verdict.is_refused());
}

#[test]
fn below_the_floor_is_refused_unless_it_was_so_before() {
    let before = layout(&vec![vec![TIB]; 4]);
    let after = draining(&before, 3);
    let usage = filled(&before, 10);
    // Three domains hold 1+2: all three must be down.
    assert_eq!(preview(&before, &after, &usage, &[]).verdict, Verdict::AboveFloor);
    let shaky: Vec<(u32, f64)> = (0..4).map(|id| (id, 0.2)).collect();
    let refused = preview(&before, &after, &usage, &shaky);
    assert!((refused.after.worst - 0.008).abs() < 1e-9, "{:?}", refused.after);
    assert_eq!(refused.verdict, Verdict::NoWorseThanNow);
    let lame: Vec<(u32, f64)> = (0..3).map(|id| (id, 0.2)).collect();
    let five = layout(&vec![vec![TIB]; 5]);
    let worse = preview(&before, &five, &usage, &lame);
    assert!(worse.after.worst > worse.now.worst, "more data shards need more devices");
    assert_eq!(worse.verdict, Verdict::BelowFloor);
    assert!(worse.refusal().contains("below the floor of 0.999"), "{}", worse.refusal());
}

#[test]
fn too_few_domains_are_refused_and_move_nothing() {
    let before = layout(&vec![vec![TIB]; 3]);
    let preview = preview(&before, &draining(&before, 1), &filled(&before, 10), &[]);
    assert_eq!((preview.after.code, preview.moved_bytes), (None, 0));
    assert_eq!(preview.verdict, Verdict::BelowFloor);
    assert!(preview.refusal().contains("2 failure domains would be left"));
    assert!(preview.warnings.iter().any(|warning| warning.contains("nothing can be written")));
}

#[test]
fn the_worst_group_is_worse_than_the_average() {
    let layout = layout(&vec![vec![TIB]; 12]);
    let bad: Vec<(u32, f64)> =
        (0..12).map(|id| (id, if id % 2 == 0 { 0.1 } else { 0.001 })).collect();
    let preview = preview(&layout, &layout, &filled(&layout, 10), &bad);
    assert!(preview.now.worst > 10.0 * preview.now.average, "{:?}", preview.now);
    assert!(preview.now.worst_nines() < preview.now.average_nines());
}

#[test]
fn drives_that_come_to_share_a_zone_keep_one_shard_of_each_stripe() {
    let mut before = layout(&vec![vec![TIB]; 5]);
    let local = (5..11).map(|id| LayoutDevice {
        capacity_bytes: TIB,
        ..LayoutDevice::local(DeviceId(id), String::new())
    });
    before.devices.extend(local);
    let mut after = before.clone();
    after.devices[5..].iter_mut().for_each(|device| device.failure_domain = "here".to_owned());
    let preview = preview(&before, &after, &filled(&before, 10), &[]);
    let total: u64 = preview.devices.iter().map(|device| device.used_bytes).sum();
    let kept: u64 = preview.devices[5..].iter().map(|device| device.target_bytes).sum();
    assert!(kept.abs_diff(total / 6) < 10, "{kept} of {total}");
    assert!(preview.moved_bytes > 0);
}

#[test]
fn devices_outside_both_layouts_count_nothing_and_silent_ones_are_told() {
    let before = layout(&vec![vec![TIB]; 6]);
    let mut usage = filled(&before, 10);
    let stranger = DeviceUsage { device: DeviceId(99), used_bytes: 50 * TIB, ..usage[0] };
    usage.push(stranger);
    usage.remove(0);
    let preview = preview(&before, &before, &usage, &[]);
    assert_eq!(preview.devices.len(), 6);
    assert!(preview.moved_bytes < TIB, "{}", preview.moved_bytes);
    assert!(preview.warnings.iter().any(|warning| warning.contains("1 devices do not answer")));
    assert!(!preview.assumptions.is_empty());
}

/// The shares of domains by bisection: the level at which all of them together hold everything.
fn expected_shares(weights: &[f64], width: usize) -> Vec<f64> {
    let cap = 1.0 / width as f64;
    let at = |level: f64| weights.iter().map(|w| (w * level).min(cap)).collect::<Vec<f64>>();
    let smallest = weights.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut low, mut high) = (0.0, 1.0 / smallest);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if at(middle).iter().sum::<f64>() < 1.0 { low = middle } else { high = middle }
    }
    at(high)
}

proptest! {
    #[test]
    fn a_join_moves_what_the_new_node_is_to_hold_and_hardly_more(
        old in prop::collection::vec(prop::collection::vec(1_u64..100, 1..5), 3..15),
        new in prop::collection::vec(1_u64..100, 1..5),
    ) {
        let sizes = |nodes: &[Vec<u64>]| -> Vec<Vec<u64>> {
            nodes.iter().map(|node| node.iter().map(|drive| drive * TIB).collect()).collect()
        };
        let all = sizes(&[old.clone(), vec![new.clone()]].concat());
        let (before, after) = (layout(&sizes(&old)), layout(&all));
        let empty = preview(&before, &before, &filled(&before, 0), &[]);
        prop_assert_eq!(empty.moved_bytes, 0);
        // Evenly full before: as the shares say.
        let weights: Vec<f64> = old.iter().map(|node| node.iter().sum::<u64>() as f64).collect();
        let total = 10_000.0 * 1e9;
        let shares = expected_shares(&weights, weights.len().min(6));
        let mut usage = filled(&before, 0);
        for (node, share) in (1..).zip(&shares) {
            let weight = weights[node as usize - 1];
            for device in before.devices.iter().filter(|device| device.node == NodeId(node)) {
                let part = (device.capacity_bytes / TIB) as f64 / weight;
                usage[device.id.0 as usize].used_bytes = (total * share * part) as u64;
            }
        }
        let preview = preview(&before, &after, &usage, &[]);
        let weights = [weights, vec![new.iter().sum::<u64>() as f64]].concat();
        let shares = expected_shares(&weights, weights.len().min(6));
        let optimum = total * shares.last().expect("the new node");
        let moved = preview.moved_bytes as f64;
        prop_assert!(moved <= 1.1 * optimum, "{moved} of {optimum}");
        prop_assert!(moved >= 0.99 * optimum, "{moved} of {optimum}");
        prop_assert!((preview.optimum_bytes as f64 - optimum).abs() < 0.01 * optimum);
    }
}
