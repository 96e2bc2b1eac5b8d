//! A listening port: connections, TLS, HTTP/1.1 and HTTP/2, and their end in good order.
//!
//! Owns [`serve`], which the S3 port and the website port share; what is answered is the business
//! of [`Answers`].
//!
//! *Limits:* connections, header bytes and times are bounded by [`S3EdgeConfig`]; requests of one
//! HTTP/2 connection by [`STREAMS_PER_CONNECTION_MAX`].
//! *Cancellation:* when shutdown is asked for, no connection is accepted, idle ones are closed and
//! busy ones finish their request; what is left after the drain timeout is cut off. Dropping the
//! future of [`serve`] cuts everything off at once.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    access_line::Encryption,
    config::S3EdgeConfig,
    error::Failure,
    exchange::{BoxError, HEADER_COUNT_MAX, Peer, ReportedBody},
    stall::StallGuard,
    telemetry::ConnectionGauge,
    tls::{self, TlsConfig},
    unparsed::{Documented, Understood},
};

/// Most requests at a time on one HTTP/2 connection. Chosen: what SDKs open over several
/// connections otherwise.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Most header lines that the HTTP library reads. Beyond what the exchange refuses, so that it can
/// answer with a document; the library sets 64 bytes aside per line for every request, so not far.
const READ_HEADER_COUNT_MAX: usize = 4 * HEADER_COUNT_MAX;
/// Room of the HTTP/1.1 reader beyond what this crate refuses itself, so that it can answer with a
/// document instead of closing the connection.
const HEADER_SLACK_BYTES: usize = 32 << 10;
/// Pause after `accept` fails, which it does when descriptors run out. Chosen: long enough for one
/// to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port has failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not work. Restart on another address.
    #[error("the listener failed")]
    Listener(#[from] io::Error),
}

/// What a port answers with.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers a request.
    fn answer<B>(
        &self,
        request: Request<B>,
        peer: Peer,
    ) -> impl Future<Output = Response<ReportedBody>> + Send
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// The whole answer to what is no request, as HTTP/1.1 writes it; the connection ends with it.
    /// `head` leaves the document out.
    fn answer_unparsed(&self, failure: Failure, head: bool) -> Vec<u8>;
}

/// Serves until `shutdown` completes, then drains.
///
/// # Errors
/// [`ServeError`] when the listener fails.
pub(crate) async fn serve<A: Answers>(
    answers: Arc<A>,
    config: S3EdgeConfig,
    listener: TcpListener,
    tls: Option<TlsConfig>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    listener.local_addr()?;
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls.server_config())));
    let permits = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
            // Finished tasks are reaped as they end.
            Some(_) = connections.join_next() => continue,
        };
        let (stream, address, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            answers: Arc::clone(&answers),
            config: config.clone(),
            address,
            watcher: graceful.watcher(),
            permit,
        };
        connections.spawn(connection.run(stream, acceptor.clone()));
    }
    drop(listener);
    let drained = tokio::time::timeout(config.drain_timeout, graceful.shutdown()).await;
    if drained.is_err() {
        let open = connections.len();
        tracing::warn!(open, "connections were cut off after the drain timeout");
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // The permit comes first: what cannot be served waits in the kernel's backlog.
    let permit = Arc::clone(permits).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}

struct Connection<A> {
    answers: Arc<A>,
    config: S3EdgeConfig,
    address: SocketAddr,
    watcher: Watcher,
    permit: OwnedSemaphorePermit,
}

impl<A: Answers> Connection<A> {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let _gauge = ConnectionGauge::open();
        // Answers are written whole, so there is nothing to gain from waiting for more.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            return self.speak(stream, None).await;
        };
        let handshake = acceptor.accept(stream);
        match tokio::time::timeout(self.config.header_read_timeout, handshake).await {
            Ok(Ok(stream)) => {
                let encryption = tls::encryption(stream.get_ref().1);
                self.speak(stream, Some(encryption)).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.address, "no TLS handshake"),
            Err(_) => tracing::debug!(peer = %self.address, "the TLS handshake took too long"),
        }
    }

    async fn speak<S>(self, stream: S, encryption: Option<Encryption>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { answers, config, address, watcher, permit } = self;
        let peer = Peer { address, secure: encryption.is_some(), encryption };
        let understood = Understood::default();
        let guarded = StallGuard::new(stream, config.pace(), config.header_read_timeout);
        let unparsed = Arc::clone(&answers);
        let documented = Documented::new(guarded, understood.clone(), move |failure, head| {
            unparsed.answer_unparsed(failure, head)
        });
        let io = TokioIo::new(documented);
        let service = service_fn(move |request| {
            understood.set();
            let answers = Arc::clone(&answers);
            async move { Ok::<_, Infallible>(answers.answer(request, peer).await) }
        });
        let builder = http_builder(&config);
        let connection = builder.serve_connection(io, service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, peer = %address, "a connection ended early");
        }
        drop(permit);
    }
}

fn http_builder(config: &S3EdgeConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The exchange dates its answers by the clock it was given.
    builder
        .http1()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(config.header_len_bytes_max + HEADER_SLACK_BYTES)
        .max_headers(READ_HEADER_COUNT_MAX);
    builder
        .http2()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(
            u32::try_from(config.header_len_bytes_max + HEADER_SLACK_BYTES).unwrap_or(u32::MAX),
        )
        .keep_alive_interval(config.header_read_timeout)
        .keep_alive_timeout(config.header_read_timeout);
    builder
}
