//! One request and its answer, on whichever port: what they have whoever answers.
//!
//! Names the request, refuses what is too large to look at, takes the body aside, dates the answer,
//! and reports.
//!
//! Invariants:
//! - every answer carries `x-amz-request-id` and `x-amz-id-2`; only what the HTTP library refuses
//!   behind another request comes without;
//! - an answer to `HEAD` has no body;
//! - what a refused request left unread is drained within bounds, so that the client gets to read
//!   the answer and the connection lives on.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gateway_object::ObjectService;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header,
    request::Parts,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use node_proto::{Clock, UnixMillis};
use s3s::Body;

use crate::{
    access_line::{self, Encryption},
    adapter::{Context, rendered},
    answer::Answer,
    body::BodySlot,
    convert,
    error::{Code, ErrorPlace, Failure, Outcome},
    request_id::RequestIds,
    target::Target,
    telemetry::{Findings, Report},
};

/// Why a body ends early.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");
const SERVER: HeaderValue = HeaderValue::from_static("DataMesh");

/// Most header lines of a request. S3 needs fewer than its 2 KiB of metadata can name; chosen.
pub(crate) const HEADER_COUNT_MAX: usize = 256;
/// Most bytes of a refused request's body that are drained: clients that write before they read
/// would meet a closed connection instead of the answer. Chosen: above the parts that SDKs and
/// backup tools send (5 to 16 MiB), far below an object.
const DRAIN_BYTES_MAX: u64 = 32 << 20;
/// Longest time to drain. Chosen: such a part on a slow network.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: SocketAddr,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
    /// How, where it is known.
    pub(crate) encryption: Option<Encryption>,
}

/// What the exchanges of every port have in common.
pub(crate) struct Exchanges {
    /// Names for requests.
    pub(crate) ids: RequestIds,
    /// What answers are dated by.
    pub(crate) clock: Arc<dyn Clock>,
    /// Most bytes of headers and path.
    pub(crate) header_len_bytes_max: usize,
}

/// A request being answered.
pub(crate) struct Exchange {
    /// What the layers below are told.
    pub(crate) context: Context,
    report: Report,
    encryption: Option<Encryption>,
    head: bool,
    waits: bool,
    persists: bool,
}

impl Exchanges {
    /// Begins to answer a request.
    pub(crate) fn begin<B>(&self, parts: &Parts, body: B, peer: Peer) -> Exchange
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let context = Context {
            request_id: self.ids.next().into(),
            host_id: self.ids.host_id().into(),
            body: BodySlot::new(body.map_err(Into::into).boxed_unsync()),
            findings: Arc::new(Findings::default()),
            secure: peer.secure,
            peer: peer.address.ip(),
            path: parts.uri.path().into(),
        };
        let report = report(parts, peer.address, &context).begin();
        let has_body = parts.headers.get(header::CONTENT_LENGTH).is_none_or(|len| len != "0");
        Exchange {
            context,
            report,
            encryption: peer.encryption,
            head: parts.method == Method::HEAD,
            waits: has_body && parts.headers.contains_key(header::EXPECT),
            persists: parts.version == Version::HTTP_11,
        }
    }

    /// Has the answer told in the access log of the bucket that is addressed, if it has one.
    pub(crate) async fn log(
        &self,
        exchange: &mut Exchange,
        service: &ObjectService,
        parts: &Parts,
        target: &Target,
    ) {
        let encryption = exchange.encryption;
        let entry = access_line::Entry::of(service, self.now(), parts, target, encryption);
        exchange.report.logged = entry.await;
    }

    /// The time.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Refuses what is refused before anything else looks at it.
    ///
    /// # Errors
    /// `RequestURITooLong`, `RequestHeaderSectionTooLarge`, `BadRequest`.
    pub(crate) fn check(&self, parts: &Parts) -> Outcome<()> {
        let uri_len = parts.uri.path_and_query().map_or(0, |uri| uri.as_str().len());
        if uri_len > self.header_len_bytes_max {
            return Err(Failure::new(Code::UriTooLong));
        }
        let line_len =
            |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        let header_len: usize = parts.headers.iter().map(line_len).sum();
        let too_many = parts.headers.len() > HEADER_COUNT_MAX;
        if too_many || header_len + uri_len > self.header_len_bytes_max {
            return Err(self.headers_too_large());
        }
        check_host(parts)
    }

    fn headers_too_large(&self) -> Failure {
        Failure::new(Code::RequestHeaderSectionTooLarge)
            .detail("MaxSizeAllowed", self.header_len_bytes_max.to_string())
    }

    /// Completes an answer.
    pub(crate) async fn end(
        &self,
        exchange: Exchange,
        mut response: Response<Body>,
    ) -> Response<ReportedBody> {
        let Exchange { context, report, head, waits, persists, encryption: _ } = exchange;
        if head {
            *response.body_mut() = Body::empty();
        }
        // A client that waits to be told to go on has sent nothing; reading would tell it to.
        let is_withheld = waits && !context.body.is_started();
        if is_withheld && persists {
            // Whether the body still comes is the client's choice, so what it sends next could be
            // either; the connection must not be used again.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if is_error(response.status()) && !is_withheld {
            context.body.drain(DRAIN_BYTES_MAX, DRAIN_TIMEOUT).await;
        }
        let date = HeaderValue::try_from(convert::http_date(self.now()));
        response.headers_mut().insert(header::DATE, date.expect("a date is ASCII"));
        finish(response, &context, report)
    }

    /// The whole answer to what is no request, as HTTP/1.1 writes it. `write` makes the document,
    /// of the type given.
    pub(crate) fn answer_unparsed(
        &self,
        failure: Failure,
        head: bool,
        content_type: &str,
        write: impl FnOnce(&Failure, &ErrorPlace<'_>) -> String,
    ) -> Vec<u8> {
        let failure = match failure.code() {
            Code::RequestHeaderSectionTooLarge => self.headers_too_large(),
            _ => failure,
        };
        let (request_id, host_id) = (self.ids.next(), self.ids.host_id());
        let place = ErrorPlace { resource: "", request_id: &request_id, host_id };
        let document = write(&failure, &place);
        let date = convert::http_date(self.now());
        let mut answer = format!(
            "HTTP/1.1 {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             x-amz-request-id: {request_id}\r\nx-amz-id-2: {host_id}\r\nserver: DataMesh\r\n\
             date: {date}\r\nconnection: close\r\n\r\n",
            failure.code().status(),
            document.len(),
        );
        if !head {
            answer.push_str(&document);
        }
        answer.into_bytes()
    }
}

/// An answer that does not pass through the adapter.
pub(crate) fn respond(answer: Outcome<Answer>, context: &Context) -> Response<Body> {
    let rendered = rendered(answer, context, false);
    let mut response = Response::new(rendered.output);
    *response.status_mut() = rendered.status.unwrap_or_default();
    *response.headers_mut() = rendered.headers;
    response
}

/// Host and port as the client used them, by the rule of the adapter: what is judged, logged and
/// performed is of one bucket.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // From HTTP/2 on the target has the host. Before, the header is what counts, whatever form the
    // target has.
    let authority = parts.uri.authority().filter(|_| parts.version >= Version::HTTP_2);
    named.or_else(|| authority.map(http::uri::Authority::as_str))
}

/// Whether a status tells of an error.
pub(crate) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// RFC 9112, section 3.2: a request names its host once, and it is one.
fn check_host(parts: &Parts) -> Outcome<()> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let valid = |host: &HeaderValue| http::uri::Authority::try_from(host.as_bytes()).is_ok();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if valid(host) => Ok(()),
        (None, None) if parts.version != Version::HTTP_11 => Ok(()),
        _ => Err(Failure::new(Code::BadRequest)),
    }
}

fn report(parts: &Parts, peer: SocketAddr, context: &Context) -> Report {
    let user_agent = parts.headers.get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or("-");
    Report {
        started: Instant::now(),
        request_id: context.request_id.to_string(),
        host_id: Arc::clone(&context.host_id),
        peer,
        method: parts.method.to_string(),
        path: context.path.to_string(),
        user_agent: user_agent.to_owned(),
        findings: Arc::clone(&context.findings),
        body: context.body.clone(),
        status: StatusCode::INTERNAL_SERVER_ERROR,
        sent_bytes: 0,
        whole: false,
        answered: None,
        object_len_bytes: None,
        logged: None,
    }
}

fn finish(
    response: Response<Body>,
    context: &Context,
    mut report: Report,
) -> Response<ReportedBody> {
    report.status = response.status();
    report.answered = Some(Instant::now());
    if report.logged.is_some() {
        report.object_len_bytes =
            access_line::object_len(response.status().as_u16(), response.headers());
        // Pages of websites tell their error there.
        if let Some(Ok(code)) = response.headers().get("x-amz-error-code").map(HeaderValue::to_str)
        {
            let _ = report.findings.error_code.set(code.to_owned());
        }
    }
    let (mut parts, inner) = response.into_parts();
    name_request(&mut parts.headers, context);
    Response::from_parts(parts, ReportedBody { inner, report })
}

fn name_request(headers: &mut HeaderMap, context: &Context) {
    let ids = [(REQUEST_ID, &context.request_id), (ID_2, &context.host_id)];
    for (name, id) in ids {
        let value = HeaderValue::from_str(id).expect("ids are hex digits and base64");
        headers.insert(name, value);
    }
    headers.insert(header::SERVER, SERVER);
}

/// An answer's body that reports the request once it is gone.
pub(crate) struct ReportedBody {
    inner: Body,
    report: Report,
}

impl http_body::Body for ReportedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let len_bytes = frame.data_ref().map_or(0, Bytes::len);
                self.report.sent_bytes += len_bytes as u64;
            }
            Poll::Ready(Some(Err(error))) => {
                let request_id = &self.report.request_id;
                tracing::error!(%error, %request_id, "an answer was cut short");
            }
            Poll::Ready(None) => self.report.whole = true,
            Poll::Pending => {}
        }
        if self.inner.is_end_stream() {
            self.report.whole = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
