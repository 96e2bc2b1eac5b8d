//! Workers that tests step by hand.

use std::sync::Arc;
use std::time::Duration;

use super::{Pace, Queues, Worker, restore::Throttle};
use crate::data::Inner;

/// Steps after which a worker that always finds more to do is broken.
const STEPS_MAX: usize = 10_000;

/// All workers of a data path.
pub(crate) struct Workers {
    pub(crate) reclaim: super::reclaim::Reclaim,
    pub(super) discard: super::discard::DiscardGarbage,
    pub(crate) sweep: super::sweep::Sweep,
    pub(crate) damage: super::damage::RecordDamage,
    pub(crate) repair: super::repair::Repair,
    pub(super) watch: super::device_watch::DeviceWatch,
    pub(super) rebuild: super::rebuild::Rebuild,
    pub(crate) relocate: crate::relocate::Relocate,
    grace: Duration,
    move_grace: Duration,
}

impl Workers {
    pub(crate) fn new(data: &Arc<Inner>, queues: Queues) -> Self {
        let throttle = Arc::new(Throttle::new(data.config.workers.repair_bytes_per_second));
        let data = || Arc::clone(data);
        Self {
            grace: data().config.workers.reclaim_grace,
            move_grace: data().config.workers.move_grace,
            reclaim: super::reclaim::Reclaim::new(data()),
            discard: super::discard::DiscardGarbage::new(data(), queues.discards),
            sweep: super::sweep::Sweep::new(data()),
            damage: super::damage::RecordDamage::new(data(), queues.damages),
            repair: super::repair::Repair::new(data(), Arc::clone(&throttle)),
            watch: super::device_watch::DeviceWatch::new(data()),
            rebuild: super::rebuild::Rebuild::new(data(), Arc::clone(&throttle)),
            relocate: crate::relocate::Relocate::new(data(), throttle),
        }
    }

    pub(crate) async fn discard_all(&mut self) {
        drain(&mut self.discard).await;
    }

    pub(crate) async fn record_damage(&mut self) {
        drain(&mut self.damage).await;
    }

    /// Reclaims what is queued. Needs paused time to be quick.
    pub(crate) async fn reclaim_all(&mut self) {
        drain(&mut self.reclaim).await;
        tokio::time::sleep(self.grace).await;
        drain(&mut self.reclaim).await;
        // The parts of part tables are queued by the tables.
        tokio::time::sleep(self.grace).await;
        drain(&mut self.reclaim).await;
    }

    pub(crate) async fn sweep_all(&mut self) {
        drain(&mut self.sweep).await;
    }

    pub(crate) async fn repair_all(&mut self) {
        drain(&mut self.damage).await;
        drain(&mut self.repair).await;
    }

    pub(crate) async fn watch_once(&mut self) {
        assert_eq!(self.watch.step().await.unwrap(), Pace::Idle);
    }

    /// Runs the jobs until nothing can be moved for now.
    pub(crate) async fn relocate_all(&mut self) {
        drain(&mut self.relocate).await;
    }

    /// Deletes what was left behind where it was. Needs paused time to be quick.
    pub(crate) async fn relocate_all_and_delete(&mut self) {
        drain(&mut self.relocate).await;
        tokio::time::sleep(self.move_grace).await;
        drain(&mut self.relocate).await;
    }

    pub(crate) async fn rebuild_all(&mut self) {
        drain(&mut self.rebuild).await;
    }
}

async fn drain(worker: &mut dyn Worker) {
    for _ in 0..STEPS_MAX {
        if worker.step().await.unwrap() == Pace::Idle {
            return;
        }
    }
    panic!("{} never comes to rest", worker.name());
}
