use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

use super::super::memory::BufferPool;
use super::super::testing::payload;
use super::*;

/// Far beyond any test.
const LATE: Duration = Duration::from_secs(3600);

/// On a clock that stands still while anything runs: at once.
const PROMPT: Duration = Duration::from_millis(1);

fn lanes(jobs_max: usize) -> DigestLanes {
    DigestLanes::new(CpuGate::new(jobs_max))
}

fn plain(bytes: &[u8]) -> Arc<Plain> {
    let mut buffer = BufferPool::new(0).take(bytes.len(), None);
    buffer.as_mut().copy_from_slice(bytes);
    Arc::new(Plain { buffer, len: bytes.len() })
}

fn reference(bytes: &[u8]) -> [u8; 16] {
    <md5::Md5 as md5::Digest>::digest(bytes).into()
}

impl DigestLanes {
    fn assert_idle(&self) {
        let state = self.shared.state.lock();
        let counts = (state.streams, state.jobs, state.running, state.waiting.len());
        assert_eq!(counts, (0, 0, 0, 0));
    }
}

/// Hashes `len` bytes of `stream`, which are due after `due`; how long that took.
async fn hash(stream: &LaneStream, len: usize, due: Duration) -> Duration {
    let bytes = payload(len, 3);
    let start = Instant::now();
    let md5 = stream.hash(Md5::new(), plain(&bytes), start + due).await.unwrap();
    let took = start.elapsed();
    assert_eq!(md5.finish(), reference(&bytes));
    took
}

#[tokio::test(start_paused = true)]
async fn a_body_alone_is_hashed_at_once() {
    let lanes = lanes(2);
    let stream = lanes.stream();
    assert!(hash(&stream, 300_000, LATE).await < PROMPT);
}

#[tokio::test(start_paused = true)]
async fn few_bodies_do_not_wait_on_many_cores() {
    let lanes = lanes(8);
    let streams = [lanes.stream(), lanes.stream(), lanes.stream(), lanes.stream()];
    assert!(hash(&streams[0], 300_000, LATE).await < PROMPT);
}

#[tokio::test(start_paused = true)]
async fn a_stripe_waits_for_company_until_it_is_due() {
    let lanes = lanes(2);
    let streams = [lanes.stream(), lanes.stream(), lanes.stream()];
    let due = Duration::from_secs(5);
    let took = join_all([hash(&streams[0], 300_000, due), hash(&streams[1], 70_001, LATE)]).await;
    for took in took {
        assert!(took >= due && took < due * 2, "what waits goes along: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_starts_when_everybody_is_here() {
    let lanes = lanes(2);
    let streams = [lanes.stream(), lanes.stream(), lanes.stream()];
    let took = join_all(streams.iter().map(|stream| hash(stream, 100_000, LATE))).await;
    assert!(took.iter().all(|took| *took < PROMPT), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_starts_when_somebody_needs_memory() {
    let lanes = lanes(2);
    let streams = [lanes.stream(), lanes.stream()];
    let mut waiting = Box::pin(hash(&streams[0], 100_000, LATE));
    assert!((&mut waiting).now_or_never().is_none());
    lanes.hurry();
    assert!(waiting.await < PROMPT);
}

#[tokio::test]
async fn what_nobody_waits_for_leaves_the_queue() {
    let lanes = lanes(1);
    let streams = [lanes.stream(), lanes.stream()];
    let bytes = plain(&[1; 100_000]);
    let mut waiting =
        Box::pin(streams[0].hash(Md5::new(), Arc::clone(&bytes), Instant::now() + LATE));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!((Arc::strong_count(&bytes), lanes.shared.state.lock().waiting.len()), (2, 1));
    drop(waiting);
    assert_eq!((Arc::strong_count(&bytes), lanes.shared.state.lock().waiting.len()), (1, 0));
    drop(streams);
    lanes.assert_idle();
}

#[tokio::test]
async fn what_nobody_waits_for_leaves_its_lane() {
    let lanes = lanes(1);
    let stream = lanes.stream();
    let bytes = plain(&vec![1; 8 * SLICE_LEN_BYTES]);
    let (answer, answered) = oneshot::channel();
    let place = lanes.shared.enqueue(Md5::new(), Arc::clone(&bytes), answer);
    lanes.shared.state.lock().jobs += 1;
    let mut batch = Batch::new(Arc::clone(&lanes.shared));
    batch.begin();
    batch.advance();
    batch.answer();
    assert_eq!(batch.lanes.len(), 1);
    drop(answered);
    batch.answer();
    assert_eq!((batch.lanes.len(), Arc::strong_count(&bytes)), (0, 1));
    drop((batch, place, stream));
    lanes.assert_idle();
}

#[tokio::test]
async fn a_batch_admits_what_ends_with_it_and_nothing_longer() {
    let lanes = lanes(2);
    let enqueue = |len: usize| {
        let (answer, answered) = oneshot::channel();
        (lanes.shared.enqueue(Md5::new(), plain(&vec![2; len]), answer), answered)
    };
    let longest = 8 * SLICE_LEN_BYTES;
    let first = enqueue(longest);
    lanes.shared.state.lock().jobs += 1;
    let mut batch = Batch::new(Arc::clone(&lanes.shared));
    batch.begin();
    batch.advance();
    let as_long = enqueue(longest);
    let longer = enqueue(longest + 1);
    batch.admit();
    assert_eq!(batch.lanes.len(), 2, "the first has just begun");
    batch.advance();
    let late = enqueue(longest);
    let short = enqueue(longest - 2 * SLICE_LEN_BYTES);
    batch.admit();
    assert_eq!(batch.lanes.len(), 3, "one fits into what is left");
    let mut slices = 2;
    while !batch.lanes.is_empty() {
        batch.advance();
        batch.answer();
        slices += 1;
    }
    assert_eq!(slices, 9);
    for (_place, answered) in [first, as_long, short] {
        answered.await.unwrap();
    }
    lanes.hurry();
    assert_eq!(lanes.shared.state.lock().jobs, 1, "no more batches than half of the turns");
    drop(batch);
    for (_place, answered) in [longer, late] {
        let next = tokio::time::timeout(Duration::from_secs(10), answered).await;
        next.expect("the next batch follows").unwrap();
    }
}

#[test]
fn a_runtime_that_is_gone_is_told_of() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let lanes = lanes(1);
    let stream = lanes.stream();
    let entered = runtime.handle().clone();
    drop(runtime);
    let _entered = entered.enter();
    let refused = stream.hash(Md5::new(), plain(&[1; 1000]), Instant::now()).now_or_never();
    assert!(matches!(refused, Some(Err(Fault::ShuttingDown))));
    drop(stream);
    lanes.assert_idle();
}

/// One body of several stripes of odd lengths, some of which its upload gives up.
async fn body(lanes: &DigestLanes, seed: u64) -> bool {
    let stream = lanes.stream();
    let mut md5 = Md5::new();
    let mut whole = Vec::new();
    for index in 0..1 + seed % 5 {
        let len = (seed * 7919 + index * 104_729) as usize % 700_000 + 1;
        let bytes = payload(len, seed + index);
        let due = Instant::now() + Duration::from_micros(seed % 7 * 300);
        let hashing = stream.hash(md5, plain(&bytes), due);
        if seed % 4 == 3 && index == 2 {
            let patience = Duration::from_micros(seed * 5);
            // Given up wherever it is: waiting, in a lane, or answered.
            drop(tokio::time::timeout(patience, hashing).await);
            return false;
        }
        md5 = hashing.await.unwrap();
        whole.extend_from_slice(&bytes);
    }
    assert_eq!(md5.finish(), reference(&whole), "body {seed}");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_meet_and_give_up_get_their_own_digests() {
    for jobs_max in [1, 2, 5] {
        let lanes = lanes(jobs_max);
        let bodies: FuturesUnordered<_> = (0..90).map(|seed| body(&lanes, seed)).collect();
        let finished = bodies.filter(|whole| std::future::ready(*whole)).count().await;
        assert!(finished >= 68, "{finished}");
        // The last batch may still be on its way out.
        while lanes.shared.state.lock().jobs > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lanes.assert_idle();
    }
}
