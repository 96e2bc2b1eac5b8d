//! The outermost layer: what every answer has, whoever wrote it.
//!
//! Names the request, refuses what is too large to look at, takes the body aside, hands the rest to
//! the adapter, translates the adapter's errors into this crate's documents, and reports.
//!
//! Invariants:
//! - every answer carries `x-amz-request-id` and `x-amz-id-2`, and every error document repeats
//!   them; only what the HTTP library refuses behind another request comes without;
//! - an answer to `HEAD` has no body;
//! - what a refused request left unread is drained within bounds, so that the client gets to read
//!   the answer and the connection lives on.
//!
//! *Cancellation:* a client that goes away drops the request; what it had stored by then is the
//! service's to give back.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use node_proto::Clock;
use s3s::{Body, service::S3Service};

use crate::{
    adapter::{Context, Ours, is_form},
    body::{BodySlot, is_signed_stream},
    claim::{self, Claim},
    convert,
    error::{self, Code, ErrorPlace, Failure, Outcome},
    explain::{Claims, explain_form},
    request_id::RequestIds,
    stall::PaceLimits,
    telemetry::{Findings, Report},
    xml,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");
const SERVER: HeaderValue = HeaderValue::from_static("DataMesh");
const APPLICATION_XML: HeaderValue = HeaderValue::from_static("application/xml");

/// Most header lines of a request. S3 needs fewer than its 2 KiB of metadata can name; chosen.
pub(crate) const HEADER_COUNT_MAX: usize = 256;
/// Bytes of a form that are kept for the fields the adapter leaves out: all fields it accepts, and
/// their heads.
const FORM_START_LEN_BYTES: usize = 256 << 10;
/// Most bytes of a refused request's body that are drained: clients that write before they read
/// would meet a closed connection instead of the answer. Chosen: above the parts that SDKs and
/// backup tools send (5 to 16 MiB), far below an object.
const DRAIN_BYTES_MAX: u64 = 32 << 20;
/// Longest time to drain. Chosen: such a part on a slow network.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest error document of the adapter's. They are a few hundred bytes; chosen.
const FOREIGN_ERROR_LEN_BYTES_MAX: usize = 64 << 10;

/// The outermost layer.
pub(crate) struct Front {
    /// The adapter.
    pub(crate) inner: S3Service,
    /// The adapter for forms, whose policies say how long their signatures are valid.
    pub(crate) forms: S3Service,
    /// Names for requests.
    pub(crate) ids: RequestIds,
    /// What answers are dated by.
    pub(crate) clock: Arc<dyn Clock>,
    /// Most bytes of headers and path.
    pub(crate) header_len_bytes_max: usize,
    /// The region that signatures must be for.
    pub(crate) region: String,
    /// How slowly a body may arrive.
    pub(crate) pace: PaceLimits,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: SocketAddr,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
}

impl Front {
    /// Answers a request.
    pub(crate) async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<ReportedBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let context = Context {
            request_id: self.ids.next().into(),
            host_id: self.ids.host_id().into(),
            body: BodySlot::new(body.map_err(Into::into).boxed_unsync()),
            findings: Arc::new(Findings::default()),
            secure: peer.secure,
            path: parts.uri.path().into(),
        };
        let report = report(&parts, peer.address, &context).begin();
        let method = parts.method.clone();
        let has_body = parts.headers.get(header::CONTENT_LENGTH).is_none_or(|len| len != "0");
        let waits = has_body && parts.headers.contains_key(header::EXPECT);
        let persists = parts.version == Version::HTTP_11;
        let mut response = match self.refuse(&parts) {
            Err(failure) => respond(&failure, &context),
            Ok(()) => self.pass_on(parts, &context).await,
        };
        if method == Method::HEAD {
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
        let date = HeaderValue::try_from(convert::http_date(self.clock.now()));
        response.headers_mut().insert(header::DATE, date.expect("a date is ASCII"));
        finish(response, &context, report)
    }

    /// The whole answer to what is no request, as HTTP/1.1 writes it; the connection ends with it.
    pub(crate) fn answer_unparsed(&self, failure: Failure, head: bool) -> Vec<u8> {
        let failure = match failure.code() {
            Code::RequestHeaderSectionTooLarge => self.headers_too_large(),
            _ => failure,
        };
        let (request_id, host_id) = (self.ids.next(), self.ids.host_id());
        let place = ErrorPlace { resource: "", request_id: &request_id, host_id };
        let document = failure.document(&place);
        let date = convert::http_date(self.clock.now());
        let mut answer = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
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

    fn headers_too_large(&self) -> Failure {
        Failure::new(Code::RequestHeaderSectionTooLarge)
            .detail("MaxSizeAllowed", self.header_len_bytes_max.to_string())
    }

    /// What is refused before anything else looks at it.
    fn refuse(&self, parts: &http::request::Parts) -> Outcome<()> {
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
        check_host(parts)?;
        if parts.method == Method::OPTIONS {
            return Err(preflight(parts));
        }
        // The adapter would hold a form of unknown length in memory to find out.
        let form = is_form(&parts.method, &parts.headers);
        if form && !parts.headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Failure::new(Code::MissingContentLength));
        }
        claim::check(Claim { headers: &parts.headers, query: parts.uri.query() }, &self.region)
    }

    async fn pass_on(&self, mut parts: http::request::Parts, context: &Context) -> Response<Body> {
        parts.extensions.insert(context.clone());
        let form = is_form(&parts.method, &parts.headers);
        if form {
            context.body.keep_first(FORM_START_LEN_BYTES);
        }
        let body = match form || is_signed_stream(&parts.headers) {
            true => Body::http_body_unsync(context.body.open(self.pace)),
            false => Body::empty(),
        };
        let claims = Claims::of(&parts).filter(|_| !form);
        let content_type = parts.headers.get(header::CONTENT_TYPE).filter(|_| form).cloned();
        let adapter = if form { &self.forms } else { &self.inner };
        let response = match adapter.call(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            // The adapter refuses a form in its words, and cannot write control characters.
            Err(_) if form && !is_taken(context) => respond(&unspeakable_form(), context),
            Err(error) => {
                tracing::error!(%error, "the S3 adapter failed");
                respond(&Failure::new(Code::InternalError), context)
            }
        };
        if response.extensions().get::<Ours>().is_some() || !is_error(response.status()) {
            return response;
        }
        let explain = |code: &str, message: &str| match (&claims, form) {
            (Some(claims), _) => claims.explain(code, message, self.clock.now()),
            (None, true) => {
                explain_form(code, message, content_type.as_ref(), &context.body.kept())
            }
            (None, false) => None,
        };
        translate(response, context, explain).await
    }
}

/// Whether the adapter has handed the request over.
fn is_taken(context: &Context) -> bool {
    context.findings.operation.get().is_some()
}

fn unspeakable_form() -> Failure {
    Failure::invalid_request("The form or its policy holds control characters.")
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// RFC 9112, section 3.2: a request names its host once, and it is one.
fn check_host(parts: &http::request::Parts) -> Outcome<()> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let valid = |host: &HeaderValue| http::uri::Authority::try_from(host.as_bytes()).is_ok();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if valid(host) => Ok(()),
        (None, None) if parts.version != Version::HTTP_11 => Ok(()),
        _ => Err(Failure::new(Code::BadRequest)),
    }
}

/// What a browser is told that asks whether a script may send a request: no bucket lets any.
fn preflight(parts: &http::request::Parts) -> Failure {
    let asked = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    match (parts.headers.get(header::ORIGIN), asked.and_then(|method| method.to_str().ok())) {
        (Some(_), Some(method)) => Failure::new(Code::AccessForbidden).detail("Method", method),
        (Some(_), None) => {
            Failure::with_message(Code::BadRequest, "Invalid Access-Control-Request-Method: null")
        }
        (None, _) => Failure::with_message(
            Code::BadRequest,
            "Insufficient information. Origin request header needed.",
        ),
    }
}

fn place(context: &Context) -> ErrorPlace<'_> {
    ErrorPlace {
        resource: &context.path,
        request_id: &context.request_id,
        host_id: &context.host_id,
    }
}

fn respond(failure: &Failure, context: &Context) -> Response<Body> {
    let mut response = Response::new(Body::from(failure.document(&place(context))));
    *response.status_mut() = failure.code().status();
    *response.headers_mut() = failure.headers().clone();
    response.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_XML);
    response.extensions_mut().insert(Ours);
    response
}

/// Rewrites an error of the adapter's as one of ours. `explain` knows more about some.
async fn translate(
    response: Response<Body>,
    context: &Context,
    explain: impl FnOnce(&str, &str) -> Option<Failure>,
) -> Response<Body> {
    let (mut parts, mut body) = response.into_parts();
    let bytes = body.store_all_limited(FOREIGN_ERROR_LEN_BYTES_MAX).await.unwrap_or_default();
    let root = xml::parse(&bytes).unwrap_or_default();
    let code = root.child_text("Code").unwrap_or(match parts.status {
        StatusCode::NOT_IMPLEMENTED => Code::NotImplemented.name(),
        status if status.is_client_error() => Code::InvalidRequest.name(),
        _ => Code::InternalError.name(),
    });
    let message = root.child_text("Message").unwrap_or_default();
    if let Some(failure) = explain(code, message) {
        return respond(&failure, context);
    }
    // The adapter calls a form that breaks its policy a bad policy; S3 denies access.
    let breaks_policy = code == "InvalidPolicyDocument"
        && (message.starts_with("Policy condition") || message.starts_with("Bucket in form field"));
    let (code, message) = match (code, breaks_policy) {
        (_, true) => {
            parts.status = StatusCode::FORBIDDEN;
            ("AccessDenied", format!("Invalid according to Policy: {message}"))
        }
        ("InternalError" | "ServiceUnavailable", _) => (code, Code::InternalError.message().into()),
        _ => (code, message.to_owned()),
    };
    let document = error::document(code, &message, &[], &place(context));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, APPLICATION_XML);
    Response::from_parts(parts, Body::from(document))
}

fn report(parts: &http::request::Parts, peer: SocketAddr, context: &Context) -> Report {
    let user_agent = parts.headers.get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or("-");
    Report {
        started: Instant::now(),
        request_id: context.request_id.to_string(),
        peer,
        method: parts.method.to_string(),
        path: context.path.to_string(),
        user_agent: user_agent.to_owned(),
        findings: Arc::clone(&context.findings),
        body: context.body.clone(),
        status: StatusCode::INTERNAL_SERVER_ERROR,
        sent_bytes: 0,
        whole: false,
    }
}

fn finish(
    response: Response<Body>,
    context: &Context,
    mut report: Report,
) -> Response<ReportedBody> {
    report.status = response.status();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            request_id: "R".into(),
            host_id: "H".into(),
            body: BodySlot::default(),
            findings: Arc::default(),
            secure: false,
            path: "/b/k".into(),
        }
    }

    async fn translated(status: StatusCode, xml: &str) -> (StatusCode, String) {
        let mut response = Response::new(Body::from(xml.to_owned()));
        *response.status_mut() = status;
        let response = translate(response, &context(), |_, _| None).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn errors_of_the_adapter_get_ids_and_resource() {
        let xml = "<Error><Code>SignatureDoesNotMatch</Code><Message>a&amp;b</Message></Error>";
        let (status, document) = translated(StatusCode::FORBIDDEN, xml).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(document.ends_with(
            "<Error><Code>SignatureDoesNotMatch</Code><Message>a&amp;b</Message>\
             <Resource>/b/k</Resource><RequestId>R</RequestId><HostId>H</HostId></Error>"
        ));
    }

    #[tokio::test]
    async fn form_that_breaks_its_policy_is_denied() {
        let xml = "<Error><Code>InvalidPolicyDocument</Code>\
                   <Message>Policy condition 'eq' for field 'key' failed</Message></Error>";
        let (status, document) = translated(StatusCode::BAD_REQUEST, xml).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(document.contains("<Code>AccessDenied</Code>"));
        let unreadable = "<Error><Code>InvalidPolicyDocument</Code><Message>x</Message></Error>";
        let (status, _) = translated(StatusCode::BAD_REQUEST, unreadable).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn bodiless_errors_of_the_adapter_get_a_document() {
        let (status, document) = translated(StatusCode::NOT_IMPLEMENTED, "").await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert!(document.contains("<Code>NotImplemented</Code>"));
    }

    #[tokio::test]
    async fn internals_of_the_adapter_are_not_told() {
        let xml = "<Error><Code>InternalError</Code><Message>secret</Message></Error>";
        let (_, document) = translated(StatusCode::INTERNAL_SERVER_ERROR, xml).await;
        assert!(!document.contains("secret"));
    }
}
