//! Clients that stop: nobody else may wait for them.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::join_all};
use gateway_meta::record::Body;

use super::super::testing::*;
use super::super::{DataConfig, DataPath};
use crate::{BodyError, ByteStream, ExpectedDigests, IncomingBody, ResolvedRange};

const LEN: usize = 24 << 20;

/// How long anything may take beside clients that stopped. Far below every wait for memory.
const PROMPT: Duration = Duration::from_secs(4);

/// Starts a download, takes one frame, lets it begin to fetch more, and then never asks again.
async fn stall(data: &DataPath, body: Body) -> ByteStream {
    let range = ResolvedRange { offset_bytes: 0, len_bytes: LEN as u64 };
    let mut stream = data.read(OWNER, body, LEN as u64, range).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let _ = stream.next().now_or_never();
    stream
}

async fn put_promptly(data: &DataPath, len: usize) -> Body {
    let bytes = payload(len, 5);
    tokio::time::timeout(PROMPT, data.put_bytes(&bytes)).await.expect("others stand still")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_that_stop_hold_up_neither_uploads_nor_downloads() {
    let cluster = Cluster::new(6);
    // Few turns and much memory: the windows ahead wait for turns when the clients stop.
    let config = DataConfig { cpu_jobs_max: 1, memory_limit_bytes: 4 << 30, ..config() };
    let data = cluster.open(config).await;
    let body = data.put_bytes(&payload(LEN, 1)).await;
    let mut stalled = join_all((0..12).map(|_| stall(&data, body))).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = put_promptly(&data, 20 << 20).await;
    let read = tokio::time::timeout(PROMPT, data.get_bytes(written, 20 << 20)).await;
    assert!(read.expect("others stand still").unwrap() == payload(20 << 20, 5));
    // Those that go on get everything.
    let mut rest = 0;
    let mut stream = stalled.pop().unwrap();
    while let Some(frame) = stream.next().await {
        rest += frame.unwrap().len();
    }
    assert!(rest > LEN - (1 << 20), "{rest}");
    drop((stream, stalled));
    // Aborted tasks end when the runtime comes to them.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(data.inner().memory.used_bytes(), 0);
}

fn tight() -> DataConfig {
    let memory_limit_bytes = DataConfig::default().memory_limit_bytes_min();
    DataConfig { memory_limit_bytes, ..config() }
}

#[tokio::test]
async fn many_readers_that_stop_leave_memory_for_others() {
    let cluster = Cluster::new(6);
    let data = cluster.open(tight()).await;
    let body = data.put_bytes(&payload(LEN, 1)).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        stalled.push(stall(&data, body).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    put_promptly(&data, 3000).await;
    put_promptly(&data, 100_000).await;
    put_promptly(&data, 1 << 20).await;
    put_promptly(&data, 8 << 20).await;
}

/// An upload of declared length whose client stops in the middle.
fn stopped(len: usize) -> IncomingBody {
    let begin = Ok::<_, BodyError>(Bytes::from(vec![1; len / 2]));
    IncomingBody {
        stream: futures::stream::iter([begin]).chain(futures::stream::pending()).boxed(),
        len_bytes: Some(len as u64),
        expected: ExpectedDigests::default(),
    }
}

#[tokio::test]
async fn writers_that_stop_leave_memory_for_small_requests() {
    let cluster = Cluster::new(6);
    let data = cluster.open(tight()).await;
    let small = put_promptly(&data, 100_000).await;
    let mut stalled: Vec<_> =
        (0..200).map(|_| Box::pin(data.write(TARGET, stopped(16 << 20), LIMIT))).collect();
    for upload in &mut stalled {
        assert!(upload.now_or_never().is_none());
    }
    put_promptly(&data, 3000).await;
    put_promptly(&data, 1 << 20).await;
    let read = tokio::time::timeout(PROMPT, data.get_bytes(small, 100_000)).await;
    assert!(read.expect("others stand still").unwrap() == payload(100_000, 5));
}
