//! Stores in temporary directories.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gateway_meta::{Batch, MetaStore, Op, RocksConfig, RocksMetaStore, Table, TxId};
use tempfile::TempDir;

/// Makes RocksDB stores, each in a directory of its own that lives as long as this.
pub(crate) struct RocksStores {
    parent: TempDir,
    made: AtomicUsize,
}

impl RocksStores {
    pub(crate) fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap(), made: AtomicUsize::new(0) }
    }

    pub(crate) fn make(&self) -> Arc<dyn MetaStore> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Arc::new(open(&self.parent.path().join(number.to_string())))
    }
}

/// Small caches; no regard to how full the disk of the test machine is.
pub(crate) fn config(directory: &Path) -> RocksConfig {
    let mut config = RocksConfig::new(directory);
    config.block_cache_bytes = 8 << 20;
    config.write_buffer_bytes = 8 << 20;
    config.space.content_floor_bytes = 0;
    config.space.reserve_floor_bytes = 0;
    config
}

pub(crate) fn open(directory: &Path) -> RocksMetaStore {
    RocksMetaStore::open(config(directory)).unwrap()
}

pub(crate) fn put(seq: u64, table: Table, key: impl Into<Vec<u8>>, value: &[u8]) -> Batch {
    let op = Op::Put { table, key: key.into(), value: Bytes::copy_from_slice(value) };
    Batch { txid: TxId { incarnation: 1, seq }, guards: Vec::new(), ops: vec![op] }
}

pub(crate) fn add(seq: u64, key: &[u8], delta: i128) -> Batch {
    let op = Op::Add { table: Table::Ctr, key: key.to_vec(), delta };
    Batch { txid: TxId { incarnation: 1, seq }, guards: Vec::new(), ops: vec![op] }
}
