//! The seam to the S3 adapter, `s3s`: who signs, and what happens once a signature is verified.
//!
//! The adapter is used for what it is careful at — signatures of every kind, signed chunks, forms
//! and their policies — and for nothing else: it refuses ranges, dates and lists of ETags that HTTP
//! wants ignored or accepted, drops and refuses parts of documents, cannot write every key, and
//! takes unknown sub-resources for the operation without them. So one custom route claims every
//! request but forms, after verification, and the operations are told apart, authorized, read and
//! answered here.
//!
//! Invariants:
//! - deny by default: a request reaches an operation only through [`Adapter::verified`] or
//!   [`Adapter::form`], and both authorize it first;
//! - the adapter's own operations are unreachable: its access check refuses all but forms;
//! - the client chooses no operation but by what the signature covers (`x-id` is ignored).

use std::{net::IpAddr, sync::Arc};

use futures::StreamExt as _;
use gateway_iam::{Action, Decision, Directory, PolicyContext, Principal, Resource, authorize};
use gateway_meta::AccountId;
use gateway_object::Bucket;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use parking_lot::Mutex;
use s3s::{
    Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{Credentials, S3Auth, SecretKey},
    dto::{ETag, PostObjectInput, PostObjectOutput},
    host::{S3Host, VirtualHost},
    route::S3Route,
};

use crate::{
    answer::{Answer, AnswerBody},
    asked::Asked,
    authorization::{self, Evidence, Needs, Rules, needs},
    body::{BodySlot, Payload, is_signed_stream, promises_checksum},
    call::{Call, Gateway, Origin, check_owner},
    error::{Code, ErrorPlace, Failure, Outcome},
    header as request_header,
    operation::{self, Operation, Shape},
    ops::{self, object_read::OVERRIDES, payment},
    query::Query,
    sig_v2::{SignedBy, SignedIn},
    sse,
    target::{self, Domains, Target},
    telemetry::Findings,
};

/// What the front knows of a request, handed through the adapter.
#[derive(Clone)]
pub(crate) struct Context {
    /// `x-amz-request-id`.
    pub(crate) request_id: Arc<str>,
    /// `x-amz-id-2`.
    pub(crate) host_id: Arc<str>,
    /// The body, taken aside.
    pub(crate) body: BodySlot,
    /// What telemetry wants to know.
    pub(crate) findings: Arc<Findings>,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// The path as it came.
    pub(crate) path: Arc<str>,
}

/// Marks an answer as written by this crate rather than by the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Ours;

/// Whether a request is a browser's form, which the adapter parses.
pub(crate) fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    const FORM: &str = "multipart/form-data";
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let start = content_type.and_then(|content_type| content_type.trim_start().get(..FORM.len()));
    method == Method::POST && start.is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// Looks up secrets for the adapter.
pub(crate) struct Secrets(pub(crate) Arc<Directory>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.resolve(access_key) {
            Ok(Some(credentials)) => Ok(SecretKey::from(credentials.secret.expose())),
            Ok(None) => Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId)),
            Err(error) => {
                tracing::error!(%error, "an access key cannot be looked up");
                Err(S3Error::new(S3ErrorCode::ServiceUnavailable))
            }
        }
    }
}

/// Lets nothing but forms past the custom route.
pub(crate) struct OnlyForms;

#[async_trait::async_trait]
impl S3Access for OnlyForms {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        match context.s3_op().name() {
            "PostObject" => Ok(()),
            _ => Err(S3Error::new(S3ErrorCode::NotImplemented)),
        }
    }
}

/// Finds the bucket of a form posted to a virtual host.
pub(crate) struct Hosts(pub(crate) Domains);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.0.bucket_of(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

/// Answers verified requests.
#[derive(Clone)]
pub(crate) struct Adapter {
    /// What operations work with.
    pub(crate) gateway: Arc<Gateway>,
    /// Base domains of virtual hosts.
    pub(crate) domains: Domains,
}

#[async_trait::async_trait]
impl S3Route for Adapter {
    fn is_match(
        &self,
        method: &Method,
        _uri: &Uri,
        headers: &HeaderMap,
        _extensions: &mut http::Extensions,
    ) -> bool {
        !is_form(method, headers)
    }

    /// [`Adapter::verified`] authorizes, anonymous requests included.
    async fn check_access(&self, _request: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let context = context(&request.extensions)?;
        let head = request.method == Method::HEAD;
        let asked = Asked::of(&request.method, &request.uri, &request.headers);
        let answer = self.verified(request, &context).await;
        let answer = answer.map_err(|failure| asked.complete(failure, &self.domains));
        Ok(rendered(answer, &context, head))
    }
}

#[async_trait::async_trait]
impl S3 for Adapter {
    async fn post_object(
        &self,
        request: S3Request<PostObjectInput>,
    ) -> S3Result<S3Response<PostObjectOutput>> {
        let context = context(&request.extensions)?;
        let redirects = request.input.success_action_redirect.is_some();
        match self.form(request, &context).await {
            Ok(mut answer) => {
                if redirects {
                    // The adapter sends the client elsewhere.
                    answer.headers.remove(header::LOCATION);
                }
                let etag = answer.headers.get(header::ETAG);
                let etag = etag.and_then(|etag| etag.to_str().ok()).unwrap_or_default();
                let output = PostObjectOutput {
                    // With its quotes, as S3 writes it into redirects and documents.
                    e_tag: Some(ETag::Strong(etag.to_owned())),
                    ..PostObjectOutput::default()
                };
                Ok(S3Response::with_headers(output, answer.headers))
            }
            Err(failure) => Err(foreign(&failure)),
        }
    }
}

fn context(extensions: &http::Extensions) -> S3Result<Context> {
    let context = extensions.get::<Context>().cloned();
    context.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))
}

/// A failure in the adapter's words, for the front to translate back.
fn foreign(failure: &Failure) -> S3Error {
    let code = S3ErrorCode::Custom(failure.code().name().into());
    let mut error = S3Error::with_message(code, failure.message().to_owned());
    error.set_status_code(failure.code().status());
    error.set_headers(failure.headers().clone());
    error
}

/// A response of the adapter's kind.
pub(crate) fn rendered(answer: Outcome<Answer>, context: &Context, head: bool) -> S3Response<Body> {
    let (status, mut headers, body) = match answer {
        Ok(answer) => {
            let len_bytes = answer.len_bytes();
            let mut headers = answer.headers;
            let body = match answer.body {
                AnswerBody::Empty => Body::empty(),
                AnswerBody::Document(xml) => Body::from(xml),
                AnswerBody::Stream { stream, .. } => {
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len_bytes));
                    let frames = stream.map(|item| item.map(http_body::Frame::data));
                    Body::http_body_unsync(http_body_util::StreamBody::new(frames))
                }
            };
            (answer.status, headers, body)
        }
        Err(failure) => {
            let _ = context.findings.error_code.set(failure.code().name().to_owned());
            let place = ErrorPlace {
                resource: &context.path,
                request_id: &context.request_id,
                host_id: &context.host_id,
            };
            let mut headers = failure.headers().clone();
            let xml = HeaderValue::from_static("application/xml");
            headers.insert(header::CONTENT_TYPE, xml);
            let body = match head {
                true => Body::empty(),
                false => Body::from(failure.document(&place)),
            };
            (failure.code().status(), headers, body)
        }
    };
    headers.remove(header::TRANSFER_ENCODING);
    let mut response = S3Response::with_status(body, status);
    response.headers = headers;
    response.extensions.insert(Ours);
    response
}

impl Adapter {
    /// Answers a request whose signature, if any, is verified.
    async fn verified(&self, request: S3Request<Body>, context: &Context) -> Outcome<Answer> {
        let signed_by = request.extensions.get::<SignedBy>();
        let version_2 = signed_by.map(|signed_by| signed_by.place);
        let old_key = signed_by.map(|signed_by| signed_by.access_key.as_str());
        let principal = self.principal(old_key.or(access_key(&request.credentials)), context)?;
        let query = Query::parse(request.uri.query())?;
        let headers = effective_headers(request.headers, &query)?;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let target = target::find(&self.domains, host, request.uri.path())?;
        if principal == Principal::Anonymous {
            check_anonymous(&headers, &query)?;
        }
        let shape = Shape {
            method: &request.method,
            target: &target,
            copies: headers.contains_key("x-amz-copy-source"),
            form: false,
        };
        let operation = operation::route(shape, &query)?;
        let _ = context.findings.operation.set(operation.name());
        let from = Origin { peer: context.peer, secure: context.secure, version_2 };
        let mut evidence = Evidence::of(&headers, &query, from);
        evidence.operation = Some(operation);
        let needs = needs(operation, &headers, &query);
        let key = Some(target.key()).filter(|key| !key.is_empty());
        let admitted = self.admit(&principal, operation, &target, key, &needs, &evidence).await?;
        let charged = admitted.is_charged(&principal, &headers)?;
        let veil = Veil::of(&principal, &admitted);
        let payload = match is_signed_stream(&headers) {
            true => Payload::Verified {
                stream: request.input.boxed(),
                trailers: request.trailing_headers,
            },
            false => Payload::Raw(context.body.open(self.gateway.config.pace())),
        };
        let call = Call {
            gateway: &self.gateway,
            account: admitted.account,
            principal,
            from,
            rules: admitted.rules,
            origin: origin(host, context),
            headers,
            query,
            target,
            bucket: admitted.bucket,
            findings: Arc::clone(&context.findings),
            payload: Mutex::new(Some(payload)),
        };
        let mut answer =
            ops::perform(operation, call).await.map_err(|failure| veil.over(failure))?;
        if charged {
            payment::tell(&mut answer)?;
        }
        Ok(answer)
    }

    /// Stores a form's file; the adapter has verified signature and policy.
    async fn form(
        &self,
        request: S3Request<PostObjectInput>,
        context: &Context,
    ) -> Outcome<Answer> {
        let principal = self.principal(access_key(&request.credentials), context)?;
        let _ = context.findings.operation.set(Operation::PostObject.name());
        let query = Query::parse(request.uri.query())?;
        let target = Target::Bucket { bucket: request.input.bucket.clone() };
        let shape = Shape { method: &request.method, target: &target, copies: false, form: true };
        let operation = operation::route(shape, &query)?;
        if operation != Operation::PostObject {
            return Err(Failure::new(Code::MethodNotAllowed));
        }
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = origin(host, context);
        let text = |name: HeaderName| {
            let value = request.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default()
        };
        let start = context.body.kept();
        let form = ops::Form::read(request.input, text(header::CONTENT_TYPE), &start)?;
        let version_2 = form.is_version_2.then_some(SignedIn::Form);
        let from = Origin { peer: context.peer, secure: context.secure, version_2 };
        let mut evidence = Evidence::of(&form.headers, &query, from);
        evidence.form = true;
        evidence.operation = Some(operation);
        let about_form = |facts: &mut PolicyContext| {
            facts.add_if("aws:Referer", Some(text(header::REFERER)).filter(|it| !it.is_empty()));
            facts.add_if(
                "aws:UserAgent",
                Some(text(header::USER_AGENT)).filter(|it| !it.is_empty()),
            );
            if let Some(tags) = &form.tags {
                // They take the place of a header's.
                facts.forget("s3:RequestObjectTag");
                authorization::tag_facts(facts, tags);
            }
        };
        evidence.more = Some(&about_form);
        let mut needs = needs(operation, &form.headers, &query);
        if form.tags.is_some() {
            needs.actions.push(Action::PutObjectTagging);
        }
        let key = Some(form.key.as_str());
        let admitted = self.admit(&principal, operation, &target, key, &needs, &evidence).await?;
        let charged = admitted.is_charged(&principal, &form.headers)?;
        let call = Call {
            gateway: &self.gateway,
            account: admitted.account,
            principal,
            from,
            rules: admitted.rules,
            headers: form.headers,
            query,
            target,
            origin,
            bucket: admitted.bucket,
            findings: Arc::clone(&context.findings),
            payload: Mutex::new(Some(form.payload)),
        };
        let mut answer = ops::post_object(call, form.key, form.tags).await?;
        if charged {
            payment::tell(&mut answer)?;
        }
        Ok(answer)
    }

    /// Who the key is, by which the signature was verified.
    fn principal(&self, access_key: Option<&str>, context: &Context) -> Outcome<Principal> {
        let Some(id) = access_key else {
            return Ok(Principal::Anonymous);
        };
        let _ = context.findings.access_key_id.set(id.to_owned());
        match self.gateway.directory.resolve(id) {
            Ok(Some(found)) => {
                if let Some(account) = found.principal.account() {
                    let _ = context.findings.account.set(account);
                }
                Ok(found.principal)
            }
            // Revoked since the signature was verified.
            Ok(None) => Err(Failure::new(Code::AccessDenied)),
            Err(error) => {
                tracing::error!(%error, "an access key cannot be looked up");
                Err(Failure::new(Code::ServiceUnavailable))
            }
        }
    }

    /// Allows the operation, and finds the bucket it works on.
    async fn admit(
        &self,
        principal: &Principal,
        operation: Operation,
        target: &Target,
        key: Option<&str>,
        needs: &Needs,
        evidence: &Evidence<'_>,
    ) -> Outcome<Admitted> {
        if operation.is_on_service() {
            let account = principal.account().ok_or(Code::AccessDenied)?;
            return match authorize(principal, operation.action(), &Resource::Service) {
                Decision::Allow => Ok(Admitted { account, bucket: None, rules: None }),
                Decision::Deny => Err(Failure::new(Code::AccessDenied)),
            };
        }
        let bucket = self.gateway.service.bucket(target.bucket()).await?;
        let rules = Rules::of(&self.gateway, principal, &bucket, key, evidence).await?;
        // What the body says, or the source of a copy, is judged where it is read.
        if !needs.deferred || rules.is_none() {
            for action in &needs.actions {
                authorization::judge(principal, *action, &bucket, key, rules.as_ref())?;
            }
        }
        if *principal == Principal::Anonymous {
            check_has_account(operation)?;
        }
        check_owner(evidence.headers, "x-amz-expected-bucket-owner", bucket.owner)?;
        let rules = rules.map(Arc::new);
        Ok(Admitted { account: bucket.owner, bucket: Some(bucket), rules })
    }
}

fn access_key(credentials: &Option<Credentials>) -> Option<&str> {
    credentials.as_ref().map(|credentials| credentials.access_key.as_str())
}

/// A request that was let in.
struct Admitted {
    /// Whose what is written becomes.
    account: AccountId,
    bucket: Option<Arc<Bucket>>,
    rules: Option<Arc<Rules>>,
}

impl Admitted {
    /// Whether who asks pays for it.
    fn is_charged(&self, principal: &Principal, headers: &HeaderMap) -> Outcome<bool> {
        let Some(bucket) = &self.bucket else { return Ok(false) };
        payment::is_charged(bucket, principal.account(), headers)
    }
}

/// Hides what is not there from those who may not list the bucket, as S3 does. Without a policy
/// only those are let in who may.
struct Veil(Option<(Principal, Arc<Bucket>, Arc<Rules>)>);

impl Veil {
    fn of(principal: &Principal, admitted: &Admitted) -> Self {
        let Admitted { bucket, rules, .. } = admitted;
        let parts = bucket.as_ref().zip(rules.as_ref());
        Self(
            parts.map(|(bucket, rules)| (principal.clone(), Arc::clone(bucket), Arc::clone(rules))),
        )
    }

    fn over(&self, failure: Failure) -> Failure {
        let action = match failure.code() {
            Code::NoSuchKey => Action::ListBucket,
            Code::NoSuchVersion => Action::ListBucketVersions,
            _ => return failure,
        };
        match &self.0 {
            None => failure,
            Some((principal, bucket, rules)) => {
                authorization::judge(principal, action, bucket, None, Some(rules))
                    .err()
                    .unwrap_or(failure)
            }
        }
    }
}

/// Refuses what nobody may ask for without a signature.
fn check_anonymous(headers: &HeaderMap, query: &Query) -> Outcome<()> {
    if OVERRIDES.iter().any(|(parameter, _)| query.has(parameter)) {
        return Err(Failure::invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    // There is nothing that its chunks could be signed with.
    match is_signed_stream(headers) {
        true => Err(Failure::new(Code::AccessDenied)),
        false => Ok(()),
    }
}

/// Refuses operations that S3 wants an account for.
fn check_has_account(operation: Operation) -> Outcome<()> {
    use Operation as O;
    let what = match operation {
        O::CreateMultipartUpload => "initiate multipart uploads",
        O::CopyObject | O::UploadPartCopy => "copy objects",
        _ => return Ok(()),
    };
    let message = format!("Anonymous users cannot {what}. Please authenticate.");
    Err(Failure::with_message(Code::AccessDenied, message))
}

/// The headers, and those that a presigned URL carries in its signed query, as SDKs put them
/// there. Session tokens are refused: there are no sessions.
fn effective_headers(mut headers: HeaderMap, query: &Query) -> Outcome<HeaderMap> {
    let presigned = query.has("X-Amz-Signature");
    for parameter in query.iter().filter(|_| presigned) {
        let name = parameter.name.to_ascii_lowercase();
        // URLs are logged and shared, so no key is taken from one; nor is the request done without.
        if sse::is_customer_header(&name) {
            let message = "Keys of clients are taken from headers only, never from a URL.";
            return Err(Failure::invalid_request(message));
        }
        if !name.starts_with("x-amz-") || OF_SIGNATURE.contains(&name.as_str()) {
            continue;
        }
        // SDKs presign before there is a body and put the checksum of none there. S3 takes
        // checksums from headers only.
        if promises_checksum(&name) {
            continue;
        }
        let invalid = || Failure::new(Code::InvalidUri);
        let name = HeaderName::try_from(name).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(parameter.value.as_bytes()).map_err(|_| invalid())?;
        headers.entry(name).or_insert(value);
    }
    for name in ["x-amz-security-token", "x-amz-s3session-token"] {
        if request_header::text(&headers, name)?.is_some() {
            return Err(Failure::new(Code::InvalidToken));
        }
    }
    Ok(headers)
}

/// Parameters that make up a signature rather than stand for a header.
const OF_SIGNATURE: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Scheme and host as the client used them.
fn origin(host: Option<&str>, context: &Context) -> String {
    let scheme = if context.secure { "https" } else { "http" };
    format!("{scheme}://{}", host.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(uri_query: &str) -> Outcome<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        effective_headers(headers, &Query::parse(Some(uri_query)).unwrap())
    }

    #[test]
    fn presigned_query_carries_headers() {
        let found = effective(
            "X-Amz-Signature=s&X-Amz-Date=d&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD\
             &x-amz-acl=public-read&x-amz-meta-a=%C3%A9&X-Amz-Tagging=k%3Dv&other=1\
             &X-Amz-Checksum-Crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32\
             &x-amz-checksum-xxhash64=AAAAAAAAAAA%3D&x-amz-checksum-mode=ENABLED",
        )
        .unwrap();
        assert_eq!(found["x-amz-acl"], "private");
        assert_eq!(found["x-amz-meta-a"].as_bytes(), "é".as_bytes());
        assert_eq!(found["x-amz-tagging"], "k=v");
        assert_eq!(found["x-amz-checksum-mode"], "ENABLED");
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn query_of_other_requests_carries_no_headers() {
        assert_eq!(effective("x-amz-meta-a=1").unwrap().len(), 1);
    }

    #[test]
    fn session_tokens_are_refused() {
        let failure = effective("X-Amz-Signature=s&X-Amz-Security-Token=t").unwrap_err();
        assert_eq!(failure.code(), Code::InvalidToken);
    }

    #[test]
    fn anonymous_requests_may_not_override_headers() {
        let told = |query| check_anonymous(&HeaderMap::new(), &Query::parse(Some(query)).unwrap());
        assert_eq!(told("response-expires=x").unwrap_err().code(), Code::InvalidRequest);
        assert!(told("versionId=null").is_ok());
    }

    #[test]
    fn what_needs_an_account_is_refused_without_one() {
        for operation in [Operation::CreateMultipartUpload, Operation::CopyObject] {
            let failure = check_has_account(operation).unwrap_err();
            assert_eq!(failure.code(), Code::AccessDenied);
        }
        assert!(check_has_account(Operation::PutObject).is_ok());
    }

    #[test]
    fn forms_are_told_by_method_and_content_type() {
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_static(" Multipart/Form-Data; boundary=x");
        headers.insert(header::CONTENT_TYPE, content_type);
        assert!(is_form(&Method::POST, &headers));
        assert!(!is_form(&Method::PUT, &headers));
        assert!(!is_form(&Method::POST, &HeaderMap::new()));
    }
}
