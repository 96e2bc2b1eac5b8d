//! The suite and the model.

use std::sync::Arc;

use gateway_meta::conformance::{check_all, random};
use gateway_meta::{MemoryMetaStore, MetaStore};
use proptest::prelude::*;

use crate::stores::{RocksStores, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_model_conforms() {
    check_all(async || Arc::new(MemoryMetaStore::new()) as Arc<dyn MetaStore>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rocks_conforms() {
    let stores = RocksStores::new();
    check_all(async || stores.make()).await;
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    // A store is 14 column families with their files; 48 cases take some seconds.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rocks_equals_the_model(
        in_turn in random::batches(20),
        at_once in random::batches(80),
        reopened in random::batches(10),
    ) {
        current_thread().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let store: Arc<dyn MetaStore> = Arc::new(open(directory.path()));
            let mut answers = random::commit_in_turn(&*store, &in_turn).await;
            answers.extend(random::commit_at_once(&store, &at_once).await);
            let before = random::contents(&*store).await;
            drop(store);

            let store = open(directory.path());
            prop_assert_eq!(&random::contents(&store).await, &before);
            answers.extend(random::commit_in_turn(&store, &reopened).await);
            let all = [in_turn, at_once, reopened].concat();
            let (expected, contents) = random::model(&all).await;
            prop_assert_eq!(answers, expected);
            prop_assert_eq!(random::contents(&store).await, contents);
            Ok(())
        })?;
    }
}
