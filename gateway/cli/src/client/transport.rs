//! One HTTP request and its answer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy, rt::TokioExecutor};

/// Longest answer in bytes. Chosen: a page of 1,000 users takes about 200 KiB.
const ANSWER_LEN_BYTES_MAX: usize = 16 << 20;

/// How long an answer may take. Chosen: every admin route answers from metadata.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Transport {
    base: String,
    client: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Transport {
    pub(crate) fn new(admin_url: &str) -> Result<Self> {
        let base = admin_url.trim_end_matches('/');
        let uri: Uri = base.parse().with_context(|| format!("admin URL {admin_url:?}"))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            bail!("admin URL {admin_url:?}: expected http://HOST:PORT");
        }
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { base: base.to_owned(), client })
    }

    /// Sends a request to `/api/v1` + `path`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes)> {
        let mut request =
            Request::builder().method(method).uri(format!("{}/api/v1{path}", self.base));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .with_context(|| format!("cannot reach the server at {}", self.base))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LEN_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .with_context(|| format!("no answer from {} in time", self.base))?
    }
}
