//! A body as it arrives.
//!
//! Owns [`Incoming`], the stream of undecoded bytes, and [`BodySlot`], the place it goes back to,
//! so that what a refused request left unread can be drained and the connection lives on.
//!
//! *Limits:* a body that makes no progress within the configured time, or arrives too slowly, ends
//! with [`BodyError::TimedOut`]. Nothing is buffered beyond one frame.
//! *Cancellation:* dropping the stream gives the rest of the body back to its slot.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::Stream;
use gateway_object::BodyError;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use parking_lot::Mutex;

use crate::stall::{Pace, PaceLimits};

/// The boxed body of the HTTP library.
pub(crate) type RawBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Where the body of one request rests while nobody reads it.
#[derive(Clone, Default)]
pub(crate) struct BodySlot(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    body: Option<RawBody>,
    received_bytes: u64,
    last_received: Option<Instant>,
    started: bool,
    /// The start of the body, while it is to be kept.
    kept: Vec<u8>,
    keep_len_bytes: usize,
}

impl Slot {
    fn received(&mut self, bytes: &[u8]) {
        self.received_bytes += bytes.len() as u64;
        self.last_received = Some(Instant::now());
        let room = self.keep_len_bytes.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

impl BodySlot {
    /// Puts a body in.
    pub(crate) fn new(body: RawBody) -> Self {
        let slot = Slot { body: Some(body), ..Slot::default() };
        Self(Arc::new(Mutex::new(slot)))
    }

    /// The stream of the body. A second stream finds nothing while the first one lives.
    pub(crate) fn open(&self, limits: PaceLimits) -> Incoming {
        Incoming { slot: self.clone(), body: None, pace: Pace::new(limits) }
    }

    /// Keeps the first bytes that are read, for [`Self::kept`].
    pub(crate) fn keep_first(&self, len_bytes: usize) {
        self.0.lock().keep_len_bytes = len_bytes;
    }

    /// The first bytes that were read.
    pub(crate) fn kept(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().kept)
    }

    /// Bytes read so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.0.lock().received_bytes
    }

    /// When the last bytes so far were read.
    pub(crate) fn last_received(&self) -> Option<Instant> {
        self.0.lock().last_received
    }

    /// Whether reading has begun, which is what tells a client to go on.
    pub(crate) fn is_started(&self) -> bool {
        self.0.lock().started
    }

    /// Reads and drops what is left, up to a bound on bytes and time.
    pub(crate) async fn drain(&self, max_bytes: u64, timeout: Duration) {
        use futures::StreamExt as _;
        let mut rest = self.open(PaceLimits { timeout, bytes_per_second_min: 0 });
        let mut left_bytes = max_bytes;
        let drained = async {
            while let Some(Ok(bytes)) = rest.next().await {
                match left_bytes.checked_sub(bytes.len() as u64) {
                    Some(rest) => left_bytes = rest,
                    None => break,
                }
            }
        };
        // Whatever the outcome, the answer goes out: draining only keeps the connection usable.
        let _ = tokio::time::timeout(timeout, drained).await;
    }
}

/// The stream of a body.
pub(crate) struct Incoming {
    slot: BodySlot,
    body: Option<RawBody>,
    pace: Pace,
}

impl Incoming {
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.body.is_none() {
            let mut slot = self.slot.0.lock();
            slot.started = true;
            self.body = slot.body.take();
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
                ready!(self.pace.poll_too_slow(context));
                return Poll::Ready(Some(Err(BodyError::TimedOut)));
            };
            let data = match &frame {
                Some(Ok(frame)) => frame.data_ref(),
                Some(Err(_)) | None => None,
            };
            self.pace.moved(data.map_or(0, Bytes::len) as u64);
            return Poll::Ready(match frame {
                None => None,
                // Whatever the HTTP library found, the body is not whole.
                Some(Err(_)) => Some(Err(BodyError::Truncated)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        self.slot.0.lock().received(&bytes);
                        Some(Ok(bytes))
                    }
                    // HTTP trailers mean nothing to S3.
                    Err(_) => continue,
                },
            });
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_data(context)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_data(context).map_ok(Frame::data)
    }

    fn size_hint(&self) -> SizeHint {
        let slot = self.slot.0.lock();
        let body = self.body.as_ref().or(slot.body.as_ref());
        body.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.slot.0.lock().body = Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn slot_of(chunks: Vec<Result<&'static str, &'static str>>) -> BodySlot {
        let frames = chunks.into_iter().map(|chunk| {
            chunk.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))).map_err(Into::into)
        });
        BodySlot::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync())
    }

    const FOREVER: PaceLimits =
        PaceLimits { timeout: Duration::from_secs(3600), bytes_per_second_min: 0 };

    #[tokio::test]
    async fn dropped_stream_gives_the_rest_back() {
        let slot = slot_of(vec![Ok("one"), Ok("two")]);
        let mut first = slot.open(FOREVER);
        assert!(!slot.is_started());
        assert_eq!(first.next().await.unwrap().unwrap(), "one");
        drop(first);
        let mut second = slot.open(FOREVER);
        assert_eq!(second.next().await.unwrap().unwrap(), "two");
        assert!(second.next().await.is_none());
        assert_eq!(slot.received_bytes(), 6);
    }

    #[tokio::test]
    async fn broken_body_is_truncated() {
        let mut stream = slot_of(vec![Ok("one"), Err("reset")]).open(FOREVER);
        stream.next().await.unwrap().unwrap();
        assert!(matches!(stream.next().await, Some(Err(BodyError::Truncated))));
    }

    #[tokio::test]
    async fn silent_body_times_out() {
        let silent = StreamBody::new(futures::stream::pending()).boxed_unsync();
        let mut stream = BodySlot::new(silent).open(limits(20, 0));
        assert!(matches!(stream.next().await, Some(Err(BodyError::TimedOut))));
    }

    fn limits(millis: u64, bytes_per_second_min: u64) -> PaceLimits {
        PaceLimits { timeout: Duration::from_millis(millis), bytes_per_second_min }
    }

    /// A body of one byte every 20 ms.
    fn dripping() -> BodySlot {
        let drops = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
        });
        BodySlot::new(StreamBody::new(drops).boxed_unsync())
    }

    #[tokio::test]
    async fn body_below_the_least_rate_times_out_after_the_first_window() {
        let slot = dripping();
        let started = tokio::time::Instant::now();
        let mut stream = slot.open(limits(200, 1 << 20));
        let ended = loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        };
        assert!(matches!(ended, Some(Err(BodyError::TimedOut))));
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        assert!(slot.received_bytes() >= 1);
    }

    #[tokio::test]
    async fn slow_body_that_keeps_the_least_rate_is_read() {
        // One byte in half a second is enough.
        let mut stream = dripping().open(limits(500, 2));
        for _ in 0..50 {
            assert_eq!(stream.next().await.unwrap().unwrap(), ".");
        }
    }

    #[tokio::test]
    async fn start_of_the_body_is_kept_up_to_a_bound() {
        let slot = slot_of(vec![Ok("123"), Ok("456"), Ok("789")]);
        slot.keep_first(5);
        while let Some(Ok(_)) = slot.open(FOREVER).next().await {}
        assert_eq!(slot.kept(), b"12345");
    }

    #[tokio::test]
    async fn draining_stops_at_its_bound() {
        let slot = slot_of(vec![Ok("12345"), Ok("12345"), Ok("12345")]);
        slot.drain(6, FOREVER.timeout).await;
        assert_eq!(slot.received_bytes(), 10);
    }
}
