//! One connection's streams.

use std::{
    collections::VecDeque,
    fmt,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, ConnectionId, StreamUpgradeError,
        SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use node_proto::PeerKey;
use tokio_util::sync::PollSender;

use super::{Answer, Inbound, JOIN_PROTOCOL};
use crate::{stream::OpenLaneError, telemetry};

/// Inbound streams of one connection that wait for room. Chosen: beyond, a newcomer is refused.
pub(super) const WAITING_MAX: usize = 64;

/// Streams that we have open or are opening on one connection. Chosen: far more than lanes need,
/// and few enough that the multiplexer's own bound, which ends the connection, is never met.
const OUTBOUND_MAX: usize = 256;

/// How long a stream may be negotiated. Chosen: as long as a whole connection may take.
const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What the behaviour asks of a connection.
pub(crate) struct Open {
    pub(super) protocol: StreamProtocol,
    pub(super) answer: Answer,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({})", self.protocol)
    }
}

/// What a connection tells the behaviour.
#[derive(Debug)]
pub(crate) enum Told {
    /// The peer took a stream: the connection works.
    Works,
}

/// Streams over one connection.
pub(crate) struct Handler {
    peer: PeerKey,
    connection: ConnectionId,
    accepts: Vec<StreamProtocol>,
    /// How many inbound streams are still taken; strangers have one.
    inbound_left: usize,
    keeps_alive: bool,
    opens: VecDeque<Open>,
    told: Option<Told>,
    works: bool,
    waiting: VecDeque<Inbound>,
    sender: PollSender<Inbound>,
    outbound: Arc<AtomicUsize>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(
        peer: PeerKey,
        connection: ConnectionId,
        accepts: Vec<StreamProtocol>,
        sender: PollSender<Inbound>,
    ) -> Self {
        Self {
            peer,
            connection,
            accepts,
            inbound_left: usize::MAX,
            keeps_alive: false,
            opens: VecDeque::new(),
            told: None,
            works: false,
            waiting: VecDeque::new(),
            sender,
            outbound: Arc::default(),
            waker: None,
        }
    }

    /// The peer may open one stream and no more.
    pub(super) fn once(mut self) -> Self {
        self.inbound_left = 1;
        self
    }

    /// The connection stays open while nothing happens on it.
    pub(super) fn kept_alive(mut self) -> Self {
        self.keeps_alive = true;
        self
    }

    fn on_inbound(&mut self, stream: Stream, protocol: &StreamProtocol) {
        if self.inbound_left == 0 || self.waiting.len() >= WAITING_MAX {
            // Dropping resets the stream: its opener sees that it was refused.
            telemetry::refused_stream(if self.inbound_left == 0 { "stranger" } else { "full" });
            return;
        }
        self.inbound_left -= 1;
        self.waiting.push_back(Inbound {
            peer: self.peer,
            connection: self.connection,
            is_join: *protocol == JOIN_PROTOCOL,
            stream: Box::new(stream),
        });
        self.wake();
    }

    fn on_outbound(&mut self, stream: Stream, request: Request) {
        if !self.works {
            self.works = true;
            self.told = Some(Told::Works);
        }
        let counted = Counted { stream, _count: request.count };
        // Whoever asked may have stopped waiting; the stream is then dropped and reset.
        let _ = request.answer.send(Ok(Box::new(counted)));
        self.wake();
    }

    fn on_failed(&self, request: Request, error: &StreamUpgradeError<std::convert::Infallible>) {
        let peer = self.peer;
        let reason = match error {
            StreamUpgradeError::Timeout => {
                let _ = request.answer.send(Err(OpenLaneError::TimedOut { peer }));
                return;
            }
            StreamUpgradeError::NegotiationFailed => "it refuses the protocol".to_owned(),
            StreamUpgradeError::Io(error) => error.to_string(),
            StreamUpgradeError::Apply(never) => match *never {},
        };
        let _ = request.answer.send(Err(OpenLaneError::Unreachable { peer, reason }));
    }

    fn next_open(&mut self) -> Option<SubstreamProtocol<Protocols, Request>> {
        while let Some(Open { protocol, answer }) = self.opens.pop_front() {
            if answer.is_closed() {
                continue;
            }
            if self.outbound.load(Ordering::Relaxed) >= OUTBOUND_MAX {
                let reason = format!("{OUTBOUND_MAX} streams are open");
                let peer = self.peer;
                let _ = answer.send(Err(OpenLaneError::Unreachable { peer, reason }));
                continue;
            }
            let request = Request { answer, count: Count::new(&self.outbound) };
            let upgrade = Protocols(vec![protocol]);
            return Some(
                SubstreamProtocol::new(upgrade, request).with_timeout(NEGOTIATION_TIMEOUT),
            );
        }
        None
    }

    fn hand_over(&mut self, cx: &mut Context<'_>) {
        while !self.waiting.is_empty() {
            match self.sender.poll_reserve(cx) {
                Poll::Ready(Ok(())) => {
                    if let Some(inbound) = self.waiting.pop_front() {
                        // Sending fails only once nobody receives: the process is going.
                        let _ = self.sender.send_item(inbound);
                    }
                }
                Poll::Ready(Err(_)) => self.waiting.clear(),
                Poll::Pending => return,
            }
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Told;
    type InboundProtocol = Protocols;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Request;

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        let upgrade = Protocols(self.accepts.clone());
        SubstreamProtocol::new(upgrade, ()).with_timeout(NEGOTIATION_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        self.keeps_alive
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, Request, Told>> {
        self.hand_over(cx);
        if let Some(told) = self.told.take() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if let Some(protocol) = self.next_open() {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.opens.push_back(open);
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Protocols, Protocols, (), Request>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                info: (),
            }) => self.on_inbound(stream, &protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info,
            }) => self.on_outbound(stream, info),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.on_failed(info, &error);
            }
            _ => {}
        }
    }
}

/// A stream being opened.
pub(crate) struct Request {
    answer: Answer,
    count: Count,
}

/// One of a connection's outbound streams.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that counts as open while it exists.
struct Counted {
    stream: Stream,
    _count: Count,
}

impl AsyncRead for Counted {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_close(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}

/// Negotiates one of some protocols and hands the stream out as it is.
#[derive(Clone, Debug)]
pub(crate) struct Protocols(Vec<StreamProtocol>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = (Stream, StreamProtocol);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = (Stream, StreamProtocol);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
