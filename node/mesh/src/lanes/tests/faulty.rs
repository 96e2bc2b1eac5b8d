//! A device that is late, busy, and forgets to answer; and a caller that does not give up.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, DeleteShardsError, DeviceStatus, GetShardError, ListShardsError, PutShardError,
    ScrubProgress, ShardEntry, ShardKey, ShardRoot, ShardService,
};

/// How long the caller waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often it asks.
const ATTEMPTS: usize = 60;

pub(super) struct Faulty {
    pub(super) inner: Arc<dyn ShardService>,
    pub(super) random: Mutex<u64>,
}

enum Fault {
    None,
    /// The call is not made.
    Error,
    /// The call is made and its answer lost.
    Lost,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn ShardService>, seed: u64) -> Self {
        Self { inner, random: Mutex::new(seed | 1) }
    }

    fn random(&self) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state >> 8
    }

    async fn fault(&self) -> Fault {
        let random = self.random();
        tokio::time::sleep(Duration::from_millis(random / 16 % 5)).await;
        match random % 16 {
            0 | 1 => Fault::Error,
            2 => Fault::Lost,
            3 => pending().await,
            _ => Fault::None,
        }
    }
}

macro_rules! faulty {
    ($self:ident, $error:expr, $call:expr) => {{
        match $self.fault().await {
            Fault::Error => Err($error),
            Fault::None => $call.await,
            Fault::Lost => {
                let _ = $call.await;
                pending().await
            }
        }
    }};
}

#[async_trait]
impl ShardService for Faulty {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let device = self.status().device;
        faulty!(self, PutShardError::Busy { device }, self.inner.put(key, root, payload.clone()))
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let device = self.status().device;
        faulty!(self, GetShardError::Busy { device }, self.inner.get(key, range))
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let (device, reason) = (self.status().device, "simulated".to_owned());
        faulty!(self, GetShardError::Offline { device, reason }, self.inner.verify(key))
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let (device, reason) = (self.status().device, "simulated".to_owned());
        let error = PutShardError::Offline { device, reason };
        faulty!(self, error, self.inner.replace(key, root, payload.clone()))
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let (device, reason) = (self.status().device, "simulated".to_owned());
        let error = DeleteShardsError::Offline { device, reason };
        faulty!(self, error, self.inner.delete(keys.clone()))
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        let (device, reason) = (self.status().device, "simulated".to_owned());
        let error = ListShardsError::Offline { device, reason };
        faulty!(self, error, self.inner.list(after, limit))
    }

    fn status(&self) -> DeviceStatus {
        self.inner.status()
    }

    fn start_scrub(&self) {
        self.inner.start_scrub();
    }

    fn scrub_progress(&self) -> ScrubProgress {
        self.inner.scrub_progress()
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        self.inner.take_damaged(limit)
    }
}

/// Asks again when a device is busy or offline, or does not answer. Everything else is passed on.
pub(super) struct Patient(pub(super) Arc<dyn ShardService>);

macro_rules! patiently {
    ($device:expr, $error:ident, $busy:pat, $call:expr) => {{
        for _ in 0..ATTEMPTS {
            match tokio::time::timeout(PATIENCE, $call).await {
                Err(_) | Ok(Err($busy | $error::Offline { .. })) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(result) => return result,
            }
        }
        Err($error::Offline { device: $device, reason: "out of patience".to_owned() })
    }};
}

#[async_trait]
impl ShardService for Patient {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let device = self.status().device;
        patiently!(
            device,
            PutShardError,
            PutShardError::Busy { .. },
            self.0.put(key, root, payload.clone())
        )
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let device = self.status().device;
        patiently!(device, GetShardError, GetShardError::Busy { .. }, self.0.get(key, range))
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let device = self.status().device;
        patiently!(device, GetShardError, GetShardError::Busy { .. }, self.0.verify(key))
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let device = self.status().device;
        patiently!(
            device,
            PutShardError,
            PutShardError::Busy { .. },
            self.0.replace(key, root, payload.clone())
        )
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        for _ in 0..ATTEMPTS {
            if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, self.0.delete(keys.clone())).await {
                return Ok(());
            }
        }
        self.0.delete(keys).await
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        for _ in 0..ATTEMPTS {
            if let Ok(Ok(entries)) = tokio::time::timeout(PATIENCE, self.0.list(after, limit)).await
            {
                return Ok(entries);
            }
        }
        self.0.list(after, limit).await
    }

    fn status(&self) -> DeviceStatus {
        self.0.status()
    }

    fn start_scrub(&self) {
        self.0.start_scrub();
    }

    fn scrub_progress(&self) -> ScrubProgress {
        self.0.scrub_progress()
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        self.0.take_damaged(limit)
    }
}
