//! Many streams over one connection.
//!
//! The stock Yamux upgrade of libp2p fixes the frame size and gives every peer the same bounds; this
//! one takes both from the owner.
//!
//! Invariants:
//! - a stranger's connection holds at most [`Bounds::STRANGER`];
//! - an inbound stream that nobody takes is refused and counted, never silently dropped;
//! - a connection that is closed is gone at once, with every stream of it: Yamux's orderly end waits
//!   for a peer that may be the reason for closing.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready as ready_or},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use yamux::{Connection, ConnectionError, Mode, Stream};

use super::buffer::Joined;

/// Bytes of a data frame. Chosen: with the header of twelve bytes four full TLS records, and a
/// quarter of the stock number of frames.
const FRAME_LEN_BYTES: usize = (64 << 10) - 12;

/// Bytes a stream may hold before its receiver asked for more. Yamux specification.
const STREAM_WINDOW_BYTES: usize = 256 << 10;

/// Inbound streams that wait to be negotiated. Chosen: beyond, the newcomer is refused.
const INBOUND_WAITING_MAX: usize = 64;

/// What one connection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    streams: usize,
    window_bytes: usize,
}

impl Bounds {
    /// For members. Chosen: more streams than lanes, and windows for a gigabyte per second over
    /// tens of milliseconds.
    pub(crate) const MEMBER: Self = Self { streams: 512, window_bytes: 256 << 20 };

    /// For strangers: the stream to join over and one more. Their windows never grow.
    pub(crate) const STRANGER: Self = Self { streams: 2, window_bytes: 2 * STREAM_WINDOW_BYTES };
}

/// Makes a connection carry streams.
#[derive(Clone)]
pub(super) struct Upgrade(Bounds);

impl Upgrade {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(bounds)
    }

    fn muxer<C: AsyncRead + AsyncWrite + Unpin>(self, socket: C, mode: Mode) -> Muxer<C> {
        let mut config = yamux::Config::default();
        // The window is set around the number of streams because each call checks them together.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(self.0.streams);
        config.set_max_connection_receive_window(Some(self.0.window_bytes));
        config.set_split_send_size(FRAME_LEN_BYTES);
        let connection = Connection::new(Joined::new(socket), config, mode);
        Muxer { connection: Some(connection), waiting: VecDeque::new(), waker: None }
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, Mode::Client)))
    }
}

/// A connection that carries streams.
pub(super) struct Muxer<C> {
    /// `None` once closed.
    connection: Option<Connection<Joined<C>>>,
    waiting: VecDeque<Stream>,
    waker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let next = match &mut self.connection {
            Some(connection) => ready_or!(connection.poll_next_inbound(cx)),
            None => None,
        };
        Poll::Ready(next.unwrap_or(Err(ConnectionError::Closed)).map_err(into_io))
    }
}

fn into_io(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        if let Some(stream) = this.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let polled = this.poll_next(cx);
        if polled.is_pending() {
            this.waker = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        match &mut self.get_mut().connection {
            Some(connection) => connection.poll_new_outbound(cx).map_err(into_io),
            None => Poll::Ready(Err(into_io(ConnectionError::Closed))),
        }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Dropping the connection fails its streams and closes the socket.
        self.get_mut().connection = None;
        Poll::Ready(Ok(()))
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        let this = self.get_mut();
        let stream = ready_or!(this.poll_next(cx))?;
        if this.waiting.len() < INBOUND_WAITING_MAX {
            this.waiting.push_back(stream);
            if let Some(waker) = this.waker.take() {
                waker.wake();
            }
        } else {
            // Dropping resets the stream, which its opener sees.
            crate::telemetry::refused_stream("unnegotiated");
            drop(stream);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
