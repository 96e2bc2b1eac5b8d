//! The asking end of one lane.
//!
//! Invariants:
//! - an answer's payload is held only while its request waits, and is never longer than asked for;
//! - a request that is dropped leaves nothing behind but a CANCEL;
//! - a lane on which requests wait and nothing moves is given up within [`STALL_AFTER`].
//!
//! *Cancellation:* dropping a call is safe at any time.

mod drive;
mod receive;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU32, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use node_proto::{
    PeerKey,
    wire::{FrameKind, RequestFrame, RequestHead, RequestId, Response, Welcome},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};

use super::{Answer, Call, CallError, Message, Outbox, Progress, Withdrawn};
use crate::stream::LaneClass;

pub(crate) use drive::{Driver, LaneEnd, drive};

/// Time without a byte moved after which a lane with waiting requests is given up. Source: the
/// aim that nothing stalls for longer.
pub(crate) const STALL_AFTER: Duration = Duration::from_secs(5);

/// Time without a byte moved after which a waiting lane asks whether the other side still reads:
/// a slow device must not look like a dead connection. Chosen: several times within
/// [`STALL_AFTER`].
const PING_AFTER: Duration = Duration::from_secs(1);

/// Most requests that wait on one lane, whatever the other side allows. Chosen.
pub(crate) const REQUESTS_MAX: u32 = 512;

/// A lane that this process opened.
pub(crate) struct Lane {
    peer: PeerKey,
    class: LaneClass,
    outbox: Outbox,
    waiting: Mutex<Waiting>,
    slots: Semaphore,
    /// Requests that have a slot or wait for one.
    load: AtomicU32,
    payload_len_max: u32,
    progress: Arc<Progress>,
}

struct Waiting {
    next: u64,
    requests: HashMap<RequestId, Request>,
    /// Why the lane ended, once it has.
    ended: Option<CallError>,
}

struct Request {
    answer: oneshot::Sender<Result<Answer, CallError>>,
    answer_len_max: u32,
    incoming: Option<receive::Incoming>,
}

impl Lane {
    pub(crate) fn new(
        peer: PeerKey,
        class: LaneClass,
        welcome: &Welcome,
        progress: Arc<Progress>,
    ) -> Self {
        let slots = welcome.requests_max.clamp(1, REQUESTS_MAX);
        Self {
            peer,
            class,
            outbox: Outbox::new(),
            waiting: Mutex::new(Waiting { next: 1, requests: HashMap::new(), ended: None }),
            slots: Semaphore::new(slots as usize),
            load: AtomicU32::new(0),
            payload_len_max: welcome.payload_len_bytes_max,
            progress,
        }
    }

    /// Requests that wait for an answer or for their turn.
    pub(crate) fn load(&self) -> u32 {
        self.load.load(Relaxed)
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.waiting.lock().ended.is_some()
    }

    /// Makes a request and waits for its answer, no longer than its deadline. Cancel-safe.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, CallError> {
        let _load = Load::new(&self.load);
        let timed_out = CallError::TimedOut { peer: self.peer };
        let slot = timeout_at(call.deadline, self.slots.acquire()).await;
        let _slot = slot.map_err(|_| timed_out.clone())?.map_err(|_| self.end_reason())?;
        let (asked, answered) = self.ask(call)?;
        let result = timeout_at(call.deadline, answered).await;
        match result {
            Ok(answer) => {
                asked.settled();
                answer.unwrap_or_else(|_| Err(self.end_reason()))
            }
            Err(_) => Err(timed_out),
        }
    }

    /// Puts a request into the outbox.
    fn ask(
        &self,
        call: &Call,
    ) -> Result<(Asked<'_>, oneshot::Receiver<Result<Answer, CallError>>), CallError> {
        let timed_out = CallError::TimedOut { peer: self.peer };
        let remaining = call.deadline.saturating_duration_since(Instant::now());
        let deadline_ms = u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX);
        if deadline_ms == 0 {
            return Err(timed_out);
        }
        let too_long = || CallError::Senseless {
            peer: self.peer,
            reason: format!("a payload of {} bytes is too long for it", call.payload.len()),
        };
        let payload_len_bytes = u32::try_from(call.payload.len()).map_err(|_| too_long())?;
        if payload_len_bytes > self.payload_len_max {
            return Err(too_long());
        }
        let head = RequestHead { deadline_ms, priority: call.priority, payload_len_bytes };
        let frame = RequestFrame { head, request: call.request.clone() };
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut waiting = self.waiting.lock();
            if let Some(reason) = &waiting.ended {
                return Err(reason.clone());
            }
            let id = RequestId(waiting.next);
            waiting.next += 1;
            if waiting.requests.is_empty() {
                self.progress.touch();
            }
            let answer_len_max = call.answer_len_max;
            let request = Request { answer, answer_len_max, incoming: None };
            waiting.requests.insert(id, request);
            id
        };
        let asked = Asked { lane: self, id, is_settled: false };
        self.outbox.push(Message {
            kind: FrameKind::Request,
            id,
            body: frame.encode(),
            payload: call.payload.clone(),
            priority: call.priority,
            deadline: call.deadline,
            reservation: None,
        });
        Ok((asked, answered))
    }

    /// Gives a waiting request its answer.
    fn settle(&self, id: RequestId, response: Response, payload: Bytes) {
        // An early answer means that the rest of the payload is not wanted.
        if self.outbox.withdraw(id) == Withdrawn::Cut {
            self.outbox.signal(FrameKind::Cancel, id);
        }
        if let Some(request) = self.waiting.lock().requests.remove(&id) {
            // Nobody waits any more when this fails.
            let _ = request.answer.send(Ok(Answer { response, payload }));
        }
    }

    /// Fails everything that waits.
    pub(crate) fn end(&self, reason: &CallError) {
        let requests = {
            let mut waiting = self.waiting.lock();
            waiting.ended.get_or_insert_with(|| reason.clone());
            std::mem::take(&mut waiting.requests)
        };
        self.slots.close();
        for request in requests.into_values() {
            // Nobody waits any more when this fails.
            let _ = request.answer.send(Err(reason.clone()));
        }
    }

    fn end_reason(&self) -> CallError {
        let lost = CallError::Lost { peer: self.peer, reason: "the lane ended".to_owned() };
        self.waiting.lock().ended.clone().unwrap_or(lost)
    }
}

/// A request that was put into the outbox; dropped before it is settled, it is cancelled.
struct Asked<'a> {
    lane: &'a Lane,
    id: RequestId,
    is_settled: bool,
}

impl Asked<'_> {
    fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_settled || self.lane.waiting.lock().requests.remove(&self.id).is_none() {
            return;
        }
        if self.lane.outbox.withdraw(self.id) != Withdrawn::Unsent {
            self.lane.outbox.signal(FrameKind::Cancel, self.id);
        }
    }
}

struct Load<'a>(&'a AtomicU32);

impl<'a> Load<'a> {
    fn new(load: &'a AtomicU32) -> Self {
        load.fetch_add(1, Relaxed);
        Self(load)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
