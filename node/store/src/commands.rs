//! What the writer is asked to do.
//!
//! Every command carries the permits that admitted it; they return when it is answered, so the
//! queue is bounded however long the writer takes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
    mpsc,
};

use bytes::Bytes;
use node_proto::{DeleteShardsError, PutShardError, ShardKey, ShardRoot};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    record::{Position, SegmentId, Tombstone},
    rows::ShardRow,
    space::Reservation,
};

pub(crate) enum WriterCommand {
    Put(Put),
    Delete(Delete),
    Relocate(Relocate),
    /// End the active segment, so that it can be compacted, if that many of its bytes are dead.
    Seal {
        dead_bytes_min: u64,
    },
    /// Unlink a segment in which nothing lives; answers whether that happened.
    Retire {
        segment: SegmentId,
        done: mpsc::SyncSender<bool>,
    },
    Stop,
}

/// Counts a write that is on its way to the writer.
pub(crate) struct Arriving(Arc<AtomicUsize>);

impl Arriving {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Held until a write is answered.
pub(crate) struct PutPermits {
    pub(crate) slot: OwnedSemaphorePermit,
    pub(crate) bytes: OwnedSemaphorePermit,
    pub(crate) space: Reservation,
}

pub(crate) struct Put {
    pub(crate) key: ShardKey,
    pub(crate) root: ShardRoot,
    pub(crate) payload: Bytes,
    pub(crate) replace: bool,
    pub(crate) answer: oneshot::Sender<Result<(), PutShardError>>,
    pub(crate) permits: PutPermits,
    pub(crate) arriving: Option<Arriving>,
}

impl Put {
    /// Answers, after giving the permits back: whoever hears the answer finds room again. A caller
    /// that went away needs no answer.
    pub(crate) fn answer_with(self, result: Result<(), PutShardError>) {
        let PutPermits { slot, bytes, space } = self.permits;
        drop((slot, bytes, space));
        let _ = self.answer.send(result);
    }
}

pub(crate) struct Delete {
    pub(crate) keys: Vec<ShardKey>,
    pub(crate) answer: oneshot::Sender<Result<(), DeleteShardsError>>,
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Delete {
    pub(crate) fn answer_with(self, result: Result<(), DeleteShardsError>) {
        drop(self.permit);
        let _ = self.answer.send(result);
    }
}

/// A live shard as compaction read it.
pub(crate) struct RelocatedShard {
    pub(crate) key: ShardKey,
    pub(crate) row: ShardRow,
    pub(crate) payload: Vec<u8>,
}

/// Why nothing was relocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelocateError {
    NoSpace,
    Stopped,
}

/// What compaction wants to keep of a segment.
pub(crate) struct Relocate {
    pub(crate) shards: Vec<RelocatedShard>,
    pub(crate) tombstones: Vec<Tombstone>,
    /// Tombstone records whose content is in `tombstones` or is needed no more.
    pub(crate) tombstone_sources: Vec<Position>,
    pub(crate) done: mpsc::SyncSender<Result<(), RelocateError>>,
}

impl Relocate {
    /// Bytes the copies of the shards take.
    pub(crate) fn shard_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.row.record_bytes()).sum()
    }

    pub(crate) fn answer_with(self, result: Result<(), RelocateError>) {
        // The maintenance thread may have gone; then nobody needs the answer.
        let _ = self.done.send(result);
    }
}
