//! The workers against devices with faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use gateway_meta::{
    Guard, Table, key,
    record::{Body, GcRecord, ManifestPage, PartTableEntry, PartTablePage},
};
use node_proto::{DeviceId, ManifestId, ShardIndex, ShardKey, StripeSeq, UnixMillis};

use super::{Pace, Supervisor, Worker};
use crate::data::rows::put;
use crate::data::testing::*;
use crate::data::{DataConfig, DataPath};
use crate::{Fault, ResolvedRange};

const LEN: usize = 200_000;

mod continuity;
mod recovery;
mod simulation;

/// Everything that a cluster without bodies still has.
fn assert_no_bodies(cluster: &Cluster) {
    assert_eq!(cluster.shard_count(), 0);
    for table in [Table::Mf, Table::Inl, Table::Gcq, Table::Pgidx, Table::Repair] {
        assert_eq!(cluster.row_count(table), 0, "{}", table.name());
    }
}

#[tokio::test(start_paused = true)]
async fn unlinked_bodies_give_everything_back() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    for len in [10, 3000, LEN] {
        let body = data.put_bytes(&payload(len, 1)).await;
        data.unlink(&body).await;
    }
    assert_eq!(data.repair_status().await.unwrap().reclaim_queue, 3);
    workers.reclaim_all().await;
    assert_no_bodies(&cluster);
    assert_eq!(data.repair_status().await.unwrap().reclaim_queue, 0);
}

#[tokio::test(start_paused = true)]
async fn bodies_of_many_pages_leave_no_row() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(LEN, 1)).await;
    let Body::Stripes(id) = body else { panic!("{LEN} bytes are not inline") };
    let rows = &data.inner().rows;
    let page: ManifestPage = rows.record(Table::Mf, &key::mf(id, 0)).unwrap().unwrap();
    let copies = (1..100).map(|index| put(Table::Mf, key::mf(id, index), &page));
    rows.commit(Vec::new(), copies.collect()).await.unwrap();
    data.unlink(&body).await;
    workers.reclaim_all().await;
    assert_no_bodies(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_waits_out_one_grace_together() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let unlinked = GcRecord { unlinked: UnixMillis(1), part_table: false };
    let entries = (1..=20_000).map(|id| put(Table::Gcq, key::manifest(ManifestId(id)), &unlinked));
    data.inner().rows.commit(Vec::new(), entries.collect()).await.unwrap();
    assert_eq!(workers.reclaim.step().await.unwrap(), Pace::Idle);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(workers.reclaim.step().await.unwrap(), Pace::More);
    assert_eq!(cluster.row_count(Table::Gcq), 0);
}

async fn multipart(data: &DataPath, part_count: u16) -> Body {
    let (table, guard, _in_flight) = data.allocate_manifest().await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=part_count {
        let len = if number % 2 == 0 { 2000 } else { 500 };
        let body = data.put_bytes(&payload(len, u64::from(number))).await;
        let offset_bytes = parts.iter().map(|part: &PartTableEntry| part.len_bytes).sum();
        let len_bytes = len as u64;
        parts.push(PartTableEntry { number, offset_bytes, len_bytes, body, checksum: vec![] });
    }
    let pages: Vec<_> = parts.chunks(4).map(<[_]>::to_vec).collect();
    let ops = (0..).zip(pages).map(|(index, parts)| {
        let page = PartTablePage { part_count: u32::from(part_count), parts };
        put(Table::Mf, key::mf(table, index), &page)
    });
    let rows = &data.inner().rows;
    assert!(rows.commit(vec![guard], ops.collect()).await.unwrap().is_none());
    Body::Parts(table)
}

#[tokio::test(start_paused = true)]
async fn a_part_table_takes_its_parts_along() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let kept = data.put_bytes(&payload(2000, 1)).await;
    let table = multipart(&data, 11).await;
    data.unlink(&table).await;
    workers.reclaim_all().await;
    assert_eq!(cluster.shard_count(), 3);
    assert_eq!((cluster.row_count(Table::Mf), cluster.row_count(Table::Inl)), (1, 0));
    assert_eq!(data.get_bytes(kept, 2000).await.unwrap(), payload(2000, 1));
}

#[tokio::test(start_paused = true)]
async fn readers_finish_before_their_body_is_reclaimed() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let bytes = payload(LEN, 1);
    let body = data.put_bytes(&bytes).await;
    let range = ResolvedRange { offset_bytes: 0, len_bytes: LEN as u64 };
    let mut stream = data.read(OWNER, body, LEN as u64, range).await.unwrap();
    let mut read = stream.next().await.unwrap().unwrap().to_vec();
    data.unlink(&body).await;
    workers.reclaim_all().await;
    while let Some(frame) = stream.next().await {
        read.extend_from_slice(&frame.unwrap());
    }
    assert!(read == bytes);
    drop(stream);
    workers.reclaim_all().await;
    assert_no_bodies(&cluster);
}

#[tokio::test(start_paused = true)]
async fn an_entry_waits_out_its_grace() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(2000, 1)).await;
    data.unlink(&body).await;
    assert_eq!(workers.reclaim.step().await.unwrap(), Pace::Idle);
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert_eq!(workers.reclaim.step().await.unwrap(), Pace::Idle);
    assert_eq!(data.get_bytes(body, 2000).await.unwrap(), payload(2000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_missed_deletes_is_swept_when_it_is_back() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    workers.watch_once().await;
    workers.sweep_all().await;
    let body = data.put_bytes(&payload(LEN, 1)).await;
    cluster.devices[1].set_offline(true);
    workers.watch_once().await;
    data.unlink(&body).await;
    workers.reclaim_all().await;
    assert_eq!(cluster.row_count(Table::Gcq), 0, "a lost drive does not hold the queue up");
    assert!(cluster.shard_count() > 0);
    workers.sweep_all().await;
    cluster.devices[1].set_offline(false);
    workers.watch_once().await;
    workers.sweep_all().await;
    assert_no_bodies(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_upload_is_swept_after_the_next_start() {
    let cluster = Cluster::new(6);
    let kept = {
        let data = cluster.open(small_stripes()).await;
        let kept = data.put_bytes(&payload(LEN, 1)).await;
        let written = data.write(TARGET, incoming(&payload(LEN, 2), 9999), LIMIT).await.unwrap();
        // What a crash does: nothing is dropped in an orderly way.
        std::mem::forget(written);
        kept
    };
    let before = cluster.shard_count();
    let data = cluster.open(small_stripes()).await;
    data.workers().sweep_all().await;
    assert_eq!(cluster.shard_count(), before / 2);
    assert_eq!(data.get_bytes(kept, LEN).await.unwrap(), payload(LEN, 1));
}

#[tokio::test(start_paused = true)]
async fn uploads_in_flight_are_never_swept() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let written = data.write(TARGET, incoming(&payload(LEN, 2), 9999), LIMIT).await.unwrap();
    let (_unused, _, in_flight) = data.allocate_manifest().await.unwrap();
    let stored = cluster.shard_count();
    assert!(stored > 0);
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), stored);
    let body = written.body;
    assert!(data.commit(written).await);
    drop(in_flight);
    for device in data.inner().devices.view().slots() {
        device.want_sweep();
    }
    workers.sweep_all().await;
    workers.discard_all().await;
    assert_eq!(cluster.shard_count(), stored);
    assert_eq!(data.get_bytes(body, LEN).await.unwrap(), payload(LEN, 2));
}

#[tokio::test(start_paused = true)]
async fn a_commit_with_unknown_outcome_keeps_its_body_until_the_next_start() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let written = data.write(TARGET, incoming(&payload(LEN, 2), 9999), LIMIT).await.unwrap();
    written.in_flight.unwrap().keep();
    let stored = cluster.shard_count();
    workers.discard_all().await;
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), stored);
    let data = cluster.open(small_stripes()).await;
    data.workers().sweep_all().await;
    assert_no_bodies(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_gives_its_space_back_at_once() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let mut written = data.write(TARGET, incoming(&payload(LEN, 2), 9999), LIMIT).await.unwrap();
    written.guards.push(Guard::Present { table: Table::Ctl, key: b"nothing".to_vec() });
    assert!(!data.commit(written).await);
    workers.discard_all().await;
    assert_no_bodies(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_deletes_failed_attempts_of_bodies_that_live() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let body = data.put_bytes(&payload(LEN, 1)).await;
    let named = cluster.shard_count();
    let manifest = body.manifest().unwrap();
    for stripe in [50, 51, 500] {
        let key = ShardKey { manifest, stripe: StripeSeq(stripe), index: ShardIndex(1) };
        cluster.devices[0].plant(key, vec![1; 64]);
    }
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), named);
    assert_eq!(data.get_bytes(body, LEN).await.unwrap(), payload(LEN, 1));
}

#[tokio::test(start_paused = true)]
async fn ids_that_were_never_handed_out_are_not_swept() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    data.put_bytes(&payload(10, 1)).await;
    let next = data.inner().leases.highest_id().unwrap();
    for id in [next, next + 1, u64::MAX] {
        let key = ShardKey { manifest: ManifestId(id), stripe: StripeSeq(0), index: ShardIndex(0) };
        cluster.devices[0].plant(key, vec![1; 64]);
    }
    workers.sweep_all().await;
    assert_eq!(cluster.shard_count(), 3);
}

struct Panics(Arc<AtomicUsize>);

#[async_trait]
impl Worker for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    async fn step(&mut self) -> Result<Pace, Fault> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("the first step panics"),
            1 => Err(Fault::Busy),
            _ => Ok(Pace::Idle),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_supervisor_goes_on_after_panics_and_faults_and_stops_when_told() {
    let supervisor = Supervisor::new(crate::data::config::Random::new(xorshift(3)));
    let steps = Arc::new(AtomicUsize::new(0));
    supervisor.start_all(vec![Box::new(Panics(Arc::clone(&steps)))]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    supervisor.stop().await;
    let taken = steps.load(Ordering::SeqCst);
    assert!(taken > 3, "{taken}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(steps.load(Ordering::SeqCst), taken);
}

#[tokio::test(start_paused = true)]
async fn running_workers_reclaim_repair_and_rebuild_by_themselves() {
    let cluster = Cluster::new(6);
    let mut config: DataConfig = small_stripes();
    config.workers.enabled = true;
    let data = cluster.open(config).await;
    let bytes = payload(LEN, 1);
    let body = data.put_bytes(&bytes).await;
    let gone = data.put_bytes(&bytes).await;
    let stored = cluster.shard_count() / 2;
    data.unlink(&gone).await;
    cluster.devices[3].wipe();
    let damaged = cluster.devices[0].keys()[0];
    cluster.devices[0].flip(damaged, 5);
    cluster.devices[0].report_damaged(damaged);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.shard_count(), stored);
    let status = data.repair_status().await.unwrap();
    assert_eq!((status.queued_stripes, status.reclaim_queue), (0, 0));
    assert!(status.rebuilding.is_empty());
    data.shutdown().await;
    for other in [0, 1] {
        cluster.devices[other].set_offline(true);
    }
    assert!(data.get_bytes(body, LEN).await.unwrap() == bytes);
    assert_eq!(data.devices()[0].status.device, DeviceId(0));
}
