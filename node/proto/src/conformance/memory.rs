//! The simplest device that conforms.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::root_of;
use crate::{
    ByteRange, Continuity, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus, DeviceUuid,
    GetShardError, ListShardsError, PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot,
    ShardService,
};

/// Space that a device in memory claims to have. Chosen: nothing that tests fill.
const CAPACITY_BYTES: u64 = 1 << 40;

/// A device in memory, for tests of whatever uses devices.
#[derive(Debug)]
pub struct MemoryDevice {
    device: DeviceId,
    shards: Mutex<BTreeMap<ShardKey, (ShardRoot, Bytes)>>,
    scrubs: Mutex<u64>,
    damaged: Mutex<Vec<ShardKey>>,
}

impl MemoryDevice {
    /// An empty device.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            shards: Mutex::default(),
            scrubs: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    /// Says that a shard was found damaged.
    pub fn report_damaged(&self, key: ShardKey) {
        lock(&self.damaged).push(key);
    }

    /// Changes a byte of a shard that is stored. Reads return it as it is; verification fails.
    pub fn damage(&self, key: ShardKey) {
        if let Some((_, bytes)) = lock(&self.shards).get_mut(&key) {
            let mut changed = bytes.to_vec();
            if let Some(byte) = changed.first_mut() {
                *byte ^= 1;
            }
            *bytes = changed.into();
        }
    }

    fn read(&self, key: ShardKey) -> Result<(ShardRoot, Bytes), GetShardError> {
        let missing = GetShardError::NotFound { key, device: self.device };
        lock(&self.shards).get(&key).cloned().ok_or(missing)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl ShardService for MemoryDevice {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        if root_of(&payload) != root {
            return Err(PutShardError::RootMismatch { key });
        }
        let mut shards = lock(&self.shards);
        match shards.get(&key) {
            Some((stored, _)) if *stored != root => Err(PutShardError::Conflict { key }),
            _ => {
                shards.insert(key, (root, payload));
                Ok(())
            }
        }
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let (_, bytes) = self.read(key)?;
        let start = usize::try_from(range.offset_bytes).ok();
        let len = usize::try_from(range.len_bytes).ok();
        let end = start.zip(len).and_then(|(start, len)| start.checked_add(len));
        match start.zip(end).filter(|(_, end)| *end <= bytes.len()) {
            Some((start, end)) => Ok(bytes.slice(start..end)),
            None => {
                let reason = "the range lies outside it".to_owned();
                Err(GetShardError::Damaged { key, device: self.device, reason })
            }
        }
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let (root, bytes) = self.read(key)?;
        if root_of(&bytes) != root {
            let reason = "its bytes do not match its root".to_owned();
            return Err(GetShardError::Damaged { key, device: self.device, reason });
        }
        Ok(ShardEntry { key, len_bytes: bytes.len() as u64, root })
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        if root_of(&payload) != root {
            return Err(PutShardError::RootMismatch { key });
        }
        lock(&self.shards).insert(key, (root, payload));
        Ok(())
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let mut shards = lock(&self.shards);
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
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let shards = lock(&self.shards);
        let entry = |(key, (root, bytes)): (&ShardKey, &(ShardRoot, Bytes))| ShardEntry {
            key: *key,
            len_bytes: bytes.len() as u64,
            root: *root,
        };
        Ok(shards.range((from, Bound::Unbounded)).take(limit).map(entry).collect())
    }

    fn status(&self) -> DeviceStatus {
        let shards = lock(&self.shards);
        let used: u64 = shards.values().map(|(_, bytes)| bytes.len() as u64).sum();
        DeviceStatus {
            device: self.device,
            uuid: Some(DeviceUuid([0xd0; 16])),
            open_count: 1,
            continuity: Continuity::default(),
            health: DeviceHealth::Online,
            reason: None,
            capacity_bytes: CAPACITY_BYTES,
            free_bytes: CAPACITY_BYTES - used,
            shard_count: shards.len() as u64,
        }
    }

    fn start_scrub(&self) {
        *lock(&self.scrubs) += 1;
    }

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress { completed_passes: *lock(&self.scrubs), ..ScrubProgress::default() }
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        let mut damaged = lock(&self.damaged);
        let count = damaged.len().min(limit);
        damaged.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{check_all, key, payload};

    #[tokio::test]
    async fn a_device_in_memory_conforms() {
        check_all(&MemoryDevice::new(DeviceId(3))).await;
    }

    #[tokio::test]
    async fn damage_is_found() {
        let device = MemoryDevice::new(DeviceId(3));
        let bytes = payload(1, 10);
        device.put(key(0, 0), root_of(&bytes), bytes).await.unwrap();
        device.damage(key(0, 0));
        let found = device.verify(key(0, 0)).await;
        assert!(matches!(found, Err(GetShardError::Damaged { .. })), "{found:?}");
    }
}
