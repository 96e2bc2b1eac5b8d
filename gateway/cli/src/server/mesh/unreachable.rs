//! A device of the layout that this process has no way to.

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, Continuity, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus, GetShardError,
    ListShardsError, PutShardError, ScrubProgress, ShardEntry, ShardKey, ShardRoot, ShardService,
};

/// Answers that it is offline, and why.
pub(super) struct Unreachable {
    pub(super) device: DeviceId,
    pub(super) reason: &'static str,
}

#[async_trait]
impl ShardService for Unreachable {
    async fn put(
        &self,
        _key: ShardKey,
        _root: ShardRoot,
        _payload: Bytes,
    ) -> Result<(), PutShardError> {
        Err(PutShardError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    async fn get(&self, _key: ShardKey, _range: ByteRange) -> Result<Bytes, GetShardError> {
        Err(GetShardError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    async fn verify(&self, _key: ShardKey) -> Result<ShardEntry, GetShardError> {
        Err(GetShardError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    async fn replace(
        &self,
        _key: ShardKey,
        _root: ShardRoot,
        _payload: Bytes,
    ) -> Result<(), PutShardError> {
        Err(PutShardError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    async fn delete(&self, _keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        Err(DeleteShardsError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    async fn list(
        &self,
        _after: Option<ShardKey>,
        _limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        Err(ListShardsError::Offline { device: self.device, reason: self.reason.to_owned() })
    }

    fn status(&self) -> DeviceStatus {
        DeviceStatus {
            device: self.device,
            uuid: None,
            open_count: 0,
            continuity: Continuity::default(),
            health: DeviceHealth::Offline,
            reason: Some(self.reason.to_owned()),
            capacity_bytes: 0,
            free_bytes: 0,
            shard_count: 0,
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
