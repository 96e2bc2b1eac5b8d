//! Clients that are too slow to be waited for.
//!
//! Owns [`Pace`], which judges a client by the time it makes the server wait, and [`StallGuard`], a
//! connection whose writes are judged by it; bodies that arrive are judged in `body`.
//!
//! Invariants:
//! - only time spent waiting for the client counts: a slow disk is never held against it;
//! - nothing is judged by its rate before the first window of waiting is over.
//!
//! *Limits:* a client that moves nothing for [`PaceLimits::timeout`], or fewer than
//! [`PaceLimits::bytes_per_second_min`] over that much waiting, is given up, so that it holds its
//! buffers and its place for no longer than two such windows. What HTTP/2 holds back for a stream
//! whose window the client keeps closed never reaches the connection and is not judged here.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How slow a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaceLimits {
    /// How long nothing may move, and the window over which the rate is taken.
    pub(crate) timeout: Duration,
    /// Least average rate over a window of waiting; 0 for none.
    pub(crate) bytes_per_second_min: u64,
}

impl PaceLimits {
    /// Bytes that must move in one window.
    fn window_bytes_min(self) -> u128 {
        self.timeout.as_millis() * u128::from(self.bytes_per_second_min) / 1000
    }
}

/// Judges how fast bytes move in one direction.
pub(crate) struct Pace {
    limits: PaceLimits,
    /// Bytes moved in the current window.
    moved_bytes: u64,
    /// Waiting left of the current window.
    left: Duration,
    waiting: Option<Waiting>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A wait under way.
struct Waiting {
    /// When nothing has moved for too long.
    stalled_at: Instant,
    /// When the current window is over.
    window_ends_at: Instant,
}

impl Pace {
    /// Judges by `limits`, beginning with a window of grace.
    pub(crate) fn new(limits: PaceLimits) -> Self {
        Self { limits, moved_bytes: 0, left: limits.timeout, waiting: None, timer: None }
    }

    /// Bytes have moved; the client is not waited for any longer.
    pub(crate) fn moved(&mut self, len_bytes: u64) {
        if let Some(waiting) = self.waiting.take() {
            self.left = waiting.window_ends_at.saturating_duration_since(Instant::now());
        }
        self.moved_bytes = self.moved_bytes.saturating_add(len_bytes);
    }

    /// The client is waited for. Ready once that has to end.
    pub(crate) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timeout = self.limits.timeout;
        loop {
            let now = Instant::now();
            let waiting = self.waiting.get_or_insert_with(|| Waiting {
                stalled_at: now + timeout,
                window_ends_at: now + self.left,
            });
            if now >= waiting.stalled_at {
                return Poll::Ready(());
            }
            if now >= waiting.window_ends_at {
                if u128::from(self.moved_bytes) < self.limits.window_bytes_min() {
                    return Poll::Ready(());
                }
                self.moved_bytes = 0;
                waiting.window_ends_at = now + timeout;
            }
            let wake_at = waiting.stalled_at.min(waiting.window_ends_at);
            let timer =
                self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wake_at)));
            if timer.deadline() != wake_at {
                timer.as_mut().reset(wake_at);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Bytes within which a client has said which protocol it speaks: the HTTP/2 preface, which HTTP/1
/// requests differ from earlier. RFC 9113, section 3.4.
const OPENING_LEN_BYTES: usize = 24;

/// A connection whose client speaks up, and whose writes make progress or fail.
pub(crate) struct StallGuard<T> {
    inner: T,
    pace: Pace,
    /// Until the client has said which protocol it speaks: nothing else bounds that time.
    opening: Option<Opening>,
}

/// A client that has not said yet which protocol it speaks.
struct Opening {
    received_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<T> StallGuard<T> {
    /// Guards a connection whose client has `opening_timeout` to say which protocol it speaks.
    pub(crate) fn new(inner: T, limits: PaceLimits, opening_timeout: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(opening_timeout));
        let opening = Some(Opening { received_bytes: 0, deadline });
        Self { inner, pace: Pace::new(limits), opening }
    }

    /// Passes a write's outcome on, unless the client is too slow.
    fn watch<R>(
        &mut self,
        polled: Poll<io::Result<R>>,
        len_bytes: impl Fn(&R) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        match polled {
            Poll::Ready(outcome) => {
                let len_bytes = outcome.as_ref().map_or(0, len_bytes);
                // What is answered was understood.
                if len_bytes > 0 {
                    self.opening = None;
                }
                self.pace.moved(len_bytes as u64);
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let too_slow = self.pace.poll_too_slow(context);
                too_slow.map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for StallGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let Some(opening) = &mut self.opening else { return polled };
        opening.received_bytes += buffer.filled().len() - filled;
        if opening.received_bytes >= OPENING_LEN_BYTES {
            self.opening = None;
        } else if polled.is_pending() && opening.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StallGuard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, buffer);
        self.watch(polled, |len_bytes| *len_bytes, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.watch(polled, |len_bytes| *len_bytes, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(polled, |()| 0, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(polled, |()| 0, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// Longer than any of these tests takes.
    const OPENING: Duration = Duration::from_secs(60);

    fn limits(millis: u64, bytes_per_second_min: u64) -> PaceLimits {
        PaceLimits { timeout: Duration::from_millis(millis), bytes_per_second_min }
    }

    /// Takes four bytes every 20 ms until the other side is gone.
    async fn drip(mut far: DuplexStream) -> usize {
        let mut taken = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut some = [0; 4];
            match far.read(&mut some).await.unwrap() {
                0 => return taken,
                len => taken += len,
            }
        }
    }

    #[tokio::test]
    async fn client_that_never_says_its_protocol_is_given_up() {
        for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(said).await.unwrap();
            let mut guarded = StallGuard::new(near, limits(5000, 0), Duration::from_millis(30));
            let mut heard = vec![0; said.len()];
            guarded.read_exact(&mut heard).await.unwrap();
            let error = guarded.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn client_that_has_spoken_may_be_silent() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"GET / HTTP/1.1\r\nHost: bucket\r\n").await.unwrap();
        let mut guarded = StallGuard::new(near, limits(5000, 0), Duration::from_millis(30));
        let mut heard = [0; 30];
        guarded.read_exact(&mut heard).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(90), guarded.read(&mut heard));
        assert!(silent.await.is_err(), "still open");
    }

    #[tokio::test]
    async fn write_that_is_not_taken_times_out() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut guarded = StallGuard::new(near, limits(30, 0), OPENING);
        guarded.write_all(b"1234").await.unwrap();
        let error = guarded.write_all(b"5").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut taken = [0; 4];
        far.read_exact(&mut taken).await.unwrap();
    }

    #[tokio::test]
    async fn slow_reader_that_keeps_the_least_rate_is_served() {
        let (near, far) = tokio::io::duplex(4);
        // Four bytes in half a second are enough, and the drip is a dozen times as fast.
        let mut guarded = StallGuard::new(near, limits(500, 8), OPENING);
        let write = async {
            let written = guarded.write_all(&[7; 160]).await;
            drop(guarded);
            written
        };
        let (written, taken) = tokio::join!(write, drip(far));
        written.unwrap();
        assert_eq!(taken, 160);
    }

    #[tokio::test]
    async fn reader_below_the_least_rate_is_given_up_after_the_first_window() {
        let (near, far) = tokio::io::duplex(4);
        let mut guarded = StallGuard::new(near, limits(200, 1 << 20), OPENING);
        let started = Instant::now();
        let write = async {
            let written = guarded.write_all(&[7; 4000]).await;
            drop(guarded);
            written
        };
        let (written, taken) = tokio::join!(write, drip(far));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        assert!((1..4000).contains(&taken), "{taken}");
    }

    #[tokio::test]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let mut pace = Pace::new(limits(50, 1 << 20));
        let mut context = Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            assert!(pace.poll_too_slow(&mut context).is_pending());
            pace.moved(1);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        assert!(pace.poll_too_slow(&mut context).is_pending());
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(pace.poll_too_slow(&mut context).is_ready());
    }
}
