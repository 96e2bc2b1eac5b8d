//! The drive against a map, through restarts, power cuts, lost indexes and compaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use node_proto::{OpeningId, PutShardError, ShardService};
use node_store::Drive;
use proptest::prelude::*;

use crate::fixture::{Bench, key, list_all, payload, read, root_of};

const KEYS: u64 = 24;

#[derive(Clone, Debug)]
enum Op {
    Put {
        number: u64,
        seed: u64,
        len: usize,
    },
    Replace {
        number: u64,
        seed: u64,
        len: usize,
    },
    Delete {
        numbers: Vec<u64>,
    },
    /// Many writes at once, so that groups form and segments fill.
    Burst {
        seed: u64,
        len: usize,
    },
    Reopen {
        forget_index: bool,
    },
    /// The power fails while writes are under way.
    PowerCut {
        seed: u64,
        len: usize,
        after: Duration,
        forget_index: bool,
    },
    /// Gives maintenance time.
    Rest,
}

fn ops() -> impl Strategy<Value = Op> {
    let len = prop_oneof![0..200_usize, 3_900..4_200_usize, 20_000..60_000_usize];
    let put = (0..KEYS, 0..4_u64, len.clone());
    prop_oneof![
        6 => put.clone().prop_map(|(number, seed, len)| Op::Put { number, seed, len }),
        2 => put.prop_map(|(number, seed, len)| Op::Replace { number, seed, len }),
        4 => prop::collection::vec(0..KEYS, 1..8).prop_map(|numbers| Op::Delete { numbers }),
        3 => (any::<u64>(), len.clone()).prop_map(|(seed, len)| Op::Burst { seed, len }),
        1 => any::<bool>().prop_map(|forget_index| Op::Reopen { forget_index }),
        2 => (any::<u64>(), len, 0..3_000_u64, any::<bool>()).prop_map(
            |(seed, len, micros, forget_index)| Op::PowerCut {
                seed,
                len,
                after: Duration::from_micros(micros),
                forget_index,
            }
        ),
        2 => Just(Op::Rest),
    ]
}

struct World {
    bench: Bench,
    drive: Arc<Drive>,
    model: BTreeMap<u64, Bytes>,
    opening: OpeningId,
    mark: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::new(seed);
        bench.limits.segment_bytes = 128 << 10;
        let drive = Arc::new(bench.open());
        let opening = drive.status().continuity.opening;
        Self { bench, drive, model: BTreeMap::new(), opening, mark: 0 }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Put { number, seed, len } => {
                let bytes = payload(seed, len);
                let result = self.drive.put(key(number), root_of(&bytes), bytes.clone()).await;
                match self.model.get(&number) {
                    Some(known) if *known != bytes => {
                        assert!(matches!(result, Err(PutShardError::Conflict { .. })));
                    }
                    _ => {
                        result.unwrap();
                        self.model.insert(number, bytes);
                    }
                }
            }
            Op::Replace { number, seed, len } => {
                let bytes = payload(seed, len);
                self.drive.replace(key(number), root_of(&bytes), bytes.clone()).await.unwrap();
                self.model.insert(number, bytes);
            }
            Op::Delete { numbers } => {
                self.drive
                    .delete(numbers.iter().map(|number| key(*number)).collect())
                    .await
                    .unwrap();
                for number in numbers {
                    self.model.remove(&number);
                }
            }
            Op::Burst { seed, len } => {
                for (number, bytes, stored) in self.burst(seed, len, None).await {
                    assert!(stored);
                    self.model.insert(number, bytes);
                }
            }
            Op::Reopen { forget_index } => {
                self.drive.close().await;
                self.restart(forget_index);
            }
            Op::PowerCut { seed, len, after, forget_index } => {
                self.power_cut(seed, len, after, forget_index).await;
            }
            Op::Rest => tokio::time::sleep(Duration::from_millis(15)).await,
        }
    }

    /// Replaces every key at once; says which were acknowledged.
    async fn burst(
        &self,
        seed: u64,
        len: usize,
        cut_after: Option<Duration>,
    ) -> Vec<(u64, Bytes, bool)> {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..KEYS {
            let bytes = payload(seed ^ number, len + number as usize);
            let drive = Arc::clone(&self.drive);
            tasks.spawn(async move {
                let stored = drive.replace(key(number), root_of(&bytes), bytes.clone()).await;
                (number, bytes, stored.is_ok())
            });
        }
        if let Some(after) = cut_after {
            tokio::time::sleep(after).await;
            self.bench.vfs.cut_power();
        }
        tasks.join_all().await
    }

    async fn power_cut(&mut self, seed: u64, len: usize, after: Duration, forget_index: bool) {
        let outcomes = self.burst(seed, len, Some(after)).await;
        self.drive.close().await;
        self.bench.vfs.restore_power().unwrap();
        self.restart(forget_index);
        for (number, bytes, stored) in outcomes {
            let found = read(&self.drive, number).await;
            if stored {
                assert_eq!(found.as_ref(), Some(&bytes), "an acknowledged write was lost");
            } else {
                // Either side of an unacknowledged replacement is right; nothing else is.
                let before = self.model.get(&number);
                assert!(found.as_ref() == before || found.as_ref() == Some(&bytes));
            }
            match found {
                Some(found) => self.model.insert(number, found),
                None => self.model.remove(&number),
            };
        }
    }

    fn restart(&mut self, forget_index: bool) {
        if forget_index {
            self.bench.forget_index();
        }
        let before = self.drive.status().continuity;
        assert_eq!(before, Default::default(), "the drive is closed");
        self.drive = Arc::new(self.bench.open());
        let now = self.drive.status().continuity;
        assert_eq!(now.previous, Some(self.opening), "the chain of openings is broken");
        assert!(forget_index || !now.content_lost, "nothing was lost");
        assert!(forget_index || now.found_mark >= self.mark, "durable numbers were lost");
        self.opening = now.opening;
        self.mark = now.mark;
    }

    async fn check(&mut self) {
        self.mark = self.drive.status().continuity.mark;
        for number in 0..KEYS {
            assert_eq!(read(&self.drive, number).await.as_ref(), self.model.get(&number));
        }
        let listed: Vec<_> = list_all(&self.drive).await.iter().map(|entry| entry.key).collect();
        let expected: BTreeSet<_> = self.model.keys().map(|number| key(*number)).collect();
        assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
        assert_eq!(self.drive.status().shard_count, self.model.len() as u64);
        assert!(self.drive.take_damaged(10).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn the_drive_behaves_like_a_map(seed in any::<u64>(), ops in prop::collection::vec(ops(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed);
            for op in ops {
                world.apply(op).await;
                world.check().await;
            }
            world.drive.close().await;
        });
    }
}
