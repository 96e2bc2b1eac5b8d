//! The S3 port.
//!
//! Owns [`S3Edge`]: it accepts connections, speaks TLS, HTTP/1.1 and HTTP/2 on them, and ends them
//! in good order.
//!
//! *Limits:* connections, header bytes and times are bounded by [`S3EdgeConfig`]; requests of one
//! HTTP/2 connection by [`STREAMS_PER_CONNECTION_MAX`].
//! *Cancellation:* when shutdown is asked for, no connection is accepted, idle ones are closed and
//! busy ones finish their request; what is left after the drain timeout is cut off. Dropping the
//! future of [`S3Edge::serve`] cuts everything off at once.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use gateway_iam::Directory;
use gateway_object::ObjectService;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use node_proto::Clock;
use s3s::{
    config::{S3Config, StaticConfigProvider},
    region::Region,
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    adapter::{Adapter, Hosts, OnlyForms, Secrets},
    call::Gateway,
    config::S3EdgeConfig,
    explain::SKEW_MAX_SECONDS,
    front::{self, Front, Peer},
    request_id::RequestIds,
    stall::StallGuard,
    target::Domains,
    telemetry::{self, ConnectionGauge},
    tls::TlsConfig,
    unparsed::{Documented, Understood},
};

/// Most requests at a time on one HTTP/2 connection. Chosen: what SDKs open over several
/// connections otherwise.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Most header lines that the HTTP library reads. Beyond what the front refuses, so that it can
/// answer with a document; the library sets 64 bytes aside per line for every request, so not far.
const HEADER_COUNT_MAX: usize = 4 * front::HEADER_COUNT_MAX;
/// Room of the HTTP/1.1 reader beyond what this crate refuses itself, so that it can answer with a
/// document instead of closing the connection.
const HEADER_SLACK_BYTES: usize = 32 << 10;
/// Pause after `accept` fails, which it does when descriptors run out. Chosen: long enough for one
/// to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a form besides its file. S3 allows 20 KiB; policies of our own may be longer.
pub(crate) const FORM_FIELDS_LEN_BYTES_MAX: usize = 128 << 10;
/// Most fields of a form. Chosen.
const FORM_FIELD_COUNT_MAX: usize = 256;
/// How old a form's signature may be. Its policy says until when it is valid; S3's signing keys are
/// for a week.
const FORM_AGE_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
/// Largest object of one request, which is S3's limit. The service has the last word.
const OBJECT_LEN_BYTES_MAX: u64 = 5 << 30;

/// The S3 port has failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not work. Restart on another address.
    #[error("the S3 listener failed")]
    Listener(#[from] io::Error),
}

/// S3 over HTTP. Built once, served on any number of listeners.
pub struct S3Edge {
    pub(crate) front: Arc<Front>,
    config: S3EdgeConfig,
}

impl S3Edge {
    /// An edge to `service`. Signatures are verified with the secrets of `directory`.
    ///
    /// `clock` is for what the edge itself dates; the age of signatures is judged by the system
    /// clock, which the signature library reads.
    #[must_use]
    pub fn new(
        service: ObjectService,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        config: S3EdgeConfig,
    ) -> Self {
        telemetry::describe();
        let domains = Domains::new(&config.domains);
        let adapter = Adapter {
            gateway: Arc::new(Gateway {
                service,
                directory: Arc::clone(&directory),
                config: config.clone(),
            }),
            domains: domains.clone(),
        };
        let front = Front {
            inner: service_of(&adapter, &directory, &config, SKEW_MAX_SECONDS),
            forms: service_of(&adapter, &directory, &config, FORM_AGE_SECONDS_MAX),
            ids: RequestIds::new(),
            clock,
            header_len_bytes_max: config.header_len_bytes_max,
            region: config.region.clone(),
            pace: config.pace(),
        };
        Self { front: Arc::new(front), config }
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// # Errors
    /// [`ServeError`] when the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TlsConfig>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        listener.local_addr()?;
        let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls.server_config())));
        let permits = Arc::new(Semaphore::new(self.config.connections_max));
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
                front: Arc::clone(&self.front),
                config: self.config.clone(),
                address,
                watcher: graceful.watcher(),
                permit,
            };
            connections.spawn(connection.run(stream, acceptor.clone()));
        }
        drop(listener);
        let drained = tokio::time::timeout(self.config.drain_timeout, graceful.shutdown()).await;
        if drained.is_err() {
            let open = connections.len();
            tracing::warn!(open, "connections were cut off after the drain timeout");
        }
        connections.shutdown().await;
        Ok(())
    }
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

struct Connection {
    front: Arc<Front>,
    config: S3EdgeConfig,
    address: SocketAddr,
    watcher: Watcher,
    permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let _gauge = ConnectionGauge::open();
        // Answers are written whole, so there is nothing to gain from waiting for more.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            return self.speak(stream, false).await;
        };
        let handshake = acceptor.accept(stream);
        match tokio::time::timeout(self.config.header_read_timeout, handshake).await {
            Ok(Ok(stream)) => self.speak(stream, true).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.address, "no TLS handshake"),
            Err(_) => tracing::debug!(peer = %self.address, "the TLS handshake took too long"),
        }
    }

    async fn speak<S>(self, stream: S, secure: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { front, config, address, watcher, permit } = self;
        let peer = Peer { address, secure };
        let understood = Understood::default();
        let guarded = StallGuard::new(stream, config.pace(), config.header_read_timeout);
        let unparsed = Arc::clone(&front);
        let documented = Documented::new(guarded, understood.clone(), move |failure, head| {
            unparsed.answer_unparsed(failure, head)
        });
        let io = TokioIo::new(documented);
        let service = service_fn(move |request| {
            understood.set();
            let front = Arc::clone(&front);
            async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
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
    // The front dates its answers by the clock it was given.
    builder
        .http1()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(config.header_len_bytes_max + HEADER_SLACK_BYTES)
        .max_headers(HEADER_COUNT_MAX);
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

/// An adapter that lets signatures be `skew_seconds` old.
fn service_of(
    adapter: &Adapter,
    directory: &Arc<Directory>,
    config: &S3EdgeConfig,
    skew_seconds: u32,
) -> S3Service {
    let mut builder = S3ServiceBuilder::new(adapter.clone());
    let mut settings = adapter_config(config);
    settings.presigned_url_max_skew_time_secs = skew_seconds;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(settings))));
    builder.set_auth(Secrets(Arc::clone(directory)));
    builder.set_access(OnlyForms);
    builder.set_host(Hosts(adapter.domains.clone()));
    builder.set_route(adapter.clone());
    builder.set_validation(AnyName);
    builder.build()
}

fn adapter_config(config: &S3EdgeConfig) -> S3Config {
    let mut settings = S3Config::default();
    settings.xml_max_body_size = config.document_len_bytes_max;
    settings.post_object_max_file_size = OBJECT_LEN_BYTES_MAX;
    // Bodies pass the adapter by, and the service bounds them.
    settings.put_object_max_size = None;
    settings.custom_route_max_body_size = None;
    settings.aws_chunked_stream_max_chunk_size = config.signed_chunk_len_bytes_max;
    settings.form_max_field_size = FORM_FIELDS_LEN_BYTES_MAX;
    settings.form_max_fields_size = FORM_FIELDS_LEN_BYTES_MAX;
    settings.form_max_parts = FORM_FIELD_COUNT_MAX;
    settings.sig_v4_allowed_services = vec!["s3".to_owned()];
    // Forms carry their scope where only the adapter looks.
    settings.expected_region = Region::new(config.region.as_str().into()).ok();
    settings.enable_sig_v2 = false;
    settings.operation_id_routing = false;
    settings
}

/// Bucket names are the service's to judge.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}
