//! Buckets as websites, on a port of their own.
//!
//! Owns [`WebsiteEdge`]. A host names the bucket, in front of a configured domain or by itself, and
//! browsers get pages: index documents, redirections, error documents and HTML.
//!
//! Invariants:
//! - nobody is anything but anonymous here: what a policy does not open to everyone is denied, by
//!   the same judgement as on the S3 port;
//! - nothing is written, and only `GET`, `HEAD` and preflights are answered;
//! - a page is read as `GetObject` reads it, with its ranges and conditions.
//!
//! Deliberately absent: credentials of any kind, versions, overridden headers, and objects whose key
//! the client must send.

mod page;
mod routing;
mod visit;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use tokio::net::TcpListener;

use self::visit::Visit;
use crate::{
    adapter::Context,
    answer::Answer,
    call::Gateway,
    config::S3EdgeConfig,
    cors::{self, Crossing},
    error::{Code, ErrorPlace, Failure, Outcome},
    exchange::{self, BoxError, Exchanges, Peer, ReportedBody, respond},
    percent,
    port::{self, Answers, ServeError},
    target::{Domains, Target, without_port},
    tls::TlsConfig,
};

/// What `HEAD` and `GET` are called in metrics and the access log.
const OPERATIONS: [&str; 2] = ["WebsiteHead", "WebsiteGet"];

/// Websites over HTTP. Made by [`S3Edge::website`](crate::S3Edge::website).
pub struct WebsiteEdge {
    site: Arc<Site>,
    config: S3EdgeConfig,
}

impl WebsiteEdge {
    /// An edge to the buckets of `gateway`, which `exchanges` are shared with.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        exchanges: Arc<Exchanges>,
        domains: &[String],
        config: S3EdgeConfig,
    ) -> Self {
        let site = Site { gateway, exchanges, domains: Domains::new(domains) };
        Self { site: Arc::new(site), config }
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
        port::serve(self.site, self.config, listener, tls, shutdown).await
    }
}

/// What answers browsers.
struct Site {
    gateway: Arc<Gateway>,
    exchanges: Arc<Exchanges>,
    domains: Domains,
}

impl Answers for Site {
    async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<ReportedBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let mut exchange = self.exchanges.begin(&parts, body, peer);
        let target = self.target(&parts);
        let service = &self.gateway.service;
        self.exchanges.log(&mut exchange, service, &parts, &target).await;
        let context = &exchange.context;
        let crossing = Crossing::of(&parts.method, &parts.headers);
        let answer = self.page(&parts, context).await;
        let mut response = respond(Ok(answer), context);
        if let Some(crossing) = crossing {
            let bucket = self.bucket(&parts);
            crossing.tell(&self.gateway, &bucket, response.headers_mut()).await;
        }
        self.exchanges.end(exchange, response).await
    }

    fn answer_unparsed(&self, failure: Failure, head: bool) -> Vec<u8> {
        self.exchanges.answer_unparsed(failure, head, page::HTML, |failure, place| {
            page::error(failure, None, place)
        })
    }
}

impl Site {
    /// What a browser is shown.
    async fn page(&self, parts: &Parts, context: &Context) -> Answer {
        match self.found(parts, context).await {
            Ok(answer) => answer,
            Err(failure) => page::answer(&failure, None, &place(context)),
        }
    }

    async fn found(&self, parts: &Parts, context: &Context) -> Outcome<Answer> {
        self.exchanges.check(parts)?;
        let bucket = self.bucket(parts);
        let key = percent::decode(parts.uri.path()).ok_or(Code::InvalidUri)?;
        let key = key.strip_prefix('/').ok_or(Code::InvalidUri)?;
        if parts.method == Method::OPTIONS {
            let _ = context.findings.operation.set(cors::PREFLIGHT);
            let target = target(bucket, key);
            return cors::preflight(&self.gateway, &parts.headers, &target).await;
        }
        let head = parts.method == Method::HEAD;
        if !head && parts.method != Method::GET {
            let allow = HeaderValue::from_static("GET, HEAD, OPTIONS");
            return Err(Failure::new(Code::MethodNotAllowed)
                .detail("Method", parts.method.as_str())
                .detail("ResourceType", if key.is_empty() { "BUCKET" } else { "OBJECT" })
                .header(header::ALLOW, allow));
        }
        let _ = context.findings.operation.set(OPERATIONS[usize::from(!head)]);
        let bucket = self.gateway.service.bucket(&bucket).await?;
        let website = bucket.configs.website.clone().ok_or_else(|| {
            Failure::new(Code::NoSuchWebsiteConfiguration).detail("BucketName", &*bucket.name)
        })?;
        let visit = Visit {
            gateway: &self.gateway,
            context,
            bucket,
            parts,
            key,
            host: exchange::host(parts).unwrap_or_default(),
            head,
        };
        Ok(visit.answer(&website).await)
    }

    /// What is visited.
    fn target(&self, parts: &Parts) -> Target {
        let key = percent::decode(parts.uri.path()).unwrap_or_default();
        target(self.bucket(parts), key.strip_prefix('/').unwrap_or(&key))
    }

    /// The bucket that the host names: before one of the domains, or by itself.
    fn bucket(&self, parts: &Parts) -> String {
        let host = exchange::host(parts).unwrap_or_default();
        self.domains.bucket_of(host).unwrap_or_else(|| without_port(host).to_lowercase())
    }
}

fn target(bucket: String, key: &str) -> Target {
    match key {
        "" => Target::Bucket { bucket },
        _ => Target::Object { bucket, key: key.to_owned() },
    }
}

fn place(context: &Context) -> ErrorPlace<'_> {
    ErrorPlace {
        resource: &context.path,
        request_id: &context.request_id,
        host_id: &context.host_id,
    }
}

/// An answer without a body that sends the client elsewhere.
fn elsewhere(status: u16, location: &str) -> Outcome<Answer> {
    let status = http::StatusCode::from_u16(status).map_err(|_| Code::InternalError)?;
    let mut answer = Answer::empty(status);
    answer.set("location", location)?;
    Ok(answer)
}

/// The bytes of an answer made here.
fn document(answer: &mut Answer, html: String) {
    answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page::HTML));
    answer.body = crate::answer::AnswerBody::Document(html);
}
