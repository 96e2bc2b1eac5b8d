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
//!   first sends what is buffered.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};

/// First size of a read buffer in bytes. Chosen: a handshake fits.
const READ_LEN_MIN: usize = 8 << 10;

/// Largest size of a read buffer in bytes. Measured (`transport_rate`): larger gains nothing.
const READ_LEN_MAX: usize = 256 << 10;

/// How many bytes are joined before they are written. Measured (`transport_rate`).
const WRITE_LEN: usize = 64 << 10;

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
}

impl<T: AsyncWrite + Unpin> Joined<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, needs_flush: false }
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
            ready!(this.poll_empty(cx))?;
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
