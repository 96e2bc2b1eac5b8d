//! Signature version 4, by its specification: what a fuzzer cannot guess is signed for it.

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, HeaderValue, request::Parts};

use crate::{percent, query::Query};

/// The region of the gateway under test.
pub(super) const REGION: &str = "us-east-1";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// SHA-256 of nothing, which every signed chunk names.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs with one access key at one time.
pub(super) struct Signer {
    pub(super) credential: String,
    pub(super) date: String,
    key: Vec<u8>,
}

impl Signer {
    /// Signs as of now: the age of signatures is judged by the system's clock.
    pub(super) fn new(access_key: &str, secret: &str) -> Self {
        let now = time::OffsetDateTime::now_utc();
        let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let (hour, minute, second) = now.to_hms();
        let key = mac(format!("AWS4{secret}").as_bytes(), &day);
        let key = [REGION, "s3", "aws4_request"].iter().fold(key, |key, part| mac(&key, part));
        Self {
            credential: format!("{access_key}/{day}/{REGION}/s3/aws4_request"),
            date: format!("{day}T{hour:02}{minute:02}{second:02}Z"),
            key,
        }
    }

    /// Signs a request's head and returns the signature. The payload is what
    /// `x-amz-content-sha256` says, and not signed when it says nothing.
    pub(super) fn sign(&self, parts: &mut Parts) -> String {
        let date = HeaderValue::from_str(&self.date).expect("a date is ASCII");
        parts.headers.insert("x-amz-date", date);
        let unsigned = HeaderValue::from_static("UNSIGNED-PAYLOAD");
        parts.headers.entry("x-amz-content-sha256").or_insert(unsigned);
        let (names, headers) = canonical_headers(&parts.headers);
        let payload = parts.headers["x-amz-content-sha256"].as_bytes();
        let request = format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{}",
            parts.method,
            canonical_path(parts.uri.path()),
            canonical_query(parts.uri.query()),
            String::from_utf8_lossy(payload),
        );
        let hash = hex::encode(digest::digest(&digest::SHA256, request.as_bytes()));
        let signature = self.seal(&format!("{ALGORITHM}\n{}\n{}\n{hash}", self.date, self.scope()));
        let authorization = format!(
            "{ALGORITHM} Credential={}, SignedHeaders={names}, Signature={signature}",
            self.credential
        );
        let value = HeaderValue::from_str(&authorization).expect("names and digits are ASCII");
        parts.headers.insert(http::header::AUTHORIZATION, value);
        signature
    }

    /// The signature of a chunk that follows the one with the signature `previous`.
    pub(super) fn sign_chunk(&self, previous: &str, data: &[u8]) -> String {
        let hash = hex::encode(digest::digest(&digest::SHA256, data));
        let (date, scope) = (&self.date, self.scope());
        self.seal(&format!("{ALGORITHM}-PAYLOAD\n{date}\n{scope}\n{previous}\n{EMPTY}\n{hash}"))
    }

    /// The signature of the trailers behind the chunk with the signature `previous`.
    pub(super) fn sign_trailers(&self, previous: &str, trailers: &str) -> String {
        let hash = hex::encode(digest::digest(&digest::SHA256, trailers.as_bytes()));
        let (date, scope) = (&self.date, self.scope());
        self.seal(&format!("{ALGORITHM}-TRAILER\n{date}\n{scope}\n{previous}\n{hash}"))
    }

    /// The signature of any text, such as a form's policy.
    pub(super) fn seal(&self, text: &str) -> String {
        hex::encode(mac(&self.key, text))
    }

    fn scope(&self) -> &str {
        self.credential.split_once('/').map_or("", |(_, scope)| scope)
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// `Host` and what S3 wants signed: the names, and the lines.
fn canonical_headers(headers: &HeaderMap) -> (String, String) {
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| *name == "host" || name.starts_with("x-amz-"));
    names.sort_unstable();
    let line = |name: &&str| {
        let values = headers.get_all(*name).iter().map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split_whitespace().collect::<Vec<&str>>().join(" ")
        });
        format!("{name}:{}\n", values.collect::<Vec<String>>().join(","))
    };
    let lines = names.iter().map(line).collect();
    (names.join(";"), lines)
}

fn canonical_path(path: &str) -> String {
    percent::decode(path).map_or_else(|| path.to_owned(), |path| percent::encode(&path))
}

fn canonical_query(query: Option<&str>) -> String {
    let encode = |text: &str| percent::encode(text).replace('/', "%2F");
    let Ok(query) = Query::parse(query) else {
        return query.unwrap_or_default().to_owned();
    };
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|parameter| (encode(&parameter.name), encode(&parameter.value))).collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}
