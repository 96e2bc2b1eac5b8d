//! The read path: a range of a body becomes a stream of verified plaintext.
//!
//! Invariants:
//! - the first bytes are there, verified, when the stream is handed out, so that what cannot be
//!   read at all becomes a proper error;
//! - the body stays pinned until the stream is dropped, so reclamation waits for it;
//! - a window is fetched in a task of its own: a client that takes no bytes leaves nothing waiting
//!   half-way, for memory, a device or a turn on the processor, that others wait for behind it;
//! - at most two windows are in memory per reader, the one going out and the next, and the next only
//!   while memory is plentiful.
//!
//! *Cancellation:* dropping the stream aborts its tasks.
//! *Limits:* all readers together by the memory budget. Once a quarter of it is used, a reader holds
//! one window, and windows shrink with what is free, down to one chunk: readers that stall leave
//! room for others. Ranges of at most a mebibyte may use what is kept for small requests.

use std::collections::VecDeque;
use std::pin::Pin as StdPin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use gateway_meta::{
    AccountId, Table, key,
    record::{Body, InlineRecord, PartTableEntry, PartTablePage},
};
use gateway_seal::{ChunkIndex, ChunkPosition, ChunkSealer, TAG_LEN_BYTES, VersionKey};
use node_proto::ManifestId;
use tokio::task::JoinSet;

use super::Inner;
use super::keys::{BucketKeyId, SealedBody};
use super::memory::{Reservation, Share};
use super::pins::Pin;
use super::rows::corrupt;
use super::stripe_read::{self, Window};
use crate::{BodyError, ByteStream, Fault, ResolvedRange};

/// Longest bytes given out at once. Chosen: long enough to be cheap, short enough that the next
/// window is polled while this one goes out.
const FRAME_LEN_BYTES_MAX: usize = 256 << 10;

/// Windows of one reader in memory: the one going out and the next.
const WINDOWS_MAX: usize = 2;

/// Longest window while memory is not plentiful. Chosen: sixteen chunks.
const SHORT_WINDOW_LEN_BYTES_MAX: u64 = 1 << 20;

/// Who can open a body.
#[derive(Clone, Debug)]
pub(crate) struct ReadKeys {
    /// The bucket's owner, whose key pair opens the bucket key.
    pub(crate) owner: AccountId,
    /// The version's own key, where somebody else keeps it.
    pub(crate) version_key: Option<Arc<VersionKey>>,
}

impl From<AccountId> for ReadKeys {
    fn from(owner: AccountId) -> Self {
        Self { owner, version_key: None }
    }
}

/// Starts reading `range` of a body of `object_len_bytes`.
pub(crate) async fn read(
    data: &Arc<Inner>,
    keys: ReadKeys,
    body: Body,
    object_len_bytes: u64,
    range: ResolvedRange,
) -> Result<ByteStream, Fault> {
    let end = range.offset_bytes.checked_add(range.len_bytes);
    let end = end.filter(|end| *end <= object_len_bytes).ok_or_else(|| {
        corrupt(format!("{range:?} lies outside a body of {object_len_bytes} bytes"))
    })?;
    let Some(manifest) = body.manifest().filter(|_| range.len_bytes > 0) else {
        return Ok(stream::empty().boxed());
    };
    let pin = data.pins.pin(manifest);
    let plan = match body {
        Body::Parts(table) => Plan::Parts(PartsPlan {
            table,
            offset: range.offset_bytes,
            end,
            current: None,
            page: 0,
        }),
        Body::Empty | Body::Inline(_) | Body::Stripes(_) => {
            Plan::One(BodyPlan::new(body, range.offset_bytes, end))
        }
    };
    let mut reader = Reader {
        data: Arc::clone(data),
        keys,
        plan,
        planned_all: false,
        ahead: FuturesOrdered::new(),
        ready: VecDeque::new(),
        put_off: None,
        share: Share::of_request(range.len_bytes),
        started: false,
        _pin: pin,
    };
    match reader.next().await {
        Some(Ok(first)) => {
            reader.ready.push_front(first);
            Ok(reader.map(|item| item.map_err(|source| BodyError::Unreadable { source })).boxed())
        }
        Some(Err(fault)) => Err(fault),
        None => Err(corrupt(format!("{manifest:?} ends before {end}"))),
    }
}

/// All entries of a part table.
pub(crate) fn part_table(data: &Inner, table: ManifestId) -> Result<Vec<PartTableEntry>, Fault> {
    let mut entries = Vec::new();
    for page_index in 0.. {
        let Some(page) = data.manifests.part_page(table, page_index)? else { break };
        entries.extend(page.parts.iter().cloned());
        if entries.len() as u64 >= u64::from(page.part_count) {
            return Ok(entries);
        }
        if page.parts.is_empty() {
            break;
        }
    }
    Err(corrupt(format!("part table {table:?} is incomplete")))
}

/// What is still to be read.
enum Plan {
    One(BodyPlan),
    Parts(PartsPlan),
}

/// A range of one body.
struct BodyPlan {
    body: Body,
    offset: u64,
    end: u64,
    sealer: Option<Arc<ChunkSealer>>,
}

/// A range of a multipart object.
struct PartsPlan {
    table: ManifestId,
    offset: u64,
    end: u64,
    current: Option<BodyPlan>,
    /// Page that holds `offset`, or one before it.
    page: u32,
}

/// The next thing to read.
enum Job {
    Inline { manifest: ManifestId, range: std::ops::Range<u64> },
    Window(Window),
}

impl Job {
    /// Bytes to reserve for the plaintext and, until that is there, for shards.
    fn footprint(&self) -> (usize, usize) {
        match self {
            // Short by definition; the row comes in one allocation.
            Self::Inline { .. } => (0, 0),
            Self::Window(window) => window.footprint(),
        }
    }
}

impl Plan {
    fn next(&mut self, data: &Inner, keys: &ReadKeys) -> Result<Option<Job>, Fault> {
        match self {
            Self::One(plan) => plan.next(data, keys),
            Self::Parts(plan) => plan.next(data, keys),
        }
    }
}

impl PartsPlan {
    fn next(&mut self, data: &Inner, keys: &ReadKeys) -> Result<Option<Job>, Fault> {
        while self.offset < self.end || self.current.is_some() {
            if let Some(current) = &mut self.current {
                if let Some(job) = current.next(data, keys)? {
                    return Ok(Some(job));
                }
                self.current = None;
                continue;
            }
            let entry = self.find(data)?;
            let within = self.offset - entry.offset_bytes;
            let end = (self.end - entry.offset_bytes).min(entry.len_bytes);
            if within >= end || matches!(entry.body, Body::Parts(_)) {
                return Err(corrupt(format!("part table {:?} contradicts itself", self.table)));
            }
            self.offset = entry.offset_bytes + end;
            self.current = Some(BodyPlan::new(entry.body, within, end));
        }
        Ok(None)
    }

    /// The part that holds `offset`.
    fn find(&mut self, data: &Inner) -> Result<PartTableEntry, Fault> {
        let missing = || corrupt(format!("part table {:?} is incomplete", self.table));
        loop {
            let page: Arc<PartTablePage> =
                data.manifests.part_page(self.table, self.page)?.ok_or_else(missing)?;
            let index = page.parts.partition_point(|part| {
                part.offset_bytes.saturating_add(part.len_bytes) <= self.offset
            });
            match page.parts.get(index) {
                Some(entry) if entry.offset_bytes <= self.offset => return Ok(entry.clone()),
                Some(_) => return Err(missing()),
                None => self.page += 1,
            }
        }
    }
}

impl BodyPlan {
    fn new(body: Body, offset: u64, end: u64) -> Self {
        Self { body, offset, end, sealer: None }
    }

    fn next(&mut self, data: &Inner, keys: &ReadKeys) -> Result<Option<Job>, Fault> {
        if self.offset >= self.end {
            return Ok(None);
        }
        match self.body {
            Body::Inline(manifest) => {
                let range = self.offset..self.end;
                self.offset = self.end;
                Ok(Some(Job::Inline { manifest, range }))
            }
            Body::Stripes(manifest) => self.window(data, keys, manifest).map(Some),
            Body::Empty | Body::Parts(_) => Err(corrupt("a body without bytes is being read")),
        }
    }

    fn window(
        &mut self,
        data: &Inner,
        keys: &ReadKeys,
        manifest: ManifestId,
    ) -> Result<Job, Fault> {
        let missing = || corrupt(format!("{manifest:?} has no such stripe"));
        let first = data.manifests.page(manifest, 0)?.ok_or_else(missing)?;
        let stripe_len = u64::from(first.stripe_len_bytes);
        let index = u32::try_from(self.offset / stripe_len).map_err(|_| missing())?;
        let stripe = data.manifests.stripe(manifest, index)?.ok_or_else(missing)?;
        let sealer = match &self.sealer {
            Some(sealer) => Arc::clone(sealer),
            None => {
                let page = stripe.page();
                let sealed_as = SealedBody {
                    key: BucketKeyId {
                        owner: keys.owner,
                        bucket: page.bucket,
                        epoch: page.key_epoch,
                    },
                    manifest,
                    chunk_len_bytes: page.chunk_len_bytes,
                };
                let version_key = keys.version_key.as_deref();
                let sealer = data.keys.open_body(sealed_as, &page.data_key, version_key)?;
                Arc::clone(self.sealer.insert(Arc::new(sealer)))
            }
        };
        let base = u64::from(index) * stripe_len;
        let plaintext_len = stripe.geometry.plaintext_len_bytes();
        let within = |offset: u64| usize::try_from(offset - base).unwrap_or(usize::MAX);
        let start = within(self.offset);
        let mut end = within(self.end).min(plaintext_len);
        if start >= end {
            return Err(missing());
        }
        if let Some(window_len_max) = data.memory.window_len_bytes_max() {
            let chunk_len = stripe.geometry.chunk_len_bytes();
            let window_len_max = window_len_max.min(SHORT_WINDOW_LEN_BYTES_MAX);
            let window_len = usize::try_from(window_len_max).unwrap_or(usize::MAX).max(chunk_len);
            end = end.min((start + window_len) / chunk_len * chunk_len).max(start + 1);
        }
        self.offset = base + end as u64;
        Ok(Job::Window(Window { stripe, sealer, range: start..end }))
    }
}

/// A body on its way out.
struct Reader {
    data: Arc<Inner>,
    keys: ReadKeys,
    plan: Plan,
    planned_all: bool,
    ahead: FuturesOrdered<BoxFuture<'static, Result<Bytes, Fault>>>,
    ready: VecDeque<Bytes>,
    /// Planned, but there was no memory to fetch it ahead.
    put_off: Option<Job>,
    share: Share,
    started: bool,
    _pin: Pin,
}

impl Reader {
    /// Starts what may be started: what is needed now, and one window ahead of it if there is
    /// plenty of memory.
    fn start(&mut self) -> Result<(), Fault> {
        let windows_max = WINDOWS_MAX.saturating_sub(self.ready.len());
        while !self.planned_all && self.ahead.len() < windows_max {
            let is_ahead = !self.ready.is_empty() || !self.ahead.is_empty();
            if is_ahead && !self.data.memory.is_plentiful() {
                break;
            }
            let job = match self.put_off.take() {
                Some(job) => Some(job),
                None => self.plan.next(&self.data, &self.keys)?,
            };
            let Some(job) = job else {
                self.planned_all = true;
                break;
            };
            // What is only wanted ahead must not queue for memory: nobody may want it for long.
            let reserved = self.data.memory.try_reserve_two(job.footprint(), self.share);
            if reserved.is_none() && is_ahead {
                self.put_off = Some(job);
                break;
            }
            let config = &self.data.config;
            let wait_max = if self.started {
                config.memory_wait_under_way_max
            } else {
                config.memory_wait_max
            };
            self.started = true;
            let data = Arc::clone(&self.data);
            self.ahead.push_back(match job {
                Job::Inline { manifest, range } => {
                    let bytes = inline(&data, &self.keys, manifest, range);
                    std::future::ready(bytes).boxed()
                }
                Job::Window(window) => {
                    in_task(fetch(data, window, reserved, self.share, wait_max)).boxed()
                }
            });
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<Bytes> {
        let next = self.ready.front_mut()?;
        let frame = next.split_to(next.len().min(FRAME_LEN_BYTES_MAX));
        if next.is_empty() {
            self.ready.pop_front();
        }
        Some(frame)
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Fault>;

    fn poll_next(self: StdPin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Err(fault) = this.start() {
                this.planned_all = true;
                this.ahead = FuturesOrdered::new();
                this.ready.clear();
                return Poll::Ready(Some(Err(fault)));
            }
            // Polled also while bytes are ready: the next window is fetched while this one goes out.
            let polled = this.ahead.poll_next_unpin(cx);
            match polled {
                Poll::Ready(Some(Ok(bytes))) => {
                    this.ready.push_back(bytes);
                    if this.ready.len() == 1 {
                        continue;
                    }
                }
                Poll::Ready(Some(Err(fault))) => {
                    // What is ready was verified, but the stream cannot be completed.
                    this.planned_all = true;
                    this.ahead = FuturesOrdered::new();
                    this.ready.clear();
                    return Poll::Ready(Some(Err(fault)));
                }
                Poll::Ready(None) if this.ready.is_empty() => return Poll::Ready(None),
                Poll::Pending if this.ready.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => {}
            }
            if let Some(frame) = this.pop() {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }
}

/// Runs `work` to its end whether or not the result is polled for; dropping that aborts it.
fn in_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> impl Future<Output = Result<T, Fault>> {
    let mut task = JoinSet::new();
    task.spawn(work);
    async move {
        match task.join_next().await.expect("one task was spawned and is joined once") {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Fault::ShuttingDown),
            },
        }
    }
}

async fn fetch(
    data: Arc<Inner>,
    window: Window,
    reserved: Option<(Reservation, Reservation)>,
    share: Share,
    wait_max: Duration,
) -> Result<Bytes, Fault> {
    let footprint = window.footprint();
    let (for_plaintext, for_shards) = match reserved {
        Some(reserved) => reserved,
        None => data.memory.reserve_two(footprint, share, wait_max).await?,
    };
    let buffer = data.buffers.take(footprint.0, Some(for_plaintext));
    let read = stripe_read::read(&data, window.clone(), buffer).await;
    drop(for_shards);
    let fault = match read {
        Err(fault @ Fault::Unreadable { .. }) => fault,
        read => return read,
    };
    // Its shards may have moved since the window was planned, which a slow client made long ago.
    let Some(window) = window.moved(&data)? else { return Err(fault) };
    let footprint = window.footprint();
    let (for_plaintext, _for_shards) = data.memory.reserve_two(footprint, share, wait_max).await?;
    let buffer = data.buffers.take(footprint.0, Some(for_plaintext));
    stripe_read::read(&data, window, buffer).await
}

fn inline(
    data: &Inner,
    keys: &ReadKeys,
    manifest: ManifestId,
    range: std::ops::Range<u64>,
) -> Result<Bytes, Fault> {
    let record: InlineRecord = data
        .rows
        .record(Table::Inl, &key::manifest(manifest))?
        .ok_or_else(|| corrupt(format!("{manifest:?} has no inline row")))?;
    let InlineRecord { bucket, key_epoch, data_key, mut ciphertext } = record;
    let damaged = || corrupt(format!("the inline row of {manifest:?} is damaged"));
    let len = ciphertext.len().checked_sub(TAG_LEN_BYTES).ok_or_else(damaged)?;
    let sealed_as = SealedBody {
        key: BucketKeyId { owner: keys.owner, bucket, epoch: key_epoch },
        manifest,
        chunk_len_bytes: u32::try_from(len).map_err(|_| damaged())?,
    };
    let sealer = data.keys.open_body(sealed_as, &data_key, keys.version_key.as_deref())?;
    let position = ChunkPosition { index: ChunkIndex(0), is_last: true };
    sealer.open_in_place(position, &mut ciphertext).map_err(|_| damaged())?;
    ciphertext.truncate(len);
    let within = |offset: u64| usize::try_from(offset).ok().filter(|offset| *offset <= len);
    let (start, end) =
        (within(range.start).ok_or_else(damaged)?, within(range.end).ok_or_else(damaged)?);
    Ok(Bytes::from(ciphertext).slice(start..end))
}
