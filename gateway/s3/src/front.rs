//! The outermost layer of the S3 port.
//!
//! Refuses what is too large to look at, answers preflights, hands the rest to the adapter,
//! translates the adapter's errors into this crate's documents, and tells pages of other origins
//! what they may see. What every answer has is `exchange`'s business.
//!
//! *Cancellation:* a client that goes away drops the request; what it had stored by then is the
//! service's to give back.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use s3s::{Body, service::S3Service};

use crate::{
    adapter::{Context, Ours, is_form},
    body::is_signed_stream,
    call::Gateway,
    claim::{self, Accepts, Claim},
    cors::{self, Crossing},
    error::{self, Code, ErrorPlace, Failure, Outcome},
    exchange::{self, BoxError, Exchanges, Peer, ReportedBody, is_error},
    explain::{Claims, explain_form, unknown_key},
    port::Answers,
    sig_v2::{self, Presented},
    stall::PaceLimits,
    target::{self, Domains, Target},
    xml,
};

const APPLICATION_XML: HeaderValue = HeaderValue::from_static("application/xml");

/// Bytes of a form that are kept for the fields the adapter leaves out: all fields it accepts, and
/// their heads.
const FORM_START_LEN_BYTES: usize = 256 << 10;
/// Longest error document of the adapter's. They are a few hundred bytes; chosen.
const FOREIGN_ERROR_LEN_BYTES_MAX: usize = 64 << 10;

/// The outermost layer.
pub(crate) struct Front {
    /// What it shares with other ports.
    pub(crate) exchanges: Arc<Exchanges>,
    /// The adapter.
    pub(crate) inner: S3Service,
    /// The adapter for forms, whose policies say how long their signatures are valid.
    pub(crate) forms: S3Service,
    /// What preflights are answered from.
    pub(crate) gateway: Arc<Gateway>,
    /// Base domains of virtual hosts.
    pub(crate) domains: Domains,
    /// The region that signatures must be for.
    pub(crate) region: String,
    /// Whether signatures of version 2 are looked at.
    pub(crate) allow_signature_v2: bool,
    /// How slowly a body may arrive.
    pub(crate) pace: PaceLimits,
}

impl Answers for Front {
    async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<ReportedBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let mut exchange = self.exchanges.begin(&parts, body, peer);
        if let Ok(target) = self.target(&parts) {
            let service = &self.gateway.service;
            self.exchanges.log(&mut exchange, service, &parts, &target).await;
        }
        let context = &exchange.context;
        let crossing = Crossing::of(&parts.method, &parts.headers);
        let crossing = crossing.zip(self.target(&parts).ok());
        let mut response = match self.refuse(&parts) {
            Err(failure) => respond(&failure, context),
            Ok(()) if parts.method == Method::OPTIONS => self.preflight(&parts, context).await,
            Ok(()) => self.pass_on(parts, context).await,
        };
        if let Some((crossing, target)) = crossing {
            crossing.tell(&self.gateway, target.bucket(), response.headers_mut()).await;
        }
        self.exchanges.end(exchange, response).await
    }

    fn answer_unparsed(&self, failure: Failure, head: bool) -> Vec<u8> {
        self.exchanges.answer_unparsed(failure, head, "application/xml", Failure::document)
    }
}

impl Front {
    /// What is refused before anything else looks at it.
    fn refuse(&self, parts: &Parts) -> Outcome<()> {
        self.exchanges.check(parts)?;
        // A preflight carries no signature.
        if parts.method == Method::OPTIONS {
            return Ok(());
        }
        // The adapter would hold a form of unknown length in memory to find out.
        let form = is_form(&parts.method, &parts.headers);
        if form && !parts.headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Failure::new(Code::MissingContentLength));
        }
        let accepts = Accepts { region: &self.region, version_2: self.allow_signature_v2 };
        claim::check(Claim { headers: &parts.headers, query: parts.uri.query() }, accepts)
    }

    /// Verifies a signature of version 2 where those are allowed. The adapter verifies all others.
    fn verify_version_2(&self, parts: &mut Parts) -> Outcome<()> {
        if !self.allow_signature_v2 || is_form(&parts.method, &parts.headers) {
            return Ok(());
        }
        let bucket = exchange::host(parts).and_then(|host| self.domains.bucket_of(host));
        let Some(presented) = Presented::read(parts, bucket.as_deref(), self.exchanges.now())?
        else {
            return Ok(());
        };
        let found = self.gateway.directory.resolve(presented.access_key());
        let credentials = found.map_err(|error| {
            tracing::error!(%error, "an access key cannot be looked up");
            Failure::new(Code::ServiceUnavailable)
        })?;
        let credentials = credentials.ok_or_else(|| unknown_key(presented.access_key()))?;
        let signed_by = presented.verify(credentials.secret.expose())?;
        sig_v2::strip(parts);
        parts.extensions.insert(signed_by);
        Ok(())
    }

    fn target(&self, parts: &Parts) -> Outcome<Target> {
        target::find(&self.domains, exchange::host(parts), parts.uri.path())
    }

    /// Answers a browser that asks whether a page may send a request.
    async fn preflight(&self, parts: &Parts, context: &Context) -> Response<Body> {
        let _ = context.findings.operation.set(cors::PREFLIGHT);
        // The server as a whole is no bucket, which is what the failure says.
        let target = self.target(parts).unwrap_or(Target::Service);
        let answer = cors::preflight(&self.gateway, &parts.headers, &target).await;
        exchange::respond(answer, context)
    }

    async fn pass_on(&self, mut parts: Parts, context: &Context) -> Response<Body> {
        if let Err(failure) = self.verify_version_2(&mut parts) {
            return respond(&failure, context);
        }
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
            (Some(claims), _) => claims.explain(code, message, self.exchanges.now()),
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

fn place(context: &Context) -> ErrorPlace<'_> {
    ErrorPlace {
        resource: &context.path,
        request_id: &context.request_id,
        host_id: &context.host_id,
    }
}

fn respond(failure: &Failure, context: &Context) -> Response<Body> {
    let _ = context.findings.error_code.set(failure.code().name().to_owned());
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
    let message = match code {
        "InternalError" | "ServiceUnavailable" => Code::InternalError.message(),
        _ => message,
    };
    let _ = context.findings.error_code.set(code.to_owned());
    let document = error::document(code, message, &[], &place(context));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, APPLICATION_XML);
    Response::from_parts(parts, Body::from(document))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::body::BodySlot;

    fn context() -> Context {
        Context {
            request_id: "R".into(),
            host_id: "H".into(),
            body: BodySlot::default(),
            findings: Arc::default(),
            secure: false,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
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
