//! What waits to be sent on a lane, and in which order it goes.
//!
//! Invariants:
//! - frames without payload go before everything else;
//! - between two DATA frames, a more urgent or small payload overtakes a longer one, and every
//!   eighth choice goes the other way, so that nothing waits for ever;
//! - payloads of one queue go one after the other: who receives them holds few unfinished ones;
//! - a request's frame goes right before its first DATA frame.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures::AsyncWrite;
use node_proto::wire::{DATA_LEN_BYTES_MAX, FrameHeader, FrameKind, Priority, RequestId};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{FrameWriter, Reservation};

/// Payloads up to this length overtake longer ones. Chosen: one chunk of an object.
const SMALL_LEN_BYTES_MAX: usize = 68 << 10;

/// Payloads up to this length are copied next to their headers. Chosen: a copy of a page costs less
/// than another write.
const COPIED_LEN_BYTES_MAX: usize = 4 << 10;

/// Frames are collected up to this length before they are written. Chosen.
const COLLECTED_LEN_BYTES: usize = 16 << 10;

/// Every so many choices the least urgent payload is chosen. Chosen.
const TURNS: u32 = 8;

/// A request or response and its payload.
pub(crate) struct Message {
    pub(crate) kind: FrameKind,
    pub(crate) id: RequestId,
    pub(crate) body: Vec<u8>,
    pub(crate) payload: Bytes,
    pub(crate) priority: Priority,
    /// Not sent at all when it has not begun by then.
    pub(crate) deadline: Instant,
    /// Given back when the payload is sent.
    pub(crate) reservation: Option<Reservation>,
}

/// How far a message had come when it was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    /// Nothing of it was sent.
    Unsent,
    /// Its payload was cut.
    Cut,
    /// It is not here: sent completely, or never given.
    Absent,
}

/// What waits to be sent on one lane.
pub(crate) struct Outbox {
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Default)]
struct Queues {
    frames: VecDeque<Message>,
    /// Small or urgent, normal, background.
    payloads: [VecDeque<Sending>; 3],
    turn: u32,
    goodbye: Option<Vec<u8>>,
    /// The writer has something in its hands, or will find something here.
    is_busy: bool,
}

struct Sending {
    message: Message,
    has_begun: bool,
}

/// What to write next, behind the collected frames.
pub(crate) enum Next {
    /// This slice of a payload. The reservation goes with the last one.
    Data(Bytes, Option<Reservation>),
    /// Nothing more for now.
    Collected,
    /// Nothing more ever: close the stream.
    Finished,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { queues: Mutex::default(), changed: Notify::new() }
    }

    /// Queues a frame without body.
    pub(crate) fn signal(&self, kind: FrameKind, id: RequestId) {
        self.push(Message {
            kind,
            id,
            body: Vec::new(),
            payload: Bytes::new(),
            priority: Priority::Urgent,
            deadline: Instant::now() + std::time::Duration::from_secs(60),
            reservation: None,
        });
    }

    /// Queues a request or response.
    pub(crate) fn push(&self, message: Message) {
        {
            let mut queues = self.queues.lock();
            queues.is_busy = true;
            if message.payload.is_empty() {
                queues.frames.push_back(message);
            } else {
                let is_small = message.payload.len() <= SMALL_LEN_BYTES_MAX;
                let place = match message.priority {
                    Priority::Urgent => 0,
                    Priority::Normal if is_small => 0,
                    Priority::Normal => 1,
                    Priority::Background => 2,
                };
                queues.payloads[place].push_back(Sending { message, has_begun: false });
            }
        }
        self.changed.notify_one();
    }

    /// Takes back what was not sent of a message.
    pub(crate) fn withdraw(&self, id: RequestId) -> Withdrawn {
        let mut queues = self.queues.lock();
        let is_it = |message: &Message| message.id == id && has_answer(message.kind);
        if let Some(place) = queues.frames.iter().position(is_it) {
            queues.frames.remove(place);
            return Withdrawn::Unsent;
        }
        for queue in &mut queues.payloads {
            if let Some(place) = queue.iter().position(|sending| is_it(&sending.message)) {
                let has_begun = queue.remove(place).is_some_and(|sending| sending.has_begun);
                return if has_begun { Withdrawn::Cut } else { Withdrawn::Unsent };
            }
        }
        Withdrawn::Absent
    }

    /// Everything was handed to the transport.
    pub(crate) fn is_idle(&self) -> bool {
        !self.queues.lock().is_busy
    }

    /// Marks the outbox idle unless something came in.
    fn rest(&self) {
        let mut queues = self.queues.lock();
        let is_empty = queues.frames.is_empty() && queues.payloads.iter().all(VecDeque::is_empty);
        queues.is_busy = !is_empty;
    }

    /// Sends what waits without payload, then `goodbye`, and nothing after it.
    pub(crate) fn finish(&self, goodbye: Vec<u8>) {
        self.queues.lock().goodbye = Some(goodbye);
        self.changed.notify_one();
    }

    /// Collects frames into `out`, up to and with the header of a slice to be written behind them.
    fn next(&self, out: &mut BytesMut) -> Next {
        let mut queues = self.queues.lock();
        while out.len() < COLLECTED_LEN_BYTES {
            if let Some(message) = queues.frames.pop_front() {
                append(out, message.kind, message.id, &message.body);
                continue;
            }
            if let Some(goodbye) = queues.goodbye.take() {
                append(out, FrameKind::Goodbye, RequestId(0), &goodbye);
                return Next::Finished;
            }
            match queues.next_data(out) {
                Some((slice, _)) if slice.len() <= COPIED_LEN_BYTES_MAX => {
                    out.extend_from_slice(&slice);
                }
                Some((slice, reservation)) => return Next::Data(slice, reservation),
                None => break,
            }
        }
        Next::Collected
    }
}

impl Queues {
    /// Appends the header of the next DATA frame, and before it the request or response that it
    /// belongs to if this is its first.
    fn next_data(&mut self, out: &mut BytesMut) -> Option<(Bytes, Option<Reservation>)> {
        loop {
            let mut filled = (0..self.payloads.len()).filter(|&i| !self.payloads[i].is_empty());
            self.turn = (self.turn + 1) % TURNS;
            let place = if self.turn == 0 { filled.next_back() } else { filled.next() }?;
            let queue = &mut self.payloads[place];
            let sending = queue.front_mut().expect("the queue is one of the filled ones");
            let message = &mut sending.message;
            if !sending.has_begun {
                if message.deadline <= Instant::now() {
                    queue.pop_front();
                    continue;
                }
                append(out, message.kind, message.id, &message.body);
                sending.has_begun = true;
            }
            let slice = message.payload.split_to(message.payload.len().min(DATA_LEN_BYTES_MAX));
            let header = FrameHeader {
                kind: FrameKind::Data,
                request: message.id,
                len_bytes: u32::try_from(slice.len()).expect("at most a DATA frame's length"),
            };
            out.extend_from_slice(&header.encode());
            if !message.payload.is_empty() {
                return Some((slice, None));
            }
            let sent = queue.pop_front();
            return Some((slice, sent.and_then(|sending| sending.message.reservation)));
        }
    }
}

fn has_answer(kind: FrameKind) -> bool {
    matches!(kind, FrameKind::Request | FrameKind::Response)
}

fn append(out: &mut BytesMut, kind: FrameKind, request: RequestId, body: &[u8]) {
    let len_bytes = u32::try_from(body.len()).expect("bodies are bounded by the wire format");
    out.extend_from_slice(&FrameHeader { kind, request, len_bytes }.encode());
    out.extend_from_slice(body);
}

/// Writes what comes into the outbox until the stream fails, or to the end after
/// [`Outbox::finish`].
pub(crate) async fn write_all<W: AsyncWrite + Unpin>(
    outbox: &Outbox,
    writer: &mut FrameWriter<W>,
) -> std::io::Result<()> {
    let mut collected = BytesMut::with_capacity(2 * COLLECTED_LEN_BYTES);
    let mut is_flushed = true;
    loop {
        collected.clear();
        match outbox.next(&mut collected) {
            Next::Data(slice, reservation) => {
                writer.write(&collected, &slice).await?;
                drop(reservation);
                is_flushed = false;
            }
            Next::Collected if !collected.is_empty() => {
                writer.write(&collected, &[]).await?;
                is_flushed = false;
            }
            Next::Collected if !is_flushed => {
                writer.flush().await?;
                is_flushed = true;
            }
            Next::Collected => {
                outbox.rest();
                outbox.changed.notified().await;
            }
            Next::Finished => {
                writer.write(&collected, &[]).await?;
                return writer.close().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
