//! Answers to what is no HTTP, and connections that end without taking their answer along.
//!
//! The HTTP library answers what it cannot parse by itself, with a bare status: no ids, no
//! document. Owns [`Documented`], a connection that writes S3's answer in its place.
//!
//! Invariants:
//! - an answer is replaced only before the first request of a connection was understood: until then
//!   the library has nothing else to write, so no byte of an object can be taken for its answer;
//! - a connection is closed for writing first and goes on reading for a while, because a close that
//!   meets unread bytes resets the connection and with it the answer on its way.
//!
//! Deliberately absent: answers behind the first request. The library's bare status may leave
//! together with the end of an answer, and is left as it is.
//!
//! *Limits:* [`LINGER_TIMEOUT`] and [`LINGER_BYTES_MAX`].

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::error::{Code, Failure};

/// How long a closed connection goes on reading. Chosen: clients close their side as soon as they
/// have seen ours.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How much it reads then. Chosen: the header floods that are refused while they are being sent,
/// and what is in flight on a fast network.
const LINGER_BYTES_MAX: usize = 16 << 20;
/// The method whose answers have no body.
const HEAD: &[u8] = b"HEAD ";

/// Whether a request of a connection has been understood.
#[derive(Clone, Default)]
pub(crate) struct Understood(Arc<AtomicBool>);

impl Understood {
    /// One has.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection whose first answer is S3's, also to what is no HTTP.
pub(crate) struct Documented<T, F> {
    inner: T,
    understood: Understood,
    /// Writes the answer to a failure, with or without its document.
    write_answer: F,
    /// What the client sent first.
    opening: Vec<u8>,
    /// The answer that goes out instead.
    substitute: Option<Substitute>,
    linger: Option<Linger>,
    at_end: bool,
}

struct Substitute {
    bytes: Vec<u8>,
    written: usize,
    /// The length of what it stands for.
    stands_for: usize,
}

struct Linger {
    left_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<T, F> Documented<T, F> {
    /// Answers with what `write_answer` makes of a failure; its second argument says whether the
    /// document is left out.
    pub(crate) fn new(inner: T, understood: Understood, write_answer: F) -> Self {
        Self {
            inner,
            understood,
            write_answer,
            opening: Vec::new(),
            substitute: None,
            linger: None,
            at_end: false,
        }
    }
}

/// The failure that a bare answer of the HTTP library stands for.
fn bare(answer: &[u8]) -> Option<Failure> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ")?;
    if !rest.ends_with(b"\r\n\r\n") {
        return None;
    }
    match rest.get(..3)? {
        b"400" => Some(Failure::new(Code::BadRequest)),
        b"414" => Some(Failure::new(Code::UriTooLong)),
        b"431" => Some(Failure::new(Code::RequestHeaderSectionTooLarge)),
        _ => None,
    }
}

impl<T, F> Documented<T, F>
where
    T: AsyncWrite + Unpin,
    F: Fn(Failure, bool) -> Vec<u8> + Unpin,
{
    /// Writes the answer that goes out instead, if there is one. Ready with the length of what it
    /// stands for once all of it is out.
    fn poll_substitute(
        &mut self,
        buffer: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        if self.substitute.is_none() && !self.understood.get() {
            self.substitute = bare(buffer).map(|failure| Substitute {
                bytes: (self.write_answer)(failure, self.opening.starts_with(HEAD)),
                written: 0,
                stands_for: buffer.len(),
            });
        }
        let Some(substitute) = &mut self.substitute else {
            return Poll::Ready(Ok(None));
        };
        while substitute.written < substitute.bytes.len() {
            let rest = &substitute.bytes[substitute.written..];
            match ready!(Pin::new(&mut self.inner).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => substitute.written += written,
            }
        }
        let stands_for = substitute.stands_for;
        self.substitute = None;
        // The library says no more than this.
        self.understood.set();
        Poll::Ready(Ok(Some(stands_for)))
    }
}

impl<T: AsyncRead + Unpin, F: Unpin> AsyncRead for Documented<T, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let had_room = buffer.remaining() > 0;
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let received = &buffer.filled()[before..];
        if matches!(polled, Poll::Ready(Ok(()))) && received.is_empty() && had_room {
            self.at_end = true;
        }
        let wanted = HEAD.len().saturating_sub(self.opening.len());
        self.opening.extend_from_slice(&received[..wanted.min(received.len())]);
        polled
    }
}

impl<T, F> AsyncWrite for Documented<T, F>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Failure, bool) -> Vec<u8> + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_substitute(buffer, context))? {
            Some(len_bytes) => Poll::Ready(Ok(len_bytes)),
            None => Pin::new(&mut self.inner).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.substitute.is_some() || !self.understood.get() {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            let first = first.map_or(&[][..], |buffer| buffer);
            return self.poll_write(context, first);
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
        }
        let linger = this.linger.get_or_insert_with(|| Linger {
            left_bytes: LINGER_BYTES_MAX,
            deadline: Box::pin(tokio::time::sleep(LINGER_TIMEOUT)),
        });
        while !this.at_end && linger.left_bytes > 0 {
            if linger.deadline.as_mut().poll(context).is_ready() {
                break;
            }
            let mut scratch = [0; 4 << 10];
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    linger.left_bytes = linger.left_bytes.saturating_sub(buffer.filled().len());
                }
                // Ended or broken: either way there is nothing to wait for.
                Ok(()) | Err(_) => this.at_end = true,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";

    fn answer(failure: Failure, head: bool) -> Vec<u8> {
        format!("{} {head}", failure.code().name()).into_bytes()
    }

    /// What the client receives of `written` after it sent `opening`.
    async fn received(opening: &[u8], understood: bool, written: &[u8]) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(4);
        let state = Understood::default();
        if understood {
            state.set();
        }
        let mut near = Documented::new(near, state, answer);
        let server = async {
            let mut buffer = vec![0; opening.len()];
            near.read_exact(&mut buffer).await.unwrap();
            near.write_all(written).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let client = async {
            far.write_all(opening).await.unwrap();
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            drop(far);
            all
        };
        tokio::join!(server, client).1
    }

    #[tokio::test]
    async fn bare_answer_to_the_first_request_is_replaced() {
        assert_eq!(received(b"GET\r\n", false, BARE).await, b"BadRequest false");
        assert_eq!(received(b"HEAD /\r\n", false, BARE).await, b"BadRequest true");
        let too_large = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n";
        let expected = b"RequestHeaderSectionTooLarge false";
        assert_eq!(received(b"x", false, too_large).await, expected);
    }

    #[tokio::test]
    async fn nothing_else_is_replaced() {
        assert_eq!(received(b"GET / ", true, BARE).await, BARE);
        for written in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.1 400 Bad", b"\0\0\x12\x04\0"] {
            assert_eq!(received(b"GET / ", false, written).await, written);
        }
    }

    #[tokio::test]
    async fn closed_connection_reads_on_for_a_while() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Documented::new(near, Understood::default(), answer);
        let started = tokio::time::Instant::now();
        let closing = near.shutdown();
        let client = async {
            far.write_all(&[7; 1000]).await.unwrap();
            far.read_to_end(&mut Vec::new()).await.unwrap();
        };
        let (closed, ()) = tokio::join!(closing, client);
        closed.unwrap();
        assert!(started.elapsed() >= LINGER_TIMEOUT);
    }
}
