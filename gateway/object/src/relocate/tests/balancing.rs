//! Evening out.

use super::super::balance::{Holder, shares};
use super::*;

const WIDTH: usize = 6;

/// What each device holds by its own word, with the same capacity for all.
fn holders(cluster: &Cluster, capacity_bytes: u64) -> Vec<Holder> {
    let held = |device: &node_proto::LayoutDevice| Holder {
        device: device.id,
        domain: device.failure_domain.clone(),
        capacity_bytes,
        held_bytes: cluster.devices[device.id.0 as usize].used_bytes(),
    };
    cluster.layout.devices.iter().map(held).collect()
}

/// Bytes that must move at least.
fn optimum(holders: &[Holder]) -> u64 {
    let shares = shares(holders, WIDTH);
    holders.iter().map(|h| h.held_bytes.saturating_sub(shares[&h.device])).sum()
}

const CAPACITY: u64 = 20 << 20;

async fn put_many(data: &DataPath, count: u64) -> Vec<Stored> {
    let mut stored = Vec::new();
    for seed in 0..count {
        let bytes = payload(150_000 + usize::try_from(seed).unwrap() * 100, seed + 1);
        stored.push((data.put_bytes(&bytes).await, bytes));
    }
    stored
}

#[tokio::test(start_paused = true)]
async fn a_joining_node_gets_its_share_and_nothing_moves_in_vain() {
    for joining in [1, 3] {
        let mut cluster = Cluster::of_nodes(6);
        let data = cluster.open(config()).await;
        let mut workers = data.workers();
        let stored = put_many(&data, 120).await;
        (0..joining).for_each(|id| cluster.join(&format!("new-{id}")));
        cluster.devices.iter().for_each(|device| device.set_capacity(CAPACITY));
        cluster.apply(&data).await;
        let optimum = optimum(&holders(&cluster, CAPACITY));
        let groups = data.inner().placement.groups().len();
        while workers.relocate.step().await.unwrap() == Pace::More {
            assert_readable(&data, &stored[..3]).await;
        }
        let done = report(&data, JobKind::Rebalance);
        assert_eq!(done.state, JobState::Done);
        assert!(done.moved_bytes <= optimum * 11 / 10, "{} of {optimum}", done.moved_bytes);
        workers.relocate_all_and_delete().await;
        let holders = holders(&cluster, CAPACITY);
        let shares = shares(&holders, WIDTH);
        for holder in &holders {
            let differs = holder.held_bytes.abs_diff(shares[&holder.device]);
            assert!(differs <= CAPACITY / 50, "{differs} of {holder:?}");
        }
        assert_placed(&data, &stored);
        assert_no_garbage(&data, &cluster).await;
        assert_readable(&data, &stored).await;
        let made = data.inner().placement.groups().len() - groups;
        assert!(made <= 20 * joining, "{made} groups were made");
        // It comes to rest, also after a restart.
        let data = cluster.open(config()).await;
        let mut workers = data.workers();
        for _ in 0..3 {
            workers.relocate_all().await;
            tokio::time::sleep(Duration::from_secs(7200)).await;
        }
        assert_eq!(data.jobs().reports().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_domains_leave_no_choice_nothing_moves() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    cluster.devices.iter().for_each(|device| device.set_capacity(CAPACITY));
    cluster.devices[0].set_capacity(CAPACITY / 2);
    put_many(&data, 100).await;
    cluster.apply(&data).await;
    let before = cluster.devices[0].traffic();
    workers.relocate_all().await;
    assert_eq!((data.jobs().reports(), cluster.devices[0].traffic()), (vec![], before));
    // A second drive in one zone can take from the first.
    cluster.join("zone-0");
    cluster.devices[6].set_capacity(CAPACITY / 2);
    cluster.apply(&data).await;
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, JobKind::Rebalance).state, JobState::Done);
    let (one, other) = (cluster.devices[0].used_bytes(), cluster.devices[6].used_bytes());
    assert!(one.abs_diff(other) <= CAPACITY / 50, "{one} and {other}");
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_that_was_paused_counts_anew() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_many(&data, 120).await;
    cluster.join("new");
    cluster.devices.iter().for_each(|device| device.set_capacity(CAPACITY));
    cluster.apply(&data).await;
    let optimum = optimum(&holders(&cluster, CAPACITY));
    for _ in 0..8 {
        assert_eq!(workers.relocate.step().await.unwrap(), Pace::More);
    }
    data.jobs().pause("rebalance").await.unwrap();
    workers.relocate_all().await;
    let paused = report(&data, JobKind::Rebalance);
    assert!(paused.moved_bytes > 0 && paused.moved_bytes < optimum / 2, "{paused:?}");
    data.jobs().resume("rebalance").await.unwrap();
    workers.relocate_all().await;
    let done = report(&data, JobKind::Rebalance);
    assert_eq!(done.state, JobState::Done);
    assert!(done.moved_bytes <= optimum * 11 / 10, "{} of {optimum}", done.moved_bytes);
    assert_readable(&data, &stored).await;
}
