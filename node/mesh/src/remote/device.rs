//! One device of a peer.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use node_proto::{
    ByteRange, Continuity, CopyShardError, DeleteShardsError, DeviceHealth, DeviceId, DeviceStatus,
    GetShardError, ListShardsError, PeerKey, PutShardError, ScrubProgress, ShardEntry, ShardKey,
    ShardRoot, ShardService, SignedCopyOrder,
    wire::{DELETE_KEYS_MAX, LIST_ENTRIES_MAX, PAYLOAD_LEN_BYTES_MAX, Priority, Request, Response},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{DEADLINE, peer::Peer};
use crate::{
    lane::{Answer, Call, CallError},
    stream::LaneClass,
};

/// Most damaged shards kept for whoever repairs them. Chosen: the peer keeps the rest.
const DAMAGED_MAX: usize = 4096;

/// Makes copy orders.
pub(crate) trait Orders: Send + Sync + 'static {
    /// An order for `reader` to read a whole shard from a device; `None` when the device is on no
    /// peer, or this process may not order.
    fn order(
        &self,
        reader: PeerKey,
        source: DeviceId,
        key: ShardKey,
        root: ShardRoot,
        len_bytes: u64,
    ) -> Option<SignedCopyOrder>;
}

/// What is exchanged about a device with its peer's heartbeats.
#[derive(Default)]
pub(super) struct Mailbox {
    damaged: Mutex<VecDeque<ShardKey>>,
    wants_scrub: AtomicBool,
}

impl Mailbox {
    /// Damaged shards that may still be put here.
    pub(super) fn room(&self) -> usize {
        DAMAGED_MAX.saturating_sub(self.damaged.lock().len())
    }

    pub(super) fn put_damaged(&self, key: ShardKey) {
        let mut damaged = self.damaged.lock();
        // No more than there was room for is asked for; a peer that sends more is not believed.
        if damaged.len() < DAMAGED_MAX {
            damaged.push_back(key);
        }
    }

    pub(super) fn wants_scrub(&self) -> bool {
        self.wants_scrub.load(SeqCst)
    }

    pub(super) fn scrub_started(&self) {
        self.wants_scrub.store(false, SeqCst);
    }
}

/// A device of a peer.
pub(crate) struct RemoteDevice {
    peer: Arc<Peer>,
    device: DeviceId,
    mailbox: Arc<Mailbox>,
    orders: Arc<dyn Orders>,
}

impl RemoteDevice {
    pub(super) fn new(peer: Arc<Peer>, device: DeviceId, orders: Arc<dyn Orders>) -> Self {
        let mailbox = peer.mailbox(device);
        Self { peer, device, mailbox, orders }
    }

    fn call(request: Request, payload: Bytes, priority: Priority, answer_len_max: u32) -> Call {
        Call { request, payload, priority, deadline: Instant::now() + DEADLINE, answer_len_max }
    }

    async fn write(
        &self,
        request: Request,
        payload: Bytes,
        priority: Priority,
    ) -> Result<(), PutShardError> {
        let device = self.device;
        if payload.len() > PAYLOAD_LEN_BYTES_MAX {
            return Err(PutShardError::Offline {
                device,
                reason: "too long to be sent".to_owned(),
            });
        }
        let call = Self::call(request, payload, priority, 0);
        let answer = self.peer.call(LaneClass::Upload, &call).await;
        self.stored(answer)
    }

    fn stored(&self, answer: Result<Answer, CallError>) -> Result<(), PutShardError> {
        let device = self.device;
        match answer.map(|answer| answer.response) {
            Ok(Response::Done) => Ok(()),
            Ok(Response::PutFailed(error)) => Err(error),
            Ok(Response::Busy) | Err(CallError::Busy { .. }) => Err(PutShardError::Busy { device }),
            Ok(response) => Err(PutShardError::Offline { device, reason: odd(&response) }),
            Err(error) => Err(PutShardError::Offline { device, reason: error.to_string() }),
        }
    }

    fn get_failed(&self, answer: Result<Response, CallError>) -> GetShardError {
        let device = self.device;
        match answer {
            Ok(Response::GetFailed(error)) => error,
            Ok(Response::Busy) | Err(CallError::Busy { .. }) => GetShardError::Busy { device },
            Ok(response) => GetShardError::Offline { device, reason: odd(&response) },
            Err(error) => GetShardError::Offline { device, reason: error.to_string() },
        }
    }
}

/// What to say about an answer that fits no question.
fn odd(response: &Response) -> String {
    match response {
        Response::Refused(refusal) => format!("its node refused: {refusal}"),
        response => format!("its node answered {:.100}", format!("{response:?}")),
    }
}

#[async_trait]
impl ShardService for RemoteDevice {
    async fn put(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let request = Request::Put { device: self.device, key, root };
        self.write(request, payload, Priority::Normal).await
    }

    async fn get(&self, key: ShardKey, range: ByteRange) -> Result<Bytes, GetShardError> {
        let device = self.device;
        let outside = || GetShardError::Damaged {
            key,
            device,
            reason: format!("{} bytes are more than a shard has", range.len_bytes),
        };
        let len_bytes = u32::try_from(range.len_bytes).map_err(|_| outside())?;
        if len_bytes as usize > PAYLOAD_LEN_BYTES_MAX {
            return Err(outside());
        }
        let request = Request::Get { device, key, range };
        let call = Self::call(request, Bytes::new(), Priority::Normal, len_bytes);
        match self.peer.call(LaneClass::Download, &call).await {
            Ok(Answer { response: Response::Payload { .. }, payload })
                if payload.len() == len_bytes as usize =>
            {
                Ok(payload)
            }
            answer => Err(self.get_failed(answer.map(|answer| answer.response))),
        }
    }

    async fn verify(&self, key: ShardKey) -> Result<ShardEntry, GetShardError> {
        let request = Request::Verify { device: self.device, key };
        match self.peer.ask_normally(request).await {
            Ok(Response::Entry(entry)) => Ok(entry),
            answer => Err(self.get_failed(answer)),
        }
    }

    async fn replace(
        &self,
        key: ShardKey,
        root: ShardRoot,
        payload: Bytes,
    ) -> Result<(), PutShardError> {
        let request = Request::Replace { device: self.device, key, root };
        // Only repair replaces.
        self.write(request, payload, Priority::Background).await
    }

    async fn copy_from(
        &self,
        source: DeviceId,
        key: ShardKey,
        root: ShardRoot,
        len_bytes: u64,
    ) -> Result<(), CopyShardError> {
        let device = self.device;
        let order = self.orders.order(self.peer.key(), source, key, root, len_bytes);
        let order = order.ok_or(CopyShardError::Unsupported { device })?;
        let request = Request::Copy { device, order };
        let call = Self::call(request, Bytes::new(), Priority::Background, 0);
        // Not repeated: the order is good once.
        match self.peer.call_once(LaneClass::Control, &call).await {
            Ok(Answer { response: Response::CopyFailed(error), .. }) => Err(error),
            answer => self.stored(answer).map_err(CopyShardError::Put),
        }
    }

    async fn delete(&self, keys: Vec<ShardKey>) -> Result<(), DeleteShardsError> {
        let device = self.device;
        for keys in keys.chunks(DELETE_KEYS_MAX) {
            let request = Request::Delete { device, keys: keys.to_vec() };
            match self.peer.ask_normally(request).await {
                Ok(Response::Done) => {}
                Ok(Response::DeleteFailed(error)) => return Err(error),
                Ok(response) => {
                    return Err(DeleteShardsError::Offline { device, reason: odd(&response) });
                }
                Err(error) => {
                    return Err(DeleteShardsError::Offline { device, reason: error.to_string() });
                }
            }
        }
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardEntry>, ListShardsError> {
        let device = self.device;
        let (mut after, mut all) = (after, Vec::new());
        while all.len() < limit {
            let page = (limit - all.len()).min(LIST_ENTRIES_MAX);
            let limit = u32::try_from(page).expect("at most a page");
            let entries = match self.peer.ask_normally(Request::List { device, after, limit }).await
            {
                Ok(Response::Entries(entries)) => entries,
                Ok(Response::ListFailed(error)) => return Err(error),
                Ok(response) => {
                    return Err(ListShardsError::Offline { device, reason: odd(&response) });
                }
                Err(error) => {
                    return Err(ListShardsError::Offline { device, reason: error.to_string() });
                }
            };
            let is_last = entries.len() < page;
            // A peer that answers shards it was not asked for must not make this go round for ever.
            let is_ascending =
                entries.iter().map(|entry| Some(entry.key)).is_sorted_by(|a, b| a < b)
                    && entries.first().is_none_or(|first| Some(first.key) > after)
                    && entries.len() <= page;
            if !is_ascending {
                let reason = "its node listed shards out of order".to_owned();
                return Err(ListShardsError::Offline { device, reason });
            }
            after = entries.last().map(|entry| entry.key).or(after);
            all.extend(entries);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    fn status(&self) -> DeviceStatus {
        let device = self.device;
        let (report, stale) = self.peer.device(device);
        let last = report.map(|report| report.status);
        match (last, stale) {
            (Some(status), None) => status,
            (last, reason) => DeviceStatus {
                device,
                uuid: None,
                open_count: 0,
                continuity: Continuity::default(),
                health: DeviceHealth::Offline,
                reason,
                capacity_bytes: last.as_ref().map_or(0, |last| last.capacity_bytes),
                free_bytes: 0,
                shard_count: last.as_ref().map_or(0, |last| last.shard_count),
            },
        }
    }

    fn start_scrub(&self) {
        self.mailbox.wants_scrub.store(true, SeqCst);
    }

    fn scrub_progress(&self) -> ScrubProgress {
        self.peer.device(self.device).0.map(|report| report.scrub).unwrap_or_default()
    }

    fn take_damaged(&self, limit: usize) -> Vec<ShardKey> {
        let mut damaged = self.mailbox.damaged.lock();
        let count = damaged.len().min(limit);
        damaged.drain(..count).collect()
    }
}
