//! Digests of bodies that are written at once.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use node_stripe::Profile;

use super::super::testing::*;
use super::super::{DataConfig, DataPath};
use crate::{BodyError, ExpectedDigests, IncomingBody};

fn md5_of(bytes: &[u8]) -> [u8; 16] {
    <md5::Md5 as md5::Digest>::digest(bytes).into()
}

/// Stripes just long enough to be handed off.
fn handed_off() -> DataConfig {
    let profile =
        Profile { stripe_len_bytes: 128 << 10, chunk_len_bytes: 4 << 10, ..Profile::default() };
    DataConfig { profile, ..small_stripes() }
}

/// A body whose frames come bit by bit, and which stops after `frames_max` of them.
fn trickling(bytes: &[u8], frames_max: usize) -> IncomingBody {
    let frames: Vec<Bytes> = bytes.chunks(40_009).map(Bytes::copy_from_slice).collect();
    let stops = frames.len() > frames_max;
    let frames = futures::stream::iter(frames.into_iter().take(frames_max)).then(|frame| async {
        tokio::task::yield_now().await;
        Ok::<_, BodyError>(frame)
    });
    let rest =
        if stops { futures::stream::pending().boxed() } else { futures::stream::empty().boxed() };
    IncomingBody {
        stream: frames.chain(rest).boxed(),
        len_bytes: Some(bytes.len() as u64),
        expected: ExpectedDigests { md5: Some(md5_of(bytes)), ..ExpectedDigests::default() },
    }
}

/// Lengths around every threshold: a row, a hand-off, a stripe.
fn len_of(seed: usize) -> usize {
    [3, 4097, 65_535, 65_536, 65_537, 131_073, 200_000, 655_361, 1_048_577][seed % 9] + seed / 9
}

async fn write_or_stop(data: &DataPath, seed: usize) {
    let bytes = payload(len_of(seed), seed as u64);
    if seed % 4 == 1 {
        let stopped = data.write(TARGET, trickling(&bytes, seed % 5), LIMIT);
        let stopped = tokio::time::timeout(Duration::from_millis(seed as u64), stopped).await;
        // Short ones may be complete in so many frames.
        if let Ok(written) = stopped {
            assert_eq!(written.unwrap().md5, md5_of(&bytes));
        }
        return;
    }
    let written = data.write(TARGET, trickling(&bytes, usize::MAX), LIMIT).await.unwrap();
    assert_eq!(written.md5, md5_of(&bytes), "{} bytes", bytes.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_written_at_once_get_their_own_digests_while_others_stop() {
    let cluster = Cluster::new(6);
    for cpu_jobs_max in [1, 2, 8] {
        let data = cluster.open(DataConfig { cpu_jobs_max, ..handed_off() }).await;
        join_all((0..60).map(|seed| write_or_stop(&data, seed))).await;
        // Jobs whose callers went away end when they are next looked at.
        let given_back = async {
            while data.inner().memory.used_bytes() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), given_back).await.expect("memory comes back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_one_stripe_get_their_digests_beside_a_body_that_stops() {
    let cluster = Cluster::new(6);
    let data = cluster.open(config()).await;
    let large = payload(20 << 20, 1);
    let mut stopped = Box::pin(data.write(TARGET, trickling(&large, 300), LIMIT));
    let begun = tokio::time::timeout(Duration::from_millis(200), &mut stopped).await;
    assert!(begun.is_err(), "it stops amid its second stripe");
    let parts = (0..4).map(|seed| {
        let data = &data;
        async move {
            let bytes = payload(8 << 20, seed);
            let written = data.write(TARGET, incoming(&bytes, 1 << 20), LIMIT).await.unwrap();
            assert_eq!(written.md5, md5_of(&bytes));
        }
    });
    tokio::time::timeout(Duration::from_secs(20), join_all(parts)).await.expect("parts go on");
}

#[test]
fn a_runtime_that_ends_amid_uploads_waits_for_none_of_them() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = Cluster::new(6);
    let data = runtime.block_on(cluster.open(handed_off()));
    for seed in 0..12 {
        let data = data.clone();
        runtime.spawn(async move {
            for turn in 0.. {
                let bytes = payload(300_000 + seed, turn);
                // Refused when the runtime ends.
                let written = data.write(TARGET, trickling(&bytes, usize::MAX), LIMIT).await;
                if written.is_err() {
                    return;
                }
            }
        });
    }
    std::thread::sleep(Duration::from_millis(200));
    let start = std::time::Instant::now();
    runtime.shutdown_timeout(Duration::from_secs(20));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(data.inner().memory.used_bytes(), 0);
}
