//! A device in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, Continuity, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus, DeviceUuid,
    GetShardError, ListShardsError, PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot,
    ShardService,
};
use parking_lot::Mutex;

/// A device in memory; each request takes `delay`.
pub(crate) struct MemoryDevice {
    id: DeviceId,
    delay: Duration,
    shards: Mutex<BTreeMap<ShardKey, (ShardRoot, Bytes)>>,
}

impl MemoryDevice {
    pub(crate) fn new(id: DeviceId, delay: Duration) -> Arc<Self> {
        Arc::new(Self { id, delay, shards: Mutex::default() })
    }

    pub(crate) fn count(&self) -> usize {
        self.shards.lock().len()
    }

    fn found(&self, key: ShardKey) -> Result<(ShardRoot, Bytes), GetShardError> {
        let found = self.shards.lock().get(&key).cloned();
        found.ok_or(GetShardError::NotFound { key, device: self.id })
    }
}

#[async_trait]
impl ShardService for MemoryDevice {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        tokio::time::sleep(self.delay).await;
        self.shards.lock().insert(key, (root, payload));
        Ok(())
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        tokio::time::sleep(self.delay).await;
        let (_, payload) = self.found(key)?;
        let start = range.offset_bytes as usize;
        Ok(payload.slice(start..start + range.len_bytes as usize))
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let (root, payload) = self.found(key)?;
        Ok(ShardEntry { key, len_bytes: payload.len() as u64, root })
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.put(key, root, payload).await
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let mut shards = self.shards.lock();
        for key in keys {
            shards.remove(&key);
        }
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        let shards = self.shards.lock();
        let greater = shards.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
        let entry = |(key, (root, payload)): (&ShardKey, &(ShardRoot, Bytes))| ShardEntry {
            key: *key,
            len_bytes: payload.len() as u64,
            root: *root,
        };
        Ok(greater.take(limit).map(entry).collect())
    }

    fn status(&self) -> DeviceStatus {
        DeviceStatus {
            device: self.id,
            uuid: Some(DeviceUuid([1; 16])),
            open_count: 1,
            continuity: Continuity::default(),
            health: DeviceHealth::Online,
            reason: None,
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 39,
            shard_count: self.count() as u64,
        }
    }

    fn start_scrub(&self) {}

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress::default()
    }

    fn take_damaged(&self, _: usize) -> Vec<ShardKey> {
        Vec::new()
    }
}
