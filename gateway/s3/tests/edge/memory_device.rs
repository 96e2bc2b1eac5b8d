//! A device that keeps shards in memory and fails only when it is told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, ClusterId, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus, DeviceUuid,
    GetShardError, Layout, LayoutDevice, ListShardsError, PutShardError, ScrubProgress, ShardEntry,
    ShardKey, ShardRoot, ShardService,
};
use parking_lot::Mutex;

/// Six devices, each its own failure domain, and the switch that makes their shards unreadable.
pub(crate) fn six_devices() -> (Layout, Vec<Arc<dyn ShardService>>, Arc<AtomicBool>) {
    let ids = || (0..6).map(DeviceId);
    let device = |id| LayoutDevice::local(id, "memory".to_owned());
    let layout = Layout::local(ClusterId([1; 16]), ids().map(device).collect());
    let unreadable = Arc::new(AtomicBool::new(false));
    let service = |id| {
        let unreadable = Arc::clone(&unreadable);
        Arc::new(MemoryDevice { id, shards: Mutex::default(), unreadable })
    };
    let devices = ids().map(|id| service(id) as Arc<dyn ShardService>).collect();
    (layout, devices, unreadable)
}

struct MemoryDevice {
    id: DeviceId,
    shards: Mutex<BTreeMap<ShardKey, (ShardRoot, Bytes)>>,
    unreadable: Arc<AtomicBool>,
}

impl MemoryDevice {
    fn missing(&self, key: ShardKey) -> GetShardError {
        GetShardError::NotFound { key, device: self.id }
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
        match self.shards.lock().entry(key).or_insert((root, payload)) {
            (stored, _) if *stored == root => Ok(()),
            _ => Err(PutShardError::Conflict { key }),
        }
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        if self.unreadable.load(Ordering::Relaxed) {
            let reason = "unplugged".to_owned();
            return Err(GetShardError::Offline { device: self.id, reason });
        }
        let shards = self.shards.lock();
        let (_, payload) = shards.get(&key).ok_or_else(|| self.missing(key))?;
        let start = usize::try_from(range.offset_bytes).expect("shards fit into memory");
        Ok(payload.slice(
            start..start + usize::try_from(range.len_bytes).expect("shards fit into memory"),
        ))
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let shards = self.shards.lock();
        let (root, payload) = shards.get(&key).ok_or_else(|| self.missing(key))?;
        Ok(ShardEntry { key, len_bytes: payload.len() as u64, root: *root })
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        self.shards.lock().insert(key, (root, payload));
        Ok(())
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
        let rest = shards.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
        let entry = |(key, (root, payload)): (&ShardKey, &(ShardRoot, Bytes))| ShardEntry {
            key: *key,
            len_bytes: payload.len() as u64,
            root: *root,
        };
        Ok(rest.take(limit).map(entry).collect())
    }

    fn status(&self) -> DeviceStatus {
        DeviceStatus {
            device: self.id,
            uuid: Some(DeviceUuid([u8::try_from(self.id.0).expect("there are six devices"); 16])),
            open_count: 1,
            continuity: node_proto::Continuity::default(),
            health: DeviceHealth::Online,
            reason: None,
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 40,
            shard_count: self.shards.lock().len() as u64,
        }
    }

    fn start_scrub(&self) {}

    fn scrub_progress(&self) -> ScrubProgress {
        ScrubProgress::default()
    }

    fn take_damaged(&self, _limit: usize) -> Vec<ShardKey> {
        Vec::new()
    }
}
