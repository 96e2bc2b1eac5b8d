//! Whole requests, one behind the other, to a gateway in memory.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header, request::Parts};

use super::{
    gateway::{Answer, Gateway, ROOT, with_gateway},
    headers::append,
    signer::Signer,
};
use crate::xml;

/// Most requests of one input.
const REQUESTS_MAX: usize = 8;
/// What stands between two requests.
const SEPARATOR: &[u8] = b"\n===\n";

/// Requests as text, with a line `===` between them: a request line, header lines, an empty line,
/// and the body. They are signed unless the line starts with `!`; one that starts with `?` is
/// signed with a wrong secret. `{upload}`, `{etag}` and `{token}` stand for what the answers before
/// gave last.
///
/// No request makes the gateway fail: each is done or refused for a documented reason. Nothing is
/// done for requests that are not signed, or wrongly.
pub fn request(data: &[u8]) {
    let texts = split(data);
    with_gateway(|gateway| async move {
        let mut memory = Memory::default();
        for text in texts.iter().take(REQUESTS_MAX) {
            let text = memory.filled_in(text);
            if let Some(answer) = play(&gateway, &text).await {
                memory.keep(&answer);
            }
        }
    });
}

fn split(data: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        texts.push(rest[..at].to_vec());
        rest = &rest[at + SEPARATOR.len()..];
    }
    texts.push(rest.to_vec());
    texts
}

async fn play(gateway: &Arc<Gateway>, text: &[u8]) -> Option<Answer> {
    let (trust, text) = match text {
        [b'!', rest @ ..] => (Trust::Unsigned, rest),
        [b'?', rest @ ..] => (Trust::WrongSecret, rest),
        rest => (Trust::Signed, rest),
    };
    let (mut parts, body) = parse(text)?;
    match trust {
        Trust::Unsigned => {}
        Trust::Signed => drop(Signer::new(ROOT.0, ROOT.1).sign(&mut parts)),
        Trust::WrongSecret => drop(Signer::new(ROOT.0, "wrongsecret").sign(&mut parts)),
    }
    // A signature of the fuzzer's own is as good as none.
    let answer = gateway.send(Request::from_parts(parts, vec![body])).await;
    if trust != Trust::Signed {
        assert!(!answer.status.is_success(), "{trust:?} and done");
    }
    Some(answer)
}

#[derive(Debug, PartialEq, Eq)]
enum Trust {
    Signed,
    Unsigned,
    WrongSecret,
}

/// The request that the HTTP library would make of the text; `None` where it would refuse it.
fn parse(text: &[u8]) -> Option<(Parts, Bytes)> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?.trim_ascii_end()).ok()?;
    let (method, uri) = first.split_once(' ')?;
    let mut headers = HeaderMap::new();
    let mut body = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            body = lines.flatten().copied().collect();
            break;
        }
        append(&mut headers, line.trim_ascii_end());
    }
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("127.0.0.1:9000"));
    if headers.contains_key(header::CONTENT_LENGTH) || !body.is_empty() {
        // The HTTP library sees to it that the length is that of the body.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(uri).ok()?;
    *request.headers_mut() = headers;
    Some((request.into_parts().0, Bytes::from(body)))
}

/// What answers gave, for requests behind them.
#[derive(Default)]
struct Memory {
    upload: String,
    etag: String,
    token: String,
}

impl Memory {
    fn filled_in(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, tail)) = rest.split_first() {
            let names =
                [("{upload}", &self.upload), ("{etag}", &self.etag), ("{token}", &self.token)];
            let named = names.iter().find(|(name, _)| rest.starts_with(name.as_bytes()));
            match named {
                Some((name, value)) => {
                    out.extend_from_slice(value.as_bytes());
                    rest = &rest[name.len()..];
                }
                None => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        out
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(etag) = answer.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()) {
            self.etag = etag.trim_matches('"').to_owned();
        }
        let Ok(root) = xml::parse(&answer.body) else {
            return;
        };
        if let Some(upload) = root.child_text("UploadId") {
            self.upload = upload.to_owned();
        }
        if let Some(token) = root.child_text("NextContinuationToken") {
            self.token = token.to_owned();
        }
    }
}
