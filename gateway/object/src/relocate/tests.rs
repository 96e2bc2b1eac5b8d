//! The jobs against simulated devices.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use gateway_meta::{KeyRange, MetaStore, Table, record::Body};
use node_proto::{NodeId, NodeState, ShardIndex};

use crate::data::stripe_read::slot_of;
use crate::data::testing::*;
use crate::data::{DataConfig, DataPath};
use crate::worker::{Pace, Worker, Workers};
use crate::{JobKind, JobReport, JobState, ResolvedRange};

mod balancing;
mod racing;

const LEN: usize = 200_000;

/// A body and its bytes.
type Stored = (Body, Vec<u8>);

fn config() -> DataConfig {
    small_stripes()
}

/// Bodies of every kind: in rows, copied, one stripe, many stripes.
async fn put_some(data: &DataPath) -> Vec<Stored> {
    let mut stored = Vec::new();
    for (seed, len) in (1..).zip([10, 1500, 3000, 9000, 40_000, LEN, 3000, LEN + 1]) {
        let bytes = payload(len, seed);
        stored.push((data.put_bytes(&bytes).await, bytes));
    }
    stored
}

async fn assert_readable(data: &DataPath, stored: &[Stored]) {
    for (body, bytes) in stored {
        let read = data.get_bytes(*body, bytes.len()).await;
        assert!(read.as_ref().is_ok_and(|read| read == bytes), "{body:?}: {:?}", read.err());
    }
}

/// Everything is readable whatever two devices of the layout are away.
async fn assert_survives_any_two(cluster: &Cluster, data: &DataPath, stored: &[Stored]) {
    let staying: Vec<_> =
        cluster.layout.devices.iter().filter(|d| !cluster.layout.is_draining(d.id)).collect();
    for first in &staying {
        for second in &staying {
            let away = [first.id, second.id].map(|id| &cluster.devices[id.0 as usize]);
            away.iter().for_each(|device| device.set_offline(true));
            assert_readable(data, stored).await;
            away.iter().for_each(|device| device.set_offline(false));
        }
    }
}

/// Every shard that metadata names is there, in a failure domain of its own.
fn assert_placed(data: &DataPath, stored: &[Stored]) {
    let inner = data.inner();
    let view = inner.devices.view();
    for manifest in stored.iter().filter_map(|(body, _)| body.manifest()) {
        let Some(first) = inner.manifests.current_stripe(manifest, 0).unwrap() else { continue };
        for index in 0..first.page().stripe_count {
            let stripe = inner.manifests.current_stripe(manifest, index).unwrap().unwrap();
            let width = stripe.geometry.shard_count();
            let slot = |position| slot_of(inner, &stripe, ShardIndex(position)).unwrap().unwrap();
            let domains: BTreeSet<_> =
                (0..width).map(|position| slot(position).layout.failure_domain.clone()).collect();
            assert_eq!(domains.len(), usize::from(width), "{manifest:?} {index}");
            assert!((0..width).all(|position| view.member(slot(position).id()).is_some()));
            let cached = inner.manifests.stripe(manifest, index).unwrap().unwrap();
            assert_eq!(cached.record(), stripe.record(), "caches follow");
        }
    }
}

/// Each shard on each device is named there and nothing is missing.
async fn assert_no_garbage(data: &DataPath, cluster: &Cluster) {
    let inner = data.inner();
    let groups = inner.placement.groups().into_iter().map(|group| group.id);
    let named = super::census::count(inner, groups).await.unwrap();
    for device in &cluster.layout.devices {
        let held = cluster.devices[device.id.0 as usize].keys().len() as u64;
        let amount = named.get(&device.id).copied().unwrap_or_default();
        assert_eq!(held, amount.shards, "{:?}", device.id);
    }
}

fn report(data: &DataPath, kind: JobKind) -> JobReport {
    let reports = data.jobs().reports();
    reports.into_iter().find(|report| report.kind == kind).expect("the job was begun")
}

async fn drain_first(cluster: &mut Cluster, data: &DataPath) {
    cluster.set_state(0, NodeState::Draining);
    cluster.apply(data).await;
}

const FIRST: NodeId = NodeId(1);
const DRAIN: JobKind = JobKind::Drain(FIRST);

#[tokio::test(start_paused = true)]
async fn a_drained_node_is_emptied_onto_a_spare_one() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    let held = data.held_shards(FIRST).await.unwrap();
    assert_eq!(held, cluster.devices[0].keys().len() as u64);
    let (bytes, before) = (cluster.devices[0].used_bytes(), cluster.shard_count() as u64);
    while workers.relocate.step().await.unwrap() == Pace::More {
        assert_readable(&data, &stored).await;
    }
    assert_eq!(data.held_shards(FIRST).await.unwrap(), 0);
    assert_eq!(cluster.shard_count() as u64, before + held, "readers may still ask where it was");
    let report = report(&data, DRAIN);
    assert_eq!((report.id.as_str(), &report.state), ("drain:1", &JobState::Done));
    assert_eq!((report.moved_shards, report.moved_bytes), (held, bytes));
    assert_eq!((report.total_bytes_at_start, report.remaining_bytes), (bytes, 0));
    workers.relocate_all_and_delete().await;
    assert_eq!(cluster.devices[0].keys(), []);
    assert_placed(&data, &stored);
    assert_no_garbage(&data, &cluster).await;
    assert_survives_any_two(&cluster, &data, &stored).await;
    assert_eq!(data.jobs().reports().len(), 1, "an empty node needs no other job");
    // Retired, it is not missed.
    cluster.retire(0);
    cluster.apply(&data).await;
    workers.relocate_all().await;
    let data = cluster.open(config()).await;
    assert_survives_any_two(&cluster, &data, &stored).await;
    data.workers().relocate_all().await;
    assert_eq!(data.jobs().reports().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_spare_node_stripes_get_narrower() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    while workers.relocate.step().await.unwrap() == Pace::More {
        assert_readable(&data, &stored).await;
    }
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    assert_eq!(data.held_shards(FIRST).await.unwrap(), 0);
    let (body, _) = stored[5];
    let stripe = data.inner().manifests.stripe(body.manifest().unwrap(), 0).unwrap().unwrap();
    assert_eq!((stripe.record().k, stripe.record().m), (3, 2));
    assert!(stripe.record().seq.0 >= 1 << 31);
    workers.relocate_all_and_delete().await;
    assert_eq!(cluster.devices[0].keys(), []);
    assert_placed(&data, &stored);
    assert_no_garbage(&data, &cluster).await;
    assert_survives_any_two(&cluster, &data, &stored).await;
    // Numbers of new encodings do not repeat, also not after a restart.
    let used = |data: &DataPath| {
        let stripe = data.inner().manifests.stripe(body.manifest().unwrap(), 0).unwrap().unwrap();
        stripe.record().seq
    };
    let before = used(&data);
    let data = cluster.open(config()).await;
    cluster.set_state(1, NodeState::Draining);
    cluster.apply(&data).await;
    data.workers().relocate_all().await;
    assert!(used(&data) > before);
    assert_eq!(data.held_shards(NodeId(2)).await.unwrap(), 0);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn too_few_domains_hold_a_drain_up_until_there_are_more() {
    let mut cluster = Cluster::of_nodes(3);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    workers.relocate_all().await;
    let blocked = report(&data, DRAIN);
    let JobState::Blocked { reason } = &blocked.state else { panic!("{blocked:?}") };
    assert!(reason.contains("2 failure domains are left"), "{reason}");
    assert_readable(&data, &stored).await;
    cluster.join("another");
    cluster.apply(&data).await;
    workers.relocate_all().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_cluster_holds_a_drain_up_until_there_is_room() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    cluster.devices[6].faults(|faults| faults.full = true);
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    workers.relocate_all().await;
    let blocked = report(&data, DRAIN);
    let JobState::Blocked { reason } = &blocked.state else { panic!("{blocked:?}") };
    assert!(reason.contains("no failure domain has room"), "{reason}");
    cluster.devices[6].faults(|faults| faults.full = false);
    tokio::time::sleep(Duration::from_secs(20)).await;
    workers.relocate_all().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    assert_placed(&data, &stored);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_held_is_made_from_the_other_shards() {
    for dead in [vec![0], vec![0, 3]] {
        let mut cluster = Cluster::of_nodes(8);
        let data = cluster.open(config()).await;
        let mut workers = data.workers();
        let stored = put_some(&data).await;
        dead.iter().for_each(|index| cluster.devices[*index].set_offline(true));
        drain_first(&mut cluster, &data).await;
        workers.relocate_all().await;
        assert_eq!(report(&data, DRAIN).state, JobState::Done, "{dead:?}");
        assert_eq!(data.held_shards(FIRST).await.unwrap(), 0);
        dead.iter().skip(1).for_each(|index| cluster.devices[*index].set_offline(false));
        assert_survives_any_two(&cluster, &data, &stored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_shards_arrive_whole() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    for (index, key) in cluster.devices[0].keys().into_iter().enumerate() {
        match index % 3 {
            0 => cluster.devices[0].lose(key),
            1 => cluster.devices[0].flip(key, 77),
            _ => {}
        }
    }
    drain_first(&mut cluster, &data).await;
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn devices_copy_by_themselves_where_they_can() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    cluster.devices.iter().for_each(|device| device.connect(&cluster.devices));
    let keys = cluster.devices[0].keys();
    // A copy of it is refused, and it is made from others.
    cluster.devices[0].flip(keys[0], 77);
    drain_first(&mut cluster, &data).await;
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    let copies: usize = cluster.devices.iter().map(|device| device.copies()).sum();
    assert_eq!(copies, keys.len() - 1);
    assert_survives_any_two(&cluster, &data, &stored).await;
    cluster.devices.iter().for_each(|device| device.connect(&[]));
}

#[tokio::test(start_paused = true)]
async fn bodies_of_several_pages_move_as_a_whole() {
    for node_count in [6, 7] {
        let mut cluster = Cluster::of_nodes(node_count);
        let data = cluster.open(config()).await;
        let mut workers = data.workers();
        // 130 stripes of 64 KiB.
        let bytes = payload(130 << 16, 5);
        let stored = [(data.put_bytes(&bytes).await, bytes)];
        drain_first(&mut cluster, &data).await;
        workers.relocate_all_and_delete().await;
        assert_eq!(report(&data, DRAIN).state, JobState::Done);
        assert_eq!((data.held_shards(FIRST).await.unwrap(), stray_index_rows(&cluster)), (0, 0));
        assert_placed(&data, &stored);
        assert_no_garbage(&data, &cluster).await;
        assert_readable(&data, &stored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_left_the_layout_is_made_anew() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    cluster.retire(0);
    cluster.apply(&data).await;
    let data = cluster.open(config()).await;
    workers = {
        drop(workers);
        data.workers()
    };
    workers.relocate_all().await;
    assert_eq!(report(&data, JobKind::Departed).state, JobState::Done);
    assert_placed(&data, &stored);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn shards_that_come_to_share_a_zone_are_moved_apart() {
    let mut cluster = Cluster::of_nodes(8);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    cluster.layout.epoch.0 += 1;
    cluster.layout.devices[1].failure_domain = "zone-0".to_owned();
    cluster.apply(&data).await;
    while workers.relocate.step().await.unwrap() == Pace::More {
        assert_readable(&data, &stored).await;
    }
    assert_eq!(report(&data, JobKind::Respread).state, JobState::Done);
    workers.relocate_all_and_delete().await;
    assert_placed(&data, &stored);
    assert_no_garbage(&data, &cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_drain_moves_nothing_and_goes_on_after_a_restart() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    for _ in 0..2 {
        assert_eq!(workers.relocate.step().await.unwrap(), Pace::More);
    }
    data.jobs().pause("drain:1").await.unwrap();
    let held = data.held_shards(FIRST).await.unwrap();
    assert!(held > 0);
    workers.relocate_all().await;
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    workers.relocate_all().await;
    assert_eq!(data.held_shards(FIRST).await.unwrap(), held);
    let paused = report(&data, DRAIN);
    assert_eq!(paused.state, JobState::Paused);
    data.jobs().resume("drain:1").await.unwrap();
    workers.relocate_all().await;
    let done = report(&data, DRAIN);
    assert_eq!((done.state, data.held_shards(FIRST).await.unwrap()), (JobState::Done, 0));
    assert!(done.moved_bytes >= paused.moved_bytes);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_a_node_that_is_activated_again_is_cancelled() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    for _ in 0..2 {
        workers.relocate.step().await.unwrap();
    }
    cluster.set_state(0, NodeState::Active);
    cluster.apply(&data).await;
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Cancelled);
    assert!(data.held_shards(FIRST).await.unwrap() > 0);
    assert_no_garbage(&data, &cluster).await;
    assert_survives_any_two(&cluster, &data, &stored).await;
}

/// Rows of the index that say otherwise than pages do.
fn stray_index_rows(cluster: &Cluster) -> usize {
    let snapshot = cluster.meta.snapshot();
    let mut cursor = snapshot.cursor(Table::Pgidx, KeyRange::all());
    let rows = std::iter::from_fn(|| cursor.next().unwrap());
    let is_stray = |row_key: &[u8]| {
        let manifest = super::census::manifest_of(row_key).unwrap();
        let pages = KeyRange::prefix(&gateway_meta::key::manifest(manifest));
        let mut pages = snapshot.cursor(Table::Mf, pages);
        let mut values = std::iter::from_fn(|| pages.next().unwrap());
        !values.any(|(_, value)| {
            let page = crate::data::manifest::decode_page(manifest, &value).unwrap();
            page.stripes.iter().any(|stripe| stripe.group.0.to_be_bytes() == row_key[..4])
        })
    };
    rows.filter(|(row_key, _)| is_stray(row_key)).count()
}

#[tokio::test(start_paused = true)]
async fn slow_readers_of_stripes_that_were_encoded_anew_read_on() {
    let mut cluster = Cluster::of_nodes(6);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let bytes = payload(1 << 20, 1);
    let body = data.put_bytes(&bytes).await;
    let range = ResolvedRange { offset_bytes: 0, len_bytes: bytes.len() as u64 };
    let mut stream = data.read(OWNER, body, range.len_bytes, range).await.unwrap();
    let mut read = stream.next().await.unwrap().unwrap().to_vec();
    drain_first(&mut cluster, &data).await;
    workers.relocate_all_and_delete().await;
    assert_eq!(cluster.devices[0].keys(), []);
    while let Some(frame) = stream.next().await {
        read.extend_from_slice(&frame.unwrap());
    }
    assert!(read == bytes);
}
