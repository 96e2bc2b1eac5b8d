//! Buffers between the layers of a connection.
//!
//! TLS asks its transport for a few kilobytes at a time and Noise for two bytes and a frame: each
//! request would be a system call. Yamux writes a header of twelve bytes and a body apart and
//! flushes after each: each would be a record of its own and a packet of its own.
//!
//! Invariants:
//! - [`ReadAhead`] allocates nothing before bytes arrive, and grows only while they fill it, so a
//!   stranger that dials and says little costs little;
//! - [`Joined`] never holds bytes back while its owner waits for the peer: whoever polls for input
//!   first sends what is buffered;
//! - two peers that both write and do not read cannot stay so: Yamux stops reading while it has a
//!   ping to answer and no room to write. After [`STUCK_AFTER`] without a read [`Joined`] makes
//!   room, up to [`STUCK_LEN_MAX`], so that the answer is written and reading goes on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

/// First size of a read buffer in bytes. Chosen: a handshake fits.
const READ_LEN_MIN: usize = 8 << 10;

/// Largest size of a read buffer in bytes. Chosen: with it Noise carried 0.75 GB/s instead of 0.58 in
/// the measurements that this design starts from.
const READ_LEN_MAX: usize = 256 << 10;

/// How many bytes are joined before they are written. Chosen: one frame of the multiplexer.
const WRITE_LEN: usize = 64 << 10;

/// How long the owner may be refused room without reading before it gets some. Chosen: far above a
/// round of polling, far below the lanes' watchdog.
const STUCK_AFTER: Duration = Duration::from_millis(50);

/// Most bytes that are buffered for an owner that does not read. Chosen: a frame under way and the
/// answer to a ping, many times over.
const STUCK_LEN_MAX: usize = 512 << 10;

/// Reads large pieces from below and hands them out as asked.
pub(super) struct ReadAhead<T> {
    inner: T,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<T> ReadAhead<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, end: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReadAhead<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.start == this.end {
            if out.len() >= READ_LEN_MAX {
                return Pin::new(&mut this.inner).poll_read(cx, out);
            }
            if this.buffer.is_empty() {
                // The first bytes go where they are wanted: an idle connection has no buffer.
                let len = ready!(Pin::new(&mut this.inner).poll_read(cx, out))?;
                if len == out.len() && len > 0 {
                    this.buffer = vec![0; READ_LEN_MIN];
                }
                return Poll::Ready(Ok(len));
            }
            let len = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut this.buffer))?;
            (this.start, this.end) = (0, len);
        }
        let len = out.len().min(this.end - this.start);
        out[..len].copy_from_slice(&this.buffer[this.start..this.start + len]);
        this.start += len;
        let was_filled = this.end == this.buffer.len();
        if this.start == this.end && was_filled && this.buffer.len() < READ_LEN_MAX {
            this.buffer = vec![0; this.buffer.len() * 2];
        }
        Poll::Ready(Ok(len))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ReadAhead<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// Joins small writes into large ones.
///
/// A flush is put off until the owner polls for input, which Yamux does at the end of every round;
/// should a write be stuck below, the owner is woken by it and flushes on.
pub(super) struct Joined<T> {
    inner: T,
    buffer: Vec<u8>,
    start: usize,
    needs_flush: bool,
    /// Runs while the owner was refused room and has not read since.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncWrite + Unpin> Joined<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, needs_flush: false, stuck: None }
    }

    /// Whether the owner has been refused room for long without reading.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STUCK_AFTER)));
        ready!(stuck.as_mut().poll(cx));
        if self.buffer.len() < STUCK_LEN_MAX { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Writes everything that is buffered.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.start < self.buffer.len() {
            let bytes = &self.buffer[self.start..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.start += len,
            }
        }
        self.buffer.clear();
        self.start = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_through(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        if self.needs_flush {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Joined<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.stuck = None;
        // Reading goes on when writing is stuck: otherwise two peers that both saturate their
        // direction would wait for each other for ever.
        if let Poll::Ready(Err(error)) = this.poll_through(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.inner).poll_read(cx, out)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Joined<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.buffer.len() >= WRITE_LEN {
            match this.poll_empty(cx) {
                Poll::Ready(emptied) => emptied?,
                Poll::Pending => ready!(this.poll_stuck(cx)),
            }
        }
        let len = bytes.len().min(WRITE_LEN);
        this.buffer.extend_from_slice(&bytes[..len]);
        this.needs_flush = true;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_through(cx))?;
        Pin::new(&mut this.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::poll_fn};

    use super::*;

    /// Takes `room` bytes and then no more; reads what it is told.
    struct Wall {
        room: usize,
        taken: Vec<u8>,
        given: Vec<u8>,
        reads: usize,
    }

    impl Wall {
        fn new(room: usize, given: Vec<u8>) -> Self {
            Self { room, taken: Vec::new(), given, reads: 0 }
        }
    }

    impl AsyncRead for Wall {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            this.reads += 1;
            let len = out.len().min(this.given.len());
            out[..len].copy_from_slice(&this.given[..len]);
            this.given.drain(..len);
            Poll::Ready(Ok(len))
        }
    }

    impl AsyncWrite for Wall {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let len = bytes.len().min(this.room - this.taken.len());
            if len == 0 {
                return Poll::Pending;
            }
            this.taken.extend_from_slice(&bytes[..len]);
            Poll::Ready(Ok(len))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn small_reads_are_served_from_large_ones() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        let mut reader = ReadAhead::new(Wall::new(0, bytes.clone()));
        let mut read = vec![0; bytes.len()];
        for piece in read.chunks_mut(100) {
            reader.read_exact(piece).await.unwrap();
        }
        assert_eq!(read, bytes);
        assert!(reader.inner.reads < 12, "{} reads", reader.inner.reads);
        assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nothing_is_allocated_for_a_connection_that_says_little() {
        let mut reader = ReadAhead::new(Wall::new(0, vec![1; 50]));
        assert_eq!(reader.read(&mut [0; 100]).await.unwrap(), 50);
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[tokio::test]
    async fn writes_leave_when_the_owner_waits_for_input() {
        let mut joined = Joined::new(Wall::new(1 << 20, vec![9]));
        joined.write_all(b"head").await.unwrap();
        joined.write_all(b"body").await.unwrap();
        joined.flush().await.unwrap();
        assert!(joined.inner.taken.is_empty());
        joined.read_exact(&mut [0]).await.unwrap();
        assert_eq!(joined.inner.taken, b"headbody");
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_cannot_read_before_it_writes_gets_room() {
        let mut joined = Joined::new(Wall::new(10, vec![9; 4]));
        joined.write_all(&vec![1; WRITE_LEN]).await.unwrap();
        let refused = poll_fn(|cx| Poll::Ready(Pin::new(&mut joined).poll_write(cx, &[2])));
        assert!(refused.await.is_pending());
        // Whoever reads in between waits for the wall like everybody.
        joined.read_exact(&mut [0]).await.unwrap();
        let since = tokio::time::Instant::now();
        joined.write_all(&[2; 12]).await.unwrap();
        assert!(since.elapsed() >= STUCK_AFTER && since.elapsed() < STUCK_AFTER * 2);
        // The room has an end.
        let bytes = vec![3; 2 * STUCK_LEN_MAX];
        let flood = joined.write_all(&bytes);
        assert!(tokio::time::timeout(Duration::from_secs(60), flood).await.is_err());
        assert!(joined.buffer.len() < STUCK_LEN_MAX + WRITE_LEN);
    }
}
