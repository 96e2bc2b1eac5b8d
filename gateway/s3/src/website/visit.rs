//! One request of a browser to a bucket that is a website.

use std::sync::Arc;

use gateway_iam::{Action, Principal};
use gateway_meta::record::{RoutingRule, WebsiteProtocol, WebsiteRecord};
use gateway_object::Bucket;
use http::{HeaderMap, StatusCode, header, request::Parts};
use parking_lot::Mutex;

use super::{elsewhere, page, place, routing};
use crate::{
    adapter::Context,
    answer::Answer,
    authorization::{Evidence, Rules, judge},
    call::{Call, Gateway, Origin},
    error::{Code, Failure, Outcome},
    operation::Operation,
    ops::{self, payment},
    query::Query,
    target::Target,
};

/// The header by which an object sends browsers elsewhere.
const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";

/// Why there is no page.
struct NoPage {
    /// What is told.
    failure: Failure,
    /// Whether the object is not there, told or not.
    is_missing: bool,
}

impl From<Failure> for NoPage {
    fn from(failure: Failure) -> Self {
        Self { failure, is_missing: false }
    }
}

/// One request.
pub(super) struct Visit<'a> {
    /// What answers it.
    pub(super) gateway: &'a Gateway,
    /// What is known of it.
    pub(super) context: &'a Context,
    /// The website's bucket.
    pub(super) bucket: Arc<Bucket>,
    /// The request itself.
    pub(super) parts: &'a Parts,
    /// The key that the path names; empty for the root.
    pub(super) key: &'a str,
    /// Host and port as the client used them.
    pub(super) host: &'a str,
    /// Whether only headers are wanted.
    pub(super) head: bool,
}

impl Visit<'_> {
    /// What the browser is shown.
    pub(super) async fn answer(&self, website: &WebsiteRecord) -> Answer {
        let answer = match website {
            WebsiteRecord::RedirectAll { host, protocol } => {
                let (status, location) = routing::moved(host, *protocol, self.asked());
                elsewhere(status, &location)
            }
            WebsiteRecord::Pages { index_suffix, error_key, rules } => {
                self.page(index_suffix, error_key.as_deref(), rules).await
            }
        };
        answer.unwrap_or_else(|failure| page::answer(&failure, None, &place(self.context)))
    }

    async fn page(
        &self,
        index_suffix: &str,
        error_key: Option<&str>,
        rules: &[RoutingRule],
    ) -> Outcome<Answer> {
        if let Some(rule) = routing::before(rules, self.key) {
            return self.redirection(rule);
        }
        let failure = match self.object_or_index(index_suffix).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let status = failure.code().status();
        if let Some(rule) = routing::after(rules, self.key, status.as_u16()) {
            return self.redirection(rule);
        }
        let error_key = error_key.filter(|_| status.is_client_error());
        let Some(error_key) = error_key else {
            return Err(failure);
        };
        // Ranges and conditions are about the page that is not there.
        match self.read(error_key, self.plain_headers()).await {
            Ok(mut answer) => {
                if answer.status == StatusCode::OK {
                    answer.status = status;
                    page::mark(&failure, &mut answer);
                }
                Ok(answer)
            }
            Err(custom) => Ok(page::answer(&failure, Some(&custom.failure), &place(self.context))),
        }
    }

    /// The object of the key, or the index document of the folder that it names.
    async fn object_or_index(&self, index_suffix: &str) -> Outcome<Answer> {
        if self.key.is_empty() || self.key.ends_with('/') {
            let index = format!("{}{index_suffix}", self.key);
            return self.read(&index, self.headers()).await.map_err(|no_page| no_page.failure);
        }
        let NoPage { failure, is_missing } = match self.read(self.key, self.headers()).await {
            Ok(answer) => return Ok(answer),
            Err(no_page) => no_page,
        };
        let index = format!("{}/{index_suffix}", self.key);
        if is_missing && self.read(&index, self.plain_headers()).await.is_ok() {
            let folder = routing::folder(self.asked());
            return elsewhere(StatusCode::FOUND.as_u16(), &folder);
        }
        Err(failure)
    }

    fn redirection(&self, rule: &RoutingRule) -> Outcome<Answer> {
        let (status, location) = routing::redirection(rule, self.asked());
        elsewhere(status, &location)
    }

    fn asked(&self) -> routing::Asked<'_> {
        let secure = self.context.secure;
        routing::Asked {
            protocol: if secure { WebsiteProtocol::Https } else { WebsiteProtocol::Http },
            host: self.host,
            key: self.key,
            query: self.parts.uri.query(),
        }
    }

    /// Reads an object as everyone may, or goes where it sends browsers.
    async fn read(&self, key: &str, headers: HeaderMap) -> Result<Answer, NoPage> {
        let everyone = Principal::Anonymous;
        let from = Origin { peer: self.context.peer, secure: self.context.secure, version_2: None };
        let query = Query::default();
        let evidence = Evidence::of(&headers, &query, from);
        let bucket = &*self.bucket;
        let rules = Rules::of(self.gateway, &everyone, bucket, Some(key), &evidence).await?;
        let judge = |action, key| judge(&everyone, action, bucket, key, rules.as_ref());
        judge(Action::GetObject, Some(key))?;
        let may_list = judge(Action::ListBucket, None).is_ok();
        // Nobody is there who could pay.
        payment::is_charged(bucket, None, &headers)?;
        let operation = if self.head { Operation::HeadObject } else { Operation::GetObject };
        let call = Call {
            gateway: self.gateway,
            principal: everyone,
            account: bucket.owner,
            from,
            rules: rules.map(Arc::new),
            headers,
            query,
            target: Target::Object { bucket: bucket.name.clone(), key: key.to_owned() },
            origin: String::new(),
            findings: Arc::clone(&self.context.findings),
            bucket: Some(Arc::clone(&self.bucket)),
            payload: Mutex::new(None),
        };
        let answer = ops::perform(operation, call).await;
        let answer = answer.map_err(|failure| {
            let is_missing = matches!(failure.code(), Code::NoSuchKey | Code::NoSuchVersion);
            let failure = match is_missing && !may_list {
                // Whoever may not list is not told what is not there.
                true => Failure::new(Code::AccessDenied),
                false => failure.detail_if_new("Key", key),
            };
            NoPage { failure, is_missing }
        })?;
        match answer.headers.get(REDIRECT_LOCATION) {
            Some(location) => {
                let location = String::from_utf8_lossy(location.as_bytes());
                let status = StatusCode::MOVED_PERMANENTLY.as_u16();
                Ok(elsewhere(status, &routing::as_written(&location))?)
            }
            None => Ok(answer),
        }
    }

    /// The request's headers without those that mean something to S3 only.
    fn headers(&self) -> HeaderMap {
        let is_plain = |name: &http::HeaderName| {
            !name.as_str().starts_with("x-amz-") && *name != header::AUTHORIZATION
        };
        let plain = self.parts.headers.iter().filter(|(name, _)| is_plain(name));
        plain.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The same without ranges and conditions.
    fn plain_headers(&self) -> HeaderMap {
        let mut headers = self.headers();
        for name in [
            header::RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
            header::IF_RANGE,
        ] {
            headers.remove(name);
        }
        headers
    }
}
