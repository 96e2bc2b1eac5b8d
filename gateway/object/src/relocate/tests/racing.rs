//! Jobs against everything that goes on beside them.

use super::*;
use crate::data::config::Random;

/// Devices that take a while to store, so that there is time for something beside.
fn slow_down(cluster: &Cluster, put_delay: Duration) {
    cluster.devices.iter().for_each(|device| device.faults(|faults| faults.put_delay = put_delay));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_point_loses_nothing() {
    for (seed, node_count) in (1..).zip([6, 7, 6, 7, 6, 7]) {
        let random = Random::new(xorshift(seed));
        let mut cluster = Cluster::of_nodes(node_count);
        let mut data = cluster.open(config()).await;
        let mut stored = put_some(&data).await;
        stored.extend(put_some(&data).await);
        stored.extend(put_some(&data).await);
        drain_first(&mut cluster, &data).await;
        slow_down(&cluster, Duration::from_millis(50));
        let mut crashes = 0;
        loop {
            let mut workers = data.workers();
            let runs = async { while workers.relocate.step().await.unwrap() == Pace::More {} };
            let crash = Duration::from_millis(50 + 10 * random.below(25) as u64);
            let ended = tokio::time::timeout(crash, runs).await.is_ok();
            assert_readable(&data, &stored).await;
            if ended && report(&data, DRAIN).state == JobState::Done {
                break;
            }
            crashes += 1;
            // What was in memory is gone; what had been copied is swept.
            data = cluster.open(config()).await;
            assert_readable(&data, &stored).await;
        }
        assert!(crashes > 1, "seed {seed}: {crashes}");
        slow_down(&cluster, Duration::ZERO);
        let data = cluster.open(config()).await;
        data.workers().sweep_all().await;
        assert_eq!((cluster.devices[0].keys(), stray_index_rows(&cluster)), (vec![], 0));
        assert_placed(&data, &stored);
        assert_no_garbage(&data, &cluster).await;
        assert_survives_any_two(&cluster, &data, &stored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_beside_a_drain_leave_nothing() {
    for (seed, node_count) in (1..).zip([6, 7, 6, 7]) {
        let random = Random::new(xorshift(seed));
        let mut cluster = Cluster::of_nodes(node_count);
        let data = cluster.open(config()).await;
        let mut stored = put_some(&data).await;
        stored.extend(put_some(&data).await);
        let (gone, kept) = stored.split_at(10);
        drain_first(&mut cluster, &data).await;
        slow_down(&cluster, Duration::from_millis(40));
        let mut workers = data.workers();
        let Workers { relocate, reclaim, .. } = &mut workers;
        let drains = async {
            loop {
                while relocate.step().await.unwrap() == Pace::More {}
                if report(&data, DRAIN).state == JobState::Done {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let deletes = async {
            for (body, _) in gone {
                tokio::time::sleep(Duration::from_millis(random.below(300) as u64)).await;
                data.unlink(body).await;
                reclaim.step().await.unwrap();
            }
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                reclaim.step().await.unwrap();
            }
        };
        tokio::join!(drains, deletes);
        slow_down(&cluster, Duration::ZERO);
        workers.relocate_all_and_delete().await;
        assert_eq!(stray_index_rows(&cluster), 0, "seed {seed}");
        assert_placed(&data, kept);
        assert_no_garbage(&data, &cluster).await;
        assert_survives_any_two(&cluster, &data, kept).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sweeps_and_repairs_beside_a_drain_take_nothing_away() {
    for node_count in [6, 7] {
        let mut cluster = Cluster::of_nodes(node_count);
        let data = cluster.open(config()).await;
        let mut stored = put_some(&data).await;
        stored.extend(put_some(&data).await);
        drain_first(&mut cluster, &data).await;
        slow_down(&cluster, Duration::from_millis(30));
        let mut workers = data.workers();
        let Workers { relocate, sweep, damage, repair, .. } = &mut workers;
        let is_done = || report(&data, DRAIN).state == JobState::Done;
        let drains = async {
            loop {
                while relocate.step().await.unwrap() == Pace::More {}
                if is_done() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let disturbs = async {
            for round in 0..200_usize {
                tokio::time::sleep(Duration::from_millis(7)).await;
                data.inner().devices.view().slots().iter().for_each(|slot| slot.want_sweep());
                let device = &cluster.devices[round % 2];
                if let Some(key) = device.keys().get(round) {
                    device.flip(*key, round);
                    device.report_damaged(*key);
                }
                while sweep.step().await.unwrap() == Pace::More {}
                while damage.step().await.unwrap() == Pace::More {}
                while repair.step().await.unwrap() == Pace::More {}
            }
        };
        tokio::join!(drains, disturbs);
        slow_down(&cluster, Duration::ZERO);
        workers.repair_all().await;
        workers.relocate_all_and_delete().await;
        data.inner().devices.view().slots().iter().for_each(|slot| slot.want_sweep());
        workers.sweep_all().await;
        assert_placed(&data, &stored);
        assert_no_garbage(&data, &cluster).await;
        assert_survives_any_two(&cluster, &data, &stored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_uploads_that_began_before_it() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    let mut stored = put_some(&data).await;
    let mut written = Vec::new();
    for seed in 0..8 {
        let bytes = payload(LEN, 100 + seed);
        let upload = data.write(TARGET, incoming(&bytes, 9999), LIMIT).await.unwrap();
        written.push((upload, bytes));
    }
    drain_first(&mut cluster, &data).await;
    workers.relocate_all().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Running);
    for (upload, bytes) in written {
        stored.push((upload.body, bytes));
        assert!(data.commit(upload).await);
    }
    assert!(data.held_shards(FIRST).await.unwrap() > 0);
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    workers.discard_all().await;
    assert_eq!(cluster.devices[0].keys(), []);
    assert_survives_any_two(&cluster, &data, &stored).await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_rebuilt_beside_a_drain_lacks_nothing() {
    let mut cluster = Cluster::of_nodes(7);
    let data = cluster.open(config()).await;
    let mut workers = data.workers();
    workers.watch_once().await;
    let stored = put_some(&data).await;
    drain_first(&mut cluster, &data).await;
    workers.relocate.step().await.unwrap();
    workers.relocate.step().await.unwrap();
    cluster.devices[6].wipe();
    cluster.devices[2].wipe();
    workers.watch_once().await;
    workers.relocate_all().await;
    workers.rebuild_all().await;
    workers.repair_all().await;
    workers.relocate_all_and_delete().await;
    assert_eq!(report(&data, DRAIN).state, JobState::Done);
    assert_no_garbage(&data, &cluster).await;
    assert_survives_any_two(&cluster, &data, &stored).await;
}
