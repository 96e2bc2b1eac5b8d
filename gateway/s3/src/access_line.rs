//! Lines of buckets' access logs, in the format of S3's server access logs.
//!
//! Owns what a line says; where it goes is the object service's business.
//!
//! Invariants:
//! - a request to a bucket without a log costs nothing but the look;
//! - a line is one line of ASCII whose fields are told apart by spaces, whatever the client sent;
//! - no signature, no session token and no key of a client gets into a log, by whatever spelling of
//!   its name: whoever reads one could repeat a presigned request, or read an object.
//!
//! | field | of |
//! | --- | --- |
//! | owner, bucket, time, address, requester, request id | the request |
//! | operation, key, request line | `REST.GET.OBJECT`; percent-encoded; quoted |
//! | status, error code, bytes sent, object size | the answer |
//! | total time, turn-around time | milliseconds: to the last byte; from the last byte received |
//! | referrer, user agent | quoted |
//! | version id, host id | |
//! | signature version, cipher suite, authentication type, host, TLS version | |
//! | access point, ACL required | never anything |

mod operation;

use std::{fmt::Write as _, net::IpAddr, sync::Arc, time::Instant};

use gateway_iam::canonical_id;
use gateway_object::{Bucket, ObjectService};
use http::{HeaderMap, HeaderName, header, request::Parts};
use node_proto::UnixMillis;

use crate::{
    adapter::is_form, convert, error::Code, percent, query::Query, sse, target::Target,
    telemetry::Findings,
};

/// Parameters whose values make a request repeatable, in lowercase.
const SECRETS: [&str; 4] =
    ["x-amz-signature", "x-amz-security-token", "x-amz-s3session-token", "signature"];

/// What a connection's encryption is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encryption {
    /// The cipher suite, as OpenSSL names those of TLS 1.3.
    pub(crate) cipher_suite: &'static str,
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) version: &'static str,
}

/// One object of a request that deletes many.
#[derive(Debug)]
pub(crate) struct BatchDeletion {
    /// Its key.
    pub(crate) key: String,
    /// The version asked for.
    pub(crate) version: Option<String>,
    /// Why it is still there.
    pub(crate) failure: Option<Code>,
}

/// What is known of a request to a logged bucket before it is answered.
pub(crate) struct Entry {
    service: ObjectService,
    bucket: Arc<Bucket>,
    at: UnixMillis,
    method: String,
    key: String,
    request_line: String,
    referrer: String,
    user_agent: String,
    version: Option<String>,
    signature: Option<&'static str>,
    authentication: Option<&'static str>,
    host: String,
    encryption: Option<Encryption>,
    /// What the request says that the object's size will be.
    declared_len_bytes: Option<String>,
}

/// What the answer adds.
pub(crate) struct Answered<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) request_id: &'a str,
    pub(crate) host_id: &'a str,
    pub(crate) status: u16,
    pub(crate) sent_bytes: u64,
    pub(crate) object_len_bytes: Option<u64>,
    pub(crate) started: Instant,
    pub(crate) received: Option<Instant>,
    pub(crate) answered: Option<Instant>,
    pub(crate) findings: &'a Findings,
}

impl Entry {
    /// What there is to say of a request that came at `at`; nothing unless it is for a bucket with a
    /// log.
    pub(crate) async fn of(
        service: &ObjectService,
        at: UnixMillis,
        parts: &Parts,
        target: &Target,
        encryption: Option<Encryption>,
    ) -> Option<Box<Self>> {
        if target.bucket().is_empty() {
            return None;
        }
        let bucket = service.bucket(target.bucket()).await.ok()?;
        bucket.configs.logging.as_ref()?;
        let query = Query::parse(parts.uri.query()).ok();
        let asked = |name| query.as_ref().and_then(|query| query.get(name));
        let (signature, authentication) = credentials(parts, query.as_ref());
        let text = |name| lossy(&parts.headers, name);
        Some(Box::new(Self {
            service: service.clone(),
            bucket,
            at,
            method: parts.method.to_string(),
            key: percent::encode(target.key()),
            request_line: request_line(parts),
            // A page behind a presigned URL tells it.
            referrer: without_secrets(&text(header::REFERER)),
            user_agent: text(header::USER_AGENT),
            version: asked("versionId").map(percent::encode),
            signature,
            authentication,
            host: text(header::HOST),
            encryption,
            declared_len_bytes: declared_len(&parts.headers),
        }))
    }

    /// Writes the lines of a request that was answered.
    pub(crate) fn write(&self, answered: &Answered<'_>) {
        let line = self.line(answered);
        self.service.log_access(&self.bucket, self.at, &line);
        for deletion in answered.findings.batch_deletions.lock().iter() {
            let line = self.batch_line(answered, deletion);
            self.service.log_access(&self.bucket, self.at, &line);
        }
    }

    fn line(&self, answered: &Answered<'_>) -> String {
        let name = answered.findings.operation.get().copied();
        let operation = operation::name(name, &self.method, !self.key.is_empty());
        let mut line = self.start(answered);
        fields(&mut line, [operation.as_str(), or_dash(&self.key)]);
        quoted(&mut line, &self.request_line);
        let error = answered.findings.error_code.get().map(String::as_str);
        let size = self.object_size(answered, name);
        let total = answered.started.elapsed().as_millis();
        let turn_around = answered.answered.map(|answered_at| {
            let since = answered.received.unwrap_or(answered.started);
            answered_at.saturating_duration_since(since).as_millis().to_string()
        });
        let sent = Some(answered.sent_bytes).filter(|sent| *sent > 0);
        let _ = write!(line, " {}", answered.status);
        fields(
            &mut line,
            [
                error.unwrap_or("-"),
                sent.map(|sent| sent.to_string()).as_deref().unwrap_or("-"),
                size.as_deref().unwrap_or("-"),
                &total.to_string(),
                turn_around.as_deref().unwrap_or("-"),
            ],
        );
        quoted(&mut line, &self.referrer);
        quoted(&mut line, &self.user_agent);
        fields(&mut line, [self.version.as_deref().unwrap_or("-")]);
        self.end(answered, &mut line);
        line
    }

    fn batch_line(&self, answered: &Answered<'_>, deletion: &BatchDeletion) -> String {
        let mut line = self.start(answered);
        let key = percent::encode(&deletion.key);
        let status = deletion.failure.map_or(204, |code| code.status().as_u16()).to_string();
        let error = deletion.failure.map_or("-", Code::name);
        let version = deletion.version.as_deref().map(percent::encode);
        let version = version.as_deref().unwrap_or("-");
        let operation = "BATCH.DELETE.OBJECT";
        fields(&mut line, [operation, &key, "-", &status, error, "-", "-", "-", "-", "-", "-"]);
        fields(&mut line, [version]);
        self.end(answered, &mut line);
        line
    }

    /// The fields in front of the operation.
    fn start(&self, answered: &Answered<'_>) -> String {
        let requester = answered.findings.account.get().copied().map(canonical_id);
        let mut line = canonical_id(self.bucket.owner);
        let at = format!("[{}]", convert::log_date(self.at));
        fields(
            &mut line,
            [
                &self.bucket.name,
                &at,
                &answered.peer.to_canonical().to_string(),
                requester.as_deref().unwrap_or("-"),
                answered.request_id,
            ],
        );
        line
    }

    /// The fields behind the version id.
    fn end(&self, answered: &Answered<'_>, line: &mut String) {
        let host = visible(&self.host);
        fields(
            line,
            [
                answered.host_id,
                self.signature.unwrap_or("-"),
                self.encryption.map_or("-", |encryption| encryption.cipher_suite),
                self.authentication.unwrap_or("-"),
                or_dash(&host),
                self.encryption.map_or("-", |encryption| encryption.version),
                "-",
                "-",
            ],
        );
    }

    /// How large the object in question is, where there is one.
    fn object_size(&self, answered: &Answered<'_>, operation: Option<&str>) -> Option<String> {
        match operation? {
            "GetObject" | "HeadObject" | "WebsiteGet" | "WebsiteHead" => {
                answered.object_len_bytes.map(|len| len.to_string())
            }
            "PutObject" | "UploadPart" if answered.status < 300 => self.declared_len_bytes.clone(),
            _ => None,
        }
    }
}

/// How large the object of an answer is: what a range is of, or what is sent.
pub(crate) fn object_len(status: u16, headers: &HeaderMap) -> Option<u64> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    match text(header::CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None if status < 300 => text(header::CONTENT_LENGTH)?.parse().ok(),
        None => None,
    }
}

fn declared_len(headers: &HeaderMap) -> Option<String> {
    let decoded = headers.get("x-amz-decoded-content-length");
    let value = decoded.or_else(|| headers.get(header::CONTENT_LENGTH))?.to_str().ok()?;
    value.parse::<u64>().ok().map(|len| len.to_string())
}

/// Signature version and authentication type.
fn credentials(
    parts: &Parts,
    query: Option<&Query>,
) -> (Option<&'static str>, Option<&'static str>) {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    if let Some(value) = authorization.and_then(|value| value.to_str().ok()) {
        let version = if value.starts_with("AWS4-") { "SigV4" } else { "SigV2" };
        return (Some(version), Some("AuthHeader"));
    }
    let has = |name| query.is_some_and(|query| query.has(name));
    if has("X-Amz-Signature") {
        return (Some("SigV4"), Some("QueryString"));
    }
    if has("Signature") && has("AWSAccessKeyId") {
        return (Some("SigV2"), Some("QueryString"));
    }
    // A form carries its signature where only the adapter looks.
    (is_form(&parts.method, &parts.headers).then_some("SigV4"), None)
}

/// Method, target and version, without what would let a reader repeat the request.
fn request_line(parts: &Parts) -> String {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    format!("{} {} {:?}", parts.method, without_secrets(target), parts.version)
}

/// A URL without the values of parameters that are secret.
fn without_secrets(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let mut out = path.to_owned();
    for (index, pair) in query.split('&').enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        let name = pair.split('=').next().unwrap_or_default();
        match is_secret(name) {
            true => out.extend([name, "=REDACTED"]),
            false => out.push_str(pair),
        }
    }
    out
}

/// Whether a parameter, named as it came, is one not to be told. What cannot be decoded may be any.
fn is_secret(name: &str) -> bool {
    percent::decode_query(name).is_none_or(|name| {
        let name = name.trim().to_ascii_lowercase();
        SECRETS.contains(&name.as_str()) || sse::is_customer_header(&name)
    })
}

fn lossy(headers: &HeaderMap, name: HeaderName) -> String {
    let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().into_owned()
}

fn fields<const N: usize>(line: &mut String, values: [&str; N]) {
    for value in values {
        line.push(' ');
        line.push_str(value);
    }
}

fn quoted(line: &mut String, value: &str) {
    line.push_str(" \"");
    let mut rest = or_dash(value);
    while let Some(at) = rest.find(|c: char| c == '"' || !(c == ' ' || c.is_ascii_graphic())) {
        let (plain, tail) = rest.split_at(at);
        line.push_str(plain);
        let mut characters = tail.chars();
        if let Some(odd) = characters.next() {
            let mut bytes = [0; 4];
            for byte in odd.encode_utf8(&mut bytes).bytes() {
                let _ = write!(line, "%{byte:02X}");
            }
        }
        rest = characters.as_str();
    }
    line.push_str(rest);
    line.push('"');
}

/// What stands for nothing.
fn or_dash(value: &str) -> &str {
    if value.is_empty() { "-" } else { value }
}

/// A value that can be a field by itself.
fn visible(value: &str) -> String {
    value.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests;
