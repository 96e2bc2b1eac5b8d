use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gateway_meta::{MemoryMetaStore, TxIds};
use node_proto::{ManualClock, NodeId, UnixMillis};

use super::*;

const DRAIN: JobKind = JobKind::Drain(NodeId(3));

async fn open(meta: &Arc<MemoryMetaStore>) -> Jobs {
    static STARTS: AtomicU32 = AtomicU32::new(1);
    let start = STARTS.fetch_add(1, Ordering::Relaxed);
    let rows = Rows::new(Arc::clone(meta) as _, Arc::new(TxIds::new(UnixMillis(1), start)));
    Jobs::open(rows, Arc::new(ManualClock::new(UnixMillis(1000)))).await.unwrap()
}

fn moved(bytes: u64) -> Moved {
    Moved { bytes, shards: 1 }
}

#[tokio::test(start_paused = true)]
async fn states_and_counts_survive_a_restart() {
    let meta = Arc::new(MemoryMetaStore::new());
    let jobs = open(&meta).await;
    jobs.begin(DRAIN, 100).await.unwrap();
    jobs.begin(JobKind::Rebalance, 7).await.unwrap();
    tokio::time::sleep(SAVE_INTERVAL).await;
    jobs.moved(DRAIN, moved(40)).await.unwrap();
    jobs.pause("drain:3").await.unwrap();
    let jobs = open(&meta).await;
    let report = &jobs.reports()[0];
    assert_eq!((report.id.as_str(), &report.state), ("drain:3", &JobState::Paused));
    assert_eq!((report.moved_bytes, report.moved_shards, report.remaining_bytes), (40, 1, 60));
    assert_eq!(jobs.open_kinds(), [DRAIN, JobKind::Rebalance]);
    jobs.blocked(DRAIN, Some("no room".to_owned())).await.unwrap();
    assert_eq!(
        jobs.state(DRAIN),
        Some(JobState::Paused),
        "a pause outlasts what happens meanwhile"
    );
    jobs.resume("drain:3").await.unwrap();
    assert_eq!(open(&meta).await.state(DRAIN), Some(JobState::Running));
}

#[tokio::test(start_paused = true)]
async fn rate_and_eta_follow_what_was_moved_lately() {
    let jobs = open(&Arc::new(MemoryMetaStore::new())).await;
    jobs.begin(DRAIN, 10_000).await.unwrap();
    for _ in 0..40 {
        jobs.moved(DRAIN, moved(100)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let report = &jobs.reports()[0];
    assert!((90..=110).contains(&report.bytes_per_second), "{report:?}");
    assert!(report.eta.is_some_and(|eta| (54..=67).contains(&eta.as_secs())), "{report:?}");
    tokio::time::sleep(RATE_WINDOW * 2).await;
    let report = &jobs.reports()[0];
    assert_eq!((report.bytes_per_second, report.eta), (0, None));
}

#[tokio::test(start_paused = true)]
async fn blocked_jobs_say_why_and_go_on() {
    let jobs = open(&Arc::new(MemoryMetaStore::new())).await;
    jobs.begin(DRAIN, 1).await.unwrap();
    jobs.blocked(DRAIN, Some("no room".to_owned())).await.unwrap();
    assert_eq!(jobs.reports()[0].state, JobState::Blocked { reason: "no room".to_owned() });
    jobs.blocked(DRAIN, None).await.unwrap();
    assert_eq!(jobs.reports()[0].state, JobState::Running);
}

#[tokio::test(start_paused = true)]
async fn the_last_ended_jobs_are_kept() {
    let meta = Arc::new(MemoryMetaStore::new());
    let clock = Arc::new(ManualClock::new(UnixMillis(0)));
    let rows = Rows::new(Arc::clone(&meta) as _, Arc::new(TxIds::new(UnixMillis(1), 0)));
    let jobs = Jobs::open(rows, Arc::clone(&clock) as _).await.unwrap();
    for _ in 0..ENDED_MAX + 5 {
        clock.advance_ms(1000);
        jobs.begin(DRAIN, 1).await.unwrap();
        jobs.end(DRAIN, JobState::Done).await.unwrap();
    }
    let kept = jobs.reports();
    assert_eq!((kept.len(), kept[0].ended), (ENDED_MAX, Some(kept[0].started)));
    assert!(kept[0].started > kept[1].started);
    assert_eq!(open(&meta).await.reports(), kept);
}

#[tokio::test(start_paused = true)]
async fn only_open_jobs_can_be_paused() {
    let jobs = open(&Arc::new(MemoryMetaStore::new())).await;
    assert!(matches!(jobs.pause("drain:3").await, Err(JobError::NoSuchJob { .. })));
    jobs.begin(DRAIN, 1).await.unwrap();
    jobs.end(DRAIN, JobState::Cancelled).await.unwrap();
    assert!(matches!(jobs.resume("drain:3").await, Err(JobError::Ended { .. })));
}
