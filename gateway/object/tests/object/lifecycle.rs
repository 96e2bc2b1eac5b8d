//! Lifecycle as it runs by itself, beside requests. What rules mean is tested next to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_meta::{
    MemoryMetaStore,
    record::{
        Expiration, LifecycleRecord, LifecycleRule, NoncurrentExpiration, RuleFilter, RuleScope,
        Versioning,
    },
};
use gateway_object::{ListObjects, ObjectConfig};
use tokio::task::JoinSet;

use crate::harness::{BUCKET, Harness, sample};

const DAY_MS: u64 = 1000;

/// How long lifecycle may take to be done. Chosen: many times what it takes.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Keys that are written over while they expire.
const KEYS: usize = 400;

async fn start() -> Harness {
    let lifecycle_day = Duration::from_millis(DAY_MS);
    let config = ObjectConfig { lifecycle_day, ..ObjectConfig::default() };
    Harness::start_over(Arc::new(MemoryMetaStore::new()), config).await
}

fn expiring(days: u32) -> LifecycleRecord {
    let rule = LifecycleRule {
        id: "r".to_owned(),
        enabled: true,
        scope: RuleScope::Filter(RuleFilter::default()),
        expiration: Some(Expiration::Days(days)),
        transitions: Vec::new(),
        noncurrent_expiration: Some(NoncurrentExpiration { days, newer_versions: None }),
        noncurrent_transitions: Vec::new(),
        abort_uploads_days: None,
    };
    LifecycleRecord { rules: vec![rule], transition_minimum: None }
}

async fn live_keys(harness: &Harness) -> usize {
    let request = ListObjects {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 1000,
    };
    harness.service.list_objects(request).await.unwrap().entries.len()
}

/// Waits until lifecycle has gone through the bucket once more.
async fn another_pass(harness: &Harness) {
    let passes = || harness.service.lifecycle_status().passes;
    let (before, started) = (passes(), Instant::now());
    while passes() == before {
        assert!(started.elapsed() < SETTLE_MAX, "{:?}", harness.service.lifecycle_status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn lifecycle_runs_by_itself_and_stops_with_the_service() {
    let harness = start().await;
    harness.put("a", b"data").await;
    harness.service.put_config(BUCKET, expiring(1)).await.unwrap();
    another_pass(&harness).await;
    assert_eq!(live_keys(&harness).await, 1);
    harness.clock.advance_ms(2 * DAY_MS);
    another_pass(&harness).await;
    assert_eq!(live_keys(&harness).await, 0);
    harness.assert_usage_is_right().await;
    harness.service.shutdown().await;
    let passes = harness.service.lifecycle_status().passes;
    harness.clock.advance_ms(9 * DAY_MS);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(harness.service.lifecycle_status().passes, passes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_over_while_it_expires_stays() {
    for versioning in [Versioning::Never, Versioning::Enabled, Versioning::Suspended] {
        let harness = Arc::new(start().await);
        if versioning != Versioning::Never {
            harness.service.set_versioning(BUCKET, versioning).await.unwrap();
        }
        for number in 0..KEYS {
            harness.put(&format!("k{number}"), b"old").await;
        }
        harness.clock.advance_ms(5 * DAY_MS);
        harness.service.put_config(BUCKET, expiring(2)).await.unwrap();
        let mut writers = JoinSet::new();
        for nth in 0..4 {
            let harness = Arc::clone(&harness);
            writers.spawn(async move {
                for number in (nth..KEYS).step_by(4) {
                    let (key, fresh) = (format!("k{number}"), sample(9, nth as u8));
                    harness.put(&key, &fresh).await;
                    assert_eq!(harness.get(&key).await.unwrap(), fresh, "{key}");
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        // Nothing written above is two days old, whatever lay under it.
        another_pass(&harness).await;
        assert_eq!(live_keys(&harness).await, KEYS);
        harness.assert_usage_is_right().await;
        harness.clock.advance_ms(3 * DAY_MS);
        another_pass(&harness).await;
        assert_eq!(live_keys(&harness).await, 0);
        harness.service.shutdown().await;
    }
}
