//! Documents of bucket configurations, to a gateway in memory.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};

use super::{
    gateway::{Answer, BUCKET, Gateway, ROOT, with_gateway},
    signer::Signer,
};

/// Every kind, by how it is asked for.
const KINDS: [&str; 15] = [
    "tagging",
    "requestPayment",
    "logging",
    "accelerate",
    "abac",
    "analytics&id=one",
    "metrics&id=one",
    "intelligent-tiering&id=one",
    "versioning",
    "object-lock",
    "lifecycle",
    "encryption",
    "cors",
    "website",
    "policy",
];
/// Most bytes of an input that are looked at.
const LEN_BYTES_MAX: usize = 16 << 10;

/// A kind, as the first byte counts them from `a`, and a document.
///
/// The document is refused for a documented reason, and what is told stays; or it is taken, and what
/// is told then is taken as well and told again, so that nothing is lost on the way.
pub fn configuration(data: &[u8]) {
    let Some((kind, document)) = data.split_first() else { return };
    let kind = KINDS[usize::from(kind.wrapping_sub(b'a')) % KINDS.len()];
    let document = Bytes::copy_from_slice(&document[..document.len().min(LEN_BYTES_MAX)]);
    with_gateway(|gateway| async move {
        let before = send(&gateway, Method::GET, kind, Bytes::new()).await;
        let put = send(&gateway, Method::PUT, kind, document).await;
        let told = send(&gateway, Method::GET, kind, Bytes::new()).await;
        if !put.status.is_success() {
            assert!(put.code().is_some(), "{kind}: refused without a reason");
            assert!(same(&told, &before), "{kind}: refused, and changed");
            return;
        }
        if !told.status.is_success() {
            // A document may say that there is no configuration.
            assert!(told.status.is_client_error(), "{kind}: {}", told.status);
            return;
        }
        let again = send(&gateway, Method::PUT, kind, told.body.clone()).await;
        // Documents that tell the state before anything was set are none to set.
        if again.status.is_success() {
            let last = send(&gateway, Method::GET, kind, Bytes::new()).await;
            assert!(same(&last, &told), "{kind}: told otherwise the second time");
        } else {
            assert!(is_empty(&told), "{kind}: told what is not taken: {:?}", again.code());
        }
    });
}

fn same(one: &Answer, other: &Answer) -> bool {
    match one.status.is_success() && other.status.is_success() {
        true => one.body == other.body,
        false => one.status == other.status && one.code() == other.code(),
    }
}

/// Whether a document has a root and nothing in it.
fn is_empty(answer: &Answer) -> bool {
    crate::xml::parse(&answer.body).is_ok_and(|root| root.children.is_empty())
}

async fn send(gateway: &Arc<Gateway>, method: Method, kind: &str, body: Bytes) -> Answer {
    let mut request = Request::new(());
    *request.method_mut() = method;
    let uri = Uri::try_from(format!("/{BUCKET}?{kind}"));
    *request.uri_mut() = uri.expect("the kinds are queries");
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9000"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let (mut parts, ()) = request.into_parts();
    drop(Signer::new(ROOT.0, ROOT.1).sign(&mut parts));
    gateway.send(Request::from_parts(parts, vec![body])).await
}
