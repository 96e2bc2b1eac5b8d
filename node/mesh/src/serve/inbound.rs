//! One lane that a peer opened, after its greeting.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use node_proto::{
    PeerKey,
    wire::{
        FrameHeader, FrameKind, Goodbye, GoodbyeCode, Priority, Refusal, RequestFrame, RequestHead,
        RequestId, Response,
    },
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;

use super::{
    GOODBYE_WAIT, REQUESTS_MAX, Serving,
    answer::{Received, Reply, answer},
    say, welcome,
};
use crate::{
    lane::{
        FrameReader, FrameWriter, Message, Meter, Outbox, Progress, ReadFrameError, Reservation,
        Telemetry, write_all,
    },
    stream::LaneClass,
};

/// Longest wait for the budget in front of a payload. Chosen: while waiting, the lane is not read,
/// which slows the peer down; only so long that nothing looks stalled.
const BUDGET_WAIT: Duration = Duration::from_millis(50);

/// Time without a byte moved after which a lane that owes us bytes, or we it, is ended. Chosen:
/// twice the time after which the other side gives up.
const STALL_AFTER: Duration = Duration::from_secs(10);

/// How often a lane looks whether anything moves. Chosen.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Requests that are being received or skipped. Chosen: twice what may be under way, because
/// refused payloads come in as well.
const UPLOADS_MAX: usize = 2 * REQUESTS_MAX as usize;

pub(super) struct Inbound<'a> {
    serving: &'a Arc<Serving>,
    peer: PeerKey,
    class: LaneClass,
    progress: Arc<Progress>,
    outbox: Arc<Outbox>,
    /// Payloads that are not complete.
    uploads: HashMap<RequestId, Upload>,
    upload_count: Arc<AtomicUsize>,
    running: HashMap<RequestId, AbortHandle>,
    tasks: JoinSet<RequestId>,
}

/// A payload that is not complete.
enum Upload {
    Wanted {
        frame: RequestFrame,
        payload: BytesMut,
        filled: usize,
        reservation: Reservation,
        deadline: Instant,
    },
    /// Its request is answered already.
    Unwanted { left: u32 },
}

/// Why reading a lane ended.
#[derive(Debug, thiserror::Error)]
enum InboundError {
    #[error(transparent)]
    Read(#[from] ReadFrameError),
    #[error("the peer sent what the protocol does not allow: {0}")]
    Protocol(&'static str),
    #[error("the peer ended the lane")]
    Goodbye,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(
        serving: &'a Arc<Serving>,
        peer: PeerKey,
        class: LaneClass,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            serving,
            peer,
            class,
            progress,
            outbox: Arc::new(Outbox::new()),
            uploads: HashMap::new(),
            upload_count: Arc::default(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) async fn run<R, W>(self, mut reader: FrameReader<R>, mut writer: FrameWriter<W>)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if say(&mut writer, FrameKind::Welcome, &welcome().encode()).await.is_err() {
            return;
        }
        let (peer, class) = (self.peer, self.class);
        let stop = self.serving.stop.clone();
        let outbox = Arc::clone(&self.outbox);
        let watching =
            watch(class, Arc::clone(&self.progress), outbox.clone(), self.upload_count.clone());
        let mut writing = pin!(write_all(&outbox, &mut writer));
        let goodbye = tokio::select! {
            error = self.read_all(&mut reader) => {
                debug!(%peer, class = class.name(), %error, "lane ended");
                match error {
                    InboundError::Protocol(_)
                    | InboundError::Read(ReadFrameError::Header(_)) => {
                        Some(Goodbye { code: GoodbyeCode::Protocol, reason: error.to_string() })
                    }
                    InboundError::Read(_) | InboundError::Goodbye => None,
                }
            }
            _ = &mut writing => None,
            () = watching => None,
            () = stop.cancelled() => {
                let reason = "shutting down".to_owned();
                Some(Goodbye { code: GoodbyeCode::Shutdown, reason })
            }
        };
        if let Some(goodbye) = goodbye {
            outbox.finish(goodbye.encode());
            // The peer may have gone already.
            let _ = timeout(GOODBYE_WAIT, writing).await;
        }
    }

    async fn read_all<R: AsyncRead + Unpin>(mut self, reader: &mut FrameReader<R>) -> InboundError {
        loop {
            if let Err(error) = self.read_one(reader).await {
                return error;
            }
            self.upload_count.store(self.uploads.len(), Relaxed);
        }
    }

    async fn read_one<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut FrameReader<R>,
    ) -> Result<(), InboundError> {
        let header = reader.header().await?;
        let id = header.request;
        match header.kind {
            FrameKind::Request => {
                let body = reader.body(header.len_bytes).await?;
                self.request(id, &body).await
            }
            FrameKind::Data => self.data(reader, header).await,
            FrameKind::Cancel => {
                self.uploads.remove(&id);
                self.outbox.withdraw(id);
                if let Some(task) = self.running.remove(&id) {
                    task.abort();
                }
                Ok(())
            }
            FrameKind::Ping => {
                self.outbox.signal(FrameKind::Pong, id);
                Ok(())
            }
            FrameKind::Goodbye => {
                reader.skip(header.len_bytes).await?;
                Err(InboundError::Goodbye)
            }
            FrameKind::Hello | FrameKind::Welcome | FrameKind::Response | FrameKind::Pong => {
                Err(InboundError::Protocol("a frame of who answers"))
            }
        }
    }

    async fn request(&mut self, id: RequestId, body: &[u8]) -> Result<(), InboundError> {
        self.reap();
        if self.running.contains_key(&id) || self.uploads.contains_key(&id) {
            return Err(InboundError::Protocol("two requests with one id"));
        }
        if self.uploads.len() >= UPLOADS_MAX {
            return Err(InboundError::Protocol("more payloads than are allowed"));
        }
        let frame = match RequestFrame::decode(body) {
            Ok(frame) => frame,
            Err(error) => {
                let left = RequestFrame::payload_len_of(body)
                    .ok_or(InboundError::Protocol("a request that cannot be understood"))?;
                let reason = error.to_string();
                let refused = Response::Refused(Refusal::Invalid { reason });
                self.refuse(id, "invalid", refused, left);
                return Ok(());
            }
        };
        let name = frame.request.name();
        let len_bytes = frame.head.payload_len_bytes;
        if !self.serving.members().role(self.peer).may(&frame.request) {
            self.refuse(id, name, Response::Refused(Refusal::NotAllowed), len_bytes);
            return Ok(());
        }
        if self.running.len() + self.uploads.len() >= REQUESTS_MAX as usize {
            self.refuse(id, name, Response::Busy, len_bytes);
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_millis(frame.head.deadline_ms.into());
        if len_bytes == 0 {
            let received = Received { payload: Bytes::new(), _reservation: None };
            self.start(id, frame, received, deadline);
            return Ok(());
        }
        let Some(reservation) = self.reserve(len_bytes as usize).await else {
            self.refuse(id, name, Response::Busy, len_bytes);
            return Ok(());
        };
        let payload = BytesMut::zeroed(len_bytes as usize);
        let upload = Upload::Wanted { frame, payload, filled: 0, reservation, deadline };
        self.uploads.insert(id, upload);
        Ok(())
    }

    /// Waits only where that holds up no payload which already has its place: those must come in
    /// for the budget to be given back.
    async fn reserve(&self, len: usize) -> Option<Reservation> {
        let wanted = |upload: &Upload| matches!(upload, Upload::Wanted { .. });
        if self.uploads.values().any(wanted) {
            return self.serving.budget.try_reserve(len);
        }
        self.serving.budget.reserve(len, BUDGET_WAIT).await
    }

    /// Answers at once, and skips the payload if there is one.
    fn refuse(&mut self, id: RequestId, name: &'static str, response: Response, left: u32) {
        Telemetry.served(name, &response);
        if left > 0 {
            self.uploads.insert(id, Upload::Unwanted { left });
        }
        self.outbox.push(message(id, Priority::Urgent, response.into(), Instant::now()));
    }

    async fn data<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut FrameReader<R>,
        header: FrameHeader,
    ) -> Result<(), InboundError> {
        const TOO_LONG: InboundError = InboundError::Protocol("more payload than announced");
        let (id, len) = (header.request, header.len_bytes);
        let upload = self.uploads.get_mut(&id);
        match upload.ok_or(InboundError::Protocol("a payload of nothing"))? {
            Upload::Unwanted { left } => {
                *left = left.checked_sub(len).ok_or(TOO_LONG)?;
                if *left == 0 {
                    self.uploads.remove(&id);
                }
                reader.skip(len).await?;
                return Ok(());
            }
            Upload::Wanted { payload, filled, .. } => {
                let end = *filled + len as usize;
                reader.read_exact(payload.get_mut(*filled..end).ok_or(TOO_LONG)?).await?;
                *filled = end;
                if *filled < payload.len() {
                    return Ok(());
                }
            }
        }
        if let Some(Upload::Wanted { frame, payload, reservation, deadline, .. }) =
            self.uploads.remove(&id)
        {
            let payload = payload.freeze();
            self.start(id, frame, Received { payload, _reservation: Some(reservation) }, deadline);
        }
        Ok(())
    }

    fn start(&mut self, id: RequestId, frame: RequestFrame, received: Received, deadline: Instant) {
        let (serving, peer) = (Arc::clone(self.serving), self.peer);
        let outbox = Arc::clone(&self.outbox);
        let task = self.tasks.spawn(async move {
            let RequestFrame { head: RequestHead { priority, .. }, request } = frame;
            let name = request.name();
            let answering = answer(&serving, peer, request, received, deadline);
            let reply = timeout_at(deadline, answering).await;
            let reply = reply.unwrap_or_else(|_| Response::TimedOut.into());
            Telemetry.served(name, &reply.response);
            outbox.push(message(id, priority, reply, deadline));
            id
        });
        self.running.insert(id, task);
    }

    /// Forgets requests that are answered.
    fn reap(&mut self) {
        while let Some(done) = self.tasks.try_join_next() {
            if let Ok(id) = done {
                self.running.remove(&id);
            }
        }
        if self.tasks.is_empty() {
            self.running.clear();
        }
    }
}

fn message(id: RequestId, priority: Priority, reply: Reply, deadline: Instant) -> Message {
    Message {
        kind: FrameKind::Response,
        id,
        body: reply.response.encode(),
        payload: reply.payload,
        priority,
        deadline,
        reservation: reply.reservation,
    }
}

/// Counts what moves, and ends when something should move and does not.
async fn watch(
    class: LaneClass,
    progress: Arc<Progress>,
    outbox: Arc<Outbox>,
    uploads: Arc<AtomicUsize>,
) {
    let mut meter = Meter::new(class, &progress);
    let mut owed_since = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        meter.count();
        if uploads.load(Relaxed) == 0 && outbox.is_idle() {
            owed_since = None;
            continue;
        }
        let since = *owed_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= STALL_AFTER && progress.idle() >= STALL_AFTER {
            return;
        }
    }
}
