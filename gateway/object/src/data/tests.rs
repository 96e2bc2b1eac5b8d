//! The data path against devices with faults.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use gateway_meta::{
    Table,
    record::{Body, ChecksumAlgorithm, PartTableEntry, PartTablePage},
};
use proptest::prelude::*;

use super::rows::put;
use super::testing::*;
use crate::{
    BodyError, ChecksumRequest, ExpectedChecksum, ExpectedDigests, Fault, IncomingBody,
    ObjectWriteError, ResolvedRange,
};

mod digests;
mod faults;
mod layouts;
mod placement;
mod slow;
mod stalled;
mod stragglers;

#[tokio::test]
async fn every_length_around_every_threshold_comes_back() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    let (mib, kib) = (1 << 20, 1 << 10);
    let lengths = [
        0,
        1,
        4 * kib,
        4 * kib + 1,
        64 * kib,
        64 * kib + 1,
        256 * kib - 1,
        256 * kib,
        256 * kib + 1,
        8 * mib - 1,
        8 * mib,
        8 * mib + 1,
        20 * mib,
    ];
    for (seed, len) in (0..).zip(lengths) {
        let bytes = payload(len, seed);
        let body = data.put_bytes(&bytes).await;
        match len {
            0 => assert_eq!(body, Body::Empty),
            1..=4096 => assert!(matches!(body, Body::Inline(_)), "{len} {body:?}"),
            _ => assert!(matches!(body, Body::Stripes(_)), "{len} {body:?}"),
        }
        assert!(data.get_bytes(body, len).await.unwrap() == bytes, "{len} bytes differ");
    }
    assert_eq!(data.inner().memory.used_bytes(), 0, "everything was given back");
}

#[tokio::test]
async fn a_body_of_undeclared_length_is_stored_like_a_declared_one() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    for len in [0, 1, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let bytes = payload(len, 5);
        let body = IncomingBody { len_bytes: None, ..incoming(&bytes, 1000) };
        let written = data.write(TARGET, body, LIMIT).await.unwrap();
        let stored = written.body;
        let declared = data.write(TARGET, incoming(&bytes, 1000), LIMIT).await.unwrap();
        assert_eq!(
            std::mem::discriminant(&stored),
            std::mem::discriminant(&declared.body),
            "{len}"
        );
        assert_eq!((written.md5, &written.checksum), (declared.md5, &declared.checksum));
        assert!(data.commit(written).await);
        assert!(data.get_bytes(stored, len).await.unwrap() == bytes, "{len} bytes differ");
    }
}

#[tokio::test]
async fn frames_longer_than_stripes_are_taken_apart() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = payload(500_000, 8);
    for declared in [Some(500_000), None] {
        let body = IncomingBody { len_bytes: declared, ..incoming(&bytes, 333_333) };
        let written = data.write(TARGET, body, LIMIT).await.unwrap();
        let stored = written.body;
        assert!(data.commit(written).await);
        assert!(data.get_bytes(stored, bytes.len()).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn small_bodies_take_three_copies_and_large_ones_six_shards() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    data.put_bytes(&payload(4096, 1)).await;
    assert_eq!(cluster.shard_count(), 0);
    data.put_bytes(&payload(64 << 10, 1)).await;
    assert_eq!(cluster.shard_count(), 3);
    data.put_bytes(&payload((64 << 10) + 1, 1)).await;
    assert_eq!(cluster.shard_count(), 9);
}

#[tokio::test]
async fn devices_never_see_plaintext() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let bytes = vec![0xab; 100_000];
    data.put_bytes(&bytes).await;
    for device in &cluster.devices {
        for key in device.keys() {
            let shard = device.shard(key).unwrap();
            assert!(!shard.windows(8).any(|window| window == [0xab; 8]), "{key}");
        }
    }
}

/// A cluster with bodies of each kind, shared by all cases of a property.
async fn bodies() -> (super::DataPath, Vec<(Body, Vec<u8>)>) {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut stored = Vec::new();
    for (seed, len) in (0..).zip([1, 700, 1025, 4096, 20_000, 65_536, 65_537, 300_000]) {
        let bytes = payload(len, seed);
        stored.push((data.put_bytes(&bytes).await, bytes));
    }
    let parts = stored.clone();
    stored.push(part_table_of(&data, &parts).await);
    (data, stored)
}

async fn part_table_of(data: &super::DataPath, parts: &[(Body, Vec<u8>)]) -> (Body, Vec<u8>) {
    let (table, guard, in_flight) = data.allocate_manifest().await.unwrap();
    let mut whole = Vec::new();
    let mut entries = Vec::new();
    for (number, (body, bytes)) in (1..).zip(parts) {
        entries.push(PartTableEntry {
            number,
            offset_bytes: whole.len() as u64,
            len_bytes: bytes.len() as u64,
            body: *body,
            checksum: Vec::new(),
        });
        whole.extend_from_slice(bytes);
    }
    // Short pages, so that ranges cross them.
    let part_count = u32::try_from(entries.len()).unwrap();
    let pages = entries.chunks(3).map(<[_]>::to_vec);
    let ops = (0..)
        .zip(pages)
        .map(|(index, parts)| {
            let page = PartTablePage { part_count, parts };
            put(Table::Mf, gateway_meta::key::mf(table, index), &page)
        })
        .collect();
    assert!(data.inner().rows.commit(vec![guard], ops).await.unwrap().is_none());
    drop(in_flight);
    (Body::Parts(table), whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_range_of_every_body_comes_back(
        picks in proptest::collection::vec((any::<u64>(), any::<u64>(), -2_i64..3, -2_i64..3), 24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (data, stored) = bodies().await;
            for (index, (a, b, near_a, near_b)) in picks.into_iter().enumerate() {
                let (body, bytes) = &stored[index % stored.len()];
                let len = bytes.len() as u64;
                // Half of the ends lie around borders of chunks and stripes.
                let near = |raw: u64, offset: i64| {
                    let point = raw % (len + 1);
                    let border = if raw.is_multiple_of(2) { 4096 } else { 65_536 };
                    let snapped = (point / border * border).saturating_add_signed(offset);
                    if raw % 4 < 2 { point } else { snapped.min(len) }
                };
                let (a, b) = (near(a, near_a), near(b, near_b));
                let (start, end) = (a.min(b), a.max(b));
                let read = data.get_range(*body, len, start, end - start).await.unwrap();
                let expected = &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
                assert!(read == expected, "{body:?} {start}..{end} of {len}");
            }
        });
    }
}

#[tokio::test]
async fn a_range_reads_only_the_shard_that_holds_it() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    let bytes = payload(8 << 20, 3);
    let body = data.put_bytes(&bytes).await;
    let read = data.get_range(body, 8 << 20, 5 << 20, 10).await.unwrap();
    assert_eq!(read, bytes[5 << 20..(5 << 20) + 10]);
    let gets: usize = cluster.devices.iter().map(|device| device.traffic().0).sum();
    assert_eq!(gets, 1);
}

#[tokio::test]
async fn the_parts_of_a_table_are_listed_in_order() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut parts = Vec::new();
    for len in [5, 2000, 70_000, 3, 1] {
        let bytes = payload(len, len as u64);
        parts.push((data.put_bytes(&bytes).await, bytes));
    }
    let (table, whole) = part_table_of(&data, &parts).await;
    let entries = data.part_table(table.manifest().unwrap()).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(data.get_bytes(table, whole.len()).await.unwrap(), whole);
}

async fn refusal(data: &super::DataPath, body: IncomingBody, limit: u64) -> ObjectWriteError {
    match data.write(TARGET, body, limit).await {
        Ok(_) => panic!("the body should have been refused"),
        Err(error) => error,
    }
}

#[tokio::test(start_paused = true)]
async fn refused_bodies_leave_nothing() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut workers = data.workers();
    let bytes = payload(200_000, 1);
    let body = || incoming(&bytes, 10_000);

    let longer = IncomingBody { len_bytes: Some(200_001), ..body() };
    assert!(matches!(refusal(&data, longer, LIMIT).await, ObjectWriteError::LengthMismatch));
    let shorter = IncomingBody { len_bytes: Some(199_999), ..body() };
    assert!(matches!(refusal(&data, shorter, LIMIT).await, ObjectWriteError::LengthMismatch));
    let declared = refusal(&data, body(), 199_999).await;
    assert!(matches!(declared, ObjectWriteError::TooLarge { limit_bytes: 199_999 }));
    let unknown = IncomingBody { len_bytes: None, ..body() };
    assert!(matches!(refusal(&data, unknown, 100_000).await, ObjectWriteError::TooLarge { .. }));
    let torn = futures::stream::iter([
        Ok(Bytes::from(bytes[..150_000].to_vec())),
        Err(BodyError::Truncated),
    ]);
    let torn = IncomingBody { stream: torn.boxed(), ..body() };
    let error = refusal(&data, torn, LIMIT).await;
    assert!(matches!(error, ObjectWriteError::Body(BodyError::Truncated)));
    let wrong = ExpectedDigests { md5: Some([1; 16]), ..ExpectedDigests::default() };
    let error = refusal(&data, IncomingBody { expected: wrong, ..body() }, LIMIT).await;
    assert!(matches!(error, ObjectWriteError::DigestMismatch { .. }));
    let trailer = ExpectedDigests {
        checksum: Some(ChecksumRequest {
            algorithm: ChecksumAlgorithm::Crc32,
            expected: Some(ExpectedChecksum::Trailer(Box::new(|| Ok(None)))),
        }),
        ..ExpectedDigests::default()
    };
    let error = refusal(&data, IncomingBody { expected: trailer, ..body() }, LIMIT).await;
    assert!(matches!(error, ObjectWriteError::MalformedTrailer));

    assert!(cluster.shard_count() > 0, "there was something to leave");
    workers.discard_all().await;
    assert_eq!(cluster.shard_count(), 0);
    assert_eq!(data.inner().memory.used_bytes(), 0);
    assert!(data.inner().leases.in_flight().is_empty());
}

#[tokio::test]
async fn a_fenced_lease_refuses_the_commit() {
    let cluster = Cluster::new(6);
    let old = cluster.open(small_stripes()).await;
    let written = old.write(TARGET, incoming(&payload(100_000, 1), 1000), LIMIT).await.unwrap();
    let inline = old.write(TARGET, incoming(&payload(10, 1), 1000), LIMIT).await.unwrap();
    let new = cluster.open(small_stripes()).await;
    assert!(!old.commit(written).await);
    assert!(!old.commit(inline).await);
    let body = new.put_bytes(&payload(100_000, 2)).await;
    assert_eq!(new.get_bytes(body, 100_000).await.unwrap(), payload(100_000, 2));
}

#[tokio::test]
async fn ids_are_never_handed_out_twice_and_used_up_leases_end() {
    let cluster = Cluster::new(6);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let data = cluster.open(super::DataConfig { lease_ids: 4, ..small_stripes() }).await;
        let mut held = Vec::new();
        for round in 0..11 {
            let (id, _, in_flight) = data.allocate_manifest().await.unwrap();
            assert!(seen.insert(id), "{id:?}");
            if round < 5 {
                held.push(in_flight);
            }
        }
        // The first two leases have ids in flight, the third is in use.
        assert_eq!(cluster.row_count(Table::Intent), 3);
        drop(held);
        data.allocate_manifest().await.unwrap();
        data.allocate_manifest().await.unwrap();
        assert_eq!(cluster.row_count(Table::Intent), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_its_bound_and_refuses_beyond() {
    let cluster = Cluster::new(6);
    let limit_bytes = super::DataConfig::default().memory_limit_bytes_min();
    let data =
        cluster.open(super::DataConfig { memory_limit_bytes: limit_bytes, ..config() }).await;
    cluster.devices.iter().for_each(|d| d.faults(|f| f.put_delay = Duration::from_secs(4)));
    let bytes = payload(8 << 20, 1);
    let uploads = (0..12).map(|_| data.write(TARGET, incoming(&bytes, 1 << 20), LIMIT));
    let watched = async {
        let mut most = 0;
        loop {
            most = most.max(data.inner().memory.used_bytes());
            assert!(most <= limit_bytes);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let results = tokio::select! {
        results = futures::future::join_all(uploads) => results,
        () = watched => unreachable!(),
    };
    let stored = results.iter().filter(|result| result.is_ok()).count();
    let busy = |result: &Result<_, ObjectWriteError>| {
        matches!(result, Err(ObjectWriteError::Fault(Fault::Busy)))
    };
    let refused = results.iter().filter(|result| busy(result)).count();
    assert_eq!(stored + refused, 12);
    assert!(stored >= 3, "{stored}");
    assert!(refused >= 1, "{refused}");
    drop(results);
    assert_eq!(data.inner().memory.used_bytes(), 0);
}

#[tokio::test]
async fn a_range_outside_of_the_body_is_a_fault_and_an_empty_one_is_empty() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let body = data.put_bytes(&payload(10, 1)).await;
    assert!(matches!(data.get_range(body, 10, 5, 6).await, Err(Fault::Corrupt { .. })));
    assert!(matches!(data.get_range(body, 10, u64::MAX, 1).await, Err(Fault::Corrupt { .. })));
    assert_eq!(data.get_range(body, 10, 10, 0).await.unwrap(), Vec::<u8>::new());
}

#[tokio::test]
async fn nothing_is_written_once_shutdown_began() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    data.shutdown().await;
    let error = refusal(&data, incoming(b"x", 1), LIMIT).await;
    assert!(matches!(error, ObjectWriteError::Fault(Fault::ShuttingDown)));
}

#[tokio::test]
async fn a_reader_sees_its_body_to_the_end_in_frames() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    let bytes = payload(20 << 20, 1);
    let body = data.put_bytes(&bytes).await;
    let range = ResolvedRange { offset_bytes: 0, len_bytes: bytes.len() as u64 };
    let mut stream = data.read(OWNER, body, bytes.len() as u64, range).await.unwrap();
    let mut offset = 0;
    while let Some(frame) = stream.next().await {
        let frame = frame.unwrap();
        assert!(frame.len() <= 256 << 10);
        assert_eq!(frame, bytes[offset..offset + frame.len()]);
        offset += frame.len();
        assert!(data.inner().memory.used_bytes() <= 3 * (21 << 20));
    }
    assert_eq!(offset, bytes.len());
    drop(stream);
    assert_eq!(data.inner().memory.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures throughput over devices in memory; run by hand with --nocapture"]
async fn throughput() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    for (len, count, at_once) in [(64 << 20, 4, 1), (64 << 20, 8, 4), (32 << 10, 4000, 16)] {
        let bytes = payload(len, 1);
        let started = std::time::Instant::now();
        let puts = futures::stream::iter(0..count).map(|_| data.put_bytes(&bytes));
        let bodies: Vec<Body> = puts.buffer_unordered(at_once).collect().await;
        let put = started.elapsed();
        let started = std::time::Instant::now();
        let gets = futures::stream::iter(&bodies).map(|body| data.get_bytes(*body, len));
        let read: Vec<_> = gets.buffer_unordered(at_once).collect().await;
        let get = started.elapsed();
        assert!(read.iter().all(Result::is_ok));
        let rate = |took: Duration| (len * count) as f64 / took.as_secs_f64() / 1e6;
        println!(
            "{len} bytes, {at_once} at once: put {:.0} MB/s {:.0}/s, get {:.0} MB/s {:.0}/s",
            rate(put),
            count as f64 / put.as_secs_f64(),
            rate(get),
            count as f64 / get.as_secs_f64(),
        );
        for body in &bodies {
            data.unlink(body).await;
        }
        cluster.devices.iter().for_each(|device| device.wipe());
    }
}
