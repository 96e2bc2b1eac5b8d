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
    call::{Call, Gateway, allow},
    error::{Code, Failure, Outcome},
    operation::Operation,
    ops,
    query::Query,
    target::Target,
};

/// The header by which an object sends browsers elsewhere.
const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";

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
            Err(custom) => Ok(page::answer(&failure, Some(&custom), &place(self.context))),
        }
    }

    /// The object of the key, or the index document of the folder that it names.
    async fn object_or_index(&self, index_suffix: &str) -> Outcome<Answer> {
        if self.key.is_empty() || self.key.ends_with('/') {
            let index = format!("{}{index_suffix}", self.key);
            return self.read(&index, self.headers()).await;
        }
        let failure = match self.read(self.key, self.headers()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let index = format!("{}/{index_suffix}", self.key);
        if is_missing(&failure) && self.read(&index, self.plain_headers()).await.is_ok() {
            let folder = format!("/{}/", crate::percent::encode(self.key));
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
    async fn read(&self, key: &str, headers: HeaderMap) -> Outcome<Answer> {
        let operation = if self.head { Operation::HeadObject } else { Operation::GetObject };
        allow(&Principal::Anonymous, Action::GetObject, self.bucket.owner)?;
        let call = Call {
            gateway: self.gateway,
            principal: Principal::Anonymous,
            account: self.bucket.owner,
            headers,
            query: Query::default(),
            target: Target::Object { bucket: self.bucket.name.clone(), key: key.to_owned() },
            origin: String::new(),
            bucket: Some(Arc::clone(&self.bucket)),
            payload: Mutex::new(None),
        };
        let answer = ops::perform(operation, call).await;
        let answer = answer.map_err(|failure| match is_missing(&failure) {
            true => failure.detail_if_new("Key", key),
            false => failure,
        })?;
        match answer.headers.get(REDIRECT_LOCATION).and_then(|location| location.to_str().ok()) {
            Some(location) => {
                elsewhere(StatusCode::MOVED_PERMANENTLY.as_u16(), &routing::as_written(location))
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

fn is_missing(failure: &Failure) -> bool {
    matches!(failure.code(), Code::NoSuchKey | Code::NoSuchVersion)
}
